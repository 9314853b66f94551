//! The key of a record: proposed from the messages' keys and from their fields, with the reasons.
//!
//! Kafka keeps the order of one key's messages. So the message's key is the best key of a record, where there is one.

use super::looks::{Look, epoch};
use super::shape::{Envelope, Field, Keys, Shape, is_nearly};
use super::written::{comment, path, string};
use crate::config::model::{Expr, Part, Source};
use crate::config::values::grammar::{self, Scope};

/// Other keys that are shown.
const OTHERS_MAX: usize = 4;
/// A field that is always there comes before an equally good one that is not.
const NOT_ALWAYS: i64 = 5;
/// A template of more fields is no help.
const PARTS_MAX: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct ProposedKey {
    /// As a value of TOML.
    pub written: String,
    /// As an answer to a question.
    pub shown: String,
    /// Each a sentence.
    pub reasons: Vec<String>,
    /// Values of TOML, each with its reason.
    pub others: Vec<(String, String)>,
    /// The field of the payload that is the key, or always equals it.
    pub field: Option<Vec<String>>,
}

/// The key where nothing else is one.
const PLACE: &str = "{@topic}:{@partition}:{@offset}";

impl ProposedKey {
    fn plain(shown: &str, reasons: Vec<String>) -> ProposedKey {
        ProposedKey {
            written: string(shown),
            shown: shown.to_owned(),
            reasons,
            others: Vec::new(),
            field: None,
        }
    }

    fn integer(path: &str, reasons: Vec<String>) -> ProposedKey {
        let written = format!("{{ path = {}, as = \"integer\" }}", string(path));
        ProposedKey {
            shown: written.clone(),
            written,
            reasons,
            others: Vec::new(),
            field: None,
        }
    }

    /// The key that the user names.
    pub fn given(text: &str, shape: Option<&Shape>) -> ProposedKey {
        let mut key = ProposedKey::plain(text, vec!["Given.".to_owned()]);
        let fields = shape.map(|shape| shape.fields.as_slice()).unwrap_or_default();
        let field = fields.iter().filter_map(Field::names).find(|names| path(names) == text);
        key.field = field.map(|names| names.iter().map(ToString::to_string).collect());
        key
    }

    /// Whether a message without payload has it.
    pub fn is_metadata(&self) -> bool {
        let text = match self.written.strip_prefix("{ path = \"@key") {
            Some(_) => return true,
            None => &self.shown,
        };
        let is_metadata = |source: &Source| !matches!(source, Source::Path(_) | Source::Item(_) | Source::Value);
        match grammar::value(
            text,
            Scope {
                root: &[],
                each: false,
                strings: &[],
            },
        ) {
            Ok(Expr::Source(source)) => is_metadata(&source),
            Ok(Expr::Template(parts)) => parts.iter().all(|part| match part {
                Part::Source(source) | Part::Time { source, .. } => is_metadata(source),
                Part::Literal(_) => true,
            }),
            _ => false,
        }
    }

    /// Whether it is the message's place, so that no message changes a record of another one.
    pub fn is_place(&self) -> bool {
        self.shown == PLACE
    }

    /// Whether it is taken of the message's key, and nothing else.
    pub fn is_of_key(&self) -> bool {
        self.shown.contains("@key")
    }
}

/// The best key, without samples the message's.
pub(super) fn proposed(shape: Option<&Shape>) -> ProposedKey {
    let Some(shape) = shape.filter(|shape| shape.messages > 0) else {
        return ProposedKey::plain(
            "@key",
            vec![
                "The message's key. Kafka keeps the order of the messages of one key, so each record ends with its \
                 last message. A message without key is rejected."
                    .to_owned(),
            ],
        );
    };
    if shape.is_debezium {
        return of_a_row(shape);
    }
    let candidates = candidates(shape);
    let mut key = match of_the_message(shape) {
        Some(key) => key,
        None => of_a_field(shape, &candidates),
    };
    let others = candidates
        .iter()
        .filter(|candidate| key.field.as_ref().is_none_or(|field| candidate.names() != *field));
    key.others = others
        // One value is no key.
        .filter(|candidate| candidate.field.seen.distinct() != Some(1) || shape.messages == 1)
        .take(OTHERS_MAX)
        .map(|candidate| (string(&candidate.path), candidate.told(shape)))
        .collect();
    key
}

/// The message's key, if all messages have one that is usable.
fn of_the_message(shape: &Shape) -> Option<ProposedKey> {
    let Keys { there, .. } = shape.keys;
    let n = shape.messages;
    if there < n || shape.keys.empty > 0 || shape.keys.not_utf8 > 0 {
        return None;
    }
    let distinct = shape.keys.distinct();
    let count = format!("Kafka keys: in all {n} of the samples, {distinct} different.");
    let equal = |counts: &dyn Fn(&Field) -> u64| {
        shape
            .fields
            .iter()
            .find(|field| shape.objects > 0 && field.names().is_some() && counts(field) == shape.objects)
            .and_then(Field::names)
    };
    if let Some(names) = equal(&|field| field.seen.equals_quoted_key) {
        let path = path(&names);
        let mut key = ProposedKey::plain(
            &path,
            vec![
                count,
                format!(
                    "It is always {} in JSON's quotes, so the field is the better key, and the order is the same.",
                    comment(&path)
                ),
            ],
        );
        key.field = Some(names.iter().map(ToString::to_string).collect());
        return Some(key);
    }
    if let Some(key) = of_a_json_key(shape, &count) {
        return Some(key);
    }
    let mut key = ProposedKey::plain("@key", vec![count]);
    key.reasons.push(match equal(&|field| field.seen.equals_key) {
        Some(names) => {
            let told = format!("It always equals the field {}.", comment(&path(&names)));
            key.field = Some(names.iter().map(ToString::to_string).collect());
            told
        }
        None if let Some((names, count)) = nearly_equal(shape) => {
            format!(
                "It equals the field {} in {count} of {n} samples; in the others the field is missing, or differs.",
                comment(&path(&names))
            )
        }
        None if shape.keys.quoted == n => {
            "They are strings in JSON's quotes, and no field equals them: the record keys have the quotes, too."
                .to_owned()
        }
        None => "No field always equals it.".to_owned(),
    });
    if (distinct as u64) * 4 < n && n >= 20 {
        key.reasons
            .push("Those are few: a record holds the last of many messages.".to_owned());
    }
    Some(key)
}

/// The field that equals the message's key in nearly all samples, and in how many.
fn nearly_equal(shape: &Shape) -> Option<(Vec<&str>, u64)> {
    let best = shape
        .fields
        .iter()
        .filter_map(|field| Some((field.names()?, field.seen.equals_key)))
        .rev()
        .max_by_key(|(_, count)| *count);
    best.filter(|(_, count)| is_nearly(*count, shape.messages))
}

/// The fields of keys that are JSON objects.
fn of_a_json_key(shape: &Shape, count: &str) -> Option<ProposedKey> {
    let keys = &shape.keys;
    if keys.objects == 0 || keys.objects < keys.there || (keys.connect > 0 && keys.connect < keys.objects) {
        return None;
    }
    let inside = if keys.connect > 0 { "@key.payload." } else { "@key." };
    let usable = keys
        .fields
        .iter()
        .all(|field| field.seen.is_keyable() && field.seen.times == keys.objects);
    let paths: Option<Vec<String>> = keys
        .fields
        .iter()
        .map(|field| field.names().map(|names| format!("{inside}{}", path(&names))))
        .collect();
    let paths = paths.filter(|paths| usable && (1..=PARTS_MAX).contains(&paths.len()))?;
    let told = |what: &str| vec![count.to_owned(), format!("They are JSON objects; {what}.")];
    Some(match (paths.as_slice(), keys.fields.as_slice()) {
        ([path], [field]) if field.seen.integers > 0 && field.seen.unheld == 0 => {
            ProposedKey::integer(path, told("their only field is an integer"))
        }
        ([path], _) => ProposedKey::plain(path, told("this is their only field")),
        (paths, _) => {
            let parts: Vec<String> = paths.iter().map(|path| format!("{{{path}}}")).collect();
            ProposedKey::plain(&parts.join(":"), told("these are their fields"))
        }
    })
}

/// The primary key of a table, which Debezium makes the message's key. Deletions and tombstones have nothing else.
fn of_a_row(shape: &Shape) -> ProposedKey {
    let keys = &shape.keys;
    if keys.there > 0 {
        let count = format!(
            "Kafka keys: in {} of {} samples, {} different.",
            keys.there,
            shape.messages,
            keys.distinct()
        );
        return of_a_json_key(shape, &count)
            .unwrap_or_else(|| ProposedKey::plain("@key", vec![count, "It is taken as it is.".to_owned()]));
    }
    let id = candidates(shape)
        .into_iter()
        .find_map(|candidate| match candidate.field.names()?.as_slice() {
            ["after", name] => Some(((*name).to_owned(), candidate.field.seen.integers > 0)),
            _ => None,
        });
    let root = if shape.envelope == Envelope::Connect {
        "@key.payload."
    } else {
        "@key."
    };
    let reason = "The samples have no Kafka keys, so this is a guess: the primary key of the table is the key of \
                  Debezium's messages, and all that a deletion has.";
    match id {
        Some((name, true)) => ProposedKey::integer(&format!("{root}{}", path(&[&name])), vec![reason.to_owned()]),
        Some((name, false)) => ProposedKey::plain(&format!("{root}{}", path(&[&name])), vec![reason.to_owned()]),
        None => ProposedKey::plain("@key", vec![reason.to_owned()]),
    }
}

fn of_a_field(shape: &Shape, candidates: &[Candidate<'_>]) -> ProposedKey {
    let n = shape.messages;
    let mut reasons = Vec::new();
    let order = match &shape.keys {
        _ if shape.are_bare => {
            "Whether the messages have this as their key in Kafka is not known: these samples are payloads alone. Kafka \
             keeps the order of one key's messages only."
                .to_owned()
        }
        keys if keys.there == 0 => {
            "WARNING: no sample has a Kafka key. Messages of one record can be in several partitions then, and are \
             written in any order: give them this key in Kafka, or see `newer` below."
                .to_owned()
        }
        keys if keys.not_utf8 > 0 => {
            "WARNING: the Kafka keys are bytes, not text, so they are not used here. If they are not this field, messages \
             of one record can be written in any order: see `newer` below."
                .to_owned()
        }
        keys => format!(
            "WARNING: {} of {n} samples have no Kafka key, or an empty one. Messages of one record can be written in any \
             order then: give them this key in Kafka, or see `newer` below.",
            n - keys.there + keys.empty
        ),
    };
    let keyed = shape.keys.there - shape.keys.empty;
    let mut key = match candidates.first().filter(|best| best.is_clear()) {
        Some(best) => {
            reasons.push(best.told(shape));
            if let Some((_, count)) = nearly_equal(shape).filter(|(names, _)| best.names() == *names) {
                reasons.push(format!("It equals the Kafka key in {count} of {n} samples."));
            }
            let mut key = ProposedKey::plain(&best.path, Vec::new());
            key.field = Some(best.names());
            key
        }
        None if shape.are_bare => {
            reasons
                .push("The message's key: no field of the samples looks like an id that is always there.".to_owned());
            let mut key = ProposedKey::plain("@key", reasons);
            key.reasons.push("A message without key is rejected.".to_owned());
            return key;
        }
        // One message without key is no reason to make a record of each message.
        None if is_nearly(keyed, n) && shape.keys.not_utf8 == 0 => {
            reasons.push(format!(
                "Kafka keys: in {keyed} of {n} samples. A message without key is rejected."
            ));
            return ProposedKey::plain("@key", reasons);
        }
        None => {
            reasons.push(
                "WARNING: the message's place: no field of the samples looks like an id that is always there. So each message \
                 makes a record of its own, also one that changes what an earlier message said."
                    .to_owned(),
            );
            return ProposedKey::plain(PLACE, reasons);
        }
    };
    reasons.push(order);
    key.reasons = reasons;
    key
}

/// A field that could be a key.
struct Candidate<'s> {
    field: &'s Field,
    path: String,
    /// How much its name is that of an id.
    likeness: i64,
    score: i64,
    /// All objects have it. Otherwise nearly all do.
    is_always: bool,
}

impl Candidate<'_> {
    fn names(&self) -> Vec<String> {
        let names = self.field.names().unwrap_or_default();
        names.iter().map(ToString::to_string).collect()
    }

    /// Whether it is proposed: a field that is missing in some messages has to have the name of an id.
    fn is_clear(&self) -> bool {
        self.is_always || self.likeness >= 4
    }

    /// How sure it is.
    fn told(&self, shape: &Shape) -> String {
        let seen = &self.field.seen;
        let distinct = match seen.distinct() {
            Some(distinct) => format!("{distinct} different in"),
            None => "in".to_owned(),
        };
        let few = if shape.messages < 20 {
            ": few, so look for yourself"
        } else {
            ""
        };
        if self.is_always {
            return format!("Always there, {distinct} {} samples{few}.", shape.objects);
        }
        let values = match seen.distinct() {
            Some(distinct) => format!(" ({} different)", distinct - usize::from(seen.empties > 0)),
            None => String::new(),
        };
        let count = seen.keyable();
        format!(
            "In {count} of {}{values}; the others would be rejected{few}.",
            shape.objects
        )
    }
}

/// Fields that are always or nearly always there, scalar, and named like ids; the best first.
fn candidates(shape: &Shape) -> Vec<Candidate<'_>> {
    let mut found: Vec<Candidate<'_>> = Vec::new();
    for field in &shape.fields {
        let Some(names) = field.names() else { continue };
        let in_row = shape.is_debezium && names.first() == Some(&"after") && names.len() == 2;
        let is_always = (field.seen.times == shape.objects || in_row) && field.seen.is_keyable();
        let is_there = is_always || (!shape.is_debezium && field.seen.is_nearly_keyable(shape.objects));
        if !is_there || names.len() > 3 || (shape.is_debezium && !in_row) {
            continue;
        }
        let is_time = field.seen.strings > 0 && matches!(field.seen.looks.common(), Some(Look::Rfc3339 | Look::Date))
            || field
                .seen
                .integer_range
                .is_some_and(|(min, max)| epoch(min, max).is_some_and(|unit| unit != "epoch_s"));
        let name = names.last().copied().unwrap_or_default();
        let is_uuid = field.seen.strings > 0 && field.seen.looks.common() == Some(Look::Uuid);
        let likeness = match likeness(name) {
            // The id of something that the message is about.
            5 if names.len() > 1 => 3,
            likeness => likeness,
        } + if is_uuid { 3 } else { 0 };
        if is_time || likeness == 0 {
            continue;
        }
        let of = i64::try_from(field.seen.times).unwrap_or(i64::MAX).max(1);
        let distinct = field
            .seen
            .distinct()
            .and_then(|count| i64::try_from(count).ok())
            .unwrap_or(of);
        let depth = i64::try_from(names.len()).unwrap_or(i64::MAX);
        found.push(Candidate {
            field,
            path: path(&names),
            likeness,
            score: likeness * 10 + 20 * distinct / of - 4 * depth - if is_always { 0 } else { NOT_ALWAYS },
            is_always,
        });
    }
    // The first of equals is the first in the messages.
    found.sort_by_key(|candidate| -candidate.score);
    found
}

/// How much a name is that of an id.
pub(super) fn likeness(name: &str) -> i64 {
    let lower = name.to_ascii_lowercase();
    let is_id_of = |end: &str| {
        name.strip_suffix(end)
            .is_some_and(|before| before.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()))
    };
    match lower.as_str() {
        "id" | "_id" | "uuid" | "guid" | "$oid" => 5,
        _ if ["_id", "-id", "_uuid", "-uuid", "_guid"]
            .iter()
            .any(|end| lower.ends_with(end)) =>
        {
            4
        }
        _ if ["Id", "ID", "Uuid", "UUID"].iter().any(|end| is_id_of(end)) => 4,
        "key" | "sku" | "iban" | "vin" | "isbn" | "ean" => 3,
        _ if ["_key", "_no", "_nr", "_number", "_code", "_ref"]
            .iter()
            .any(|end| lower.ends_with(end)) =>
        {
            2
        }
        "number" | "code" | "reference" | "device" | "session" | "user" | "account" | "email" | "username"
        | "login" => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ids_are_told_from_others() {
        for name in [
            "id", "order_id", "orderId", "userID", "order-id", "uuid", "sku", "order_no",
        ] {
            assert!(likeness(name) > 0, "{name}");
        }
        for name in ["paid", "valid", "PAID", "grid", "amount", "name", "ID_TYPE"] {
            assert_eq!(likeness(name), 0, "{name}");
        }
    }
}
