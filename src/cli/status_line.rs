//! The status line of `run` on a terminal: the state, the rates, the lag. It is redrawn in place.
//!
//! A separate thread reads the board once per second, so the line is updated even while the main thread waits. It shows
//! the same numbers as the progress line and the status page.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::debug;

use crate::observe::snapshot::{Board, Snapshot, Stage};
use crate::util::screen;
use crate::util::stop::{Stop, StopKind};

const INTERVAL: Duration = Duration::from_secs(1);
/// A snapshot is taken every second. If the last one is older than this, the line shows its age.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Shows the line until this is dropped. Without a terminal there is no line.
#[derive(Debug)]
pub(super) struct StatusLine {
    end: Stop,
    thread: Option<JoinHandle<()>>,
}

impl StatusLine {
    pub fn start(board: Arc<Board>) -> StatusLine {
        let end = Stop::new();
        let mut line = StatusLine {
            end: end.clone(),
            thread: None,
        };
        if screen::has_status() {
            board.watch();
            let began = Instant::now();
            let renew = move || {
                loop {
                    screen::show(&text(&board.last(), began, Instant::now()));
                    if end.wait(INTERVAL) {
                        break;
                    }
                }
            };
            match thread::Builder::new().name("status-line".into()).spawn(renew) {
                Ok(thread) => line.thread = Some(thread),
                Err(error) => debug!("no status line: cannot start a thread error=\"{error}\""),
            }
        }
        line
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.end.request(StopKind::Drain);
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, the panic hook has logged that.
            let _ = thread.join();
            screen::erase();
        }
    }
}

/// The text of the line. The most important part comes first, because a narrow terminal cuts off the end.
fn text(snapshot: &Snapshot, began: Instant, now: Instant) -> String {
    let up = short(now.saturating_duration_since(began));
    let mut text = match snapshot.stage {
        Stage::Starting => return format!("starting | {} | up {up}", snapshot.why),
        Stage::Running => snapshot.state.to_owned(),
        Stage::Draining => format!("draining, {}", snapshot.state),
    };
    let lag = snapshot.lag.map_or_else(|| "-".to_owned(), grouped);
    // A write to a string cannot fail.
    let _ = write!(
        text,
        " | {} messages/s | {} rows/s | lag {lag} | {} partitions",
        rounded(snapshot.messages_per_s),
        rounded(snapshot.rows_per_s),
        snapshot.partitions.len()
    );
    if snapshot.pressure.state != "open" {
        let _ = write!(text, " | pressure {}", snapshot.pressure.state);
    }
    let rejected: u64 = snapshot.rejects.iter().map(|(_, count)| count).sum();
    if rejected > 0 {
        let _ = write!(text, " | {} rejected", grouped(rejected));
    }
    let _ = write!(text, " | up {up}");
    let age = now.saturating_duration_since(snapshot.at);
    if age > FRESH_FOR {
        let _ = write!(text, " | as it was {} ago", short(age));
    }
    if snapshot.state != "ok" && !snapshot.why.is_empty() {
        let _ = write!(text, " | {}", snapshot.why);
    }
    text
}

fn rounded(rate: f64) -> String {
    format!("{rate:.0}").parse().map_or_else(|_| "-".to_owned(), grouped)
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `45s`, `12m31s`, `1h02m`, `3d04h`.
fn short(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: impl FnOnce(&mut Snapshot, Instant), up_s: u64) -> String {
        let began = Instant::now();
        let now = began + Duration::from_secs(up_s);
        let mut snapshot = Snapshot {
            at: now,
            stage: Stage::Running,
            state: "ok",
            why: String::new(),
            messages_per_s: 12_345.6,
            rows_per_s: 999.4,
            lag: Some(1_234_567),
            ..Snapshot::starting()
        };
        change(&mut snapshot, began);
        text(&snapshot, began, now)
    }

    #[test]
    fn the_line_has_state_rates_lag_and_what_is_out_of_the_ordinary() {
        assert_eq!(
            told(|_, _| {}, 45),
            "ok | 12,346 messages/s | 999 rows/s | lag 1,234,567 | 0 partitions | up 45s"
        );
        let waits = told(
            |snapshot, began| {
                snapshot.at = began;
                snapshot.state = "waiting-for-aerospike";
                snapshot.why = "writes fail".to_owned();
                snapshot.lag = None;
                snapshot.pressure.state = "closed";
                snapshot.rejects = vec![("not_json".to_owned(), 999), ("key_missing".to_owned(), 1)];
            },
            3_720,
        );
        assert_eq!(
            waits,
            "waiting-for-aerospike | 12,346 messages/s | 999 rows/s | lag - | 0 partitions | pressure closed | 1,000 \
             rejected | up 1h02m | as it was 1h02m ago | writes fail"
        );
        let starting = told(|snapshot, _| *snapshot = Snapshot::starting(), 100_000);
        assert_eq!(
            starting,
            "starting | Kafka and Aerospike are not reached yet. | up 1d03h"
        );
        assert!(told(|snapshot, _| snapshot.stage = Stage::Draining, 61).starts_with("draining, ok | "));
    }
}
