//! The screen by example: pictures at several sizes, and what keys do to them.

mod heavy;
mod pictures;
mod tabs;
mod typing;

use std::time::{Duration, Instant};

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;
use chat_core::packet::PacketType;
use jiff::civil::{DateTime, date};
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Modifier;

use super::*;
use crate::app::Stage;
use crate::app::command::ScreenCommand;
use crate::link::{Basis, Protection};

/// A screen that somebody sits at.
struct World {
    screen: Screen,
    at: DateTime,
    started: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Look::default())
    }

    fn with(look: Look) -> Self {
        let mut screen = Screen::new(look, vec!["an older line".to_owned()]);
        screen.follow(TabId::FIRST, status());
        Self { screen, at: date(2026, 11, 22).at(12, 4, 0, 0), started: Instant::now() }
    }

    fn show(&mut self, show: &Show) -> bool {
        self.screen.show(TabId::FIRST, self.at, show)
    }

    /// Shows a text of the server.
    fn text(&mut self, kind: PacketType, text: &str) -> bool {
        self.show(&Show::Text { kind, text: format!("{text}\n") })
    }

    fn say(&mut self, text: &str) -> bool {
        self.text(PacketType::MESSAGE, text)
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<String> {
        let acts = self.screen.handle(TerminalEvent::Key(KeyEvent::new(code, modifiers)));
        acts.iter().map(short).collect()
    }

    fn ctrl(&mut self, c: char) -> Vec<String> {
        self.press(KeyCode::Char(c), KeyModifiers::CONTROL)
    }

    fn key(&mut self, code: KeyCode) -> Vec<String> {
        self.press(code, KeyModifiers::NONE)
    }

    fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
    }

    /// Types a line and presses Return.
    fn line(&mut self, text: &str) -> Vec<String> {
        self.type_text(text);
        self.key(KeyCode::Enter)
    }

    /// Draws the screen; returns the picture, with what stands out, and the place of the cursor.
    fn picture(&mut self, width: u16, height: u16) -> String {
        let mut terminal = ratatui::Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut cursor = None;
        let (screen, now) = (&mut self.screen, self.started);
        terminal
            .draw(|frame| {
                cursor = screen.draw(frame.buffer_mut(), now);
            })
            .unwrap();
        let cursor = cursor.map(|at| format!("cursor {},{}", at.x, at.y)).unwrap_or_default();
        format!("{}{cursor}", terminal.backend())
    }

    fn rows(&mut self, width: u16, height: u16) -> Vec<String> {
        let picture = self.picture(width, height);
        picture
            .lines()
            .filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'))
            .map(|row| row.trim_end().to_owned())
            .collect()
    }
}

fn short(act: &Act) -> String {
    match act {
        Act::Tell(Event::Line(line)) => format!("line {line}"),
        Act::Tell(Event::Answer(Some(answer))) => format!("answer {}", answer.expose()),
        Act::Tell(event) => format!("{event:?}"),
        Act::Remember(line) => format!("remember {line}"),
        Act::Suspend => "suspend".to_owned(),
        Act::Redraw => "redraw".to_owned(),
    }
}

fn status() -> Status {
    Status {
        name: None,
        address: ServerAddress::new("chat.example", 12345),
        stage: Stage::Online,
        me: Some("alice".to_owned()),
        joined: true,
        protection: Some(Protection::Noise { identity: Fingerprint::of(&[1; 32]), basis: Basis::Pinned }),
        round_trip: Some(Duration::from_millis(12)),
        users: Some(["alice", "bob", "Client-3"].map(str::to_owned).to_vec()),
        awaits_password: false,
    }
}
