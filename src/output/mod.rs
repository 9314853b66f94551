//! What messages ask for: rows of records, and messages to produce. A processor ([`crate::processor`]) fills it and the
//! worker takes it.
//!
//! It is plain data, borrowed from the messages and the rules. A rejected message leaves nothing in it.

// What a bin holds.
pub mod value;
// A row: a record and the operations on it.
pub mod row;
// A message to produce.
pub mod publication;

use std::sync::Arc;

use crate::output::publication::Publication;
use crate::output::row::{RecordKey, Row, RowAction, RowRules, RowTtl, Target};
use crate::output::value::Value;

/// The result of the rules for a message that is not rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// A write or a publish applies to the message, even if it makes no row.
    Kept,
    /// No write or publish applies, because of the conditions.
    Filtered,
}

/// What the messages of a batch ask for, one message after another.
#[derive(Debug, Default)]
pub struct Output<'m> {
    /// Rows of one message are together, in the order of the rules.
    pub rows: Vec<Row<'m>>,
    /// Publications of one message are together, in the order of the rules.
    pub publications: Vec<Publication<'m>>,
    /// Conditions that could not be computed and count as false (`when_error = "false"`).
    pub condition_errors_ignored: u64,
    /// Records skipped because their ttl has ended (`ttl_past = "skip"`).
    pub ttl_past_skipped: u64,
    /// Rows that delete their record because its ttl has ended (`ttl_past = "delete"`).
    pub ttl_past_deleted: u64,
    /// The current message's place in the batch.
    message: usize,
    first_row: usize,
    /// Rows of the current message that were left out, and have numbers all the same.
    pub(crate) left_out: Vec<LeftOut<'m>>,
    first_publication: usize,
    first_condition_error: u64,
    /// Counts of skipped and deleted records before the current message.
    first_ttl_past: [u64; 2],
    /// Memory for the values of a message's fields. It belongs to the processor, and is empty between messages.
    pub(crate) values: Vec<Option<Value<'m>>>,
    /// The current message asked for too many rows. The processor may have ignored the error.
    is_overfull: bool,
}

/// A row that a message asks for, without its rules.
#[derive(Debug, Clone)]
pub struct RowParts<'m> {
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    pub action: RowAction<'m>,
    pub ttl: RowTtl,
    /// The message's version of the record. `Some` exactly if the rules name a bin for it.
    pub newer: Option<i64>,
}

/// A row that is not made, and has a number and a record all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut<'m> {
    pub number: u16,
    pub target: &'m Arc<Target>,
    pub key: RecordKey<'m>,
    /// Its ttl has ended. Otherwise the message asks for nothing in it.
    pub is_over: bool,
}

/// A message asks for more rows than guards can tell apart (65,536).
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyRows;

/// Maximum number of rows per message: the number of a row must fit into a guard.
pub const ROWS_MAX: usize = 1 << 16;

impl<'m> Output<'m> {
    /// Begins the message at this place of the batch. All further requests are for it.
    pub fn begin(&mut self, message: usize) {
        self.message = message;
        self.first_row = self.rows.len();
        self.left_out.clear();
        self.first_publication = self.publications.len();
        self.first_condition_error = self.condition_errors_ignored;
        self.first_ttl_past = [self.ttl_past_skipped, self.ttl_past_deleted];
        self.is_overfull = false;
    }

    /// The current message's place in the batch.
    pub fn message(&self) -> usize {
        self.message
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the message already has [`ROWS_MAX`] rows.
    pub fn write(&mut self, rules: &'m RowRules, parts: RowParts<'m>) -> Result<(), TooManyRows> {
        let number = self.next_number()?;
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

    /// Leaves a row out that the message could have if it were processed at another time. It takes a number all the
    /// same. So guards, ledgers and dead letters know the other rows by the same numbers at any time.
    ///
    /// # Errors
    /// If the message already has [`ROWS_MAX`] rows.
    pub(crate) fn leave_out(
        &mut self,
        target: &'m Arc<Target>,
        key: RecordKey<'m>,
        is_over: bool,
    ) -> Result<(), TooManyRows> {
        let number = self.next_number()?;
        self.left_out.push(LeftOut {
            number,
            target,
            key,
            is_over,
        });
        Ok(())
    }

    /// The number of the current message's next row.
    fn next_number(&mut self) -> Result<u16, TooManyRows> {
        u16::try_from(self.rows.len() - self.first_row + self.left_out.len()).map_err(|_| {
            self.is_overfull = true;
            TooManyRows
        })
    }

    /// Adds a message to produce.
    pub fn publish(&mut self, publication: Publication<'m>) {
        self.publications.push(Publication {
            message: self.message,
            ..publication
        });
    }

    /// Removes everything that the current message has asked for so far.
    pub fn take_back(&mut self) {
        self.rows.truncate(self.first_row);
        self.left_out.clear();
        self.publications.truncate(self.first_publication);
        self.condition_errors_ignored = self.first_condition_error;
        [self.ttl_past_skipped, self.ttl_past_deleted] = self.first_ttl_past;
        self.is_overfull = false;
    }

    /// Whether a row of the current message was refused because there were too many.
    pub(crate) fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Moves the contents of `other` here and assigns all of it to the current message. `other` must have at most
    /// [`ROWS_MAX`] rows.
    pub(crate) fn take_over(&mut self, other: &mut Output<'m>) {
        // Code can write any number there, but a message has at most so many rows.
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
