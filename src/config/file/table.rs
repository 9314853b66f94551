//! Tables of the file: how their keys are read, with limits and defaults.
//!
//! The possible keys are in [`crate::config::keys`]; what they mean is in `config::sections` and
//! `config::routes::route`.

use std::time::Duration;

use toml::de::DeValue;

use crate::config::file::fault::Fault;
use crate::config::file::reader::{Node, Table, Text};
use crate::config::file::synonyms::{self, Meant};
use crate::config::file::wording::{joined, nearest};
use crate::config::key::{Read, Value, Values};
use crate::config::keys::{Key, Kind, Section};
use crate::config::values::units;

impl<'a> Table<'a> {
    /// The key's value. Notes a fault if it is missing.
    pub fn required(&self, name: &str, cure: &str) -> Option<&Node<'a>> {
        let node = self.get(name);
        if node.is_none() {
            self.fault_missing(name, cure);
        }
        node
    }

    /// Whether an unknown key is a misspelling of `name`. Then that is reported, with its cure, and `name` is not
    /// reported as missing.
    pub fn is_misspelt(&self, name: &str) -> bool {
        let is_known = |each: &str| self.section.keys.iter().any(|key| key.name == each);
        self.nodes
            .iter()
            .filter(|(each, _)| !is_known(each) && !self.section.later.contains(each))
            .any(|(each, _)| matches!(synonyms::meant(self.section, each), Some(Meant::Key(key)) if key == name))
    }

    /// Whether the key is in the file, under any name.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.is_misspelt(name)
    }

    pub fn fault_missing(&self, name: &str, cure: &str) {
        if self.is_misspelt(name) {
            return;
        }
        self.context.note(
            self.at,
            Fault {
                line: self.context.line(self.at),
                key: joined(&self.key, name),
                found: None,
                problem: "is missing".to_owned(),
                cure: cure.to_owned(),
            },
            Some((self.section.title, name.to_owned())),
        );
    }

    /// The table at `name`; an empty one if it is missing or not a table.
    pub fn table(&self, name: &str, section: &'static Section) -> Table<'a> {
        match self.get(name).map(|node| node.table(section)) {
            Some(Some(table)) => table,
            _ => Table::new(self.context, joined(&self.key, name), self.at, None, section),
        }
    }

    #[allow(clippy::expect_used)] // only an error in our own table fails, not one in the file
    fn key(&self, name: &str) -> &'static Key {
        let key = self.section.keys.iter().find(|key| key.name == name);
        key.expect("every key that is read stands in config::keys")
    }

    /// The key's duration within its limits; its default if absent; `None` if it is faulty.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.quantity(name).map(Duration::from_millis)
    }

    /// As [`Table::duration`]; `Some(None)` for `"0"`.
    pub fn duration_or_zero(&self, name: &str) -> Option<Option<Duration>> {
        let ms = self.quantity(name)?;
        Some((ms > 0).then(|| Duration::from_millis(ms)))
    }

    pub fn size(&self, name: &str) -> Option<u64> {
        self.quantity(name)
    }

    #[allow(clippy::expect_used)] // only an error in our own table fails, not one in the file
    fn quantity(&self, name: &str) -> Option<u64> {
        let key = self.key(name);
        let read = |text: &str| match key.kind {
            Kind::Size { .. } => units::size(text),
            Kind::DurationOrZero { .. } if text == "0" => Ok(0),
            _ => units::duration(text).map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
        };
        let ours = |text: &str| read(text).expect("limits and defaults in config::keys are quantities");
        let (what, units, min, max) = match key.kind {
            Kind::Size { min, max } => ("size", units::SIZE_UNITS, min, max),
            Kind::Duration { min, max } | Kind::DurationOrZero { min, max } => {
                ("duration", units::DURATION_UNITS, min, max)
            }
            _ => unreachable!("{name} is no quantity in config::keys"),
        };
        let or_zero = if matches!(key.kind, Kind::DurationOrZero { .. }) {
            ", or \"0\" for no limit"
        } else {
            ""
        };
        let Some(node) = self.get(name) else {
            return key.default.map(ours);
        };
        if let DeValue::Integer(number) = node.value.get_ref() {
            let unit = if what == "size" { "MiB" } else { "s" };
            let example = format!("{}{unit}", number.as_str().trim_start_matches('+'));
            let example = if read(&example).is_ok() { example.as_str() } else { min };
            let cure = format!("write a string with a unit ({units}), e.g. \"{example}\"{or_zero}");
            node.fault(format!("a {what} needs a unit"), cure);
            return None;
        }
        let text = node.text()?;
        match read(&text.value) {
            Err(bad) => {
                let cure = format!("write a whole number with a unit ({units}), e.g. \"{min}\"{or_zero}");
                node.fault(bad.problem(what), cure);
                None
            }
            Ok(0) if !or_zero.is_empty() => Some(0),
            Ok(value) if value < ours(min) => {
                node.fault(
                    format!("is below the least, {min}"),
                    format!("write \"{min}\" to \"{max}\"{or_zero}"),
                );
                None
            }
            Ok(value) if value > ours(max) => {
                node.fault(
                    format!("is above the most, {max}"),
                    format!("write \"{min}\" to \"{max}\"{or_zero}"),
                );
                None
            }
            Ok(value) => Some(value),
        }
    }

    /// A whole number within the key's limits; its default if absent.
    #[allow(clippy::expect_used)] // only an error in our own table fails, not one in the file
    pub fn number(&self, name: &str) -> Option<usize> {
        let key = self.key(name);
        let Kind::Number { min, max } = key.kind else {
            unreachable!("{name} is no number in config::keys");
        };
        let Some(node) = self.get(name) else {
            return key
                .default
                .map(|text| text.parse().expect("defaults in config::keys are numbers"));
        };
        whole(node, min, max)
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        let key = self.key(name);
        let Some(node) = self.get(name) else {
            return key.default.map(|text| text == "true");
        };
        let text = match node.value.get_ref() {
            DeValue::Boolean(flag) => return Some(*flag),
            DeValue::String(_) => node.text()?,
            _ => {
                node.fault("expected true or false", "write true or false, without quotes");
                return None;
            }
        };
        match text.value.as_str() {
            "true" if text.from_outside => Some(true),
            "false" if text.from_outside => Some(false),
            word => {
                let meant = match word.to_ascii_lowercase().as_str() {
                    _ if text.from_outside => None,
                    "true" | "yes" | "on" => Some("true"),
                    "false" | "no" | "off" => Some("false"),
                    _ => None,
                };
                let cure = match meant {
                    Some(meant) => format!("write {name} = {meant}, without quotes"),
                    None => "write true or false, without quotes".to_owned(),
                };
                node.fault("expected true or false", cure);
                None
            }
        }
    }

    /// One of the key's possible words; its default if absent.
    pub fn choice(&self, name: &str) -> Option<&'static str> {
        self.choice_of(name, None, |_| None)
    }

    /// As [`Table::choice`]. For a wrong word, the fault lists only the words in `offered`, if given. Before them it
    /// names the word that is `meant` or is the nearest.
    pub fn choice_of(
        &self,
        name: &str,
        offered: Option<&[&'static str]>,
        meant: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<&'static str> {
        let key = self.key(name);
        let Kind::Choice { known, later } = key.kind else {
            unreachable!("{name} is no choice in config::keys");
        };
        let offered = offered.unwrap_or(known);
        let Some(node) = self.get(name) else {
            return key.default;
        };
        let quoted: Vec<String> = offered.iter().map(|each| format!("\"{each}\"")).collect();
        let cure = format!("write {}", quoted.join(" or "));
        if !matches!(node.value(), DeValue::String(_)) {
            node.fault("expected a string", cure);
            return None;
        }
        let text = node.text()?;
        if let Some(found) = known.iter().find(|each| **each == text.value) {
            return Some(*found);
        }
        match later.iter().find(|each| **each == text.value) {
            _ if text.from_outside => node.fault("is none of the values it can have", cure),
            Some(later) => node.fault(format!("`{later}` is not known to this version"), cure),
            None => {
                let word = text.value.trim().to_ascii_lowercase();
                let meant = meant(&word)
                    .or_else(|| synonyms::meant_word(name, &word))
                    .filter(|meant| offered.contains(meant));
                let cure = match meant.or_else(|| nearest(&word, offered)) {
                    Some(meant) => format!("did you mean \"{meant}\"? {cure}"),
                    None => cure,
                };
                node.fault("is none of the values it can have", cure);
            }
        }
        None
    }

    /// All keys of the section, each read by its kind. For sections that contain only quantities, numbers, flags and
    /// words.
    pub fn values(&self) -> Values {
        let read = |key: &Key| match key.kind {
            Kind::Duration { .. } => self.duration(key.name).map(Read::Duration),
            Kind::DurationOrZero { .. } => {
                let duration = self.duration_or_zero(key.name);
                duration.map(|duration| Read::Duration(duration.unwrap_or_default()))
            }
            Kind::Size { .. } => self.size(key.name).map(Read::Size),
            Kind::Number { .. } => self.number(key.name).map(Read::Number),
            Kind::Flag => self.flag(key.name).map(Read::Flag),
            Kind::Choice { .. } => self.choice(key.name).map(Read::Word),
            Kind::Text | Kind::List | Kind::Value | Kind::Table | Kind::Tables => {
                unreachable!("{} needs rules of its own", key.name)
            }
        };
        // A text has rules of its own, which its section knows.
        let keys = self.section.keys.iter().filter(|key| key.kind != Kind::Text);
        let values = keys.map(|key| Value {
            name: key.name,
            is_written: self.get(key.name).is_some(),
            read: read(key),
        });
        Values(values.collect())
    }

    /// A string with its reference resolved.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.get(name)?.text()
    }
}

/// The whole number at `node`, from `min` to `max`.
pub fn whole(node: &Node<'_>, min: i64, max: i64) -> Option<usize> {
    let cure = format!("write {min} to {max}");
    let number = match node.value.get_ref() {
        DeValue::Integer(_) => node.integer(),
        DeValue::String(_) => {
            let text = node.text()?;
            let number = text.value.parse::<i64>().ok();
            if !text.from_outside || number.is_none() {
                let cure = match number {
                    Some(number) if !text.from_outside && (min..=max).contains(&number) => {
                        let name = node.key.rsplit('.').next().unwrap_or_default();
                        format!("write {name} = {number}, without quotes")
                    }
                    _ => cure,
                };
                node.fault("expected an integer", cure);
                return None;
            }
            number
        }
        _ => {
            node.fault("expected an integer", cure);
            return None;
        }
    };
    match number {
        Some(number) if (min..=max).contains(&number) => usize::try_from(number).ok(),
        _ => {
            node.fault("is out of range", cure);
            None
        }
    }
}
