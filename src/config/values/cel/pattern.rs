//! The pattern of `matches`, compiled once. `cel`'s own `matches` would compile it for every message.

use std::any::Any;

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use regex::Regex;

static PATTERN: Type = Type::new_unspecified_type("pattern");

/// A regular expression as a value. Only `$matches` accepts it; no name of the language refers to it.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// The error of the crate regex.
    pub fn new(text: &str) -> Result<Pattern, regex::Error> {
        Regex::new(text).map(Pattern)
    }

    /// Whether a part of `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}
