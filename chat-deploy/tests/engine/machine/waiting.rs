//! Waits: they heed an interrupt, say what they see, and end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use chat_client::link::error_chain;
use chat_deploy::cloud::Cloud as _;
use chat_deploy::interrupt::Interrupt;
use chat_deploy::machine::apply::{ApplyError, Engine, apply};
use chat_deploy::report::{Event, Report};

use super::{assert_up, engine, plan_up, spec, up};
use crate::cloud::FakeCloud;

#[test]
fn an_interrupt_is_heeded_while_waiting() {
    struct Stop<'a>(&'a Interrupt);
    impl Report for Stop<'_> {
        fn event(&self, event: &Event<'_>) {
            if matches!(event, Event::Progress { .. }) {
                self.0.set();
            }
        }
    }
    let cloud = FakeCloud::new(0);
    let (spec, interrupt) = (spec(), Interrupt::default());
    let plan = plan_up(&cloud, &spec).unwrap();
    let engine = Engine { report: &Stop(&interrupt), ..engine(&cloud, &spec, &interrupt) };
    let result = apply(&engine, &plan);
    assert!(matches!(result, Err(ApplyError::CutOff { step: "launch" })), "{result:?}");
    up(&cloud).unwrap();
    assert_up(&cloud, "after an interrupt");
}

#[test]
fn a_wait_ends_and_says_what_was_seen_last() {
    let cloud = FakeCloud::new(0);
    let (spec, interrupt) = (spec(), Interrupt::default());
    let plan = plan_up(&cloud, &spec).unwrap();
    let hasty = Engine { state_timeout: Duration::from_secs(2), ..engine(&cloud, &spec, &interrupt) };
    insta::assert_snapshot!(apply(&hasty, &plan).unwrap_err());
}

/// Keeps the last sign of progress.
#[derive(Default)]
struct LastNote(RefCell<String>);

impl Report for LastNote {
    fn event(&self, event: &Event<'_>) {
        if let Event::Progress { note, .. } = event {
            self.0.replace((*note).to_owned());
        }
    }
}

#[test]
fn what_never_shows_is_named_while_it_is_waited_for_and_at_the_end() {
    let said: Vec<_> = (0..20)
        .filter_map(|call| {
            let cloud = FakeCloud::new(0);
            let (spec, interrupt) = (spec(), Interrupt::default());
            let plan = plan_up(&cloud, &spec).unwrap();
            let name = spec.key_name();
            cloud.meanwhile(call, move |cloud| cloud.delete_key_pair(&name).unwrap());
            let note = LastNote::default();
            let engine = Engine { report: &note, ..engine(&cloud, &spec, &interrupt) };
            let error @ ApplyError::Invisible { .. } = apply(&engine, &plan).err()? else {
                return None;
            };
            assert_eq!(cloud.pins(), BTreeMap::new());
            Some(format!("{}\n{}", note.0.take(), error_chain(&error)))
        })
        .collect();
    assert!(!said.is_empty());
    insta::assert_snapshot!(said[0]);
}
