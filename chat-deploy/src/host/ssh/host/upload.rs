//! A release on its way to a host: read once, compressed as it goes, and checked against what it was when it was looked at.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzEncoder;

use crate::release::Digest;
use crate::release::digest::Hasher;

/// Reads a program and tells of it.
pub(super) struct Upload<'a> {
    file: File,
    hasher: Hasher,
    read_bytes: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a> Upload<'a> {
    /// Opens a program; `progress` hears how many of its bytes are on their way.
    pub(super) fn open(path: &Path, progress: &'a mut dyn FnMut(u64)) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, hasher: Hasher::default(), read_bytes: 0, progress })
    }

    /// Compresses it: fast, because the processor here is what limits it, and the rest of the gain is small.
    pub(super) fn compressed(&mut self) -> impl Read {
        GzEncoder::new(self, Compression::fast())
    }

    /// Returns the digest of what was read.
    pub(super) fn digest(self) -> Digest {
        self.hasher.finish()
    }
}

impl Read for Upload<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..len).unwrap_or_default());
        self.read_bytes += len as u64;
        (self.progress)(self.read_bytes);
        Ok(len)
    }
}
