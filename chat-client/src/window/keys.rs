//! Which keys are the screen's, as on a terminal. The rest edit the line, as everywhere in windows: that is the text field's.

use eframe::egui::{Event, Key, Modifiers};
use ratatui::crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};

/// What `/keys` shows.
pub(super) const HELP: &str = "\
Return; Shift-Return, Alt-Return     send; begin another line
Tab, Shift-Tab                       complete a command, its argument, a name; the next, the one before
Up, Down                             what was typed before, in earlier sessions too
Ctrl-R                               what was typed before and has in it what is typed now; again, the one before
PageUp, PageDown, the wheel          scroll
Ctrl-Home; Ctrl-End, Esc             to the beginning; to the end
Alt-1 to Alt-9, Alt-Left, Alt-Right  another server's tab, and so do Ctrl-Tab and Ctrl-Shift-Tab
Ctrl-F, then Return or Ctrl-F; Esc   search, further up; end the search, with what was found in view
Ctrl-plus, Ctrl-minus, Ctrl-0        larger, smaller, as it was
";

/// Takes what is the screen's out of what was pressed; returns it as a terminal would say it.
pub(super) fn take(events: &mut Vec<Event>) -> Vec<TerminalEvent> {
    let mut taken = Vec::new();
    // With Alt, a system may send the letter as well.
    let mut mutes = false;
    events.retain(|event| match event {
        Event::Key { key, pressed, modifiers, .. } => {
            let Some(press) = translate(*key, *modifiers) else { return true };
            if *pressed {
                mutes |= modifiers.alt;
                taken.push(TerminalEvent::Key(press));
            }
            false
        }
        Event::Text(_) => !mutes,
        _ => true,
    });
    taken
}

/// Says what a terminal would say of a key; `None` if it edits the line.
fn translate(key: Key, modifiers: Modifiers) -> Option<KeyEvent> {
    let Modifiers { alt, shift, command, .. } = modifiers;
    let plain = !alt && !command;
    let pressed = |code, modifiers| Some(KeyEvent::new(code, modifiers));
    match key {
        Key::Enter if alt || shift => pressed(KeyCode::Enter, KeyModifiers::ALT),
        Key::Enter => pressed(KeyCode::Enter, KeyModifiers::NONE),
        // What turns pages everywhere in windows, in words that the screen knows.
        Key::Tab if modifiers.ctrl => {
            pressed(if shift { KeyCode::PageUp } else { KeyCode::PageDown }, KeyModifiers::CONTROL)
        }
        Key::Tab if shift => pressed(KeyCode::BackTab, KeyModifiers::NONE),
        Key::Tab => pressed(KeyCode::Tab, KeyModifiers::NONE),
        Key::ArrowUp if plain && !shift => pressed(KeyCode::Up, KeyModifiers::NONE),
        Key::ArrowDown if plain && !shift => pressed(KeyCode::Down, KeyModifiers::NONE),
        Key::ArrowLeft if alt => pressed(KeyCode::Left, KeyModifiers::ALT),
        Key::ArrowRight if alt => pressed(KeyCode::Right, KeyModifiers::ALT),
        Key::PageUp | Key::PageDown => {
            let held = if command { KeyModifiers::CONTROL } else { KeyModifiers::NONE };
            pressed(if key == Key::PageUp { KeyCode::PageUp } else { KeyCode::PageDown }, held)
        }
        Key::Home if command => pressed(KeyCode::Home, KeyModifiers::CONTROL),
        Key::End if command => pressed(KeyCode::End, KeyModifiers::CONTROL),
        Key::Escape => pressed(KeyCode::Esc, KeyModifiers::NONE),
        Key::F if command => pressed(KeyCode::Char('f'), KeyModifiers::CONTROL),
        Key::R if command => pressed(KeyCode::Char('r'), KeyModifiers::CONTROL),
        _ if alt => pressed(KeyCode::Char(digit(key)?), KeyModifiers::ALT),
        _ => None,
    }
}

fn digit(key: Key) -> Option<char> {
    let digits =
        [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];
    ('1'..='9').zip(digits).find(|(_, digit)| *digit == key).map(|(c, _)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(key: Key, modifiers: Modifiers) -> Event {
        Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
    }

    fn said(key: Key, modifiers: Modifiers) -> Option<(KeyCode, KeyModifiers)> {
        translate(key, modifiers).map(|key| (key.code, key.modifiers))
    }

    #[test]
    fn the_screen_has_its_keys_and_the_line_the_others() {
        const NONE: Modifiers = Modifiers::NONE;
        let control = Modifiers::CTRL | Modifiers::COMMAND;
        for (key, modifiers, expected) in [
            (Key::Enter, NONE, Some((KeyCode::Enter, KeyModifiers::NONE))),
            (Key::Enter, Modifiers::SHIFT, Some((KeyCode::Enter, KeyModifiers::ALT))),
            (Key::Enter, Modifiers::ALT, Some((KeyCode::Enter, KeyModifiers::ALT))),
            (Key::Tab, Modifiers::SHIFT, Some((KeyCode::BackTab, KeyModifiers::NONE))),
            (Key::Tab, control, Some((KeyCode::PageDown, KeyModifiers::CONTROL))),
            (Key::ArrowUp, NONE, Some((KeyCode::Up, KeyModifiers::NONE))),
            (Key::Num2, Modifiers::ALT, Some((KeyCode::Char('2'), KeyModifiers::ALT))),
            (Key::F, control, Some((KeyCode::Char('f'), KeyModifiers::CONTROL))),
            (Key::R, control, Some((KeyCode::Char('r'), KeyModifiers::CONTROL))),
            (Key::End, control, Some((KeyCode::End, KeyModifiers::CONTROL))),
            (Key::ArrowUp, Modifiers::SHIFT, None),
            (Key::ArrowLeft, control, None),
            (Key::Num2, NONE, None),
            (Key::A, control, None),
            (Key::Home, NONE, None),
            (Key::F, NONE, None),
        ] {
            assert_eq!(said(key, modifiers), expected, "{key:?} {modifiers:?}");
        }
    }

    #[test]
    fn what_is_the_screens_is_taken_out_and_alt_types_nothing() {
        let mut events = vec![
            press(Key::A, Modifiers::NONE),
            Event::Text("a".to_owned()),
            press(Key::Num1, Modifiers::ALT),
            Event::Text("1".to_owned()),
        ];
        let taken = take(&mut events);
        assert_eq!(taken.len(), 1);
        assert_eq!(events, [press(Key::A, Modifiers::NONE), Event::Text("a".to_owned())]);
    }
}
