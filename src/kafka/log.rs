//! Logs what librdkafka reports. Each kind is logged at once, and then at most every 10 seconds, with the number of
//! repetitions.
//!
//! One place for its log lines and its errors, for all clients of the process. While no broker answers, each client
//! reports the same several times a second, and most of it twice: as a log line and as an error. Two texts that differ
//! in substance (another broker, another address, other words) are different kinds. Numbers that only count are
//! ignored.
//!
//! Called by librdkafka's threads and by the threads that poll. Decides nothing.

use std::time::Instant;

use log::{Level, log_enabled};
use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::kafka::admin::advertised::{is_about_given, named};
use crate::kafka::diagnosis::symptoms;
use crate::util::throttle::{Repeated, Throttle};

/// Maximum number of kinds in memory. Beyond it, the kind that was logged longest ago is forgotten; it is logged again
/// when it next occurs.
const KINDS_MAX: usize = 256;

static TOLD: Mutex<Told> = Mutex::new(Told::new());

/// Logs a line of librdkafka's log.
pub fn tell_line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let level = match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            // librdkafka calls every broken connection an error. But it connects again, and nothing is lost.
            Level::Warn
        }
        RDKafkaLogLevel::Warning => Level::Warn,
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => Level::Info,
        RDKafkaLogLevel::Debug => Level::Debug,
    };
    if !log_enabled!(target: "librdkafka", level) {
        return;
    }
    // If a user turns on librdkafka's debugging, log all of it.
    if level == Level::Debug {
        log::debug!(target: "librdkafka", "{facility} {message}");
    } else if let Some(repeated) = due(message) {
        let (told, cure) = (readable(message), Cure(message));
        log::log!(target: "librdkafka", level, "{facility} {told}{cure}{repeated}");
    }
}

/// Logs an error, unless librdkafka's log has just reported the same.
pub fn tell_error(error: &KafkaError, reason: &str) {
    if let Some(repeated) = due(reason) {
        let (told, cure) = (readable(reason), Cure(reason));
        log::warn!("kafka: {error} reason=\"{told}\"{cure}{repeated}");
    }
}

/// The text with the broker's name in a readable form.
fn readable(text: &str) -> String {
    match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((thread, text)) => format!("[thrd:{thread}]: {}", named(text)),
        None => named(text),
    }
}

fn due(text: &str) -> Option<Repeated> {
    TOLD.lock().due(kind(text), Instant::now())
}

/// ` cure="…"`, if the cause is known.
struct Cure<'t>(&'t str);

impl std::fmt::Display for Cure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match symptoms::read(self.0) {
            // The broker has sent this address itself; the configured address has answered.
            Some(symptom) if is_about_given(self.0) && !symptom.cure.contains("advertised.listeners") => {
                let cure = symptom
                    .cure
                    .replace("kafka.brokers", "the broker's advertised.listeners");
                write!(f, " cure=\"{cure}\"")
            }
            Some(symptom) => write!(f, " cure=\"{}\"", symptom.cure),
            None => Ok(()),
        }
    }
}

/// The text without the parts that differ each time: the thread's name at the start, the duration, and numbers that
/// stand alone. Names of brokers and addresses stay.
fn kind(text: &str) -> String {
    let text = match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, text)) => text,
        None => text,
    };
    let text = text.split(" (after ").next().unwrap_or(text);
    let mut kind = String::with_capacity(text.len());
    for word in text.split(' ') {
        if !kind.is_empty() {
            kind.push(' ');
        }
        // A word with a colon or a slash in it is a broker's name or an address. Exception: `2/2` is a count.
        let names =
            word.trim_end_matches(':').contains([':', '/']) && word.contains(|c: char| c.is_alphabetic() || c == ':');
        if names {
            kind.push_str(word);
        } else {
            let mut in_number = false;
            for c in word.chars() {
                if !c.is_ascii_digit() {
                    kind.push(c);
                } else if !in_number {
                    kind.push('#');
                }
                in_number = c.is_ascii_digit();
            }
        }
    }
    kind
}

#[derive(Debug)]
struct Told {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: String,
    lines: Throttle,
}

impl Told {
    const fn new() -> Told {
        Told { kinds: Vec::new() }
    }

    /// How often it occurred since the last line, including now; `None` while the last line is too recent.
    fn due(&mut self, name: String, now: Instant) -> Option<Repeated> {
        if let Some(known) = self.kinds.iter_mut().find(|known| known.name == name) {
            return known.lines.pass_at(now);
        }
        if self.kinds.len() == KINDS_MAX
            && let Some((oldest, _)) = self
                .kinds
                .iter()
                .enumerate()
                .min_by_key(|(_, known)| known.lines.last())
        {
            self.kinds.swap_remove(oldest);
        }
        let mut lines = Throttle::default();
        let repeated = lines.pass_at(now);
        self.kinds.push(Kind { name, lines });
        repeated
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_lasts_is_told_at_once_and_every_10_seconds_with_its_count() {
        let mut told = Told::new();
        let began = Instant::now();
        let lines: Vec<Option<Repeated>> = (0..=100)
            .map(|tenths| {
                told.due(
                    kind("2/2 brokers are down"),
                    began + Duration::from_millis(100 * tenths),
                )
            })
            .collect();
        assert_eq!(lines[0], Some(Repeated(1)));
        assert!(lines[1..100].iter().all(Option::is_none), "{lines:?}");
        assert_eq!(lines[100], Some(Repeated(100)));
        assert_eq!(told.due(kind("another"), began), Some(Repeated(1)));
    }

    #[test]
    fn what_differs_in_substance_is_of_another_kind() {
        let refused = "k:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused";
        let of_thread = format!("[thrd:k:9092/bootstrap]: {refused} (after 3ms in state CONNECT)");
        let again = format!("{refused} (after 12ms in state CONNECT, 30 identical error(s) suppressed)");
        assert_eq!(kind(&of_thread), kind(&again), "as a line and as an error, and later");
        for other in [
            "l:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused",
            "k:9093/1: Connect to ipv4#10.0.0.1:9093 failed: Connection refused",
            "k:9092/2: Connect to ipv4#10.0.0.1:9092 failed: Connection refused",
            "k:9092/1: Connect to ipv4#10.0.0.2:9092 failed: Connection refused",
            "k:9092/1: Connect to ipv4#10.0.0.1:9092 failed: No route to host",
        ] {
            assert_ne!(kind(&of_thread), kind(other), "{other}");
        }
        assert_eq!(
            kind("Timed out 1 in-flight, 0 retry-queued requests"),
            kind("Timed out 12 in-flight, 7 retry-queued requests")
        );
    }

    #[test]
    fn the_cure_is_that_of_the_address_it_is_about() {
        let failed = "ApiVersionRequest failed: Local: Timed out: probably due to broker version < 0.10";
        let configured = Cure(&format!("[thrd:k:1/bootstrap]: k:1/bootstrap: {failed}")).to_string();
        assert!(
            configured.contains("correct kafka.brokers: the host and port"),
            "{configured}"
        );
        let given = Cure(&format!("[thrd:k:1/1]: k:1/1: {failed}")).to_string();
        assert!(
            given.contains("correct the broker's advertised.listeners: the host"),
            "{given}"
        );
    }

    #[test]
    fn kinds_have_a_bound_and_the_one_told_longest_ago_is_forgotten_first() {
        let mut told = Told::new();
        let began = Instant::now();
        let at = |number: usize| began + Duration::from_millis(number as u64);
        for number in 0..=KINDS_MAX {
            assert_eq!(told.due(format!("kind {number}"), at(number)), Some(Repeated(1)));
        }
        assert_eq!(told.kinds.len(), KINDS_MAX);
        assert_eq!(told.due("kind 1".to_owned(), at(300)), None, "still known");
        assert_eq!(told.due("kind 0".to_owned(), at(300)), Some(Repeated(1)), "forgotten");
    }
}
