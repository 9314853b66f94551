//! What messages ask for: rows of records, and messages to be produced. Filled by whatever judges and maps
//! ([`crate::processor`]), taken by the worker.
//!
//! Plain data, borrowed from the messages and the rules. A message that is rejected leaves nothing in it.

// What a bin holds.
pub mod value;
// A row: a record and what is done to it.
pub mod row;
// A message to be produced.
pub mod publication;

use std::sync::Arc;

use crate::output::publication::Publication;
use crate::output::row::{RecordKey, Row, RowAction, RowRules, RowTtl, Target};

/// What the rules say of a message that is not rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A write or a publish takes it, whether it comes to a row or not.
    Kept,
    /// The conditions leave nothing that takes it.
    Filtered,
}

/// What the messages of a batch ask for, message after message.
#[derive(Debug, Default)]
pub struct Output<'m> {
    /// Those of one message together, in the order of the rules.
    pub rows: Vec<Row<'m>>,
    /// Those of one message together, in the order of the rules.
    pub publications: Vec<Publication<'m>>,
    /// Conditions that could not be computed and count as false (`when_error = "false"`).
    pub condition_errors_ignored: u64,
    /// Records that are left out because their life is over (`ttl_past = "skip"`).
    pub ttl_past_skipped: u64,
    /// Rows that delete their record because its life is over (`ttl_past = "delete"`).
    pub ttl_past_deleted: u64,
    /// The message's place in the batch.
    message: usize,
    first_row: usize,
    first_publication: usize,
    first_condition_error: u64,
    /// Skipped, deleted.
    first_ttl_past: [u64; 2],
    /// The message has asked for a row too many, and whoever did so may not have looked at the error.
    is_overfull: bool,
}

/// A row that a message asks for, beside its rules.
#[derive(Debug, Clone)]
pub struct RowParts<'m> {
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    pub action: RowAction<'m>,
    pub ttl: RowTtl,
    /// The message's version of the record; `Some` exactly where the rules name a bin for it.
    pub newer: Option<i64>,
}

/// A message asks for more rows than guards can tell apart (65,536).
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyRows;

/// A row's place among its message's rows must fit a guard.
pub const ROWS_MAX: usize = 1 << 16;

impl<'m> Output<'m> {
    /// What follows is asked for by the message at this place of the batch.
    pub fn begin(&mut self, message: usize) {
        self.message = message;
        self.first_row = self.rows.len();
        self.first_publication = self.publications.len();
        self.first_condition_error = self.condition_errors_ignored;
        self.first_ttl_past = [self.ttl_past_skipped, self.ttl_past_deleted];
        self.is_overfull = false;
    }

    /// The place of the message that is at it.
    pub fn message(&self) -> usize {
        self.message
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the message has [`ROWS_MAX`] already.
    pub fn write(&mut self, rules: &'m RowRules, parts: RowParts<'m>) -> Result<(), TooManyRows> {
        let number = u16::try_from(self.rows.len() - self.first_row).map_err(|_| {
            self.is_overfull = true;
            TooManyRows
        })?;
        let RowParts {
            target,
            key,
            action,
            ttl,
            newer,
        } = parts;
        self.rows.push(Row {
            message: self.message,
            number,
            rules,
            target,
            key,
            action,
            ttl,
            newer,
        });
        Ok(())
    }

    /// Adds a message to be produced.
    pub fn publish(&mut self, publication: Publication<'m>) {
        self.publications.push(Publication {
            message: self.message,
            ..publication
        });
    }

    /// Takes back what the message at it has asked for so far.
    pub fn take_back(&mut self) {
        self.rows.truncate(self.first_row);
        self.publications.truncate(self.first_publication);
        self.condition_errors_ignored = self.first_condition_error;
        [self.ttl_past_skipped, self.ttl_past_deleted] = self.first_ttl_past;
        self.is_overfull = false;
    }

    /// Whether a row of the message at it was refused, for being one too many.
    pub(crate) fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Moves here what another one was given for one message: all of it is the message's that this one is at. There are no
    /// more than [`ROWS_MAX`] rows.
    pub(crate) fn take_over(&mut self, other: &mut Output<'m>) {
        // Code can write anything there, and a message has no more than so many rows.
        let counted = |count: &mut u64| std::mem::take(count).min(ROWS_MAX as u64);
        self.condition_errors_ignored += counted(&mut other.condition_errors_ignored);
        self.ttl_past_skipped += counted(&mut other.ttl_past_skipped);
        self.ttl_past_deleted += counted(&mut other.ttl_past_deleted);
        let message = self.message;
        let rows = other.rows.drain(..).zip(0..=u16::MAX);
        self.rows
            .extend(rows.map(|(row, number)| Row { message, number, ..row }));
        let publications = other.publications.drain(..);
        self.publications
            .extend(publications.map(|publication| Publication { message, ..publication }));
    }
}
