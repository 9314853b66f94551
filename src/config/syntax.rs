//! What a syntax error says, and what it puts in doubt.
//!
//! After an error the parser guesses how to go on. Faults that rest on its guess are not told.

use std::ops::Range;

use super::fault::Fault;
use super::reader::Context;

/// Syntax errors, and which other faults they make doubtful: after an error the parser guesses how to go on.
pub struct Syntax {
    /// In the order of the file, one a line at most.
    pub faults: Vec<Fault>,
    doubtful_lines: Vec<Range<usize>>,
    absences_doubtful: bool,
}

impl Syntax {
    pub fn new(context: &Context<'_>, errors: &[toml::de::Error]) -> Self {
        let mut syntax = Self {
            faults: Vec::new(),
            doubtful_lines: Vec::new(),
            absences_doubtful: false,
        };
        for error in errors {
            let message = error.message();
            let (line, cure) = match error.span() {
                Some(span) => (
                    context.line(span.start.min(context.text.len())),
                    cure_of_syntax(message),
                ),
                None => (1, "write keys and values with less nesting"),
            };
            if message.starts_with("duplicate key") {
                // The first of the two stands; nothing else is in doubt.
            } else if message.starts_with("string values must be quoted") {
                syntax.doubtful_lines.push(line..line + 1);
            } else {
                syntax.doubtful_lines.push(context.surroundings(line));
                syntax.absences_doubtful = true;
            }
            // One mistake makes a row of errors; the first on a line tells it.
            if syntax.faults.iter().all(|fault| fault.line != line) {
                let problem = message
                    .strip_suffix(", expected literal string")
                    .unwrap_or(message)
                    .to_owned();
                syntax.faults.push(Fault {
                    line,
                    key: String::new(),
                    found: None,
                    problem,
                    cure: cure.to_owned(),
                });
            }
        }
        syntax
    }

    /// Whether `fault` may be the parser's guess rather than the author's.
    pub fn doubts(&self, fault: &Fault, absence: bool) -> bool {
        (absence && self.absences_doubtful) || self.doubtful_lines.iter().any(|lines| lines.contains(&fault.line))
    }
}

fn cure_of_syntax(message: &str) -> &'static str {
    if message.starts_with("duplicate key") {
        "keep one of them"
    } else if message.starts_with("string values must be quoted") {
        "put the string in quotes"
    } else if message.contains("array") {
        "write `,` between elements and `]` after the last; the array may begin further up"
    } else {
        "see https://toml.io/en/v1.0.0 for how TOML is written"
    }
}

impl Context<'_> {
    /// The section around a line: a table header up to the next. From a broken header on, everything is doubtful.
    fn surroundings(&self, line: usize) -> Range<usize> {
        let is_header = |line: &usize| {
            let start = self.line_starts.get(line - 1).copied().unwrap_or(self.text.len());
            self.text
                .get(start..)
                .is_some_and(|rest| rest.trim_start_matches([' ', '\t']).starts_with('['))
        };
        if is_header(&line) {
            return line..usize::MAX;
        }
        let first = (1..line).rev().find(is_header).unwrap_or(1);
        let end = (line + 1..=self.line_starts.len())
            .find(is_header)
            .unwrap_or(usize::MAX);
        first..end
    }
}
