//! Conditions in the form that the client sends: a filter expression of the server.
//!
//! One is built for every guarded row, and only one number in it differs. So each thread lets the client pack each
//! condition once, and then only replaces the number. (Measured: building, copying, packing and dropping the client's
//! own tree of a condition for each row was a fifth of a guarded row's CPU.)

use std::cell::RefCell;

use aerospike::expressions::{self as exp, Expression};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::delivery::plan::{Condition, OutgoingRow};

/// The particle type of an integer, as the expression `bin_type` returns it.
const INTEGER: i64 = 1;
/// Stands for the number. Its eight bytes are searched in the packed form.
const PLACEHOLDER: i64 = i64::MIN + 0x0123_4567_89ab_cdef;
/// The MessagePack marker of an eight-byte integer. The bytes of the placeholder follow it.
const INT64: u8 = 0xd3;
/// How many packed forms a thread keeps. A worker has one guard and only a few version bins.
const KEPT_MAX: usize = 16;

/// A packed condition in which only the number must be replaced.
struct Packed {
    bin: String,
    or_equal: bool,
    bytes: Vec<u8>,
    /// Where the eight bytes of the number begin.
    number: usize,
}

thread_local! {
    static PACKED: RefCell<Vec<Packed>> = const { RefCell::new(Vec::new()) };
}

/// The filter of a row. `None` if the row has no condition.
pub(super) fn filter(row: &OutgoingRow<'_>) -> Option<Expression> {
    match &row.conditions {
        [None, None] => None,
        [Some(one), None] | [None, Some(one)] => Some(holds(one)),
        [Some(one), Some(other)] => Some(exp::and(vec![holds(one), holds(other)])),
    }
}

fn holds(condition: &Condition<'_>) -> Expression {
    PACKED.with_borrow_mut(|kept| {
        let known = kept
            .iter()
            .position(|packed| packed.bin == condition.bin && packed.or_equal == condition.or_equal);
        let place = match known {
            Some(place) => place,
            None => {
                let Some(packed) = pack(condition) else {
                    return expression(condition, condition.below);
                };
                if kept.len() == KEPT_MAX {
                    kept.clear();
                }
                kept.push(packed);
                kept.len() - 1
            }
        };
        let packed = &kept[place];
        let mut bytes = packed.bytes.clone();
        bytes[packed.number..packed.number + 8].copy_from_slice(&condition.below.to_be_bytes());
        exp::from_packed_bytes(bytes)
    })
}

/// `None` if the client packs it in a form that does not contain the placeholder.
fn pack(condition: &Condition<'_>) -> Option<Packed> {
    let bytes = STANDARD
        .decode(expression(condition, PLACEHOLDER).base64().ok()?)
        .ok()?;
    let mut wanted = vec![INT64];
    wanted.extend_from_slice(&PLACEHOLDER.to_be_bytes());
    let place = bytes.windows(wanted.len()).position(|window| window == wanted)?;
    Some(Packed {
        bin: condition.bin.to_owned(),
        or_equal: condition.or_equal,
        bytes,
        number: place + 1,
    })
}

/// Measured on a real server: this form also holds if the bin is missing or has another type.
fn expression(condition: &Condition<'_>, below: i64) -> Expression {
    let stored = exp::int_bin(condition.bin);
    let bound = exp::int_val(below);
    exp::or(vec![
        exp::ne(exp::bin_type(condition.bin), exp::int_val(INTEGER)),
        if condition.or_equal {
            exp::le(stored, bound)
        } else {
            exp::lt(stored, bound)
        },
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packed form equals the client's own, if the client also uses eight bytes for the number.
    #[test]
    fn a_packed_condition_is_what_the_client_makes_of_it() {
        for bin in ["~abcdefghij-_12", "v"] {
            for or_equal in [false, true] {
                for below in [i64::MIN, i64::MIN + 7, -5_000_000_000] {
                    let condition = Condition { bin, below, or_equal };
                    let ours = holds(&condition).base64().unwrap();
                    assert_eq!(ours, expression(&condition, below).base64().unwrap(), "{condition:?}");
                }
                let number = |below: i64| STANDARD.decode(holds(&Condition { bin, below, or_equal }).base64().unwrap());
                let (small, large) = (number(5).unwrap(), number(i64::MAX).unwrap());
                assert!(small.ends_with(&5i64.to_be_bytes()) && large.ends_with(&i64::MAX.to_be_bytes()));
            }
        }
    }
}
