//! How things look: one style for each role, in every theme and depth of colour. No other file names a colour.
//!
//! No meaning rests on colour alone: every role that means something comes with a glyph and a word. The background is never painted.
use super::glyph::{ASCII, Glyphs, UNICODE};
use ratatui::style::{Color, Modifier, Style};

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    #[default]
    None,
    /// The terminal's own palette.
    Sixteen,
    Many,
    True,
}

impl Depth {
    /// From `$COLORTERM` and `$TERM`, for a terminal that may be coloured.
    pub fn of(colorterm: &str, term: &str) -> Self {
        match (colorterm, term) {
            ("truecolor" | "24bit", _) => Self::True,
            (_, t) if t.ends_with("-direct") || t.contains("truecolor") => Self::True,
            (_, t) if t.contains("256") || matches!(t, "alacritty" | "foot" | "wezterm" | "xterm-kitty") => Self::Many,
            _ => Self::Sixteen,
        }
    }
}

/// A colour in its three depths; the middle one is the nearest of the 256.
#[derive(Debug, Clone, Copy)]
struct Ink {
    /// Of the sixteen; `None`: the terminal's own foreground.
    near: Option<Color>,
    /// `None`: the sixteen are meant, whatever the terminal could do.
    exact: Option<(u8, u8, u8)>,
    with: Modifier,
}

const fn own(near: Color) -> Ink {
    Ink { near: Some(near), exact: None, with: Modifier::empty() }
}

const fn rgb(near: Color, r: u8, g: u8, b: u8) -> Ink {
    Ink { near: Some(near), exact: Some((r, g, b)), with: Modifier::empty() }
}

const fn no(with: Modifier) -> Ink {
    Ink { near: None, exact: None, with }
}

impl Ink {
    const fn bold(self) -> Self {
        Self { with: self.with.union(Modifier::BOLD), ..self }
    }

    fn style(self, depth: Depth) -> Style {
        let style = Style::new().add_modifier(self.with);
        let color = match (depth, self.exact) {
            (Depth::None, _) => None,
            (Depth::True, Some((r, g, b))) => Some(Color::Rgb(r, g, b)),
            (Depth::Many, Some(exact)) => Some(Color::Indexed(nearest(exact))),
            _ => self.near,
        };
        color.map_or(style, |c| style.fg(c))
    }
}

/// The nearest of the 6×6×6 colours of the 256 and its greys.
fn nearest((r, g, b): (u8, u8, u8)) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let far = |a: (u8, u8, u8)| [(a.0, r), (a.1, g), (a.2, b)].iter().map(|(x, y)| u32::from(x.abs_diff(*y)).pow(2)).sum::<u32>();
    let step = |c: u8| (0u8..6).min_by_key(|i| STEPS.get(usize::from(*i)).map_or(u8::MAX, |s| s.abs_diff(c))).unwrap_or(0);
    let at = |i: u8| STEPS.get(usize::from(i)).copied().unwrap_or(0);
    let (x, y, z) = (step(r), step(g), step(b));
    let cube = (far((at(x), at(y), at(z))), 16 + 36 * x + 6 * y + z);
    let grey = (0u8..24).map(|i| (far((8 + 10 * i, 8 + 10 * i, 8 + 10 * i)), 232 + i)).min().unwrap_or(cube);
    cube.min(grey).1
}

/// One ink for each role.
#[derive(Debug)]
pub struct Theme {
    pub name: &'static str,
    pub help: &'static str,
    drop: Ink,
    warn: Ink,
    pass: Ink,
    accent: Ink,
    strong: Ink,
    dim: Ink,
}

static AUTO: Theme = Theme {
    name: "auto",
    help: "the terminal's own sixteen colours, on any background",
    drop: own(Color::LightRed),
    warn: own(Color::Yellow),
    // Blue-ish, so that it differs from red for every eye.
    pass: own(Color::Cyan),
    accent: own(Color::Cyan).bold(),
    strong: no(Modifier::BOLD),
    dim: no(Modifier::DIM),
};

static DARK: Theme = Theme {
    name: "dark",
    help: "for a dark background",
    drop: rgb(Color::LightRed, 0xf0, 0x60, 0x60),
    warn: rgb(Color::LightYellow, 0xff, 0xe8, 0x60),
    pass: rgb(Color::LightBlue, 0x60, 0xb0, 0xff),
    accent: rgb(Color::LightCyan, 0x9f, 0xd3, 0xff).bold(),
    strong: no(Modifier::BOLD),
    dim: rgb(Color::DarkGray, 0x9c, 0x9c, 0x9c),
};

static LIGHT: Theme = Theme {
    name: "light",
    help: "for a light background",
    drop: rgb(Color::Red, 0x8f, 0x00, 0x20),
    warn: rgb(Color::Yellow, 0xa0, 0x60, 0x00),
    pass: rgb(Color::Blue, 0x00, 0x58, 0xb8),
    accent: rgb(Color::Blue, 0x00, 0x3f, 0x7d).bold(),
    strong: no(Modifier::BOLD),
    dim: rgb(Color::DarkGray, 0x5c, 0x5c, 0x5c),
};

static CONTRAST: Theme = Theme {
    name: "contrast",
    help: "strong colours for a black background, nothing dimmed",
    drop: rgb(Color::LightRed, 0xff, 0x8f, 0x66).bold(),
    warn: rgb(Color::LightYellow, 0xff, 0xff, 0x5f).bold(),
    pass: rgb(Color::LightCyan, 0x6f, 0xc3, 0xff).bold(),
    accent: rgb(Color::White, 0xff, 0xff, 0xff).bold(),
    strong: no(Modifier::BOLD),
    dim: no(Modifier::empty()),
};

static PLAIN: Theme = Theme {
    name: "plain",
    help: "no colour; bold, dim and reverse only",
    drop: no(Modifier::BOLD),
    warn: no(Modifier::empty()),
    pass: no(Modifier::empty()),
    accent: no(Modifier::BOLD),
    strong: no(Modifier::BOLD),
    dim: no(Modifier::DIM),
};

/// The first one is the default.
pub static THEMES: &[&Theme] = &[&AUTO, &DARK, &LIGHT, &CONTRAST, &PLAIN];

impl Theme {
    pub fn named(name: &str) -> Option<&'static Self> {
        THEMES.iter().copied().find(|t| t.name == name)
    }
}

impl Default for &'static Theme {
    fn default() -> Self {
        &AUTO
    }
}

/// Glyphs and styles of one session.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub g: &'static Glyphs,
    pub theme: &'static Theme,
    pub depth: Depth,
}

impl Look {
    pub fn new(theme: &'static Theme, depth: Depth, ascii: bool) -> Self {
        Self { g: if ascii { &ASCII } else { &UNICODE }, theme, depth }
    }

    pub fn plain(self) -> Style {
        Style::new()
    }

    /// Dropped, denied, failed, error.
    pub fn drop(self) -> Style {
        self.theme.drop.style(self.depth)
    }

    /// Audit, warning, disagreement.
    pub fn warn(self) -> Style {
        self.theme.warn.style(self.depth)
    }

    /// Allowed, matched.
    pub fn pass(self) -> Style {
        self.theme.pass.style(self.depth)
    }

    /// Where you are, what you can press.
    pub fn accent(self) -> Style {
        self.theme.accent.style(self.depth)
    }

    pub fn strong(self) -> Style {
        self.theme.strong.style(self.depth)
    }

    /// Secondary.
    pub fn dim(self) -> Style {
        self.theme.dim.style(self.depth)
    }

    /// What is laid over the selected row.
    pub fn selected(self) -> Style {
        // One bar: what is coloured under it would be patches. Glyphs and words say the same.
        Style::new().fg(Color::Reset).add_modifier(Modifier::REVERSED).remove_modifier(Modifier::DIM)
    }

    /// ASCII twin of a text of our own.
    pub fn own(self, s: &str) -> String {
        self.g.own(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rgb = (u8, u8, u8);

    fn linear((r, g, b): Rgb) -> [f64; 3] {
        [r, g, b].map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        })
    }

    /// As WCAG counts it.
    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let light = |c| {
            let [r, g, b] = linear(c);
            0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
        };
        let (a, b) = (light(a), light(b));
        a.max(b) / a.min(b)
    }

    /// What an eye makes of linear light, by what it lacks: nothing, red, green or blue cones (Machado, Oliveira, Fernandes 2009).
    const EYES: [[[f64; 3]; 3]; 4] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ];

    fn lab(c: Rgb, eye: &[[f64; 3]; 3]) -> [f64; 3] {
        let light = linear(c);
        let seen = |row: &[f64; 3]| (0..3).map(|i| row[i] * light[i]).sum::<f64>().clamp(0.0, 1.0);
        let [r, g, b] = [seen(&eye[0]), seen(&eye[1]), seen(&eye[2])];
        let f = |t: f64| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
        let y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
        let z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    fn exact(style: Style) -> Rgb {
        match style.fg {
            Some(Color::Rgb(r, g, b)) => (r, g, b),
            other => panic!("{other:?} is no exact colour"),
        }
    }

    #[test]
    fn every_ink_is_readable_on_its_background() {
        let (black, white) = ((0, 0, 0), (255, 255, 255));
        let grounds = [
            (&DARK, 4.5, [black, (0x1e, 0x1e, 0x1e), (0x00, 0x2b, 0x36)]),
            (&LIGHT, 4.5, [white, (0xfd, 0xf6, 0xe3), (0xf5, 0xf5, 0xf5)]),
            (&CONTRAST, 7.0, [black, black, (0x1e, 0x1e, 0x1e)]),
        ];
        for (theme, least, grounds) in grounds {
            let look = Look::new(theme, Depth::True, false);
            for style in [look.drop(), look.warn(), look.pass(), look.accent(), look.dim()].into_iter().filter(|s| s.fg.is_some()) {
                for ground in grounds {
                    let c = contrast(exact(style), ground);
                    assert!(c >= least, "{}: {style:?} on {ground:?}: {c:.1}", theme.name);
                }
            }
        }
    }

    #[test]
    fn what_passed_was_dropped_or_audited_differs_for_every_eye() {
        for theme in [&DARK, &LIGHT, &CONTRAST] {
            let look = Look::new(theme, Depth::True, false);
            for (a, b) in [(look.drop(), look.warn()), (look.drop(), look.pass()), (look.warn(), look.pass())] {
                for (n, eye) in EYES.iter().enumerate() {
                    let (x, y) = (lab(exact(a), eye), lab(exact(b), eye));
                    let far = (0..3).map(|i| (x[i] - y[i]).powi(2)).sum::<f64>().sqrt();
                    assert!(far > 20.0, "{}: eye {n}: {a:?} and {b:?}: {far:.0}", theme.name);
                }
            }
        }
    }

    #[test]
    fn the_depth_is_that_of_the_terminal() {
        let depth = |colorterm, term| Depth::of(colorterm, term);
        assert_eq!([depth("truecolor", "xterm"), depth("", "xterm-direct"), depth("24bit", "screen")], [Depth::True; 3]);
        assert_eq!([depth("", "xterm-256color"), depth("yes", "tmux-256color")], [Depth::Many; 2]);
        assert_eq!([depth("", "xterm"), depth("", "linux"), depth("", "")], [Depth::Sixteen; 3]);
        let of = |depth| Look::new(&DARK, depth, false).drop().fg;
        assert_eq!(of(Depth::True), Some(Color::Rgb(0xf0, 0x60, 0x60)));
        assert_eq!((of(Depth::Many), of(Depth::Sixteen), of(Depth::None)), (Some(Color::Indexed(203)), Some(Color::LightRed), None));
        assert_eq!((nearest((0, 0, 0)), nearest((255, 255, 255)), nearest((0x9c, 0x9c, 0x9c))), (16, 231, 247));
        let plain = Look::new(&PLAIN, Depth::True, false);
        assert!([plain.drop(), plain.warn(), plain.pass(), plain.accent(), plain.dim()].iter().all(|s| s.fg.is_none()));
        assert_eq!(Look::new(&AUTO, Depth::True, false).drop().fg, Some(Color::LightRed), "the terminal's own, however many it has");
    }
}
