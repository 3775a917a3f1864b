//! Keys: lines, answers, history, completion, scrolling, searching.

use ratatui::crossterm::event::{MouseEvent, MouseEventKind};

use super::*;

#[test]
fn lines_go_out_when_they_are_wanted_and_wait_until_then() {
    let mut world = World::new();
    assert!(world.screen.want_line(TabId::FIRST).is_none());
    assert_eq!(world.line("hello"), ["remember hello", "line hello"]);
    assert_eq!(world.line("too early"), ["remember too early"]);
    assert_eq!(world.line("/login alice secret"), Vec::<String>::new());
    assert!(matches!(world.screen.want_line(TabId::FIRST), Some(Event::Line(line)) if line == "too early"));
    assert!(
        matches!(world.screen.want_line(TabId::FIRST), Some(Event::Line(line)) if line == "/login alice secret")
    );
    assert!(world.screen.want_line(TabId::FIRST).is_none());
}

#[test]
fn a_message_may_have_several_lines() {
    let mut world = World::new();
    world.screen.want_line(TabId::FIRST);
    world.type_text("one");
    world.press(KeyCode::Enter, KeyModifiers::ALT);
    world.type_text("two");
    world.ctrl('j');
    world.screen.handle(TerminalEvent::Paste("three\r\nfour\rfive".to_owned()));
    let rows = world.rows(40, 16);
    assert_eq!(rows[11..], ["> one", "  two", "  three", "  four", "  five"]);
    assert_eq!(world.key(KeyCode::Enter)[1], "line one\ntwo\nthree\nfour\nfive");
}

#[test]
fn an_answer_is_hidden_and_what_was_being_typed_comes_back() {
    let mut world = World::new();
    world.type_text("half a li");
    world.screen.ask(TabId::FIRST, &Question { prompt: "password of alice: ".to_owned(), hidden: true });
    world.type_text("s3cret");
    assert_eq!(world.rows(40, 5)[4], "password of alice: ******");
    world.key(KeyCode::Up);
    world.key(KeyCode::Tab);
    world.ctrl('j');
    assert_eq!(world.key(KeyCode::Enter), ["answer s3cret"]);
    assert_eq!(world.rows(40, 5)[4], "> half a li");
    world.key(KeyCode::Up);
    assert_eq!(world.rows(40, 5)[4], "> an older line");
    world.screen.ask(TabId::FIRST, &Question { prompt: "sure? ".to_owned(), hidden: false });
    assert_eq!(world.ctrl('c'), ["Interrupt"]);
    assert_eq!(world.rows(40, 5)[4], "> an older line");
    world.screen.ask(TabId::FIRST, &Question { prompt: "sure? ".to_owned(), hidden: false });
    assert_eq!(world.ctrl('d'), ["Answer(None)"]);
}

#[test]
fn a_password_typed_ahead_of_its_question_is_neither_said_nor_remembered() {
    let mut world = World::new();
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.line("/login carol"), ["remember /login carol", "line /login carol"]);
    assert!(world.line("hunter2").is_empty());
    assert!(world.rows(60, 12).iter().any(|row| row.ends_with("! not taken: wait for the question")));
    world.screen.ask(TabId::FIRST, &Question { prompt: "password of carol: ".to_owned(), hidden: true });
    assert_eq!(world.line("hunter2"), ["answer hunter2"]);
    // A new one is asked for twice.
    assert!(world.line("hunter2").is_empty());
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.line("hello"), ["remember hello", "line hello"]);
    // Behind an answer that is no password no question is to come.
    world.screen.ask(TabId::FIRST, &Question { prompt: "sure? ".to_owned(), hidden: false });
    assert_eq!(world.line("y"), ["answer y"]);
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.line("aloud"), ["remember aloud", "line aloud"]);
    world.key(KeyCode::Up);
    world.key(KeyCode::Up);
    world.key(KeyCode::Up);
    assert_eq!(world.rows(40, 5)[4], "> /login carol");
    world.ctrl('c');

    // The login waits for something; the client says so.
    world.screen.follow(TabId::FIRST, Status { awaits_password: true, ..status() });
    world.screen.want_line(TabId::FIRST);
    assert!(world.line("hunter2").is_empty() && world.line("/hunter2").is_empty());
    assert_eq!(world.rows(40, 5)[4], ">");
    assert_eq!(world.line("/disconnect"), ["remember /disconnect", "line /disconnect"]);

    // One that is not wanted yet.
    let mut world = World::new();
    assert_eq!(world.line("/register carol"), ["remember /register carol"]);
    assert!(world.line("hunter2").is_empty());
    assert!(world.screen.want_line(TabId::FIRST).is_some());
    assert!(world.line("hunter2").is_empty());
    assert!(world.screen.want_line(TabId::FIRST).is_none());
}

#[test]
fn a_password_on_the_line_is_masked() {
    let mut world = World::new();
    world.type_text("/login alice s3cret");
    assert_eq!(world.rows(40, 5)[4], "> /login alice ******");
}

#[test]
fn escape_and_a_slash_in_one_are_both_obeyed() {
    let mut world = World::new();
    assert!(world.press(KeyCode::Char('/'), KeyModifiers::ALT).is_empty());
    world.type_text("login zed secret");
    assert_eq!(world.rows(40, 5)[4], "> /login zed ******");
}

#[test]
fn control_c_empties_the_line_first_and_control_d_leaves_an_empty_one() {
    let mut world = World::new();
    world.type_text("x");
    assert!(world.ctrl('d').is_empty() && world.ctrl('c').is_empty());
    assert_eq!(world.ctrl('c'), ["Interrupt"]);
    assert!(world.ctrl('d').is_empty() && world.key(KeyCode::Left).is_empty());
    assert!(world.ctrl('d').is_empty());
    assert_eq!(world.ctrl('d'), ["EndOfInput"]);
    assert_eq!((world.ctrl('z'), world.ctrl('l')), (vec!["suspend".to_owned()], vec!["redraw".to_owned()]));
}

#[test]
fn tab_completes_and_turns_round() {
    let mut world = World::new();
    world.type_text("Cl");
    world.key(KeyCode::Tab);
    world.type_text("hi b");
    world.key(KeyCode::Tab);
    assert_eq!(world.rows(40, 5)[4], "> Client-3: hi bob");
    world.press(KeyCode::BackTab, KeyModifiers::SHIFT);
    assert_eq!(world.rows(40, 5)[4], "> Client-3: hi b");
}

#[test]
fn what_is_no_command_stays_to_be_corrected() {
    let mut world = World::new();
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.line("/etc/hosts is old"), ["line /etc/hosts is old"]);
    assert_eq!(world.rows(40, 5)[4], "> /etc/hosts ******");
    world.ctrl('u');
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.line("/nick bob"), ["line /nick bob"], "obeyed nowhere, and not remembered");
    assert_eq!(world.rows(40, 5)[4], "> /nick bob");
    world.ctrl('u');
    assert_eq!(world.rows(40, 5)[4], ">");
    world.type_text("/etc/hosts is old");
    world.key(KeyCode::Home);
    world.type_text("see ");
    world.screen.want_line(TabId::FIRST);
    assert_eq!(world.key(KeyCode::Enter)[1], "line see /etc/hosts is old");
    world.screen.want_line(TabId::FIRST);
    world.screen.handle(TerminalEvent::Paste("/join\r\n\r\n".to_owned()));
    assert_eq!(world.key(KeyCode::Enter), ["remember /join", "line /join"]);
    assert_eq!(world.rows(40, 5)[4], ">");
}

#[test]
fn a_question_that_was_interrupted_from_elsewhere_is_gone() {
    let mut world = World::new();
    world.screen.ask(TabId::FIRST, &Question { prompt: "sure? ".to_owned(), hidden: false });
    world.screen.withdraw_question();
    assert_eq!(world.rows(40, 5)[4], ">");
}

/// Says `count` things.
fn talkative(count: usize) -> World {
    let mut world = World::with(Look { users: false, ..Look::default() });
    for i in 0..count {
        world.say(&format!("bob: line {i} is here"));
    }
    world
}

#[test]
fn scrolling_stays_where_it_is_whatever_comes_and_however_wide_the_screen_is() {
    let mut world = talkative(100);
    let last = |world: &mut World, width| world.rows(width, 12)[9].clone();
    assert_eq!(last(&mut world, 60), "12:04   bob: line 99 is here");
    world.key(KeyCode::PageUp);
    assert_eq!(last(&mut world, 60), "12:04   bob: line 91 is here");
    for _ in 0..50 {
        world.say("bob: something new that is rather long so that it is broken on a narrow screen");
    }
    assert_eq!(last(&mut world, 60), "12:04   bob: line 91 is here");
    assert_eq!(last(&mut world, 20), "  bob: line 91 is");
    assert!(world.rows(60, 12)[10].ends_with("58 below, Esc: to the end"));
    world.screen.handle(TerminalEvent::Mouse(MouseEvent {
        kind: MouseEventKind::ScrollUp,
        column: 0,
        row: 0,
        modifiers: KeyModifiers::NONE,
    }));
    assert_eq!(last(&mut world, 60), "12:04   bob: line 88 is here");
    world.press(KeyCode::Home, KeyModifiers::CONTROL);
    assert_eq!(
        world.rows(60, 12)[..2],
        ["───────────────── Sunday, 22 November 2026 ─────────────────", "12:04   bob: line 0 is here"]
    );
    world.key(KeyCode::PageUp);
    assert_eq!(world.rows(60, 12)[1], "12:04   bob: line 0 is here");
    world.key(KeyCode::Esc);
    assert!(last(&mut world, 60).ends_with("narrow screen"));
    for _ in 0..3 {
        world.key(KeyCode::PageUp);
    }
    for _ in 0..3 {
        world.key(KeyCode::PageDown);
    }
    assert!(world.screen.is_attended());
}

#[test]
fn what_is_kept_is_bounded() {
    let mut world =
        World::with(Look { scrollback: Scrollback { entries: 50, bytes: 20_000 }, ..Look::default() });
    for i in 0..100 {
        world.say(&format!("bob: line {i}"));
    }
    assert_eq!(world.screen.conversation.log.entries().count(), 50);
    world.key(KeyCode::PageUp);
    world.picture(60, 12);
    for _ in 0..20 {
        world.say(&format!("bob: {}", "long ".repeat(3000)));
        world.picture(60, 12);
    }
    assert_eq!(world.screen.conversation.log.entries().count(), 1);
    for i in 0..100 {
        world.text(PacketType::JOIN, &format!("Server: Client-{i} joined the chat room"));
    }
    world.screen.command(TabId::FIRST, &ScreenCommand::Clear);
    assert_eq!(world.rows(60, 12)[9], "");
    assert_eq!(world.screen.transcript(TabId::FIRST), "");
}

#[test]
fn searching_goes_up_and_says_when_there_is_no_more() {
    let mut world = talkative(100);
    world.picture(60, 12);
    world.ctrl('f');
    world.type_text("LINE 4");
    assert_eq!(world.rows(60, 12)[11], "search: LINE 4");
    for found in ["line 49", "line 48"] {
        world.key(KeyCode::Enter);
        let rows = world.rows(60, 12);
        assert!(rows.iter().any(|row| row.contains(found)), "{rows:#?}");
    }
    world.line("7");
    world.key(KeyCode::Enter);
    assert_eq!(world.rows(60, 12)[11], "nothing above: LINE 47");
    world.key(KeyCode::Esc);
    world.key(KeyCode::Esc);
    assert!(world.screen.is_attended());
    world.screen.command(TabId::FIRST, &ScreenCommand::Search("line 5".to_owned()));
    assert!(world.rows(60, 12).iter().any(|row| row.contains("line 59")));
    assert!(world.ctrl('c').is_empty());
    assert_eq!(world.rows(60, 12)[11], ">");
}

#[test]
fn a_transcript_has_what_was_said_and_when() {
    let mut world = World::new();
    world.say("bob: hello\nthere");
    world.show(&Show::Note("a remark".to_owned()));
    assert_eq!(
        world.screen.transcript(TabId::FIRST),
        "2026-11-22 12:04:00   bob: hello\n    there\n2026-11-22 12:04:00 * a remark\n"
    );
}

#[test]
fn ctrl_c_empties_the_line_and_ctrl_y_brings_it_back_unless_it_is_secret() {
    let mut world = World::new();
    for (typed, back) in [("a long message", "a long message"), ("/login alice s3cret", "a long message")] {
        world.type_text(typed);
        assert!(world.press(KeyCode::Char('c'), KeyModifiers::CONTROL).is_empty());
        assert_eq!(world.screen.conversation.draft.text(), "");
        world.press(KeyCode::Char('y'), KeyModifiers::CONTROL);
        assert_eq!(world.screen.conversation.draft.text(), back);
        world.press(KeyCode::Char('u'), KeyModifiers::CONTROL);
    }
}

#[test]
fn what_was_found_stays_in_view_when_the_search_ends() {
    let mut world = World::new();
    for i in 0..100 {
        world.say(&format!("bob: message {i} ends"));
    }
    world.picture(80, 10);
    world.press(KeyCode::Char('f'), KeyModifiers::CONTROL);
    world.line("message 42 ");
    assert!(world.rows(80, 10)[8].ends_with("53 below, Esc: end the search"));
    world.key(KeyCode::Esc);
    assert!(world.rows(80, 10)[8].ends_with("53 below, Esc: to the end"));
    world.type_text("typed");
    let rows = world.rows(80, 10);
    assert!(rows.iter().any(|row| row.contains("message 42 ")), "{rows:#?}");
    assert!(rows.iter().any(|row| row.contains("> typed")), "{rows:#?}");
    world.key(KeyCode::Esc);
    let rows = world.rows(80, 10);
    assert!(rows.iter().any(|row| row.contains("message 99 ")), "{rows:#?}");
}

#[test]
fn the_screens_own_remarks_are_of_the_day_even_after_everything_was_cleared() {
    let mut world = World::new();
    world.say("bob: hello");
    world.screen.command(TabId::FIRST, &ScreenCommand::Clear);
    world.screen.command(TabId::FIRST, &ScreenCommand::Keys);
    let at = world.at;
    assert!(world.screen.conversation.log.entries().all(|entry| entry.at == at));
    assert!(world.screen.conversation.log.entries().next().is_some());
}

#[test]
fn who_came_and_went_is_found_and_written_down_whether_it_was_drawn_or_not() {
    let mut world = World::new();
    for name in ["bob", "carol", "dave", "erin", "frank"] {
        world.text(PacketType::JOIN, &format!("Server: {name} joined the chat room"));
    }
    let expected = "2026-11-22 12:04:00 ~ bob joined\n    carol joined\n    dave joined\n    erin joined\n    frank joined\n";
    for _ in 0..2 {
        assert_eq!(world.screen.transcript(TabId::FIRST), expected);
        world.screen.command(TabId::FIRST, &ScreenCommand::Search("FRANK".to_owned()));
        assert!(world.screen.search.as_ref().is_some_and(|search| search.found.is_some()));
        world.picture(60, 12);
    }
}

#[test]
fn somebody_is_named_in_capitals_too() {
    let mut world = World::new();
    for (text, expected) in [
        ("bob: alice, look", true),
        ("bob: Alice: ping", true),
        ("bob: ALICE!", true),
        ("bob: malice", false),
        ("alice: I am alice", false),
    ] {
        assert_eq!(world.say(text), expected, "{text}");
    }
}
