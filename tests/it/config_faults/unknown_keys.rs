//! Unknown keys, and words of later versions.

use super::{KAFKA, ROUTE, check, check_each, check_write};
use penstock::config;

#[test]
fn unknown_keys_are_refused_with_the_nearest_known() {
    check_each(&[
        (
            "[run]\nmemroy = \"1GiB\"",
            (2, "run.memroy", "unknown key in [run]", "", "did you mean `memory`?"),
        ),
        (
            "[run]\nspeed = 5",
            (
                2,
                "run.speed",
                "unknown key in [run]",
                "",
                "known keys: memory, partitions_max",
            ),
        ),
        (
            "[ruin]\nmemory = \"1GiB\"",
            (1, "ruin", "unknown key in the file", "", "did you mean `run`?"),
        ),
        (
            "memory = \"1GiB\"",
            (1, "memory", "unknown key in the file", "", "write it below [run]"),
        ),
        (
            "[reject]\nactoin = \"hold\"",
            (2, "reject.actoin", "unknown key in [reject]", "", "`action`"),
        ),
        (
            "[kafka]\nbrokers = \"k\"\ntopics = [\"a\"]\ntopic = \"a\"",
            (4, "kafka.topic", "unknown key in [kafka]", "", "`topics`"),
        ),
        (
            "[aerospike]\nhosts = \"a\"\nnamespace = \"t\"\nhost = \"a\"",
            (4, "aerospike.host", "unknown key in [aerospike]", "", "`hosts`"),
        ),
        (
            "[[route]]\nroots = \"\"\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]",
            (2, "route[0].roots", "unknown key in [[route]]", "", "`root`"),
        ),
        (
            "\"a b\".c = 5",
            (1, "\"a b\"", "unknown key in the file", "", "known keys"),
        ),
    ]);
    check_write(&[
        (
            "sendkey = true",
            "sendkey",
            "unknown key in [[route.write]]",
            "",
            "did you mean `send_key`?",
        ),
        (
            "bins = { a = { pth = \"x\" } }",
            "bins.a.pth",
            "unknown key in a value",
            "",
            "did you mean `path`?",
        ),
        (
            "bins = { a = { path = \"x\", az = 1 } }",
            "bins.a.az",
            "unknown key in a value",
            "",
            "`as`",
        ),
        (
            "bins = { path = \"*\", exept = [] }",
            "bins.exept",
            "all fields as bins",
            "",
            "did you mean `except`?",
        ),
        (
            "bins = { path = \"*\", country = \"c\" }",
            "bins.country",
            "all fields as bins",
            "",
            "known keys",
        ),
    ]);
}

#[test]
fn words_of_later_versions_are_refused_by_name() {
    let later = "is not known to this version";
    for section in config::keys::ALL {
        for word in section.later {
            let (piece, line, key) = match section.title {
                "[run]" => (format!("[run]\n{word} = 1"), 2, format!("run.{word}")),
                "[kafka]" => (format!("{KAFKA}{word} = 1"), 4, format!("kafka.{word}")),
                "[reject]" => (format!("[reject]\n{word} = 1"), 2, format!("reject.{word}")),
                "[[route]]" => (
                    ROUTE.replace("[[route.write]]", &format!("{word} = 1\n[[route.write]]")),
                    2,
                    format!("route[0].{word}"),
                ),
                "[[route.publish]]" => (
                    format!("[[route]]\n[[route.publish]]\ntopic = \"t\"\n{word} = 1"),
                    4,
                    format!("route[0].publish[0].{word}"),
                ),
                "[[route.write]]" => (format!("{ROUTE}{word} = 1"), 5, format!("route[0].write[0].{word}")),
                "a value" => {
                    let bins = format!("{{ a = {{ {word} = \"1\" }} }}");
                    (
                        ROUTE.replace("{ a = \"a\" }", &bins),
                        4,
                        format!("route[0].write[0].bins.a.{word}"),
                    )
                }
                other => panic!("no case for {other}"),
            };
            check(&piece, &[(line, &key, &format!("`{word}` {later}"), "", "remove it")]);
        }
    }
}
