//! The colours of the terminal's themes, as a window shows them: what is a number there is a mixture of red, green and blue
//! here.

use eframe::egui::{
    Color32, Context, CornerRadius, FontId, Stroke, Style, TextFormat, Theme as Ground, Visuals,
};
use ratatui::style::{Color, Modifier, Style as CellStyle};

use crate::screen::Theme;

/// The sixteen colours that have names on terminals, as xterm shows them but for blue, which is too dark there.
const NAMED: [u32; 16] = [
    0x0000_0000,
    0x00cd_0000,
    0x0000_cd00,
    0x00cd_cd00,
    0x003b_78ff,
    0x00cd_00cd,
    0x0000_cdcd,
    0x00e5_e5e5,
    0x007f_7f7f,
    0x00ff_0000,
    0x0000_ff00,
    0x00ff_ff00,
    0x005c_5cff,
    0x00ff_00ff,
    0x0000_ffff,
    0x00ff_ffff,
];
/// The steps of the cube of 216 colours.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// What is behind everything, and what text looks like that nothing else is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    /// Behind the messages.
    pub(super) ground: Color32,
    /// Behind what is around them.
    pub(super) pane: Color32,
    /// Behind what is typed.
    pub(super) field: Color32,
    /// Between them.
    pub(super) line: Color32,
    /// What people say and type.
    pub(super) text: Color32,
    /// What matters less.
    pub(super) weak: Color32,
    /// Where a look should go.
    pub(super) accent: Color32,
}

impl Palette {
    /// Returns the one for a background.
    pub(super) fn of(ground: Ground) -> Self {
        match ground {
            Ground::Dark => Self {
                ground: rgb(0x0018_1a1f),
                pane: rgb(0x001f_2228),
                field: rgb(0x002a_2e36),
                line: rgb(0x0031_353e),
                text: rgb(0x00e4_e6ea),
                weak: rgb(0x008b_919d),
                accent: rgb(0x005f_a8f5),
            },
            Ground::Light => Self {
                ground: rgb(0x00ff_ffff),
                pane: rgb(0x00f3_f4f6),
                field: rgb(0x00ff_ffff),
                line: rgb(0x00dc_dfe4),
                text: rgb(0x001d_2026),
                weak: rgb(0x0070_7683),
                accent: rgb(0x001f_6fd0),
            },
        }
    }

    /// Says how a part of a text looks. `style` is how it looks in a cell.
    pub(super) fn format(&self, style: CellStyle, font: &FontId) -> TextFormat {
        let has = |modifier| style.add_modifier.contains(modifier);
        let colour = style.fg.and_then(colour).unwrap_or(self.text);
        let behind = style.bg.and_then(colour_of_ground).unwrap_or(Color32::TRANSPARENT);
        let (colour, background) =
            if has(Modifier::REVERSED) { (self.ground, colour) } else { (colour, behind) };
        let colour = if has(Modifier::DIM) { colour.gamma_multiply(0.7) } else { colour };
        let mut format = TextFormat::simple(font.clone(), colour);
        format.background = background;
        if has(Modifier::UNDERLINED) {
            format.underline = Stroke::new(1.0, colour.gamma_multiply(0.6));
        }
        format
    }
}

/// Dresses the window: `size` is that of the font, in points.
pub(super) fn dress(context: &Context, theme: Option<Theme>, background: Option<Color>, size: f32) {
    match theme {
        Some(Theme::Dark) => context.set_theme(Ground::Dark),
        Some(Theme::Light) => context.set_theme(Ground::Light),
        Some(Theme::Plain) | None => context.set_theme(eframe::egui::ThemePreference::System),
    }
    for ground in [Ground::Dark, Ground::Light] {
        context.style_mut_of(ground, |style| dress_style(style, ground, background, size));
    }
}

fn dress_style(style: &mut Style, ground: Ground, background: Option<Color>, size: f32) {
    for (kind, font) in &mut style.text_styles {
        let share = if *kind == eframe::egui::TextStyle::Small { 0.85 } else { 1.0 };
        font.size = size * share;
    }
    let palette = Palette::of(ground);
    let visuals = &mut style.visuals;
    *visuals = if ground == Ground::Dark { Visuals::dark() } else { Visuals::light() };
    visuals.panel_fill = background.and_then(colour).unwrap_or(palette.ground);
    visuals.extreme_bg_color = palette.field;
    visuals.hyperlink_color = palette.accent;
    visuals.selection.bg_fill = palette.accent.gamma_multiply(0.4);
    visuals.widgets.noninteractive.bg_stroke = Stroke::new(1.0, palette.line);
    visuals.widgets.noninteractive.fg_stroke = Stroke::new(1.0, palette.text);
    for widget in [&mut visuals.widgets.inactive, &mut visuals.widgets.hovered, &mut visuals.widgets.active] {
        widget.corner_radius = CornerRadius::same(6);
    }
    style.interaction.selectable_labels = true;
}

/// Mixes a colour; `None` if it is what everything looks like anyway.
pub(super) fn colour(colour: Color) -> Option<Color32> {
    let named = |place: usize| NAMED.get(place).copied().map(rgb);
    match colour {
        Color::Reset => None,
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => named(8),
        Color::LightRed => named(9),
        Color::LightGreen => named(10),
        Color::LightYellow => named(11),
        Color::LightBlue => named(12),
        Color::LightMagenta => named(13),
        Color::LightCyan => named(14),
        Color::White => named(15),
        Color::Rgb(red, green, blue) => Some(Color32::from_rgb(red, green, blue)),
        Color::Indexed(number) => Some(indexed(number)),
    }
}

/// The grey of a terminal's status line is not that of a window's, so numbers stand for nothing there.
fn colour_of_ground(ground: Color) -> Option<Color32> {
    if matches!(ground, Color::Indexed(_)) { None } else { colour(ground) }
}

fn indexed(number: u8) -> Color32 {
    match number {
        0..16 => NAMED.get(usize::from(number)).copied().map_or(Color32::GRAY, rgb),
        16..232 => {
            let place = usize::from(number - 16);
            let step = |place: usize| STEPS.get(place % 6).copied().unwrap_or_default();
            Color32::from_rgb(step(place / 36), step(place / 6), step(place))
        }
        232.. => Color32::from_gray(8 + 10 * (number - 232)),
    }
}

fn rgb(mixture: u32) -> Color32 {
    let [_, red, green, blue] = mixture.to_be_bytes();
    Color32::from_rgb(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_mixed_as_terminals_do() {
        for (number, expected) in [
            (1, 0x00cd_0000),
            (16, 0),
            (39, 0x0000_afff),
            (215, 0x00ff_af5f),
            (231, 0x00ff_ffff),
            (255, 0x00ee_eeee),
        ] {
            assert_eq!(colour(Color::Indexed(number)), Some(rgb(expected)), "{number}");
        }
        assert_eq!(
            (colour(Color::Reset), colour(Color::Rgb(1, 2, 3))),
            (None, Some(Color32::from_rgb(1, 2, 3)))
        );
    }

    #[test]
    fn what_is_reversed_in_a_cell_is_reversed_here() {
        let palette = Palette::of(Ground::Dark);
        let font = FontId::proportional(14.0);
        let mention =
            palette.format(CellStyle::new().fg(Color::Indexed(39)).add_modifier(Modifier::REVERSED), &font);
        assert_eq!((mention.color, mention.background), (palette.ground, rgb(0x0000_afff)));
        let plain = palette.format(CellStyle::new(), &font);
        assert_eq!((plain.color, plain.background), (palette.text, Color32::TRANSPARENT));
    }

    /// Returns how much lighter the lighter of two colours is, by the formula of WCAG 2.
    fn contrast(one: Color32, other: Color32) -> f32 {
        let luminance = |colour: Color32| {
            let rgba = eframe::egui::Rgba::from(colour);
            0.2126 * rgba.r() + 0.7152 * rgba.g() + 0.0722 * rgba.b()
        };
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        (one / other).max(other / one)
    }

    #[test]
    fn everything_can_be_read_on_its_ground() {
        for (ground, theme) in [(Ground::Dark, Theme::Dark), (Ground::Light, Theme::Light)] {
            let palette = Palette::of(ground);
            assert!(contrast(palette.text, palette.ground) > 7.0);
            for pane in [palette.ground, palette.pane] {
                assert!(contrast(palette.weak, pane) > 4.0, "{ground:?} {}", contrast(palette.weak, pane));
                assert!(contrast(palette.accent, pane) > 4.0, "{ground:?}");
                for name in 0..100 {
                    let style = theme.name(Some(&format!("n{name}")));
                    let colour = style.fg.and_then(colour).unwrap();
                    assert!(contrast(colour, pane) > 3.9, "{ground:?} {style:?} {}", contrast(colour, pane));
                }
            }
        }
    }
}
