//! The file: its TOML with places and lines, references to values outside of it, and what is wrong with it.

// What is wrong with a file, for its author.
pub mod fault;
// A whole file: parses and checks it, and returns its faults in order.
pub mod document;
// Values and tables with their places, lines and faults.
pub mod reader;
// How the keys of a table are read, with limits and defaults.
pub mod table;
// Refuses unknown keys.
mod unknown;
// How a fault shows names and values.
pub mod wording;
// Which key was meant by an unknown one.
pub mod synonyms;
// `${env:NAME}` and `${file:path}`.
pub mod references;
// Where the mistake is in a file that is not valid TOML.
mod scan;
// Syntax errors, and which other faults they make doubtful.
pub mod syntax;
