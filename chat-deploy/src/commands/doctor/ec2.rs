//! `doctor` on EC2: the account, what it may do, what the region offers, and the machine if there is one.

use super::{Findings, of_host};
use crate::cloud::{Cloud, Permission, Subjects, VpcId};
use crate::commands::Context;
use crate::commands::machine::{Look, MachinePlace};
use crate::commands::remote::Expect;
use crate::error::Error;
use crate::instance::InstanceName;
use crate::machine::Machine;
use crate::machine::diff::diff;
use crate::machine::observe::Observed;
use crate::machine::plan::Step;

/// The name to plan for when none was given; nothing is made of it.
const ANY_NAME: &str = "doctor";

pub(super) fn check(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<(), Error> {
    let instance = match &context.settings.instance {
        Some(instance) => instance.clone(),
        None => ANY_NAME.parse::<InstanceName>().map_err(|_| Error::NoInstance)?,
    };
    let place = match MachinePlace::open(context, instance) {
        Ok(place) => place,
        Err(error) => return findings.bad("account", &error.message(), &error.hints()),
    };
    let vpc = match place.cloud.default_vpc() {
        Ok(vpc) => vpc,
        Err(error) => {
            let error = Error::from(error);
            return findings.bad("account", &error.message(), &error.hints());
        }
    };
    findings.good("account", &format!("answers in {}", place.cloud.region()))?;
    findings.take("key", place.public_key().map(|_| "can be used to log in".to_owned()))?;
    let look = place.look_for_new();
    let subjects = match &look {
        Ok(look) => subjects(look, vpc),
        Err(_) => Subjects { vpc, ..Subjects::default() },
    };
    of_permissions(&*place.cloud, &subjects, findings)?;
    findings.take("machine", look.and_then(|look| choice(&look)))?;
    if context.settings.instance.is_some() { of_machine(&place, findings) } else { Ok(()) }
}

/// Returns what permissions can be tried on.
fn subjects(look: &Look, vpc: Option<VpcId>) -> Subjects {
    let Observed { machine, group, rules, key_pairs, catalog, .. } = &look.observed;
    let catalog = catalog.as_ref();
    Subjects {
        instance: machine.as_ref().map(|(_, instance)| instance.id.clone()),
        group: group.as_ref().map(|group| group.id.clone()),
        rule: rules.first().map(|rule| rule.id.clone()),
        key_name: key_pairs.first().map(|key| key.name.clone()),
        image: catalog.and_then(|catalog| catalog.images.first()).map(|image| image.id.clone()),
        kind: look.spec.types.first().cloned(),
        vpc,
        subnet: catalog.and_then(|catalog| catalog.subnets.first()).map(|subnet| subnet.id.clone()),
    }
}

fn of_permissions(cloud: &dyn Cloud, subjects: &Subjects, findings: &mut Findings<'_>) -> Result<(), Error> {
    let (mut missing, mut unknown) = (Vec::new(), Vec::new());
    for (action, permission) in cloud.permissions(subjects) {
        match permission {
            Permission::Allowed => {}
            Permission::Denied(_) => missing.push(action.name()),
            Permission::Unknown(_) => unknown.push(action.name()),
        }
    }
    if !missing.is_empty() {
        let hint = "`chat-deploy policy` prints a policy that allows all of them".to_owned();
        return findings.bad("permissions", &format!("not allowed: {}", missing.join(", ")), &[hint]);
    }
    if unknown.is_empty() {
        return findings.good("permissions", "all that are needed");
    }
    findings.open("permissions", &format!("none is missing; could not be tried: {}", unknown.join(", ")))
}

/// Says which machine would be made, whether or not there is one.
fn choice(look: &Look) -> Result<String, Error> {
    let nothing = Observed { catalog: look.observed.catalog.clone(), ..Observed::default() };
    let plan = diff(&look.spec, &nothing)?;
    let launch = plan.steps.iter().find_map(|step| match step {
        Step::Launch(launch) => launch.choices.first().map(|choice| (choice, &launch.why)),
        _ => None,
    });
    Ok(launch.map_or_else(String::new, |(choice, why)| {
        let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        let but: String = plan.warnings.iter().map(|warning| format!("; {warning}")).collect();
        format!("a new one would be a {} in {}{why}{but}", choice.kind, choice.zone)
    }))
}

fn of_machine(place: &MachinePlace<'_>, findings: &mut Findings<'_>) -> Result<(), Error> {
    let machine = match place.observe() {
        Ok(observed) => observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance)),
        Err(Error::UnknownInstance { .. }) => None,
        Err(error) => return findings.bad("machine", &error.message(), &error.hints()),
    };
    let Some(machine) = machine else {
        return findings.open("ssh", "there is no machine yet");
    };
    match place.connect_to(&machine, Expect::Running) {
        Ok(session) => of_host(&session, findings),
        Err(error) => findings.bad("ssh", &error.message(), &error.hints()),
    }
}
