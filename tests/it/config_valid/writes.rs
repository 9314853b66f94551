//! How the keys of `[[route.write]]` are read.

use penstock::config::model::{
    Action, InDoubt, Mode, Name, OnConflict, Operation, OperationKind, Tombstone, TtlOn, Write,
};
use penstock::config::{self, operations};

use super::{Nothing, fixed, good, told};

/// The write that has `key` and these lines, and also `bins` if the lines contain `…`.
fn write(lines: &str) -> Write {
    let config = good(&format!(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n[[route]]\n\
         [[route.write]]\n{}\n",
        lines.replace('…', "bins = { a = \"a\" }")
    ));
    config.routes[0].writes[0].clone()
}

/// The statements of the table about operations are true for each operation.
#[test]
fn each_operation_is_read_as_its_row_says() {
    for descriptor in operations::ALL {
        let word = descriptor.word;
        let (bin, _) = descriptor.example;
        let trimmed = format!("list_append = {{ {bin} = \"x\" }}\n");
        let before = if word == "keep_last" { trimmed.as_str() } else { "" };
        let lines = format!("key = \"id\"\n{before}{}", descriptor.example());
        let Action::Write { operations, .. } = write(&lines).action else {
            panic!("{lines} does not write");
        };
        let last = operations.last().unwrap();
        assert_eq!((last.bin.as_str(), last.what.descriptor().word), (bin, word));
        let trims = format!("{lines}\nkeep_last = {{ {bin} = 1 }}");
        let text = |lines: &str| {
            format!(
                "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n\
                 [[route]]\n[[route.write]]\n{lines}\n"
            )
        };
        let is_taken = |lines: &str| config::parse_with(&text(lines), "penstock.toml", &Nothing).is_ok();
        if word != "keep_last" {
            assert_eq!(is_taken(&trims), descriptor.keeps.is_some(), "{trims}");
            let doubtful = format!("{lines}\nin_doubt = \"hold\"");
            assert_eq!(is_taken(&doubtful), descriptor.is_repeatable, "{doubtful}");
        }
        for other in ["touch = true", "delete = true", "mode = \"replace\""] {
            assert!(!is_taken(&format!("{lines}\n{other}")), "{word} beside {other}");
        }
    }
}

fn told_operation(Operation { bin, what }: &Operation) -> String {
    let word = what.descriptor().word;
    let operands: Vec<String> = what.operands().into_iter().map(|(_, value)| told(value)).collect();
    let what = match what {
        OperationKind::MapPut { .. } => format!("{word} {}", operands.join(" = ")),
        OperationKind::MapAdd { .. } => format!("{word} {}", operands.join(" + ")),
        OperationKind::KeepLast { count, map } => format!("{word} {count} map={map}"),
        _ => [vec![word.to_owned()], operands].concat().join(" "),
    };
    format!("{bin}: {what}")
}

#[test]
fn operations_are_done_in_their_order() {
    let cases: &[(&str, &[&str])] = &[
        (
            "remove = [\"r\", \"q\"]\nmap_add = { m = { key = \"k\" } }\nmap_put = { p = { key = 5, value = \"v\" } }\n\
             list_append = { l = \"x\" }\nprepend = { e = \"x\" }\nappend = { f = \"x\" }\nadd = { y = 1, x = 2.5 }\n\
             keep_last = { p = 3, l = 1_000_000, m = 1 }\nonce = { o = \"x\" }",
            &[
                "o: once x",
                "y: add Int(1)",
                "x: add Float(2.5)",
                "f: append x as String",
                "e: prepend x as String",
                "l: list_append x",
                "l: keep_last 1000000 map=false",
                "p: map_put Int(5) = v",
                "p: keep_last 3 map=true",
                "m: map_add k as String + Int(1)",
                "m: keep_last 1 map=true",
                "r: remove",
                "q: remove",
            ],
        ),
        (
            "…\nonce = { path = \"x\", o = { object = { t = \"ts\" } }, c = { value = [1] } }",
            &["path: once x", "o: once {t=ts}", "c: once List([Int(1)])"],
        ),
        (
            "add = { spend = { path = \"amount\", as = \"float\", default = 1 }, n = { path = \"n\", as = \"integer\", \
             missing = \"skip\" }, c = { value = -3 } }",
            &[
                "spend: add amount as Float missing Default(Float(1.0))",
                "n: add n as Integer missing Skip",
                "c: add Int(-3)",
            ],
        ),
        (
            "append = { a = \"{x}\\n\", b = { path = \"x\", as = \"base64\" }, c = { value = \";\" }, d = \"@value\" }\n\
             prepend = { e = { path = \"x\", default = \"-\" } }",
            &[
                "a: append <x>\n",
                "b: append x as Base64",
                "c: append String(\";\")",
                "d: append Value as String",
                "e: prepend x as String missing Default(String(\"-\"))",
            ],
        ),
        (
            "list_append = { a = { object = { v = \"v\" } }, b = { path = \"x\", as = \"json\" }, c = \"@offset\" }",
            &[
                "a: list_append {v=v}",
                "b: list_append x as Json",
                "c: list_append Offset",
            ],
        ),
        (
            "map_put = { a = { key = \"{x}:{y}\", value = { object = { v = \"v\" } } }, b = { key = { value = \"k\" }, \
             value = 1 }, c = { key = { path = \"n\", as = \"integer\" }, value = { value = \"web\" } } }",
            &[
                "a: map_put <x>:<y> = {v=v}",
                "b: map_put String(\"k\") = Int(1)",
                "c: map_put n as Integer = String(\"web\")",
            ],
        ),
        (
            "map_add = { day = { key = \"{camp}:{ts:%Y%m%d}\", by = { path = \"n\", as = \"integer\" } } }",
            &["day: map_add <camp>:<ts|%Y%m%d> + n as Integer"],
        ),
    ];
    for (lines, expected) in cases {
        let write = write(&format!("key = \"id\"\n{lines}"));
        let Action::Write { operations, .. } = &write.action else {
            panic!("{lines}");
        };
        let operations: Vec<String> = operations.iter().map(told_operation).collect();
        assert_eq!(operations, *expected, "{lines}");
    }
}

#[test]
fn writes_say_when_they_are_done() {
    let plain = write("key = \"id\"\n…");
    assert!(matches!(plain.action, Action::Write { .. }));
    assert_eq!(
        (plain.mode, plain.on_conflict, plain.guard),
        (Mode::Update, OnConflict::Reject, None)
    );
    assert_eq!(
        (plain.in_doubt, plain.ttl_on, plain.tombstone),
        (InDoubt::Retry, TtlOn::Write, Tombstone::Reject)
    );
    assert!(plain.newer.is_none());

    for (word, mode) in [
        ("update", Mode::Update),
        ("replace", Mode::Replace),
        ("create", Mode::Create),
        ("update_only", Mode::UpdateOnly),
    ] {
        assert_eq!(write(&format!("key = \"id\"\n…\nmode = \"{word}\"")).mode, mode);
    }
    for (word, on_conflict) in [("reject", OnConflict::Reject), ("ignore", OnConflict::Ignore)] {
        let lines = format!("key = \"id\"\n…\nmode = \"create\"\non_conflict = \"{word}\"");
        assert_eq!(write(&lines).on_conflict, on_conflict);
    }
    for (word, in_doubt) in [
        ("retry", InDoubt::Retry),
        ("reject", InDoubt::Reject),
        ("hold", InDoubt::Hold),
    ] {
        let lines = format!("key = \"id\"\nadd = {{ n = 1 }}\nguard = false\nin_doubt = \"{word}\"");
        let write = write(&lines);
        assert_eq!((write.in_doubt, write.guard), (in_doubt, Some(false)));
    }
    assert_eq!(write("key = \"id\"\n…\nguard = true").guard, Some(true));
    for ttl in ["\"30d\"", "\"never\"", "{ path = \"ttl\" }"] {
        let lines = format!("key = \"id\"\n…\nttl = {ttl}\nttl_on = \"create\"");
        assert_eq!(write(&lines).ttl_on, TtlOn::Create);
    }
}

#[test]
fn writes_touch_and_delete() {
    let touch = write("key = \"id\"\ntouch = true\ndelete = false\nttl = \"30d\"\nguard = false");
    assert!(matches!(touch.action, Action::Touch));
    let delete = write("key = \"id\"\ndelete = true\nguard = true\nnewer = { path = \"v\", bin = \"v\" }");
    assert!(matches!(delete.action, Action::Delete));
    assert!(delete.newer.is_some());
}

#[test]
fn versions_are_integers() {
    for (newer, expected) in [
        ("{ path = \"source.lsn\", bin = \"_lsn\" }", "source/lsn as Integer"),
        (
            "{ path = \"at\", bin = \"_lsn\", as = \"epoch_ms\", missing = \"skip\" }",
            "at as EpochMs missing Skip",
        ),
        (
            "{ path = \"@header.v\", bin = \"_lsn\", as = \"integer\", missing = \"reject\" }",
            "Header(\"v\") as Integer missing Reject",
        ),
    ] {
        let write = write(&format!("key = \"id\"\n…\nnewer = {newer}"));
        let newer = write.newer.unwrap();
        assert_eq!((told(&newer.value).as_str(), newer.bin.as_str()), (expected, "_lsn"));
    }
}

#[test]
fn names_come_from_the_message() {
    for (name, expected) in [
        ("\"users_{country}\"", "users_<country>"),
        ("\"@header.set\"", "Header(\"set\") as String"),
        (
            "{ path = \"tenant\", default = \"a\" }",
            "tenant as String missing Default(String(\"a\"))",
        ),
        (
            "{ path = \"tenant\", missing = \"skip\" }",
            "tenant as String missing Skip",
        ),
    ] {
        for word in ["set", "namespace"] {
            let lines = format!("key = \"id\"\n…\n{word} = {name}\n{word}s_allowed = [\"a\", \"b\"]");
            let write = write(&lines);
            let (name, other) = if word == "set" {
                (write.set, write.namespace)
            } else {
                (write.namespace, write.set)
            };
            assert_eq!(fixed(&other), if word == "set" { "test" } else { "" });
            let Name::FromMessage { value, allowed } = name else {
                panic!("{lines}");
            };
            assert_eq!(told(&value), expected);
            assert_eq!(allowed, ["a", "b"]);
        }
    }
    // A bare string, the value of a reference, and text that only looks like a template are constants.
    for (name, expected) in [
        ("users", "users"),
        ("${env:FIELD}", "user.id"),
        ("{{a}}", "{a}"),
        ("a@b", "a@b"),
    ] {
        assert_eq!(
            fixed(&write(&format!("key = \"id\"\n…\nset = \"{name}\"")).set),
            expected
        );
    }
}

#[test]
fn tombstones_are_the_routes_or_the_writes_own() {
    let config = good(
        "[kafka]\nbrokers = \"k\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"test\"\n[[route]]\n\
         tombstone = \"delete\"\n[[route.write]]\nkey = \"{@topic}:{@key.id}\"\nbins = [\"a\"]\n[[route.write]]\n\
         key = \"id\"\nbins = [\"a\"]\ntombstone = \"ignore\"\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\n\
         tombstone = \"reject\"\n",
    );
    let tombstones: Vec<Tombstone> = config.routes[0].writes.iter().map(|write| write.tombstone).collect();
    assert_eq!(tombstones, [Tombstone::Delete, Tombstone::Ignore, Tombstone::Reject]);
    for key in [
        "@key",
        "@key.id",
        "@header.x",
        "@topic",
        "@partition",
        "@offset",
        "@timestamp",
        "{@timestamp:%Y}:{@key}",
    ] {
        let write = write(&format!(
            "key = \"{key}\"\nset = \"@header.set\"\nsets_allowed = [\"a\"]\n…\ntombstone = \"delete\""
        ));
        assert_eq!(write.tombstone, Tombstone::Delete, "{key}");
    }
}
