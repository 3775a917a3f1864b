//! Plans as a person reads them, from what there may be in an account.

mod properties;
mod simulate;

use super::{diff, diff_to_nothing};
use crate::cloud::{
    GroupRule, ImageId, Instance, InstanceState, InstanceType, Rule, RuleId, Subnet, SubnetId, Tags, VpcId,
};
use crate::machine::fixtures::{
    PUBLIC_KEY, by_hand, catalog, changed, empty, group, key_pair, machine, named, ours, own_machine, rule,
    running, spec, subnet, taken_over, types,
};
use crate::machine::observe::{Catalog, Observed};
use crate::machine::spec::Spec;
use crate::machine::tags::Ownership;

/// Shows plans, or why there is none, each under what it is for.
fn show<const N: usize>(cases: [(&str, Spec, Observed); N]) -> String {
    let shown = cases.map(|(title, spec, observed)| match diff(&spec, &observed) {
        Ok(plan) => format!("# {title}\n{}\n", plan.outline()),
        Err(error) => format!("# {title}\nerror: {error}\n"),
    });
    shown.join("\n")
}

#[test]
fn a_new_machine() {
    let adopts = changed(spec(), |spec| spec.adopt = true);
    let plans = show([
        ("nothing there", spec(), empty()),
        ("nothing there to adopt either", adopts, empty()),
        (
            "more ports, a bigger disk",
            changed(spec(), |spec| {
                spec.ports = vec![80];
                spec.disk_gib = 30;
            }),
            empty(),
        ),
        (
            "the image needs a bigger disk",
            spec(),
            changed(empty(), |o| {
                o.catalog.as_mut().unwrap().images.iter_mut().for_each(|image| {
                    image.root_gib = Some(10);
                })
            }),
        ),
        (
            "a group and a key are left of a run that was cut off",
            spec(),
            Observed { machine: None, rules: Vec::new(), catalog: Some(catalog()), ..running() },
        ),
        (
            "the group has other rules than it should",
            spec(),
            changed(Observed { machine: None, catalog: Some(catalog()), ..running() }, |o| {
                o.rules = vec![rule(22, "192.0.2.1/32", ours()), rule(80, "0.0.0.0/0", Tags::new())]
            }),
        ),
        (
            "the former machine is terminated",
            spec(),
            changed(Observed { catalog: Some(catalog()), ..running() }, |o| {
                let gone = o.machine.take().unwrap().1;
                o.ending = vec![Instance { state: InstanceState::Terminated, ..gone }];
            }),
        ),
        (
            "another key than the former machine's",
            changed(spec(), |spec| spec.public_key = PUBLIC_KEY.replace("GKJl", "GKJm")),
            Observed { machine: None, catalog: Some(catalog()), ..running() },
        ),
        (
            "a region without prices",
            spec(),
            changed(empty(), |o| {
                o.catalog.as_mut().unwrap().region = "mars-north-1".to_owned();
            }),
        ),
    ]);
    insta::assert_snapshot!(plans);
}

#[test]
fn types_and_places() {
    let wants = |names: &[&str]| changed(spec(), |spec| spec.types = types(names));
    let offers = |change: fn(&mut Catalog)| changed(empty(), |o| change(o.catalog.as_mut().unwrap()));
    let plans = show([
        (
            "no t2 in the region",
            spec(),
            offers(|c| {
                c.types.retain(|facts| facts.kind.as_str() != "t2.micro");
                c.offerings.retain(|offering| offering.kind.as_str() != "t2.micro");
            }),
        ),
        ("no t2 in the only zone", spec(), offers(|c| c.subnets = vec![subnet('e')])),
        ("an ARM machine", wants(&["t4g.micro"]), empty()),
        ("an ARM machine or another", wants(&["t4g.micro", "t3.micro"]), empty()),
        ("a type that there is not, then one there is", wants(&["t9.pico", "t3.micro"]), empty()),
        ("no type", wants(&["t9.pico", "m9.huge"]), empty()),
        (
            "an image for another processor",
            changed(wants(&["t4g.micro"]), |spec| spec.image = Some(ImageId::new("ami-x86_64-2026"))),
            offers(|c| c.images.truncate(1)),
        ),
        (
            "an image that is not there",
            changed(spec(), |spec| spec.image = Some(ImageId::new("ami-404"))),
            offers(|c| c.images.clear()),
        ),
        ("no image at all", spec(), offers(|c| c.images.clear())),
        ("no image for the processor", wants(&["t4g.micro"]), offers(|c| c.images.truncate(2))),
        (
            "no default network",
            spec(),
            offers(|c| {
                c.vpc = None;
                c.subnets.clear();
            }),
        ),
        ("a network without subnets", spec(), offers(|c| c.subnets.clear())),
        (
            "subnets that will not do",
            spec(),
            offers(|c| {
                c.routes.main = false;
                c.routes.subnets.insert("subnet-a".to_owned(), true);
                c.subnets.iter_mut().for_each(|subnet| subnet.is_default = subnet.zone != "us-east-1a");
            }),
        ),
        (
            "one subnet that will do",
            spec(),
            offers(|c| {
                c.routes.main = false;
                c.routes.subnets.insert("subnet-b".to_owned(), true);
            }),
        ),
        (
            "a subnet of one's own",
            changed(spec(), |spec| spec.subnet = Some(SubnetId::new("subnet-e"))),
            offers(|c| {
                c.subnets = vec![Subnet { is_default: false, vpc: VpcId::new("vpc-2"), ..subnet('e') }];
                c.vpc = Some(VpcId::new("vpc-2"));
            }),
        ),
        (
            "a subnet that is not there",
            changed(spec(), |spec| spec.subnet = Some(SubnetId::new("subnet-x"))),
            offers(|c| {
                c.vpc = None;
                c.subnets.clear();
            }),
        ),
    ]);
    insta::assert_snapshot!(plans);
}

#[test]
fn a_machine_that_is_there() {
    let plans = show([
        ("all as it should be", spec(), running()),
        ("stopped", spec(), changed(running(), |o| own_machine(o).state = InstanceState::Stopped)),
        ("stopping", spec(), changed(running(), |o| own_machine(o).state = InstanceState::Stopping)),
        ("being made", spec(), changed(running(), |o| own_machine(o).state = InstanceState::Pending)),
        ("without an address", spec(), changed(running(), |o| own_machine(o).address = None)),
        (
            "a port that only the host knows, another range for SSH",
            changed(spec(), |spec| {
                spec.chat_port = None;
                spec.ssh_from = vec!["192.0.2.1/32".parse().unwrap()];
            }),
            changed(running(), |o| o.rules.push(rule(80, "0.0.0.0/0", ours()))),
        ),
        ("another port", changed(spec(), |spec| spec.chat_port = Some(23456)), running()),
        ("a rule was closed by hand", spec(), changed(running(), |o| o.rules.truncate(1))),
        (
            "a rule was opened by hand",
            spec(),
            changed(running(), |o| o.rules.push(rule(80, "0.0.0.0/0", Tags::new()))),
        ),
        (
            "from somewhere else",
            changed(spec(), |spec| spec.ssh_from = vec!["192.0.2.1/32".parse().unwrap()]),
            running(),
        ),
        ("SSH stays as it is", changed(spec(), |spec| spec.ssh_from = Vec::new()), running()),
        (
            "another type, image and place",
            changed(spec(), |spec| {
                spec.types = types(&["t3.micro", "t3.small"]);
                spec.image = Some(ImageId::new("ami-2"));
                spec.subnet = Some(SubnetId::new("subnet-b"));
            }),
            running(),
        ),
        (
            "moved to another group",
            spec(),
            changed(by_hand(), |o| {
                o.namesake = None;
                o.machine = Some((Ownership::Ours, machine("i-1", "sg-9", ours())));
                o.other_groups = vec![group("sg-1", "chat-deploy-myserver", ours())];
            }),
        ),
    ]);
    insta::assert_snapshot!(plans);
}

#[test]
fn a_machine_made_by_hand() {
    let adopts = || changed(spec(), |spec| spec.adopt = true);
    let web = || machine("i-7", "sg-9", named("web"));
    let nameless = || machine("i-8", "sg-9", Tags::new());
    let plans = show([
        ("not asked yet", spec(), by_hand()),
        ("adopted", adopts(), by_hand()),
        ("adopted with its ports closed", adopts(), changed(by_hand(), |o| o.rules.truncate(1))),
        (
            "adopted, stopped",
            adopts(),
            changed(by_hand(), |o| o.namesake.as_mut().unwrap().state = InstanceState::Stopped),
        ),
        ("in a group with others", adopts(), changed(by_hand(), |o| o.sharers = vec![web(), nameless()])),
        ("again", spec(), taken_over()),
        (
            "again, in a group with others",
            spec(),
            changed(taken_over(), |o| {
                o.rules.push(rule(22, "198.51.100.7/32", ours()));
                o.sharers = vec![web()];
            }),
        ),
        (
            "of another type than we would take",
            spec(),
            changed(taken_over(), |o| own_machine(o).kind = InstanceType::new("m5.large")),
        ),
    ]);
    insta::assert_snapshot!(plans);
}

#[test]
fn plans_to_leave_nothing() {
    let ending = |id: &str, state| Instance { state, ..machine(id, "sg-1", ours()) };
    let cases = [
        ("a machine of ours", running()),
        ("an adopted machine", taken_over()),
        ("an adopted machine that we opened nothing for", changed(taken_over(), |o| o.rules.truncate(1))),
        (
            "a machine on its way out",
            changed(running(), |o| {
                o.machine = None;
                o.ending = vec![
                    ending("i-1", InstanceState::ShuttingDown),
                    ending("i-0", InstanceState::Terminated),
                ];
            }),
        ),
        (
            "a terminated machine alone",
            Observed { ending: vec![ending("i-1", InstanceState::Terminated)], ..Observed::default() },
        ),
        ("a group alone", Observed { machine: None, key_pairs: Vec::new(), ..running() }),
        (
            "a key pair alone",
            Observed { key_pairs: vec![key_pair("chat-deploy-myserver-1")], ..Observed::default() },
        ),
        (
            "several groups and keys",
            changed(running(), |o| {
                o.other_groups = vec![group("sg-2", "chat-deploy-myserver", ours())];
                o.key_pairs.push(key_pair("chat-deploy-myserver-00000000"));
            }),
        ),
        (
            "somebody else uses our group",
            changed(running(), |o| {
                o.sharers = vec![machine("i-7", "sg-1", named("web"))];
            }),
        ),
        ("nothing there", Observed::default()),
    ];
    let plans =
        cases.map(|(title, observed)| format!("# {title}\n{}\n", diff_to_nothing(&observed).outline()));
    insta::assert_snapshot!(plans.join("\n"));
}

#[test]
fn what_progress_says() {
    let adopts = changed(spec(), |spec| spec.adopt = true);
    let stopped = changed(by_hand(), |o| o.namesake.as_mut().unwrap().state = InstanceState::Stopped);
    let going = changed(running(), |o| {
        let going = o.machine.take().unwrap().1;
        o.ending = vec![Instance { state: InstanceState::ShuttingDown, ..going }];
    });
    let pending = changed(running(), |o| own_machine(o).state = InstanceState::Pending);
    let plans = [
        diff(&spec(), &empty()).unwrap(),
        diff(&adopts, &stopped).unwrap(),
        diff(&spec(), &pending).unwrap(),
        diff_to_nothing(&running()),
        diff_to_nothing(&going),
        diff_to_nothing(&taken_over()),
    ];
    let lines = plans.iter().map(|plan| {
        plan.steps.iter().map(|step| format!("{}: {}\n", step.name(), step.what())).collect::<String>()
    });
    let lines = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(lines);
    let longest = plans.iter().flat_map(|plan| &plan.steps).map(|step| step.name().len()).max();
    assert_eq!(longest, Some(crate::ui::STEP_WIDTH));
}

#[test]
fn what_a_rule_lets_in() {
    let lets_all_in = |range: &str, rules: &[(&str, Option<u16>, Option<u16>)], port| {
        let rules = rules.iter().map(|(protocol, from_port, to_port)| GroupRule {
            id: RuleId::new("sgr-1"),
            rule: Rule {
                protocol: (*protocol).to_owned(),
                from_port: *from_port,
                to_port: *to_port,
                source: "198.51.100.0/24".to_owned(),
            },
            tags: Tags::new(),
        });
        Observed { rules: rules.collect(), ..Observed::default() }.lets_in(port, &range.parse().unwrap())
    };
    let lets_in = |rules: &[(&str, Option<u16>, Option<u16>)], port| {
        assert!(!lets_all_in("0.0.0.0/0", rules, port) && !lets_all_in("203.0.113.7/32", rules, port));
        lets_all_in("198.51.100.7/32", rules, port)
    };
    assert!(lets_in(&[("tcp", Some(22), Some(22))], 22));
    assert!(lets_in(&[("tcp", Some(1), Some(1024))], 22));
    assert!(lets_in(&[("-1", None, None)], 22));
    assert!(!lets_in(&[("tcp", Some(23), Some(1024))], 22));
    assert!(!lets_in(&[("udp", Some(22), Some(22))], 22));
    assert!(!lets_in(&[], 22));
}
