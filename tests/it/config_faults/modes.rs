//! What a write does to its record as a whole: `touch`, `delete`, `mode`, `newer`, `in_doubt` and tombstones.

use super::{check, check_lines, check_write, good, parse, whole};

/// Everything that changes a record, except `keep_last`, which needs another key.
const CHANGES: [(&str, &str); 9] = [
    ("bins", "[\"x\"]"),
    ("once", "{ a = \"x\" }"),
    ("add", "{ a = 1 }"),
    ("append", "{ a = \"x\" }"),
    ("prepend", "{ a = \"x\" }"),
    ("list_append", "{ a = \"x\" }"),
    ("map_put", "{ a = { key = \"k\", value = \"v\" } }"),
    ("map_add", "{ a = { key = \"k\" } }"),
    ("remove", "[\"a\"]"),
];

/// Checks that each of `words`, below `lines`, causes one fault at that word.
fn check_beside(lines: &str, words: &[(&str, &str)], contradicts: &str) {
    for (word, value) in words {
        let line = 5 + lines.matches('\n').count();
        let problem = format!("`{word}` contradicts {contradicts}");
        let cure = format!("remove `{word}`");
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}\n{word} = {value}");
        let Err(faults) = parse(&whole(&piece)) else {
            panic!("{piece}\nhas a fault, but was taken");
        };
        let fault = &faults.faults[0];
        let key = format!("route[0].write[0].{word}");
        assert!(
            faults.faults.len() == 1
                && fault.line == line
                && fault.key == key
                && fault.problem.starts_with(&problem)
                && fault.found.is_some()
                && fault.cure.starts_with(&cure),
            "{piece}\nexpected: {problem}; {cure}\nfaults:\n{faults}"
        );
    }
}

#[test]
fn touch_and_delete_stand_alone() {
    check_beside("touch = true", &CHANGES, "`touch`");
    check_beside("delete = true", &CHANGES, "`delete`");
    let others = [
        ("mode", "\"update\""),
        ("on_conflict", "\"ignore\""),
        ("in_doubt", "\"retry\""),
    ];
    check_beside("touch = true", &others, "`touch`");
    check_beside("delete = true", &others, "`delete`");
    check_beside(
        "touch = true",
        &[
            ("delete", "true"),
            ("guard", "true"),
            ("newer", "{ path = \"v\", bin = \"v\" }"),
        ],
        "`touch`",
    );
    check_beside("touch = true\nttl = \"1d\"", &[("ttl_on", "\"create\"")], "`touch`");
    check_beside(
        "delete = true",
        &[
            ("ttl", "\"30d\""),
            ("ttl", "\"keep\""),
            ("ttl_on", "\"write\""),
            ("ttl_on", "\"create\""),
            ("send_key", "true"),
        ],
        "`delete`",
    );
    check_lines(&[(
        "touch = true\nttl = \"keep\"",
        (
            5,
            "ttl",
            "ttl = \"keep\" contradicts `touch`, which restarts the record's life",
            "\"keep\"",
            "\"30d\"",
        ),
    )]);
    for (line, contradicts) in [
        ("touch = true", "contradicts `touch`"),
        ("delete = true", "contradicts `delete`"),
        ("mode = \"replace\"", "contradicts mode = \"replace\""),
    ] {
        let piece = "[[route]]\n[[route.write]]\nkey = \"id\"\nlist_append = { a = \"x\" }\nkeep_last = { a = 1 }\n";
        check(
            &format!("{piece}{line}"),
            &[
                (4, "route[0].write[0].list_append", contradicts, "a table", "remove"),
                (5, "route[0].write[0].keep_last", contradicts, "a table", "remove"),
            ],
        );
    }
}

#[test]
fn modes_agree_with_what_is_written() {
    check_beside(
        "bins = [\"x\"]\nmode = \"replace\"",
        &CHANGES[1..],
        "mode = \"replace\", which leaves no bin to work on",
    );
    check_beside(
        "bins = [\"x\"]\nmode = \"replace\"",
        &[("guard", "true")],
        "mode = \"replace\"",
    );
    check_beside(
        "bins = [\"x\"]\nmode = \"create\"",
        &[("newer", "{ path = \"v\", bin = \"v\" }"), ("remove", "[\"a\"]")],
        "mode = \"create\"",
    );
    let without = "`on_conflict` has no effect: this mode has no conflicts";
    check_lines(&[
        (
            "bins = [\"x\"]\non_conflict = \"ignore\"",
            (5, "on_conflict", without, "\"ignore\"", "mode = \"create\""),
        ),
        (
            "bins = [\"x\"]\nmode = \"replace\"\non_conflict = \"reject\"",
            (6, "on_conflict", without, "\"reject\"", "mode = \"update_only\""),
        ),
        (
            "bins = [\"x\"]\nmode = \"upsert\"",
            (
                5,
                "mode",
                "none of the values",
                "\"upsert\"",
                "\"update\" or \"replace\" or \"create\" or \"update_only\"",
            ),
        ),
        (
            "bins = [\"x\"]\nmode = \"create\"\non_conflict = \"skip\"",
            (
                6,
                "on_conflict",
                "none of the values",
                "\"skip\"",
                "\"reject\" or \"ignore\"",
            ),
        ),
    ]);
}

#[test]
fn doubt_is_for_writes_without_a_guard() {
    let problem = "`in_doubt` contradicts the guard: a guarded write is never in doubt";
    for lines in [
        "bins = [\"x\"]\nguard = true",
        "add = { a = 1 }\nguard = true",
        "\nadd = { a = 1 }",
        "\nappend = { a = \"x\" }",
        "\nprepend = { a = \"x\" }",
        "\nlist_append = { a = \"x\" }",
        "\nmap_add = { a = { key = \"k\" } }",
        "bins = [\"x\"]\nmode = \"create\"",
        "bins = [\"x\"]\nmode = \"update_only\"",
    ] {
        let lines = format!("{lines}\nin_doubt = \"hold\"");
        check_lines(&[(&lines, (6, "in_doubt", problem, "\"hold\"", "guard = false"))]);
    }
    for lines in [
        "bins = [\"x\"]",
        "map_put = { a = { key = \"k\", value = \"v\" } }",
        "add = { a = 1 }\nguard = false",
        "bins = [\"x\"]\nmode = \"create\"\non_conflict = \"ignore\"",
    ] {
        good(&format!(
            "[[route]]\n[[route.write]]\nkey = \"id\"\n{lines}\nin_doubt = \"hold\""
        ));
    }
    check_lines(&[
        (
            "add = { a = 1 }\nguard = false\nin_doubt = \"skip\"",
            (
                6,
                "in_doubt",
                "none of the values",
                "\"skip\"",
                "\"retry\" or \"reject\" or \"hold\"",
            ),
        ),
        (
            "add = { a = 1 }\nguard = 1",
            (5, "guard", "expected true or false", "integer 1", "true or false"),
        ),
    ]);
}

#[test]
fn versions_are_checked() {
    check_write(&[
        (
            "newer = \"lsn\"",
            "newer",
            "expected a table",
            "\"lsn\"",
            "newer = { path =",
        ),
        (
            "newer = { path = \"v\" }",
            "newer.bin",
            "is missing",
            "",
            "bin = \"_lsn\"",
        ),
        ("newer = { bin = \"v\" }", "newer.path", "is missing", "", "path ="),
        (
            "newer = { path = \"v\", bin = \"v\", default = 1 }",
            "newer.default",
            "unknown key in newer",
            "",
            "known keys: path, bin, as, scale, missing",
        ),
        (
            "newer = { path = \"v\", bin = \"v\", as = \"float\" }",
            "newer.as",
            "none of the values",
            "\"float\"",
            "\"integer\" or \"epoch_s\" or \"epoch_ms\"",
        ),
        (
            "newer = { path = \"v\", bin = \"v\", missing = \"take\" }",
            "newer.missing",
            "none of the values",
            "\"take\"",
            "\"skip\" or \"reject\"",
        ),
        (
            "newer = { path = \"{a}{b}\", bin = \"v\" }",
            "newer.path",
            "a version is an integer, a template is a string",
            "\"{a}{b}\"",
            "one field",
        ),
        (
            "newer = { path = \"a b\", bin = \"v\" }",
            "newer.path",
            "does not belong in a path",
            "\"a b\"",
            "in quotes",
        ),
        (
            "newer = { path = \"v\", bin = \"much_too_long_name\" }",
            "newer.bin",
            "bin name is 18 bytes",
            "\"much_too_long_name\"",
            "1 to 15 bytes",
        ),
        (
            "newer = { path = \"v\", bin = 5 }",
            "newer.bin",
            "expected a string",
            "integer 5",
            "quotes",
        ),
    ]);
}

#[test]
fn tombstones_that_delete_find_their_record() {
    let needs = "tombstone = \"delete\" needs a key that a message without payload has";
    for key in ["id", "@value", "user.id", "{@key}:{id}", "{ts:%Y}"] {
        let piece = format!("[[route]]\n[[route.write]]\nkey = \"{key}\"\nbins = [\"x\"]\ntombstone = \"delete\"");
        check(&piece, &[(3, "route[0].write[0].key", needs, key, "key = \"@key\"")]);
        let piece = format!("[[route]]\ntombstone = \"delete\"\n[[route.write]]\nkey = \"{key}\"\nbins = [\"x\"]");
        check(
            &piece,
            &[(4, "route[0].write[0].key", needs, key, "tombstone = \"ignore\"")],
        );
    }
    check(
        "[[route]]\n[[route.write]]\nkey = \"@item.id\"\neach = \"items\"\nbins = [\"x\"]\ntombstone = \"delete\"\n\
         set = \"{@index}\"\nsets_allowed = [\"1\"]\nnamespace = { path = \"n\" }\nnamespaces_allowed = [\"n\"]",
        &[
            (3, "route[0].write[0].key", needs, "\"@item.id\"", "a header"),
            (
                4,
                "route[0].write[0].each",
                "contradicts `each`",
                "\"items\"",
                "tombstone = \"ignore\"",
            ),
            (
                7,
                "route[0].write[0].set",
                "needs a set that a message without payload has",
                "\"{@index}\"",
                "set = \"@header.set\"",
            ),
            (
                9,
                "route[0].write[0].namespace",
                "needs a namespace that a message without payload has",
                "a table",
                "namespace = \"@header.namespace\"",
            ),
        ],
    );
    let write = "[[route.write]]\nkey = \"id\"\nbins = [\"x\"]";
    check(
        &format!("[[route]]\ntombstone = \"drop\"\n{write}"),
        &[(
            2,
            "route[0].tombstone",
            "none of the values",
            "\"drop\"",
            "\"reject\" or \"ignore\" or \"delete\"",
        )],
    );
    check(
        &format!("[[route]]\n{write}\ntombstone = true"),
        &[(
            5,
            "route[0].write[0].tombstone",
            "expected a string",
            "boolean true",
            "\"reject\" or \"ignore\"",
        )],
    );
}
