//! What the rules make of a message: rows and messages to publish, or a rejection. Pure: no clock, no lock, no client.
//!
//! [`decode`] reads the fields that are asked for; [`conditions`] evaluates the conditions over them; [`mapping`] makes rows
//! of them. Rules in code take the place of all three, and [`code`] looks at what they ask for.

pub mod decode;
pub mod conditions;
pub mod mapping;
pub mod code;
