//! The engine over a machine in memory: it reaches what should be from wherever it starts, also after it failed or was
//! killed at any moment of any history.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of a test may fail as loudly as the test"
)]
#![cfg_attr(
    feature = "ssh",
    expect(clippy::indexing_slicing, reason = "the helpers of a test may fail as loudly as the test")
)]

#[cfg(feature = "ssh")]
mod cloud;
mod fake;
#[cfg(feature = "ssh")]
mod machine;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use chat_deploy::apply::{ApplyError, Engine, RolledBack, apply};
use chat_deploy::clock::Clock as _;
use chat_deploy::config::ServerConfig;
use chat_deploy::desired::Desired;
use chat_deploy::diff::{diff, diff_to_nothing};
use chat_deploy::host::{Host as _, HostError};
use chat_deploy::observe::observe;
use chat_deploy::plan::Plan;
use chat_deploy::release::{Release, ReleaseId, digest};
use chat_deploy::steps::check::Sick;
use proptest::prelude::*;

use fake::{FAULTS, Fault, Killed, World};

fn release(version: &str) -> Release {
    let digest = digest::of_bytes(version.as_bytes());
    let id = ReleaseId::new(version, &digest);
    Release { id, digest, size_bytes: 1000, deployed_at: 0, origin: "/build/chat-server".into() }
}

fn desired(world: &World, version: &str, port: u16) -> Desired {
    let config = ServerConfig::render(world.listen(port), Path::new("/data"), &toml::Table::new());
    Desired { release: release(version), config, keep_releases: Some(3), deploys: true, restore: None }
}

fn engine(world: &World) -> Engine<'_> {
    Engine {
        host: world,
        health: world,
        pins: world,
        clock: world,
        interrupt: &world.interrupt,
        report: world,
        start_timeout: Duration::from_secs(20),
        settling_time: Duration::from_secs(3),
    }
}

fn plan_up(world: &World, desired: &Desired) -> Plan {
    diff(
        desired,
        &world.reach(&desired.config),
        &observe(world, world.state().unwrap(), world, world).unwrap(),
    )
}

fn plan_down(world: &World) -> Plan {
    diff_to_nothing(&observe(world, world.state().unwrap(), world, world).unwrap(), true)
}

/// Carries a plan out, or as much of it as happens before the deployer is killed.
fn carry_out(world: &World, plan: &Plan) -> Option<Result<(), ApplyError>> {
    world.made_data.set(false);
    match catch_unwind(AssertUnwindSafe(|| apply(&engine(world), plan))) {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Killed>() => None,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

fn up(world: &World, version: &str, port: u16) -> Option<Result<(), ApplyError>> {
    carry_out(world, &plan_up(world, &desired(world, version, port)))
}

/// Checks that a healthy server runs what it should, alone, and that nothing is left to do.
fn assert_up(world: &World, version: &str, port: u16) {
    let state = world.state().unwrap();
    let wanted = Some(release(version).id);
    assert_eq!(state.process.and_then(|process| process.release), wanted);
    assert_eq!((state.current, state.unconfirmed), (wanted, None));
    assert_eq!(world.known.borrow().lookup(&world.reach(&state.config.unwrap())), Some(World::identity()));
    assert_eq!(plan_up(world, &desired(world, version, port)), Plan::default());
    assert_eq!(world.overlaps.get(), 0);
}

fn assert_nothing_left(world: &World) {
    assert!(world.state().unwrap().is_empty(), "{:?}", world.disk.borrow());
    assert_eq!(world.known.borrow().pins().count(), 0);
    assert_eq!(plan_down(world), Plan::default());
}

/// What may have gone before: its name, and how it comes about.
type History = (&'static str, fn(&World));

fn histories() -> Vec<History> {
    vec![
        ("nothing", |_| {}),
        ("another release", |world| up(world, "1", 1).unwrap().unwrap()),
        ("another port", |world| up(world, "2", 9).unwrap().unwrap()),
        ("a crash", |world| {
            up(world, "2", 1).unwrap().unwrap();
            world.crash();
        }),
        ("many releases", |world| {
            for version in ["4", "5", "6", "7"] {
                up(world, version, 1).unwrap().unwrap();
            }
        }),
        ("a kill before the check", |world| {
            up(world, "1", 1).unwrap().unwrap();
            // Journal, stop, configuration, link, start: killed after the last of these.
            world.fault.set(Some((6, Fault::KilledAfter)));
            assert!(up(world, "3", 1).is_none());
            assert!(world.state().unwrap().unconfirmed.is_some());
        }),
    ]
}

/// Runs `act` in a world with this history, with every fault at every moment in turn, and hands the result to `check`.
fn with_every_fault(act: impl Fn(&World) -> bool, check: impl Fn(&World, &str)) {
    for (name, history) in histories() {
        for fault in FAULTS {
            let mut moment = 0;
            loop {
                let world = World::new();
                history(&world);
                world.fault.set(Some((moment, fault)));
                let done = act(&world);
                let fault_came = world.fault.replace(None).is_none();
                check(&world, &format!("after {name}, {fault:?} at change {moment}"));
                if !fault_came {
                    assert!(done, "after {name}, without a fault");
                    break;
                }
                moment += 1;
                assert!(moment < 100, "{name} never ends");
            }
        }
    }
}

#[test]
fn up_reaches_what_should_be() {
    for (name, history) in histories() {
        let world = World::new();
        history(&world);
        up(&world, "2", 1).unwrap().unwrap_or_else(|error| panic!("after {name}: {error:?}"));
        assert_up(&world, "2", 1);
        assert!(world.state().unwrap().releases.len() <= 3);
    }
}

#[test]
fn up_again_goes_on_from_any_fault() {
    with_every_fault(
        |world| up(world, "2", 1).is_some_and(|result| result.is_ok()),
        |world, when| {
            up(world, "2", 1).unwrap().unwrap_or_else(|error| panic!("{when}: {error:?}"));
            assert_up(world, "2", 1);
        },
    );
}

#[test]
fn down_leaves_nothing_after_any_fault_of_up() {
    with_every_fault(
        |world| up(world, "2", 1).is_some_and(|result| result.is_ok()),
        |world, when| {
            let plan = plan_down(world);
            carry_out(world, &plan).unwrap().unwrap_or_else(|error| panic!("{when}: {error:?}"));
            // A pin for an instance that went before it had an identity on disk is not recognised as its own.
            assert_nothing_left(world);
        },
    );
}

#[test]
fn down_again_goes_on_from_any_fault() {
    with_every_fault(
        |world| {
            let plan = plan_down(world);
            carry_out(world, &plan).is_some_and(|result| result.is_ok())
        },
        |world, when| {
            let plan = plan_down(world);
            carry_out(world, &plan).unwrap().unwrap_or_else(|error| panic!("{when}: {error:?}"));
            assert_nothing_left(world);
        },
    );
}

#[test]
fn a_bad_release_gives_way_to_the_former_by_itself() {
    for bad in ["crash", "silent", "brief"] {
        let world = World::new();
        up(&world, "1", 1).unwrap().unwrap();
        let before = world.disk.borrow().clone();
        let Some(Err(ApplyError::Unhealthy(unhealthy))) = up(&world, bad, 1) else {
            panic!("{bad} is not healthy");
        };
        assert!(matches!(&unhealthy.rolled_back, RolledBack::To(former) if *former == release("1").id));
        assert_eq!(unhealthy.log, ["the last words"]);
        assert_up(&world, "1", 1);
        assert_eq!(world.disk.borrow().releases, before.releases);
    }
}

#[test]
fn a_host_that_went_back_by_itself_is_believed() {
    let world = World::new();
    up(&world, "1", 1).unwrap().unwrap();
    world.is_guarded.set(true);
    let Some(Err(ApplyError::Unhealthy(unhealthy))) = up(&world, "crash", 1) else {
        panic!("it is not healthy");
    };
    assert!(
        matches!(&unhealthy.source, Sick::WentBack { why } if why == "it ended"),
        "{:?}",
        unhealthy.source
    );
    assert!(matches!(&unhealthy.rolled_back, RolledBack::To(former) if *former == release("1").id));
    assert_up(&world, "1", 1);
    // Nobody waits for a release to settle where the host does.
    let before = world.now();
    up(&world, "brief", 1).unwrap().unwrap();
    assert!(world.now() - before < Duration::from_secs(8));
}

#[test]
fn a_backup_is_put_in_place_before_the_first_release_and_never_over_data() {
    let world = World::new();
    let wanted = Desired { restore: Some("/backup.tar".into()), ..desired(&world, "1", 1) };
    carry_out(&world, &plan_up(&world, &wanted)).unwrap().unwrap();
    let again = carry_out(&world, &plan_up(&world, &wanted)).unwrap();
    assert!(matches!(
        again,
        Err(ApplyError::Host { step: "restore", source: HostError::HasData { .. }, .. })
    ));
    assert_up(&world, "1", 1);
    // It was not made by the first release, so it stays when that fails.
    let world = World::new();
    let wanted = Desired { restore: Some("/backup.tar".into()), ..desired(&world, "crash", 1) };
    carry_out(&world, &plan_up(&world, &wanted)).unwrap().unwrap_err();
    assert!(world.disk.borrow().data);
}

#[test]
fn a_bad_first_release_leaves_nothing() {
    let world = World::new();
    let Some(Err(ApplyError::Unhealthy(unhealthy))) = up(&world, "crash", 1) else {
        panic!("it is not healthy");
    };
    assert!(matches!(unhealthy.rolled_back, RolledBack::Nothing));
    assert_nothing_left(&world);
}

#[test]
fn a_bad_release_with_any_fault_still_lets_a_good_one_in() {
    with_every_fault(
        |world| up(world, "crash", 1).is_some(),
        |world, when| {
            up(world, "2", 1).unwrap().unwrap_or_else(|error| panic!("{when}: {error:?}"));
            assert_up(world, "2", 1);
        },
    );
}

#[test]
fn a_killed_run_still_knows_what_to_return_to() {
    let world = World::new();
    up(&world, "1", 1).unwrap().unwrap();
    world.fault.set(Some((6, Fault::KilledAfter)));
    assert!(up(&world, "silent", 1).is_none());
    let Some(Err(ApplyError::Unhealthy(unhealthy))) = up(&world, "silent", 1) else {
        panic!("it is not healthy");
    };
    assert!(matches!(&unhealthy.rolled_back, RolledBack::To(former) if *former == release("1").id));
    assert_up(&world, "1", 1);
}

#[test]
fn a_refused_configuration_stops_nothing() {
    let world = World::new();
    up(&world, "1", 1).unwrap().unwrap();
    let before = world.disk.borrow().clone();
    let mut wanted = desired(&world, "2", 1);
    wanted.config.text.push_str("refused = true\n");
    let result = carry_out(&world, &plan_up(&world, &wanted)).unwrap();
    assert!(matches!(result, Err(ApplyError::Host { step: "activate", .. })));
    assert_eq!(*world.disk.borrow(), before);
}

#[test]
fn a_refused_configuration_touches_nothing_of_a_run_that_was_cut_off() {
    let world = World::new();
    // Prepare, install in two, journal, stop, configuration, link, start: killed after the last of these.
    world.fault.set(Some((7, Fault::KilledAfter)));
    assert!(up(&world, "1", 1).is_none());
    let before = world.disk.borrow().clone();
    assert!(before.data && before.server.is_some() && before.journal.is_some());
    for version in ["1", "2"] {
        let mut wanted = desired(&world, version, 1);
        wanted.config.text.push_str("refused = true\n");
        let result = carry_out(&world, &plan_up(&world, &wanted)).unwrap();
        assert!(matches!(result, Err(ApplyError::Host { step: "activate", .. })));
        assert_eq!(*world.disk.borrow(), before);
    }
    // A release that fails for another reason does not take the data along either.
    assert!(up(&world, "crash", 1).unwrap().is_err());
    assert!(world.disk.borrow().data);
}

#[test]
fn a_change_that_fails_half_way_starts_the_former_again() {
    let world = World::new();
    up(&world, "1", 1).unwrap().unwrap();
    // Install in two, journal, stop; the configuration cannot be written.
    world.fault.set(Some((4, Fault::Refused)));
    let Some(Err(ApplyError::Unhealthy(unhealthy))) = up(&world, "2", 1) else {
        panic!("the configuration was written");
    };
    assert!(matches!(&unhealthy.rolled_back, RolledBack::To(former) if *former == release("1").id));
    assert_up(&world, "1", 1);
}

#[test]
fn an_interrupt_is_heeded_between_steps() {
    let world = World::new();
    world.interrupt.set();
    assert!(matches!(up(&world, "1", 1), Some(Err(ApplyError::Interrupted { before: "prepare" }))));
    assert_nothing_left(&world);
}

#[test]
fn an_interrupted_wait_leaves_the_new_server_to_be_confirmed() {
    let world = World::new();
    up(&world, "1", 1).unwrap().unwrap();
    let plan = plan_up(&world, &desired(&world, "silent", 1));
    let activate = Plan { steps: plan.steps.into_iter().skip(1).collect() };
    world.install(&release("silent"), &mut |_| {}).unwrap();
    // Set from the first step on, it is seen in the wait, since there is no step between.
    let waiting = Engine { report: &SetOnStart(&world), ..engine(&world) };
    assert!(matches!(apply(&waiting, &activate), Err(ApplyError::Interrupted { before: "confirm" })));
    assert!(world.state().unwrap().unconfirmed.is_some());
}

struct SetOnStart<'a>(&'a World);

impl chat_deploy::report::Report for SetOnStart<'_> {
    fn event(&self, _: &chat_deploy::report::Event<'_>) {
        self.0.interrupt.set();
    }
}

/// One thing that happens to an instance.
#[derive(Clone, Debug)]
enum Deed {
    Up(&'static str, u16),
    Down,
    Crash,
}

fn deed() -> impl Strategy<Value = (Deed, Option<(usize, Fault)>)> {
    let version = prop::sample::select(vec!["1", "2", "3", "4", "crash", "silent", "brief"]);
    let deed = prop_oneof![
        6 => (version, 1_u16..3).prop_map(|(version, port)| Deed::Up(version, port)),
        1 => Just(Deed::Down),
        1 => Just(Deed::Crash),
    ];
    (deed, prop::option::of((0_usize..16, prop::sample::select(FAULTS.to_vec()))))
}

proptest! {
    #[test]
    fn after_any_history_up_converges_and_down_leaves_nothing(history in prop::collection::vec(deed(), 0..8)) {
        let world = World::new();
        for (deed, fault) in history {
            world.fault.set(fault);
            match deed {
                Deed::Up(version, port) => drop(up(&world, version, port)),
                Deed::Down => drop(carry_out(&world, &plan_down(&world))),
                Deed::Crash => world.crash(),
            }
        }
        world.fault.set(None);
        up(&world, "1", 1).unwrap().unwrap();
        assert_up(&world, "1", 1);
        carry_out(&world, &plan_down(&world)).unwrap().unwrap();
        prop_assert!(world.state().unwrap().is_empty());
    }
}
