//! What `penstock try` shows for a rejected message, and for one that is no longer rejected.

use std::io::Write as _;

use crate::support::process::{call, penstock};

/// The output of `penstock try` for these messages, one per line. `kafka` and `write`: lines in `[kafka]` and in the
/// write.
fn tried(kafka: &str, write: &str, lines: &[u8], arguments: &[&str]) -> (Option<i32>, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[kafka]\nbrokers = \"127.0.0.1:9\"\ntopics = [\"t\"]\n{kafka}\n[aerospike]\nhosts = \"127.0.0.1:9\"\n\
         namespace = \"test\"\n[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\n{write}\n"
    );
    file.write_all(text.as_bytes()).unwrap();
    try_file(file.path().to_str().unwrap(), lines, arguments)
}

fn try_file(file: &str, lines: &[u8], arguments: &[&str]) -> (Option<i32>, String) {
    let root = env!("CARGO_MANIFEST_DIR");
    let called = call(penstock().current_dir(root).args(["try", file]).args(arguments), lines);
    (called.code, called.told())
}

#[test]
fn try_takes_a_message_for_what_of_it_is_kept() {
    let payload = br#"{"id":"b","n":1,"trace":18446744073709551615}"#;
    let (code, told) = tried("", r#"bins = { path = "*", except = ["trace"] }"#, payload, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 kept"), "{told}");
    let (code, told) = tried("", "bins = \"*\"", payload, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains(
            "integer_range: bins = \"*\" (line 12): trace is an integer outside of 64 bits; cure: big_numbers"
        ),
        "{told}"
    );
    let (code, told) = tried("", r#"bins = { path = "*", big_numbers = "string" }"#, payload, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(r#""trace":"18446744073709551615""#), "{told}");
}

#[test]
fn try_names_both_fields_that_want_one_bin() {
    let bins = r#"bins = { path = "*", rename = { zz = "o" } }"#;
    let (code, told) = tried("", bins, br#"{"id":"a","o":7,"zz":1}"#, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the fields zz (renamed) and o want one bin, o"), "{told}");
    let (code, told) = tried("", bins, br#"{"id":"a","zz":1}"#, &[]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn the_example_for_debezium_takes_a_row_with_an_unsigned_id() {
    let row = br#"{"key":"{\"id\":7}","payload":{"op":"c","source":{"lsn":5},"after":{"id":18446744073709551615,"name":"Ada"}}}"#;
    let (code, told) = try_file("examples/debezium.toml", row, &["--envelope"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(r#""name":"Ada""#) && told.contains("1 kept"), "{told}");
}

#[test]
fn try_says_what_a_payload_looks_like_and_which_field_is_wrong() {
    let bins = "bins = \"*\"";
    for (kafka, line, expected) in [
        (
            "",
            &b"\0\0\0\0\x07{\"id\":\"a\"}"[..],
            "not_json: the payload is not JSON: unexpected byte 0x00, at byte 0; it looks like JSON behind the 5 bytes of a schema registry: set kafka.format = \"json_sr\"",
        ),
        ("", b"\x1f\x8b\x08\0\0", "it looks like gzip"),
        ("", br#"{"id":"a",}"#, "JSON with a comma behind the last element"),
        ("", br#"{"id":"a","#, "JSON that is cut off"),
        (
            "",
            br#""{\"id\":\"a\"}""#,
            "key_missing: id (line 11) is missing, and so no key: the payload is a string that holds JSON (the producer encoded it twice), not an object",
        ),
        ("", br#"[{"id":"a"}]"#, "the payload is an array, not an object"),
        (
            "",
            br#"{"id":"a","abcdefghijklmnop":1}"#,
            "bin_name: bins = \"*\" (line 12): the field abcdefghijklmnop has a name of 16 bytes, and a bin's has at most 15; cure: rename = { abcdefghijklmnop = \"…\" }, or long_names = \"skip\"",
        ),
        (
            "byte_order_mark = \"reject\"",
            b"\xef\xbb\xbf{\"id\":\"a\"}",
            "it begins with a byte order mark, which kafka.byte_order_mark = \"reject\" refuses",
        ),
    ] {
        let (code, told) = tried(kafka, bins, line, &[]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(expected), "{told}\n{expected}");
    }
    let (code, told) = tried("", bins, b"\xef\xbb\xbf{\"id\":\"a\"}", &[]);
    assert_eq!(code, Some(0), "{told}");
}
