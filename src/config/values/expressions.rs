//! Value expressions: a string, a constant, or a table such as `{ path = "amount", as = "float" }`.
//!
//! Converts TOML values to [`Typed`]. The grammar of the strings is in [`crate::config::values::grammar`].

use std::borrow::Cow;

use toml::de::DeValue;

use crate::config::file::reader::{Node, Table, Text, all};
use crate::config::file::wording::quoted;
use crate::config::keys::{self, Kind};
use crate::config::model::{As, BigNumbers, Constant, DecimalTo, Expr, Instant, Kinds, Missing, Typed};
use crate::config::values::cel;
use crate::config::values::grammar::{self, Bad, Scope};
use crate::config::values::ttl_hints;
use crate::config::values::type_names::{as_named, meant_by, name_of};

/// What a value is used for. It decides which types and defaults are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A bin, a field of an object in a bin, an element of a list, or the value of a map's entry.
    Bin,
    Key,
    Ttl,
    /// A number to add. It states its type, or is a constant.
    Number,
    /// A string or bytes to append or prepend.
    Text,
    /// The key of a map's entry.
    MapKey,
    /// The name of a set or namespace.
    Name,
    /// The key of a produced message.
    PublishedKey,
    /// A header of a produced message.
    Header,
    /// The payload of a produced message: JSON.
    Payload,
}

impl Place {
    /// Its name in faults.
    fn what(self) -> &'static str {
        match self {
            Place::Bin => "a bin",
            Place::Key => "a key",
            Place::Ttl => "a ttl",
            Place::Number => "a number to add",
            Place::Text => "a text to append",
            Place::MapKey => "the key of an entry",
            Place::Name => "a name",
            Place::PublishedKey => "a key of a message",
            Place::Header => "a header",
            Place::Payload => "a payload",
        }
    }

    /// The types that `as` may name here; `None`: all.
    pub fn allowed(self) -> Option<&'static [As]> {
        match self {
            Place::Bin | Place::Payload => None,
            Place::PublishedKey | Place::Header | Place::Key => Some(&[
                As::String,
                As::Integer,
                As::Base64,
                As::Hex,
                As::DECIMAL,
                As::DECIMAL_INTEGER,
            ]),
            Place::Ttl => Some(&[As::Integer, As::EpochS, As::EpochMs, As::EpochUs, As::EpochNs]),
            Place::Number => Some(&[As::Integer, As::Float, As::DECIMAL_INTEGER, As::DECIMAL_FLOAT]),
            Place::Text => Some(&[As::String, As::Base64, As::Hex, As::DECIMAL]),
            Place::MapKey => Some(&[As::String, As::Integer, As::DECIMAL, As::DECIMAL_INTEGER]),
            Place::Name => Some(&[As::String]),
        }
    }

    /// The type of a value that does not state one.
    fn implied(self) -> Option<As> {
        match self {
            Place::Bin | Place::Number | Place::Payload => None,
            Place::PublishedKey | Place::Header => Some(As::String),
            Place::Key | Place::Text | Place::MapKey | Place::Name => Some(As::String),
            Place::Ttl => Some(As::Integer),
        }
    }
}

const VALUE_CURE: &str =
    "write a path, a template, a number, true, false, { path = … }, { value = … }, { object = { … } } or { expr = … }";

/// Reads the value at `node`. Returns nothing, and notes a fault, if it is wrong.
pub fn typed(node: &Node<'_>, scope: Scope<'_>, place: Place) -> Option<Typed> {
    let mut big_numbers = BigNumbers::Reject;
    let (expr, cast, missing) = match node.value() {
        // Must be reported before it is read as a path; a negative number is not even a path.
        DeValue::String(text) if place == Place::Number && is_number(text) => {
            let name = node.key.rsplit('.').next().unwrap_or_default();
            let cure = format!("write {name} = {}, without quotes", text.trim().trim_start_matches('+'));
            node.fault("in quotes it is no number, but the name of a field", cure);
            return None;
        }
        DeValue::String(_) => {
            let expr = expression(node, scope)?;
            refuse_untyped(node, &expr, place)?;
            (expr, None, Missing::AsPlace)
        }
        DeValue::Table(_) => from_table(node, scope, place, &mut big_numbers)?,
        DeValue::Array(_) => {
            node.fault(
                "an array is not a value expression",
                "write { value = […] } for a constant array",
            );
            return None;
        }
        _ => (Expr::Constant(constant(node)?), None, Missing::AsPlace),
    };
    if let Expr::Constant(constant) = &expr {
        refuse_constant(node, constant, place)?;
    }
    // If only one type is possible, the model states it. Not for a key and a ttl, whose types are distinguished later.
    let cast = cast.or(match (&expr, place) {
        (Expr::Source(_) | Expr::Cel(_), Place::Text | Place::MapKey | Place::Name) => place.implied(),
        _ => None,
    });
    Some(Typed {
        expr,
        cast,
        missing,
        big_numbers,
        line: node.line(),
        written: node.written(),
    })
}

/// Notes a fault, and returns nothing, if a constant is not possible in `place`.
fn refuse_constant(node: &Node<'_>, constant: &Constant, place: Place) -> Option<()> {
    let (problem, cure) = match (place, constant) {
        (Place::Bin | Place::Ttl | Place::Payload, _)
        | (Place::PublishedKey | Place::Header | Place::MapKey, Constant::String(_) | Constant::Int(_))
        | (Place::Number, Constant::Int(_) | Constant::Float(_))
        | (Place::Text | Place::Name, Constant::String(_)) => return Some(()),
        (Place::Key, _) => (
            "a constant key: every message would write the same record",
            "name a field, e.g. \"user.id\", or a template with one, e.g. \"user:{user.id}\"",
        ),
        (Place::PublishedKey | Place::Header, _) => (
            "a key or header of a message is a string or an integer",
            "write a path, a template, an integer or { value = \"…\" }",
        ),
        (Place::Number, _) => (
            "only a number can be added",
            "write a number, or { path = \"amount\", as = \"float\" }",
        ),
        (Place::Text, _) => (
            "only a string or bytes can be appended",
            "write a path, a template or { value = \"…\" }",
        ),
        (Place::MapKey, _) => (
            "the key of an entry is a string or an integer",
            "write a path, a template, an integer or { value = \"…\" }",
        ),
        (Place::Name, _) => ("a name is a string", "write a string in quotes"),
    };
    node.fault(problem, cure);
    None
}

/// Notes a fault, and returns nothing, for a path without `as` or a template if the place needs a number's type.
fn refuse_untyped(node: &Node<'_>, expr: &Expr, place: Place) -> Option<()> {
    if place != Place::Number {
        return Some(());
    }
    match expr {
        Expr::Source(_) => {
            let path = if node.is_reference() {
                "…".to_owned()
            } else {
                quoted(&node.text()?.value)
            };
            node.fault(
                "a number to add has no type, and the bin keeps that of its first value",
                format!("write {{ path = {path}, as = \"integer\" }} or as = \"float\""),
            );
            None
        }
        Expr::Template(_) => {
            let cure = match in_braces(node, expr) {
                Some(field) => format!("write {{ path = {field}, as = \"integer\" }} or as = \"float\""),
                None => "name one field, e.g. { path = \"amount\", as = \"float\" }".to_owned(),
            };
            node.fault("a template is a string, no number to add", cure);
            None
        }
        Expr::Cel(_) => {
            node.fault(
                "a number to add has no type, and the bin keeps that of its first value",
                "add as = \"integer\" or as = \"float\" beside `expr`",
            );
            None
        }
        Expr::Constant(_) | Expr::Object(_) => Some(()),
    }
}

/// The path in quotes, if `expr` is the template at `node` and consists only of one field in braces.
pub fn in_braces(node: &Node<'_>, expr: &Expr) -> Option<String> {
    if node.is_reference() {
        return None;
    }
    let DeValue::String(text) = node.value() else {
        return None;
    };
    grammar::field_in_braces(expr, text).map(|field| quoted(&field))
}

/// Whether a text is a number in TOML's form.
fn is_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && (text.trim().parse::<i64>().is_ok() || text.trim().parse::<f64>().is_ok_and(f64::is_finite))
}

/// A string as a value: first resolves references, then parses it.
pub fn expression(node: &Node<'_>, scope: Scope<'_>) -> Option<Expr> {
    if let DeValue::String(text) = node.value()
        && let Some(field) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
        && !field.starts_with('$')
        && let Ok(Expr::Source(_)) = grammar::value(field, scope)
    {
        let cure = format!("write {} for a field, or `$${{` for a literal `${{`", quoted(field));
        node.fault_found(quoted(text), "a reference is `${env:NAME}` or `${file:path}`", cure);
        return None;
    }
    let text = node.text()?;
    parsed(node, &text, grammar::value(&text.value, scope))
}

/// Returns the result of `grammar` for `text`, or notes its complaint. Does not quote the content of a reference.
pub fn parsed<T>(node: &Node<'_>, text: &Text, result: Result<T, Bad>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(_) if text.from_outside => {
            node.fault(
                "what the reference holds is no path or template",
                "see docs/reference/values.md",
            );
            None
        }
        Err(Bad { problem, cure }) => {
            node.fault(problem, cure);
            None
        }
    }
}

fn from_table(
    node: &Node<'_>,
    scope: Scope<'_>,
    place: Place,
    big: &mut BigNumbers,
) -> Option<(Expr, Option<As>, Missing)> {
    let table = node.table(&keys::VALUE)?;
    let sources: Vec<&str> = ["path", "value", "object", "expr"]
        .into_iter()
        .filter(|name| table.get(name).is_some())
        .collect();
    match sources.as_slice() {
        ["path"] => {
            let (expr, cast, missing) = from_path(&table, scope, place)?;
            *big = kept_numbers(&table, &expr, cast, place)?;
            Some((expr, cast, missing))
        }
        ["expr"] => from_cel(&table, scope, place),
        [] => {
            // If a key was refused before, that already says what is wrong.
            if table
                .nodes
                .iter()
                .all(|(name, _)| keys::VALUE.keys.iter().any(|key| key.name == *name))
            {
                node.fault("names neither `path`, `value`, `object` nor `expr`", VALUE_CURE);
            }
            None
        }
        [only] => {
            for other in ["as", "scale", "missing", "default", "big_numbers"] {
                if let Some(other_node) = table.get(other) {
                    let problem = format!("`{other}` contradicts `{only}`, which is always there as it stands");
                    other_node.fault(problem, format!("remove `{other}`, or write `path` for a field"));
                }
            }
            let inner = table.get(only)?;
            let expr = if *only == "value" {
                Expr::Constant(constant(inner)?)
            } else {
                object(inner, scope, place)?
            };
            Some((expr, None, Missing::AsPlace))
        }
        [first, second, ..] => {
            let problem = format!("`{first}` and `{second}` contradict each other");
            table.get(second)?.fault(problem, "keep one of them");
            None
        }
    }
}

fn object(node: &Node<'_>, scope: Scope<'_>, place: Place) -> Option<Expr> {
    if !matches!(place, Place::Bin | Place::Payload) {
        node.fault("an object cannot stand here", "name a field, e.g. \"user.id\"");
        return None;
    }
    let fields = node.open_table(&keys::VALUE)?;
    if fields.nodes.is_empty() {
        node.fault(
            "an object needs a field",
            "name one, or write { value = {} } for an empty map",
        );
        return None;
    }
    let fields = all(fields
        .nodes
        .iter()
        .map(|(name, node)| Some(((*name).to_owned(), typed(node, scope, place)?))));
    fields.map(Expr::Object)
}

fn from_path(table: &Table<'_>, scope: Scope<'_>, place: Place) -> Option<(Expr, Option<As>, Missing)> {
    let path_node = table.get("path")?;
    let expr = expression(path_node, scope);
    let is_template = matches!(expr, Some(Expr::Template(_)));
    if matches!(expr, Some(Expr::Constant(_))) {
        path_node.fault("a template without a field is a constant", "write { value = \"…\" }");
        return None;
    }
    if place == Place::Ttl && is_template {
        let field = expr.as_ref().and_then(|expr| in_braces(path_node, expr));
        let cure = match field {
            Some(field) => format!("write path = {field}"),
            None => "name one field, e.g. { path = \"expires_at\" }".to_owned(),
        };
        path_node.fault("a ttl is a field, not a template", cure);
        return None;
    }
    if let (None, Some(expr)) = (table.get("as"), &expr) {
        refuse_untyped(path_node, expr, place)?;
    }
    let cast = cast(table, place)?;
    if let (Some(cast), Some(node)) = (cast, table.get("as"))
        && is_template
        && cast != As::String
    {
        let field = expr.as_ref().and_then(|expr| in_braces(path_node, expr));
        let cure = match field {
            Some(field) => format!("write path = {field}"),
            None => "remove `as`, or name one field in `path`".to_owned(),
        };
        node.fault("a template is a string", cure);
    }
    let missing = missing(table, cast, place)?;
    Some((expr?, cast, missing))
}

/// If it cannot be computed, the message is rejected: there is nothing that could be missing.
fn from_cel(table: &Table<'_>, scope: Scope<'_>, place: Place) -> Option<(Expr, Option<As>, Missing)> {
    let node = table.get("expr")?;
    let cel = cel::expression(node, scope);
    for other in ["missing", "default"] {
        if let Some(other_node) = table.get(other) {
            other_node.fault(
                format!("`{other}` contradicts `expr`: what cannot be computed rejects the message"),
                "say it in the expression: has(msg.price) ? msg.price : 0",
            );
        }
    }
    if let Some(node) = table.get("big_numbers") {
        node.fault(
            "`big_numbers` contradicts `expr`, which gives no number beyond 64 bits",
            "remove it, or write `path` for a field",
        );
    }
    let cast = cast(table, place)?;
    let cel = cel?;
    let held = Kinds::JSON.or(Kinds::BYTES);
    if !cel.program.kinds.meets(held) {
        let problem = format!("no record can hold a {}", cel.program.kinds);
        let cure = match place {
            Place::Ttl => "write string(…) around it, and as = \"epoch_s\" beside `expr`",
            _ => "write string(…) or int(…) around it",
        };
        node.fault(problem, cure);
        return None;
    }
    let expr = Expr::Cel(cel);
    if table.get("as").is_none() {
        refuse_untyped(node, &expr, place)?;
    }
    Some((expr, cast, Missing::AsPlace))
}

/// Reads `as`. Returns nothing, and notes a fault, if it is wrong or not possible in this place.
fn cast(table: &Table<'_>, place: Place) -> Option<Option<As>> {
    let offered: Option<Vec<&str>> = place
        .allowed()
        .map(|allowed| allowed.iter().map(|each| name_of(*each)).collect());
    if place == Place::Ttl
        && let Some(node) = table.get("as")
        && let DeValue::String(word) = node.value()
        && let Some(cure) = ttl_hints::instead_of_type(table, word)
    {
        node.fault("is none of the values it can have", cure);
        return None;
    }
    let cast = table.choice_of("as", offered.as_deref(), meant_by).map(as_named);
    if let (Some(cast), Some(node), Some(allowed)) = (cast, table.get("as"), place.allowed())
        && !allowed.iter().any(|each| each.is_same_word(cast))
    {
        let names: Vec<&str> = allowed.iter().map(|each| name_of(*each)).collect();
        node.fault(
            format!("{} cannot be read as this", place.what()),
            format!("write one of: {}", names.join(", ")),
        );
        return None;
    }
    match table.get("as") {
        None => scaled(table, None),
        Some(_) => scaled(table, Some(cast?)),
    }
}

/// `cast` with the `scale` beside it. Returns nothing, and notes a fault, if it is wrong or not for this type.
pub fn scaled(table: &Table<'_>, cast: Option<As>) -> Option<Option<As>> {
    let Some(node) = table.get("scale") else {
        return Some(cast);
    };
    let Some(As::Decimal { to, .. }) = cast else {
        let cure = "write as = \"decimal\", or remove `scale`";
        node.fault("`scale` is the number of digits after the point of a decimal", cure);
        return None;
    };
    let Kind::Number { min, max } = keys::SCALE else {
        return None;
    };
    let scale = node.integer().filter(|scale| (min..=max).contains(scale));
    let Some(scale) = scale.and_then(|scale| i16::try_from(scale).ok()) else {
        let cure = "write the scale of the column, e.g. scale = 2 for DECIMAL(10,2)";
        node.fault(format!("a scale is a whole number from {min} to {max}"), cure);
        return None;
    };
    Some(Some(As::Decimal { to, scale: Some(scale) }))
}

fn missing(table: &Table<'_>, cast: Option<As>, place: Place) -> Option<Missing> {
    if let (Some(_), Some(default)) = (table.get("missing"), table.get("default")) {
        default.fault("`default` contradicts `missing`", "keep one of them");
        return None;
    }
    if let Some(node) = table.get("default") {
        let value = constant(node)?;
        return match fitting(&value, cast, place) {
            Ok(value) => Some(Missing::Default(value)),
            Err((problem, cure)) => {
                node.fault(problem, cure);
                None
            }
        };
    }
    if table.get("missing").is_none() {
        return Some(Missing::AsPlace);
    }
    match table.choice("missing")? {
        "skip" => Some(Missing::Skip),
        _ => Some(Missing::Reject),
    }
}

/// Reads `big_numbers`; its default if absent; `None` if it is faulty.
pub fn big_numbers(table: &Table<'_>) -> Option<BigNumbers> {
    Some(match table.choice("big_numbers")? {
        "string" => BigNumbers::String,
        "float" => BigNumbers::Float,
        "skip" => BigNumbers::Skip,
        _ => BigNumbers::Reject,
    })
}

/// The `big_numbers` of a path. Notes a fault if it can have no effect.
fn kept_numbers(table: &Table<'_>, expr: &Expr, cast: Option<As>, place: Place) -> Option<BigNumbers> {
    let word = big_numbers(table)?;
    let Some(node) = table.get("big_numbers") else {
        return Some(word);
    };
    let (problem, cure) = match (place, expr, cast) {
        (Place::Payload, ..) => (
            "a payload is JSON, which holds every number as it stands".to_owned(),
            "remove `big_numbers`",
        ),
        (Place::Bin, Expr::Template(_), _) => (
            "a template is a string, whatever its numbers".to_owned(),
            "remove `big_numbers`, or name one field in `path`",
        ),
        (Place::Bin, _, None | Some(As::Json)) => return Some(word),
        (Place::Bin, _, Some(cast)) => (
            format!(
                "`big_numbers` contradicts `as = \"{}\"`, which says already what a number becomes",
                name_of(cast)
            ),
            "keep one of them",
        ),
        _ => (
            format!("`big_numbers` is for what a bin keeps; {} keeps none", place.what()),
            "remove `big_numbers`, or write as = \"…\" where a type is meant",
        ),
    };
    node.fault(problem, cure);
    None
}

/// The default as a value of the field's type, if it fits.
fn fitting(value: &Constant, cast: Option<As>, place: Place) -> Result<Constant, (String, Cow<'static, str>)> {
    let cast = cast.or(place.implied());
    let value = value.clone();
    let Some(cast) = cast else {
        return Ok(value);
    };
    // What takes the place of a decimal has the type of what the decimal becomes.
    let cast = match cast {
        As::Decimal { to, .. } => match to {
            DecimalTo::Text => As::String,
            DecimalTo::Integer => As::Integer,
            DecimalTo::Float => As::Float,
        },
        other => other,
    };
    let of_a_life = match &value {
        Constant::String(text) if place == Place::Ttl => ttl_hints::default_meant(text, cast),
        _ => None,
    };
    let cure = match (cast, value) {
        (As::Json, value)
        | (As::String, value @ Constant::String(_))
        | (As::Integer | As::EpochS | As::EpochMs | As::EpochUs | As::EpochNs, value @ Constant::Int(_))
        | (As::Float, value @ Constant::Float(_))
        | (As::Bool, value @ Constant::Bool(_)) => return Ok(value),
        #[allow(clippy::cast_precision_loss)]
        // A whole number for a float: exact up to 2^53, as in JSON.
        (As::Float, Constant::Int(value)) => return Ok(Constant::Float(value as f64)),
        (cast @ (As::EpochS | As::EpochMs | As::EpochUs | As::EpochNs), Constant::String(text)) => {
            let instant = Instant::parse(&text);
            match instant.zip(cast.unit()).and_then(|(instant, unit)| unit.count(instant)) {
                Some(number) => return Ok(Constant::Int(number)),
                None if instant.is_some() => "no number of 64 bits is this time in this unit: write as = \"epoch_us\"",
                None => "write the number that `as` says, or RFC 3339, e.g. \"2030-01-01T00:00:00Z\"",
            }
        }
        (As::Base64 | As::Hex, _) => {
            return Err((
                "bytes cannot have a default".to_owned(),
                "remove `default`, or write missing = \"skip\"".into(),
            ));
        }
        (As::String, _) => "write a string in quotes",
        (As::Integer | As::Float, Constant::String(text)) if is_number(&text) => "write it as a number, without quotes",
        (As::Bool, Constant::String(text)) if matches!(text.as_str(), "true" | "false") => "write it without quotes",
        (As::Integer, _) => "write an integer",
        (As::Float, _) => "write a number",
        (As::Bool, _) => "write true or false",
        (As::EpochS, _) => "write seconds since 1970",
        (As::EpochMs, _) => "write milliseconds since 1970",
        (As::EpochUs, _) => "write microseconds since 1970",
        (As::EpochNs, _) => "write nanoseconds since 1970",
        (As::Decimal { .. }, _) => "write a value of the type that the decimal becomes",
    };
    Err((
        format!("the default is not of the value's type, {}", name_of(cast)),
        of_a_life.map_or(Cow::Borrowed(cure), Cow::Owned),
    ))
}

/// A constant of the file. Strings are used unchanged.
fn constant(node: &Node<'_>) -> Option<Constant> {
    match node.value() {
        DeValue::String(_) => Some(Constant::String(node.text()?.value)),
        DeValue::Integer(_) => {
            let value = node.integer();
            if value.is_none() {
                node.fault("an integer has at most 64 bits", "write it as a string or a float");
            }
            value.map(Constant::Int)
        }
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() => Some(Constant::Float(value)),
            _ => {
                node.fault("a constant is a finite number", "write one that fits 64 bits");
                None
            }
        },
        DeValue::Boolean(value) => Some(Constant::Bool(*value)),
        DeValue::Datetime(_) => {
            node.fault("Aerospike has no dates", "put it in quotes to store it as a string");
            None
        }
        DeValue::Array(_) => all(node.elements()?.iter().map(constant)).map(Constant::List),
        DeValue::Table(_) => {
            let table = node.open_table(&keys::VALUE)?;
            let fields = table
                .nodes
                .iter()
                .map(|(name, node)| Some(((*name).to_owned(), constant(node)?)));
            all(fields).map(Constant::Map)
        }
    }
}
