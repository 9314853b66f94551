//! Conditions as the client sends them: a filter expression of the server's.
//!
//! Built for every guarded row, and but for one number always the same: the client packs each once for a
//! thread, and the number is put in its place. (Measured: the client's own tree of a condition, built, copied, packed and
//! dropped for each row, was a fifth of a guarded row's CPU.)

use std::cell::RefCell;

use aerospike::expressions::{self as exp, Expression};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::delivery::plan::{Condition, OutgoingRow};

/// The particle type of an integer, as `bin_type` says it.
const INTEGER: i64 = 1;
/// Stands for the number; its eight bytes are found in the packed form.
const PLACEHOLDER: i64 = i64::MIN + 0x0123_4567_89ab_cdef;
/// A MessagePack integer of eight bytes, and those of the placeholder.
const INT64: u8 = 0xd3;
/// Packed forms that a thread keeps; a worker has one guard and few bins of versions.
const KEPT_MAX: usize = 16;

/// A condition, packed up to its number.
struct Packed {
    bin: String,
    or_equal: bool,
    bytes: Vec<u8>,
    /// Where the number's eight bytes begin.
    number: usize,
}

thread_local! {
    static PACKED: RefCell<Vec<Packed>> = const { RefCell::new(Vec::new()) };
}

/// The filter of a row; `None` where it has no condition.
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

/// `None` where the client packs it in a form without the placeholder.
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

/// Measured on a real server: this form also holds where the bin is absent or of another type.
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

    /// The packed form is the client's own wherever the client, too, takes eight bytes for the number.
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
