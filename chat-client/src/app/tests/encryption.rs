//! Switches of encryption.

use super::*;

#[test]
fn encryption_from_the_start_is_explained_once() {
    let mut world = World::person();
    world.event(Event::Start { connect: true });
    let opened = world.opened(Peer::Original, Protection::Classic);
    assert!(opened[0].contains("; classic encryption: "), "{opened:?}");
    let switched = |world: &mut World| {
        let text = "Server: Encryption turned on for Client-1\n".to_owned();
        world.event(Event::Incoming(Incoming::Switched { protection: Protection::Classic, text }))
    };
    assert_eq!(switched(&mut world), ["| Server: Encryption turned on for Client-1"]);
    world.line("/encryption classic");
    assert_eq!(switched(&mut world).len(), 2, "and again when somebody asks for it");
}

#[test]
fn encryption_is_switched_only_where_that_makes_sense() {
    let check = |peer: Peer, protection, line: &str, expected: &str| {
        let mut world = World::person();
        world.event(Event::Start { connect: true });
        world.opened(peer, protection);
        let effects = world.line(line);
        assert!(effects.last().unwrap().starts_with(expected), "{line}: {effects:?}");
    };
    for (line, ours_plain, ours_noise, ours_classic, original_plain, original_classic) in [
        (
            "/encryption on",
            "switch Noise",
            "* encrypted with Noise",
            "! classic",
            "ask turn classic",
            "switch Classic",
        ),
        ("/encryption noise", "switch Noise", "* encrypted", "! another", "! an original", "! another"),
        (
            "/encryption classic",
            "switch Classic",
            "! another",
            "switch Classic",
            "switch Classic",
            "switch Classic",
        ),
        (
            "/encryption off",
            "* encryption is off",
            "switch Off",
            "switch Off",
            "* encryption is off",
            "switch Off",
        ),
        ("/encryption", "* not encrypted", "* encrypted", "* classic", "* not encrypted", "* classic"),
    ] {
        check(ours(), Protection::Plain, line, ours_plain);
        check(ours(), noise(), line, ours_noise);
        check(ours(), Protection::Classic, line, ours_classic);
        check(Peer::Original, Protection::Plain, line, original_plain);
        check(Peer::Original, Protection::Classic, line, original_classic);
    }
}

#[test]
fn a_switch_is_told_and_one_that_failed_changes_nothing() {
    let mut world = World::person().connected();
    world.line("/encryption off");
    let text = "Server: Encryption turned off for Client-1\n".to_owned();
    let off = world.event(Event::Incoming(Incoming::Switched { protection: Protection::Plain, text }));
    assert_eq!(off[0], "| Server: Encryption turned off for Client-1");
    assert!(world.app.wants_line());
    world.line("/encryption on");
    assert_eq!(
        world.event(Event::NotSwitched(changed()))[0].split(':').next(),
        Some("! the identity of home")
    );
    assert!(world.app.wants_line());
    assert!(world.line("/encryption")[0].starts_with("* not encrypted"));
}
