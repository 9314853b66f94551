//! The stages of a message's way, in its order.
//!
//! `intake` (in `worker`) takes messages; [`decode`] reads the fields that are asked for; [`judge`] evaluates the conditions over
//! them; [`map`] makes rows of them ([`row`]); [`plan`] gathers rows by record and merges those that can travel as one; [`mod@write`] brings them to the
//! database, for as long as it takes, by what [`disposition`] makes of each answer; [`commit`] says which offset is
//! next. What a record itself knows of the messages it has taken is [`guard`]'s. All but `write` are pure.

pub mod value;
pub mod row;
pub mod publication;
pub mod output;
pub mod decode;
pub mod judge;
pub mod map;
pub mod guard;
pub mod plan;
pub mod codes;
pub mod disposition;
pub mod write;
pub mod delivery;
pub mod publish;
pub mod reject;
pub mod commit;

// What their tests have in common.
#[cfg(test)]
mod fixtures;
