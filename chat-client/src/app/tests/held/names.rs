//! What was typed for one name is said under that name or not at all.

use super::*;

#[test]
fn what_was_meant_for_one_name_is_not_said_under_the_next() {
    let refused_once = || {
        let mut world = World::as_bob().back();
        world.told(refused("bob"));
        world.line("meant as bob");
        world
    };
    for (line, sent) in [
        ("/login carol pw", "send LOGIN carol:pw"),
        ("/leave", "send LEAVE"),
        ("/logout", "! never sent: meant as bob"),
    ] {
        let mut world = refused_once();
        let told = world.line(line);
        assert_eq!(
            told[..2],
            ["* no longer trying to log in as bob", "! never sent: meant as bob"],
            "{line}"
        );
        assert_eq!(told.last().unwrap(), sent);
        assert!(said(&world.later(1), "bob:pw").is_empty(), "it is not tried again");
    }
    // Another password for the same name changes nothing.
    let mut world = refused_once();
    assert_eq!(world.line("/login bob other"), ["send LOGIN bob:other"]);
    assert_eq!(said(&world.told(logged_in("bob")), "meant as bob"), ["send MESSAGE meant as bob"]);
    // The choice is made before the question is answered: the next attempt might succeed while it is open.
    let mut world = refused_once();
    let told = world.line("/login carol");
    assert_eq!(told[1..], ["! never sent: meant as bob", "ask hidden password of carol:"]);
    assert!(world.later(1).is_empty(), "it is not tried again");
    world.answer("pw");
    assert!(said(&world.told(logged_in("carol")), "meant as bob").is_empty());
}

#[test]
fn what_is_typed_behind_a_question_is_given_up_with_it_whatever_login_is_under_way() {
    let mut world = World::as_bob().back();
    assert_eq!(world.line("/login carol").last().unwrap(), "ask hidden password of carol:");
    world.line("/whoami");
    assert_eq!(world.event(Event::Answer(None)), ["* cancelled", "! not done: /whoami"]);
    // The attempt to be bob again is refused while the question is open: that is not what it stands behind.
    let mut world = World::as_bob().back();
    world.line("/login carol");
    world.line("/whoami");
    assert!(said(&world.told(refused("bob")), "/whoami").is_empty());
    world.answer("pw");
    assert_eq!(said(&world.told(logged_in("carol")), "WHOAMI"), ["send WHOAMI"]);
}

#[test]
fn two_attempts_at_one_name_are_not_in_each_others_way() {
    // By hand, and the next one is due before the answer.
    let mut world = World::as_bob().back();
    world.told(refused("bob"));
    world.line("meant as bob");
    assert_eq!(world.line("/login bob pw"), ["send LOGIN bob:pw"]);
    assert!(world.later(2).is_empty());
    assert!(world.app.deadline().unwrap() > world.now, "nobody waits for a time that has passed");
    assert_eq!(said(&world.told(logged_in("bob")), "meant as bob"), ["send MESSAGE meant as bob"]);
    // By hand while one is under way: the second is refused because the first was not.
    let mut world = World::as_bob().back();
    world.line("meant as bob");
    world.line("/login bob pw");
    assert!(said(&world.told(logged_in("bob")), "meant as bob").is_empty());
    assert_eq!(said(&world.told(refused("bob")), "meant as bob"), ["send MESSAGE meant as bob"]);
}

#[test]
fn a_login_that_fails_takes_nothing_with_it_that_stands_behind_another_command() {
    for (line, sent) in [
        ("/login bob right", "send LOGIN bob:right"),
        ("/leave", "send LEAVE"),
        ("/logout", "! not logged in"),
    ] {
        let mut world = World::person().connected();
        world.line("/login bob wrong");
        for line in ["for bob", line, "for whoever it is"] {
            assert_eq!(world.line(line), ["* kept until what came before is done"]);
        }
        let told = world.told(refused("bob"));
        assert_eq!(told[2..4], ["! never sent: for bob", sent]);
        let then = if line.starts_with("/login") { world.told(logged_in("bob")) } else { told };
        assert_eq!(said(&then, "for whoever it is"), ["send MESSAGE for whoever it is"], "{line}");
    }
    // A registration makes nobody somebody else.
    let mut world = World::person().connected();
    world.line("/login bob wrong");
    world.line("/register carol pw");
    world.line("for bob");
    assert_eq!(world.told(refused("bob"))[2..], ["! not done: /register", "! never sent: for bob"]);
}

#[test]
fn who_logs_out_or_leaves_is_not_brought_back_by_a_lost_connection() {
    let as_bob = || {
        let mut world = World::as_bob();
        world.line("/join");
        world.packet(PacketType::JOIN, "Server: bob joined the chat room\n");
        world
    };
    let back = |mut world: World| {
        world.event(Event::Lost(reset()));
        world.line("typed as nobody");
        world.later(1);
        world.opened(ours(), noise())[3..].to_vec()
    };
    let mut world = as_bob();
    world.line("/logout");
    assert_eq!(back(world), ["send JOIN", "send MESSAGE typed as nobody"]);
    let mut world = as_bob();
    world.line("/leave");
    assert_eq!(back(world), ["send MESSAGE typed as nobody"]);
    // What was asked for last counts.
    let mut world = as_bob();
    for line in ["/leave", "/join", "/login carol pw"] {
        world.line(line);
    }
    assert_eq!(back(world), ["send LOGIN carol:pw", "send JOIN"]);
}

#[test]
fn only_what_the_server_is_asked_waits_for_a_login() {
    let mut world = World::person().connected();
    world.line("/login bob pw");
    assert!(world.line("/encryption")[0].starts_with("* encrypted"), "at once");
    assert_eq!(world.line("/forget bob"), ["keyring bob@home:1 known forget"]);
    assert_eq!(world.line("/forget"), ["* kept until what came before is done"], "whose, is to be seen");
}

#[test]
fn what_stands_behind_one_login_is_not_given_up_with_another() {
    let mut world = World::as_bob().back();
    world.line("/login carol pw");
    assert_eq!(world.line("meant as carol"), ["* kept until what came before is done"]);
    assert!(said(&world.told(refused("bob")), "meant as carol").is_empty());
    assert_eq!(said(&world.told(logged_in("carol")), "meant as carol"), ["send MESSAGE meant as carol"]);
}
