//! Compiles a JSON Schema with the settings that Penstock promises. The configuration checks a schema with it, and the
//! rules compile it once more, for the payloads of messages.
//!
//! Nothing is fetched: a reference finds only the documents that were read before. Patterns are matched in linear time
//! (the crate regex), so no payload can make one slow; a pattern that this engine does not have is a fault.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::json::Json;
use jsonschema::{PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use crate::config::model::{Documents, PayloadSchema};

/// The URI of the configuration's folder. A schema's relative references cannot climb out of it: a `..` too many leads
/// to a URI that begins in another way.
pub const FOLDER: &str = "file:///configuration/";

/// The compiler recurses with the references of a schema.
const STACK_BYTES: usize = 64 << 20;

/// Why a schema cannot be used.
pub enum Refused {
    /// These documents are missing.
    Missing(Vec<String>),
    /// This is wrong.
    Wrong(Box<ValidationError<'static>>),
    /// The compiler panicked, or could not be started.
    Failed(String),
}

/// Compiles a schema for instances of the form `F`.
///
/// # Errors
/// What is missing or wrong.
pub fn compile<F: Json>(documents: &Documents, checks_formats: bool) -> Result<Validator<F>, Refused> {
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new()
            .name("schema".to_owned())
            .stack_size(STACK_BYTES);
        let compiled = thread.spawn_scoped(threads, || compile_here(documents, checks_formats));
        let joined = compiled.map(std::thread::ScopedJoinHandle::join);
        joined
            .unwrap_or_else(|error| Ok(Err(Refused::Failed(error.to_string()))))
            .unwrap_or_else(|_| Err(Refused::Failed("it is more than the compiler takes".to_owned())))
    })
}

fn compile_here<F: Json>(documents: &Documents, checks_formats: bool) -> Result<Validator<F>, Refused> {
    let missing = Arc::new(Mutex::new(Vec::new()));
    let known = Known {
        others: documents.others.clone(),
        missing: Arc::clone(&missing),
    };
    let options = jsonschema::options_for::<F>()
        .with_base_uri(documents.base.as_str())
        .with_retriever(known)
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(checks_formats)
        .should_ignore_unknown_formats(!checks_formats);
    options.build(&documents.main).map_err(|wrong| {
        let mut missing = missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.is_empty() {
            Refused::Wrong(Box::new(wrong))
        } else {
            Refused::Missing(std::mem::take(&mut missing))
        }
    })
}

/// The documents that were read, and those that were asked for and are not among them.
struct Known {
    others: BTreeMap<String, Value>,
    missing: Arc<Mutex<Vec<String>>>,
}

impl Retrieve for Known {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        if let Some(document) = self.others.get(uri.as_str()) {
            return Ok(document.clone());
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.push(uri.as_str().to_owned());
        Err("not read yet".into())
    }
}

/// As [`compile`], for a schema that the configuration has checked.
///
/// # Errors
/// A text, if the two checks differ: our bug.
pub fn compile_checked<F: Json>(schema: &PayloadSchema) -> Result<Validator<F>, String> {
    compile(&schema.documents, schema.checks_formats).map_err(|refused| match refused {
        Refused::Missing(uris) => format!("no document {}", uris.join(", ")),
        Refused::Wrong(wrong) => wrong.to_string(),
        Refused::Failed(why) => why,
    })
}
