//! Decides which writes of a topic are guarded if the configuration does not say.

use crate::config::model::{Action, Mode, OnConflict, TtlPast, Write};

/// Why a write is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardReason {
    /// `guard = true`.
    AskedFor,
    /// Applying it again would change the result.
    Replay,
    /// A repeat would be refused as a conflict with itself.
    Conflict,
    /// If the message comes again after its ttl has ended, it would delete what newer messages wrote.
    Past,
    /// Another write of its topic guards records of its set.
    Company,
}

impl GuardReason {
    /// The text for people.
    pub fn as_str(self) -> &'static str {
        match self {
            GuardReason::AskedFor => "guard = true",
            GuardReason::Replay => "not idempotent",
            GuardReason::Conflict => "not idempotent: a repeat conflicts with itself",
            GuardReason::Past => "not idempotent: a repeat after the end of the record's life deletes newer data",
            GuardReason::Company => "another write of the topic guards records of this set",
        }
    }
}

/// The writes of one topic, as far as guards are concerned.
#[derive(Debug)]
pub(super) struct Guarding<'c> {
    /// Writes that are guarded for their own reasons.
    guarded: Vec<&'c Write>,
}

impl<'c> Guarding<'c> {
    pub fn new(writes: &[&'c Write]) -> Self {
        let guarded = writes
            .iter()
            .copied()
            .filter(|write| write.guard.unwrap_or_else(|| needs_guard(write)));
        Guarding {
            guarded: guarded.collect(),
        }
    }

    /// Why the rows of `write` are guarded, if they are. There are three reasons: the configuration asks for it; a
    /// replay would do harm; or another write of the topic guards the same records. In the last case, unguarded rows
    /// would bypass the guard and could not be merged with guarded ones.
    pub fn of(&self, write: &Write) -> Option<GuardReason> {
        if self.guarded.iter().any(|guarded| std::ptr::eq(*guarded, write)) {
            return Some(match write.guard {
                Some(_) => GuardReason::AskedFor,
                None if only_sets(write) && conflict_rejects(write) => GuardReason::Conflict,
                None if only_sets(write) => GuardReason::Past,
                None => GuardReason::Replay,
            });
        }
        let can = write.mode != Mode::Replace && !matches!(write.action, Action::Touch);
        (can && write.guard.is_none() && self.is_in_company(write)).then_some(GuardReason::Company)
    }

    /// Whether it removes the guards and counters of records that another write guards.
    pub fn takes_guards_along(&self, write: &Write) -> bool {
        write.mode == Mode::Replace && self.is_in_company(write)
    }

    /// The same for a tombstone: it only deletes, whatever the write does otherwise.
    pub fn guards_deletion(&self, write: &Write) -> bool {
        write.guard != Some(false) && self.is_in_company(write)
    }

    fn is_in_company(&self, write: &Write) -> bool {
        let meet = |guarded: &&Write| {
            let common = |ours: &[String], theirs: &[String]| ours.iter().any(|name| theirs.contains(name));
            common(write.namespace.all(), guarded.namespace.all()) && common(write.set.all(), guarded.set.all())
        };
        self.guarded.iter().any(meet)
    }
}

/// Whether applying the same row a second time would change the result or be refused.
fn needs_guard(write: &Write) -> bool {
    conflict_rejects(write) || !only_sets(write) || deletes_past(write)
}

fn conflict_rejects(write: &Write) -> bool {
    matches!(write.mode, Mode::Create | Mode::UpdateOnly) && write.on_conflict == OnConflict::Reject
}

/// Whether a repeated message can delete its record without a version that refuses it. (A replacement carries no guard.
/// It is the whole record, so the messages after it create it again.)
fn deletes_past(write: &Write) -> bool {
    write.ttl_past == TtlPast::Delete && write.newer.is_none() && write.mode != Mode::Replace
}

/// Whether sending its rows twice has the same effect and the same answer as once. (A repeated creation conflicts with
/// itself; a repeated update does not.)
pub(super) fn is_repeatable(write: &Write) -> bool {
    let finds_itself = write.mode == Mode::Create && write.on_conflict == OnConflict::Reject;
    only_sets(write) && !finds_itself
}

/// Whether applying it to the bins twice has the same result as once.
fn only_sets(write: &Write) -> bool {
    let Action::Write { operations, .. } = &write.action else {
        return true;
    };
    operations
        .iter()
        .all(|operation| operation.what.descriptor().is_repeatable)
}
