//! The keys of `[[route.write]]`.

use super::{check, check_each, check_lines, check_write};

#[test]
fn writes_are_checked() {
    check_each(&[
        (
            "[[route]]\n[[route.write]]\nbins = [\"a\"]",
            (2, "route[0].write[0].key", "is missing", "", "key = \"user.id\""),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"",
            (2, "route[0].write[0].bins", "is missing", "", "bins = "),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = [\"a\"]\neach_max = 5",
            (
                5,
                "route[0].write[0].each_max",
                "`each_max` without `each`",
                "integer 5",
                "add each",
            ),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"@item.id\"\nbins = [\"a\"]",
            (
                3,
                "route[0].write[0].key",
                "`@item` is outside",
                "\"@item.id\"",
                "add each",
            ),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"{id}:{@index}\"\nbins = [\"a\"]",
            (3, "route[0].write[0].key", "`@index` is outside", "@index", "add each"),
        ),
        (
            "[[route]]\n[[route.write]]\nkey = \"id\"\nbins = \"@item.*\"",
            (4, "route[0].write[0].bins", "`@item` is outside", "@item.*", "add each"),
        ),
        (
            "[[route]]\n[[route.write]]\neach = \"@item\"\nkey = \"id\"\nbins = [\"a\"]",
            (3, "route[0].write[0].each", "not metadata", "\"@item\"", "items"),
        ),
        (
            "[[route]]\n[[route.write]]\neach = \"a[x]\"\nkey = \"id\"\nbins = [\"a\"]",
            (
                3,
                "route[0].write[0].each",
                "an index is a number",
                "\"a[x]\"",
                "items[0]",
            ),
        ),
    ]);
    let long_set = format!("set = \"{}\"", "s".repeat(64));
    let long_namespace = format!("namespace = \"{}\"", "n".repeat(32));
    check_write(&[
        (
            "key = { path = \"a\", as = \"epoch_ms\" }",
            "key.as",
            "a key cannot be read as this",
            "\"epoch_ms\"",
            "string, integer, base64, hex",
        ),
        (
            "key = { path = \"a\", as = \"int\" }",
            "key.as",
            "none of the values",
            "\"int\"",
            "did you mean \"integer\"? write \"string\" or \"integer\" or \"base64\" or \"hex\"",
        ),
        ("each_max = 0", "each_max", "out of range", "integer 0", "1 to 10000"),
        ("each_max = 10001", "each_max", "out of range", "10001", "1 to 10000"),
        (
            &long_namespace,
            "namespace",
            "32 bytes, Aerospike allows 31",
            "\"nnn",
            "namespace",
        ),
        (
            &long_set,
            "set",
            "64 bytes, Aerospike allows 63",
            "\"sss",
            "1 to 63 bytes",
        ),
        ("set = \"\"", "set", "is empty", "\"\"", "remove `set`"),
        ("set = \"a;b\"", "set", "`;` is not allowed", "\"a;b\"", "1 to 63"),
        ("set = 5", "set", "expected a string", "integer 5", "quotes"),
        (
            "send_key = 1",
            "send_key",
            "expected true or false",
            "integer 1",
            "true or false",
        ),
        (
            "key = \"users\\u0000\"",
            "key",
            "does not belong in a path",
            "users",
            "in quotes",
        ),
        (
            "key = 5",
            "key",
            "every message would write the same record",
            "integer 5",
            "\"user.id\"",
        ),
        (
            "key = true",
            "key",
            "every message would write the same record",
            "boolean true",
            "\"user.id\"",
        ),
        (
            "key = { value = \"x\" }",
            "key",
            "every message would write the same record",
            "a table",
            "\"user.id\"",
        ),
        (
            "key = \"{{fixed}}\"",
            "key",
            "every message would write the same record",
            "{{fixed}}",
            "\"user.id\"",
        ),
        (
            "key = { object = { a = \"b\" } }",
            "key.object",
            "an object cannot stand here",
            "a table",
            "\"user.id\"",
        ),
        (
            "key = [\"a\"]",
            "key",
            "an array is not a value expression",
            "an array of 1",
            "{ value =",
        ),
        (
            "key = { path = \"a\", as = \"float\" }",
            "key.as",
            "a key cannot be read as this",
            "\"float\"",
            "integer",
        ),
        (
            "key = { path = \"a\", as = \"json\" }",
            "key.as",
            "a key cannot be read as this",
            "\"json\"",
            "hex",
        ),
        (
            "key = { path = \"a\", default = 5 }",
            "key.default",
            "not of the value's type, string",
            "integer 5",
            "quotes",
        ),
        ("ttl = 30", "ttl", "expected a ttl", "integer 30", "\"30d\""),
        ("ttl = \"30\"", "ttl", "a ttl needs a unit", "\"30\"", "\"30d\""),
        (
            "ttl = \"expires_at\"",
            "ttl",
            "a whole number and a unit",
            "\"expires_at\"",
            "path = \"expires_at\"",
        ),
        ("ttl = \"0s\"", "ttl", "whole seconds, 1s to 3650d", "\"0s\"", "never"),
        ("ttl = \"1500ms\"", "ttl", "whole seconds", "\"1500ms\"", "30d"),
        ("ttl = \"3651d\"", "ttl", "1s to 3650d", "\"3651d\"", "never"),
        (
            "ttl = { value = 5 }",
            "ttl",
            "names a `path`, not `value`",
            "a table",
            "path =",
        ),
        (
            "ttl = { object = {} }",
            "ttl",
            "names a `path`, not `object`",
            "a table",
            "path =",
        ),
        (
            "ttl = { path = \"a\", as = \"string\" }",
            "ttl.as",
            "a ttl cannot be read as this",
            "\"string\"",
            "epoch_ms",
        ),
        (
            "ttl = { path = \"{a}{b}\" }",
            "ttl.path",
            "a ttl is a field",
            "\"{a}{b}\"",
            "name one field",
        ),
        (
            "ttl = { path = \"{a}\" }",
            "ttl.path",
            "a ttl is a field",
            "\"{a}\"",
            "write path = \"a\"",
        ),
        (
            "ttl = 3600",
            "ttl",
            "expected a ttl",
            "integer 3600",
            "write ttl = \"1h\"",
        ),
        (
            "ttl = -1",
            "ttl",
            "expected a ttl",
            "integer -1",
            "write ttl = \"never\"",
        ),
        (
            "ttl = \"3600\"",
            "ttl",
            "a ttl needs a unit",
            "\"3600\"",
            "write ttl = \"1h\"",
        ),
        (
            "ttl = \"1y\"",
            "ttl",
            "not a unit of a ttl",
            "\"1y\"",
            "write ttl = \"365d\"",
        ),
        (
            "ttl = \"user.ttl\"",
            "ttl",
            "a whole number and a unit",
            "\"user.ttl\"",
            "write ttl = { path = \"user.ttl\" } for a number of seconds",
        ),
        (
            "ttl = { path = \"a.b\", as = \"minutes\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"minutes\"",
            "write { expr = \"a.b * 60\" }: a ttl that is a length of time",
        ),
        (
            "ttl = { expr = \"a + b\", as = \"ms\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"ms\"",
            "write { expr = \"(a + b) / 1000\" }",
        ),
        (
            "ttl = { path = \"a\", as = \"rfc3339\" }",
            "ttl.as",
            "is none of the values it can have",
            "\"rfc3339\"",
            "write as = \"epoch_s\" for RFC 3339",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"never\" }",
            "ttl.default",
            "the default is not of the value's type",
            "\"never\"",
            "write default = -1, and ttl_words",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"0001-01-01T00:00:00Z\" }",
            "ttl",
            "an instant before 2001",
            "\"0001-01-01T00:00:00Z\"",
            "default = 1893456000",
        ),
        (
            "ttl = { path = \"a\", as = \"epoch_s\", default = \"9999-12-31T23:59:59Z\" }",
            "ttl",
            "more than 10 years away",
            "\"9999-12-31T23:59:59Z\"",
            "default = -1",
        ),
        (
            "ttl = { expr = \"timestamp(a)\" }",
            "ttl.expr",
            "no record can hold a timestamp",
            "\"timestamp(a)\"",
            "write string(…) around it, and as = \"epoch_s\"",
        ),
        (
            "ttl = { path = \"a\", default = 0 }",
            "ttl",
            "a default that is no ttl",
            "0",
            "default = 86400",
        ),
        (
            "ttl = { path = \"a\", default = 400000000 }",
            "ttl",
            "1 second to 10 years",
            "400000000",
            "default = 86400",
        ),
        (
            "ttl = { path = \"a\", default = \"30d\" }",
            "ttl.default",
            "not of the value's type",
            "\"30d\"",
            "default = 2592000",
        ),
    ]);
}

#[test]
fn a_write_does_something() {
    check_lines(&[
        ("", (2, "bins", "is missing", "", "touch = true or delete = true")),
        (
            "touch = false\ndelete = false",
            (2, "bins", "is missing", "", "bins = {"),
        ),
        (
            "touch = 1",
            (4, "touch", "expected true or false", "integer 1", "true or false"),
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\nkey = \"@key\"\ntombstone = \"delete\"",
        &[(
            4,
            "route[0].write[0].tombstone",
            "it does not say what a message with a payload writes",
            "\"delete\"",
            "delete = true",
        )],
    );
    check(
        "[[route]]\ntombstone = \"delete\"\n[[route.write]]\nkey = \"@key\"",
        &[(3, "route[0].write[0].bins", "is missing", "", "delete = true")],
    );
}
