//! The file: its TOML with places and lines, the values that it only names, and what is wrong with it.

// What is wrong with a file, for its author.
pub mod fault;
// A whole file: parsed, checked, and its faults in order.
pub mod document;
// Values and tables with their places, lines and faults.
pub mod reader;
// How the keys of a table are read, with limits and defaults.
pub mod table;
// The refusal of keys that are not known.
mod unknown;
// How a fault shows names and values.
pub mod wording;
// What a key that is not known was meant to be.
pub mod synonyms;
// `${env:NAME}` and `${file:path}`.
pub mod references;
// Where a file that is no TOML goes wrong.
mod scan;
// Syntax errors, and what they put in doubt.
pub mod syntax;
