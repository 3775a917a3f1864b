//! Machines made by hand: taken over, used, and given back as they were.

use chat_deploy::cloud::{Cloud as _, Instance, InstanceState};
use chat_deploy::machine::Ownership;
use chat_deploy::machine::plan::{Plan, Step};

use super::{
    assert_nothing_left, carry_out, down, others, plan_down, plan_up, spec, up, with_every_fault_after,
};
use crate::cloud::{FakeCloud, rule};

/// Makes a machine as a person does in the console: by hand, with a group of its own.
fn by_hand(cloud: &FakeCloud) {
    cloud.account().add_stranger("myserver", "launch-wizard-3");
}

/// The same, and it is not running.
fn by_hand_and_stopped(cloud: &FakeCloud) {
    let id = cloud.account().add_stranger("myserver", "launch-wizard-3");
    cloud.stop_instance(&id).unwrap();
    cloud.wait();
}

/// Taken over, and stopped by `chat-deploy stop`.
fn adopted_and_stopped(cloud: &FakeCloud) {
    by_hand(cloud);
    let machine = up(cloud).unwrap().unwrap();
    assert_eq!(machine.ownership, Ownership::Adopted);
    cloud.account().settle();
    let stop = Step::Stop { machine: machine.id };
    carry_out(cloud, &Plan { steps: vec![stop], ..Plan::default() }).unwrap();
}

fn myserver(cloud: &FakeCloud) -> Instance {
    let machines = cloud.account().alive();
    machines.into_iter().find(|m| m.tags.get("Name").is_some_and(|name| name == "myserver")).unwrap()
}

/// Checks that the machine made by hand is the instance's, and has what it needs beside what it had.
fn assert_adopted(cloud: &FakeCloud, when: &str) {
    cloud.account().settle();
    assert_eq!(plan_up(cloud, &spec()).unwrap().steps, [], "{when}");
    assert_eq!(cloud.account().alive().len(), 2, "{when}");
    assert_eq!(myserver(cloud).state, InstanceState::Running, "{when}");
    let groups = cloud.account().all_groups();
    let rules: Vec<_> = groups[1].1.iter().map(|rule| rule.rule.clone()).collect();
    assert!(spec().rules().iter().chain([&rule(22)]).all(|wanted| rules.contains(wanted)), "{when}");
}

#[test]
fn a_machine_made_by_hand_is_adopted_and_given_back() {
    for history in [by_hand, by_hand_and_stopped] {
        with_every_fault_after(history, up, |cloud, when| {
            up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
            assert_adopted(cloud, when);
        });
    }
    let adopted = |cloud: &FakeCloud| {
        by_hand(cloud);
        up(cloud).unwrap();
    };
    let before = others(&super::world(1, by_hand));
    with_every_fault_after(adopted, down, |cloud, when| {
        down(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
        assert_eq!(others(cloud), before, "{when}");
    });
}

#[test]
fn an_adopted_machine_that_was_stopped_is_started_by_up() {
    with_every_fault_after(adopted_and_stopped, up, |cloud, when| {
        up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_adopted(cloud, when);
    });
}

#[test]
fn an_adopted_machine_that_was_stopped_is_given_back_stopped() {
    with_every_fault_after(adopted_and_stopped, down, |cloud, when| {
        down(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
        assert_eq!(myserver(cloud).state, InstanceState::Stopped, "{when}");
        assert!(!plan_down(cloud).unwrap().steps.iter().any(|step| matches!(step, Step::Terminate { .. })));
    });
}
