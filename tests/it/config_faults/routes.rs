//! `[[route]]` and its topics, `[[route.publish]]`, and `[reject]`.

use super::{AEROSPIKE, KAFKA, check, check_each, check_file};

#[test]
fn routes_and_their_topics_are_checked() {
    let write = "[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n";
    let kafka = "[kafka]\nbrokers = \"k\"\ntopics = [\"events\", \"other\"]\n";
    check_file(
        &format!("{KAFKA}{AEROSPIKE}"),
        &[(1, "route", "is missing", "", "[[route]]")],
    );
    check_file(
        &format!("route = []\n{KAFKA}{AEROSPIKE}"),
        &[(1, "route", "needs at least one", "an array of 0", "[[route.write]]")],
    );
    check_file(
        &format!("[route]\nroot = \"\"\n{KAFKA}{AEROSPIKE}"),
        &[(
            1,
            "route",
            "expected an array of tables",
            "a table",
            "[[route]] with two brackets",
        )],
    );
    check_file(
        &format!("route = [5]\n{KAFKA}{AEROSPIKE}"),
        &[
            (1, "route[0]", "expected a table", "integer 5", "[[route]]"),
            (8, "kafka.topics[0]", "", "", ""),
        ][..1],
    );
    check(
        "[[route]]\nroot = \"\"",
        &[(1, "route[0].write", "is missing", "", "[[route.write]]")],
    );
    check(
        "[[route]]\nwrite = []",
        &[(
            2,
            "route[0].write",
            "needs at least one",
            "an array of 0",
            "[[route.write]]",
        )],
    );
    check(
        "[[route]]\n[route.write]\nkey = \"id\"",
        &[(
            2,
            "route[0].write",
            "expected an array of tables",
            "a table",
            "[[route.write]] with two brackets",
        )],
    );
    check(
        &format!("{kafka}[[route]]\ntopics = [\"events\"]\n{write}"),
        &[(
            3,
            "kafka.topics[1]",
            "no route takes this topic",
            "\"other\"",
            "remove it here",
        )],
    );
    for (topics, expected) in [
        (
            "[]",
            (
                2,
                "route[0].topics",
                "needs at least one topic",
                "an array of 0",
                "to take all",
            ),
        ),
        (
            "\"events\"",
            (2, "route[0].topics", "expected an array", "\"events\"", "brackets"),
        ),
        (
            "[\"events\", \"evnts\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "\"evnts\"",
                "`events`",
            ),
        ),
        (
            "[\"events\", \"zzz\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "\"zzz\"",
                "topics there: events",
            ),
        ),
        (
            "[\"events\", \"events\"]",
            (2, "route[0].topics[1]", "named twice", "\"events\"", "once"),
        ),
        (
            "[\"events\", \"${env:NUMBER}\"]",
            (
                2,
                "route[0].topics[1]",
                "not among kafka.topics",
                "the value of ${env:NUMBER}",
                "add it",
            ),
        ),
    ] {
        check(&format!("[[route]]\ntopics = {topics}\n{write}"), &[expected]);
    }
    for (root, problem, found) in [
        ("\"a..b\"", "a path lacks a name", "\"a..b\""),
        ("\"@value\"", "not metadata", "\"@value\""),
        ("\"a b\"", "does not belong in a path", "\"a b\""),
        ("5", "expected a string", "integer 5"),
    ] {
        check(
            &format!("[[route]]\nroot = {root}\n{write}"),
            &[(2, "route[0].root", problem, found, "")],
        );
    }
}

#[test]
fn publishes_are_checked() {
    let publish = |lines: &str| format!("[[route]]\n[[route.publish]]\n{lines}");
    check_each(&[
        (
            &publish("key = \"id\""),
            (
                2,
                "route[0].publish[0].topic",
                "is missing",
                "",
                "topic = \"purchases\"",
            ),
        ),
        (
            &publish("topic = \"events\""),
            (
                3,
                "route[0].publish[0].topic",
                "read again, without end",
                "\"events\"",
                "name another topic",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = { object = { a = \"a\" } }"),
            (
                4,
                "route[0].publish[0].key.object",
                "cannot stand here",
                "a table",
                "name a field",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = { path = \"a\", as = \"json\" }"),
            (
                4,
                "route[0].publish[0].key.as",
                "a key of a message cannot be read as this",
                "\"json\"",
                "string",
            ),
        ),
        (
            &publish("topic = \"t\"\nheaders = { a = 2.5 }"),
            (
                4,
                "route[0].publish[0].headers.a",
                "a string or an integer",
                "2.5",
                "write a path",
            ),
        ),
        (
            &publish("topic = \"t\"\nkey = \"id\"\ntombstone = \"delete\""),
            (4, "route[0].publish[0].key", "has no fields", "\"id\"", "\"@key\""),
        ),
        (
            "[[route]]\nroot = \"\"",
            (1, "route[0].write", "is missing", "", "or [[route.publish]]"),
        ),
    ]);
}

#[test]
fn rejects_are_checked() {
    let reject = |lines: &str| format!("[reject]\n{lines}");
    check_each(&[
        (
            &reject("action = \"burn\""),
            (2, "reject.action", "none of the values", "\"burn\"", "write \"hold\""),
        ),
        (
            &reject("action = \"dead_letter\""),
            (1, "reject.topic", "is missing", "", "topic = \"events.dead\""),
        ),
        (
            &reject("action = \"dead_letter\"\ntopic = \"events\""),
            (
                3,
                "reject.topic",
                "read again, without end",
                "\"events\"",
                "name another topic",
            ),
        ),
        (
            &reject("action = \"dead_letter\"\ntopic = \"a b\""),
            (3, "reject.topic", "", "\"a b\"", "write a topic's name"),
        ),
        (
            &reject("topic = \"dead\""),
            (
                2,
                "reject.topic",
                "makes none",
                "\"dead\"",
                "write action = \"dead_letter\"",
            ),
        ),
        (
            &reject("action = \"drop\"\nheaders = \"connect\""),
            (
                3,
                "reject.headers",
                "makes none",
                "\"connect\"",
                "write action = \"dead_letter\"",
            ),
        ),
        (
            &reject("action = \"stop\"\npercent_max = 3"),
            (3, "reject.percent_max", "nothing does", "3", "or remove `percent_max`"),
        ),
        (
            &reject("action = \"drop\"\npercent_max = 101"),
            (3, "reject.percent_max", "out of range", "101", "write 0 to 100"),
        ),
    ]);
}

#[test]
fn the_strings_that_hold_json_are_checked() {
    // The line in the route, and its fault.
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        (
            "root = { as = \"json\" }",
            "root.path",
            "is missing",
            "",
            "write root = \"payload\"",
        ),
        (
            "root = { path = \"p\", as = \"string\" }",
            "root.as",
            "paths start in an object",
            "\"string\"",
            "as = \"json\"",
        ),
        (
            "root = { path = \"p\", missing = \"skip\" }",
            "root.missing",
            "`missing` says nothing of a root",
            "\"skip\"",
            "as = \"json\"",
        ),
        (
            "root = { field = \"p\", as = \"json\" }",
            "root.field",
            "unknown key in a value",
            "",
            "did you mean `path`?",
        ),
        (
            "root = { path = \"{p}\", as = \"json\" }",
            "root.path",
            "is not how a name in a path begins",
            "\"{p}\"",
            "write \"p\"",
        ),
        (
            "json_strings = []",
            "json_strings",
            "needs at least one path",
            "an array of 0",
            "remove it",
        ),
        (
            "json_strings = \"id\"",
            "json_strings",
            "expected an array of strings",
            "\"id\"",
            "[\"id\"]",
        ),
        (
            "json_strings = [\"@topic\"]",
            "json_strings[0]",
            "this metadata holds no JSON",
            "\"@topic\"",
            "@item.doc",
        ),
        (
            "json_strings = [\"{id}\"]",
            "json_strings[0]",
            "a template names no string",
            "\"{id}\"",
            "write a path",
        ),
        (
            "json_strings = [\"id\", \"id\"]",
            "json_strings[1]",
            "is named twice",
            "\"id\"",
            "name each string once",
        ),
        (
            "json_strings = [\"x\"]",
            "json_strings[0]",
            "no path of the route leads through this string",
            "\"x\"",
            "or remove it",
        ),
        (
            "json_strings = [\"@item\"]",
            "json_strings[0]",
            "no path of the route leads through this string",
            "\"@item\"",
            "or remove it",
        ),
        (
            "parse_json = [\"id\"]",
            "parse_json",
            "unknown key in [[route]]",
            "",
            "did you mean `json_strings`?",
        ),
        (
            "json_columns = [\"id\"]",
            "json_columns",
            "unknown key in [[route]]",
            "",
            "did you mean `json_strings`?",
        ),
    ];
    for (line, key, problem, found, cure) in cases {
        let piece = format!("[[route]]\n{line}\n[[route.write]]\nkey = \"id\"\nbins = {{ a = \"a\" }}");
        check(&piece, &[(2, &format!("route[0].{key}"), problem, found, cure)]);
    }
    let piece = "[[route]]\nroot = \"after\"\njson_strings = [\"after.id\"]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }";
    check(
        piece,
        &[(
            3,
            "route[0].json_strings[0]",
            "no path of the route leads",
            "\"after.id\"",
            "leave the root out of it",
        )],
    );
    let piece = "[[route]]\nroot = { path = \"p\", as = \"json\" }\njson_strings = [\"@value\", \"@value\"]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"a\" }";
    check(
        piece,
        &[(
            3,
            "route[0].json_strings[1]",
            "is named twice",
            "\"@value\"",
            "name each string once",
        )],
    );
    // A faulty path may be the one that leads through the string: only the fault itself is told.
    let piece = "[[route]]\njson_strings = [\"x\"]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"x.\" }";
    check(
        piece,
        &[(
            5,
            "route[0].write[0].bins.a",
            "a path lacks a name",
            "\"x.\"",
            "user.id",
        )],
    );
}
