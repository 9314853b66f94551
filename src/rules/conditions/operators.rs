//! The context in which all expressions are evaluated: the functions of the language, and our own operators.
//!
//! Arithmetic: CEL refuses `2.5 * 3`. But whether a JSON number has a fraction depends on the producer's library (`3`
//! may have been `3.0`). So if one operand is an integer and the other a double, the integer is converted to a double.
//! Two operands of one kind are left to the crate, including overflow and division by zero. Comparisons give the same
//! results as the crate's. They are our own because the crate's interpreter prepares an error, with half a dozen
//! allocations, for each comparison that succeeds.

use std::cmp::Ordering;
use std::sync::{Arc, LazyLock};

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelString, CelUInt, DYN_TYPE, INT_TYPE, UINT_TYPE,
};
use cel::common::value::{CowVal, Val};
use cel::{Context, DeclarationError, Env, ExecutionError, extensions};

use crate::config::values::cel::Pattern;

/// Created once, at the first condition. It holds no variable.
pub(super) static CONTEXT: LazyLock<Context<'static, 'static>> = LazyLock::new(|| Context::with_env(Arc::new(env())));

#[allow(
    clippy::expect_used,
    reason = "names of our own, each declared once: a test makes it"
)]
fn env() -> Env {
    let mut env = Env::default().with_optional_support(false).with_stdlib();
    declare(&mut env).expect("functions are declared once");
    env
}

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_extension(extensions::strings)?;
    env.add_extension(extensions::math)?;
    let ours: [(&str, cel::common::functions::Function); 10] = [
        ("$lt", |args| compare("<", args, Ordering::is_lt)),
        ("$le", |args| compare("<=", args, Ordering::is_le)),
        ("$gt", |args| compare(">", args, Ordering::is_gt)),
        ("$ge", |args| compare(">=", args, Ordering::is_ge)),
        ("$add", |args| arithmetic("+", args)),
        ("$sub", |args| arithmetic("-", args)),
        ("$mul", |args| arithmetic("*", args)),
        ("$div", |args| arithmetic("/", args)),
        ("$mod", |args| arithmetic("%", args)),
        ("$matches", matches),
    ];
    for (name, function) in ours {
        env.add_overload(name, name, vec![DYN_TYPE, DYN_TYPE], function)?;
    }
    env.add_overload("$keys", "$keys", vec![DYN_TYPE], keys)?;
    // The crate has these for doubles only.
    for name in ["math.ceil", "math.floor", "math.round", "math.trunc"] {
        env.add_overload(name, &format!("{name}(int)"), vec![INT_TYPE], to_double)?;
        env.add_overload(name, &format!("{name}(uint)"), vec![UINT_TYPE], to_double)?;
    }
    Ok(())
}

fn boolean<'b, 'v>(value: bool) -> CowVal<'b, 'v> {
    CowVal::Borrowed(if value { &CelBool::TRUE } else { &CelBool::FALSE })
}

fn no_overload(sign: &str, args: &[CowVal<'_, '_>]) -> ExecutionError {
    let types = args.iter().map(|arg| arg.get_type().name().to_owned());
    ExecutionError::no_such_overload(sign, types.collect())
}

fn compare<'b, 'v>(
    sign: &'static str,
    args: Vec<CowVal<'b, 'v>>,
    accepts: fn(Ordering) -> bool,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args.as_slice() else {
        return Err(no_overload(sign, &args));
    };
    let order = left.as_comparer().and_then(|left| left.compare(right.as_ref()).ok());
    match order {
        Some(order) => Ok(boolean(accepts(order))),
        None => Err(no_overload(sign, &args)),
    }
}

fn arithmetic<'b, 'v>(sign: &'static str, args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [left, right] = args.as_slice() else {
        return Err(no_overload(sign, &args));
    };
    let mixed = match (double(left.as_ref()), double(right.as_ref())) {
        (Number::Double(left), Number::Whole(right)) => Some((left, right)),
        (Number::Whole(left), Number::Double(right)) => Some((left, right)),
        _ => None,
    };
    if let Some((left, right)) = mixed {
        let value = match sign {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            _ => return Err(no_overload(sign, &args)),
        };
        return Ok(CowVal::owned(CelDouble::from(value)));
    }
    let right = right.as_ref();
    let result = match sign {
        "+" => left.as_adder().map(|left| left.add(right)),
        "-" => left.as_subtractor().map(|left| left.sub(right)),
        "*" => left.as_multiplier().map(|left| left.mul(right)),
        "/" => left.as_divider().map(|left| left.div(right)),
        _ => left.as_modder().map(|left| left.modulo(right)),
    };
    match result {
        Some(Ok(value)) => Ok(CowVal::Owned(value.into_owned())),
        Some(Err(
            error @ (ExecutionError::Overflow(..)
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)),
        )) => Err(error),
        Some(Err(_)) | None => Err(no_overload(sign, &args)),
    }
}

enum Number {
    Double(f64),
    Whole(f64),
    None,
}

#[allow(clippy::cast_precision_loss, reason = "as double(…) does: exact up to 2^53")]
fn double(value: &dyn Val) -> Number {
    if let Some(value) = value.downcast_ref::<CelDouble>() {
        return Number::Double(*value.inner());
    }
    if let Some(value) = value.downcast_ref::<CelInt>() {
        return Number::Whole(*value.inner() as f64);
    }
    match value.downcast_ref::<CelUInt>() {
        Some(value) => Number::Whole(*value.inner() as f64),
        None => Number::None,
    }
}

fn to_double<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    match args.first().map(|value| double(value.as_ref())) {
        Some(Number::Double(value) | Number::Whole(value)) => Ok(CowVal::owned(CelDouble::from(value))),
        _ => Err(no_overload("double", &args)),
    }
}

/// What `map` and `filter` iterate over. For a map: its keys, sorted, because the crate's map has no order.
fn keys<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(range) = args.pop() else {
        return Err(no_overload("map", &args));
    };
    let Some(map) = range.downcast_ref::<CelMap>() else {
        return Ok(range);
    };
    let mut keys: Vec<&CelMapKey<'_>> = map.inner().keys().collect();
    keys.sort_by_cached_key(|key| match key {
        CelMapKey::Bool(value) => (0, i128::from(*value.inner()), String::new()),
        CelMapKey::Int(value) => (1, i128::from(*value.inner()), String::new()),
        CelMapKey::UInt(value) => (1, i128::from(*value.inner()), String::new()),
        CelMapKey::String(text) => (2, 0, text.inner().to_owned()),
    });
    let keys: Vec<Box<dyn Val + 'v>> = keys.into_iter().map(|key| key.inner().clone_as_boxed()).collect();
    Ok(CowVal::owned(CelList::from(keys)))
}

fn matches<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = args.first().and_then(|text| text.downcast_ref::<CelString>());
    let pattern = args.get(1).and_then(|pattern| pattern.downcast_ref::<Pattern>());
    match (text, pattern) {
        (Some(text), Some(pattern)) => Ok(boolean(pattern.matches(text.inner()))),
        _ => Err(no_overload("matches", args.get(..1).unwrap_or_default())),
    }
}
