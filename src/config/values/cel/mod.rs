//! CEL: conditions and computed values, parsed and checked at the start.
//!
//! The crate `cel` parses. `walk` goes through the parsed expression once. It finds what the expression reads of a
//! message, and reports what can never work (unknown names, functions, arguments; kinds of values that no operator
//! accepts). It replaces each read by a number. So there is no lookup by name per message, and only the fields that are
//! read are decoded. [`crate::rules::conditions`] evaluates the result, a [`Program`]. Nothing here sees a message.

mod functions;
mod operators;
mod pattern;
mod walk;

use std::sync::Arc;

use cel::parser::{ParseErrors, Parser};

use crate::config::file::reader::{Node, Table, all};
use crate::config::model::{Cel, Kinds, Program, When};
pub use crate::config::values::grammar::Scope;
pub use pattern::Pattern;
pub use walk::Bad;

/// Maximum length of an expression, in bytes. Nobody can read a longer one, and the parser recurses along it.
const BYTES_MAX: usize = 4096;

/// Maximum depth of parentheses and calls inside one another. The parser recurses through a dozen rules for each.
const NESTED_MAX: u16 = 32;

/// Stack size of the thread that parses. Memory is used only as far as the stack is needed.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Reads `when` and `when_error` of a table. `Some(None)`: not in the file. `None`: faulty, and faults were noted.
pub fn when(table: &Table<'_>, scope: Scope<'_>) -> Option<Option<When>> {
    let Some(node) = table.get("when") else {
        if let (Some(node), false) = (table.get("when_error"), table.is_misspelt("when")) {
            node.fault("`when_error` without `when`", "add when = \"…\", or remove it");
        }
        return Some(None);
    };
    let condition = condition(node, scope);
    let error_is_false = table.choice("when_error").map(|word| word == "false");
    Some(Some(When {
        condition: condition?,
        error_is_false: error_is_false?,
    }))
}

/// Reads the conditions of `require`. Returns nothing, and notes faults, if one is faulty.
pub fn require(table: &Table<'_>, scope: Scope<'_>) -> Option<Vec<Cel>> {
    let Some(node) = table.get("require") else {
        return Some(Vec::new());
    };
    let Some(elements) = node.elements() else {
        node.fault(
            "expected an array of conditions",
            "write it in brackets, e.g. [\"amount >= 0\", \"size(user.id) > 0\"]",
        );
        return None;
    };
    if elements.is_empty() {
        node.fault("needs at least one condition", "write one, or remove `require`");
    }
    all(elements.iter().map(|node| condition(node, scope)))
}

/// Reads the condition at `node`. Returns nothing, and notes faults, if it is wrong.
pub fn condition(node: &Node<'_>, scope: Scope<'_>) -> Option<Cel> {
    let cel = expression(node, scope)?;
    if !cel.program.kinds.meets(Kinds::BOOL) {
        node.fault(
            format!("a condition is true or false, and this is {}", cel.program.kinds),
            "compare it with something, e.g. size(items) > 0",
        );
        return None;
    }
    Some(cel)
}

/// Reads the expression at `node`. Returns nothing, and notes faults, if it is wrong.
pub fn expression(node: &Node<'_>, scope: Scope<'_>) -> Option<Cel> {
    let text = node.text()?;
    match parse(&text.value, scope) {
        Ok(program) if program.reads.is_empty() => {
            node.fault(
                "names nothing of the message: it is the same for every one",
                "name a field, e.g. type == 'purchase'; a constant is { value = … }",
            );
            None
        }
        Ok(program) => Some(Cel {
            written: node.written(),
            line: node.line(),
            program: Arc::new(program),
        }),
        Err(_) if text.from_outside => {
            node.fault(
                "what the reference holds is no CEL expression that this file can have",
                "see docs/reference/conditions.md",
            );
            None
        }
        Err(faults) => {
            if let Some(meant) = without_braces(&text.value, scope) {
                node.fault(
                    "a field stands without braces in an expression",
                    format!("write {meant}"),
                );
                return None;
            }
            for Bad { at, problem, cure } in faults {
                let place = match at {
                    None => String::new(),
                    Some((1, column)) => format!("column {column}: "),
                    Some((line, column)) => format!("line {line}, column {column} of it: "),
                };
                node.fault(format!("{place}{problem}"), cure);
            }
            None
        }
    }
}

/// `text` without the braces around its fields (`{user.id} > 0`), if it is then an expression.
fn without_braces(text: &str, scope: Scope<'_>) -> Option<String> {
    let mut meant = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        let (inner, behind) = from.split_once('}')?;
        meant.push_str(before.trim_end_matches(['$', '{']));
        meant.push_str(inner.trim_matches(['{', ' ']));
        rest = behind.trim_start_matches('}');
    }
    meant.push_str(rest);
    (meant != text && parse(&meant, scope).is_ok()).then_some(meant)
}

/// Parses and checks `text`.
///
/// # Errors
/// Its faults, in no particular order.
pub fn parse(text: &str, scope: Scope<'_>) -> Result<Program, Vec<Bad>> {
    let whole = |problem: &str, cure: &str| {
        vec![Bad {
            at: None,
            problem: problem.to_owned(),
            cure: cure.to_owned(),
        }]
    };
    if text.trim().is_empty() {
        return Err(whole("is empty", "write a CEL expression, e.g. type == 'purchase'"));
    }
    if text.len() > BYTES_MAX {
        return Err(whole(
            "is longer than 4096 bytes",
            "make two of it: each string of `require` is one",
        ));
    }
    // The parser recurses. In a debug build it takes 180 KiB of stack for a pair of parentheses.
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK_BYTES);
        let parsed = thread.spawn_scoped(threads, || {
            let parsed = Parser::new()
                .max_recursion_depth(NESTED_MAX)
                .parse_with_source_info(text);
            let (expression, source) = parsed.map_err(|errors| vec![syntax(text, &errors)])?;
            walk::check(expression, &source, scope)
        });
        let joined = parsed.map(std::thread::ScopedJoinHandle::join);
        joined
            .unwrap_or_else(|error| Ok(Err(whole(&format!("cannot be parsed: {error}"), "start again"))))
            .unwrap_or_else(|_| Err(whole("is more than the parser takes", "write it in another way")))
    })
}

/// The first of the parser's complaints. Later ones result from it.
fn syntax(text: &str, errors: &ParseErrors) -> Bad {
    let Some(error) = errors.errors.first() else {
        return Bad {
            at: None,
            problem: "is no CEL expression".to_owned(),
            cure: "write e.g. type == 'purchase'".to_owned(),
        };
    };
    let at = match (usize::try_from(error.pos.0), usize::try_from(error.pos.1)) {
        (Ok(line), Ok(column)) if line > 0 && column > 0 => Some((line, column)),
        _ => None,
    };
    // The text before the place, and the text from there on.
    let (before, rest) = at.map_or(("", ""), |(line, column)| {
        let line = text.lines().nth(line - 1).unwrap_or_default();
        let place = line.char_indices().nth(column - 1);
        line.split_at(place.map_or(line.len(), |(place, _)| place))
    });
    let before = before.trim_end();
    let word_before = before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if error.msg.contains("has()") {
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let name = if name.is_empty() { "type" } else { name.as_str() };
        return Bad {
            at,
            problem: "has() asks for a field of something".to_owned(),
            cure: format!("write has(msg.{name})"),
        };
    }
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
    let cure = match word.as_str() {
        _ if rest.starts_with('=') && !rest.starts_with("==") => "two are equal with ==".to_owned(),
        _ if rest.starts_with('&') => "both of two is &&".to_owned(),
        _ if rest.starts_with('|') => "one of two is ||".to_owned(),
        _ if rest.starts_with('?') => "a field that may be missing is asked for first: has(msg.type) && …".to_owned(),
        "and" | "AND" => "both of two is &&".to_owned(),
        "or" | "OR" => "one of two is ||".to_owned(),
        "not" | "NOT" if next_word(rest).eq_ignore_ascii_case("in") => "write !(type in ['a', 'b'])".to_owned(),
        "is" | "IS" => "a field that is null: x == null; one that is not: x != null".to_owned(),
        "not" | "NOT" => "not is !, not equal is !=".to_owned(),
        _ if word_before.eq_ignore_ascii_case("not") => "not is !, not equal is !=".to_owned(),
        _ if rest.starts_with('>') && before.ends_with('<') => "not equal is !=".to_owned(),
        _ if rest.starts_with('@') => {
            "metadata is meta.key, meta.topic, meta.headers.type here; an element of `each` is item".to_owned()
        }
        _ if text.contains("?.") => "a field that may be missing is asked for first: has(user.id) && …".to_owned(),
        _ => "write CEL, e.g. type == 'purchase' && amount > 0".to_owned(),
    };
    Bad {
        at,
        problem: complaint(&error.msg),
        cure,
    }
}

/// The second word of the text.
fn next_word(text: &str) -> &str {
    text.split_whitespace().nth(1).unwrap_or_default()
}

/// The parser's message, in our words if we know it.
fn complaint(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let message = message.split(" expecting ").next().unwrap_or(message);
    // The text that it quotes.
    let quoted = message.split_once('\'').and_then(|(_, rest)| rest.strip_suffix('\''));
    let quoted = quoted.map(|text| text.replace('\n', " ").trim().chars().take(40).collect::<String>());
    match quoted.as_deref() {
        _ if message.contains("Recursion limit") => {
            format!("has more than {NESTED_MAX} parentheses and calls inside one another")
        }
        _ if message.starts_with("Incomplete") => "is not complete".to_owned(),
        Some("<EOF>") => "ends before it is complete".to_owned(),
        Some(text) if message.starts_with("token recognition") && text.starts_with(['\'', '"']) => {
            "a string that does not end".to_owned()
        }
        Some(text) => format!("`{text}` cannot stand here"),
        None => {
            let message: String = message.chars().take(80).collect();
            format!("is no CEL: {}", message.replace('\n', " "))
        }
    }
}

/// For a test that calls all of them.
#[cfg(test)]
pub(crate) use functions::ALL as FUNCTIONS;

#[cfg(test)]
mod tests;
