//! What holds whatever there is in the account.

use proptest::prelude::*;

use super::simulate::simulate;
use super::{diff, diff_to_nothing};
use crate::cloud::{GroupRule, Instance, InstanceState, Tags};
use crate::machine::fixtures::{adopted, catalog, group, key_pair, machine, named, ours, rule, spec, types};
use crate::machine::observe::{Catalog, Observed};
use crate::machine::plan::{Plan, Step};
use crate::machine::spec::Spec;
use crate::machine::tags::{self, Ownership};

const PORTS: [u16; 4] = [22, 80, 12345, 23456];
const RANGES: [&str; 3] = ["0.0.0.0/0", "198.51.100.7/32", "10.0.0.0/8"];

fn any_spec() -> impl Strategy<Value = Spec> {
    let ranges = || prop::sample::subsequence(RANGES.as_slice(), 0..=2);
    let kinds = prop::sample::subsequence(["t2.micro", "t3.micro", "t4g.micro", "t9.pico"].as_slice(), 1..=4);
    let ports = prop::sample::subsequence(PORTS.as_slice(), 0..=2);
    (kinds.prop_shuffle(), ranges(), ranges(), ports, any::<bool>()).prop_map(
        |(kinds, chat_from, ssh_from, ports, adopt)| Spec {
            types: types(&kinds),
            chat_from: chat_from.iter().map(|range| range.parse().unwrap()).collect(),
            ssh_from: ssh_from.iter().map(|range| range.parse().unwrap()).collect(),
            ports,
            adopt,
            ..spec()
        },
    )
}

/// Tags of ours, of another instance of ours, and of nobody.
fn any_tags() -> impl Strategy<Value = Tags> {
    prop_oneof![
        Just(ours()),
        Just(tags::ours(&"another".parse().unwrap())),
        Just(Tags::new()),
        Just(Tags::from([(tags::MANAGED.to_owned(), tags::OURS.to_owned())])),
    ]
}

fn any_rules() -> impl Strategy<Value = Vec<GroupRule>> {
    let rule = (prop::sample::select(PORTS.as_slice()), prop::sample::select(RANGES.as_slice()), any_tags())
        .prop_map(|(port, range, tags)| rule(port, range, tags));
    prop::collection::vec(rule, 0..6).prop_map(|mut rules| {
        // A group has a rule once.
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules.dedup_by(|a, b| a.id == b.id);
        rules
    })
}

fn any_catalog() -> impl Strategy<Value = Catalog> {
    let bools = prop::collection::vec(any::<bool>(), 12);
    bools.prop_map(|bits| {
        let mut catalog = catalog();
        let mut bits = bits.into_iter();
        let mut bit = || bits.next().unwrap();
        catalog.offerings.retain(|_| bit());
        catalog.subnets.iter_mut().for_each(|subnet| subnet.is_default = bit());
        catalog.routes.main = bit() || bit();
        catalog.routes.subnets.insert("subnet-b".to_owned(), bit());
        catalog
    })
}

fn any_machine(tags: Tags, group: &'static str) -> impl Strategy<Value = Instance> {
    const STATES: [(InstanceState, bool); 5] = [
        (InstanceState::Pending, false),
        (InstanceState::Running, true),
        (InstanceState::Running, false),
        (InstanceState::Stopping, true),
        (InstanceState::Stopped, false),
    ];
    prop::sample::select(STATES.as_slice()).prop_map(move |(state, has_address)| {
        let there = machine("i-1", group, tags.clone());
        Instance { state, address: there.address.filter(|_| has_address), ..there }
    })
}

/// Who there is, and in whose group.
fn any_subject() -> impl Strategy<Value = Observed> {
    let of = |ownership, tags, group_id| {
        any_machine(tags, group_id)
            .prop_map(move |machine| Observed { machine: Some((ownership, machine)), ..Observed::default() })
    };
    prop_oneof![
        3 => of(Ownership::Ours, ours(), "sg-1"),
        1 => of(Ownership::Ours, ours(), "sg-9"),
        2 => of(Ownership::Adopted, adopted(), "sg-9"),
        1 => of(Ownership::Adopted, adopted(), "sg-1"),
        2 => any_machine(named("myserver"), "sg-9")
            .prop_map(|machine| Observed { namesake: Some(machine), ..Observed::default() }),
        3 => any_catalog().prop_map(|catalog| Observed { catalog: Some(catalog), ..Observed::default() }),
    ]
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let keys = prop::sample::subsequence(vec![spec().key_name(), "chat-deploy-myserver-0".to_owned()], 0..=2);
    let ending = prop::sample::subsequence(
        vec![("i-2", "sg-1", InstanceState::ShuttingDown), ("i-3", "sg-1", InstanceState::Terminated)],
        0..=2,
    );
    (any_subject(), any::<[bool; 3]>(), any_rules(), keys, ending).prop_map(
        |(subject, [has_group, has_sharer, has_other_group], rules, keys, ending)| {
            let own_group = || group("sg-1", "chat-deploy-myserver", ours());
            let in_group = subject.subject().map(|machine| machine.groups.clone());
            let group = match in_group.as_ref().and_then(|groups| groups.first()) {
                Some(id) if id.as_str() == "sg-9" => Some(group("sg-9", "launch-wizard-3", Tags::new())),
                Some(_) => Some(own_group()),
                None => has_group.then(own_group),
            };
            let sharer = group.as_ref().filter(|_| has_sharer);
            let other = group.as_ref().filter(|group| has_other_group && group.id.as_str() == "sg-9");
            Observed {
                sharers: sharer.iter().map(|group| machine("i-7", group.id.as_str(), named("web"))).collect(),
                other_groups: other.map(|_| own_group()).into_iter().collect(),
                owns_group: group.as_ref().is_some_and(|group| group.id.as_str() == "sg-1"),
                rules: if group.is_some() { rules } else { Vec::new() },
                group,
                key_pairs: keys.iter().map(|name| key_pair(name)).collect(),
                ending: ending
                    .into_iter()
                    .map(|(id, group, state)| Instance { state, ..machine(id, group, ours()) })
                    .collect(),
                ..subject
            }
        },
    )
}

/// The same in another order, as the cloud may answer.
fn turned_around(observed: &Observed) -> Observed {
    let mut observed = observed.clone();
    observed.rules.reverse();
    if let Some(catalog) = &mut observed.catalog {
        catalog.images.reverse();
        catalog.subnets.reverse();
        catalog.offerings.reverse();
        catalog.types.reverse();
    }
    observed
}

fn is_ours(rule: &GroupRule) -> bool {
    tags::is_ours(&rule.tags, &spec().instance)
}

fn closed(plan: &Plan) -> impl Iterator<Item = &GroupRule> {
    plan.steps.iter().flat_map(|step| match step {
        Step::ClosePorts { rules, .. } => rules.as_slice(),
        _ => &[],
    })
}

fn strange_rules(observed: &Observed) -> Vec<GroupRule> {
    observed.rules.iter().filter(|rule| !is_ours(rule)).cloned().collect()
}

proptest! {
    #[test]
    fn up_is_done_when_it_is_done(spec in any_spec(), observed in any_observed()) {
        let Ok(plan) = diff(&spec, &observed) else { return Ok(()) };
        let after = simulate(observed, &plan);
        let again = diff(&spec, &after).unwrap();
        prop_assert_eq!(again.steps, Vec::new());
    }

    #[test]
    fn up_does_not_depend_on_the_order_of_answers(spec in any_spec(), observed in any_observed()) {
        let plan = diff(&spec, &observed).map_err(|error| error.to_string());
        let again = diff(&spec, &turned_around(&observed)).map_err(|error| error.to_string());
        prop_assert_eq!(plan, again);
    }

    #[test]
    fn up_leaves_alone_what_is_not_ours(spec in any_spec(), observed in any_observed()) {
        let Ok(plan) = diff(&spec, &observed) else { return Ok(()) };
        prop_assert!(closed(&plan).all(is_ours));
        let mut adopts = plan.steps.iter().filter(|step| matches!(step, Step::Adopt { .. }));
        prop_assert!(spec.adopt || adopts.next().is_none());
        let launches = plan.steps.iter().filter(|step| matches!(step, Step::Launch(_))).count();
        prop_assert_eq!(launches, usize::from(observed.subject().is_none()));
        let removes = |step: &Step| {
            matches!(step, Step::Terminate { .. } | Step::DeleteGroup { .. } | Step::DeleteKey { .. })
        };
        prop_assert!(!plan.steps.iter().any(removes));
        prop_assert_eq!(strange_rules(&simulate(observed.clone(), &plan)), strange_rules(&observed));
    }

    #[test]
    fn down_leaves_nothing_of_ours_and_all_that_is_not(observed in any_observed()) {
        let plan = diff_to_nothing(&observed);
        prop_assert!(closed(&plan).all(is_ours));
        let adopted = matches!(observed.machine, Some((Ownership::Adopted, _)));
        let terminates = plan.steps.iter().any(|step| matches!(step, Step::Terminate { .. }));
        prop_assert!(!(adopted && terminates));

        let after = simulate(observed.clone(), &plan);
        prop_assert_eq!(&after.machine, &None);
        prop_assert_eq!(&after.key_pairs, &Vec::new());
        // A group of ours is left only because somebody is in it, and then the person is told.
        let is_used = |id| {
            let strangers = after.sharers.iter().chain(&after.namesake);
            strangers.flat_map(|machine| &machine.groups).any(|group| group == id)
        };
        let groups = after.group.iter().filter(|_| after.owns_group).chain(&after.other_groups);
        for group in groups {
            prop_assert!(is_used(&group.id));
            prop_assert!(plan.leaves.iter().any(|line| line.contains(group.id.as_str())));
        }
        if !observed.owns_group {
            prop_assert!(!after.rules.iter().any(is_ours) || observed.machine.is_none());
            prop_assert_eq!(strange_rules(&after), strange_rules(&observed));
            prop_assert_eq!(&after.group, &observed.group);
        }
        prop_assert!(after.sharers.starts_with(&observed.sharers));
        prop_assert!(!adopted || after.namesake.is_some());
        prop_assert!(diff_to_nothing(&after).is_empty());
    }

    #[test]
    fn down_takes_back_what_up_did(spec in any_spec(), observed in any_observed()) {
        let Ok(plan) = diff(&spec, &observed) else { return Ok(()) };
        let up = simulate(observed.clone(), &plan);
        let down = simulate(up.clone(), &diff_to_nothing(&up));
        prop_assert!(down.machine.is_none() && down.key_pairs.is_empty());
        if !up.owns_group {
            prop_assert_eq!(strange_rules(&down), strange_rules(&observed));
            prop_assert!(!down.rules.iter().any(is_ours));
        }
    }
}
