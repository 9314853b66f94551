//! Standard error, with the status line at its end on a terminal, which is redrawn in place.
//!
//! While there may be a status line, all code that writes to standard error must use this file: the log
//! (`util/logging`), a panic, the demo's table. Their lines scroll above the status line. If standard error is not a
//! terminal, there is no status line, and only the lines are written.

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;

use parking_lot::Mutex;

static SCREEN: Mutex<Screen> = Mutex::new(Screen::new());

static HAS_STATUS: LazyLock<bool> =
    LazyLock::new(|| io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"));

/// Moves to the first column and erases the line.
const ERASE: &str = "\r\u{1b}[2K";
/// Makes the terminal cut off what does not fit in the line. It would otherwise wrap to a next line that is never
/// erased.
const CUT: &str = "\u{1b}[?7l";
const WRAP: &str = "\u{1b}[?7h";

#[derive(Debug)]
struct Screen {
    status: Option<String>,
    is_over: bool,
}

impl Screen {
    const fn new() -> Screen {
        Screen {
            status: None,
            is_over: false,
        }
    }

    /// Writes the output of `lines` above the status line.
    fn above<T>(&self, out: &mut impl Write, lines: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> io::Result<T> {
        let Some(status) = &self.status else {
            return lines(out);
        };
        out.write_all(ERASE.as_bytes())?;
        let written = lines(out)?;
        write!(out, "{CUT}{status}{WRAP}")?;
        Ok(written)
    }

    fn show(&mut self, out: &mut impl Write, text: &str) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        // Keep one line, without anything that moves the cursor.
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        write!(out, "{ERASE}{CUT}{text}{WRAP}")?;
        self.status = Some(text);
        Ok(())
    }

    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.status.take() {
            Some(_) => out.write_all(ERASE.as_bytes()),
            None => Ok(()),
        }
    }
}

/// Runs `act` on the screen, and writes all its output at once. If standard error is closed, the error is ignored.
fn on_screen(act: impl FnOnce(&mut Screen, &mut Vec<u8>) -> io::Result<()>) {
    let mut screen = SCREEN.lock();
    let mut bytes = Vec::new();
    let _ = act(&mut screen, &mut bytes).and_then(|()| {
        let mut stderr = io::stderr().lock();
        stderr.write_all(&bytes)?;
        stderr.flush()
    });
}

/// Writes lines, each with its line feed, above the status line.
pub fn write(lines: &[u8]) {
    on_screen(|screen, out| screen.above(out, |out| out.write_all(lines)));
}

/// Whether a status line is shown at all: on a terminal that can erase a line.
pub fn has_status() -> bool {
    *HAS_STATUS
}

/// Shows this text as the status line, in place of the previous one. Control characters are left out.
pub fn show(text: &str) {
    if has_status() {
        on_screen(|screen, out| screen.show(out, text));
    }
}

/// Removes the status line. [`show`] may bring it back.
pub fn erase() {
    on_screen(Screen::erase);
}

/// Removes the status line for good, because the process ends.
pub fn end() {
    on_screen(|screen, out| {
        screen.is_over = true;
        screen.erase(out)
    });
}

/// Removes the status line while `write` runs, which writes to the terminal directly. `write` must not use this file.
pub fn without_status<T>(write: impl FnOnce() -> T) -> T {
    let mut screen = SCREEN.lock();
    let status = screen.status.clone();
    let mut out = io::stderr();
    // If standard error is closed, the error is ignored.
    let _ = screen.erase(&mut out);
    let written = write();
    if let Some(status) = status {
        let _ = screen.show(&mut out, &status);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal shows at the end: the lines, and the last one without a line feed. This fake terminal
    /// understands only the control sequences that this file writes.
    fn shown(bytes: &[u8]) -> Vec<String> {
        let text = std::str::from_utf8(bytes).unwrap().replace(CUT, "").replace(WRAP, "");
        text.split('\n')
            .map(|line| line.rsplit(ERASE).next().unwrap().to_owned())
            .collect()
    }

    fn line(screen: &Screen, out: &mut Vec<u8>, text: &str) {
        screen.above(out, |out| writeln!(out, "{text}")).unwrap();
    }

    #[test]
    fn lines_scroll_above_the_status_line_and_nothing_of_it_is_left_at_the_end() {
        let (mut screen, mut out) = (Screen::new(), Vec::new());
        line(&screen, &mut out, "one");
        screen.show(&mut out, "a long status").unwrap();
        line(&screen, &mut out, "two");
        assert_eq!(shown(&out), ["one", "two", "a long status"]);
        screen.show(&mut out, "short").unwrap();
        assert_eq!(shown(&out), ["one", "two", "short"]);
        screen.erase(&mut out).unwrap();
        line(&screen, &mut out, "three");
        assert_eq!(shown(&out), ["one", "two", "three", ""]);
        screen.is_over = true;
        screen.show(&mut out, "late").unwrap();
        assert_eq!(shown(&out), ["one", "two", "three", ""]);
    }

    #[test]
    fn without_a_status_line_nothing_but_the_lines_is_written() {
        let (mut screen, mut out) = (Screen::new(), Vec::new());
        line(&screen, &mut out, "one");
        screen.erase(&mut out).unwrap();
        assert_eq!(out, b"one\n");
    }

    #[test]
    fn a_status_line_moves_no_cursor_by_itself() {
        let (mut screen, mut out) = (Screen::new(), Vec::new());
        screen.show(&mut out, "a\nb\u{1b}[2Jc").unwrap();
        assert_eq!(shown(&out), ["ab[2Jc"]);
    }
}
