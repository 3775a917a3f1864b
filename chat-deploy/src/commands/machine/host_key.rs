//! Keeps note of a machine's host key: a pin on this machine, and tags that tell everybody else.

use std::error::Error;

use ssh_key::PublicKey;

use crate::cloud::{Cloud, Tags};
use crate::host::ssh::known_hosts::PinnedHosts;
use crate::host::ssh::rotation::Record;
use crate::host::ssh::trust::fingerprint;
use crate::machine::{Machine, tags};

/// Where the keys of one machine are noted.
pub(super) struct Notes<'a> {
    pub(super) cloud: &'a dyn Cloud,
    pub(super) machine: &'a Machine,
    pub(super) pins: &'a PinnedHosts,
}

impl Notes<'_> {
    /// Puts the tag back that tells everybody else of the key, which the machine has `proved` to us.
    pub(super) fn renew(&self, proved: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.tag(&proved.parse()?)
    }

    fn tag(&self, key: &PublicKey) -> Result<(), Box<dyn Error + Send + Sync>> {
        let fingerprint = fingerprint(key);
        if self.machine.host_keys.contains(&fingerprint)
            && self.machine.bootstrap_key.as_ref() != Some(&fingerprint)
        {
            return Ok(());
        }
        let tags = Tags::from([(tags::HOST_KEY.to_owned(), fingerprint)]);
        Ok(self.cloud.tag(self.machine.id.as_str(), &tags)?)
    }
}

impl Record for Notes<'_> {
    fn announce(
        &mut self,
        former: &PublicKey,
        fresh: &PublicKey,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.pins.add(&self.machine.pinned_as, former)?;
        self.pins.add(&self.machine.pinned_as, fresh)?;
        // The tag of the former stays beside this one until the host has proved the new key.
        self.tag(fresh)
    }

    fn settle(&mut self, fresh: &PublicKey) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.cloud.untag(self.machine.id.as_str(), &[tags::BOOTSTRAP_KEY])?;
        Ok(self.pins.replace(&self.machine.pinned_as, fresh)?)
    }
}
