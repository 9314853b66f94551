//! Replay: dead letters once more, through today's configuration.
//!
//! A topic of dead letters is read twice. The first pass reads the headers alone ([`index`]): which letter of each
//! message is the newest, how many there are, and how old the oldest one is. The second pass takes the letters that are
//! selected, in batches ([`run`]): today's rules are applied to the message ([`judge`]), and those rows are written that
//! the letter lists as not done (`rows.rs`). What the message publishes follows, or a new letter if it fails again.
//!
//! A letter of which a row must wait for a person's word is replayed in part: all rows that do not depend on that one.
//!
//! Nothing is committed: a run that is stopped or killed is simply started again. Each row that could be applied twice
//! enters itself into a ledger of its record ([`crate::delivery::ledger`]). `docs/architecture/replay.md` says why that
//! is exact.

// The topic of the letters.
pub mod source;
// Which letters are replayed.
pub mod selection;
// The reasons that letters have, and those that are asked for.
pub mod reasons;
// The letters of a topic, by message.
pub mod index;
// What today's rules make of a letter, and why it may be refused.
pub mod judge;
// The rows of a batch of letters.
mod rows;
// A letter of a batch.
mod owned;
// The causes in words of letters with the same reason.
pub mod details;
// What became of the letters.
pub mod totals;
// The run itself.
pub mod run;
