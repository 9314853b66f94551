//! The small languages in values: durations and sizes, paths and templates, CEL.

// `"10s"`, `"512MiB"`.
pub mod units;
// The names of types.
pub mod type_names;
// What users mean who write a ttl in another form.
pub mod ttl_hints;
// The strings of value expressions: paths, metadata, templates.
pub mod grammar;
// Value expressions: strings, constants and tables.
pub mod expressions;
// CEL: conditions and computed values.
pub mod cel;
// JSON Schemas of payloads.
pub mod json_schema;
