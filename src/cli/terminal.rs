//! How findings are printed on standard output. Colours are used only on a terminal.

use std::fmt;
use std::io::IsTerminal as _;

/// The meaning of a word, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Doubtful,
    Bad,
    Aside,
}

/// Whether standard output is coloured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours(bool);

impl Colours {
    /// Coloured on a terminal, unless the user wants no colours (`NO_COLOR`).
    pub fn of_stdout() -> Colours {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Colours(std::io::stdout().is_terminal() && !unwanted)
    }

    /// For what is not printed on standard output.
    pub fn none() -> Colours {
        Colours(false)
    }

    /// The text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: impl fmt::Display) -> String {
        let code = match tone {
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
            Tone::Aside => 2,
        };
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_string()
        }
    }
}

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ok,
    Warning,
    Error,
}

/// A line that says what was found, and a line with the cure, if there is one.
pub(super) fn finding(colours: Colours, kind: Kind, thing: &str, found: &str, cure: &str) -> String {
    let (tone, word) = match kind {
        Kind::Ok => (Tone::Good, "ok"),
        Kind::Warning => (Tone::Doubtful, "warning"),
        Kind::Error => (Tone::Bad, "error"),
    };
    let word = colours.paint(tone, format!("{word:<8}"));
    let cure = if cure.is_empty() {
        String::new()
    } else {
        format!("        cure: {cure}\n")
    };
    format!("{word}{thing}: {found}\n{cure}")
}
