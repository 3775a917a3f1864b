//! The font that a person wants: a file, or the name of one that the system has.
//!
//! Fonts are found by the names of their files, which are those of the fonts but for spaces and "Regular".

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::FontError;

/// A font has at most this many bytes; those with all of Chinese, Japanese and Korean have some 20 million.
const MAX_FONT_BYTES: u64 = 128 * 1024 * 1024;
/// So many files and directories are looked at.
const MAX_LOOKED_AT: usize = 50_000;
const MAX_DEPTH: usize = 8;
const EXTENSIONS: [&str; 4] = ["ttf", "otf", "ttc", "otc"];
/// How files of fonts begin: TrueType, OpenType, Apple's TrueType, collections.
const BEGINNINGS: [[u8; 4]; 4] = [[0, 1, 0, 0], *b"OTTO", *b"true", *b"ttcf"];

/// Reads a font: a file if `name` is a path, or else one of this name below `directories`.
///
/// # Errors
///
/// [`FontError`], naming the font.
pub(super) fn load(name: &str, directories: &[PathBuf]) -> Result<Vec<u8>, FontError> {
    let path = if name.contains('/') { Some(PathBuf::from(name)) } else { find(name, directories) };
    let Some(path) = path else { return Err(FontError::Unknown { name: name.to_owned() }) };
    read(&path).map_err(|source| FontError::Read { path: path.clone(), source }).and_then(|bytes| {
        let is_font = BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning));
        if is_font { Ok(bytes) } else { Err(FontError::NoFont { path }) }
    })
}

/// Names the directories in which systems keep fonts; `home` is the user's directory.
pub(super) fn directories(home: Option<&Path>) -> Vec<PathBuf> {
    let own = [".local/share/fonts", ".fonts", "Library/Fonts"];
    let all = ["/usr/local/share/fonts", "/usr/share/fonts", "/Library/Fonts", "/System/Library/Fonts"];
    let own = home.into_iter().flat_map(|home| own.map(|directory| home.join(directory)));
    own.chain(all.map(PathBuf::from)).collect()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FONT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn find(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    let mut looked_at = 0;
    let mut waiting: Vec<(PathBuf, usize)> =
        directories.iter().rev().map(|directory| (directory.clone(), 0)).collect();
    while let Some((directory, depth)) = waiting.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MAX_LOOKED_AT {
                return None;
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => waiting.push((path, depth + 1)),
                Ok(kind) if !kind.is_dir() && is_file_of(&path, name) => return Some(path),
                _ => {}
            }
        }
    }
    None
}

/// Tells whether a file is that of a font, as far as its name says.
fn is_file_of(path: &Path, name: &str) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_font = EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension));
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    is_font && !stem.is_empty() && plain(stem) == plain(name)
}

/// Takes away what the names of fonts and those of their files differ in.
fn plain(name: &str) -> String {
    // Variable fonts say in brackets what varies.
    let name = name.split('[').next().unwrap_or_default().to_lowercase();
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let upright = name.strip_suffix("regular").or_else(|| name.strip_suffix("variablefont")).unwrap_or(&name);
    if upright.is_empty() { name } else { upright.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fonts_are_known_by_the_names_of_their_files() {
        for (file, name, expected) in [
            ("DejaVuSans.ttf", "DejaVu Sans", true),
            ("DejaVuSans.ttf", "dejavu sans", true),
            ("LiberationSerif-Regular.ttf", "Liberation Serif", true),
            ("Times_New_Roman.TTF", "Times New Roman", true),
            ("Inter[opsz,wght].ttf", "Inter", true),
            ("Helvetica.ttc", "Helvetica", true),
            ("DejaVuSans-Bold.ttf", "DejaVu Sans", false),
            ("DejaVuSans-Bold.ttf", "DejaVu Sans Bold", true),
            ("DejaVuSans.pfb", "DejaVu Sans", false),
            (".ttf", "", false),
        ] {
            assert_eq!(is_file_of(Path::new(file), name), expected, "{file} {name}");
        }
    }

    #[test]
    fn a_font_is_found_below_directories_or_by_its_path_and_others_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("truetype/own");
        fs::create_dir_all(&inside).unwrap();
        fs::write(inside.join("My-Font.ttf"), b"\0\x01\0\0rest").unwrap();
        fs::write(inside.join("Text.ttf"), b"no font").unwrap();
        let directories = [directory.path().join("missing"), directory.path().to_owned()];
        assert!(load("My Font", &directories).unwrap().ends_with(b"rest"));
        assert!(load(inside.join("My-Font.ttf").to_str().unwrap(), &[]).is_ok());
        let said = |name: &str| load(name, &directories).unwrap_err().to_string();
        assert_eq!(said("Your Font"), "there is no font Your Font on this computer");
        assert!(said("Text").ends_with("Text.ttf is no font"), "{}", said("Text"));
        assert!(said("/missing/font.ttf").contains("/missing/font.ttf"));
    }
}
