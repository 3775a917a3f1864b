//! Several servers at once.

use super::*;

const SECOND: TabId = TabId(1);
const THIRD: TabId = TabId(2);

fn place(name: &str) -> Status {
    Status { address: ServerAddress::new(name, 12345), ..status() }
}

fn several() -> World {
    let mut world = World::with(Look { users: false, ..Look::default() });
    world.screen.follow(SECOND, place("work.example"));
    world.screen.follow(THIRD, place("third.example"));
    world
}

impl World {
    fn say_in(&mut self, tab: TabId, text: &str) {
        self.screen.show(tab, self.at, &Show::Text { kind: PacketType::MESSAGE, text: format!("{text}\n") });
    }
}

#[test]
fn a_new_server_comes_into_view_and_what_others_say_is_counted() {
    let mut world = several();
    assert_eq!(world.screen.tab(), THIRD);
    world.say_in(TabId::FIRST, "bob: one");
    world.say_in(TabId::FIRST, "bob: two");
    world.say_in(SECOND, "bob: alice!");
    world.say_in(THIRD, "bob: here");
    assert_eq!(world.screen.title(), "(3!) chat third.example:12345");
    insta::assert_snapshot!(world.picture(80, 6));
    world.press(KeyCode::Char('1'), KeyModifiers::ALT);
    let rows = world.rows(80, 6);
    assert!(
        rows[0].starts_with(" 1 (2) chat.example:12345  2 (1!) work") && rows[3].ends_with("bob: two"),
        "{rows:#?}"
    );
    assert!(world.rows(80, 6)[0].starts_with(" 1 chat.example:12345  2 (1!) work"));
    assert_eq!(world.rows(8, 3).len(), 3);
}

#[test]
fn a_server_with_a_name_is_called_by_it() {
    let mut world = several();
    world.screen.follow(SECOND, Status { name: Some("work".to_owned()), ..place("work.example") });
    let rows = world.rows(80, 6);
    assert!(rows[0].starts_with(" 1 chat.example:12345  2 work  3 third.example:12345"), "{rows:#?}");
    world.press(KeyCode::Char('2'), KeyModifiers::ALT);
    assert_eq!(world.screen.title(), "chat work");
    assert!(
        world.rows(80, 6).iter().any(|row| row.contains("work.example:12345")),
        "the whole address below"
    );
}

#[test]
fn every_server_has_its_own_line_being_typed() {
    let mut world = several();
    world.screen.want_line(TabId::FIRST);
    world.type_text("for the third");
    world.press(KeyCode::Right, KeyModifiers::ALT);
    assert_eq!(world.screen.tab(), TabId::FIRST);
    assert_eq!(world.line("for the first"), ["remember for the first", "line for the first"]);
    world.press(KeyCode::PageUp, KeyModifiers::CONTROL);
    assert_eq!((world.screen.tab(), world.rows(40, 5)[4].as_str()), (THIRD, "> for the third"));
    world.screen.ask(SECOND, &Question { prompt: "sure? ".to_owned(), hidden: false });
    assert_eq!(world.rows(40, 5)[4], "> for the third");
    world.press(KeyCode::Left, KeyModifiers::ALT);
    assert_eq!(world.rows(40, 5)[4], "sure?");
}

#[test]
fn closing_brings_a_neighbour_into_view_and_leaves_the_last() {
    let mut world = several();
    world.press(KeyCode::Char('2'), KeyModifiers::ALT);
    world.screen.close(SECOND);
    assert_eq!(world.screen.tab(), THIRD);
    world.screen.close(THIRD);
    world.screen.close(TabId::FIRST);
    assert_eq!(world.screen.tab(), TabId::FIRST);
    assert!(!world.screen.show(SECOND, world.at, &Show::Note("late".to_owned())));
}

#[test]
fn what_was_being_typed_stays_in_its_tab() {
    let mut world = several();
    world.line("a line that was sent");
    world.type_text("only for the third");
    world.key(KeyCode::Up);
    world.press(KeyCode::Char('1'), KeyModifiers::ALT);
    world.key(KeyCode::Down);
    assert_eq!(world.screen.conversation.draft.text(), "");
    world.press(KeyCode::Char('3'), KeyModifiers::ALT);
    assert_eq!(world.screen.conversation.draft.text(), "a line that was sent");
    world.key(KeyCode::Down);
    assert_eq!(world.screen.conversation.draft.text(), "only for the third");
}

#[test]
fn a_command_concerns_the_tab_it_was_typed_in_whichever_is_in_view() {
    let mut world = several();
    world.say_in(SECOND, "bob: in the second");
    world.say_in(THIRD, "bob: in the third");
    let screen = &mut world.screen;
    assert_eq!(screen.tab(), THIRD);
    assert!(screen.transcript(SECOND).ends_with("bob: in the second\n"));
    screen.command(SECOND, &ScreenCommand::Fold);
    screen.command(SECOND, &ScreenCommand::Search("bob".to_owned()));
    assert!(screen.search.is_none());
    let said = screen.transcript(SECOND);
    assert!(said.contains("has a line of its own") && said.ends_with("another tab was in view\n"), "{said}");
    screen.command(SECOND, &ScreenCommand::Clear);
    assert_eq!(screen.transcript(SECOND), "");
    screen.command(SECOND, &ScreenCommand::Keys);
    assert!(!screen.transcript(SECOND).is_empty());
    assert!(screen.transcript(THIRD).ends_with("bob: in the third\n"));
    assert_eq!(screen.transcript(THIRD).lines().count(), 1);
}

#[test]
fn sixteen_tabs_say_which_they_are_and_the_one_in_view_is_among_them() {
    let mut world = World::with(Look { users: false, ..Look::default() });
    for i in 1..16 {
        world.screen.follow(TabId(i), place(&format!("server{i}.example")));
    }
    world.say_in(TabId(1), "bob: alice!");
    world.say_in(TabId(14), "bob: hello");
    for (width, expected) in [
        (80, "‹ 11 server…  12 server…  13 server…  14 server…  15 (1) se…  16 server…"),
        (40, "‹ 14 server…  15 (1) se…  16 server…"),
        (12, "‹ 16 server…"),
    ] {
        assert_eq!(world.rows(width, 6)[0], expected, "{width}");
    }
    let all = &world.rows(192, 6)[0];
    assert!(all.starts_with(" 1 chat.ex…  2 (1!) se…  3 server2…") && all.ends_with(" 16 server…"), "{all}");
    world.press(KeyCode::Char('1'), KeyModifiers::ALT);
    assert_eq!(world.rows(40, 6)[0], " 1 chat.ex…  2 (1!) se…  3 server2…    ›");
    world.press(KeyCode::Char('8'), KeyModifiers::ALT);
    assert_eq!(world.rows(40, 6)[0], "‹ 7 server6…  8 server7…  9 server8…   ›");
    // Somebody is named there, to the left.
    let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, 40, 6));
    world.screen.draw(&mut buffer, world.started);
    let style = |x| buffer.cell((x, 0)).unwrap().style();
    assert_eq!(style(0).fg, Theme::Dark.part(Part::StatusWarning).fg);
    assert_eq!(style(39).fg, Theme::Dark.part(Part::Status).fg);
}

#[test]
fn tab_knows_the_servers_that_have_a_name_and_those_that_are_talked_with() {
    let mut world =
        World::with(Look { servers: vec!["home".to_owned(), "work".to_owned()], ..Look::default() });
    world.screen.follow(SECOND, place("third.example"));
    for (typed, expected) in [
        ("/connect w", "/connect work"),
        ("/connect t", "/connect third.example:12345"),
        ("/connect c", "/connect chat.example:12345"),
    ] {
        world.type_text(typed);
        world.key(KeyCode::Tab);
        assert_eq!(world.screen.conversation.draft.text(), expected);
        world.ctrl('u');
    }
}
