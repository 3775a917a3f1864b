//! `status` on EC2: the machine, its rules, how far both are from what `up` would make, and then the server on it.

use std::fmt::Write as _;
use std::thread;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Report, of_server};
use crate::clock::Clock as _;
use crate::cloud::{Image, ImageQuery, Instance, InstanceState, Rule};
use crate::commands::Context;
use crate::commands::machine::{MachinePlace, ssh_ranges};
use crate::error::Error;
use crate::machine::plan::{Plan, Step};
use crate::machine::{Machine, Ownership, image, observe};

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
    let mut server = Report::default();
    let (image, ssh_from, port) =
        look_beside(context, place, instance, || of_host(context, place, &machine, &mut server));
    let plan = place.compare(&observed, ssh_from, port?)?;
    let image = image.map(|image| Aged::of(image, context.clock.unix_seconds()));
    of_instance(*ownership, instance, &machine, image.as_ref(), report);
    of_rules(&observed, &plan, report);
    report.append(server);
    Ok(())
}

/// Does `look`, and meanwhile asks for what takes a call of its own: the machine's image, and whom SSH is to be open for.
/// Without an answer there is the less to tell, and nothing to fail for.
fn look_beside<T>(
    context: &Context<'_>,
    place: &MachinePlace<'_>,
    instance: &Instance,
    look: impl FnOnce() -> T,
) -> (Option<Image>, Vec<Ipv4Net>, T) {
    let (cloud, wanted) = (&*place.cloud, &context.settings.ec2.ssh_from);
    thread::scope(|scope| {
        let images = scope.spawn(|| cloud.images(&ImageQuery::Id(instance.image.clone())));
        let ssh_from = scope.spawn(|| ssh_ranges(wanted));
        let seen = look();
        let image = images.join().ok().and_then(Result::ok).and_then(|images| images.into_iter().next());
        (image, ssh_from.join().ok().and_then(Result::ok).unwrap_or_default(), seen)
    })
}

/// Tells of the server, if the host can be reached; returns its port, where that is known.
fn of_host(
    context: &Context<'_>,
    place: &MachinePlace<'_>,
    machine: &Machine,
    report: &mut Report,
) -> Result<Option<u16>, Error> {
    if machine.state != InstanceState::Running || machine.address.is_none() {
        report.line("server", Some(format!("stopped, as its machine is {}", machine.state)));
        report.field("server", "stopped");
        return Ok(None);
    }
    let session = place.look_into(machine);
    let host_key = session.as_ref().ok().and_then(|session| session.host.host_key());
    // A machine that was adopted has no tag with its key, which was told of.
    report.line("host key", host_key.as_ref().filter(|_| machine.host_keys.is_empty()));
    report.field("host_key", host_key);
    match session.and_then(|session| of_server(context, &session, report)) {
        Ok(port) => Ok(port),
        Err(Error::UnknownInstance { .. }) => {
            report.line("server", Some("there is none yet; `up` deploys it"));
            report.field("server", Value::Null);
            Ok(None)
        }
        // What the cloud says is worth something without what the host says.
        Err(error) => {
            report.line("server", Some(format!("unknown: {}", error.message())));
            report.field("server", "unknown");
            report.field("problem", error.message());
            Ok(None)
        }
    }
}

/// What a machine was started from, and how old that is by now.
struct Aged {
    name: String,
    days: Option<u64>,
}

impl Aged {
    fn of(image: Image, now: u64) -> Self {
        let now = i64::try_from(now).ok().and_then(|now| Timestamp::from_second(now).ok());
        let days = now.and_then(|now| image::age_days(&image, now));
        Self { name: image.name, days }
    }
}

fn of_instance(
    ownership: Ownership,
    instance: &Instance,
    machine: &Machine,
    image: Option<&Aged>,
    report: &mut Report,
) {
    let whose = match ownership {
        Ownership::Ours => "",
        Ownership::Adopted => ", adopted",
    };
    let zone = instance.zone.as_deref().unwrap_or("an unknown zone");
    report.line(
        "machine",
        Some(format!("{} {} {} in {zone}{whose}", instance.id, instance.kind, instance.state)),
    );
    let days = image.and_then(|image| image.days);
    let from = image.map(|image| match days {
        Some(0) => format!("{} ({}), less than a day old", image.name, instance.image),
        Some(1) => format!("{} ({}), 1 day old", image.name, instance.image),
        Some(days) => format!("{} ({}), {days} days old", image.name, instance.image),
        None => format!("{} ({})", image.name, instance.image),
    });
    report.line("image", Some(from.unwrap_or_else(|| instance.image.to_string())));
    let host_keys = &machine.host_keys;
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
            "image_name": image.map(|image| &image.name),
            "image_age_days": days,
            "adopted": ownership == Ownership::Adopted,
            "host_keys": host_keys,
        }),
    );
}

/// Tells what is open, what `up` would open and close, and what is otherwise than it should be and not ours to change.
fn of_rules(observed: &observe::Observed, plan: &Plan, report: &mut Report) {
    let show = |rules: Vec<&Rule>| rules.into_iter().map(ToString::to_string).collect::<Vec<_>>();
    let open = show(observed.rules.iter().map(|rule| &rule.rule).collect());
    report.line("open", Some(if open.is_empty() { "nothing".to_owned() } else { open.join("; ") }));
    let (mut missing, mut surplus) = (Vec::new(), Vec::new());
    for step in &plan.steps {
        match step {
            Step::OpenPorts { rules, .. } => missing.extend(rules),
            Step::ClosePorts { rules, .. } => surplus.extend(rules.iter().map(|rule| &rule.rule)),
            _ => {}
        }
    }
    let (missing, surplus) = (show(missing), show(surplus));
    for rule in &missing {
        report.line("missing", Some(format!("{rule}; `up` opens it")));
    }
    for rule in &surplus {
        report.line("surplus", Some(format!("{rule}; `up` closes it")));
    }
    for line in &plan.drift {
        report.line("drift", Some(line));
    }
    for (name, lines) in [("rules", open), ("missing", missing), ("surplus", surplus)] {
        report.field(name, lines);
    }
    report.field("drift", plan.drift.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{ImageId, Tags};
    use crate::machine::diff::diff;
    use crate::machine::fixtures::{changed, image, ours, own_machine, rule, running, spec, taken_over};
    use crate::machine::observe::Observed;
    use crate::machine::spec::Spec;

    /// Shows what is told of a machine, to people and to programs.
    fn show(title: &str, spec: &Spec, observed: &Observed) -> String {
        let (ownership, instance) = observed.machine.as_ref().unwrap();
        let now: Timestamp = "2026-11-22T00:00:00Z".parse().unwrap();
        let image = Aged::of(image("9", "2026-11-01", "x86_64"), now.as_second().try_into().unwrap());
        let mut report = Report::default();
        of_instance(*ownership, instance, &Machine::of(instance).unwrap(), Some(&image), &mut report);
        of_rules(observed, &diff(spec, observed).unwrap(), &mut report);
        let fields = serde_json::to_string_pretty(&report.fields).unwrap();
        format!("# {title}\n{}{fields}\n", report.text)
    }

    #[test]
    fn how_far_a_machine_is_from_what_is_wanted() {
        let wanted = changed(spec(), |spec| {
            spec.types.remove(0);
            spec.image = Some(ImageId::new("ami-2"));
            spec.ports = vec![80];
        });
        let strayed = changed(running(), |observed| {
            observed.rules.push(rule(8080, "0.0.0.0/0", ours()));
            observed.rules.push(rule(443, "0.0.0.0/0", Tags::new()));
        });
        let stopped = changed(running(), |observed| {
            let machine = own_machine(observed);
            (machine.state, machine.address) = (InstanceState::Stopped, None);
            observed.rules.clear();
        });
        let any = changed(spec(), |spec| spec.types.clear());
        let shown = [
            show("as it should be", &spec(), &running()),
            show("no type in particular, and stopped", &any, &stopped),
            show("another type, image and rules", &wanted, &strayed),
            show("adopted", &spec(), &taken_over()),
        ]
        .join("\n");
        insta::assert_snapshot!(shown);
    }
}
