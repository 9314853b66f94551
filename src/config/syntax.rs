//! What a syntax error says, and what it puts in doubt.
//!
//! What the parser says of its errors is in its own terms, and behind the first one it guesses how to go on. So a file that it
//! refuses is gone through once more ([`super::scan`]), for the mistake that the author made; the parser's words are for what
//! is not found so. Faults that rest on the parser's guess are not told.

use std::ops::Range;

use super::fault::Fault;
use super::reader::Context;
use super::scan::{self, Reach, Scanned, Slip};

/// Syntax errors, and which other faults they make doubtful: after an error the parser guesses how to go on.
pub struct Syntax {
    /// In the order of the file, one a line at most; none behind the first that puts the rest of the file in doubt.
    pub faults: Vec<Fault>,
    doubtful_lines: Vec<Range<usize>>,
    absences_doubtful: bool,
}

const DUPLICATE: &str = "duplicate key";

impl Syntax {
    pub fn new(context: &Context<'_>, errors: &[toml::de::Error]) -> Self {
        let mut syntax = Self {
            faults: Vec::new(),
            doubtful_lines: Vec::new(),
            absences_doubtful: false,
        };
        if errors.is_empty() {
            return syntax;
        }
        let Scanned { slips, statements } = scan::scan(context.text);
        let lines: Vec<usize> = slips.iter().map(|slip| context.line(slip.at)).collect();
        let others = errors.iter().filter(|error| !error.message().starts_with(DUPLICATE));
        // The parser sees a mistake at its line, or behind it; never before.
        let believed = |line: usize, mut errors: std::slice::Iter<'_, toml::de::Error>| {
            errors.any(|error| !error.message().starts_with(DUPLICATE) && line <= line_of(context, error))
        };
        let mut stopped = false;
        for (slip, line) in slips.iter().zip(&lines) {
            if believed(*line, errors.iter()) {
                syntax.doubt(context, *line, slip.reach);
                stopped |= slip.reach != Reach::Line;
                syntax.faults.push(fault_of(slip, *line));
            }
        }
        // What was not found so is told as the parser has it, the first of it.
        let unseen = others.clone().find(|error| {
            let line = line_of(context, error);
            lines.iter().all(|slip| *slip != line)
        });
        if let (Some(error), false) = (unseen, stopped) {
            let line = line_of(context, error);
            syntax.doubt(context, line, Reach::Section);
            syntax.faults.push(Fault {
                line,
                key: String::new(),
                found: None,
                problem: error.message().to_owned(),
                cure: match error.span() {
                    Some(_) => "see https://toml.io/en/v1.0.0 for how TOML is written".to_owned(),
                    None => "write keys and values with less nesting".to_owned(),
                },
            });
        }
        syntax.absences_doubtful |= others.clone().any(|error| !is_quoting(error));
        for error in errors.iter().filter(|error| error.message().starts_with(DUPLICATE)) {
            let at = error.span().map_or(0, |span| span.start);
            let fault = duplicate(context, &statements, at);
            // The first of the two stands; nothing else is in doubt.
            let is_told = syntax.faults.iter().any(|told| told.line == fault.line);
            if !is_told && !syntax.doubts(&fault, false) {
                syntax.faults.push(fault);
            }
        }
        syntax
    }

    fn doubt(&mut self, context: &Context<'_>, line: usize, reach: Reach) {
        self.doubtful_lines.push(match reach {
            Reach::Line => line..line + 1,
            Reach::Section => context.surroundings(line),
            // What the parser makes of it may be told against an earlier key of the same section.
            Reach::Rest => context.surroundings(line).start..usize::MAX,
        });
    }

    /// Whether `fault` may be the parser's guess rather than the author's.
    pub fn doubts(&self, fault: &Fault, absence: bool) -> bool {
        (absence && self.absences_doubtful) || self.doubtful_lines.iter().any(|lines| lines.contains(&fault.line))
    }
}

fn line_of(context: &Context<'_>, error: &toml::de::Error) -> usize {
    error
        .span()
        .map_or(1, |span| context.line(span.start.min(context.text.len())))
}

/// The parser takes the text for what it is meant to be, and goes on behind it.
fn is_quoting(error: &toml::de::Error) -> bool {
    error.message().starts_with("string values must be quoted")
}

fn fault_of(slip: &Slip, line: usize) -> Fault {
    Fault {
        line,
        key: slip.key.clone(),
        found: slip.found.clone(),
        problem: slip.problem.clone(),
        cure: slip.cure.clone(),
    }
}

/// A key or a table that stands twice, the second time at `at`.
fn duplicate(context: &Context<'_>, statements: &[(String, usize)], at: usize) -> Fault {
    let line = context.line(at.min(context.text.len()));
    let is_table = context
        .text
        .get(..at)
        .is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with('['));
    let second = statements.iter().rfind(|(_, start)| *start <= at);
    let first = second.and_then(|(key, start)| {
        let mut earlier = statements.iter().filter(|(_, each)| each < start);
        // `[route]` and `[[route]]`.
        let bare = key.rsplit_once('[').map_or(key.as_str(), |(name, _)| name);
        earlier
            .find(|(each, _)| each == key || (is_table && each == bare))
            .map(|(_, at)| context.line(*at))
    });
    let key = match (second, first) {
        (Some((key, _)), Some(_)) => key.clone(),
        _ => String::new(),
    };
    let (problem, cure) = match (first, is_table) {
        (Some(first), true) => (
            format!("this table stands at line {first} already"),
            "put its keys together below one of them; several of a kind are written [[…]]".to_owned(),
        ),
        (Some(first), false) if first == line => (
            "this key stands twice on this line".to_owned(),
            "keep one of them".to_owned(),
        ),
        (Some(first), false) => (
            format!("this key stands at line {first} already"),
            "keep one of them".to_owned(),
        ),
        (None, _) => ("this name stands twice".to_owned(), "keep one of them".to_owned()),
    };
    Fault {
        line,
        key,
        found: None,
        problem,
        cure,
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
