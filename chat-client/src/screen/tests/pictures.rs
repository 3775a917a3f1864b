//! Pictures.

use super::*;

/// A conversation with a bit of everything.
fn conversation() -> World {
    let mut world = World::new();
    world.show(&Show::Note("connected to chat.example:12345; encrypted with Noise".to_owned()));
    world.text(PacketType::CONNECT, "Server: Client-1 has connected to the server");
    world.text(PacketType::JOIN, "Server: Client-1 joined the chat room");
    world.text(PacketType::LOGIN, "Server: Client-1 logged in as alice");
    world.text(PacketType::JOIN, "Server: Client-2 joined the chat room");
    world.say("bob: hello alice, have a look at https://chat.example/a?b=c.");
    world.say("alice: it says `cargo test`\nand on a second line something that is long enough to be broken somewhere");
    world.at = date(2026, 11, 23).at(0, 1, 0, 0);
    world.say("bob: 日本語のテキストは幅が二倍あります 👨\u{200d}👩\u{200d}👧 שלום עולם");
    world.text(PacketType::LEAVE, "Server: bob left the chat room");
    world.show(&Show::Error("there is no command /jion; did you mean /join?".to_owned()));
    world.show(&Show::Hint("/help lists the commands".to_owned()));
    world
}

#[test]
fn a_wide_screen_has_everything() {
    insta::assert_snapshot!(conversation().picture(100, 20));
}

#[test]
fn a_narrow_screen_leaves_out_who_is_there() {
    insta::assert_snapshot!(conversation().picture(50, 20));
}

#[test]
fn tiny_screens_show_what_they_can() {
    let mut world = conversation();
    world.type_text("typed text that is longer than the screen is wide");
    let pictures: Vec<_> = [(20, 6), (20, 3), (20, 2), (20, 1), (3, 3), (1, 1)]
        .map(|(width, height)| world.picture(width, height))
        .into();
    insta::assert_snapshot!(pictures.join("\n\n"));
}

#[test]
fn any_size_can_be_drawn_and_scrolled() {
    let mut world = conversation();
    world.type_text("日本語 and more");
    for width in 0..40 {
        for height in 0..12 {
            let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, width, height));
            let cursor = world.screen.draw(&mut buffer, world.started);
            assert!(cursor.is_none_or(|at| at.x < width && at.y < height));
            world.key(if width % 2 == 0 { KeyCode::PageUp } else { KeyCode::PageDown });
        }
    }
}

#[test]
fn without_colours_and_on_light_ground_everything_is_told_apart() {
    let red = Some(ratatui::style::Color::Red);
    let own = Colours { text: red, background: red, server: red, notes: red, errors: red, presence: red };
    for (theme, colours) in [
        (Theme::Dark, Colours::default()),
        (Theme::Light, Colours::default()),
        (Theme::Plain, Colours::default()),
        (Theme::Plain, own),
    ] {
        let mut world = World::with(Look { theme, colours, users: false, ..Look::default() });
        world.say("bob: hello alice");
        world.say("bob: hello");
        world.show(&Show::Error("no".to_owned()));
        let area = ratatui::layout::Rect::new(0, 0, 40, 6);
        let mut buffer = Buffer::empty(area);
        world.screen.draw(&mut buffer, world.started);
        let at = |x, y| buffer.cell((x, y)).unwrap().style();
        // The name of who names me stands out from the same name elsewhere, which is bold; errors have a sign of their own.
        assert!(
            at(8, 1).add_modifier.contains(Modifier::REVERSED)
                && !at(8, 2).add_modifier.contains(Modifier::REVERSED)
        );
        assert!(at(8, 2).add_modifier.contains(Modifier::BOLD));
        assert_eq!(buffer.cell((6, 3)).unwrap().symbol(), "!");
        let colours = area.positions().filter(|at| {
            let cell = buffer.cell(*at).unwrap();
            (cell.fg, cell.bg) != (ratatui::style::Color::Reset, ratatui::style::Color::Reset)
        });
        assert_eq!(colours.count() > 0, theme != Theme::Plain);
    }
}

#[test]
fn rows_that_terminals_may_have_drawn_otherwise_are_written_whole_and_others_are_not() {
    let mut world = World::with(Look { users: false, ..Look::default() });
    let mut before = Buffer::empty(ratatui::layout::Rect::new(0, 0, 40, 6));
    // How many cells of each row are written anew.
    let mut written = |world: &mut World| {
        let mut buffer = Buffer::empty(before.area);
        world.screen.draw(&mut buffer, world.started);
        let mut rows = [0; 6];
        before.diff_iter(&buffer).for_each(|(_, y, _)| rows[usize::from(y)] += 1);
        before = buffer;
        rows
    };
    world.say("bob: 👍🏽 lovely words");
    world.say("bob: 日本語 é");
    written(&mut world);
    // One row has a letter whose width is a matter of opinion; nothing is written behind its left half.
    assert_eq!(written(&mut world), [0, 0, 39, 0, 0, 0]);
    world.say("bob: 日本語 é");
    world.say("bob: 日本語 é");
    // What it left is gone from the whole row where it was.
    assert_eq!(written(&mut world), [39, 37, 37, 0, 0, 0]);
    world.say("bob: 日本語 é");
    assert_eq!(written(&mut world), [37, 0, 0, 0, 0, 0]);
    assert_eq!(written(&mut world), [0; 6]);
}

#[test]
fn nothing_that_peers_send_is_obeyed() {
    let mut world = World::new();
    let nasty = "\u{1b}]0;title\u{7}\u{9b}2J\r\u{8}\u{202e}\u{2066}\u{feff}\u{e0041}";
    world.say(&format!("mal{nasty}lory: {nasty} hi\n12:04   bob: forged"));
    world.text(PacketType::JOIN, &format!("Server: {nasty} joined the chat room"));
    world.text(PacketType::WHOAMI, nasty);
    world.say(&format!("bob: a{} b", "\u{301}".repeat(1000)));
    world.show(&Show::Error(nasty.to_owned()));
    world.screen.follow(
        TabId::FIRST,
        Status { me: Some(nasty.to_owned()), users: Some(vec![nasty.to_owned()]), ..status() },
    );
    world.screen.ask(TabId::FIRST, &Question { prompt: format!("{nasty}? "), hidden: false });
    let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 100, 20));
    world.screen.draw(&mut buffer, world.started);
    for cell in buffer.content() {
        assert!(cell.symbol().chars().count() <= 16, "{:?}", cell.symbol());
        assert!(
            !cell.symbol().chars().any(|c| c != '\u{200d}' && chat_core::names::is_unprintable(c)),
            "{:?}",
            cell.symbol()
        );
    }
    assert!(!world.screen.title().chars().any(chat_core::names::is_unprintable));
    // A further line of a message is set off, so that it cannot pass for a message.
    let rows = world.rows(100, 20);
    assert!(rows.iter().any(|row| row.starts_with("          12:04   bob: forged")), "{rows:#?}");
}

#[test]
fn comings_and_goings_are_one_sentence_or_many() {
    let mut world = World::with(Look { users: false, ..Look::default() });
    for i in 1..=6 {
        world.text(PacketType::JOIN, &format!("Server: Client-{i} joined the chat room"));
    }
    world.text(PacketType::LEAVE, "Server: Client-2 left the chat room");
    let folded = "12:04 ~ Client-1, Client-3, Client-4 and 2 more joined; Client-2 joined and left";
    assert!(world.rows(80, 12).contains(&folded.to_owned()));
    world.screen.command(TabId::FIRST, &ScreenCommand::Fold);
    let rows = world.rows(80, 12);
    assert!(rows.contains(&"          Client-2 left".to_owned()), "{rows:#?}");
    let off = "* folding is off: every coming and going has a line of its own";
    assert!(rows.iter().any(|row| row.ends_with(off)), "{rows:#?}");
    world.screen.command(TabId::FIRST, &ScreenCommand::Fold);
    let rows = world.rows(90, 12);
    let on = "* folding is on: comings and goings that follow each other are one sentence";
    assert!(rows.iter().any(|row| row.ends_with(on)), "{rows:#?}");
}

#[test]
fn one_sentence_says_what_has_become_of_everybody() {
    let joined = |who: &str| (PacketType::JOIN, format!("Server: {who} joined the chat room"));
    let left = |who: &str| (PacketType::LEAVE, format!("Server: {who} left the chat room"));
    let logged_in = |who: &str| (PacketType::LOGIN, format!("Server: Client-1 logged in as {who}"));
    let logged_out = |who: &str| (PacketType::LOGOUT, format!("Server: {who} logged out"));
    for (changes, expected) in [
        (vec![joined("bob"), joined("carol"), left("carol"), joined("carol")], "bob, carol joined"),
        (vec![left("bob"), joined("bob"), joined("carol")], "bob left and came back; carol joined"),
        (vec![left("bob"), joined("bob"), left("bob")], "bob left"),
        (
            vec![logged_in("bob"), logged_in("carol"), logged_out("bob"), logged_in("bob")],
            "Client-1 logged in as carol, Client-1 logged in as bob",
        ),
        (vec![joined("bob"), logged_in("bob"), logged_out("bob")], "bob joined; bob logged out"),
    ] {
        let mut world = World::with(Look { users: false, ..Look::default() });
        for (kind, text) in changes {
            world.text(kind, &text);
        }
        assert_eq!(world.rows(80, 12)[9], format!("12:04 ~ {expected}"));
    }
}

#[test]
fn what_comes_while_nobody_looks_is_counted_and_marked() {
    let mut world = World::with(Look { users: false, ..Look::default() });
    world.say("bob: seen");
    world.picture(60, 10);
    world.screen.handle(TerminalEvent::FocusLost);
    world.say("bob: unseen");
    assert!(world.say("bob: alice?") && !world.say("bob: malice"));
    world.show(&Show::Note("a remark".to_owned()));
    assert_eq!(world.screen.title(), "(3!) chat chat.example:12345");
    let rows = world.rows(60, 10);
    let mark = rows.iter().position(|row| row.contains("─ unread ─")).unwrap();
    assert!(rows[mark - 1].ends_with("bob: seen") && rows[mark + 1].ends_with("bob: unseen"), "{rows:#?}");
    world.screen.handle(TerminalEvent::FocusGained);
    assert!(world.rows(60, 10).iter().any(|row| row.contains("─ unread ─")));
    assert_eq!(world.screen.title(), "chat chat.example:12345");
    world.line("an answer");
    assert!(!world.rows(60, 10).iter().any(|row| row.contains("─ unread ─")));
}

#[test]
fn the_status_line_says_what_is_wrong_and_leaves_out_what_does_not_fit() {
    let mut world = World::new();
    let until = world.started + Duration::from_secs(3600);
    let mut last = |status: Status, width| {
        world.screen.follow(TabId::FIRST, status);
        world.rows(width, 5)[3].trim().to_owned()
    };
    assert_eq!(
        last(status(), 100),
        format!("alice · chat.example:12345 · encrypted {}… · 3 in the room · 12 ms", fingerprint())
    );
    for (width, expected) in [
        (73, "alice · chat.example:12345 · encrypted SHA256:cs1uhCLE… · 3 in the room"),
        (58, "alice · chat.example:12345 · encrypted · 3 in the room"),
        (40, "alice · chat.example:12345 · encrypted"),
        (36, "alice · chat.example:… · encrypted"),
        (20, "alice"),
    ] {
        assert_eq!(last(status(), width), expected, "{width}");
    }
    let alone = Status { joined: false, users: None, ..status() };
    assert_eq!(last(alone.clone(), 58), "alice · chat.examp… · encrypted · not in the room: /join");
    assert_eq!(last(alone, 40), "alice · not in the room: /join");
    assert_eq!(
        last(Status { joined: false, users: None, ..status() }, 100).split(" · ").last(),
        Some("12 ms")
    );
    let worst = Status { protection: Some(Protection::Classic), joined: false, ..status() };
    assert_eq!(last(worst.clone(), 68), "alice · classic, can be read by others · not in the room: /join");
    assert_eq!(last(worst, 60), "alice · classic, can be read by others");
    let plain = Status { protection: Some(Protection::Plain), ..status() };
    assert!(last(plain.clone(), 100).contains("· not encrypted ·"));
    assert_eq!(last(plain, 24), "alice · not encrypted");
    let classic = Status { protection: Some(Protection::Classic), ..status() };
    assert_eq!(last(classic.clone(), 61), "alice · chat.example:12345 · classic, can be read by others");
    assert_eq!(last(classic.clone(), 56), "alice · chat.example… · classic, can be read by others");
    assert_eq!(last(classic.clone(), 40), "alice · classic, can be read by others");
    assert_eq!(last(classic, 34), "classic, can be read by others");
    let offline = Status {
        stage: Stage::Offline,
        me: None,
        protection: None,
        joined: false,
        round_trip: None,
        users: None,
        ..status()
    };
    assert_eq!(last(offline.clone(), 100), "not connected · chat.example:12345");
    assert!(
        last(Status { stage: Stage::Waiting { until }, ..offline }, 100)
            .starts_with("reconnecting in 3600 s ·")
    );
}

fn fingerprint() -> String {
    Fingerprint::of(&[1; 32]).to_string()[..15].to_owned()
}

#[test]
fn explanations_are_read_from_their_beginning_in_columns_that_fit() {
    let mut world = World::new();
    world.say("bob: hello");
    world.picture(80, 24);
    let help = Show::Help(crate::app::command::help(None).unwrap());
    world.show(&help);
    insta::assert_snapshot!(world.picture(80, 24));
    for _ in 0..3 {
        world.key(KeyCode::PageDown);
    }
    assert!(world.screen.is_attended());
    world.show(&Show::Help(crate::app::command::help(Some("join")).unwrap()));
    assert!(world.screen.is_attended());
    assert_eq!(world.rows(60, 24)[19], "12:04 ? /join           enter the chat room: be on the user");
}
