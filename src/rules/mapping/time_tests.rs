//! Times and ttls: how one value of a message is read, and what becomes of a record whose ttl has ended.

use super::tests::{NOW_MS, check, mapping, message};
use crate::output::row::RowAction;
use crate::rules::mapping::*;

/// Checks the outcome of a write with this `ttl` (and more settings) and a message with this `exp`.
#[track_caller]
fn check_ttl(ttl: &str, exp: &str, expected: &str) {
    check(
        &format!("key = \"id\"\nbins = {{ b = 1 }}\nttl = {ttl}"),
        &format!("{{\"id\":\"k\",\"exp\":{exp}}}"),
        expected,
    );
}

fn rejection(write: &str, payload: &str) -> String {
    let mapping = mapping(write);
    let message = message(payload);
    let mut output = Output::default();
    let judged = mapping.topic("t").unwrap().process(&message, NOW_MS, &mut output);
    judged.unwrap_err().to_string()
}

fn ttl_rejection(ttl: &str, exp: &str) -> String {
    rejection(
        &format!("key = \"id\"\nbins = {{ b = 1 }}\nttl = {ttl}"),
        &format!("{{\"id\":\"k\",\"exp\":{exp}}}"),
    )
}

#[test]
fn a_life_is_an_instant_in_the_unit_that_is_said() {
    // The current time is 1,800,000,000,000 ms. Each case ends a minute later, or slightly more.
    let cases = [
        ("epoch_s", "1800000060", "60s"),
        ("epoch_s", "1800000059.1", "60s"),
        ("epoch_s", "\"1800000060\"", "60s"),
        ("epoch_ms", "1800000059001", "60s"),
        ("epoch_us", "1800000060000000", "60s"),
        ("epoch_us", "1800000060000001", "61s"),
        ("epoch_ns", "1800000060000000000", "60s"),
        ("epoch_ns", "1800000060000000001", "61s"),
        ("epoch_s", "\"2027-01-15T08:01:00Z\"", "60s"),
        ("epoch_ns", "\"2027-01-15T08:01:00.000001Z\"", "61s"),
    ];
    for (unit, exp, life) in cases {
        let ttl = format!("{{ path = \"exp\", as = \"{unit}\" }}");
        check_ttl(&ttl, exp, &format!("/\"k\" {life} b=1"));
    }
}

#[test]
fn a_life_that_is_over_is_rejected_left_out_or_deleted() {
    for (exp, unit) in [
        ("1799999999", "epoch_s"),
        ("1800000000", "epoch_s"),
        ("1799999999999", "epoch_ms"),
        ("1799999999999999", "epoch_us"),
        ("\"2001-01-01T00:00:00Z\"", "epoch_ms"),
        // The first time at which a record could end.
        ("978307200", "epoch_s"),
        ("978307200000000000", "epoch_ns"),
    ] {
        let ttl = format!("{{ path = \"exp\", as = \"{unit}\" }}");
        check_ttl(&ttl, exp, "rejected ttl_past");
        check_ttl(&format!("{ttl}\nttl_past = \"reject\""), exp, "rejected ttl_past");
        check_ttl(&format!("{ttl}\nttl_past = \"skip\""), exp, "");
        check_ttl(&format!("{ttl}\nttl_past = \"delete\""), exp, "/\"k\" delete");
    }
    let said = ttl_rejection("{ path = \"exp\", as = \"epoch_s\" }", "1799999999");
    assert!(
        said.contains("ttl_past = \"skip\"") && said.contains("\"delete\""),
        "{said}"
    );
    assert!(!said.contains("1799999999"), "no value of the message is told: {said}");
}

#[test]
fn a_unit_that_is_wrong_deletes_nothing_and_says_which_one_it_looks_like() {
    let cases = [
        ("epoch_ms", "1700000000", "seconds"),
        ("epoch_ms", "1900000000", "seconds"),
        ("epoch_us", "1900000000", "seconds"),
        ("epoch_s", "1900000000000", "milliseconds"),
        ("epoch_us", "1900000000000", "milliseconds"),
        ("epoch_s", "1900000000000000", "microseconds"),
        ("epoch_ms", "1900000000000000", "microseconds"),
        ("epoch_ms", "1900000000000000000", "nanoseconds"),
        ("epoch_us", "1900000000000000000", "nanoseconds"),
    ];
    for (said, exp, looks) in cases {
        for past in ["", "\nttl_past = \"skip\"", "\nttl_past = \"delete\""] {
            let ttl = format!("{{ path = \"exp\", as = \"{said}\" }}{past}");
            check_ttl(&ttl, exp, "rejected ttl_range");
            let text = ttl_rejection(&ttl, exp);
            assert!(
                text.contains(&format!("it looks like {looks}: write as = \"epoch_")),
                "{text}"
            );
        }
    }
    for (exp, looks) in [("1900000000", "seconds"), ("1900000000000", "milliseconds")] {
        let text = ttl_rejection("{ path = \"exp\" }", exp);
        assert!(
            text.starts_with("ttl_range") && text.contains(&format!("an instant in {looks}")),
            "{text}"
        );
    }
}

#[test]
fn a_length_of_time_where_an_instant_is_said_deletes_nothing() {
    let cases = [
        ("epoch_s", "3600", "remove `as`"),
        ("epoch_s", "3600.5", "seconds from now: remove `as`"),
        ("epoch_s", "\"3600\"", "seconds from now: remove `as`"),
        ("epoch_s", "2592000", "seconds from now: remove `as`"),
        ("epoch_s", "1", "seconds from now: remove `as`"),
        ("epoch_s", "315360000", "seconds from now: remove `as`"),
        // 30 years, -1 hour, the end of 2000.
        ("epoch_s", "946080000", "a length of time"),
        ("epoch_s", "-3600", "a length of time"),
        ("epoch_s", "978307199", "a length of time"),
        ("epoch_ms", "3600", "seconds from now: remove `as`"),
        ("epoch_ms", "3600000", "remove `as`"),
        ("epoch_ms", "600000000000", "a length of time"),
        ("epoch_us", "3600", "seconds from now: remove `as`"),
        ("epoch_us", "3600000000000", "looks like milliseconds"),
        ("epoch_us", "978307199999999", "a length of time"),
        ("epoch_ns", "3600", "seconds from now: remove `as`"),
        ("epoch_ns", "978307199999999999", "a length of time"),
    ];
    for (unit, exp, part) in cases {
        for past in ["", "\nttl_past = \"skip\"", "\nttl_past = \"delete\""] {
            let ttl = format!("{{ path = \"exp\", as = \"{unit}\" }}{past}");
            check_ttl(&ttl, exp, "rejected ttl_range");
            let said = ttl_rejection(&ttl, exp);
            assert!(said.contains(part), "{exp}: {said}");
        }
    }
}

#[test]
fn a_text_before_2001_is_no_end_of_a_life_and_deletes_nothing() {
    for exp in [
        // The zero time of Go and .NET, also as seconds since 1970.
        "\"0001-01-01T00:00:00Z\"",
        "\"0001-01-01T00:00:00+14:00\"",
        "\"1900-01-01T00:00:00Z\"",
        "\"1970-01-01T00:00:00Z\"",
        "\"2000-12-31T23:59:59.999999999Z\"",
        "\"2001-01-01T00:00:00+00:01\"",
        "-62135596800",
    ] {
        for unit in ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns"] {
            for past in ["", "\nttl_past = \"skip\"", "\nttl_past = \"delete\""] {
                let ttl = format!("{{ path = \"exp\", as = \"{unit}\" }}{past}");
                check_ttl(&ttl, exp, "rejected ttl_range");
                let said = ttl_rejection(&ttl, exp);
                assert!(said.contains("it is before") && !said.contains("0001"), "{said}");
                assert_eq!(
                    said.contains("docs/reference/lifetimes.md"),
                    exp.starts_with('"') || unit == "epoch_s",
                    "{said}"
                );
            }
        }
    }
    // The expression from the documentation.
    let never = "{ expr = \"exp.startsWith('0001') || exp.startsWith('9999') ? '-1' : exp\", as = \"epoch_s\" }\nttl_words = \"aerospike\"";
    check_ttl(never, "\"0001-01-01T00:00:00Z\"", "/\"k\" never b=1");
    check_ttl(never, "\"9999-12-31T23:59:59Z\"", "/\"k\" never b=1");
    check_ttl(never, "\"2027-01-15T08:01:00Z\"", "/\"k\" 60s b=1");
}

#[test]
fn the_last_day_of_the_calendar_is_a_time() {
    let last = "{\"id\":\"k\",\"ts\":\"9999-12-31T23:59:59Z\"}";
    for (unit, expected) in [
        ("epoch_s", "/\"k\" b=253402300799"),
        ("epoch_ms", "/\"k\" b=253402300799000"),
        ("epoch_us", "/\"k\" b=253402300799000000"),
        ("epoch_ns", "rejected integer_range"),
    ] {
        let write = format!("key = \"id\"\nbins = {{ b = {{ path = \"ts\", as = \"{unit}\" }} }}");
        check(&write, last, expected);
    }
    check("key = \"{ts:%Y%m%d}\"\nbins = { b = 1 }", last, "/\"99991231\" b=1");
    let number = "{\"ts\":253402300799}";
    check(
        "key = \"{ts as epoch_s:%Y%m%d}\"\nbins = { b = 1 }",
        number,
        "/\"99991231\" b=1",
    );
    let said = ttl_rejection("{ path = \"exp\", as = \"epoch_s\" }", "\"9999-12-31T23:59:59Z\"");
    assert!(
        said.starts_with("ttl_range") && said.contains("more than 10 years away"),
        "{said}"
    );
}

#[test]
fn a_string_may_hold_a_number_with_a_fraction() {
    for (unit, exp, life) in [
        ("epoch_s", "1800000059.1", Some("60s")),
        ("epoch_s", "1800000060.000", Some("60s")),
        ("epoch_ns", "1800000060000000000.5", Some("61s")),
        ("epoch_s", "1800000060.", None),
        ("epoch_s", ".5", None),
        ("epoch_s", "1.8e9", None),
        ("epoch_s", "1800000060.5x", None),
    ] {
        let expected = life.map_or("rejected field_type".to_owned(), |life| format!("/\"k\" {life} b=1"));
        check_ttl(
            &format!("{{ path = \"exp\", as = \"{unit}\" }}"),
            &format!("\"{exp}\""),
            &expected,
        );
    }
    for (ts, expected) in [("1700000000.9", "1700000000"), ("-1.9", "-1")] {
        let write = "key = \"id\"\nbins = { b = { path = \"ts\", as = \"epoch_s\" } }";
        check(
            write,
            &format!("{{\"id\":\"k\",\"ts\":\"{ts}\"}}"),
            &format!("/\"k\" b={expected}"),
        );
    }
}

#[test]
fn a_time_where_an_integer_is_said_names_the_words_that_read_it() {
    let payload = "{\"id\":\"k\",\"ts\":\"2026-01-01T00:00:00Z\",\"no\":\"soon\"}";
    for (write, part) in [
        (
            "bins = { b = { path = \"ts\", as = \"integer\" } }",
            Some("cure: as = \"epoch_ms\""),
        ),
        (
            "bins = [\"id\"]\nnewer = { path = \"ts\", bin = \"_v\" }",
            Some("write as = \"epoch_ms\""),
        ),
        // No epoch word is allowed there.
        ("add = { b = { path = \"ts\", as = \"integer\" } }", None),
        ("bins = { b = { path = \"no\", as = \"integer\" } }", None),
        ("bins = [\"id\"]\nnewer = { path = \"no\", bin = \"_v\" }", None),
    ] {
        let said = rejection(&format!("key = \"id\"\n{write}"), payload);
        assert!(said.starts_with("field_type"), "{said}");
        assert_eq!(part.is_some(), said.contains("epoch_ms"), "{said}");
        assert!(said.contains(part.unwrap_or_default()), "{said}");
    }
}

#[test]
fn a_string_that_is_no_time_says_what_it_looks_like() {
    for (exp, part) in [
        ("2027-01-01", "has no offset: have it sent as RFC 3339"),
        ("2027-01-01T00:00:00", "has no offset: have it sent as RFC 3339"),
        ("30d", "looks like a length of time"),
        ("1h 30m", "looks like a length of time"),
        ("PT1H", "looks like a length of time"),
        ("soon", "a string that is no RFC 3339 time"),
        ("", "a string that is no RFC 3339 time"),
    ] {
        let said = ttl_rejection("{ path = \"exp\", as = \"epoch_s\" }", &format!("\"{exp}\""));
        assert!(said.starts_with("field_type") && said.contains(part), "{said}");
        if part.contains("length") {
            let said = ttl_rejection("{ path = \"exp\" }", &format!("\"{exp}\""));
            assert!(
                said.contains("a length of time: have it sent as a number of seconds"),
                "{said}"
            );
        }
    }
}

#[test]
fn aerospikes_words_for_a_life_are_taken_where_the_file_says_so() {
    for ttl in ["{ path = \"exp\" }", "{ path = \"exp\", as = \"epoch_s\" }"] {
        for (exp, life) in [("0", ""), ("-1", " never"), ("\"-1\"", " never"), ("-2", " keep")] {
            check_ttl(
                &format!("{ttl}\nttl_words = \"aerospike\""),
                exp,
                &format!("/\"k\"{life} b=1"),
            );
            check_ttl(ttl, exp, "rejected ttl_range");
            let said = ttl_rejection(ttl, exp);
            assert!(said.contains("ttl_words = \"aerospike\""), "{said}");
        }
        check_ttl(
            &format!("{ttl}\nttl_words = \"aerospike\""),
            "400000000000000",
            "rejected ttl_range",
        );
    }
    // "Never" is not "over": a configuration that deletes records whose ttl has ended must keep records without an end.
    let deletes = "{ path = \"exp\", as = \"epoch_s\" }\nttl_past = \"delete\"";
    check_ttl(deletes, "-1", "rejected ttl_range");
    check_ttl(deletes, "0", "rejected ttl_range");
    check_ttl(
        &format!("{deletes}\nttl_words = \"aerospike\""),
        "-1",
        "/\"k\" never b=1",
    );
    check_ttl("{ path = \"exp\" }", "-3", "rejected ttl_range");
    check_ttl(
        "{ path = \"nope\", default = -1 }\nttl_words = \"aerospike\"",
        "5",
        "/\"k\" never b=1",
    );
}

#[test]
fn a_deletion_for_the_end_of_a_life_carries_the_guard_and_the_version_of_its_write() {
    let deletes = "key = \"id\"\nttl = { path = \"exp\", as = \"epoch_s\" }\nttl_past = \"delete\"\n";
    let cases = [
        // A repeat would delete what newer messages wrote.
        ("bins = { b = 1 }", true, None),
        ("bins = { b = 1 }\nguard = false", false, None),
        ("add = { n = 1 }", true, None),
        ("bins = { b = 1 }\nmode = \"replace\"", false, None),
        (
            "bins = { b = 1 }\nnewer = { path = \"v\", bin = \"_v\" }",
            false,
            Some(7),
        ),
        ("add = { n = 1 }\nnewer = { path = \"v\", bin = \"_v\" }", true, Some(7)),
    ];
    for (words, guarded, newer) in cases {
        let mapping = mapping(&format!("{deletes}{words}"));
        let rules = mapping.topic("t").unwrap();
        for (exp, past) in [("1700000000", true), ("1900000000", false)] {
            let payload = format!("{{\"id\":\"k\",\"exp\":{exp},\"v\":7}}");
            let message = message(&payload);
            let mut output = Output::default();
            output.begin(0);
            rules.process(&message, NOW_MS, &mut output).unwrap();
            let row = &output.rows[0];
            assert_eq!(matches!(row.action, RowAction::Delete), past, "{words}");
            assert_eq!((row.rules.guarded, row.newer), (guarded, newer), "{words}");
            assert_eq!(row.rules.newer_bin.is_some(), newer.is_some(), "{words}");
            assert_eq!([output.ttl_past_skipped, output.ttl_past_deleted], [0, u64::from(past)]);
        }
    }
}

#[test]
fn what_is_rejected_in_the_end_counts_no_life() {
    let write = "each = \"items\"\nkey = \"@item.id\"\nbins = { b = 1 }\nttl = { path = \"@item.exp\", as = \"epoch_s\" }\n\
                 ttl_past = \"skip\"";
    let mapping = mapping(write);
    let rules = mapping.topic("t").unwrap();
    let mut output = Output::default();
    let good = message(r#"{"items":[{"id":"a","exp":1700000000},{"id":"b","exp":1900000000}]}"#);
    output.begin(0);
    rules.process(&good, NOW_MS, &mut output).unwrap();
    assert_eq!((output.rows.len(), output.ttl_past_skipped), (1, 1));
    // The clock moves no number: guards and dead letters know rows by their numbers.
    assert_eq!(output.rows[0].number, 1);
    let bad = message(r#"{"items":[{"id":"a","exp":1700000000},{"id":null,"exp":1900000000}]}"#);
    output.begin(1);
    rules.process(&bad, NOW_MS, &mut output).unwrap_err();
    assert_eq!((output.rows.len(), output.ttl_past_skipped), (1, 1));
}

#[test]
fn bins_hold_an_instant_in_the_unit_that_is_said() {
    let bin = |value: &str| format!("key = \"id\"\nbins = {{ b = {value} }}");
    let cases = [
        ("epoch_s", "1700000000", "1700000000"),
        ("epoch_s", "\"2023-11-14T22:13:20.9Z\"", "1700000000"),
        ("epoch_ms", "1700000000", "1700000000"),
        ("epoch_us", "\"2023-11-14T22:13:20.000001Z\"", "1700000000000001"),
        ("epoch_ns", "1700000000000000000", "1700000000000000000"),
        ("epoch_ns", "\"2023-11-14T22:13:20Z\"", "1700000000000000000"),
        ("epoch_ms", "9223372036854775807", "9223372036854775807"),
    ];
    for (unit, ts, expected) in cases {
        let write = bin(&format!("{{ path = \"ts\", as = \"{unit}\" }}"));
        check(
            &write,
            &format!("{{\"id\":\"k\",\"ts\":{ts}}}"),
            &format!("/\"k\" b={expected}"),
        );
    }
    // Outside of the calendar it is not a valid time in this unit, but it is in another one.
    for (unit, ts, looks) in [
        ("epoch_s", "1700000000000", "epoch_ms"),
        ("epoch_ms", "1700000000000000", "epoch_us"),
        ("epoch_ms", "1700000000000000000", "epoch_ns"),
    ] {
        let write = bin(&format!("{{ path = \"ts\", as = \"{unit}\" }}"));
        let said = rejection(&write, &format!("{{\"id\":\"k\",\"ts\":{ts}}}"));
        assert!(
            said.starts_with("field_type") && said.contains(&format!("write as = \"{looks}\"")),
            "{said}"
        );
    }
    // The timestamp of the message is in milliseconds and is converted to the requested unit.
    for (unit, expected) in [
        ("epoch_s", "1700000000"),
        ("epoch_ms", "1700000000123"),
        ("epoch_us", "1700000000123000"),
        ("epoch_ns", "1700000000123000000"),
    ] {
        let write = bin(&format!("{{ path = \"@timestamp\", as = \"{unit}\" }}"));
        check(&write, r#"{"id":"k"}"#, &format!("/\"k\" b={expected}"));
    }
    let ttl = "key = \"id\"\nbins = { b = 1 }\nttl = { path = \"@timestamp\", as = \"epoch_s\" }";
    check(ttl, r#"{"id":"k"}"#, "rejected ttl_past");
}

#[test]
fn a_time_where_seconds_are_asked_for_says_what_reads_it() {
    for (exp, part) in [
        (
            "2026-01-02T00:00:00Z",
            "looks like a time, no number of seconds: write as = \"epoch_s\"",
        ),
        (
            "2026-01-02T00:00:00.5+02:00",
            "looks like a time, no number of seconds: write as = \"epoch_s\"",
        ),
        ("2026-01-02T00:00:00", "has no offset"),
        ("2026-01-02 00:00:00", "has no offset"),
        ("2026-01-02", "has no offset"),
        ("soon", "a string that is no 64-bit integer"),
    ] {
        let said = ttl_rejection("{ path = \"exp\" }", &format!("\"{exp}\""));
        assert!(said.starts_with("field_type") && said.contains(part), "{said}");
        assert!(!said.contains("2026"), "no value of the message is told: {said}");
    }
}

#[test]
fn a_time_of_too_many_digits_is_out_of_range_as_a_number_and_as_a_string() {
    for ts in [
        "18446744073709551615",
        "\"18446744073709551615\"",
        "\"-18446744073709551615\"",
        "1E+30",
    ] {
        let payload = format!("{{\"id\":\"k\",\"ts\":{ts}}}");
        for unit in ["epoch_s", "epoch_ms", "epoch_us", "epoch_ns"] {
            for write in [
                format!("key = \"id\"\nbins = {{ b = {{ path = \"ts\", as = \"{unit}\" }} }}"),
                format!("key = \"id\"\nbins = {{ b = 1 }}\nttl = {{ path = \"ts\", as = \"{unit}\" }}"),
                format!("key = \"{{ts as {unit}:%Y}}\"\nbins = {{ b = 1 }}"),
            ] {
                check(&write, &payload, "rejected integer_range");
            }
        }
    }
}

#[test]
fn templates_write_a_time_in_the_unit_that_is_said() {
    let cases = [
        ("{ts:%Y%m%d}", "1700000000", "20231114"),
        ("{ts:%Y%m%d}", "1700000000000", "20231114"),
        ("{ts as epoch_s:%Y%m%d}", "1700000000", "20231114"),
        ("{ts as epoch_ms:%Y%m%d}", "1700000000000", "20231114"),
        ("{ts as epoch_us:%Y%m%d}", "1700000000000000", "20231114"),
        ("{ts as epoch_ns:%Y%m%d}", "1700000000000000000", "20231114"),
        // A configured unit is used as it is, even near 1970.
        ("{ts as epoch_ms:%Y%m%d}", "86400000", "19700102"),
        ("{@timestamp:%Y%m%d}", "0", "20231114"),
        ("{@timestamp as epoch_ms:%F}", "0", "2023-11-14"),
    ];
    for (template, ts, expected) in cases {
        let write = format!("key = \"{template}\"\nbins = {{ b = 1 }}");
        check(&write, &format!("{{\"ts\":{ts}}}"), &format!("/\"{expected}\" b=1"));
    }
    for (template, ts, looks) in [
        ("{ts:%Y}", "1700000000000000", "epoch_us"),
        ("{ts:%Y}", "1700000000000000000", "epoch_ns"),
        ("{ts as epoch_s:%Y}", "1700000000000", "epoch_ms"),
    ] {
        let said = rejection(
            &format!("key = \"{template}\"\nbins = {{ b = 1 }}"),
            &format!("{{\"ts\":{ts}}}"),
        );
        assert!(said.contains(&format!("write {{… as {looks}:%…}}")), "{said}");
    }
}

#[test]
fn the_longest_life_is_ten_years_and_not_a_second_more() {
    check_ttl("{ path = \"exp\" }", "315360000", "/\"k\" 315360000s b=1");
    check_ttl("{ path = \"exp\" }", "315360001", "rejected ttl_range");
    // Counted from now, 1,800,000,000 s.
    let until = "{ path = \"exp\", as = \"epoch_s\" }";
    check_ttl(until, "2115360000", "/\"k\" 315360000s b=1");
    check_ttl(until, "2115360001", "rejected ttl_range");
}

#[test]
fn a_number_without_a_unit_is_milliseconds_from_a_size_on() {
    let nanoseconds = |number| {
        let value = crate::output::value::Value::Int(number);
        super::time::instant(&value, None).unwrap().nanoseconds()
    };
    assert_eq!(nanoseconds(100_000_000_000), 100_000_000_000 * 1_000_000);
    assert_eq!(nanoseconds(-100_000_000_000), -100_000_000_000 * 1_000_000);
    assert_eq!(nanoseconds(99_999_999_999), 99_999_999_999 * 1_000_000_000);
}
