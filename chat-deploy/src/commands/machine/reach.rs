//! For whom SSH is opened, and whether that lets us in.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::cloud;
use crate::error::Error;
use crate::host::ssh::remote::RemoteError;
use crate::machine::plan::{Plan, Step};
use crate::machine::spec::SSH_PORT;
use crate::settings::SshFrom;

/// Returns who may reach SSH.
pub(in crate::commands) fn ssh_ranges(wanted: &SshFrom) -> Result<Vec<Ipv4Net>, Error> {
    match wanted {
        SshFrom::Ranges(ranges) => Ok(ranges.clone()),
        SshFrom::Auto => Ok(vec![Ipv4Net::from(cloud::public_address()?)]),
    }
}

/// Returns the address we are seen under, if somebody tells us.
pub(super) fn own_address() -> Option<Ipv4Addr> {
    cloud::public_address().ok()
}

/// Warns of a plan that would have us wait for SSH in vain, or lock us out: where our address is not known, of any that
/// changes whom SSH is open for. `ask` for our address takes a moment, as does such a plan.
pub(super) fn warn(wanted: &SshFrom, plan: &mut Plan, ask: impl FnOnce() -> Option<Ipv4Addr>) {
    let changes_ssh = plan.steps.iter().any(|step| step.opens(SSH_PORT) || step.closes(SSH_PORT));
    // What is followed by a wait for SSH that may be long.
    let waits =
        |step: &Step| matches!(step, Step::Launch(_) | Step::Start { .. } | Step::AwaitRunning { .. });
    if !changes_ssh && !plan.steps.iter().any(waits) {
        return;
    }
    let Some(ranges) = limited(wanted) else { return };
    plan.warnings.extend(match ask() {
        Some(own) if contain(ranges, own) => None,
        Some(own) => Some(format!(
            "SSH is opened for {}, and you are seen under {own}: it will not let you in from here",
            shown(ranges)
        )),
        None => changes_ssh.then(|| {
            let ranges = shown(ranges);
            format!("your own address is not known: make sure that --ssh-from includes it ({ranges})")
        }),
    });
}

/// Says of a host that did not answer that it does not let us in, if that is so.
pub(super) fn explain(wanted: &SshFrom, error: Error, ask: impl FnOnce() -> Option<Ipv4Addr>) -> Error {
    if !matches!(error, Error::Remote(RemoteError::Filtered { .. })) {
        return error;
    }
    match left_out(wanted, ask) {
        Some((own, ranges)) => Error::LeftOut { ranges, own, source: Box::new(error) },
        None => error,
    }
}

/// Returns our address, and the ranges that SSH is for, if they leave it out.
fn left_out(wanted: &SshFrom, ask: impl FnOnce() -> Option<Ipv4Addr>) -> Option<(Ipv4Addr, String)> {
    let ranges = limited(wanted)?;
    let own = ask()?;
    (!contain(ranges, own)).then(|| (own, shown(ranges)))
}

/// Returns the ranges that SSH is for, if somebody named them and they are not all the world.
fn limited(wanted: &SshFrom) -> Option<&[Ipv4Net]> {
    match wanted {
        SshFrom::Ranges(ranges) if ranges.iter().all(|range| range.prefix_len() > 0) => Some(ranges),
        _ => None,
    }
}

fn contain(ranges: &[Ipv4Net], own: Ipv4Addr) -> bool {
    ranges.iter().any(|range| range.contains(&own))
}

fn shown(ranges: &[Ipv4Net]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cloud::{InstanceId, Rule};

    const OWN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);

    fn ranges(texts: &[&str]) -> SshFrom {
        SshFrom::Ranges(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn ranges_without_our_address_leave_us_out() {
        let check = |wanted: &SshFrom, own: Option<Ipv4Addr>, expected: Option<&str>| {
            assert_eq!(left_out(wanted, || own).map(|(_, ranges)| ranges).as_deref(), expected, "{wanted:?}");
        };
        let office = ranges(&["198.51.100.0/24", "192.0.2.7/32"]);
        check(&office, Some(OWN), Some("198.51.100.0/24, 192.0.2.7/32"));
        check(&office, None, None);
        check(&ranges(&["198.51.100.0/24", "203.0.113.0/24"]), Some(OWN), None);
        check(&SshFrom::Auto, Some(OWN), None);
        let anywhere = ranges(&["0.0.0.0/0"]);
        assert_eq!(left_out(&anywhere, || panic!("nothing to ask for")), None);
    }

    #[test]
    fn a_plan_that_ends_in_a_wait_for_ssh_is_warned_of() {
        let plan = |steps| Plan { steps, ..Plan::default() };
        let machine = || InstanceId::new("i-1");
        let mut starts = plan(vec![Step::Start { machine: machine() }]);
        warn(&ranges(&["198.51.100.0/24"]), &mut starts, || Some(OWN));
        insta::assert_snapshot!(starts.outline());
        let mut stops = plan(vec![Step::Stop { machine: machine() }]);
        warn(&ranges(&["198.51.100.0/24"]), &mut stops, || panic!("nothing to ask for"));
        assert_eq!(stops.warnings, [""; 0]);
    }

    #[test]
    fn where_our_address_is_not_known_a_change_of_the_door_is_warned_of() {
        let rules = vec![Rule::tcp(SSH_PORT, "10.0.0.0/8".parse().unwrap())];
        let opens =
            || Plan { steps: vec![Step::OpenPorts { group: None, rules: rules.clone() }], ..Plan::default() };
        let warnings = |mut plan: Plan, wanted: &SshFrom| {
            warn(wanted, &mut plan, || None);
            plan.warnings
        };
        let office = ranges(&["10.0.0.0/8"]);
        let unknown = "your own address is not known: make sure that --ssh-from includes it (10.0.0.0/8)";
        assert_eq!(warnings(opens(), &office), [unknown]);
        assert_eq!(warnings(opens(), &SshFrom::Auto), [""; 0]);
        let starts = Plan { steps: vec![Step::Start { machine: InstanceId::new("i-1") }], ..Plan::default() };
        assert_eq!(warnings(starts, &office), [""; 0]);
    }

    #[test]
    fn a_host_that_does_not_let_us_in_is_told_from_one_that_is_slow() {
        let silent = || RemoteError::Filtered {
            peer: "ec2-user@203.0.113.6".to_owned(),
            within: Duration::from_secs(300),
        };
        let error = explain(&ranges(&["198.51.100.0/24"]), silent().into(), || Some(OWN));
        insta::assert_snapshot!(format!("{}\n{}", error.message(), error.hints().join("\n")));
        let error = explain(&ranges(&["203.0.113.0/24"]), silent().into(), || Some(OWN));
        assert!(matches!(error, Error::Remote(_)));
        let refused = RemoteError::Refused { peer: "ec2-user@203.0.113.6".to_owned() };
        let error = explain(&ranges(&["198.51.100.0/24"]), refused.into(), || panic!("nothing to ask for"));
        assert!(matches!(error, Error::Remote(_)));
    }
}
