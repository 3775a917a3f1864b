//! The machine engine over EC2 in memory: exactly one machine with exactly the right rules, or nothing of ours, wherever it
//! starts and whatever happened before, at any call; and everybody else's things as they were.
//!
//! What goes beyond one deployer with one machine of its own has files: `racing.rs`, `adopting.rs`, `settings.rs` for what
//! changes from one run to the next, and `waiting.rs` for what takes its time.

mod adopting;
mod racing;
mod settings;
mod waiting;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chat_deploy::cloud::{
    Cloud as _, GroupRule, Instance, InstanceState, InstanceType, KeyPair, SecurityGroup, Tags,
};
use chat_deploy::interrupt::Interrupt;
use chat_deploy::machine::apply::{ApplyError, Engine, apply};
use chat_deploy::machine::diff::{diff, diff_to_nothing};
use chat_deploy::machine::observe::observe;
use chat_deploy::machine::plan::Plan;
use chat_deploy::machine::spec::Spec;
use chat_deploy::machine::{Machine, MachineError, tags};
use chat_deploy::report::{Event, Report};

use crate::cloud::{FAULTS, FakeCloud, Fault, PASSING, has};

const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO+p0qf11dOnFjeXuQlM0EH/pu7QXN0fU8WnHXAZX+9D user@example.com";

fn spec() -> Spec {
    Spec {
        instance: "myserver".parse().unwrap(),
        types: ["t2.micro", "t3.micro"].map(InstanceType::new).to_vec(),
        image: None,
        subnet: None,
        disk_gib: 8,
        chat_port: Some(12345),
        chat_from: vec!["0.0.0.0/0".parse().unwrap()],
        ssh_from: vec!["192.0.2.7/32".parse().unwrap()],
        ports: vec![80],
        public_key: PUBLIC_KEY.to_owned(),
        adopt: true,
    }
}

fn ours() -> Tags {
    Tags::from([(tags::INSTANCE.to_owned(), "myserver".to_owned())])
}

/// Why a run did not reach its end.
#[derive(Debug)]
enum Trouble {
    Planning(#[expect(dead_code, reason = "shown when a test fails")] MachineError),
    Applying(ApplyError),
    Killed,
}

struct Silent;

impl Report for Silent {
    fn event(&self, _: &Event<'_>) {}
}

fn engine<'a>(cloud: &'a FakeCloud, spec: &'a Spec, interrupt: &'a Interrupt) -> Engine<'a> {
    Engine {
        cloud,
        instance: &spec.instance,
        host_keys: cloud,
        clock: cloud,
        interrupt,
        report: &Silent,
        state_timeout: Duration::from_secs(300),
        visible_timeout: Duration::from_secs(60),
    }
}

fn plan_up(cloud: &FakeCloud, spec: &Spec) -> Result<Plan, Trouble> {
    let observed = observe(cloud, &spec.instance, Some(spec)).map_err(Trouble::Planning)?;
    diff(spec, &observed).map_err(Trouble::Planning)
}

fn plan_down(cloud: &FakeCloud) -> Result<Plan, Trouble> {
    let observed = observe(cloud, &spec().instance, None).map_err(Trouble::Planning)?;
    Ok(diff_to_nothing(&observed))
}

fn carry_out(cloud: &FakeCloud, plan: &Plan) -> Result<Option<Machine>, Trouble> {
    apply(&engine(cloud, &spec(), &cloud.interrupt), plan).map_err(Trouble::Applying)
}

/// Does what a command does, or as much of it as happens before the deployer is killed.
fn run<T>(cloud: &FakeCloud, command: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(command)) {
        Ok(result) => result,
        Err(_) if cloud.was_killed() => Err(Trouble::Killed),
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

fn up(cloud: &FakeCloud) -> Result<Option<Machine>, Trouble> {
    run(cloud, || carry_out(cloud, &plan_up(cloud, &spec())?))
}

fn down(cloud: &FakeCloud) -> Result<(), Trouble> {
    run(cloud, || carry_out(cloud, &plan_down(cloud)?).map(drop))
}

/// What is in the account and not of our instance: it must stay as it is.
type Others = (Vec<Instance>, Vec<(SecurityGroup, Vec<GroupRule>)>, Vec<KeyPair>);

fn others(cloud: &FakeCloud) -> Others {
    let account = cloud.account();
    let made = [(tags::MANAGED.to_owned(), tags::OURS.to_owned())].into_iter().chain(ours()).collect();
    let is_other = |tags: &Tags| !has(tags, &made);
    let machines = account.alive().into_iter().filter(|machine| is_other(&machine.tags)).collect();
    let groups = account.all_groups().into_iter().filter(|(group, _)| is_other(&group.tags));
    let keys = account.all_keys().into_iter().filter(|key| is_other(&key.tags)).collect();
    (machines, groups.collect(), keys)
}

/// Checks that there is one machine, reachable and recognisable, with the right rules, and that nothing is left to do.
fn assert_up(cloud: &FakeCloud, when: &str) {
    cloud.account().settle();
    let machines: Vec<_> = cloud.account().alive().into_iter().filter(|m| has(&m.tags, &ours())).collect();
    let [machine] = machines.as_slice() else {
        panic!("{when}: {} machines", machines.len());
    };
    assert_eq!(machine.state, InstanceState::Running, "{when}");
    assert!(machine.address.is_some(), "{when}");

    let groups = cloud.account().all_groups();
    let (group, rules) = groups.iter().find(|(group, _)| machine.groups.contains(&group.id)).unwrap();
    let of_ours = rules.iter().filter(|rule| has(&rule.tags, &ours()));
    let mut rules: Vec<_> = of_ours.map(|rule| rule.rule.clone()).collect();
    rules.sort();
    assert_eq!(rules, spec().rules(), "{when}");
    assert_eq!(groups.iter().filter(|(group, _)| has(&group.tags, &ours())).count(), 1, "{when}: {group:?}");
    // A machine that is there does without.
    assert!(cloud.account().all_keys().len() <= 1, "{when}");

    // The fingerprint on the tag is that of the key the machine was started with.
    let launch = cloud.account().launch_of(&machine.id).unwrap();
    let key = launch.user_data.as_str().split('"').find(|text| text.starts_with("ssh-ed25519 ")).unwrap();
    let fingerprint = ssh_key::PublicKey::from_openssh(key).unwrap().fingerprint(ssh_key::HashAlg::Sha256);
    let known = Machine::of(machine).unwrap();
    assert_eq!(known.bootstrap_key, Some(fingerprint.to_string()), "{when}");

    let plan = plan_up(cloud, &spec()).unwrap();
    assert_eq!(plan.steps, [], "{when}");
}

/// Checks that nothing of ours is left.
fn assert_nothing_left(cloud: &FakeCloud, when: &str) {
    cloud.account().settle();
    let account = cloud.account();
    assert!(!account.alive().iter().any(|machine| has(&machine.tags, &ours())), "{when}");
    assert!(!account.all_groups().iter().any(|(group, rules)| {
        has(&group.tags, &ours()) || rules.iter().any(|rule| has(&rule.tags, &ours()))
    }));
    assert_eq!(account.all_keys(), [], "{when}");
    drop(account);
    assert_eq!(plan_down(cloud).unwrap().steps, [], "{when}");
}

/// What may have gone before: its name, and how it comes about.
type History = (&'static str, fn(&FakeCloud));

fn histories() -> Vec<History> {
    vec![
        ("nothing", |_| {}),
        ("a run", |cloud| drop(up(cloud).unwrap())),
        ("a machine ended from outside", |cloud| {
            let machine = up(cloud).unwrap().unwrap();
            cloud.account().kill_machine(&machine.id);
        }),
        ("a stopped machine", |cloud| {
            let machine = up(cloud).unwrap().unwrap();
            let stop = chat_deploy::machine::plan::Step::Stop { machine: machine.id };
            let stopped = carry_out(cloud, &Plan { steps: vec![stop], ..Plan::default() }).unwrap();
            assert_eq!(stopped.unwrap().state, InstanceState::Stopped);
        }),
        ("a missing rule and one too many", |cloud| {
            up(cloud).unwrap();
            let mut other = spec();
            (other.chat_port, other.ports) = (Some(12345), vec![8080]);
            cloud.account().settle();
            let plan = plan_up(cloud, &other).unwrap();
            assert!(!plan.steps.is_empty());
            carry_out(cloud, &plan).unwrap();
        }),
        ("a run that was killed after it asked for the machine", |cloud| {
            // The bystander's machine is there already.
            while cloud.account().alive().len() < 2 {
                cloud.end_run();
                cloud.fail_at("RunInstances", Fault::KilledAfter);
                assert!(matches!(up(cloud), Err(Trouble::Killed)));
            }
        }),
    ]
}

fn world(stale: u32, history: fn(&FakeCloud)) -> FakeCloud {
    let cloud = FakeCloud::new(stale);
    history(&cloud);
    cloud.end_run();
    cloud.account().settle();
    cloud
}

/// Runs `act` after every history, with every fault at every call in turn, and hands the result to `check`. `act` says from
/// when on calls count.
fn with_every_fault<T>(
    faults: &[Fault],
    stale: u32,
    act: impl Fn(&FakeCloud, &dyn Fn()) -> Result<T, Trouble>,
    check: impl Fn(&FakeCloud, &str, Result<T, Trouble>, &Others),
) {
    for (name, history) in histories() {
        for fault in faults {
            for call in 0.. {
                assert!(call < 200, "{name} never ends");
                let cloud = world(stale, history);
                let before = others(&cloud);
                let result = act(&cloud, &|| cloud.fail_after(call, *fault));
                let came = cloud.end_run();
                check(&cloud, &format!("after {name}, {fault:?} at call {call}"), result, &before);
                if !came {
                    break;
                }
            }
        }
    }
}

/// Does the same after one history: lets `act` fail in every way at every call in turn, and hands what is left to `check`.
fn with_every_fault_after<T>(
    history: fn(&FakeCloud),
    act: impl Fn(&FakeCloud) -> Result<T, Trouble>,
    check: impl Fn(&FakeCloud, &str),
) {
    for fault in FAULTS {
        for call in 0.. {
            assert!(call < 200, "it never ends");
            let cloud = world(1, history);
            cloud.fail_after(call, fault);
            let _ = act(&cloud);
            let came = cloud.end_run();
            cloud.account().settle();
            check(&cloud, &format!("{fault:?} at call {call}"));
            if !came {
                break;
            }
        }
    }
}

fn up_with_faults(cloud: &FakeCloud, begin: &dyn Fn()) -> Result<Option<Machine>, Trouble> {
    begin();
    up(cloud)
}

#[test]
fn up_makes_one_machine() {
    for stale in [0, 3] {
        for (name, history) in histories() {
            let cloud = world(stale, history);
            let before = others(&cloud);
            let machine = up(&cloud).unwrap_or_else(|trouble| panic!("after {name}: {trouble:?}"));
            assert_up(&cloud, name);
            assert_eq!(others(&cloud), before, "after {name}");
            if let Some(machine) = machine {
                assert_eq!(machine.state, InstanceState::Running);
                assert!(machine.address.is_some());
            }
        }
    }
}

#[test]
fn up_again_goes_on_from_any_fault() {
    with_every_fault(&FAULTS, 1, up_with_faults, |cloud, when, _, before| {
        up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_up(cloud, when);
        assert_eq!(others(cloud), *before, "{when}");
    });
}

#[test]
fn up_again_makes_no_second_machine_even_if_the_first_does_not_show() {
    with_every_fault(&FAULTS, 1, up_with_faults, |cloud, when, _, _| {
        cloud.account().hide(&ours());
        up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_up(cloud, when);
    });
}

#[test]
fn up_survives_what_passes() {
    let act = |cloud: &FakeCloud, begin: &dyn Fn()| {
        let plan = plan_up(cloud, &spec())?;
        begin();
        carry_out(cloud, &plan)
    };
    with_every_fault(&PASSING, 2, act, |cloud, when, result, _| {
        result.unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_up(cloud, when);
    });
}

#[test]
fn down_leaves_nothing_after_any_fault_of_up() {
    with_every_fault(&FAULTS, 2, up_with_faults, |cloud, when, _, before| {
        cloud.account().settle();
        down(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
        assert_eq!(others(cloud), *before, "{when}");
    });
}

#[test]
fn down_again_goes_on_from_any_fault() {
    let act = |cloud: &FakeCloud, begin: &dyn Fn()| {
        begin();
        down(cloud)
    };
    with_every_fault(&FAULTS, 0, act, |cloud, when, _, before| {
        down(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
        assert_eq!(others(cloud), *before, "{when}");
    });
}

#[test]
fn down_survives_what_passes() {
    let act = |cloud: &FakeCloud, begin: &dyn Fn()| {
        let plan = plan_down(cloud)?;
        begin();
        carry_out(cloud, &plan)
    };
    with_every_fault(&PASSING, 2, act, |cloud, when, result, _| {
        result.unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
    });
}

#[test]
fn a_type_that_is_not_to_be_had_gives_way_to_the_next() {
    for code in ["InsufficientInstanceCapacity", "Unsupported"] {
        for fault in FAULTS {
            for call in 0..40 {
                let cloud = FakeCloud::new(1);
                cloud.account().refused.insert(InstanceType::new("t2.micro"), code);
                cloud.fail_after(call, fault);
                let _ = up(&cloud);
                cloud.end_run();
                let when = format!("{code}, {fault:?} at call {call}");
                up(&cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
                assert_up(&cloud, &when);
                let machines = cloud.account().alive();
                assert!(machines.iter().any(|machine| machine.kind.as_str() == "t3.micro"), "{when}");
            }
        }
    }
}

#[test]
fn a_type_that_ec2_runs_out_of_late_gives_way_too() {
    let cloud = FakeCloud::new(1);
    cloud.account().short.push(InstanceType::new("t2.micro"));
    let machine = up(&cloud).unwrap().unwrap();
    assert_up(&cloud, "short");
    let kinds: Vec<_> = cloud.account().alive().into_iter().filter(|m| m.id == machine.id).collect();
    assert_eq!(kinds[0].kind.as_str(), "t3.micro");
}

#[test]
fn if_nothing_is_to_be_had_all_that_was_tried_is_said() {
    let cloud = FakeCloud::new(0);
    cloud.account().refused.insert(InstanceType::new("t2.micro"), "Unsupported");
    cloud.account().refused.insert(InstanceType::new("t3.micro"), "InsufficientInstanceCapacity");
    let Err(Trouble::Applying(error)) = up(&cloud) else {
        panic!("there is a machine");
    };
    insta::assert_snapshot!(error);
    assert_eq!(cloud.pins(), std::collections::BTreeMap::new());
    cloud.account().refused.clear();
    up(&cloud).unwrap();
    assert_up(&cloud, "after a shortage");
}

#[test]
fn what_is_not_tagged_as_ours_any_more_is_not_deleted() {
    let cloud = world(0, |cloud| drop(up(cloud).unwrap()));
    let plan = plan_down(&cloud).unwrap();
    let machine = cloud.account().alive().into_iter().find(|m| has(&m.tags, &ours())).unwrap();
    for tags in [
        Tags::from([(tags::MANAGED.to_owned(), tags::ADOPTED.to_owned())]),
        Tags::from([(tags::MANAGED.to_owned(), "True".to_owned())]),
        Tags::from([
            (tags::MANAGED.to_owned(), tags::OURS.to_owned()),
            (tags::INSTANCE.to_owned(), "other".to_owned()),
        ]),
    ] {
        cloud.tag(machine.id.as_str(), &tags).unwrap();
        let result = carry_out(&cloud, &plan);
        assert!(matches!(result, Err(Trouble::Applying(ApplyError::NotOurs { .. }))), "{result:?}");
        assert_eq!(cloud.account().alive().len(), 2);
    }
}

#[test]
fn a_group_of_our_name_that_is_not_ours_is_left_alone() {
    let cloud = FakeCloud::new(0);
    cloud.account().add_stranger("stranger", "chat-deploy-myserver");
    let before = others(&cloud);
    let Err(Trouble::Applying(error @ ApplyError::Taken { .. })) = up(&cloud) else {
        panic!("the group was taken");
    };
    insta::assert_snapshot!(error);
    assert_eq!(others(&cloud), before);
}

#[test]
fn an_interrupt_is_heeded_between_steps() {
    let cloud = FakeCloud::new(0);
    cloud.interrupt.set();
    let result = up(&cloud);
    assert!(matches!(result, Err(Trouble::Applying(ApplyError::Interrupted { before: "create-group" }))));
    assert_nothing_left(&cloud, "after an interrupt");
}
