//! The stages of a message's way, in its order.
//!
//! `intake` (in `worker`) takes messages; [`decode`] reads the fields that are asked for; [`map`] makes rows of
//! them; [`plan`] orders rows into calls that hold a record at most once; [`mod@write`] brings them to the database,
//! for as long as it takes; [`commit`] says which offset is next. All but `write` are pure.

pub mod value;
pub mod row;
pub mod decode;
pub mod map;
pub mod guard;
pub mod plan;
pub mod disposition;
pub mod write;
pub mod commit;
