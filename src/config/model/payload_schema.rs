//! `payload_schema`: a JSON Schema, as its files say it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// The schema of a route's payloads.
#[derive(Debug, Clone)]
pub struct PayloadSchema {
    /// Its line in the file, from 1.
    pub line: usize,
    /// As written.
    pub written: String,
    /// `payload_schema_formats = "check"`: `format` is a rule. Otherwise it says nothing.
    pub checks_formats: bool,
    /// The files. All that is compiled from them shares them.
    pub documents: Arc<Documents>,
}

/// A schema and the schemas that it refers to.
#[derive(Debug)]
pub struct Documents {
    /// The URI of the main one. Its relative references start there.
    pub base: String,
    /// The main one.
    pub main: Value,
    /// The others, by their URIs.
    pub others: BTreeMap<String, Value>,
}
