//! `penstock replay`: dead letters once more, through today's configuration.
//!
//! Progress goes to standard error: a line that renews itself on a terminal, and one every few seconds otherwise. The
//! account goes to standard output.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use log::error;

use super::{load_to_connect, refuse};
use crate::replay::judge::Manner;
use crate::replay::run::{Options, Stage, Watch, replay};
use crate::replay::selection::{self, Selection};
use crate::replay::source;
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;
use crate::util::logging::as_error;
use crate::util::screen;
use crate::util::stop::{Stop, leave_now, stop_on_signals};

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// The topic of the dead letters (default: reject.topic).
    #[arg(long, value_name = "TOPIC")]
    from: Option<String>,
    /// Only letters made at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only letters made before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Only letters with this reason; may be repeated.
    #[arg(long = "reason", value_name = "REASON")]
    reasons: Vec<String>,
    /// At most so many letters.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Say what would happen; asks Kafka alone, writes nothing.
    #[arg(long)]
    dry_run: bool,
    /// Set and delete, though newer values may be there.
    #[arg(long, conflicts_with = "keep_newer")]
    overwrite: bool,
    /// Leave values that are newer; count and append.
    #[arg(long)]
    keep_newer: bool,
    /// Replay also rows that may be applied already.
    #[arg(long)]
    in_doubt: bool,
    /// No progress.
    #[arg(short, long)]
    quiet: bool,
}

fn time(text: &str) -> Result<Timestamp, String> {
    selection::time(text, Timestamp::now())
}

/// Replays the letters.
pub(super) fn replay_letters(arguments: &Replay) -> Exit {
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let Some(config) = load_to_connect(&arguments.file) else {
        return Exit::Configuration;
    };
    let from = match source::choose(arguments.from.as_deref(), &config) {
        Ok(topic) => topic.to_owned(),
        Err(problem) => return refuse(&problem),
    };
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{error}");
            return Exit::Panic;
        }
    };
    let options = Options {
        from,
        selection: Selection {
            since: arguments.since,
            until: arguments.until,
            reasons: arguments.reasons.clone(),
            limit: arguments.limit,
        },
        manner: Manner {
            overwrite: arguments.overwrite,
            keep_newer: arguments.keep_newer,
            in_doubt: arguments.in_doubt,
        },
        dry_run: arguments.dry_run,
    };
    if let Some(mistake) = options.selection.mistake() {
        return refuse(&mistake);
    }
    let shown = Shown::new(arguments.quiet);
    let ended = replay(&config, &mapping, &options, &stop, &shown);
    screen::erase();
    if let Some(why) = &ended.why {
        screen::write(format!("{}\n", as_error(why)).as_bytes());
    }
    if ended.totals.read > 0 || ended.why.is_none() {
        let _ = io::stdout()
            .lock()
            .write_all(ended.totals.text(&options.from).as_bytes());
    }
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(ended.exit)
}

/// How often the line of a terminal is renewed, and how often a line is written otherwise.
const RENEWED: Duration = Duration::from_millis(500);
const WRITTEN: Duration = Duration::from_secs(5);

/// The progress for a person.
struct Shown {
    is_quiet: bool,
    state: RefCell<State>,
}

struct State {
    stage: Option<Stage>,
    /// When the stage began.
    began: Instant,
    last: Instant,
}

impl Shown {
    fn new(is_quiet: bool) -> Shown {
        let now = Instant::now();
        Shown {
            is_quiet,
            state: RefCell::new(State {
                stage: None,
                began: now,
                last: now,
            }),
        }
    }
}

impl Watch for Shown {
    fn progress(&self, stage: Stage, done: u64, of: u64, waits: Option<&str>) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        if state.stage != Some(stage) {
            (state.stage, state.began) = (Some(stage), now);
        }
        let interval = if screen::has_status() { RENEWED } else { WRITTEN };
        if self.is_quiet || now - state.last < interval {
            return;
        }
        state.last = now;
        let line = line(stage, done, of, now - state.began, waits);
        if screen::has_status() {
            screen::show(&line);
        } else {
            screen::write(format!("{line}\n").as_bytes());
        }
    }

    fn tell(&self, line: &str) {
        screen::write(format!("{line}\n").as_bytes());
    }
}

fn line(stage: Stage, done: u64, of: u64, took: Duration, waits: Option<&str>) -> String {
    let what = match stage {
        Stage::Reading => "reading headers",
        Stage::Replaying => "replaying letters",
    };
    let percent = (done.saturating_mul(100)).checked_div(of).unwrap_or(100).min(100);
    let mut line = format!("replay: {what} {done} of {of} ({percent}%)");
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if let Some(rate) = done.saturating_mul(1000).checked_div(ms).filter(|rate| *rate > 0) {
        let left = of.saturating_sub(done) / rate;
        let (hours, minutes, seconds) = (left / 3600, left / 60 % 60, left % 60);
        // Writing to a string cannot fail.
        let _ = write!(line, ", {rate}/s, {hours}:{minutes:02}:{seconds:02} left");
    }
    if let Some(waits) = waits {
        line.push_str(", ");
        line.push_str(waits);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_how_fast_and_what_it_waits_for() {
        let s = Duration::from_secs;
        assert_eq!(
            line(Stage::Replaying, 3000, 10_000, s(2), None),
            "replay: replaying letters 3000 of 10000 (30%), 1500/s, 0:00:04 left"
        );
        assert_eq!(
            line(Stage::Replaying, 0, 10, s(2), Some("waits for Aerospike")),
            "replay: replaying letters 0 of 10 (0%), waits for Aerospike"
        );
        assert_eq!(
            line(Stage::Reading, 0, 0, s(0), None),
            "replay: reading headers 0 of 0 (100%)"
        );
    }
}
