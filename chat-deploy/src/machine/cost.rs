//! What a machine costs a month: instance, public IPv4 address and disk, from a table in this repository with its date.

/// What a machine costs, in US dollars a month of 730 hours, before any free tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// The machine itself.
    pub instance: f64,
    /// Its public address.
    pub address: f64,
    /// Its disk.
    pub disk: f64,
    /// The day the table was made: `2026-11-01`.
    pub as_of: String,
}
