//! The log: which lines are written, in which form, and where to.
//!
//! Code logs with the macros of the crate `log`: words, and then `key=value`. The filter decides whether a line is
//! written. A line is written as text, or as one JSON object. It goes to standard error; on a terminal it appears above
//! the status line. `docs/reference/logs.md` describes all this.

// `key=value` at the end of a line.
pub mod pairs;
// A line as text, and as JSON.
mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::env::VarError;
use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use env_filter::Filter;
use log::{Level, Log, Metadata, Record, error};

use crate::util::logging::lines::{Line, Place};
use crate::util::screen;

/// The environment variables for the filter. The first one that is set is used.
const VARIABLES: [&str; 2] = ["PENSTOCK_LOG", "RUST_LOG"];

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words, then `key=value`.
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// The words for it, in the file and on the command line.
    pub const WORDS: [&str; 2] = ["text", "json"];

    /// The form with this word. Any other word means text.
    pub fn of(word: &str) -> Format {
        match word {
            "json" => Format::Json,
            _ => Format::Text,
        }
    }
}

/// The log of this process.
static LOGGER: OnceLock<Logger> = OnceLock::new();

#[derive(Debug)]
struct Logger {
    filter: Filter,
    is_json: AtomicBool,
    place: Place,
}

/// Starts the log, as text. `shown`: the filter if no variable sets one. A second start changes nothing.
pub fn start(shown: &str) {
    let (filter, complaint) = filter(|name| std::env::var(name), shown);
    let level = filter.filter();
    let logger = LOGGER.get_or_init(|| Logger {
        filter,
        is_json: AtomicBool::new(false),
        place: place(),
    });
    // This fails if the program already has its own logger. Then that logger is used.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
    if let Some(complaint) = complaint {
        // This line is written even if the filter would hide it.
        logger.write(
            &Record::builder()
                .level(Level::Warn)
                .target(module_path!())
                .args(format_args!("{complaint}"))
                .build(),
        );
    }
}

/// Sets the form of all later lines.
pub fn set_format(format: Format) {
    if let Some(logger) = LOGGER.get() {
        logger.is_json.store(format == Format::Json, Relaxed);
    }
}

/// Text that is no line of the log, and tells of an error: as it is, or as the journal takes it for an error.
pub fn as_error(text: &str) -> Cow<'_, str> {
    match LOGGER.get() {
        Some(logger) if logger.place == Place::Journal => text
            .split_inclusive('\n')
            .map(|line| format!("{}{line}", lines::ERROR_PRIORITY))
            .collect::<String>()
            .into(),
        _ => text.into(),
    }
}

/// Makes every panic visible, in any thread. If lines are JSON, or go to the journal, it is logged as an ERROR line.
/// Otherwise the previous panic hook prints the place, the message and (with `RUST_BACKTRACE=1`) the backtrace.
pub fn tell_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_for_people = |logger: &Logger| logger.format() == Format::Text && logger.place != Place::Journal;
        if LOGGER.get().is_none_or(is_for_people) {
            screen::without_status(|| usual(panic));
            return;
        }
        let message = panic.payload();
        let message = message
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| message.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!(" backtrace={:?}", backtrace.to_string()),
            _ => String::new(),
        };
        error!(
            "a thread panicked at={place} why={:?}{backtrace}",
            message.unwrap_or_default()
        );
    }));
}

/// The filter, and what is wrong with the variable that sets it, if anything.
fn filter(variable: impl Fn(&str) -> Result<String, VarError>, shown: &str) -> (Filter, Option<String>) {
    let default = || env_filter::Builder::new().parse(shown).build();
    for name in VARIABLES {
        let problem = match variable(name) {
            // Treated as if it were not set.
            Err(VarError::NotPresent) => continue,
            Ok(text) if text.trim().is_empty() => continue,
            Err(VarError::NotUnicode(_)) => "it is not UTF-8".to_owned(),
            Ok(text) => {
                match env_filter::Builder::new().try_parse(&text) {
                    Ok(builder) => {
                        let filter = builder.build();
                        let complaint = hides_us(&filter, &text).then(|| {
                        format!("log: {name} shows no line of penstock itself; add a level, e.g. {name}=info value={text:?}")
                    });
                        return (filter, complaint);
                    }
                    Err(error) => format!("{error}: {text}"),
                }
            }
        };
        let complaint = format!(
            "log: {name} is not a filter, and is passed over; write e.g. {name}=info or {name}=penstock=debug \
             reason={problem:?} used={shown:?}"
        );
        return (default(), Some(complaint));
    }
    (default(), None)
}

/// Whether the filter hides all our lines. A word that is not a level counts as the name of a module, and only that
/// module is shown: `PENSTOCK_LOG=verbose`.
fn hides_us(filter: &Filter, text: &str) -> bool {
    let errors = Metadata::builder().level(Level::Error).target("penstock").build();
    let is_meant = text
        .split([',', '='])
        .any(|word| word.trim().eq_ignore_ascii_case("off"));
    !filter.enabled(&errors) && !text.contains("penstock") && !is_meant
}

/// The kind of place to which standard error goes.
fn place() -> Place {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    if is_journal(&journal) {
        return Place::Journal;
    }
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && screen::has_status() && !unwanted {
        Place::Colours
    } else {
        Place::Plain
    }
}

/// Whether this is the device and inode of standard error. The variable alone proves nothing: our parent process may
/// have passed on the variable of its own journal, but redirected our standard error.
fn is_journal(device_and_inode: &str) -> bool {
    let Some((device, inode)) = device_and_inode.split_once(':') else {
        return false;
    };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from);
    stderr
        .and_then(|stderr| stderr.metadata())
        .is_ok_and(|found| found.dev().to_string() == device && found.ino().to_string() == inode)
}

impl Logger {
    fn format(&self) -> Format {
        if self.is_json.load(Relaxed) {
            Format::Json
        } else {
            Format::Text
        }
    }

    fn write(&self, record: &Record<'_>) {
        let message = record.args().to_string();
        let thread = std::thread::current();
        let line = Line {
            time: jiff::Timestamp::now(),
            level: record.level(),
            target: record.target(),
            thread: thread.name(),
            message: &message,
        };
        screen::write(
            match self.format() {
                Format::Text => line.text(self.place),
                Format::Json => line.json(self.place),
            }
            .as_bytes(),
        );
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.matches(record) {
            self.write(record);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(set: &[(&str, &str)]) -> (Filter, Option<String>) {
        let variable = |name: &str| {
            let found = set.iter().find(|(of, _)| *of == name);
            match found {
                Some((_, "not UTF-8")) => Err(VarError::NotUnicode(OsString::new())),
                Some((_, value)) => Ok((*value).to_owned()),
                None => Err(VarError::NotPresent),
            }
        };
        filter(variable, "info,aerospike_core=off")
    }

    fn shows(filter: &Filter, level: Level, target: &str) -> bool {
        filter.enabled(&Metadata::builder().level(level).target(target).build())
    }

    #[test]
    fn our_variable_goes_before_that_of_all_rust_programs() {
        let (filter, complaint) = read(&[("PENSTOCK_LOG", "penstock=debug"), ("RUST_LOG", "warn")]);
        assert!(complaint.is_none());
        assert!(shows(&filter, Level::Debug, "penstock::cli"));
        let (filter, _) = read(&[("RUST_LOG", "warn")]);
        assert!(shows(&filter, Level::Warn, "penstock::cli") && !shows(&filter, Level::Info, "penstock::cli"));
        for nothing in [
            &[][..],
            &[("PENSTOCK_LOG", "")],
            &[("PENSTOCK_LOG", " "), ("RUST_LOG", "")],
        ] {
            let (filter, complaint) = read(nothing);
            assert!(complaint.is_none());
            assert!(shows(&filter, Level::Info, "penstock::cli"));
            assert!(!shows(&filter, Level::Error, "aerospike_core"));
        }
        let (filter, _) = read(&[("PENSTOCK_LOG", ""), ("RUST_LOG", "debug")]);
        assert!(shows(&filter, Level::Debug, "penstock"), "an empty one is not set");
    }

    #[test]
    fn what_is_no_filter_is_told_and_the_default_is_used() {
        for bad in ["penstock=loud", "penstock=debug=x", "a/b/c", "not UTF-8"] {
            let (filter, complaint) = read(&[("PENSTOCK_LOG", bad), ("RUST_LOG", "off")]);
            let complaint = complaint.unwrap();
            assert!(
                complaint.starts_with("log: PENSTOCK_LOG is not a filter"),
                "{complaint}"
            );
            assert!(shows(&filter, Level::Info, "penstock"), "{bad}");
        }
    }

    #[test]
    fn a_filter_that_shows_nothing_of_us_is_told_unless_that_is_meant() {
        for (text, is_told) in [
            ("verbose", true),
            ("librdkafka=debug", true),
            ("off", false),
            ("off,librdkafka=debug", false),
            ("penstock=off", false),
            ("error", false),
            ("penstock::kafka=debug", false),
            ("debug", false),
        ] {
            let (_, complaint) = read(&[("RUST_LOG", text)]);
            assert_eq!(complaint.is_some(), is_told, "{text}: {complaint:?}");
        }
    }

    #[test]
    fn only_the_device_and_inode_of_standard_error_are_the_journal() {
        for other in ["", "8", "8:", "1:1", "x:y"] {
            assert!(!is_journal(other), "{other}");
        }
    }
}
