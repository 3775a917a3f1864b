//! What is heavy: texts made to take time or memory.

use super::*;

/// More than a picture of anything takes, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn no_text_takes_the_screens_time() {
    let mut world = World::new();
    for part in
        ["`a`", "``", "`a\n", "http://a ", "http://a` ", "http", "https://", "\n", "a", "e\u{301}", "日"]
    {
        let text = part.repeat(1024 * 1024 / part.len());
        let started = Instant::now();
        world.say(&format!("mallory: {text}"));
        for width in [80, 79] {
            world.picture(width, 24);
        }
        assert!(started.elapsed() < PATIENCE, "{part:?} takes {:?}", started.elapsed());
    }
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let mut world = World::new();
    world.say(&format!("bob: {}end", "日".repeat(100_000)));
    world.text(PacketType::JOIN, &format!("Server: {} joined the chat room", "x".repeat(100_000)));
    world.picture(80, 24);
    let texts: Vec<_> = world.screen.conversation.log.entries().map(Entry::text).collect();
    assert!(texts[0].len() < 70_000 && texts[0].ends_with("bytes more)"));
    assert!(texts[1].len() < 2_000 && texts[1].ends_with("bytes more) joined"));
}

#[test]
fn only_what_is_in_view_is_laid_out() {
    let mut world = World::new();
    for i in 0..500 {
        world.say(&format!("bob: message {i}"));
        world.picture(80, 24);
    }
    let laid_out = |world: &World| world.screen.conversation.log.laid_out();
    assert!(laid_out(&world) <= 24, "{}", laid_out(&world));
    for key in [KeyCode::PageUp, KeyCode::PageUp, KeyCode::PageUp, KeyCode::PageDown] {
        world.key(key);
        world.picture(80, 24);
        // The last one besides: whether the end is in view depends on it.
        assert!(laid_out(&world) <= 25, "{}", laid_out(&world));
    }
}

#[test]
fn comings_and_goings_are_within_the_limit_too() {
    let scrollback = Scrollback { entries: 100, bytes: 256 * 1024 };
    let mut world = World::with(Look { scrollback, ..Look::default() });
    for i in 0..1000 {
        world.text(PacketType::JOIN, &format!("Server: {}{i} joined the chat room", "x".repeat(900)));
    }
    let kept: usize = world.screen.conversation.log.entries().map(Entry::bytes).sum();
    assert!(kept <= scrollback.bytes, "{kept}");
}
