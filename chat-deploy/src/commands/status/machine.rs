//! `status` on EC2: the machine, its rules, what is there that should not be, and then the server on it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Report, of_server};
use crate::cloud::{Instance, InstanceState};
use crate::commands::Context;
use crate::commands::machine::MachinePlace;
use crate::commands::remote::Expect;
use crate::error::Error;
use crate::machine::{Machine, Ownership, observe};

pub(super) fn of_machine(
    context: &Context<'_>,
    place: &MachinePlace<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let observed = place.observe()?;
    let machine = observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance));
    let _ = writeln!(report.text, "{}", place.heading(machine.as_ref()));
    report.field("instance", place.instance.as_str());
    report.field("provider", "ec2");
    report.field("region", place.cloud.region());
    let Some(((ownership, instance), machine)) = observed.machine.as_ref().zip(machine) else {
        report
            .line("machine", Some("there is none; what is left of it is removed by `down`, or used by `up`"));
        report.field("machine", Value::Null);
        return Ok(());
    };
    of_instance(*ownership, instance, report);
    of_rules(&observed, report);
    if machine.state != InstanceState::Running || machine.address.is_none() {
        report.field("server", "stopped");
        return Ok(());
    }
    match place.connect_to(&machine, Expect::Running) {
        Ok(session) => of_server(context, &session, report)?,
        // What the cloud says is worth something without what the host says.
        Err(error) => {
            report.line("server", Some(format!("unknown: {}", error.message())));
            report.field("server", "unknown");
            report.field("problem", error.message());
        }
    }
    Ok(())
}

fn of_instance(ownership: Ownership, instance: &Instance, report: &mut Report) {
    let whose = match ownership {
        Ownership::Ours => "",
        Ownership::Adopted => ", adopted",
    };
    let zone = instance.zone.as_deref().unwrap_or("an unknown zone");
    report.line(
        "machine",
        Some(format!("{} {} {} in {zone}{whose}", instance.id, instance.kind, instance.state)),
    );
    let host_keys = Machine::of(instance).map(|machine| machine.host_keys).unwrap_or_default();
    report.line("host key", (!host_keys.is_empty()).then(|| host_keys.join(", ")));
    report.field(
        "machine",
        json!({
            "id": instance.id,
            "type": instance.kind,
            "state": instance.state.as_str(),
            "zone": instance.zone,
            "address": instance.address,
            "image": instance.image,
            "adopted": ownership == Ownership::Adopted,
            "host_keys": host_keys,
        }),
    );
}

fn of_rules(observed: &observe::Observed, report: &mut Report) {
    let rules: Vec<String> = observed.rules.iter().map(|rule| rule.rule.to_string()).collect();
    report.line("open", Some(if rules.is_empty() { "nothing".to_owned() } else { rules.join("; ") }));
    let drift: Vec<String> = observed
        .rules
        .iter()
        .filter(|rule| !rule.tags.contains_key(crate::machine::tags::MANAGED))
        .map(|rule| format!("{} was not opened by chat-deploy", rule.rule))
        .collect();
    for line in &drift {
        report.line("drift", Some(line));
    }
    report.field("rules", rules);
    report.field("drift", drift);
}
