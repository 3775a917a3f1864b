//! Use by a person, in a window of its own: the screen of the terminal, drawn with egui.
//!
//! The thread that drives the client and the one that draws share a desk; `front` is what the driver sees of it. `keys` says
//! which keys are the screen's, `input` is what is typed, `messages` and `panels` are what is read, `colours` and `fonts` how
//! it looks.
//!
//! Invariant: it is drawn when something happened, sixty times a second at most, and only what is in view is laid out.
//!
//! Invariant: neither thread holds the desk while it waits.

mod colours;
mod fonts;
mod front;
mod input;
mod keys;
mod messages;
mod panels;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use eframe::egui::epaint::text::{FontInsert, FontPriority, InsertFontFamily};
use eframe::egui::{
    self, CentralPanel, Context, FontData, FontFamily, FontId, Frame, IconData, Margin, Panel, RawInput, Ui,
    UserAttentionType, ViewportBuilder, ViewportCommand,
};

use self::colours::Palette;
pub use self::front::Window;
use self::front::{Ending, Shared};
use crate::app::{Event, Show};
use crate::desk::Desk;
use crate::driver::TabId;
use crate::screen::{Act, Look, Ruler, Theme};

/// The screen measures in whole numbers: parts of a point.
const UNITS_PER_POINT: f32 = 16.0;
/// How large the window is at first and at least, in points.
const SIZE: [f32; 2] = [940.0, 620.0];
const LEAST_SIZE: [f32; 2] = [320.0, 200.0];
/// In windows narrower than this, in points, nobody is listed.
const WIDE: f32 = 560.0;
const USERS_WIDTH: f32 = 170.0;
/// How often a picture that counts seconds is drawn.
const COUNT: Duration = Duration::from_millis(250);
/// How long leaving may take once the window is closed, and then stopping.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a person may want of the window.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How the screen is to look; its theme is for a system that does not say which it has.
    pub look: Look,
    /// The theme that was asked for; `None` to follow the system.
    pub theme: Option<Theme>,
    /// The time zone of what the screen says.
    pub zone: String,
    /// Let the system tell when somebody names this client's user.
    pub bell: bool,
    /// The font, by its name or file; `None` for the one that comes with the program.
    pub font: Option<String>,
    /// Its size, in points.
    pub font_size: f32,
}

/// There can be no window, or no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// Nothing says where it could be shown.
    #[error("there is no display for a window: neither WAYLAND_DISPLAY nor DISPLAY is set")]
    NoDisplay,
    /// The system does not open one; it said why.
    // As text: what eframe returns cannot go from thread to thread.
    #[error("cannot open a window: {0}")]
    Open(String),
    /// The client ended without a word.
    #[error("the conversation ended unexpectedly")]
    Ended,
}

impl WindowError {
    /// Says what can be done about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoDisplay | Self::Open(_) => "`chat-client connect` chats in the terminal",
            Self::Ended => "this is a mistake in chat-client; what is above may say which",
        }
    }
}

/// A font that cannot be used.
#[derive(Debug, thiserror::Error)]
enum FontError {
    #[error("there is no font {name} on this computer")]
    Unknown { name: String },
    #[error("cannot read the font {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no font", path.display())]
    NoFont { path: PathBuf },
}

/// Opens a window and lets `chat` use it on a thread of its own, until the person closes it or `chat` ends; returns what
/// `chat` returned. Must be called on the first thread of the program: some systems open windows there only.
///
/// # Errors
///
/// [`WindowError`].
pub fn run<T: Send + 'static>(
    wishes: Wishes,
    chat: impl FnOnce(Window) -> T + Send + 'static,
) -> Result<T, WindowError> {
    find_display(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
    let (done, ended) = mpsc::channel();
    let mut shared = None;
    let viewport = ViewportBuilder::default()
        .with_title(&wishes.look.title)
        .with_app_id("chat-client")
        .with_inner_size(SIZE)
        .with_min_inner_size(LEAST_SIZE)
        .with_icon(IconData::default());
    let options = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    let opened = catch_unwind(AssertUnwindSafe(|| {
        eframe::run_native(
            "chat-client",
            options,
            Box::new(|creation| {
                let view = View::new(wishes, &creation.egui_ctx);
                let (window, ending) =
                    (Window::new(Arc::clone(&view.shared)), Ending(Arc::clone(&view.shared)));
                shared = Some(Arc::clone(&view.shared));
                std::thread::spawn(move || {
                    let _ending = ending;
                    // Nobody listens any more if leaving has taken too long.
                    let _ = done.send(chat(window));
                });
                Ok(Box::new(view))
            }),
        )
    }));
    let left = shared.map(|shared| leave(&shared, &ended));
    match (opened, left) {
        (Err(panic), _) => resume_unwind(panic),
        (Ok(Err(error)), _) => Err(WindowError::Open(error.to_string())),
        (Ok(Ok(())), left) => left.flatten().ok_or(WindowError::Ended),
    }
}

/// Lets the client leave, unless it has; returns how it ended.
fn leave<T>(shared: &Shared, ended: &mpsc::Receiver<T>) -> Option<T> {
    [Event::Leave, Event::Terminate, Event::Terminate].into_iter().find_map(|event| {
        ended.try_recv().ok().or_else(|| {
            shared.tell(event);
            ended.recv_timeout(PATIENCE).ok()
        })
    })
}

/// Finds out whether there may be a display. macOS has no variables for that.
fn find_display(is_set: impl Fn(&str) -> bool) -> Result<(), WindowError> {
    let known = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].into_iter().any(is_set);
    if known || cfg!(target_os = "macos") { Ok(()) } else { Err(WindowError::NoDisplay) }
}

/// What draws.
struct View {
    shared: Arc<Shared>,
    theme: Option<Theme>,
    bell: bool,
    title: String,
    wheel: f32,
    /// The screen changed what is typed.
    moved: bool,
}

impl View {
    fn new(wishes: Wishes, context: &Context) -> Self {
        let Wishes { mut look, theme, zone, bell, font, font_size } = wishes;
        let background = look.colours.background.filter(|_| theme != Some(Theme::Plain));
        colours::dress(context, theme, background, font_size);
        let missing = font.and_then(|name| use_font(context, &name).err());
        look.ruler = ruler(context, FontId::proportional(font_size));
        let mut desk = Desk::new(look, &zone);
        desk.screen.explain_keys(keys::HELP);
        if let Some(error) = missing {
            let text = crate::app::error_chain(&error);
            desk.show(TabId::FIRST, &Show::Error(text));
            desk.show(TabId::FIRST, &Show::Hint("font.name may also be the path of its file".to_owned()));
        }
        let shared = Arc::new(Shared::new(desk, context.clone()));
        Self { shared, theme, bell, title: String::new(), wheel: 0.0, moved: true }
    }

    fn draw(&mut self, ui: &mut Ui) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let screen = &mut state.desk.screen;
        let ground = ui.ctx().theme();
        let theme = self.theme.unwrap_or(match ground {
            egui::Theme::Dark => Theme::Dark,
            egui::Theme::Light => Theme::Light,
        });
        screen.set_theme(theme);
        let mut palette = Palette::of(ground);
        palette.ground = ui.visuals().panel_fill;
        palette.text = screen.colours().1.text.and_then(colours::colour).unwrap_or(palette.text);
        let tab = screen.tab();
        let panel = panels::frame(&palette);
        if !screen.tab_labels(1).is_empty() {
            Panel::top("tabs").frame(panel).show(ui, |ui| panels::draw_tabs(ui, screen, &palette));
        }
        let moved = std::mem::take(&mut self.moved);
        let typing = panel.inner_margin(Margin { left: 10, right: 10, top: 2, bottom: 10 });
        let refused = Panel::bottom("typing")
            .frame(typing)
            .show_separator_line(false)
            .show(ui, |ui| input::draw(ui, screen, &palette, moved));
        Panel::bottom("status").frame(panel).show(ui, |ui| panels::draw_status(ui, screen, &palette));
        if screen.users().is_some() && ui.available_width() >= WIDE {
            let users =
                Panel::right("users").frame(panel).default_size(USERS_WIDTH).size_range(100.0..=320.0);
            users.show(ui, |ui| panels::draw_users(ui, screen, &palette));
        }
        CentralPanel::default()
            .frame(Frame::new().fill(palette.ground))
            .show(ui, |ui| messages::draw(ui, screen, &palette, &mut self.wheel));
        screen.drawn();
        if refused.inner {
            state.desk.show(tab, &Show::Error("not pasted: that is too long for a message".to_owned()));
        }
        // Another tab or another question has another line.
        self.moved = state.desk.screen.tab() != tab;
        if state.desk.screen.is_counting() {
            ui.ctx().request_repaint_after(COUNT);
        }
    }
}

impl eframe::App for View {
    fn raw_input_hook(&mut self, _: &Context, input: &mut RawInput) {
        let pressed = keys::take(&mut input.events);
        let mut state = self.shared.lock();
        state.desk.screen.focus(input.focused);
        for event in pressed {
            let tab = state.desk.screen.tab();
            let acts: Vec<Act> = state.desk.screen.handle(event);
            state.perform(tab, acts);
            self.moved = true;
        }
        let tells = !state.desk.told.is_empty();
        drop(state);
        if tells {
            self.shared.wake();
        }
    }

    fn logic(&mut self, context: &Context, _: &mut eframe::Frame) {
        let mut state = self.shared.lock();
        let (ended, called) = (state.ended, std::mem::take(&mut state.called));
        let title = state.desk.screen.title();
        drop(state);
        if ended {
            context.send_viewport_cmd(ViewportCommand::Close);
        }
        if called && self.bell {
            context
                .send_viewport_cmd(ViewportCommand::RequestUserAttention(UserAttentionType::Informational));
        }
        if title != self.title {
            context.send_viewport_cmd(ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        self.draw(ui);
    }
}

/// Measures letters as the window draws them.
fn ruler(context: &Context, font: FontId) -> Ruler {
    let context = context.clone();
    Ruler::new(move |letter| {
        let width: f32 = context.fonts_mut(|fonts| letter.chars().map(|c| fonts.glyph_width(&font, c)).sum());
        messages::units(width)
    })
}

/// Puts a font before the others, which serve for what it lacks.
fn use_font(context: &Context, name: &str) -> Result<(), FontError> {
    let home = etcetera::home_dir().ok();
    let bytes = fonts::load(name, &fonts::directories(home.as_deref()))?;
    let families = [FontFamily::Proportional, FontFamily::Monospace];
    context.add_font(FontInsert {
        name: "chosen".to_owned(),
        data: FontData::from_owned(bytes),
        families: families
            .map(|family| InsertFontFamily { family, priority: FontPriority::Highest })
            .into_iter()
            .collect(),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_needs_a_display() {
        for (set, expected) in
            [("DISPLAY", true), ("WAYLAND_DISPLAY", true), ("TERM", cfg!(target_os = "macos"))]
        {
            assert_eq!(find_display(|name| name == set).is_ok(), expected, "{set}");
        }
    }
}
