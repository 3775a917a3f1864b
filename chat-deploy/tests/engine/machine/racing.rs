//! Two deployers at work on one instance, the second between any two calls of the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chat_deploy::cloud::{Cloud as _, InstanceType, Tags};
use chat_deploy::machine::{Machine, tags};

use super::{Trouble, assert_nothing_left, assert_up, down, histories, ours, up, world};
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

#[test]
fn the_number_of_the_client_token_goes_back_only_between_a_look_and_a_note() {
    let mut lost = 0;
    for call in 0..40 {
        let cloud = FakeCloud::new(0);
        cloud.account().refused.insert(InstanceType::new("t2.micro"), "InsufficientInstanceCapacity");
        let is_counted = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&is_counted);
        cloud.meanwhile(call, move |cloud| {
            for group in cloud.groups_tagged(&ours()).unwrap() {
                let further = Tags::from([(tags::GENERATION.to_owned(), "7".to_owned())]);
                cloud.tag(group.id.as_str(), &further).unwrap();
                other.store(true, Ordering::Relaxed);
            }
        });
        up(&cloud).unwrap();
        cloud.end_run();
        let group = cloud.groups_tagged(&ours()).unwrap().remove(0);
        let number: u32 = group.tags[tags::GENERATION].parse().unwrap();
        lost += u32::from(is_counted.load(Ordering::Relaxed) && number < 7);
    }
    // EC2 cannot compare and set a tag, so there is one such moment for each of the two zones that refuse the type.
    assert!(lost <= 2, "{lost}");
}
