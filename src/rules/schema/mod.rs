//! `payload_schema`: whether a payload satisfies the JSON Schema of a route.
//!
//! Runs on the partition's worker thread, between the route's `when` and its `require`, and only for routes with that
//! key. It decodes the payload once more, into a tree of all its values. The tree exists only meanwhile: one per worker
//! at a time. (The decode pass of the topic keeps a few fields. It does not change if a route has a schema.)
//!
//! It is pure, and knows nothing of rows. The crate jsonschema decides; `payload` shows it the values of decode, and
//! `told` writes the rejection.

mod effort;
mod payload;
mod told;

use std::fmt;

use jsonschema::Validator;

use crate::config::model::{ByteOrderMark, Path, PayloadSchema};
use crate::config::values::json_schema;
use crate::message::{Reason, Rejection};
use crate::output::value::{Unheld, Value};
use crate::rules::decode::{self, PathTree, PathTreeBuilder, SlotId};
use effort::Failed;
use payload::Payload;
use told::{Names, Place};

/// A compiled schema, with the place in the message that it is for.
pub struct SchemaRule {
    validator: Validator<Payload>,
    names: Names,
    /// Asks for everything below `root`.
    tree: PathTree,
    slot: SlotId,
    root: Path,
    line: usize,
    written: String,
}

impl fmt::Debug for SchemaRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("SchemaRule");
        told.field("root", &self.root).field("line", &self.line);
        told.field("written", &self.written).finish_non_exhaustive()
    }
}

impl SchemaRule {
    /// Compiles a checked schema for payloads, or for what is at `root` of them.
    ///
    /// # Errors
    /// Only for faults that the configuration's own checks should have refused.
    pub fn compile(schema: &PayloadSchema, root: &Path, mark: ByteOrderMark) -> Result<SchemaRule, String> {
        let validator = json_schema::compile_checked(schema)
            .map_err(|why| format!("payload_schema (line {}): {why}", schema.line))?;
        let mut tree = PathTreeBuilder::new();
        if mark == ByteOrderMark::Reject {
            tree.refuse_byte_order_mark();
        }
        let slot = tree.slot(root);
        Ok(SchemaRule {
            validator,
            names: Names::of(&schema.documents),
            tree: tree.build(),
            slot,
            root: root.clone(),
            line: schema.line,
            written: schema.written.clone(),
        })
    }

    /// The line of `payload_schema` in the file.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The name of the schema's file, as written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether the JSON `text` satisfies the schema.
    ///
    /// # Errors
    /// The rejection, with place and rule.
    pub fn check(&self, text: &[u8]) -> Result<(), Rejection> {
        let decoded = decode::decode(&self.tree, text);
        let mut fields = decoded.map_err(|error| Rejection::new(Reason::Payload(error.kind), error.to_string()))?;
        let has_unheld = fields.has_unheld();
        let Some(mut value) = fields.take(self.slot) else {
            let nothing = Value::Null;
            let place = Place::of(&self.root, &nothing, "", &self.names);
            return Err(match fields.broken_texts().first() {
                None => self.rejection(&format!("{} is missing", place.shown())),
                Some(broken) => self.rejection(&format!("{} does not hold JSON: {}", place.shown(), broken.error)),
            });
        };
        if has_unheld && let Some(path) = half_pair(&value) {
            let place = Place::of(&self.root, &value, &path, &self.names);
            return Err(self.no_text(&place));
        }
        payload::arrange(&mut value);
        match effort::within(text.len(), || self.validator.is_valid(&value)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.refused(&value, text.len())),
            Err(Failed::UsedUp) => {
                Err(self.rejection("the payload is too deep, or takes too many steps, to be checked"))
            }
            Err(Failed::Panicked) => {
                Err(self.rejection("the check panicked over the payload; standard error says where"))
            }
        }
    }

    #[cold]
    fn refused(&self, value: &Value<'_>, bytes: usize) -> Rejection {
        match effort::within(bytes, || self.validator.validate(value)) {
            Ok(Err(error)) => {
                let place = Place::of(&self.root, value, error.instance_path().as_str(), &self.names);
                self.rejection(&told::told(&error, &place))
            }
            // To find the place takes more effort than the verdict.
            Err(Failed::UsedUp) => {
                self.rejection("the payload does not satisfy it; to find the place takes too many steps")
            }
            // In the second case the crate would contradict itself. What it refused once is not written.
            Err(Failed::Panicked) | Ok(Ok(())) => self.rejection("the payload does not satisfy it"),
        }
    }

    fn rejection(&self, why: &str) -> Rejection {
        let (written, line) = (&self.written, self.line);
        Rejection::new(
            Reason::Schema,
            format!("payload_schema = \"{written}\" (line {line}): {why}"),
        )
    }

    /// No rule of a schema is defined for a string that is not text.
    #[cold]
    fn no_text(&self, place: &Place<'_, '_>) -> Rejection {
        let what = Unheld::HalfPair;
        self.rejection(&format!("{} is {what}; no schema can describe it", place.shown()))
    }
}

/// The pointer to a string that is not text, or to the value of such a name.
fn half_pair(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Unheld {
            what: Unheld::HalfPair, ..
        } => Some(String::new()),
        Value::List(elements) => {
            let mut found = elements.iter().enumerate();
            found.find_map(|(index, element)| Some(format!("/{index}{}", half_pair(element)?)))
        }
        Value::Map(members) => members.iter().find_map(|(name, member)| {
            let below = half_pair(member)?;
            Some(format!("/{}{below}", name.replace('~', "~0").replace('/', "~1")))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
