//! What becomes of the rows and messages that the rules produce.
//!
//! - [`plan`] groups rows by record and merges those that can travel as one.
//! - [`mod@write`] sends them to the database and retries for as long as necessary. [`row_outcomes`] decides what each
//!   answer means, and [`pressure`] limits how many rows are in flight.
//! - [`publish`] sends messages to their topics.
//! - [`commit`] computes the next offset.
//! - [`guard`] defines the bin in which a record stores which messages it has, and [`ledger`] that of replayed rows.

pub mod guard;
pub mod ledger;
pub mod plan;
pub mod pressure;
pub mod write;
// The tables of outcomes: for rows, for the server's codes in words, for delivery reports.
pub mod row_outcomes;
pub mod result_codes;
pub mod report_outcomes;
pub mod publish;
// Dead letters, and the limits on rejected messages.
pub mod reject;
pub mod letter;
pub mod reject_limit;
pub mod commit;

// What the tests of these modules share.
#[cfg(test)]
mod fixtures;
