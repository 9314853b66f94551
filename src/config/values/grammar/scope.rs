//! The context of a string, and what is wrong with it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::model::{Path, Segment, Source};

/// What is wrong with a text, and what would be right. Both may quote the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    pub problem: String,
    pub cure: String,
}

/// The context of a value.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Prepended to bare paths.
    pub root: &'a [Segment],
    /// There is an `each`, so `@item` and `@index` are allowed.
    pub each: bool,
    /// The strings that hold JSON. Every path through one of them goes on in its text.
    pub strings: &'a [JsonString],
}

/// A string of the message that holds JSON: in `json_strings`, or a `root` with `as = "json"`.
#[derive(Debug)]
pub struct JsonString {
    /// `Path`, `Item` or `KeyPath`, without steps into texts. Empty: the whole payload, element or key.
    at: Source,
    /// Whether a path of the route leads through it.
    is_read: AtomicBool,
}

impl JsonString {
    /// `at`: a path, `@item`, `@key`, or `@value`. `None` for other sources, which have no JSON.
    pub fn new(at: Source) -> Option<JsonString> {
        let at = match at {
            Source::Path(_) | Source::Item(_) | Source::KeyPath(_) => at,
            Source::Value => Source::Path(Path::new()),
            Source::Key => Source::KeyPath(Path::new()),
            Source::Index
            | Source::Topic
            | Source::Partition
            | Source::Offset
            | Source::Timestamp
            | Source::Header(_) => return None,
        };
        Some(JsonString {
            at,
            is_read: AtomicBool::new(false),
        })
    }

    pub fn at(&self) -> &Source {
        &self.at
    }

    /// Whether a path of the route leads through it.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Relaxed)
    }
}

impl Scope<'_> {
    /// `source` with a step into the text of each string that holds JSON. Its path starts at the top, with the root.
    pub fn through(&self, source: Source) -> Source {
        if self.strings.is_empty() {
            return source;
        }
        match &source {
            Source::Path(path) => Source::Path(self.steps(path, Source::Path)),
            Source::Item(path) => Source::Item(self.steps(path, Source::Item)),
            Source::KeyPath(path) => Source::KeyPath(self.steps(path, Source::KeyPath)),
            _ => source,
        }
    }

    fn steps(&self, path: &[Segment], of: fn(Path) -> Source) -> Path {
        let mut steps = Path::new();
        for end in 0..=path.len() {
            let (before, rest) = path.split_at(end);
            let here = of(before.to_vec());
            if let Some(string) = self.strings.iter().find(|string| string.at == here) {
                string.is_read.store(true, Ordering::Relaxed);
                steps.push(Segment::Json);
            }
            steps.extend(rest.first().cloned());
        }
        steps
    }

    /// The names of the fields of the object at `source` that are strings that hold JSON. `source` has its steps.
    pub fn json_members(&self, source: &Source) -> Vec<String> {
        let plain = |path: &[Segment]| -> Path {
            let steps = path.iter().filter(|step| **step != Segment::Json);
            steps.cloned().collect()
        };
        let members = self.strings.iter().filter_map(|string| {
            let ((Source::Path(of), Source::Path(at)) | (Source::Item(of), Source::Item(at))) = (source, &string.at)
            else {
                return None;
            };
            match at.split_last() {
                Some((Segment::Name(name), parent)) if *parent == plain(of) => {
                    string.is_read.store(true, Ordering::Relaxed);
                    Some(name.clone())
                }
                _ => None,
            }
        });
        members.collect()
    }
}

pub(super) fn bad<T>(problem: impl Into<String>, cure: impl Into<String>) -> Result<T, Bad> {
    Err(Bad {
        problem: problem.into(),
        cure: cure.into(),
    })
}
