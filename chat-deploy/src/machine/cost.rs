//! What a machine costs a month: instance, public IPv4 address and disk, from a table in this repository with its date
//! (`cost/prices.toml`). What the table does not have is said to be unknown.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::cloud::InstanceType;

/// The hours of a month, as AWS reckons.
const HOURS: f64 = 730.0;

/// What a machine costs, in US dollars a month of 730 hours, before any free tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Where.
    pub region: String,
    /// What kind of machine.
    pub kind: InstanceType,
    /// The machine itself, if the table has it.
    pub instance: Option<f64>,
    /// Its public address.
    pub address: f64,
    /// Its disk, if the table has the region.
    pub disk: Option<f64>,
    /// The day the table was made: `2026-11-01`.
    pub as_of: String,
}

impl Cost {
    /// Looks up what a machine with a gp3 disk of `disk_gib` GiB costs in a region.
    ///
    /// `None` only if the table itself cannot be read, which a test rules out.
    #[must_use]
    pub fn of(region: &str, kind: &InstanceType, disk_gib: u32) -> Option<Self> {
        let table: Table = toml::from_str(include_str!("cost/prices.toml")).ok()?;
        let prices = table.region.get(region);
        Some(Self {
            region: region.to_owned(),
            kind: kind.clone(),
            instance: prices.and_then(|prices| prices.hourly.get(kind.as_str())).map(|hour| hour * HOURS),
            address: table.public_ipv4_hour * HOURS,
            disk: prices.map(|prices| prices.gp3_gib_month * f64::from(disk_gib)),
            as_of: table.as_of,
        })
    }

    /// Returns the sum, if all of it is known.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        Some(self.instance? + self.address + self.disk?)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, kind, instance, address, disk, as_of } = self;
        match self.total() {
            Some(total) => write!(f, "about ${total:.2} a month: ")?,
            None => f.write_str("not all known: ")?,
        }
        let show = |price: &Option<f64>| price.map_or("unknown".to_owned(), |price| format!("{price:.2}"));
        write!(f, "{kind} {}, public IPv4 {address:.2}, disk {} ", show(instance), show(disk))?;
        write!(f, "({region}, prices of {as_of}, before any free tier)")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    as_of: String,
    public_ipv4_hour: f64,
    region: BTreeMap<String, Prices>,
}

#[derive(Deserialize)]
struct Prices {
    gp3_gib_month: f64,
    /// By type.
    #[serde(flatten)]
    hourly: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(region: &str, kind: &str, disk_gib: u32) -> Cost {
        Cost::of(region, &InstanceType::new(kind), disk_gib).unwrap()
    }

    #[test]
    fn costs_as_a_person_reads_them() {
        let cases = [
            ("us-east-1", "t2.micro", 8),
            ("eu-central-1", "t3.micro", 30),
            ("us-east-1", "x9.mega", 8),
            ("mars-north-1", "t3.micro", 8),
        ];
        let lines = cases.map(|(region, kind, disk_gib)| cost(region, kind, disk_gib).to_string());
        insta::assert_snapshot!(lines.join("\n"), @r"
        about $12.76 a month: t2.micro 8.47, public IPv4 3.65, disk 0.64 (us-east-1, prices of 2026-11-01, before any free tier)
        about $15.27 a month: t3.micro 8.76, public IPv4 3.65, disk 2.86 (eu-central-1, prices of 2026-11-01, before any free tier)
        not all known: x9.mega unknown, public IPv4 3.65, disk 0.64 (us-east-1, prices of 2026-11-01, before any free tier)
        not all known: t3.micro unknown, public IPv4 3.65, disk unknown (mars-north-1, prices of 2026-11-01, before any free tier)
        ");
    }

    /// A slip of the pen is most likely a digit too many or too few.
    #[test]
    fn every_price_is_plausible() {
        let table: Table = toml::from_str(include_str!("cost/prices.toml")).unwrap();
        assert!(table.as_of.parse::<jiff::civil::Date>().is_ok());
        for (region, prices) in &table.region {
            assert!((0.05..0.25).contains(&prices.gp3_gib_month), "{region}");
            for (kind, hour) in &prices.hourly {
                let wanted = if kind.ends_with(".small") { 0.015..0.04 } else { 0.007..0.02 };
                assert!(wanted.contains(hour), "{region} {kind}");
            }
        }
    }
}
