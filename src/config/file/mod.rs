//! The file: its TOML with places and lines, the values that it only names, and what is wrong with it.

// What is wrong with a file, for its author.
pub mod fault;
// The walk through the TOML: places, lines, faults.
pub mod reader;
// Tables: keys with limits and defaults.
pub mod table;
// What a key that is not known was meant to be.
pub mod synonyms;
// `${env:NAME}` and `${file:path}`.
pub mod references;
// Where a file that is no TOML goes wrong.
mod scan;
// Syntax errors, and what they put in doubt.
pub mod syntax;
