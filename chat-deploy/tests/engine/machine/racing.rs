//! Two deployers at work on one instance, the second between any two calls of the first.

use chat_deploy::machine::Machine;

use super::{Trouble, assert_nothing_left, assert_up, down, histories, up, world};
use crate::cloud::FakeCloud;

/// Lets another deployer do `other` before each call of `up` in turn.
fn with_another_at_every_call(
    other: fn(&FakeCloud),
    check: impl Fn(&FakeCloud, &str, Result<Option<Machine>, Trouble>),
) {
    for (name, history) in histories() {
        for call in 0.. {
            assert!(call < 200, "{name} never ends");
            let cloud = world(1, history);
            cloud.meanwhile(call, other);
            let result = up(&cloud);
            let came = cloud.end_run();
            check(&cloud, &format!("after {name}, at call {call}"), result);
            if !came {
                break;
            }
        }
    }
}

#[test]
fn two_ups_at_once_make_one_machine() {
    with_another_at_every_call(
        |cloud| drop(up(cloud).unwrap()),
        |cloud, when, result| {
            result.unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
            assert_up(cloud, when);
        },
    );
}

#[test]
fn an_up_and_a_down_at_once_can_be_followed_by_either() {
    let other = |cloud: &FakeCloud| drop(down(cloud));
    with_another_at_every_call(other, |cloud, when, _| {
        cloud.account().settle();
        up(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_up(cloud, when);
    });
    with_another_at_every_call(other, |cloud, when, _| {
        cloud.account().settle();
        down(cloud).unwrap_or_else(|trouble| panic!("{when}: {trouble:?}"));
        assert_nothing_left(cloud, when);
    });
}
