//! The scratch set: the only set that is written. Its records have names that no other program uses, and whose number
//! is known: `penstock-bench-00000000` and so on. One more record, the mark, says how many there may be.
//!
//! The mark is written before the first of them and deleted after the last. So a call that finds a mark knows what an
//! earlier one has left, for instance because it was killed, and deletes that first. Records also have a ttl where the
//! namespace allows it: they end by themselves if there is no next call.
//!
//! A set cannot be removed from a namespace, and a namespace has room for some thousand names. So there is only this
//! one name. `truncate` needs a right that a service's user should not have; so records are deleted in batches.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::aerospike::Store;
use crate::config::model::Mode;
use crate::delivery::guard::{Guard, GuardIdentity};
use crate::delivery::plan::Plan;
use crate::delivery::pressure::Pressure;
use crate::delivery::write::{Calls, Fatal, Limits, RowWriter, WriteEnd, write};
use crate::output::row::{Op, RecordKey, Row, RowAction, RowRules, RowTtl, Target};
use crate::output::value::Value;
use crate::util::stop::{Stop, StopKind};

/// The set. It has this name in each namespace that the rules write to.
pub const SET: &str = "penstock_bench";
/// How long a record lives if nobody deletes it.
pub const TTL_S: u32 = 3600;
/// Records in a namespace, at most.
pub const KEYS_MAX: u32 = 1_000_000;

/// The key of the mark.
const MARK: &str = "penstock-bench";
/// How many records there may be.
const KEYS_BIN: &str = "keys";
/// Which call has written the mark.
const RUN_BIN: &str = "run";
/// Deletions in a call.
const DELETED_AT_ONCE: u32 = 500;
/// How long after a stop a call may still begin.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// How long the database may take for a part of the deletions.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// Bytes of a row in a call are not what limits deletions.
const BYTES_MAX: usize = 16 << 20;

/// The keys of all records.
#[derive(Debug)]
pub struct Keys {
    /// One after the other, each as long as the others.
    text: String,
    count: u32,
}

/// The length of a key.
const KEY: usize = 23;

impl Keys {
    pub fn new(count: u32) -> Keys {
        let mut text = String::with_capacity(KEY * count as usize);
        for number in 0..count {
            // Writing to a String cannot fail.
            let _ = write!(text, "{MARK}-{number:08}");
        }
        Keys { text, count }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    /// The key with this number, from 0.
    pub fn get(&self, number: u32) -> &str {
        let at = KEY * number as usize;
        self.text.get(at..at + KEY).unwrap_or(MARK)
    }
}

/// A namespace, with the ttl of its records.
#[derive(Debug)]
struct Place {
    /// Without and with the key stored.
    targets: [Arc<Target>; 2],
    ttl: RowTtl,
}

/// Turns rows of the user's rules into rows of the scratch set.
#[derive(Debug)]
pub struct Scratch {
    places: Vec<Place>,
    keys: Keys,
    /// Rules for writes that need a record or none: scratch records may be there or not. By the write's line.
    rules: Vec<RowRules>,
}

impl Scratch {
    /// `namespaces`: each with whether it takes a ttl.
    pub fn new(namespaces: &[(String, bool)], count: u32) -> Scratch {
        let place = |(namespace, has_ttl): &(String, bool)| {
            let target = |send_key| {
                Arc::new(Target {
                    send_key,
                    ..Target::new(namespace, SET)
                })
            };
            Place {
                targets: [target(false), target(true)],
                ttl: match has_ttl {
                    true => RowTtl::Seconds(TTL_S),
                    false => RowTtl::NamespaceDefault,
                },
            }
        };
        Scratch {
            places: namespaces.iter().map(place).collect(),
            keys: Keys::new(count),
            rules: Vec::new(),
        }
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Remembers the rules of a row, before any row is redirected.
    pub fn learn(&mut self, rules: &RowRules) {
        if needs_other_rules(rules) && !self.rules.iter().any(|known| known.line == rules.line) {
            self.rules.push(RowRules {
                mode: Mode::Update,
                ttl_on_create: false,
                ..rules.clone()
            });
        }
    }

    /// The same row for a record of the scratch set. `version`: a number that is greater than those of all rows before.
    /// `None`: the row is for a namespace that was not announced, so it is not written.
    pub fn redirect<'m>(&'m self, row: Row<'m>, number: u32, version: i64) -> Option<Row<'m>> {
        let is_its = |place: &&Place| place.targets[0].namespace == row.target.namespace;
        let place = self.places.iter().find(is_its)?;
        let rules = match needs_other_rules(row.rules) {
            true => self.rules.iter().find(|known| known.line == row.rules.line)?,
            false => row.rules,
        };
        Some(Row {
            rules,
            target: &place.targets[usize::from(row.target.send_key)],
            key: RecordKey::String(self.keys.get(number).into()),
            ttl: place.ttl,
            // A message that comes again would be refused as stale, which costs the database less.
            newer: row.newer.map(|_| version),
            ..row
        })
    }
}

/// Whether the rules need a record that is there, or none.
fn needs_other_rules(rules: &RowRules) -> bool {
    matches!(rules.mode, Mode::Create | Mode::UpdateOnly)
}

/// The guard of rows that have one. Offsets rise over all steps, so one bin is enough.
pub fn guard() -> Guard {
    Guard::new(&GuardIdentity {
        group: "penstock bench",
        topic_id: [0; 16],
        topic: "",
        partition: 0,
        epoch: 0,
    })
}

/// What stands in a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub keys: u32,
    pub run: i64,
}

/// Why the scratch set could not be written or emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScratchError {
    /// The server's words, or the client's.
    Unread(String),
    /// A row was refused with this code, or has no code.
    Refused(Option<u8>),
    /// The user may not write.
    Fatal(Fatal),
    /// Not done in time, or stopped.
    Unfinished,
}

/// Writes and deletes records of the scratch set, outside of the steps.
pub struct Janitor<'j> {
    pub store: &'j Store,
    pub pressure: &'j Pressure,
}

impl Janitor<'_> {
    /// The mark in this namespace, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn mark(&self, namespace: &str) -> Result<Option<Mark>, ScratchError> {
        let target = Target::new(namespace, SET);
        let key = RecordKey::String(MARK.into());
        let read = |bin| self.store.integer(&target, &key, bin).map_err(ScratchError::Unread);
        let Some(keys) = read(KEYS_BIN)? else {
            return Ok(None);
        };
        Ok(Some(Mark {
            keys: u32::try_from(keys).unwrap_or(KEYS_MAX).min(KEYS_MAX),
            run: read(RUN_BIN)?.unwrap_or_default(),
        }))
    }

    /// Writes the mark.
    ///
    /// # Errors
    /// If the database does not take it.
    pub fn set_mark(&self, namespace: &str, has_ttl: bool, mark: Mark, stop: &Stop) -> Result<(), ScratchError> {
        let put = |bin: &'static str, value: i64| Op::Put {
            bin: bin.into(),
            value: Value::Int(value),
        };
        // It outlives the records of which it tells.
        let ttl = match has_ttl {
            true => RowTtl::Seconds(2 * TTL_S),
            false => RowTtl::NamespaceDefault,
        };
        let ops = vec![put(KEYS_BIN, i64::from(mark.keys)), put(RUN_BIN, mark.run)];
        self.one(namespace, RowAction::Write(ops), ttl, stop)
    }

    fn one(&self, namespace: &str, action: RowAction<'_>, ttl: RowTtl, stop: &Stop) -> Result<(), ScratchError> {
        let target = Arc::new(Target::new(namespace, SET));
        let mut plan = Plan::default();
        plan.push(row(&target, MARK, action, ttl), 0);
        self.write(&plan, stop, Instant::now() + FINISH_MAX * 5)
    }

    /// Deletes the records with the numbers `0..count`, and then the mark, unless another call has written it meanwhile
    /// (`run`: ours). Gives up if the database does not answer for a while. Tells `progress` how many are done.
    ///
    /// # Errors
    /// If some may be left. The mark stays then.
    pub fn clean(
        &self,
        namespace: &str,
        keys: &Keys,
        run: Option<i64>,
        stop: &Stop,
        progress: &dyn Fn(u32),
    ) -> Result<(), ScratchError> {
        let target = Arc::new(Target::new(namespace, SET));
        let mut done = 0;
        while done < keys.count() {
            let end = (done + DELETED_AT_ONCE).min(keys.count());
            let mut plan = Plan::with_capacity(DELETED_AT_ONCE as usize);
            for number in done..end {
                plan.push(
                    row(&target, keys.get(number), RowAction::Delete, RowTtl::NamespaceDefault),
                    0,
                );
            }
            self.write(&plan, stop, Instant::now() + SILENCE_MAX)?;
            done = end;
            progress(done);
        }
        let found = self.mark(namespace)?;
        if found.is_some_and(|found| run.is_none_or(|run| found.run == run)) {
            self.one(namespace, RowAction::Delete, RowTtl::NamespaceDefault, stop)?;
        }
        Ok(())
    }

    fn write(&self, plan: &Plan<'_>, stop: &Stop, until: Instant) -> Result<(), ScratchError> {
        // `write` retries for as long as necessary. Here it ends at `until`.
        let own = Stop::new();
        let meanwhile = || {
            if stop.requested() || Instant::now() >= until {
                own.request(StopKind::Drain);
            }
        };
        let limits = Limits {
            rows: DELETED_AT_ONCE as usize,
            bytes: BYTES_MAX,
            finish_max: FINISH_MAX,
        };
        let calls = Calls {
            writer: self.store as &dyn RowWriter,
            pressure: self.pressure,
            stop: &own,
            meanwhile: &meanwhile,
        };
        let written = write(plan, &limits, &guard(), &calls);
        match written.end {
            WriteEnd::Finished => {}
            WriteEnd::Stopped => return Err(ScratchError::Unfinished),
            WriteEnd::Fatal(fatal) => return Err(ScratchError::Fatal(fatal)),
        }
        match written.refused.first().map(|refused| refused.refusal) {
            None => Ok(()),
            Some(crate::delivery::write::Refusal::Code(code)) => Err(ScratchError::Refused(Some(code))),
            Some(_) => Err(ScratchError::Refused(None)),
        }
    }
}

fn row<'m>(target: &'m Arc<Target>, key: &'m str, action: RowAction<'m>, ttl: RowTtl) -> Row<'m> {
    Row {
        message: 0,
        number: 0,
        rules: &RowRules::UPDATE,
        target,
        key: RecordKey::String(key.into()),
        action,
        ttl,
        newer: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::OnConflict;

    #[test]
    fn keys_have_numbers_and_one_length() {
        let keys = Keys::new(12);
        assert_eq!(keys.get(0), "penstock-bench-00000000");
        assert_eq!(keys.get(11), "penstock-bench-00000011");
        let last = format!("{MARK}-{:08}", KEYS_MAX - 1);
        assert_eq!(last.len(), KEY);
        assert!(SET.len() <= 63);
    }

    /// Whatever a rule says, the row ends in the scratch set, and can be applied again and again.
    #[test]
    fn a_row_is_redirected_or_not_written() {
        let target = Arc::new(Target {
            send_key: true,
            ..Target::new("test", "users")
        });
        let rules = RowRules {
            line: 7,
            mode: Mode::Create,
            on_conflict: OnConflict::Reject,
            ttl_on_create: true,
            newer_bin: Some("v".to_owned()),
            ..RowRules::UPDATE
        };
        let users = |rules| Row {
            rules,
            newer: Some(3),
            ..row(&target, "u1", RowAction::Touch, RowTtl::Never)
        };
        let mut scratch = Scratch::new(&[("test".to_owned(), true), ("disk".to_owned(), false)], 10);
        assert!(
            scratch.redirect(users(&rules), 4, 99).is_none(),
            "its rules are not known"
        );
        scratch.learn(&rules);
        let to = scratch.redirect(users(&rules), 4, 99).unwrap();
        assert_eq!((to.target.namespace.as_str(), to.target.set.as_str()), ("test", SET));
        assert!(to.target.send_key);
        assert_eq!(to.key, RecordKey::String("penstock-bench-00000004".into()));
        assert_eq!((to.ttl, to.newer), (RowTtl::Seconds(TTL_S), Some(99)));
        assert_eq!((to.rules.mode, to.rules.ttl_on_create), (Mode::Update, false));
        assert_eq!(to.rules.newer_bin.as_deref(), Some("v"));

        let other = Arc::new(Target::new("elsewhere", "users"));
        let unknown = row(&other, "u1", RowAction::Delete, RowTtl::Keep);
        assert!(scratch.redirect(unknown, 0, 1).is_none());
    }
}
