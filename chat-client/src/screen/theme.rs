//! How things look: colours for dark and for light backgrounds, and attributes alone where there are no colours.

use ratatui::style::{Color, Modifier, Style};

use super::entry::{Kind, Role};

/// Which colours to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Without colours: bold, dim, underlined and reversed letters only.
    Plain,
}

/// Colours in place of the theme's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Colours {
    /// What people say and type.
    pub text: Option<Color>,
    /// What is behind it all.
    pub background: Option<Color>,
    /// What the server says.
    pub server: Option<Color>,
    /// What the program itself says.
    pub notes: Option<Color>,
    /// What went wrong.
    pub errors: Option<Color>,
    /// Who comes and goes.
    pub presence: Option<Color>,
}

impl Colours {
    /// Returns what everything looks like that nothing else is said of.
    pub(crate) fn ground(self) -> Style {
        let style = self.text.map_or(Style::new(), |colour| Style::new().fg(colour));
        self.background.map_or(style, |colour| style.bg(colour))
    }

    /// Returns what a kind of entry looks like, as far as it is said.
    pub(crate) fn kind(self, kind: Kind) -> Style {
        let colour = match kind {
            Kind::Message { .. } | Kind::Help => self.text,
            Kind::Server => self.server,
            Kind::Presence => self.presence,
            Kind::Note | Kind::Hint => self.notes,
            Kind::Error => self.errors,
        };
        colour.map_or(Style::new(), |colour| Style::new().fg(colour))
    }
}

/// What is around the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Time,
    Day,
    Unread,
    /// The line between panes.
    Border,
    Status,
    /// What should worry somebody who looks at the status line.
    StatusWarning,
    CurrentTab,
    Prompt,
    /// The part of a line that nobody is to see.
    Secret,
}

/// Colours of names that differ from each other, from the text and from errors, and can be read on the background.
const ON_DARK: [u8; 14] = [39, 43, 75, 79, 111, 114, 141, 147, 173, 176, 179, 180, 212, 215];
const ON_LIGHT: [u8; 14] = [22, 24, 25, 28, 30, 54, 57, 58, 88, 90, 94, 96, 127, 130];

impl Theme {
    /// Finds out what suits: no colours where the person wants none of any program and has not chosen any for this one, and
    /// what the terminal says of its background, as the last number of `COLORFGBG`.
    #[must_use]
    pub fn detect(chosen: &Colours, no_colour: bool, colorfgbg: Option<&str>) -> Self {
        let ground = colorfgbg.and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
        match ground {
            _ if no_colour && *chosen == Colours::default() => Self::Plain,
            Some(7 | 9..=15) => Self::Light,
            _ => Self::Dark,
        }
    }

    /// Returns how a part of an entry looks. `name` is whose it is.
    pub(crate) fn text(self, kind: Kind, role: Role, name: Option<&str>) -> Style {
        let base = self.kind(kind);
        match (role, kind) {
            (Role::Plain, _) => base,
            (Role::Name, Kind::Message { mention: true, .. }) => {
                self.name(name).add_modifier(Modifier::REVERSED | Modifier::BOLD)
            }
            (Role::Name, _) => self.name(name).add_modifier(Modifier::BOLD),
            (Role::Link, _) => base.add_modifier(Modifier::UNDERLINED),
            (Role::Code, _) => self.pick(base, 180, 94, Modifier::DIM),
        }
    }

    fn kind(self, kind: Kind) -> Style {
        let base = Style::new();
        match kind {
            Kind::Message { .. } | Kind::Help => base,
            Kind::Server => self.pick(base, 109, 24, Modifier::empty()),
            Kind::Presence => self.pick(base, 244, 244, Modifier::DIM),
            Kind::Note => self.pick(base, 110, 25, Modifier::empty()),
            Kind::Error => self.pick(base, 203, 160, Modifier::BOLD),
            Kind::Hint => self.pick(base, 109, 30, Modifier::empty()),
        }
    }

    /// Returns the style of a name: always the same colour for the same name.
    pub(crate) fn name(self, name: Option<&str>) -> Style {
        let colours = match self {
            Self::Dark => &ON_DARK,
            Self::Light => &ON_LIGHT,
            Self::Plain => return Style::new(),
        };
        let place = name.map_or(0, hash) % colours.len() as u64;
        let colour = usize::try_from(place).ok().and_then(|place| colours.get(place));
        colour.map_or(Style::new(), |colour| Style::new().fg(Color::Indexed(*colour)))
    }

    pub(crate) fn part(self, part: Part) -> Style {
        let base = Style::new();
        match part {
            Part::Time | Part::Border => self.pick(base, 242, 246, Modifier::DIM),
            Part::Day => self.pick(base, 246, 242, Modifier::DIM),
            Part::Unread => self.pick(base, 215, 130, Modifier::BOLD),
            Part::Status => self.on(base, 252, 236, 236, 253),
            Part::StatusWarning => self.on(base, 215, 236, 88, 253).add_modifier(Modifier::BOLD),
            // Without colours the line is reversed, so this is what is not.
            Part::CurrentTab if self == Self::Plain => {
                base.remove_modifier(Modifier::REVERSED).add_modifier(Modifier::BOLD)
            }
            Part::CurrentTab => self.on(base, 231, 241, 16, 250).add_modifier(Modifier::BOLD),
            Part::Prompt => base.add_modifier(Modifier::BOLD),
            Part::Secret => self.pick(base, 244, 244, Modifier::DIM),
        }
    }

    fn pick(self, base: Style, dark: u8, light: u8, plain: Modifier) -> Style {
        match self {
            Self::Dark => base.fg(Color::Indexed(dark)),
            Self::Light => base.fg(Color::Indexed(light)),
            Self::Plain => base.add_modifier(plain),
        }
    }

    fn on(self, base: Style, dark: u8, dark_ground: u8, light: u8, light_ground: u8) -> Style {
        match self {
            Self::Dark => base.fg(Color::Indexed(dark)).bg(Color::Indexed(dark_ground)),
            Self::Light => base.fg(Color::Indexed(light)).bg(Color::Indexed(light_ground)),
            Self::Plain => base.add_modifier(Modifier::REVERSED),
        }
    }
}

/// FNV-1a: the same on every machine and in every run, so that a person knows others by their colours.
fn hash(name: &str) -> u64 {
    let spread = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.bytes().fold(0xcbf2_9ce4_8422_2325, spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_colour_and_names_differ() {
        assert_eq!(Theme::Dark.name(Some("alice")), Theme::Dark.name(Some("alice")));
        let colours: std::collections::HashSet<_> =
            (0..100).map(|i| Theme::Light.name(Some(&format!("n{i}"))).fg).collect();
        assert!(colours.len() > 10);
    }

    #[test]
    fn the_terminal_tells_which_theme_suits() {
        for (no_colour, colorfgbg, expected) in [
            (false, None, Theme::Dark),
            (false, Some("15;0"), Theme::Dark),
            (false, Some("0;default;15"), Theme::Light),
            (false, Some("x"), Theme::Dark),
            (true, Some("0;15"), Theme::Plain),
        ] {
            assert_eq!(Theme::detect(&Colours::default(), no_colour, colorfgbg), expected);
        }
        let chosen = Colours { notes: Some(Color::Red), ..Colours::default() };
        assert_eq!(Theme::detect(&chosen, true, Some("0;15")), Theme::Light);
    }

    #[test]
    fn without_colours_there_are_none() {
        let mention = Kind::Message { own: false, mention: true };
        for kind in [mention, Kind::Server, Kind::Presence, Kind::Note, Kind::Error, Kind::Hint, Kind::Help] {
            for role in [Role::Plain, Role::Name, Role::Link, Role::Code] {
                let style = Theme::Plain.text(kind, role, Some("alice"));
                assert_eq!((style.fg, style.bg), (None, None));
            }
        }
    }
}
