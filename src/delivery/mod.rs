//! What becomes of the rows and messages that the rules ask for.
//!
//! [`plan`] gathers rows by record and merges those that can travel as one; [`mod@write`] brings them to the database, for as
//! long as it takes, by what [`row_outcomes`] makes of each answer, and as many at once as [`pressure`] lets; [`publish`]
//! brings messages to their topics; [`commit`] says which offset is next. What a record itself knows of the messages it has
//! taken is [`guard`]'s.

pub mod guard;
pub mod plan;
pub mod pressure;
pub mod write;
// The tables of outcomes: of rows, of the server's codes as a person reads them, of delivery reports.
pub mod row_outcomes;
pub mod result_codes;
pub mod report_outcomes;
pub mod publish;
// Dead letters, and how many rejected messages are too many.
pub mod reject;
pub mod reject_limit;
pub mod commit;

// What their tests have in common.
#[cfg(test)]
mod fixtures;
