//! The bins of a write, and the names that they may have.

use super::{KAFKA, check, check_lines, check_write};

#[test]
fn bins_are_checked() {
    check_write(&[
        (
            "bins = { country_of_residence = \"user.country\" }",
            "bins.country_of_residence",
            "bin name is 20 bytes, Aerospike allows 15",
            "\"country_of_residence\"",
            "shorten it, e.g. { cor = \"user.country\" }",
        ),
        (
            "bins = { \"\" = \"a\" }",
            "bins.\"\"",
            "a bin name is empty",
            "\"\"",
            "1 to 15 bytes",
        ),
        (
            "bins = { \"a\\u0000\" = \"a\" }",
            "bins.\"a\\0\"",
            "NUL",
            "\"a\\0\"",
            "1 to 15 bytes",
        ),
        ("bins = {}", "bins", "needs at least one bin", "a table", "bins = {"),
        (
            "bins = []",
            "bins",
            "needs at least one bin",
            "an array of 0",
            "[\"user.country\"]",
        ),
        ("bins = 5", "bins", "expected a table of bins", "integer 5", "\"*\""),
        (
            "bins = \"user.country\"",
            "bins",
            "one path is not bins",
            "\"user.country\"",
            "\"after.*\"",
        ),
        (
            "bins = \"a b.*\"",
            "bins",
            "does not belong in a path",
            "\"a b.*\"",
            "in quotes",
        ),
        (
            "bins = \"@topic.*\"",
            "bins",
            "only a path or @item has fields",
            "\"@topic.*\"",
            "@item.*",
        ),
        (
            "bins = [\"a.x\", \"b.x\"]",
            "bins[1]",
            "a second value for this bin",
            "\"b.x\"",
            "two names",
        ),
        (
            "bins = [\"a\", \"*\"]",
            "bins[1]",
            "all fields stand alone",
            "\"*\"",
            "bins = \"*\"",
        ),
        (
            "bins = [\"a[0]\"]",
            "bins[0]",
            "the last segment is not a name",
            "\"a[0]\"",
            "{ name =",
        ),
        (
            "bins = [\"@item\"]",
            "bins[0]",
            "the last segment is not a name",
            "\"@item\"",
            "{ name =",
        ),
        (
            "bins = [\"{a}:{b}\"]",
            "bins[0]",
            "a template has no name of its own",
            "\"{a}:{b}\"",
            "{ name =",
        ),
        (
            "bins = [\"{a.b}\"]",
            "bins[0]",
            "a template has no name of its own",
            "\"{a.b}\"",
            "write \"a.b\"",
        ),
        (
            "bins = \"{a.b}\"",
            "bins",
            "one path is not bins",
            "\"{a.b}\"",
            "write [\"a.b\"]",
        ),
        (
            "bins = \"{a.*}\"",
            "bins",
            "one path is not bins",
            "\"{a.*}\"",
            "write \"a.*\"",
        ),
        (
            "bins = \"{*}\"",
            "bins",
            "one path is not bins",
            "\"{*}\"",
            "write \"*\"",
        ),
        (
            "bins = \"{a}.*\"",
            "bins",
            "only a path or @item has fields",
            "\"{a}.*\"",
            "write \"a.*\"",
        ),
        (
            "bins = { path = \"{a.*}\", except = [\"b\"] }",
            "bins.path",
            "all fields stand without braces",
            "\"{a.*}\"",
            "write \"a.*\"",
        ),
        (
            "bins = { a = \"${user.name}\" }",
            "bins.a",
            "a reference is `${env:NAME}`",
            "\"${user.name}\"",
            "write \"user.name\" for a field",
        ),
        (
            "bins = { a = { path = \"{b}\", as = \"integer\" } }",
            "bins.a.as",
            "a template is a string",
            "\"integer\"",
            "write path = \"b\"",
        ),
        (
            "bins = { a = \"/user/name\" }",
            "bins.a",
            "is not how a name in a path begins",
            "\"/user/name\"",
            "write \"user.name\"",
        ),
        (
            "bins = { a = { expr = \"{b} + 1\" } }",
            "bins.a.expr",
            "a field stands without braces",
            "\"{b} + 1\"",
            "write b + 1",
        ),
        ("bins = [5]", "bins[0]", "expected a string", "integer 5", "quotes"),
        (
            "bins = [\"user.country_of_residence\"]",
            "bins[0]",
            "bin name is 20 bytes",
            "\"country_of_residence\"",
            "{ cor = \"user.country_of_residence\" }",
        ),
        (
            "bins = { path = \"*\", except = \"a\" }",
            "bins.except",
            "expected an array of strings",
            "\"a\"",
            "brackets",
        ),
        (
            "bins = { path = \"*\", except = [\"a\", \"a\"] }",
            "bins.except[1]",
            "named twice",
            "\"a\"",
            "once",
        ),
        (
            "bins = { path = \"*\", rename = 5 }",
            "bins.rename",
            "expected a table",
            "integer 5",
            "",
        ),
        (
            "bins = { path = \"*\", rename = { a = 5 } }",
            "bins.rename.a",
            "expected a string",
            "integer 5",
            "quotes",
        ),
        (
            "bins = { path = \"*\", rename = { a = \"much_too_long_name\" } }",
            "bins.rename.a",
            "bin name is 18 bytes",
            "\"much_too_long_name\"",
            "1 to 15",
        ),
        (
            "bins = { path = \"*\", rename = { a = \"x\", b = \"x\" } }",
            "bins.rename.b",
            "a second value for this bin",
            "\"x\"",
            "a bin of its own",
        ),
        (
            "bins = { path = \"*\", except = [\"a\"], rename = { a = \"x\" } }",
            "bins.rename.a",
            "`rename` contradicts `except`",
            "\"x\"",
            "keep one",
        ),
        (
            "bins = { path = \"*\", long_names = \"cut\" }",
            "bins.long_names",
            "none of the values",
            "\"cut\"",
            "\"reject\" or \"skip\"",
        ),
        (
            "bins = { path = \"*\", big_numbers = \"strings\" }",
            "bins.big_numbers",
            "none of the values",
            "\"strings\"",
            "\"string\"",
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = { a = \"x\", a = \"y\" }",
        &[(4, "route[0].write[0].bins.a", "twice on this line", "", "keep one")],
    );
}

#[test]
fn big_numbers_stand_where_a_bin_keeps_a_path() {
    check_write(&[
        (
            "bins = { a = { path = \"a\", big_numbers = \"int\" } }",
            "bins.a.big_numbers",
            "none of the values",
            "\"int\"",
            "\"reject\" or \"string\" or \"float\" or \"skip\"",
        ),
        (
            "bins = { a = { path = \"a\", big_numbers = true } }",
            "bins.a.big_numbers",
            "expected a string",
            "boolean true",
            "\"reject\" or \"string\"",
        ),
        (
            "bins = { a = { path = \"a\", as = \"integer\", big_numbers = \"skip\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `as = \"integer\"`",
            "\"skip\"",
            "keep one of them",
        ),
        (
            "bins = { a = { path = \"{a}:{b}\", big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "a template is a string",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { value = 1, big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `value`",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { object = { b = \"b\" }, big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `object`",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "bins = { a = { expr = \"b + 1\", big_numbers = \"string\" } }",
            "bins.a.big_numbers",
            "`big_numbers` contradicts `expr`",
            "\"string\"",
            "write `path` for a field",
        ),
        (
            "key = { path = \"id\", big_numbers = \"string\" }",
            "key.big_numbers",
            "a key keeps none",
            "\"string\"",
            "remove `big_numbers`",
        ),
        (
            "ttl = { path = \"ttl\", big_numbers = \"skip\" }",
            "ttl.big_numbers",
            "a ttl keeps none",
            "\"skip\"",
            "remove `big_numbers`",
        ),
        (
            "add = { n = { path = \"n\", as = \"float\", big_numbers = \"float\" } }",
            "add.n.big_numbers",
            "a number to add keeps none",
            "\"float\"",
            "remove `big_numbers`",
        ),
    ]);
    check(
        "[[route]]\n[[route.publish]]\ntopic = \"out\"\npayload = { object = { a = { path = \"a\", big_numbers = \"string\" } } }",
        &[(
            4,
            "route[0].publish[0].payload.object.a.big_numbers",
            "JSON, which holds every number",
            "\"string\"",
            "remove `big_numbers`",
        )],
    );
    check(
        &format!("{KAFKA}byte_order_mark = \"keep\"\n"),
        &[(
            4,
            "kafka.byte_order_mark",
            "none of the values",
            "\"keep\"",
            "\"skip\" or \"reject\"",
        )],
    );
}

#[test]
fn no_bin_is_named_by_two_words() {
    let cure = "a bin of its own";
    check_lines(&[
        (
            "bins = { n = \"n\" }\nadd = { n = 1 }",
            (5, "add.n", "`bins` and `add` both name this bin", "integer 1", cure),
        ),
        (
            "bins = [\"user.n\"]\nremove = [\"m\", \"n\"]",
            (5, "remove[1]", "`bins` and `remove` both name", "\"n\"", cure),
        ),
        (
            "bins = { path = \"*\", rename = { number = \"n\" } }\nonce = { n = \"n\" }",
            (5, "once.n", "`bins` and `once` both name", "\"n\"", cure),
        ),
        (
            "prepend = { t = \"a\" }\nappend = { t = \"b\" }",
            (4, "prepend.t", "`append` and `prepend` both name", "\"a\"", cure),
        ),
        (
            "list_append = { t = \"a\" }\nmap_put = { t = { key = \"a\", value = \"b\" } }\nkeep_last = { t = 5 }",
            (5, "map_put.t", "`list_append` and `map_put` both name", "a table", cure),
        ),
        (
            "bins = { v = \"v\" }\nnewer = { path = \"v\", bin = \"v\" }",
            (
                5,
                "newer.bin",
                "`bins` and `newer` both name this bin",
                "\"v\"",
                "the version a bin",
            ),
        ),
        (
            "add = { v = 1 }\nnewer = { path = \"v\", bin = \"v\" }",
            (
                5,
                "newer.bin",
                "`add` and `newer` both name",
                "\"v\"",
                "the version a bin",
            ),
        ),
    ]);
}

#[test]
fn the_names_of_guards_are_reserved() {
    let guard = "~abcDEF0123-_xy";
    let problem = "the name of a guard";
    for (lines, line, key) in [
        (
            format!("bins = {{ \"{guard}\" = \"a\" }}"),
            4,
            format!("bins.\"{guard}\""),
        ),
        (format!("bins = ['\"{guard}\"']"), 4, "bins[0]".to_owned()),
        (
            format!("bins = {{ path = \"*\", rename = {{ a = \"{guard}\" }} }}"),
            4,
            "bins.rename.a".to_owned(),
        ),
        (format!("add = {{ \"{guard}\" = 1 }}"), 4, format!("add.\"{guard}\"")),
        (format!("remove = [\"{guard}\"]"), 4, "remove[0]".to_owned()),
        (
            format!("bins = [\"a\"]\nnewer = {{ path = \"v\", bin = \"{guard}\" }}"),
            5,
            "newer.bin".to_owned(),
        ),
    ] {
        check_lines(&[(&lines, (line, &key, problem, guard, "other than a guard's"))]);
    }
}
