//! `doctor` on EC2: the account, what it may do, what the region offers, and the machine if there is one.

use super::{Findings, of_build, of_host};
use crate::cloud::{Action, Cloud, CloudErrorKind, InstanceType, Permission, Subjects, VpcId};
use crate::commands::Context;
use crate::commands::machine::{Look, MachinePlace};
use crate::error::Error;
use crate::instance::InstanceName;
use crate::machine::diff::consider;
use crate::machine::observe::{Catalog, Observed};
use crate::machine::plan::LaunchPlan;
use crate::machine::spec::Spec;
use crate::machine::{Machine, MachineError};

/// The name to plan for when none was given; nothing is made of it.
const ANY_NAME: &str = "doctor";

pub(super) fn check(context: &Context<'_>, findings: &mut Findings<'_>) -> Result<(), Error> {
    let instance = match &context.settings.instance {
        Some(instance) => instance.clone(),
        None => ANY_NAME.parse::<InstanceName>().map_err(|_| Error::NoInstance)?,
    };
    let place = match MachinePlace::open(context, instance) {
        Ok(place) => place,
        Err(error) => {
            of_build(None, findings)?;
            return findings.bad("account", &error.message(), &error.hints());
        }
    };
    let vpc = match place.cloud.default_vpc() {
        Ok(vpc) => vpc,
        Err(error) => {
            of_build(None, findings)?;
            let error = Error::from(error);
            return findings.bad("account", &error.message(), &error.hints());
        }
    };
    let look = place.look_for_new();
    let architecture = look.as_ref().ok().and_then(|(look, catalog)| architecture(&look.spec, catalog));
    of_build(architecture.as_deref(), findings)?;
    findings.good("account", &format!("answers in {}", place.cloud.region()))?;
    findings.take("key", place.public_key().map(|_| "can be used to log in".to_owned()))?;
    let subjects = match &look {
        Ok((look, catalog)) => subjects(look, catalog, vpc),
        Err(_) => Subjects { vpc, ..Subjects::default() },
    };
    of_permissions(&*place.cloud, &subjects, findings)?;
    match look {
        Ok((look, catalog)) => of_new_machine(&*place.cloud, &look.spec, &catalog, &subjects, findings)?,
        Err(error) => findings.take("machine", Err(error))?,
    }
    if context.settings.instance.is_some() { of_machine(&place, findings) } else { Ok(()) }
}

/// Returns what a new machine would have for a processor.
fn architecture(spec: &Spec, catalog: &Catalog) -> Option<String> {
    let (launch, _) = consider(spec, catalog).ok()?;
    Some(launch.image.architecture)
}

/// Returns what permissions can be tried on.
fn subjects(look: &Look, catalog: &Catalog, vpc: Option<VpcId>) -> Subjects {
    let Observed { machine, group, rules, key_pairs, .. } = &look.observed;
    Subjects {
        instance: machine.as_ref().map(|(_, instance)| instance.id.clone()),
        group: group.as_ref().map(|group| group.id.clone()),
        rule: rules.first().map(|rule| rule.id.clone()),
        key_name: key_pairs.first().map(|key| key.name.clone()),
        image: catalog.images.first().map(|image| image.id.clone()),
        kind: look.spec.types.first().cloned(),
        vpc,
        subnet: catalog.subnets.first().map(|subnet| subnet.id.clone()),
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

/// Says which machine would be made, whether or not there is one, having looked at each type that is wanted.
fn of_new_machine(
    cloud: &dyn Cloud,
    spec: &Spec,
    catalog: &Catalog,
    subjects: &Subjects,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    let (mut types, mut lacks) = (Vec::new(), Vec::new());
    for kind in &spec.types {
        let spec = Spec { types: vec![kind.clone()], ..spec.clone() };
        let zones = consider(&spec, catalog).and_then(|(launch, _)| zones(cloud, &spec, launch, subjects));
        match zones {
            Ok(zones) => {
                findings.good("type", &format!("{kind} is offered in {}", zones.join(", ")))?;
                types.push(kind.clone());
            }
            // As long as another will do, nothing is wrong.
            Err(MachineError::NoType { why, .. }) => {
                findings.open("type", &why)?;
                lacks.push(why);
            }
            // Whatever comes in the way of one comes in the way of all.
            Err(error) => return findings.take("machine", Err(error.into())),
        }
    }
    if types.is_empty() {
        return findings.take("machine", Err(no_type(cloud, spec, lacks.join("; ")).into()));
    }
    let (launch, warning) = match consider(&Spec { types, ..spec.clone() }, catalog) {
        Ok(considered) => considered,
        Err(error) => return findings.take("machine", Err(error.into())),
    };
    let choice = launch.first().map(ToString::to_string).unwrap_or_default();
    match warning {
        Some(warning) => findings.open("machine", &format!("a new one would be a {choice}; {warning}")),
        None => findings.good("machine", &format!("a new one would be a {choice}")),
    }
}

/// Returns where the account gets a type that the region has.
fn zones(
    cloud: &dyn Cloud,
    spec: &Spec,
    launch: LaunchPlan,
    subjects: &Subjects,
) -> Result<Vec<String>, MachineError> {
    let first = launch.first();
    let subjects = Subjects {
        kind: first.map(|choice| choice.kind.clone()),
        subnet: first.map(|choice| choice.subnet.clone()),
        image: Some(launch.image.id.clone()),
        ..subjects.clone()
    };
    match cloud.permission(Action::RunInstances, &subjects) {
        Some(Permission::Unknown(error)) if error.kind == CloudErrorKind::TypeRefused => {
            Err(no_type(cloud, spec, error.to_string()))
        }
        // What else comes in the way was told of with the permissions.
        _ => Ok(launch.choices.into_iter().map(|choice| choice.zone).collect()),
    }
}

fn no_type(cloud: &dyn Cloud, spec: &Spec, why: String) -> MachineError {
    let types = spec.types.iter().map(InstanceType::as_str).collect::<Vec<_>>().join(" or ");
    MachineError::NoType { region: cloud.region().to_owned(), types, why }
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
    match place.look_into(&machine) {
        Ok(session) => of_host(&session, findings),
        Err(error) => findings.bad("ssh", &error.message(), &error.hints()),
    }
}
