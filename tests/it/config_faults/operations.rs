//! Operations on bins: `add`, `append`, `map_put` and the others.

use super::check_lines;
use penstock::config::operations;

#[test]
fn operations_are_tables_of_bins() {
    for word in ["once", "add", "append", "prepend", "list_append", "map_put", "map_add"] {
        for (value, found) in [("5", "integer 5"), ("[\"a\"]", "an array of 1"), ("\"*\"", "\"*\"")] {
            let line = format!("{word} = {value}");
            let cure = format!("write e.g. {word} = {{");
            check_lines(&[(&line, (4, word, "expected a table of bins", found, &cure))]);
        }
        let empty = format!("{word} = {{}}");
        check_lines(&[(&empty, (4, word, "needs at least one bin", "a table", "write e.g."))]);
    }
    check_lines(&[
        (
            "once = { country_of_residence = \"user.country\" }",
            (
                4,
                "once.country_of_residence",
                "bin name is 20 bytes",
                "\"country_of_residence\"",
                "{ cor = \"user.country\" }",
            ),
        ),
        (
            "add = { \"\" = 1 }",
            (4, "add.\"\"", "a bin name is empty", "\"\"", "1 to 15 bytes"),
        ),
        (
            "once = { a = \"a b\" }",
            (4, "once.a", "does not belong in a path", "\"a b\"", "in quotes"),
        ),
        (
            "list_append = { a = [1] }",
            (
                4,
                "list_append.a",
                "not a value expression",
                "an array of 1",
                "{ value =",
            ),
        ),
        (
            "bins = [\"x\"]\nremove = \"a\"",
            (5, "remove", "expected an array of strings", "\"a\"", "brackets"),
        ),
        (
            "remove = []",
            (4, "remove", "needs at least one bin", "an array of 0", "remove = ["),
        ),
        (
            "remove = [5]",
            (4, "remove[0]", "expected a string", "integer 5", "quotes"),
        ),
        (
            "remove = [\"much_too_long_name\"]",
            (4, "remove[0]", "bin name is 18 bytes", "\"much_", "1 to 15"),
        ),
        (
            "remove = [\"a\", \"a\"]",
            (4, "remove[1]", "named twice", "\"a\"", "each bin once"),
        ),
    ]);
}

#[test]
fn numbers_to_add_have_one_type() {
    for (word, before, after, tail) in [("add", "", "", ""), ("map_add", "{ key = \"k\", by = ", " }", ".by")] {
        for (value, key, problem, found, cure) in [
            (
                "\"amount\"",
                "",
                "a number to add has no type",
                "\"amount\"",
                "{ path = \"amount\", as = \"integer\" } or as = \"float\"",
            ),
            ("{ path = \"n\" }", ".path", "has no type", "\"n\"", "as = \"integer\""),
            (
                "{ path = \"n\", default = 1 }",
                ".path",
                "has no type",
                "\"n\"",
                "as = \"float\"",
            ),
            ("\"@offset\"", "", "has no type", "\"@offset\"", "{ path = \"@offset\""),
            (
                "\"${env:TOPIC}\"",
                "",
                "has no type",
                "the value of ${env:TOPIC}",
                "as = \"integer\"",
            ),
            (
                "{ path = \"n\", as = \"string\" }",
                ".as",
                "a number to add cannot be read as this",
                "\"string\"",
                "integer, float",
            ),
            (
                "{ path = \"n\", as = \"epoch_ms\" }",
                ".as",
                "cannot be read as this",
                "\"epoch_ms\"",
                "integer, float",
            ),
            (
                "{ path = \"n\", as = \"int\" }",
                ".as",
                "none of the values",
                "\"int\"",
                "\"integer\"",
            ),
            ("\"{a}{b}\"", "", "a template is a string", "\"{a}{b}\"", "one field"),
            (
                "{ path = \"{a}\", as = \"integer\" }",
                ".as",
                "a template is a string",
                "\"integer\"",
                "write path = \"a\"",
            ),
            (
                "true",
                "",
                "only a number can be added",
                "boolean true",
                "as = \"float\"",
            ),
            (
                "{ value = \"1\" }",
                "",
                "only a number can be added",
                "a table",
                "write a number",
            ),
            (
                "{ object = { a = \"b\" } }",
                ".object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
            (
                "{ path = \"n\", as = \"integer\", default = 1.5 }",
                ".default",
                "type, integer",
                "float 1.5",
                "an integer",
            ),
        ] {
            let line = format!("{word} = {{ n = {before}{value}{after} }}");
            let key = format!("{word}.n{tail}{key}");
            check_lines(&[(&line, (4, &key, problem, found, cure))]);
        }
    }
}

#[test]
fn texts_to_append_are_strings_or_bytes() {
    for word in ["append", "prepend"] {
        for (value, key, problem, found, cure) in [
            (
                "5",
                "",
                "only a string or bytes can be appended",
                "integer 5",
                "a path, a template",
            ),
            ("{ value = [1] }", "", "only a string or bytes", "a table", "{ value ="),
            (
                "{ path = \"a\", as = \"integer\" }",
                ".as",
                "a text to append cannot be read as this",
                "\"integer\"",
                "string, base64, hex",
            ),
            (
                "{ path = \"a\", as = \"json\" }",
                ".as",
                "cannot be read as this",
                "\"json\"",
                "hex",
            ),
            (
                "{ path = \"a\", default = 5 }",
                ".default",
                "type, string",
                "integer 5",
                "quotes",
            ),
            (
                "{ object = { a = \"b\" } }",
                ".object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
        ] {
            let line = format!("{word} = {{ t = {value} }}");
            let key = format!("{word}.t{key}");
            check_lines(&[(&line, (4, &key, problem, found, cure))]);
        }
        for cast in ["float", "bool", "epoch_ms"] {
            let line = format!("{word} = {{ t = {{ path = \"a\", as = \"{cast}\" }} }}");
            let key = format!("{word}.t.as");
            check_lines(&[(&line, (4, &key, "cannot be read as this", cast, "string"))]);
        }
    }
}

#[test]
fn entries_of_maps_have_a_key() {
    check_lines(&[
        (
            "map_put = { m = \"a\" }",
            (
                4,
                "map_put.m",
                "an entry of a map has a `key`",
                "\"a\"",
                "{ key = \"pref.name\", value =",
            ),
        ),
        (
            "map_put = { m = { key = \"k\" } }",
            (4, "map_put.m.value", "is missing", "", "value = \"pref.value\""),
        ),
        (
            "map_put = { m = { value = \"k\" } }",
            (4, "map_put.m.key", "is missing", "", "key = \"pref.name\""),
        ),
        (
            "map_put = { m = { key = \"k\", value = \"v\", by = 1 } }",
            (
                4,
                "map_put.m.by",
                "unknown key in an entry of map_put",
                "",
                "key, value",
            ),
        ),
        (
            "map_put = { m = { key = 1.5, value = \"v\" } }",
            (
                4,
                "map_put.m.key",
                "a string or an integer",
                "float 1.5",
                "a path, a template",
            ),
        ),
        (
            "map_put = { m = { key = { path = \"k\", as = \"float\" }, value = \"v\" } }",
            (
                4,
                "map_put.m.key.as",
                "the key of an entry cannot be read as this",
                "\"float\"",
                "string, integer",
            ),
        ),
        (
            "map_put = { m = { key = { object = { a = \"b\" } }, value = \"v\" } }",
            (
                4,
                "map_put.m.key.object",
                "an object cannot stand here",
                "a table",
                "name a field",
            ),
        ),
        (
            "map_put = { m = { key = \"k\", value = \"a b\" } }",
            (
                4,
                "map_put.m.value",
                "does not belong in a path",
                "\"a b\"",
                "{ value =",
            ),
        ),
        (
            "map_add = { m = 1 }",
            (4, "map_add.m", "an entry of a map has a `key`", "integer 1", "by = 1"),
        ),
        (
            "map_add = { m = { by = 1 } }",
            (4, "map_add.m.key", "is missing", "", "key ="),
        ),
        (
            "map_add = { m = { key = true } }",
            (
                4,
                "map_add.m.key",
                "a string or an integer",
                "boolean true",
                "an integer",
            ),
        ),
        (
            "map_add = { m = { key = \"k\", value = 1 } }",
            (
                4,
                "map_add.m.value",
                "unknown key in an entry of map_add",
                "",
                "did you mean `by`?",
            ),
        ),
    ]);
}

#[test]
fn what_is_kept_grows_in_the_same_write() {
    let growing = operations::ALL.iter().filter(|descriptor| descriptor.keeps.is_some());
    let growing: Vec<String> = growing.map(|descriptor| format!("`{}`", descriptor.word)).collect();
    assert!(
        ["`list_append`", "`map_put`", "`map_add`"]
            .iter()
            .all(|word| growing.iter().any(|each| each == word))
    );
    let (last, others) = growing.split_last().unwrap();
    let without = format!("`keep_last` without a {} or {last} of this bin", others.join(", "));
    let without = without.as_str();
    check_lines(&[
        (
            "bins = [\"l\"]\nkeep_last = { l = 5 }",
            (5, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "append = { l = \"x\" }\nkeep_last = { l = 5 }",
            (5, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "keep_last = { l = 5 }",
            (4, "keep_last.l", without, "integer 5", "add one"),
        ),
        (
            "keep_last = 5",
            (4, "keep_last", "expected a table of bins", "integer 5", "readings"),
        ),
        (
            "keep_last = {}",
            (4, "keep_last", "needs at least one bin", "a table", "1000"),
        ),
    ]);
    for (count, problem, found) in [
        ("0", "out of range", "integer 0"),
        ("1_000_001", "out of range", "integer 1000001"),
        ("\"many\"", "expected an integer", "\"many\""),
        ("1.5", "expected an integer", "float 1.5"),
    ] {
        let lines = format!("list_append = {{ l = \"x\" }}\nkeep_last = {{ l = {count} }}");
        check_lines(&[(&lines, (5, "keep_last.l", problem, found, "write 1 to 1000000"))]);
    }
}
