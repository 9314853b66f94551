//! Decimals: against Java's `BigDecimal` (values by hand), against a crate of big integers, and through the rules.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;

use super::decimal::decimal;
use super::kept_tests::outcome_of;
use crate::config::model::DecimalTo;
use crate::output::value::Value;

fn encoded(unscaled: &BigInt) -> String {
    STANDARD.encode(unscaled.to_signed_bytes_be())
}

fn text_of(base64: &str, scale: i16) -> String {
    match decimal(&Value::Str(base64.into()), Some(scale), DecimalTo::Text) {
        Ok(Value::Str(text)) => text.into_owned(),
        other => panic!("{other:?} for {base64}"),
    }
}

#[test]
fn decimals_are_what_java_prints() {
    for (base64, scale, expected) in [
        ("BM4=", 2, "12.30"),
        ("+zI=", 2, "-12.30"),
        ("+ss=", 2, "-13.33"),
        ("AA==", 2, "0.00"),
        ("AA==", 0, "0"),
        ("AA==", -3, "0"),
        ("AQ==", 3, "0.001"),
        ("/w==", 3, "-0.001"),
        ("/w==", 0, "-1"),
        ("DA==", -2, "1200"),
        ("gA==", 0, "-128"),
        ("AIA=", 0, "128"),
        // Longer than it must be, as Java accepts it.
        ("AAAATg==", 1, "7.8"),
        ("////sg==", 1, "-7.8"),
        ("f////////////////////w==", 0, "170141183460469231731687303715884105727"),
        (
            "gAAAAAAAAAAAAAAAAAAAAA==",
            0,
            "-170141183460469231731687303715884105728",
        ),
        (
            "gAAAAAAAAAAAAAAAAAAAAAA=",
            1,
            "-4355614296588012332331194975126633106636.8",
        ),
        ("AQAAAAAAAAAAAAAAAAAAAAA=", 0, "340282366920938463463374607431768211456"),
    ] {
        assert_eq!(text_of(base64, scale), expected, "{base64} {scale}");
    }
}

proptest! {
    #[test]
    fn a_decimal_has_exactly_the_digits_of_its_integer(bytes in vec(any::<u8>(), 1..=256), scale in -1000i16..=1000) {
        let unscaled = BigInt::from_signed_bytes_be(&bytes);
        let text = text_of(&STANDARD.encode(&bytes), scale);
        // Back to the integer: the point moves to the right, or the zeros go.
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        prop_assert_eq!(fraction.len(), usize::try_from(scale.max(0)).unwrap());
        let digits = format!("{whole}{fraction}");
        let back: BigInt = digits.parse().unwrap();
        let zeros = BigInt::from(10).pow(u32::from(scale.min(0).unsigned_abs()));
        prop_assert_eq!(back, unscaled * zeros);
        let plain = whole.trim_start_matches('-');
        prop_assert!(plain == "0" || !plain.starts_with('0'), "{}", text);
    }

    #[test]
    fn a_decimal_that_is_an_integer_of_64_bits_is_this_integer(number in any::<i64>(), scale in 0i16..=40) {
        let unscaled = BigInt::from(number) * BigInt::from(10).pow(u32::try_from(scale).unwrap());
        let value = Value::Str(encoded(&unscaled).into());
        prop_assert_eq!(decimal(&value, Some(scale), DecimalTo::Integer), Ok(Value::Int(number)));
    }

    #[test]
    fn a_decimal_as_a_float_is_the_nearest_one(unscaled in any::<i128>(), scale in -40i16..=60) {
        let value = Value::Str(encoded(&BigInt::from(unscaled)).into());
        // The standard library reads an exponent, and rounds correctly.
        let expected: f64 = format!("{unscaled}e{}", -i32::from(scale)).parse().unwrap();
        match decimal(&value, Some(scale), DecimalTo::Float) {
            Ok(Value::Float(float)) => prop_assert!(float == expected, "{} {}", float, expected),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn no_text_panics_and_what_is_no_base64_is_no_decimal(text in any::<String>(), scale in any::<i16>()) {
        let is_base64 = STANDARD.decode(&text).is_ok_and(|bytes| !bytes.is_empty());
        let read = decimal(&Value::Str(text.into()), Some(scale.clamp(-1000, 1000)), DecimalTo::Text);
        prop_assert_eq!(read.is_ok(), is_base64);
    }
}

#[test]
fn the_longest_decimal_and_a_longer_one() {
    let most = STANDARD.encode([0x7f; 256]);
    assert_eq!(text_of(&most, 0).len(), 617);
    for bytes in [257, 258, 300, 1 << 20] {
        let read = decimal(
            &Value::Str(STANDARD.encode(vec![1; bytes]).into()),
            Some(0),
            DecimalTo::Text,
        );
        assert_eq!(
            read.unwrap_err().1,
            "a decimal of more than 256 bytes (617 digits)",
            "{bytes}"
        );
    }
}

/// What becomes of `"v"` in a bin.
fn outcome(value: &str, json: &str) -> String {
    let route = format!("[[route.write]]\nset = \"s\"\nkey = \"@offset\"\nbins = {{ v = {value} }}");
    outcome_of("", &route, None, format!(r#"{{"v":{json}}}"#).as_bytes())
}

#[test]
fn both_forms_become_what_as_says() {
    let scaled = |word: &str, scale: &str| format!("{{ path = \"v\", as = \"{word}\"{scale} }}");
    for (word, scale, json, expected) in [
        ("decimal", ", scale = 2", r#""+zI=""#, "v='-12.30'"),
        ("decimal_float", ", scale = 2", r#""+zI=""#, "v=-12.3"),
        ("decimal_integer", ", scale = 0", r#""+zI=""#, "v=-1230"),
        ("decimal_integer", ", scale = 1", r#""+zI=""#, "v=-123"),
        ("decimal_integer", ", scale = -1", r#""+zI=""#, "v=-12300"),
        ("decimal", "", r#"{"scale":3,"value":"BM4="}"#, "v='1.230'"),
        ("decimal", "", r#"{"value":"BM4=","scale":-1}"#, "v='12300'"),
        ("decimal_integer", "", r#"{"scale":1,"value":"BM4="}"#, "v=123"),
        // It removes the bin, as null does for every type.
        ("decimal", ", scale = 2", "null", "v=null"),
    ] {
        assert_eq!(
            outcome(&scaled(word, scale), json),
            format!("s/\"77\" {expected}"),
            "{word}{scale} {json}"
        );
    }
    let missing = "{ path = \"none\", as = \"decimal\", scale = 2, default = \"0.00\" }";
    assert_eq!(outcome(missing, "1"), "s/\"77\" v='0.00'");
    let key = "[[route.write]]\nset = \"s\"\nkey = { path = \"id\", as = \"decimal_integer\" }\nadd = { c = { path = \"p\", as = \"decimal_integer\", scale = 0 } }\nnewer = { path = \"n\", bin = \"n\", as = \"decimal_integer\", scale = 0 }";
    let payload = r#"{"id":{"scale":0,"value":"BM4="},"p":"BM4=","n":"Bw=="}"#.as_bytes();
    assert_eq!(outcome_of("", key, None, payload), "s/1230 newer 7 c+=1230");
}

#[test]
fn what_is_no_decimal_is_rejected_with_its_cure() {
    let fixed = "{ path = \"v\", as = \"decimal\", scale = 2 }";
    let variable = "{ path = \"v\", as = \"decimal\" }";
    let integer = "{ path = \"v\", as = \"decimal_integer\", scale = 2 }";
    let long = format!("\"{}\"", "A".repeat(400));
    for (value, json, expected) in [
        (
            fixed,
            r#""12.30""#,
            "field_type: {} is a string with a number in digits, no decimal in base64; cure: as = \"string\" or \"float\"",
        ),
        (
            fixed,
            r#""1""#,
            "field_type: {} is a string with a number in digits, no decimal in base64; cure: as = \"string\" or \"float\"",
        ),
        (
            fixed,
            r#""BM4""#,
            "field_type: {} is a string that is not base64, and so no decimal",
        ),
        (
            fixed,
            r#""BM4=\u0000""#,
            "field_type: {} is a string that is not base64, and so no decimal",
        ),
        (
            fixed,
            r#""-_8=""#,
            "field_type: {} is a string that is not base64, and so no decimal",
        ),
        (fixed, r#""""#, "field_type: {} is an empty string, which is no number"),
        (
            fixed,
            &long,
            "field_type: {} is a decimal of more than 256 bytes (617 digits)",
        ),
        (
            fixed,
            "12.3",
            "field_type: {} is a number already, no decimal in base64; cure: as = \"float\", or no `as`",
        ),
        (
            fixed,
            "1e999",
            "field_type: {} is a number already, no decimal in base64; cure: as = \"float\", or no `as`",
        ),
        (
            fixed,
            "true",
            "field_type: {} is no decimal: neither a string in base64, nor an object of `scale` and `value`",
        ),
        (
            fixed,
            "[]",
            "field_type: {} is no decimal: neither a string in base64, nor an object of `scale` and `value`",
        ),
        (
            fixed,
            r#"{"scale":2,"value":"BM4="}"#,
            "field_type: {} is an object, which has a scale of its own; cure: remove `scale`",
        ),
        (
            variable,
            r#""BM4=""#,
            "field_type: {} is a string, which does not say its scale; cure: scale = N beside `as`, as the column has it",
        ),
        (
            variable,
            r#"{"scale":1001,"value":"BM4="}"#,
            "field_type: {} is a decimal whose scale is not from -1000 to 1000",
        ),
        (
            variable,
            r#"{"scale":-9223372036854775808,"value":"BM4="}"#,
            "field_type: {} is a decimal whose scale is not from -1000 to 1000",
        ),
        (
            variable,
            r#"{"scale":2,"value":null}"#,
            "field_type: {} is an object without an integer `scale` and a string `value`, and so no decimal of a variable scale",
        ),
        (
            variable,
            r#"{"scale":2.0,"value":"BM4="}"#,
            "field_type: {} is an object without an integer `scale` and a string `value`, and so no decimal of a variable scale",
        ),
        (
            integer,
            r#""BM8=""#,
            "field_type: {} is a decimal with a fraction; cure: as = \"decimal\" or \"decimal_float\", or scale = 0 for the unscaled integer",
        ),
        (
            "{ path = \"v\", as = \"decimal_integer\", scale = 0 }",
            r#""f////////////w==""#,
            "integer_range: {} is an integer outside of 64 bits; cure: as = \"decimal\"",
        ),
    ] {
        let expected = expected.replace("{}", &format!("{value} (line 12)"));
        assert_eq!(outcome(value, json), expected);
    }
    let float = "{ path = \"v\", as = \"decimal_float\", scale = -1000 }";
    assert_eq!(
        outcome(float, r#""BM4=""#),
        format!("float_range: {float} (line 12) is a number outside of a 64-bit float; cure: as = \"decimal\"")
    );
}
