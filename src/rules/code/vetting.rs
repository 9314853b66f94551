//! Checks what a processor in code asks for, before any of it is done.
//!
//! A user's code is input. If something cannot be done, the message is rejected with a reason that names it; the
//! service never ends because of it. The rules of a file are checked when the file is read and do not come here.
//!
//! Runs on the partition's thread, between `process` and `plan`. It is pure. Its texts contain names of bins and
//! topics, never values.

use std::borrow::Cow;

use crate::config::model::{Mode, OnConflict};
use crate::config::names;
use crate::message::{Reason, Rejection, Stage};
use crate::output::publication::Publication;
use crate::output::row::{Argument, Number, Op, RecordKey, Row, RowAction, RowTtl};
use crate::output::value::Value;
use crate::output::{Output, ROWS_MAX, Verdict};
use crate::rules::decode::DEPTH_MAX;

/// At most this many publications per message, the same limit as for rows.
pub const PUBLICATIONS_MAX: usize = ROWS_MAX;
/// At most this many operations per row. The server's limit is 32,768; the guard and the version need two.
pub const OPERATIONS_MAX: usize = 32_766;
/// Maximum size of a row in bytes ([`Row::bytes`]): four times the largest record that Aerospike can be configured for
/// (8 MiB). A server closes the connection on a request of 128 MiB, and on each retry of it.
pub const ROW_BYTES_MAX: usize = 32 << 20;
/// Aerospike's limit for a record's ttl: 10 years.
pub const TTL_SECONDS_MAX: u32 = 10 * 365 * 24 * 3600;
/// The longest reason word and the longest detail, in bytes. They become log lines and headers.
const WORD_BYTES_MAX: usize = 40;
const DETAIL_BYTES_MAX: usize = 1000;

/// What a processor has declared about itself, once, at the start.
#[derive(Debug, Clone, Copy)]
pub struct Promised<'p> {
    pub namespaces: &'p [String],
    pub produced_topics: &'p [String],
    pub is_guarded: bool,
}

/// Checks whether what one message asks for can be done.
///
/// # Errors
/// The first thing that cannot be done.
pub fn vet(promised: Promised<'_>, verdict: Verdict, output: &Output<'_>) -> Result<(), Rejection> {
    let (rows, publications) = (output.rows.len(), output.publications.len());
    if verdict == Verdict::Filtered && rows + publications > 0 {
        return Err(rejection(format!(
            "the verdict is Filtered, and there are {rows} row(s) and {publications} publication(s): answer Kept"
        )));
    }
    if output.is_overfull() || rows > ROWS_MAX {
        let detail = format!("the message makes more than {ROWS_MAX} rows, which guards cannot tell apart");
        return Err(Rejection::new(Reason::TooManyRows, detail));
    }
    if publications > PUBLICATIONS_MAX {
        return Err(rejection(format!(
            "{publications} publications, {PUBLICATIONS_MAX} are allowed"
        )));
    }
    for (number, row) in output.rows.iter().enumerate() {
        vet_row(promised, row).map_err(|why| rejection(format!("row {number}: {why}")))?;
    }
    for (number, publication) in output.publications.iter().enumerate() {
        vet_publication(promised, publication).map_err(|why| rejection(format!("publication {number}: {why}")))?;
    }
    Ok(())
}

/// Limits the rejection that a processor returned, so that it can be logged and sent.
pub fn told(rejection: Rejection) -> Rejection {
    let Rejection { reason, mut detail } = rejection;
    if detail.len() > DETAIL_BYTES_MAX {
        let end = (0..=DETAIL_BYTES_MAX).rev().find(|end| detail.is_char_boundary(*end));
        detail.truncate(end.unwrap_or_default());
        detail.push('…');
    }
    let word = reason.as_str();
    let is_word = (1..=WORD_BYTES_MAX).contains(&word.len())
        && word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !is_word {
        let why = format!(
            "the reason is not a word of a to z, 0 to 9 and `_`, of {WORD_BYTES_MAX} at most; its detail: {detail}"
        );
        return Rejection::new(Reason::ProcessorOutput, why);
    }
    if reason.stage() == Stage::Write {
        // Such a reason would say that the database was asked.
        let why = format!("the reason `{word}` is the database's: use Reason::Processor; its detail: {detail}");
        return Rejection::new(Reason::ProcessorOutput, why);
    }
    Rejection { reason, detail }
}

/// Empties an output. Takes nested values apart in a loop, because dropping a very deep value would overflow the stack.
pub fn discard(output: &mut Output<'_>) {
    for row in output.rows.drain(..) {
        if let RowAction::Write(ops) = row.action {
            ops.into_iter().for_each(dismantle);
        }
    }
    output.publications.clear();
    // Nothing of a rejected message is counted.
    output.condition_errors_ignored = 0;
    output.ttl_past_skipped = 0;
    output.ttl_past_deleted = 0;
}

fn dismantle(op: Op<'_>) {
    let mut values: Vec<Value<'_>> = op.into_values().into_iter().flatten().collect();
    while let Some(value) = values.pop() {
        match value {
            Value::List(items) => values.extend(items),
            Value::Map(members) => values.extend(members.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
}

fn rejection(detail: String) -> Rejection {
    Rejection::new(Reason::ProcessorOutput, detail)
}

// ---- rows

fn vet_row(promised: Promised<'_>, row: &Row<'_>) -> Result<(), String> {
    let (rules, target) = (row.rules, &row.target);
    if !promised.namespaces.contains(&target.namespace) {
        return Err("its namespace is not among those that namespaces() names".to_owned());
    }
    if !target.set.is_empty() {
        names::set(&target.set)?;
    }
    if is_empty(&row.key) {
        return Err("its key is empty".to_owned());
    }
    if rules.guarded && !promised.is_guarded {
        return Err("it is guarded, and is_guarded() says false: leave that method out, or answer true".to_owned());
    }
    match (&rules.newer_bin, row.newer) {
        (Some(bin), Some(_)) => names::bin(bin).map_err(|why| format!("the bin of its version: {why}"))?,
        (Some(_), None) => return Err("its rules name a bin for a version, and it has none (newer)".to_owned()),
        (None, Some(_)) => return Err("it has a version (newer), and its rules name no bin for it".to_owned()),
        (None, None) => {}
    }
    match row.ttl {
        RowTtl::Seconds(0) => return Err("a ttl of 0 seconds; RowTtl::NamespaceDefault is the namespace's".to_owned()),
        RowTtl::Seconds(seconds) if seconds > TTL_SECONDS_MAX => {
            return Err(format!(
                "a ttl of {seconds} seconds, {TTL_SECONDS_MAX} (10 years) are allowed; RowTtl::Never is for ever"
            ));
        }
        _ => {}
    }
    if rules.ttl_on_create && rules.mode != Mode::Update {
        return Err("ttl_on_create with a mode other than Update".to_owned());
    }
    match &row.action {
        RowAction::Touch => vet_touch(row)?,
        RowAction::Delete if rules.ttl_on_create => return Err("a deletion has no ttl (ttl_on_create)".to_owned()),
        RowAction::Delete => {}
        RowAction::Write(ops) => vet_write(row, ops)?,
    }
    // For any action: the key can be sent along (`send_key`).
    let weight = row.bytes().saturating_add(key_bytes(&row.key));
    if weight > ROW_BYTES_MAX {
        return Err(format!(
            "it weighs {weight} bytes in memory, {ROW_BYTES_MAX} are allowed"
        ));
    }
    Ok(())
}

fn is_empty(key: &RecordKey<'_>) -> bool {
    match key {
        RecordKey::String(text) => text.is_empty(),
        RecordKey::Bytes(bytes) => bytes.is_empty(),
        RecordKey::Integer(_) => false,
    }
}

fn key_bytes(key: &RecordKey<'_>) -> usize {
    match key {
        RecordKey::String(text) => text.len(),
        RecordKey::Bytes(bytes) => bytes.len(),
        RecordKey::Integer(_) => 8,
    }
}

fn vet_touch(row: &Row<'_>) -> Result<(), String> {
    let rules = row.rules;
    let problem = if rules.guarded {
        "a touch stores nothing, and so no guard"
    } else if rules.newer_bin.is_some() {
        "a touch stores nothing, and so no version"
    } else if rules.mode != Mode::Update {
        "a touch with a mode other than Update"
    } else if rules.ttl_on_create || row.ttl == RowTtl::Keep {
        "a touch begins the record's life anew, and cannot keep it (RowTtl::Keep, ttl_on_create)"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

fn vet_write(row: &Row<'_>, ops: &[Op<'_>]) -> Result<(), String> {
    let rules = row.rules;
    if ops.is_empty() {
        return Err("it has no operations: leave it out, or RowAction::Touch".to_owned());
    }
    if ops.len() > OPERATIONS_MAX {
        return Err(format!("{} operations, {OPERATIONS_MAX} are allowed", ops.len()));
    }
    match rules.mode {
        Mode::Replace if rules.guarded => {
            return Err("Mode::Replace takes the guard's bin along: it cannot be guarded".to_owned());
        }
        Mode::Create if rules.newer_bin.is_some() => {
            return Err("a record that is not there (Mode::Create) holds no version (newer_bin)".to_owned());
        }
        _ => {}
    }
    for op in ops {
        vet_operation(row, op).map_err(|why| {
            let word = op.descriptor().map_or("Put", |descriptor| descriptor.in_code);
            format!("{word} of bin {}: {why}", shown(op.bin()))
        })?;
    }
    let finds_itself = rules.mode == Mode::Create && rules.on_conflict == OnConflict::Reject;
    if rules.repeatable && !rules.guarded && rules.newer_bin.is_none() && finds_itself {
        return Err(
            "its rules say repeatable, and a creation that is repeated finds itself: guard it \
                    (RowRules::guarded), or say repeatable: false"
                .to_owned(),
        );
    }
    Ok(())
}

fn vet_operation(row: &Row<'_>, op: &Op<'_>) -> Result<(), String> {
    let rules = row.rules;
    names::bin(op.bin())?;
    if rules.newer_bin.as_deref() == Some(op.bin()) {
        return Err("the version (newer) is kept in this bin".to_owned());
    }
    let sets = matches!(op, Op::Put { .. });
    if rules.mode == Mode::Replace && (!sets || op.removes()) {
        return Err("Mode::Replace leaves no bin to work on: only Put of a value can be in it".to_owned());
    }
    if rules.mode == Mode::Create && op.removes() {
        return Err("a record that is not there (Mode::Create) has no bin to remove".to_owned());
    }
    let repeats = op.descriptor().is_none_or(|descriptor| descriptor.is_repeatable);
    if rules.repeatable && !repeats && !rules.guarded && rules.newer_bin.is_none() {
        return Err(
            "its rules say repeatable, and done twice it shows: guard it (RowRules::guarded), or say \
                    repeatable: false"
                .to_owned(),
        );
    }
    match op {
        Op::Once { value: Value::Null, .. } => Err("null removes a bin: it cannot be set once".to_owned()),
        _ => {
            let mut arguments = op.arguments().into_iter().flatten();
            arguments.try_for_each(|(_, argument)| vet_argument(argument))
        }
    }
}

fn vet_argument(argument: Argument<'_>) -> Result<(), String> {
    match argument {
        Argument::Value(value) => vet_value(value, DEPTH_MAX),
        Argument::Text(Value::Str(_) | Value::Bytes(_)) => Ok(()),
        Argument::Text(other) => Err(format!("a string or bytes are needed, and it is {}", other.type_name())),
        Argument::MapKey(key) => vet_map_key(key),
        Argument::Number(number) => vet_number(number),
        Argument::Count(0) => Err("a count of 0 would leave nothing: 1 at least".to_owned()),
        Argument::Count(_) => Ok(()),
    }
}

fn vet_map_key(key: &Value<'_>) -> Result<(), String> {
    match key {
        Value::Str(_) | Value::Int(_) => Ok(()),
        other => Err(format!(
            "the key of an entry is a string or an integer, and it is {}",
            other.type_name()
        )),
    }
}

fn vet_number(number: Number) -> Result<(), String> {
    match number {
        Number::Float(number) if !number.is_finite() => Err(NOT_FINITE.to_owned()),
        _ => Ok(()),
    }
}

const NOT_FINITE: &str = "a number that is not finite (NaN, infinity)";

/// `left`: how many levels of lists and maps are still allowed.
fn vet_value(value: &Value<'_>, left: u32) -> Result<(), String> {
    match value {
        Value::Float(number) if !number.is_finite() => Err(NOT_FINITE.to_owned()),
        Value::Unheld { what, .. } => Err(format!("{what} (Value::Unheld), which no bin can hold")),
        Value::List(_) | Value::Map(_) if left == 0 => {
            Err(format!("more than {DEPTH_MAX} lists and maps inside one another"))
        }
        Value::List(items) => items.iter().try_for_each(|item| vet_value(item, left - 1)),
        // The server refuses it with code 1, which says nothing about the cause.
        Value::Map(members) if has_name_twice(members) => Err("a map with the same name twice".to_owned()),
        Value::Map(members) => members.iter().try_for_each(|(_, value)| vet_value(value, left - 1)),
        _ => Ok(()),
    }
}

fn has_name_twice(members: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// A name for a text. A long name is shortened to its beginning.
fn shown(name: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    let begin: String = name.chars().take(CHARACTERS_MAX).collect();
    let more = if begin.len() < name.len() { "…" } else { "" };
    format!("{begin:?}{more}")
}

// ---- publications

fn vet_publication(promised: Promised<'_>, publication: &Publication<'_>) -> Result<(), String> {
    if !promised.produced_topics.iter().any(|topic| topic == publication.topic) {
        return Err(format!(
            "the topic {} is not among those that produced_topics() names",
            shown(publication.topic)
        ));
    }
    if publication.headers.iter().any(|(name, _)| name.contains('\0')) {
        return Err("the name of a header holds a NUL character".to_owned());
    }
    if let Some(timestamp_ms) = publication.timestamp_ms.filter(|timestamp_ms| *timestamp_ms < 0) {
        return Err(format!(
            "a timestamp of {timestamp_ms}: milliseconds since 1970, or None for the time at which it is produced"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
