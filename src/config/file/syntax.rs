//! Syntax errors, and which other faults they make doubtful.
//!
//! The parser describes its errors in its own terms, and after the first error it guesses how to continue. So a file
//! that it refuses is scanned once more (`scan`), for the mistake that the author made. The parser's texts are used
//! only for errors that the scan does not find. Faults that depend on the parser's guess are not reported.

use std::ops::Range;

use crate::config::file::fault::Fault;
use crate::config::file::reader::Context;
use crate::config::file::scan::{self, Reach, Scanned, Slip};

/// Syntax errors, and which other faults they make doubtful: after an error the parser guesses how to continue.
pub struct Syntax {
    /// In file order, at most one per line. Ends with the first that makes the rest of the file doubtful.
    pub faults: Vec<Fault>,
    doubtful_lines: Vec<Range<usize>>,
    absences_doubtful: bool,
    duplicates: Vec<Duplicate>,
}

/// A key or a table that occurs twice.
struct Duplicate {
    fault: Fault,
    /// The lines of both.
    lines: Vec<usize>,
}

const DUPLICATE: &str = "duplicate key";

impl Syntax {
    pub fn new(context: &Context<'_>, errors: &[toml::de::Error]) -> Self {
        let mut syntax = Self {
            faults: Vec::new(),
            doubtful_lines: Vec::new(),
            absences_doubtful: false,
            duplicates: Vec::new(),
        };
        if errors.is_empty() {
            return syntax;
        }
        let Scanned { slips, statements } = scan::scan(context.text);
        let lines: Vec<usize> = slips.iter().map(|slip| context.line(slip.at)).collect();
        let others = errors.iter().filter(|error| !error.message().starts_with(DUPLICATE));
        // The parser reports a mistake at its line or behind it, never before.
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
        // The first error that the scan did not find is reported in the parser's terms.
        let unseen = others.clone().find(|error| {
            let line = line_of(context, error);
            lines.iter().all(|slip| *slip != line)
        });
        if let (Some(error), false) = (unseen, stopped) {
            let line = line_of(context, error);
            syntax.doubt(context, line, Reach::Section);
            syntax.faults.push(unseen_fault(context, error, &statements, line));
        }
        syntax.absences_doubtful |= others.clone().any(|error| !is_quoting(error));
        for error in errors.iter().filter(|error| error.message().starts_with(DUPLICATE)) {
            let at = error.span().map_or(0, |span| span.start);
            let duplicate = duplicate(context, &statements, at);
            let line = duplicate.fault.line;
            // The first of the two is valid; nothing else is in doubt.
            let is_told = syntax.faults.iter().any(|told| told.line == line);
            if !is_told && !syntax.doubts(&duplicate.fault, false) {
                syntax.duplicates.push(duplicate);
            }
        }
        syntax
    }

    /// Adds these errors to the file's other faults. If two tables have the same name and one of them has a bracket too
    /// few, only the wrong header is reported, and nothing below it.
    pub fn tell_beside(self, faults: &mut Vec<Fault>) {
        let is_unnamed = |duplicate: &Duplicate| duplicate.fault.key.is_empty();
        let any_named = self.duplicates.iter().any(|duplicate| !is_unnamed(duplicate));
        let brackets = |line: &usize| {
            let mut told = faults.iter().filter(|told| told.line == *line);
            told.any(|told| {
                told.problem.starts_with("expected an array of tables")
                    || told.problem.starts_with("[[route]] is missing")
                    || told.problem == "expected a table"
            })
        };
        let any_bracket = self
            .duplicates
            .iter()
            .any(|duplicate| duplicate.lines.iter().any(brackets));
        let told: Vec<Fault> = self
            .duplicates
            .iter()
            .filter(|duplicate| !(is_unnamed(duplicate) && (any_named || any_bracket)))
            .filter(|duplicate| !duplicate.lines.iter().any(brackets))
            .map(|duplicate| duplicate.fault.clone())
            .collect();
        faults.extend(told);
        faults.extend(self.faults);
    }

    fn doubt(&mut self, context: &Context<'_>, line: usize, reach: Reach) {
        self.doubtful_lines.push(match reach {
            Reach::Line => line..line + 1,
            Reach::Section => context.surroundings(line),
            // The parser's guess may also affect an earlier key of the same section.
            Reach::Rest => context.surroundings(line).start..usize::MAX,
        });
    }

    /// Whether `fault` may come from the parser's guess and not from the author.
    pub fn doubts(&self, fault: &Fault, absence: bool) -> bool {
        (absence && self.absences_doubtful) || self.doubtful_lines.iter().any(|lines| lines.contains(&fault.line))
    }
}

fn line_of(context: &Context<'_>, error: &toml::de::Error) -> usize {
    error
        .span()
        .map_or(1, |span| context.line(span.start.min(context.text.len())))
}

/// Whether this is an error after which the parser understands the text as it was meant, and continues behind it.
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

/// An error of the parser that the scan does not find. The parser's own text is used only for mistakes that nobody is
/// known to make.
fn unseen_fault(context: &Context<'_>, error: &toml::de::Error, statements: &[(String, usize)], line: usize) -> Fault {
    let message = error.message();
    let fault = |line, key: String, problem: &str, cure: String| Fault {
        line,
        key,
        found: None,
        problem: problem.to_owned(),
        cure,
    };
    if message.contains("recur") {
        // The parser does not always say where.
        let deep = |line: &&str| line.matches(['[', '{', '.']).count();
        let lines = context.text.lines().zip(1..);
        let deepest = lines
            .max_by_key(|(text, _)| deep(text))
            .map_or(line, |(_, number)| number);
        let line = if error.span().is_some() { line } else { deepest };
        let cure = "write keys and values with less nesting".to_owned();
        return fault(line, String::new(), "keys or values are nested too deeply", cure);
    }
    if message.starts_with("cannot extend value") {
        let at = error.span().map_or(0, |span| span.start);
        let second = statements.iter().rfind(|(_, start)| *start <= at);
        let first = second.and_then(|(key, start)| {
            let earlier = statements.iter().filter(|(_, each)| each < start);
            let holds = |each: &str| key.strip_prefix(each).is_some_and(|rest| rest.starts_with('.'));
            earlier
                .filter(|(each, _)| holds(each))
                .max_by_key(|(each, _)| each.len())
        });
        if let (Some((key, _)), Some((first, at))) = (second, first) {
            let name = first.rsplit('.').next().unwrap_or(first);
            return fault(
                line,
                key.clone(),
                &format!(
                    "`{name}` has its value at line {} already, and dots cannot add to it",
                    context.line(*at)
                ),
                format!("write all of `{name}` in one place"),
            );
        }
        let cure = "write all of it in one place".to_owned();
        return fault(line, String::new(), "a key adds to what has a value already", cure);
    }
    let cure = "see https://toml.io/en/v1.0.0 for how TOML is written".to_owned();
    fault(line, String::new(), message, cure)
}

/// A key or a table that occurs twice; the second time at `at`.
fn duplicate(context: &Context<'_>, statements: &[(String, usize)], at: usize) -> Duplicate {
    let line = context.line(at.min(context.text.len()));
    let is_table = context
        .text
        .get(..at)
        .is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with('['));
    let second = statements.iter().rfind(|(_, start)| *start <= at);
    let first = second.and_then(|(key, start)| {
        let earlier = || statements.iter().filter(|(_, each)| each < start);
        // `[route]` and `[[route]]`, in either order.
        let bare = key.rsplit_once('[').map_or(key.as_str(), |(name, _)| name);
        let same = earlier().find(|(each, _)| each == key || (is_table && each == bare));
        // `security.protocol`, and then `security`.
        let whole = if is_table { bare } else { key };
        let inside = |each: &str| {
            each.strip_prefix(whole)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        same.or_else(|| earlier().find(|(each, _)| inside(each)))
    });
    let first_line = first.map(|(_, at)| context.line(*at));
    let key = match (second, first) {
        (Some((key, _)), Some(_)) => key.clone(),
        _ => String::new(),
    };
    let (problem, cure) = match (first_line, is_table) {
        (Some(line), _) if first.is_some_and(|(each, _)| each.starts_with(&format!("{key}."))) => {
            let (each, _) = first.map_or((key.as_str(), 0), |(each, at)| (each.as_str(), *at));
            (
                format!("`{each}` at line {line} makes a table of this already"),
                "write all of it in one place".to_owned(),
            )
        }
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
    let fault = Fault {
        line,
        key,
        found: None,
        problem,
        cure,
    };
    Duplicate {
        lines: std::iter::once(line).chain(first_line).collect(),
        fault,
    }
}

impl Context<'_> {
    /// The section around a line: from a table header to the next one. From a broken header on, everything is doubtful.
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
