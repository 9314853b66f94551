//! The functions that expressions may call: names, arguments, results.
//!
//! The crate resolves a function only when it is called. With this table, misspelt or misused functions are reported at
//! the start. A test compares the table with the crate: each function here can be called.

use crate::config::model::Kinds;

/// One way to call a function.
#[derive(Debug, Clone)]
pub struct Function {
    /// As written, with `math.` if it has it.
    pub name: &'static str,
    /// It is called on its first argument: `x.f(y)`, not `f(x, y)`.
    pub member: bool,
    /// The kinds that each argument can have, including the one that it is called on.
    pub arguments: &'static [Kinds],
    pub result: Kinds,
}

const fn global(name: &'static str, arguments: &'static [Kinds], result: Kinds) -> Function {
    Function {
        name,
        member: false,
        arguments,
        result,
    }
}

const fn member(name: &'static str, arguments: &'static [Kinds], result: Kinds) -> Function {
    Function {
        name,
        member: true,
        arguments,
        result,
    }
}

use Kinds as K;

const SIZED: Kinds = K::STRING.or(K::BYTES).or(K::LIST).or(K::MAP);
const SPAN: Kinds = K::TIMESTAMP.or(K::DURATION);

/// All functions, by name.
pub const ALL: &[Function] = &[
    global("bool", &[K::BOOL.or(K::STRING)], K::BOOL),
    global("bytes", &[K::BYTES.or(K::STRING)], K::BYTES),
    member("charAt", &[K::STRING, K::INT], K::STRING),
    member("contains", &[K::STRING, K::STRING], K::BOOL),
    global("double", &[K::NUMBER.or(K::STRING)], K::DOUBLE),
    global("duration", &[K::DURATION.or(K::STRING)], K::DURATION),
    global("dyn", &[K::ANY], K::ANY),
    member("endsWith", &[K::STRING, K::STRING], K::BOOL),
    member("getDate", &[K::TIMESTAMP], K::INT),
    member("getDate", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getDayOfMonth", &[K::TIMESTAMP], K::INT),
    member("getDayOfMonth", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getDayOfWeek", &[K::TIMESTAMP], K::INT),
    member("getDayOfWeek", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getDayOfYear", &[K::TIMESTAMP], K::INT),
    member("getDayOfYear", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getFullYear", &[K::TIMESTAMP], K::INT),
    member("getFullYear", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getHours", &[SPAN], K::INT),
    member("getHours", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getMilliseconds", &[SPAN], K::INT),
    member("getMilliseconds", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getMinutes", &[SPAN], K::INT),
    member("getMinutes", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getMonth", &[K::TIMESTAMP], K::INT),
    member("getMonth", &[K::TIMESTAMP, K::STRING], K::INT),
    member("getSeconds", &[SPAN], K::INT),
    member("getSeconds", &[K::TIMESTAMP, K::STRING], K::INT),
    member("indexOf", &[K::STRING, K::STRING], K::INT),
    member("indexOf", &[K::STRING, K::STRING, K::INT], K::INT),
    global("int", &[K::NUMBER.or(K::STRING).or(K::TIMESTAMP)], K::INT),
    member("join", &[K::LIST], K::STRING),
    member("join", &[K::LIST, K::STRING], K::STRING),
    member("lastIndexOf", &[K::STRING, K::STRING], K::INT),
    member("lastIndexOf", &[K::STRING, K::STRING, K::INT], K::INT),
    member("lowerAscii", &[K::STRING], K::STRING),
    global("matches", &[K::STRING, K::STRING], K::BOOL),
    member("matches", &[K::STRING, K::STRING], K::BOOL),
    global("math.abs", &[K::INT], K::INT),
    global("math.abs", &[K::UINT], K::UINT),
    global("math.abs", &[K::DOUBLE], K::DOUBLE),
    global("math.ceil", &[K::DOUBLE], K::DOUBLE),
    global("math.floor", &[K::DOUBLE], K::DOUBLE),
    global("math.round", &[K::DOUBLE], K::DOUBLE),
    global("math.sign", &[K::INT], K::INT),
    global("math.sign", &[K::UINT], K::UINT),
    global("math.sign", &[K::DOUBLE], K::DOUBLE),
    global("math.sqrt", &[K::NUMBER], K::DOUBLE),
    global("math.trunc", &[K::DOUBLE], K::DOUBLE),
    member("replace", &[K::STRING, K::STRING, K::STRING], K::STRING),
    member("replace", &[K::STRING, K::STRING, K::STRING, K::INT], K::STRING),
    member("reverse", &[K::STRING], K::STRING),
    global("size", &[SIZED], K::INT),
    member("size", &[SIZED], K::INT),
    member("split", &[K::STRING, K::STRING], K::LIST),
    member("split", &[K::STRING, K::STRING, K::INT], K::LIST),
    member("startsWith", &[K::STRING, K::STRING], K::BOOL),
    global(
        "string",
        &[K::BOOL.or(K::NUMBER).or(K::STRING).or(K::BYTES).or(SPAN)],
        K::STRING,
    ),
    member("substring", &[K::STRING, K::INT], K::STRING),
    member("substring", &[K::STRING, K::INT, K::INT], K::STRING),
    global("timestamp", &[K::STRING.or(K::INT).or(K::TIMESTAMP)], K::TIMESTAMP),
    member("trim", &[K::STRING], K::STRING),
    global("type", &[K::ANY], K::TYPE),
    global("uint", &[K::NUMBER.or(K::STRING)], K::UINT),
    member("upperAscii", &[K::STRING], K::STRING),
];

/// What CEL has in place of a function of another language.
pub(super) fn elsewhere(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "len" | "length" | "count" | "char_length" => "write size(x)",
        "lower" | "tolower" | "tolowercase" | "lcase" => "write x.lowerAscii()",
        "upper" | "toupper" | "touppercase" | "ucase" => "write x.upperAscii()",
        "substr" | "mid" => "write x.substring(from, to)",
        "includes" | "has_key" => "write x.contains('part') of a string, 'a' in x of a list or map",
        "now" | "current_timestamp" => {
            "there is none: a message gives the same whenever it comes; its time is meta.timestamp"
        }
        "coalesce" | "ifnull" | "isnull" | "nvl" | "default" => "write has(msg.type) ? type : 'none'",
        _ => return None,
    })
}

/// Macros. They are written like functions, but are expanded before evaluation.
pub const MACROS: &[&str] = &["all", "exists", "exists_one", "filter", "has", "map"];

/// Every way to call `name`.
pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    let name = name.to_owned();
    ALL.iter().filter(move |function| function.name == name)
}

/// All names, each once, macros included.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = ALL
        .iter()
        .map(|function| function.name)
        .chain(MACROS.iter().copied())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
