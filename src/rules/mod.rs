//! What the rules make of a message: rows and messages to publish, or a rejection. Pure: no clock, no lock, no client.
//!
//! [`decode`] reads the fields that are asked for, [`conditions`] evaluates the conditions over them, [`schema`] compares
//! whole payloads with a JSON Schema, and [`mapping`] makes the rows. A processor in code replaces all three, and [`code`] checks what it asks for.

pub mod decode;
pub mod conditions;
pub mod schema;
pub mod mapping;
pub mod code;
