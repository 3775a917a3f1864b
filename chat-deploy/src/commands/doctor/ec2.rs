//! `doctor` on EC2: the account, what it may do, what the region offers, and the machine if there is one.

use ipnet::Ipv4Net;

use super::{Findings, of_build, of_host};
use crate::cloud::{
    Action, Cloud, CloudErrorKind, GroupRule, Instance, InstanceType, Permission, Rule, Subjects, VpcId,
};
use crate::commands::Context;
use crate::commands::machine::{Look, MachinePlace, is_ours, ssh_ranges};
use crate::commands::session::Session;
use crate::error::Error;
use crate::instance::InstanceName;
use crate::machine::diff::consider;
use crate::machine::observe::{Catalog, Observed};
use crate::machine::plan::{LaunchPlan, Plan, Step};
use crate::machine::spec::{SSH_PORT, Spec};
use crate::machine::{Machine, MachineError, tags};

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
        // That one call is not allowed says nothing of the others.
        Err(error) if error.kind == CloudErrorKind::Unauthorized => None,
        Err(error) => {
            of_build(None, findings)?;
            let error = Error::from(error);
            return findings.bad("account", &error.message(), &error.hints());
        }
    };
    let key = place.public_key();
    let look = place.look_for_new(key.as_deref().unwrap_or_default().to_owned());
    let architecture = look.as_ref().ok().and_then(|(look, catalog)| architecture(&look.spec, catalog));
    of_build(architecture.as_deref(), findings)?;
    findings.good("account", &format!("answers in {}", place.cloud.region()))?;
    let has_key = key.is_ok();
    findings.take("key", key.map(|_| "can be used to log in".to_owned()))?;
    let subjects = match &look {
        Ok((look, catalog)) => subjects(look, catalog, vpc),
        Err(_) => Subjects { vpc, ..Subjects::default() },
    };
    of_permissions(&*place.cloud, &subjects, findings)?;
    let is_named = context.settings.instance.is_some();
    let ssh_from = match look {
        Ok((Look { observed: Observed { namesake: Some(namesake), .. }, .. }, _)) if is_named => {
            return of_namesake(&place, &namesake, findings);
        }
        Ok((look, catalog)) => {
            of_new_machine(&*place.cloud, &look.spec, &catalog, &subjects, findings)?;
            look.spec.ssh_from
        }
        Err(error) => {
            not_seen("machine", &error, findings)?;
            ssh_ranges(&context.settings.ec2.ssh_from).unwrap_or_default()
        }
    };
    if is_named { of_machine(&place, ssh_from, has_key, findings) } else { Ok(()) }
}

/// Tells of what could not be looked at. Of a call that is not allowed, the permissions have told already.
fn not_seen(what: &'static str, error: &Error, findings: &mut Findings<'_>) -> Result<(), Error> {
    match error {
        Error::Cloud(call) | Error::Machine(MachineError::Cloud(call))
            if call.kind == CloudErrorKind::Unauthorized =>
        {
            findings.open(what, &format!("not looked at, for want of ec2:{}", call.operation))
        }
        error => findings.bad(what, &error.message(), &error.hints()),
    }
}

/// Tells of a machine that has the name and is not ours yet.
fn of_namesake(
    place: &MachinePlace<'_>,
    namesake: &Instance,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    let (id, instance) = (&namesake.id, &place.instance);
    let text =
        format!("{id} is named {instance}, and chat-deploy did not make it: `up --adopt` would use it");
    findings.open("machine", &text)?;
    findings.open("ssh", "seen once it is adopted")
}

/// Returns what a new machine would have for a processor.
fn architecture(spec: &Spec, catalog: &Catalog) -> Option<String> {
    let (launch, _) = consider(spec, catalog).ok()?;
    Some(launch.image.architecture)
}

/// Returns what permissions can be tried on.
fn subjects(look: &Look, catalog: &Catalog, vpc: Option<VpcId>) -> Subjects {
    let Observed { machine, group, owns_group, rules, key_pairs, .. } = &look.observed;
    let is_opened_by_us = |rule: &&GroupRule| tags::is_ours(&rule.tags, &look.spec.instance);
    Subjects {
        instance: machine.as_ref().map(|(_, instance)| instance.id.clone()),
        owns_instance: is_ours(&look.observed),
        group: group.as_ref().map(|group| group.id.clone()),
        owns_group: *owns_group,
        rule: rules.iter().find(is_opened_by_us).map(|rule| rule.id.clone()),
        key_name: key_pairs.first().map(|key| key.name.clone()),
        image: catalog.images.first().map(|image| image.id.clone()),
        kind: look.spec.types.first().cloned(),
        vpc,
        subnet: catalog.subnets.first().map(|subnet| subnet.id.clone()),
    }
}

fn of_permissions(cloud: &dyn Cloud, subjects: &Subjects, findings: &mut Findings<'_>) -> Result<(), Error> {
    let verdicts = cloud.permissions(subjects);
    let (missing, open) = sorted(&verdicts);
    if !missing.is_empty() {
        let hint = "`chat-deploy policy` prints a policy that allows all of them".to_owned();
        findings.bad("permissions", &format!("not allowed: {}", missing.join(", ")), &[hint])?;
    }
    match (missing.is_empty(), open.is_empty()) {
        (true, true) => findings.good("permissions", "all that are needed"),
        (true, false) => findings.open("permissions", &format!("none is known to be missing; {open}")),
        (false, true) => Ok(()),
        (false, false) => findings.open("permissions", &open),
    }
}

/// Returns which permissions are missing, and what to say of those of which that is not known.
fn sorted(verdicts: &[(Action, Permission)]) -> (Vec<&'static str>, String) {
    let (mut missing, mut refused, mut untried) = (Vec::new(), Vec::new(), Vec::new());
    for (action, permission) in verdicts {
        match permission {
            Permission::Allowed => {}
            Permission::Denied(_) => missing.push(action.name()),
            Permission::Unknown(error) if error.kind == CloudErrorKind::Unauthorized => {
                refused.push(action.name());
            }
            Permission::Unknown(_) => untried.push(action.name()),
        }
    }
    let said = [("refused on nothing of ours, so not known yet", refused), ("could not be tried", untried)];
    let said = said.into_iter().filter(|(_, actions)| !actions.is_empty());
    let said: Vec<_> = said.map(|(what, actions)| format!("{what}: {}", actions.join(", "))).collect();
    (missing, said.join("; "))
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

/// Looks at the machine that there is; `ssh_from` is whom SSH should be open for.
fn of_machine(
    place: &MachinePlace<'_>,
    ssh_from: Vec<Ipv4Net>,
    has_key: bool,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    let observed = match place.observe() {
        Ok(observed) => observed,
        Err(Error::UnknownInstance { .. }) => return findings.open("ssh", "there is no machine yet"),
        Err(error) => return not_seen("ssh", &error, findings),
    };
    let Some(machine) = observed.machine.as_ref().and_then(|(_, instance)| Machine::of(instance)) else {
        return findings.open("ssh", "there is no machine yet");
    };
    if !has_key {
        of_rules(place, ssh_from, &observed, None, findings)?;
        return findings.open("ssh", "not tried, for want of a key");
    }
    let session = place.look_into(&machine);
    of_rules(place, ssh_from, &observed, session.as_ref().ok(), findings)?;
    match session {
        Ok(session) => of_host(&session, findings),
        Err(error) => findings.bad("ssh", &error.message(), &error.hints()),
    }
}

/// Looks at whether SSH and the chat are let in. `session` is there if SSH is, by whatever rule.
fn of_rules(
    place: &MachinePlace<'_>,
    ssh_from: Vec<Ipv4Net>,
    observed: &Observed,
    session: Option<&Session<'_>>,
    findings: &mut Findings<'_>,
) -> Result<(), Error> {
    let state = session.and_then(|session| session.host.state().ok());
    let port = state.and_then(|state| state.config).map(|config| config.listen.port());
    let plan = match place.compare(observed, ssh_from, port) {
        Ok(plan) => plan,
        Err(error) => return findings.bad("rules", &error.message(), &error.hints()),
    };
    let (missing, keeps_out) = missing_rules(&plan, observed, session.is_some());
    let text = format!("not open: {}", missing.join("; "));
    let hint = "`chat-deploy up` opens what is missing".to_owned();
    match (missing.is_empty(), keeps_out) {
        (true, _) if port.is_none() && place.has_unknown_port(observed) => findings
            .open("rules", "none is known to be missing; which port the server has, its host alone knows"),
        (true, _) => findings.good("rules", "let in what they should"),
        (false, true) => findings.bad("rules", &text, &[hint]),
        (false, false) => findings.open("rules", &format!("{text}; {hint}")),
    }
}

/// Returns the rules that `up` would open, and whether somebody is kept out for the want of them: by others that somebody else
/// made, they may be let in all the same.
fn missing_rules(plan: &Plan, observed: &Observed, has_ssh: bool) -> (Vec<String>, bool) {
    let opened = plan.steps.iter().filter_map(|step| match step {
        Step::OpenPorts { rules, .. } => Some(rules),
        _ => None,
    });
    let missing: Vec<&Rule> = opened.flatten().collect();
    let lets_in = |rule: &Rule| match (rule.from_port, rule.source.parse::<Ipv4Net>()) {
        (Some(SSH_PORT), _) => has_ssh,
        (Some(port), Ok(range)) => observed.lets_in(port, &range),
        _ => false,
    };
    let keeps_out = missing.iter().any(|rule| !lets_in(rule));
    (missing.into_iter().map(ToString::to_string).collect(), keeps_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{CloudError, Tags};
    use crate::machine::diff::diff;
    use crate::machine::fixtures::{by_hand, catalog, changed, ours, rule, running, spec, taken_over};

    fn subjects_of(observed: Observed) -> Subjects {
        subjects(&Look { spec: spec(), observed }, &catalog(), None)
    }

    #[test]
    fn what_others_made_is_not_tried_to_be_removed() {
        let check = |observed: Observed, instance: Option<&str>, owns: bool, rule: Option<&str>| {
            let tried = subjects_of(observed);
            assert_eq!(tried.instance.as_ref().map(|id| id.as_str()), instance, "{tried:?}");
            assert_eq!((tried.owns_instance, tried.owns_group), (owns, owns), "{tried:?}");
            assert_eq!(tried.rule.as_ref().map(|id| id.as_str()), rule, "{tried:?}");
        };
        check(running(), Some("i-1"), true, Some("sgr-12345-0.0.0.0/0"));
        check(taken_over(), Some("i-9"), false, Some("sgr-12345-0.0.0.0/0"));
        check(by_hand(), None, false, None);
    }

    #[test]
    fn what_is_missing_and_what_is_not_known_are_both_told() {
        let denied = || CloudError::answered("call", None, "UnauthorizedOperation", "no");
        let odd = || CloudError::answered("call", None, "InvalidInstanceID.Malformed", "no");
        let told = |verdicts: &[(Action, Permission)]| {
            let (missing, open) = sorted(verdicts);
            format!("missing {missing:?}, {open}")
        };
        let missing = (Action::DescribeVpcs, Permission::Denied(denied()));
        let allowed = (Action::RunInstances, Permission::Allowed);
        let refused = (Action::StopInstances, Permission::Unknown(denied()));
        let untried = (Action::GetConsoleOutput, Permission::Unknown(odd()));
        assert_eq!(told(&[]), "missing [], ");
        assert_eq!(
            told(&[missing, allowed, refused, untried]),
            "missing [\"DescribeVpcs\"], refused on nothing of ours, so not known yet: StopInstances; \
             could not be tried: GetConsoleOutput"
        );
    }

    #[test]
    fn a_rule_that_is_missing_is_wrong_if_nobody_is_let_in_for_it() {
        let check = |title: &str, rules: Vec<GroupRule>, has_ssh: bool, expected: (&[&str], bool)| {
            let observed = changed(running(), |observed| observed.rules = rules);
            let plan = diff(&spec(), &observed).unwrap();
            let (missing, keeps_out) = missing_rules(&plan, &observed, has_ssh);
            assert_eq!(
                (&missing.iter().map(String::as_str).collect::<Vec<_>>()[..], keeps_out),
                expected,
                "{title}"
            );
        };
        let (ssh, chat) = (|| rule(22, "198.51.100.7/32", ours()), || rule(12345, "0.0.0.0/0", ours()));
        check("all there", vec![ssh(), chat()], true, (&[], false));
        check("no chat", vec![ssh()], true, (&["tcp 12345 from 0.0.0.0/0"], true));
        check("no SSH", vec![chat()], false, (&["tcp 22 from 198.51.100.7/32"], true));
        let wide = rule(22, "0.0.0.0/0", Tags::new());
        check("SSH by another rule", vec![wide, chat()], true, (&["tcp 22 from 198.51.100.7/32"], false));
        let missing = &["tcp 12345 from 0.0.0.0/0"][..];
        let few = rule(12345, "198.51.100.0/24", ours());
        check("chat for few", vec![ssh(), few], true, (missing, true));
        let mut all = rule(12345, "0.0.0.0/0", Tags::new());
        all.rule.to_port = Some(12346);
        check("chat by another rule", vec![ssh(), all], true, (missing, false));
    }
}
