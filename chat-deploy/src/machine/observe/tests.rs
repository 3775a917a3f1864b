//! What is found in an account, by which calls.

mod account;

use self::account::Account;
use super::{Observed, list, observe};
use crate::cloud::{GroupId, ImageId, Instance, InstanceState, Subnet, SubnetId, Tags, VpcId};
use crate::machine::fixtures::{adopted, changed, group, machine, named, ours, rule, spec, subnet};
use crate::machine::tags::{self, Ownership};

fn up(account: &Account) -> Observed {
    observe(account, &spec().instance, Some(&spec())).unwrap()
}

fn down(account: &Account) -> Observed {
    observe(account, &spec().instance, None).unwrap()
}

fn ids<'a>(machines: impl IntoIterator<Item = &'a Instance>) -> Vec<&'a str> {
    machines.into_iter().map(|machine| machine.id.as_str()).collect()
}

fn in_state(state: InstanceState, machine: Instance) -> Instance {
    Instance { state, ..machine }
}

/// The account after an `up`, with other people's things in it.
fn in_use() -> Account {
    let other = tags::ours(&"other".parse().unwrap());
    Account {
        machines: vec![
            machine("i-1", "sg-1", ours()),
            machine("i-2", "sg-2", other.clone()),
            machine("i-3", "sg-3", named("web")),
        ],
        groups: vec![
            (group("sg-1", "chat-deploy-myserver", ours()), vec![rule(22, "0.0.0.0/0", ours())]),
            (group("sg-2", "chat-deploy-other", other), Vec::new()),
            (group("sg-3", "launch-wizard-3", Tags::new()), vec![rule(80, "0.0.0.0/0", Tags::new())]),
        ],
        ..Account::default()
    }
}

#[test]
fn nothing_to_do_is_seen_by_five_calls() {
    let account = in_use();
    let found = up(&account);
    assert_eq!(found.machine.unwrap().0, Ownership::Ours);
    assert_eq!(found.group.unwrap().id.as_str(), "sg-1");
    assert_eq!(found.rules, [rule(22, "0.0.0.0/0", ours())]);
    assert!(found.owns_group && found.catalog.is_none() && found.sharers.is_empty());
    assert_eq!(
        account.calls(),
        [
            "DescribeInstances",
            "DescribeInstances",
            "DescribeKeyPairs",
            "DescribeSecurityGroupRules",
            "DescribeSecurityGroups"
        ]
    );
}

#[test]
fn what_there_is_to_choose_from_is_asked_for_a_new_machine_only() {
    let mut account = Account::default();
    account.catalog.types.retain(|facts| spec().types.contains(&facts.kind));
    account.catalog.offerings.retain(|offering| spec().types.contains(&offering.kind));
    assert_eq!(up(&account).catalog, Some(account.catalog.clone()));
    assert_eq!(down(&Account::default()), Observed::default());
    let by_hand = Account { machines: vec![machine("i-9", "sg-9", named("myserver"))], ..Account::default() };
    assert_eq!(up(&by_hand).catalog, None);
}

#[test]
fn a_subnet_or_image_that_is_not_there_is_none_to_choose_from() {
    let spec = changed(spec(), |spec| {
        spec.subnet = Some(SubnetId::new("subnet-x"));
        spec.image = Some(ImageId::new("ami-404"));
    });
    let catalog = super::catalog(&Account::default(), &spec).unwrap();
    assert_eq!((catalog.vpc, catalog.subnets, catalog.images), (None, Vec::new(), Vec::new()));
}

#[test]
fn a_named_subnet_brings_its_own_network() {
    let mut account = Account::default();
    let far = Subnet { vpc: VpcId::new("vpc-2"), ..subnet('c') };
    account.catalog.subnets.push(far.clone());
    let spec = changed(spec(), |spec| spec.subnet = Some(far.id.clone()));
    let catalog = super::catalog(&account, &spec).unwrap();
    assert_eq!((catalog.vpc, catalog.subnets), (Some(far.vpc.clone()), vec![far]));
}

#[test]
fn machines_on_their_way_count_and_ended_ones_do_not() {
    for state in [InstanceState::Pending, InstanceState::Stopping, InstanceState::Stopped] {
        let machines = vec![in_state(state, machine("i-1", "sg-1", ours()))];
        assert_eq!(up(&Account { machines, ..Account::default() }).machine.unwrap().1.state, state);
    }
    let machines = vec![
        in_state(InstanceState::Terminated, machine("i-1", "sg-1", ours())),
        machine("i-2", "sg-1", ours()),
        in_state(InstanceState::ShuttingDown, machine("i-0", "sg-1", ours())),
    ];
    let found = up(&Account { machines, ..Account::default() });
    assert_eq!(ids(&found.ending), ["i-0", "i-1"]);
    assert_eq!(found.machine.unwrap().1.id.as_str(), "i-2");
}

#[test]
fn two_machines_are_an_error() {
    let two = |tags: fn() -> Tags| Account {
        machines: vec![machine("i-2", "sg-1", tags()), machine("i-1", "sg-1", tags())],
        ..Account::default()
    };
    let trouble =
        |account: &Account| observe(account, &spec().instance, Some(&spec())).unwrap_err().to_string();
    assert_eq!(trouble(&two(ours)), "2 machines in us-east-1 are tagged as myserver: i-1, i-2");
    assert_eq!(
        trouble(&two(|| named("myserver"))),
        "2 machines in us-east-1 that chat-deploy did not make are named myserver: i-1, i-2"
    );
    assert_eq!(down(&two(|| named("myserver"))), Observed::default());
}

#[test]
fn a_namesake_is_nobody_elses_machine() {
    let of_another = tags::ours(&"another".parse().unwrap());
    let cases = [
        (named("myserver"), InstanceState::Stopped, true),
        (named("myserver"), InstanceState::Terminated, false),
        (named("myserver-2"), InstanceState::Running, false),
        (of_another.into_iter().chain(named("myserver")).collect(), InstanceState::Running, false),
    ];
    for (tags, state, expected) in cases {
        let machines = vec![in_state(state, machine("i-9", "sg-9", tags.clone()))];
        let found = up(&Account { machines, ..Account::default() });
        assert_eq!(found.namesake.is_some(), expected, "{tags:?} {state}");
    }
    // A machine of ours needs no namesake.
    let machines = vec![machine("i-1", "sg-1", ours()), machine("i-9", "sg-9", named("myserver"))];
    assert_eq!(up(&Account { machines, ..Account::default() }).namesake, None);
}

#[test]
fn an_adopted_machine_brings_its_own_group() {
    let mut account = in_use();
    account.machines = vec![
        Instance { groups: ["sg-3", "sg-4"].map(GroupId::new).to_vec(), ..machine("i-9", "sg-3", adopted()) },
        machine("i-3", "sg-3", named("web")),
        in_state(InstanceState::Terminated, machine("i-4", "sg-3", named("gone"))),
    ];
    account.groups.push((group("sg-4", "default", Tags::new()), Vec::new()));
    let found = up(&account);
    assert_eq!(found.group.unwrap().id.as_str(), "sg-3");
    assert_eq!(found.rules, [rule(80, "0.0.0.0/0", Tags::new())]);
    assert_eq!(ids(&found.sharers), ["i-3"]);
    // Ours is none that the machine is in, so it is left over.
    assert!(!found.owns_group);
    assert_eq!(found.other_groups.len(), 1);

    // Where we opened something, that is where we go on.
    account.groups.last_mut().unwrap().1.push(rule(22, "0.0.0.0/0", ours()));
    assert_eq!(up(&account).group.unwrap().id.as_str(), "sg-4");
}

#[test]
fn a_group_in_another_network_is_no_good_for_a_new_machine() {
    let mut account = in_use();
    account.machines.clear();
    assert_eq!(up(&account).group.unwrap().id.as_str(), "sg-1");
    account.groups.first_mut().unwrap().0.vpc = Some(VpcId::new("vpc-2"));
    let found = up(&account);
    assert_eq!((found.group, found.owns_group, found.other_groups.len()), (None, false, 1));
    // It goes all the same.
    assert!(down(&account).owns_group);
}

#[test]
fn who_else_is_in_our_group_is_asked_before_it_goes() {
    let mut account = in_use();
    account.machines.push(machine("i-7", "sg-1", named("intruder")));
    assert_eq!(ids(&down(&account).sharers), ["i-7"]);
    account.late = Some("i-1");
    let found = down(&account);
    assert_eq!((found.machine, ids(&found.sharers)), (None, vec!["i-7"]));
    assert!(up(&account).sharers.is_empty());
}

#[test]
fn a_call_that_fails_is_told() {
    for call in
        ["DescribeInstances", "DescribeKeyPairs", "DescribeSecurityGroupRules", "DescribeSecurityGroups"]
    {
        let account = Account { fails: Some(call), ..in_use() };
        let error = observe(&account, &spec().instance, Some(&spec())).unwrap_err();
        assert!(error.to_string().contains(call), "{error}");
    }
    for call in ["DescribeImages", "DescribeVpcs", "DescribeSubnets", "DescribeRouteTables"] {
        let account = Account { fails: Some(call), ..Account::default() };
        let error = observe(&account, &spec().instance, Some(&spec())).unwrap_err();
        assert!(error.to_string().contains(call), "{error}");
    }
}

#[test]
fn all_machines_of_ours_by_name() {
    let mut account = in_use();
    account.machines.push(machine(
        "i-9",
        "sg-9",
        changed(adopted(), |tags| {
            tags.insert(tags::INSTANCE.to_owned(), "by-hand".to_owned());
        }),
    ));
    account.machines.push(in_state(InstanceState::Terminated, machine("i-0", "sg-1", ours())));
    let listed = list(&account).unwrap();
    let shown: Vec<_> =
        listed.iter().map(|row| (row.instance.as_str(), row.machine.id.as_str(), row.ownership)).collect();
    assert_eq!(
        shown,
        [
            ("by-hand", "i-9", Ownership::Adopted),
            ("myserver", "i-1", Ownership::Ours),
            ("other", "i-2", Ownership::Ours)
        ]
    );
}
