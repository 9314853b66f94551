//! Which bytes the decoder accepts as JSON, and which it refuses. Uses our own table, and the public JSON test suite if
//! `JSON_TEST_SUITE_DIR` names a directory with its files (`y_*.json`, `n_*.json`, `i_*.json`).
//!
//! Every case runs three times: no field is read, the whole value is read, and some paths are read. Different code
//! skips, builds or walks the parts, and all must agree.

use std::borrow::Cow;
use std::collections::HashSet;

use penstock::config::model::Segment;
use penstock::rules::decode::{PathTree, PathTreeBuilder, decode};

type Case = (&'static str, Cow<'static, [u8]>);

/// No path; the whole value; some paths and elements, with names and indexes that occur in the cases.
fn trees() -> [(&'static str, PathTree); 3] {
    let name = |name: &str| Segment::Name(name.to_owned());
    let nothing = PathTreeBuilder::new().build();
    let mut builder = PathTreeBuilder::new();
    builder.slot(&[]);
    let whole = builder.build();
    let mut builder = PathTreeBuilder::new();
    builder.slot(&[name("a")]);
    builder.slot(&[name("b"), name("c")]);
    builder.slot(&[name("")]);
    builder.slot(&[name("a"), Segment::Index(0)]);
    builder.slot(&[Segment::Index(0)]);
    builder.slot(&[Segment::Index(1), Segment::Index(0), name("a")]);
    let each = builder.each(&[name("items")]);
    builder.item_slot(each, &[name("a")]);
    let each = builder.each(&[]);
    builder.item_slot(each, &[name("a"), name("b")]);
    let paths = builder.build();
    [("nothing", nothing), ("whole", whole), ("paths", paths)]
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    cases.extend(
        ACCEPTED
            .iter()
            .chain(REJECTED)
            .map(|(name, payload)| (*name, Cow::Borrowed(*payload))),
    );
    let text = |text: String| Cow::Owned(text.into_bytes());
    let arrays = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    cases.extend([
        ("accept_arrays_nested_128_deep", text(arrays(128))),
        ("accept_objects_nested_128_deep", text(objects(128))),
        (
            "accept_deep_arrays_side_by_side",
            text(format!("[{0},{0}]", arrays(127))),
        ),
        (
            "accept_string_of_100000_bytes",
            text(format!("\"{}\"", "x".repeat(100_000))),
        ),
        (
            "accept_array_of_100000_numbers",
            text(format!("[{}1]", "1,".repeat(100_000))),
        ),
        (
            "accept_object_of_equal_names",
            text(format!("{{{}\"a\":1}}", "\"a\":0,".repeat(10_000))),
        ),
        ("accept_integer_of_1000_digits", text("9".repeat(1000))),
        ("accept_float_of_1000_digits", text(format!("0.{}", "3".repeat(1000)))),
        (
            "accept_white_space_of_100000_bytes",
            text(format!("{0}1{0}", " ".repeat(100_000))),
        ),
        ("reject_arrays_nested_129_deep", text(arrays(129))),
        ("reject_objects_nested_129_deep", text(objects(129))),
        ("reject_arrays_opened_100000_times", text("[".repeat(100_000))),
        ("reject_arrays_nested_100000_deep", text(arrays(100_000))),
        ("reject_objects_opened_50000_times", text("{\"a\":".repeat(50_000))),
        (
            "reject_array_and_object_opened_50000_times",
            text("[{\"\":".repeat(50_000)),
        ),
        (
            "reject_string_of_100000_bytes_without_end",
            text(format!("\"{}", "x".repeat(100_000))),
        ),
        ("reject_100000_closing_brackets", text("]".repeat(100_000))),
    ]);
    cases
}

#[rustfmt::skip]
const ACCEPTED: &[(&str, &[u8])] = &[
    // Structure.
    ("accept_empty_object", b"{}"),
    ("accept_empty_array", b"[]"),
    ("accept_empty_object_with_white_space", b"{ \t\r\n}"),
    ("accept_empty_array_with_white_space", b"[ \t\r\n]"),
    ("accept_object", br#"{"a":1}"#),
    ("accept_object_of_two", br#"{"a":1,"b":{"c":2}}"#),
    ("accept_object_in_array", br#"[{"a":{"b":1}},{}]"#),
    ("accept_array_in_object", br#"{"a":[1,[2,[]]],"items":[{"a":1},2]}"#),
    ("accept_empty_name", br#"{"":0}"#),
    ("accept_equal_names", br#"{"a":1,"a":2}"#),
    ("accept_equal_names_and_values", br#"{"a":1,"a":1}"#),
    ("accept_equal_names_of_different_types", br#"{"a":[1],"a":{"b":1},"a":null}"#),
    ("accept_white_space_everywhere", b" \n{ \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : null } }\t\r"),
    ("accept_leading_white_space", b"\n\n 1"),
    ("accept_trailing_newline", b"{}\n"),
    ("accept_mixed_array", br#"[null,true,false,0,1.5,"x",[],{}]"#),
    ("accept_all_names_asked_for", br#"{"a":[1],"b":{"c":1},"":2,"items":[]}"#),
    ("accept_items_null", br#"{"items":null}"#),
    ("accept_items_of_another_type", br#"{"items":"x"}"#),
    ("accept_array_with_nested_path", br#"[0,[{"a":1}]]"#),
    ("accept_members_in_array_with_trailing_space", b"[1 ]"),
    ("accept_comma_inside_strings", br#"{"a,b":"c,d"}"#),
    ("accept_brackets_inside_strings", br#"["[{]}"]"#),
    // Values at the top.
    ("accept_top_null", b"null"),
    ("accept_top_true", b"true"),
    ("accept_top_false", b"false"),
    ("accept_top_integer", b"42"),
    ("accept_top_negative_integer", b"-42"),
    ("accept_top_float", b"-0.1"),
    ("accept_top_string", b"\"x\""),
    ("accept_top_empty_string", b"\"\""),
    ("accept_top_with_white_space", b" \t\r\n null \t\r\n"),
    // Numbers.
    ("accept_zero", b"[0]"),
    ("accept_minus_zero", b"[-0]"),
    ("accept_minus_zero_float", b"[-0.0]"),
    ("accept_zero_exponent", b"[0e1]"),
    ("accept_zero_exponent_plus", b"[0e+1]"),
    ("accept_zero_exponent_minus", b"[0E-1]"),
    ("accept_leading_zeros_in_exponent", b"[1e0005]"),
    ("accept_leading_zeros_in_fraction", b"[0.00001]"),
    ("accept_exponent_lower", b"[1e5]"),
    ("accept_exponent_upper", b"[1E5]"),
    ("accept_exponent_plus", b"[1e+5]"),
    ("accept_exponent_minus", b"[1E-5]"),
    ("accept_fraction_and_exponent", b"[123.456e78]"),
    ("accept_trailing_zeros_in_fraction", b"[1.500]"),
    ("accept_i64_max", b"[9223372036854775807]"),
    ("accept_i64_min", b"[-9223372036854775808]"),
    ("accept_f64_max", b"[1.7976931348623157e308]"),
    ("accept_f64_subnormal", b"[4.9e-324]"),
    ("accept_float_that_underflows", b"[1e-400]"),
    ("accept_float_that_underflows_far", b"[-1e-99999999999999999999]"),
    ("accept_zero_with_a_vast_exponent", b"[0e99999999999999999999]"),
    ("accept_integer_beyond_64_bits_at_the_top", b"123456789012345678901234567890"),
    ("accept_number_then_space", b"[1 ,2 ]"),
    ("accept_number_before_brace", br#"{"a":1}"#),
    ("accept_many_digits_in_fraction", b"[3.141592653589793238462643383279]"),
    // Strings.
    ("accept_ascii", b"[\"abc XYZ 0123456789 !#$%&'()*+,-./:;<=>?@[]^_`{|}~\"]"),
    ("accept_delete_character", b"[\"\x7f\"]"),
    ("accept_two_byte_utf8", "[\"ä\u{80}\u{7ff}\"]".as_bytes()),
    ("accept_three_byte_utf8", "[\"€\u{800}\u{ffff}\"]".as_bytes()),
    ("accept_four_byte_utf8", "[\"😀\u{10000}\u{10ffff}\"]".as_bytes()),
    ("accept_noncharacters", "[\"\u{fdd0}\u{fffe}\u{1fffe}\"]".as_bytes()),
    ("accept_last_before_surrogates", "[\"\u{d7ff}\u{e000}\"]".as_bytes()),
    ("accept_bom_inside_a_string", "[\"\u{feff}\"]".as_bytes()),
    ("accept_line_separators", "[\"\u{2028}\u{2029}\"]".as_bytes()),
    ("accept_c1_control", "[\"\u{85}\"]".as_bytes()),
    ("accept_unicode_name", "{\"größe\":1,\"名前\":2,\"😀\":3}".as_bytes()),
    ("accept_slash", br#"["a/b"]"#),
    ("accept_single_quote", br#"["it's"]"#),
    ("accept_comment_inside_a_string", br#"["/* no */ // comment"]"#),
    ("accept_string_of_7", br#"["1234567"]"#),
    ("accept_string_of_8", br#"["12345678"]"#),
    ("accept_string_of_9", br#"["123456789"]"#),
    ("accept_string_of_16", br#"["1234567890123456"]"#),
    // Escapes.
    ("accept_each_short_escape", br#"["\"\\\/\b\f\n\r\t"]"#),
    ("accept_escaped_quote_at_the_end", br#"["a\""]"#),
    ("accept_escaped_backslash_at_the_end", br#"["a\\"]"#),
    ("accept_two_escaped_backslashes", br#"["\\\\"]"#),
    ("accept_escaped_quote_after_backslash", br#"["\\\""]"#),
    ("accept_unicode_escape", br#"["\u0041"]"#),
    ("accept_unicode_escape_mixed_case", br#"["\u00eF\u00Ef"]"#),
    ("accept_escaped_nul", br#"["\u0000"]"#),
    ("accept_escaped_control", br#"["\u001f"]"#),
    ("accept_escaped_delete", br#"["\u007f"]"#),
    ("accept_escaped_noncharacter", br#"["\ufffe\uFDD0"]"#),
    ("accept_escaped_last_before_surrogates", br#"["\ud7ff\ue000"]"#),
    ("accept_escaped_backslash_before_u", br#"["\\u12"]"#),
    ("accept_escape_after_text", br#"["0123456789\n0123456789"]"#),
    ("accept_escaped_name", br#"{"\u0061":1,"b":{"\u0063":2}}"#),
    ("accept_escaped_name_with_quote", br#"{"a\"b":1}"#),
    // Surrogates, escaped.
    ("accept_surrogate_pair", br#"["\ud83d\ude00"]"#),
    ("accept_surrogate_pair_upper_case", br#"["\uD83D\uDE00"]"#),
    ("accept_first_surrogate_pair", br#"["\ud800\udc00"]"#),
    ("accept_last_surrogate_pair", br#"["\udbff\udfff"]"#),
    ("accept_two_surrogate_pairs", br#"["\ud83d\ude00\ud83d\ude01"]"#),
    ("accept_surrogate_pair_in_a_name", br#"{"\ud83d\ude00":1}"#),
    // Half of a pair: the grammar allows it. The code that keeps the value decides.
    ("accept_object_name_lone_surrogate", br#"{"\ud800":1}"#),
    ("accept_high_surrogate_alone", br#"["\ud800"]"#),
    ("accept_low_surrogate_alone", br#"["\udc00"]"#),
    ("accept_last_low_surrogate_alone", br#"["\udfff"]"#),
    ("accept_high_surrogate_then_text", br#"["\ud83dabcdefgh"]"#),
    ("accept_high_surrogate_then_short_escape", br#"["\ud83d\n"]"#),
    ("accept_high_surrogate_then_no_surrogate", br#"["\ud83d\u0041"]"#),
    ("accept_high_surrogate_twice", br#"["\ud83d\ud83d\ude00"]"#),
    ("accept_surrogates_swapped", br#"["\ude00\ud83d"]"#),
    ("accept_lone_surrogate_in_skipped_part", br#"{"zzz":"\ud800"}"#),
    // A byte order mark is skipped.
    ("accept_bom", b"\xef\xbb\xbf{}"),
];

#[rustfmt::skip]
const REJECTED: &[(&str, &[u8])] = &[
    // Empty input.
    ("reject_empty", b""),
    ("reject_space", b" "),
    ("reject_white_space", b"\t\r\n "),
    ("reject_nul", b"\0"),
    ("reject_bom_alone", b"\xef\xbb\xbf"),
    // Text before or after the value.
    ("reject_utf16_little_endian_bom", b"\xff\xfe{\0}\0"),
    ("reject_utf16_big_endian", b"\0{\0}"),
    ("reject_utf16_little_endian", b"[\0]\0"),
    ("reject_trailing_nul", b"{}\0"),
    ("reject_trailing_comma_after_value", b"{},"),
    ("reject_trailing_brace", b"{}}"),
    ("reject_trailing_bracket", b"[]]"),
    ("reject_trailing_word", b"[] x"),
    ("reject_trailing_comment", b"{} // x"),
    ("reject_two_values", b"{}{}"),
    ("reject_two_values_with_newline", b"{}\n{}"),
    ("reject_two_numbers", b"1 2"),
    ("reject_two_strings", b"\"a\"\"b\""),
    ("reject_trailing_quote", b"{\"a\":1}\""),
    ("reject_trailing_number_sign", b"{\"a\":1}#"),
    ("reject_leading_comma", b",[1]"),
    ("reject_closing_brace_alone", b"}"),
    ("reject_closing_bracket_alone", b"]"),
    ("reject_colon_alone", b":"),
    ("reject_form_feed", b"\x0c1"),
    ("reject_vertical_tab", b"[\x0b]"),
    ("reject_no_break_space", "[\u{a0}1]".as_bytes()),
    ("reject_ideographic_space", "[\u{3000}1]".as_bytes()),
    ("reject_zero_width_space", "\u{200b}{}".as_bytes()),
    ("reject_word_joiner", "[\u{2060}]".as_bytes()),
    ("reject_backspace_after_value", b"1\x08"),
    // Arrays.
    ("reject_array_not_closed", b"["),
    ("reject_array_not_closed_after_value", b"[1"),
    ("reject_array_not_closed_after_comma", b"[1,"),
    ("reject_array_closed_by_brace", b"[1}"),
    ("reject_array_trailing_comma", b"[1,]"),
    ("reject_array_two_trailing_commas", b"[1,,]"),
    ("reject_array_leading_comma", b"[,1]"),
    ("reject_array_only_comma", b"[,]"),
    ("reject_array_double_comma", b"[1,,2]"),
    ("reject_array_without_comma", b"[1 2]"),
    ("reject_array_strings_without_comma", br#"["a" "b"]"#),
    ("reject_array_arrays_without_comma", b"[[][]]"),
    ("reject_array_colon", br#"["a":1]"#),
    ("reject_array_semicolon", b"[1;2]"),
    ("reject_array_star", b"[*]"),
    ("reject_array_inner_not_closed", b"[[]"),
    ("reject_array_crossed", b"[{]}"),
    ("reject_array_nul", b"[\0]"),
    ("reject_array_of_newlines", b"[\n\n"),
    // Objects.
    ("reject_object_not_closed", b"{"),
    ("reject_object_not_closed_after_name", br#"{"a""#),
    ("reject_object_not_closed_after_colon", br#"{"a":"#),
    ("reject_object_not_closed_after_value", br#"{"a":1"#),
    ("reject_object_not_closed_after_comma", br#"{"a":1,"#),
    ("reject_object_closed_by_bracket", br#"{"a":1]"#),
    ("reject_object_trailing_comma", br#"{"a":1,}"#),
    ("reject_object_trailing_comma_unasked", br#"{"zzz":1,}"#),
    ("reject_object_two_trailing_commas", br#"{"a":1,,}"#),
    ("reject_object_leading_comma", br#"{,"a":1}"#),
    ("reject_object_only_comma", b"{,}"),
    ("reject_object_double_comma", br#"{"a":1,,"b":2}"#),
    ("reject_object_without_comma", br#"{"a":1 "b":2}"#),
    ("reject_object_without_colon", br#"{"a" 1}"#),
    ("reject_object_double_colon", br#"{"a"::1}"#),
    ("reject_object_comma_for_colon", br#"{"a",1}"#),
    ("reject_object_equals_sign", br#"{"a"=1}"#),
    ("reject_object_without_value", br#"{"a":}"#),
    ("reject_object_name_only", br#"{"a"}"#),
    ("reject_object_value_only", b"{1}"),
    ("reject_object_name_unquoted", b"{a:1}"),
    ("reject_object_name_single_quoted", b"{'a':1}"),
    ("reject_object_name_number", b"{1:1}"),
    ("reject_object_name_null", b"{null:1}"),
    ("reject_object_name_array", b"{[]:1}"),
    ("reject_object_name_not_closed", br#"{"a:1}"#),
    ("reject_object_name_bad_escape", br#"{"\x61":1}"#),
    ("reject_object_name_control_character", b"{\"a\tb\":1}"),
    ("reject_object_two_values", br#"{"a":1 2}"#),
    ("reject_object_nested_not_closed", br#"{"b":{"c":1}"#),
    ("reject_object_in_skipped_part_bad", br#"{"zzz":{"y":[1,{"x":}]},"a":1}"#),
    ("reject_object_comma_in_walked_part", br#"{"b":{"c":1,}}"#),
    ("reject_items_trailing_comma", br#"{"items":[{"a":1},]}"#),
    ("reject_items_not_closed", br#"{"items":[{"a":1}"#),
    ("reject_items_without_comma", br#"{"items":[{"a":1}{"a":2}]}"#),
    ("reject_items_bad_number", br#"{"items":-}"#),
    ("reject_spread", b"{...}"),
    // Words.
    ("reject_true_cut", b"[tru]"),
    ("reject_false_cut", b"[fals]"),
    ("reject_null_cut", b"[nul]"),
    ("reject_true_cut_at_the_end", b"tru"),
    ("reject_null_cut_at_the_end", b"n"),
    ("reject_true_upper_case", b"[True]"),
    ("reject_true_all_upper_case", b"[TRUE]"),
    ("reject_null_mixed_case", b"[nULL]"),
    ("reject_true_too_long", b"[truee]"),
    ("reject_null_too_long", b"nullx"),
    ("reject_words_run_together", b"[truefalse]"),
    ("reject_undefined", b"[undefined]"),
    ("reject_none", b"[None]"),
    ("reject_nan", b"[NaN]"),
    ("reject_nan_lower_case", b"[nan]"),
    ("reject_infinity", b"[Infinity]"),
    ("reject_minus_infinity", b"[-Infinity]"),
    ("reject_inf", b"[inf]"),
    ("reject_minus_nan", b"[-NaN]"),
    ("reject_word", b"hello"),
    // Comments.
    ("reject_block_comment", b"[1/* x */]"),
    ("reject_line_comment", b"[1 // x\n]"),
    ("reject_hash_comment", b"[1 # x\n]"),
    ("reject_comment_before", b"/**/{}"),
    ("reject_slash", b"{}/"),
    // Numbers.
    ("reject_leading_zero", b"[01]"),
    ("reject_two_zeros", b"[00]"),
    ("reject_minus_leading_zero", b"[-01]"),
    ("reject_minus_two_zeros", b"[-00]"),
    ("reject_leading_zero_float", b"[01.5]"),
    ("reject_point_at_the_end", b"[1.]"),
    ("reject_point_at_the_start", b"[.5]"),
    ("reject_minus_point", b"[-.5]"),
    ("reject_point_alone", b"[.]"),
    ("reject_two_points", b"[1.2.3]"),
    ("reject_point_before_exponent", b"[1.e5]"),
    ("reject_plus", b"[+1]"),
    ("reject_two_plus", b"[++1]"),
    ("reject_minus_alone", b"[-]"),
    ("reject_minus_at_the_end", b"-"),
    ("reject_two_minus", b"[--1]"),
    ("reject_minus_plus", b"[-+1]"),
    ("reject_minus_space", b"[- 1]"),
    ("reject_minus_word", b"[-x]"),
    ("reject_minus_after", b"[1-]"),
    ("reject_subtraction", b"[1-2]"),
    ("reject_addition", b"[1+2]"),
    ("reject_exponent_empty", b"[1e]"),
    ("reject_exponent_sign_only", b"[1e+]"),
    ("reject_exponent_minus_only", b"[1E-]"),
    ("reject_exponent_at_the_end", b"1e"),
    ("reject_exponent_fraction", b"[1e1.5]"),
    ("reject_exponent_twice", b"[1e2e3]"),
    ("reject_exponent_two_signs", b"[1e+-2]"),
    ("reject_exponent_alone", b"[e5]"),
    ("reject_exponent_after_zero_empty", b"[0e]"),
    ("reject_hexadecimal", b"[0x1F]"),
    ("reject_octal", b"[0o17]"),
    ("reject_binary", b"[0b1]"),
    ("reject_underscore", b"[1_000]"),
    ("reject_comma_in_number_with_zero", b"[1,000]"),
    ("reject_space_in_number", b"[1 000.0]"),
    ("reject_suffix", b"[1n]"),
    ("reject_suffix_f", b"[1.5f]"),
    ("reject_currency", b"[$1]"),
    ("reject_letter_in_number", b"[1a2]"),
    ("reject_full_width_digit", "[\u{ff11}]".as_bytes()),
    ("reject_arabic_digit", "[\u{661}]".as_bytes()),
    ("reject_number_then_nul", b"[1\0]"),
    ("reject_number_then_quote", b"[1\"a\"]"),
    // Strings.
    ("reject_string_not_closed", b"[\"abc]"),
    ("reject_string_not_closed_at_all", b"\"abc"),
    ("reject_quote_alone", b"\""),
    ("reject_string_single_quoted", b"['abc']"),
    ("reject_string_backquoted", b"[`abc`]"),
    ("reject_string_typographic_quotes", "[“abc”]".as_bytes()),
    ("reject_string_unquoted", b"[abc]"),
    ("reject_string_escaped_quote", br#"[\"abc\"]"#),
    ("reject_string_newline", b"[\"a\nb\"]"),
    ("reject_string_tab", b"[\"a\tb\"]"),
    ("reject_string_carriage_return", b"[\"a\rb\"]"),
    ("reject_string_nul", b"[\"a\0b\"]"),
    ("reject_string_control_1f", b"[\"a\x1fb\"]"),
    ("reject_string_control_01_late", b"[\"0123456789abcdef\x01\"]"),
    ("reject_string_control_in_skipped_part", b"{\"zzz\":\"\x02\"}"),
    ("reject_string_control_after_escape", b"[\"\\n\x03\"]"),
    ("reject_string_control_after_umlaut", b"[\"\xc3\xa4\x04aaaaaa\"]"),
    ("reject_string_ends_in_escaped_quote", br#"["a\"]"#),
    // Escapes.
    ("reject_escape_at_the_end", b"\"\\"),
    ("reject_escape_x", br#"["\x41"]"#),
    ("reject_escape_a", br#"["\a"]"#),
    ("reject_escape_zero", br#"["\0"]"#),
    ("reject_escape_single_quote", br#"["\'"]"#),
    ("reject_escape_upper_u", br#"["\U0041"]"#),
    ("reject_escape_upper_n", br#"["\N"]"#),
    ("reject_escape_space", br#"["\ n"]"#),
    ("reject_escape_newline", b"[\"\\\n\"]"),
    ("reject_escape_tab", b"[\"\\\t\"]"),
    ("reject_escape_nul", b"[\"\\\0\"]"),
    ("reject_escape_umlaut", "[\"\\ä\"]".as_bytes()),
    ("reject_escape_braces", br#"["\u{41}"]"#),
    ("reject_escape_u_empty", br#"["\u"]"#),
    ("reject_escape_u_one_digit", br#"["\u1"]"#),
    ("reject_escape_u_three_digits", br#"["\u123"]"#),
    ("reject_escape_u_not_hexadecimal", br#"["\u00g0"]"#),
    ("reject_escape_u_plus", br#"["\u+041"]"#),
    ("reject_escape_u_space", br#"["\u 041"]"#),
    ("reject_escape_u_cut_by_the_end", br#"["\u004"#),
    ("reject_escape_u_umlaut", "[\"\\u00ä0\"]".as_bytes()),
    ("reject_escape_outside_a_string", br"[\n]"),
    ("reject_escape_u_outside_a_string", br"[\u000a1]"),
    // Surrogates, escaped.
    ("reject_high_surrogate_then_cut_escape", br#"["\ud83d\u"]"#),
    ("reject_high_surrogate_then_cut_digits", br#"["\ud83d\ude0"]"#),
    ("reject_high_surrogate_at_the_end", br#"["\ud83d"#),
    // UTF-8.
    ("reject_utf8_continuation_alone", b"[\"\x80\"]"),
    ("reject_utf8_latin_1", b"[\"\xe4\"]"),
    ("reject_utf8_overlong_slash", b"[\"\xc0\xaf\"]"),
    ("reject_utf8_overlong_nul", b"[\"\xc0\x80\"]"),
    ("reject_utf8_overlong_c1", b"[\"\xc1\xbf\"]"),
    ("reject_utf8_overlong_three_bytes", b"[\"\xe0\x80\xaf\"]"),
    ("reject_utf8_overlong_four_bytes", b"[\"\xf0\x80\x80\xaf\"]"),
    ("reject_utf8_five_bytes", b"[\"\xf8\x88\x80\x80\x80\"]"),
    ("reject_utf8_six_bytes", b"[\"\xfc\x84\x80\x80\x80\x80\"]"),
    ("reject_utf8_high_surrogate", b"[\"\xed\xa0\x80\"]"),
    ("reject_utf8_low_surrogate", b"[\"\xed\xbf\xbf\"]"),
    ("reject_utf8_surrogate_pair", b"[\"\xed\xa0\xbd\xed\xb8\x80\"]"),
    ("reject_utf8_beyond_unicode", b"[\"\xf4\x90\x80\x80\"]"),
    ("reject_utf8_f5", b"[\"\xf5\x80\x80\x80\"]"),
    ("reject_utf8_fe", b"[\"\xfe\"]"),
    ("reject_utf8_ff", b"[\"\xff\"]"),
    ("reject_utf8_two_bytes_cut_by_the_quote", b"[\"\xc3\"]"),
    ("reject_utf8_three_bytes_cut_by_the_quote", b"[\"\xe2\x82\"]"),
    ("reject_utf8_four_bytes_cut_by_the_quote", b"[\"\xf0\x9f\x98\"]"),
    ("reject_utf8_cut_by_the_end", b"[\"\xf0\x9f"),
    ("reject_utf8_invalid_in_a_name", b"{\"\xff\":1}"),
    ("reject_utf8_invalid_in_skipped_part", b"{\"zzz\":\"\xff\",\"a\":1}"),
    ("reject_utf8_invalid_outside_a_string", b"[\xff]"),
    ("reject_utf8_invalid_after_the_value", b"{}\xff"),
    ("reject_utf8_valid_outside_a_string", "[é]".as_bytes()),
    ("reject_emoji_outside_a_string", "{\"a\":😀}".as_bytes()),
];

#[test]
fn the_table_is_accepted_and_rejected_whatever_is_asked_for() {
    let trees = trees();
    let cases = cases();
    let mut names = HashSet::new();
    for (name, payload) in &cases {
        assert!(names.insert(*name), "{name} stands twice");
        for (asked, tree) in &trees {
            let result = decode(tree, payload);
            if name.starts_with("accept_") {
                assert!(result.is_ok(), "{name}, {asked} asked for: {}", result.unwrap_err());
            } else {
                assert!(name.starts_with("reject_"), "{name}");
                let Err(error) = result else {
                    panic!("{name}, {asked} asked for: accepted")
                };
                assert!(error.at <= payload.len(), "{name}: {error}");
            }
        }
    }
    assert!(cases.len() >= 150, "{} cases", cases.len());
}

#[test]
fn what_no_record_can_hold_is_accepted_and_told_only_where_it_is_asked_for() {
    let trees = trees();
    for payload in [
        "[[9223372036854775808]]",
        "[[-9223372036854775809]]",
        "[[1e400]]",
        "[[-1e400]]",
        "[[123e99999999999999999999]]",
        "[[\"\\ud800\"]]",
        "[[{\"\\ud800\":1}]]",
    ] {
        for (asked, tree) in &trees {
            let fields = decode(tree, payload.as_bytes());
            let fields = fields.unwrap_or_else(|error| panic!("{payload}, {asked} asked for: {error}"));
            assert_eq!(fields.has_unheld(), *asked != "nothing", "{payload}, {asked} asked for");
        }
    }
}

#[test]
fn every_beginning_of_a_document_is_rejected() {
    let document = "{\"a\":[1.5e-3,true,\"x\\u00e4\\ud83d\\ude00 größe\"],\"b\":{\"c\":null},\"items\":[{\"a\":-1}]}";
    for (asked, tree) in &trees() {
        assert!(decode(tree, document.as_bytes()).is_ok());
        for end in 0..document.len() {
            let payload = &document.as_bytes()[..end];
            assert!(
                decode(tree, payload).is_err(),
                "the first {end} bytes, {asked} asked for"
            );
        }
    }
}

/// Runs the public suite if it exists. Each file says whether it must be accepted, must be rejected, or may be either.
#[test]
fn the_public_suite_agrees() {
    let Some(directory) = std::env::var_os("JSON_TEST_SUITE_DIR") else {
        println!("JSON_TEST_SUITE_DIR is not set: the public suite was not run");
        return;
    };
    let trees = trees();
    // Numbers of accepted and rejected files: for y, n and i.
    let mut counts = [(0, 0); 3];
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&directory).expect("JSON_TEST_SUITE_DIR is a directory") {
        let path = entry.expect("an entry of it").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let kind = match name.get(..2) {
            Some("y_") => 0,
            Some("n_") => 1,
            Some("i_") => 2,
            _ => continue,
        };
        let payload = std::fs::read(&path).expect("a readable file");
        for (asked, tree) in &trees {
            let result = decode(tree, &payload);
            if *asked == "nothing" {
                match &result {
                    Ok(_) => counts[kind].0 += 1,
                    Err(_) => counts[kind].1 += 1,
                }
                if kind == 2 {
                    println!(
                        "{name}: {}",
                        result.as_ref().err().map_or("accepted".into(), ToString::to_string)
                    );
                }
            }
            if result.is_ok() != (kind == 0) && kind != 2 {
                wrong.push(format!("{name}, {asked} asked for: {:?}", result.err()));
            }
        }
    }
    for (kind, (accepted, rejected)) in ["y", "n", "i"].iter().zip(counts) {
        println!("{kind}: {accepted} accepted, {rejected} rejected");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        counts.iter().all(|(accepted, rejected)| accepted + rejected > 0),
        "no suite in {directory:?}"
    );
}
