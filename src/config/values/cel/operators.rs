//! Which kinds of values CEL's operators accept, and what they return.
//!
//! An operation is refused at the start if it works for no pair of kinds that its sides can have.

use cel::common::ast::operators as op;

use crate::config::model::Kinds;

/// The kinds that `left operator right` can have. Empty: it never works.
pub fn binary(operator: &str, left: Kinds, right: Kinds) -> Kinds {
    let mut result = Kinds::NONE;
    for left in left.each() {
        for right in right.each() {
            result = result.or(pair(operator, left, right));
        }
    }
    result
}

/// The same, for one kind on each side.
fn pair(operator: &str, left: Kinds, right: Kinds) -> Kinds {
    use Kinds as K;
    let is_same = left == right;
    let are_numbers = left.meets(K::NUMBER) && right.meets(K::NUMBER);
    let has_double = left == K::DOUBLE || right == K::DOUBLE;
    let ordered = K::BOOL.or(K::STRING).or(K::BYTES).or(K::TIMESTAMP).or(K::DURATION);
    let joined = K::STRING.or(K::BYTES).or(K::LIST).or(K::DURATION);
    match operator {
        op::EQUALS | op::NOT_EQUALS if is_same || are_numbers => K::BOOL,
        op::LESS | op::LESS_EQUALS | op::GREATER | op::GREATER_EQUALS
            if are_numbers || (is_same && left.meets(ordered)) =>
        {
            K::BOOL
        }
        op::MODULO if is_same && left.meets(K::INT.or(K::UINT)) => left,
        // A JSON number is an int or a double, depending on its text. If the two are mixed, both become doubles.
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE if are_numbers && has_double => K::DOUBLE,
        op::ADD | op::SUBSTRACT | op::MULTIPLY | op::DIVIDE if are_numbers && is_same => left,
        op::ADD if is_same && left.meets(joined) => left,
        op::ADD if [(K::TIMESTAMP, K::DURATION), (K::DURATION, K::TIMESTAMP)].contains(&(left, right)) => K::TIMESTAMP,
        op::SUBSTRACT if (left, right) == (K::TIMESTAMP, K::DURATION) => K::TIMESTAMP,
        op::SUBSTRACT if is_same && left.meets(K::TIMESTAMP.or(K::DURATION)) => K::DURATION,
        _ => K::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_can_be_added_compared_and_joined_and_is_never_a_timestamp() {
        assert_eq!(
            binary(op::MULTIPLY, Kinds::JSON, Kinds::INT),
            Kinds::INT.or(Kinds::DOUBLE)
        );
        assert_eq!(binary(op::LESS, Kinds::JSON, Kinds::STRING), Kinds::BOOL);
        assert_eq!(binary(op::EQUALS, Kinds::JSON, Kinds::TIMESTAMP), Kinds::NONE);
        assert_eq!(binary(op::ADD, Kinds::STRING, Kinds::INT), Kinds::NONE);
        assert_eq!(
            binary(op::SUBSTRACT, Kinds::TIMESTAMP, Kinds::TIMESTAMP),
            Kinds::DURATION
        );
    }
}
