//! One line of the log: as text, and as JSON. Depends only on its arguments.

use std::fmt::Write as _;

use jiff::Timestamp;
use log::Level;

use super::pairs::{Value, split};

/// The kind of place to which lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A file, a pipe, a terminal without colours.
    Plain,
    /// A terminal.
    Colours,
    /// The journal of systemd. It adds the time itself, and reads the priority from the beginning of a line.
    Journal,
}

/// What the journal takes for an error.
pub(super) const ERROR_PRIORITY: &str = "<3>";

/// Fields of the log's own that every JSON object has, or may have. A pair with one of these names gets another name.
const RESERVED: [&str; 5] = ["time", "level", "thread", "target", "message"];
/// Fields whose values are names. They are always text, even if they look like numbers.
const NAMES: [&str; 11] = [
    "topic",
    "topics",
    "group",
    "namespace",
    "set",
    "key",
    "user",
    "id",
    "was",
    "list",
    "file",
];

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'l> {
    pub time: Timestamp,
    pub level: Level,
    pub target: &'l str,
    pub thread: Option<&'l str>,
    pub message: &'l str,
}

impl Line<'_> {
    /// The line as text, with its line feed. If a message has several lines, the later ones are indented, so that none
    /// of them looks like a log line of its own.
    pub fn text(&self, place: Place) -> String {
        let Line {
            time, level, target, ..
        } = self;
        let mut text = String::with_capacity(self.message.len() + 64);
        let priority = self.priority(place);
        text.push_str(priority);
        // A write to a string cannot fail.
        let _ = match place {
            Place::Plain => write!(text, "[{time:.3} {level:<5} {target}] "),
            Place::Colours => {
                let colour = match level {
                    Level::Error => "1;31",
                    Level::Warn => "33",
                    Level::Info => "32",
                    Level::Debug => "34",
                    Level::Trace => "36",
                };
                write!(
                    text,
                    "\u{1b}[2m[{time:.3}\u{1b}[0m \u{1b}[{colour}m{level:<5}\u{1b}[0m \u{1b}[2m{target}]\u{1b}[0m "
                )
            }
            Place::Journal => write!(text, "[{level:<5} {target}] "),
        };
        for c in self.message.chars() {
            match c {
                '\n' => {
                    text.push('\n');
                    text.push_str(priority);
                    text.push_str("    ");
                }
                '\t' => text.push('\t'),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        text.push('\n');
        text
    }

    /// What the journal takes off the beginning of each line: the priorities of sd-daemon(3).
    fn priority(&self, place: Place) -> &'static str {
        match (place, self.level) {
            (Place::Plain | Place::Colours, _) => "",
            (Place::Journal, Level::Error) => ERROR_PRIORITY,
            (Place::Journal, Level::Warn) => "<4>",
            (Place::Journal, Level::Info) => "<6>",
            (Place::Journal, Level::Debug | Level::Trace) => "<7>",
        }
    }

    /// The line as one JSON object, with its line feed. (The journal keeps the object alone.)
    pub fn json(&self, place: Place) -> String {
        let (words, pairs) = split(self.message);
        let mut names: Vec<String> = RESERVED.map(str::to_owned).into();
        let mut json = format!(
            "{}{{\"time\":\"{:.3}\",\"level\":\"{}\",\"target\":{}",
            self.priority(place),
            self.time,
            self.level,
            quoted(self.target)
        );
        let mut add = |name: &str, value: &str| {
            json.push_str(&format!(",{}:{value}", quoted(name)));
        };
        if let Some(thread) = self.thread {
            add("thread", &quoted(thread));
        }
        add("message", &quoted(words));
        for pair in pairs {
            let mut name = pair.key.to_owned();
            while names.contains(&name) {
                name.push('_');
            }
            let value = match &pair.value {
                Value::Bare(value) if is_literal(value) && !NAMES.contains(&pair.key) => (*value).to_owned(),
                Value::Bare(value) => quoted(value),
                Value::Quoted(value) => quoted(value),
            };
            add(&name, &value);
            names.push(name);
        }
        json.push_str("}\n");
        json
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether the text is a number or a boolean in JSON, and is written without quotes. A number that readers would round
/// is written as text.
fn is_literal(text: &str) -> bool {
    const EXACT: u64 = 1 << 53;
    if matches!(text, "true" | "false") {
        return true;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    is_digits(whole)
        && is_digits(fraction)
        && !has_leading_zero
        && fraction.len() <= 6
        && whole.parse::<u64>().is_ok_and(|whole| whole <= EXACT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;

    fn line(message: &str) -> Line<'_> {
        Line {
            time: Timestamp::from_millisecond(1_780_000_000_123).unwrap(),
            level: Level::Warn,
            target: "penstock::kafka",
            thread: Some("events-7"),
            message,
        }
    }

    fn read(message: &str) -> Json {
        let json = line(message).json(Place::Plain);
        let object = json.strip_suffix('\n').unwrap();
        assert!(!object.contains('\n'), "{object}");
        serde_json::from_str(object).unwrap()
    }

    #[test]
    fn text_has_time_level_and_module_and_then_the_message() {
        assert_eq!(
            line("kafka: x a=1").text(Place::Plain),
            "[2026-05-28T20:26:40.123Z WARN  penstock::kafka] kafka: x a=1\n"
        );
    }

    #[test]
    fn the_journal_gets_the_priority_and_no_time() {
        assert_eq!(line("x").text(Place::Journal), "<4>[WARN  penstock::kafka] x\n");
        let error = Line {
            level: Level::Error,
            ..line("x")
        };
        assert_eq!(error.text(Place::Journal), "<3>[ERROR penstock::kafka] x\n");
    }

    #[test]
    fn the_journal_gets_the_priority_of_each_line_of_a_message_and_of_json() {
        assert_eq!(
            line("a\nb").text(Place::Journal),
            "<4>[WARN  penstock::kafka] a\n<4>    b\n"
        );
        let json = line("x").json(Place::Journal);
        assert_eq!(json, format!("<4>{}", line("x").json(Place::Plain)));
    }

    #[test]
    fn colours_are_around_the_level_and_never_in_the_message() {
        let text = line("x a=1").text(Place::Colours);
        assert!(text.contains("\u{1b}[33mWARN \u{1b}[0m"), "{text:?}");
        assert!(text.ends_with("\u{1b}[0m x a=1\n"), "{text:?}");
    }

    #[test]
    fn nothing_in_a_message_passes_for_a_line_or_moves_the_cursor() {
        let text = line("a\n[2026 ERROR x] b\u{1b}[2J\r").text(Place::Plain);
        assert!(text.ends_with("] a\n    [2026 ERROR x] b\\u{1b}[2J\\r\n"), "{text:?}");
    }

    #[test]
    fn json_has_the_pairs_as_fields_and_numbers_as_numbers() {
        assert_eq!(
            read(
                r#"kafka: it fails, again topic=42 offset=7 share=0.5 reason="a \"b\"" lost=true since=1.5s big=18446744073709551615 code=-1 zip=007"#
            ),
            json!({
                "time": "2026-05-28T20:26:40.123Z",
                "level": "WARN",
                "target": "penstock::kafka",
                "thread": "events-7",
                "message": "kafka: it fails, again",
                "topic": "42",
                "offset": 7,
                "share": 0.5,
                "reason": "a \"b\"",
                "lost": true,
                "since": "1.5s",
                "big": "18446744073709551615",
                "code": -1,
                "zip": "007",
            })
        );
    }

    #[test]
    fn a_pair_replaces_no_field_and_no_other_pair() {
        let read = read("x level=7 a=1 a=2 message=m");
        assert_eq!(read["level"], "WARN");
        assert_eq!(read["message"], "x");
        assert_eq!(
            (&read["level_"], &read["a"], &read["a_"]),
            (&json!(7), &json!(1), &json!(2))
        );
        assert_eq!(read["message_"], "m");
    }

    proptest! {
        #[test]
        fn every_line_is_one_object_whatever_is_in_it(message in any::<String>(), thread in any::<String>()) {
            let json = Line { thread: Some(&thread), ..line(&message) }.json(Place::Plain);
            prop_assert_eq!(json.matches('\n').count(), 1);
            let object: serde_json::Map<String, Json> = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&object["level"], "WARN");
            prop_assert_eq!(&object["thread"], &thread);
        }

        #[test]
        fn every_line_with_pairs_is_one_object_with_each_field_once(
            message in "([a-z]{1,6}(=|=\"|\" |: |, )[ -~é\n]{0,8}){0,8}"
        ) {
            let json = line(&message).json(Place::Plain);
            prop_assert_eq!(json.matches('\n').count(), 1);
            let object: serde_json::Map<String, Json> = serde_json::from_str(&json).unwrap();
            let (_, pairs) = split(&message);
            prop_assert_eq!(object.len(), RESERVED.len() + pairs.len());
        }
    }
}
