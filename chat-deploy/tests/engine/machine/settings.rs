//! Settings that change from one run to the next: the rules follow them, and the machine stays.

use chat_deploy::cloud::Rule;
use chat_deploy::machine::plan::Step;
use chat_deploy::machine::spec::Spec;

use super::{carry_out, ours, plan_up, run, spec, up, with_every_fault_after};
use crate::cloud::{FakeCloud, has};

/// Checks that `up` with other settings gets the rules there, from whatever it was cut off in, and nothing else.
fn check_moves(wanted: &Spec, closed: &Rule, opened: &Rule) {
    let made = |cloud: &FakeCloud| drop(up(cloud).unwrap());
    let move_there = |cloud: &FakeCloud| run(cloud, || carry_out(cloud, &plan_up(cloud, wanted)?));
    with_every_fault_after(made, move_there, |cloud, when| {
        move_there(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        cloud.account().settle();
        let machines = cloud.account().alive().into_iter().filter(|machine| has(&machine.tags, &ours()));
        assert_eq!(machines.count(), 1, "{when}");
        let groups = cloud.account().all_groups();
        let (_, rules) = groups.iter().find(|(group, _)| has(&group.tags, &ours())).unwrap();
        let mut rules: Vec<_> = rules.iter().map(|rule| rule.rule.clone()).collect();
        rules.sort();
        assert_eq!(rules, wanted.rules(), "{when}");
        assert_eq!(plan_up(cloud, wanted).unwrap().steps, [], "{when}");
    });
    let cloud = super::world(0, made);
    let plan = plan_up(&cloud, wanted).unwrap();
    // What is new is open before what was is closed: at no moment is there no way in.
    let [Step::OpenPorts { rules: opens, .. }, Step::ClosePorts { rules: closes, .. }] = &plan.steps[..]
    else {
        panic!("{}", plan.outline());
    };
    assert_eq!(opens, std::slice::from_ref(opened));
    assert_eq!(closes.iter().map(|rule| &rule.rule).collect::<Vec<_>>(), [closed]);
}

#[test]
fn ssh_is_opened_for_the_address_we_have_now() {
    let rule = |address: &str| Rule::tcp(22, address.parse().unwrap());
    let wanted = Spec { ssh_from: vec!["198.51.100.99/32".parse().unwrap()], ..spec() };
    check_moves(&wanted, &rule("192.0.2.7/32"), &rule("198.51.100.99/32"));
}

#[test]
fn the_chat_gets_another_port() {
    let rule = |port| Rule::tcp(port, "0.0.0.0/0".parse().unwrap());
    check_moves(&Spec { chat_port: Some(4321), ..spec() }, &rule(12345), &rule(4321));
}
