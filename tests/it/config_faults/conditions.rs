//! Conditions and computed values, with the column in them.

use super::{ROUTE, check, check_write, good};

#[test]
fn conditions_are_checked_with_the_column_in_them() {
    let route = |line: &str| ROUTE.replace("[[route]]\n", &format!("[[route]]\n{line}\n"));
    for (line, key, problem, found, cure) in [
        (
            "when = \"has(type)\"",
            "when",
            "column 5: has() asks",
            "\"has(type)\"",
            "has(msg.type)",
        ),
        (
            "when = \"type = 'a'\"",
            "when",
            "column 6: `=` cannot stand here",
            "type",
            "==",
        ),
        (
            "when = \"meta.tpic == 'a'\"",
            "when",
            "`meta` has no `tpic`",
            "tpic",
            "`topic`",
        ),
        (
            "when = \"size(items)\"",
            "when",
            "true or false, and this is int",
            "size",
            "size(items) > 0",
        ),
        (
            "when = \"1 == 1\"",
            "when",
            "names nothing of the message",
            "1 == 1",
            "name a field",
        ),
        ("when = true", "when", "expected a string", "boolean true", "in quotes"),
        (
            "when_error = \"false\"",
            "when_error",
            "`when_error` without `when`",
            "\"false\"",
            "add when",
        ),
        (
            "when = \"a\"\nwhen_error = \"skip\"",
            "when_error",
            "none of the values",
            "\"skip\"",
            "\"reject\"",
        ),
        (
            "require = \"a > 1\"",
            "require",
            "an array of conditions",
            "\"a > 1\"",
            "in brackets",
        ),
        (
            "require = []",
            "require",
            "needs at least one",
            "an array of 0",
            "remove `require`",
        ),
        (
            "require = [\"a > 1\", \"starts(b)\"]",
            "require[1]",
            "column 7: no function starts()",
            "starts(b)",
            "functions",
        ),
        (
            "when = \"${env:SECRET}\"",
            "when",
            "what the reference holds is no CEL",
            "${env:SECRET}",
            "docs/reference/conditions.md",
        ),
    ] {
        let at = if line.contains('\n') { 3 } else { 2 };
        check(&route(line), &[(at, &format!("route[0].{key}"), problem, found, cure)]);
    }
    check_write(&[
        (
            "when = \"item.q > 'x' + 1\"",
            "when",
            "`+` cannot take string and int",
            "item.q",
            "string(…)",
        ),
        (
            "when_error = \"reject\"",
            "when_error",
            "without `when`",
            "\"reject\"",
            "add when",
        ),
    ]);
    check(
        "[[route]]\n[[route.publish]]\ntopic = \"p\"\nwhen = \"a >\"",
        &[(
            4,
            "route[0].publish[0].when",
            "column 4: ends before",
            "\"a >\"",
            "write CEL",
        )],
    );
}

#[test]
fn computed_values_are_checked() {
    check_write(&[
        (
            "bins = { a = { expr = \"b.lower()\" } }",
            "bins.a.expr",
            "no function .lower()",
            "b.lower()",
            "write x.lowerAscii()",
        ),
        (
            "bins = { a = { expr = \"1 + 1\" } }",
            "bins.a.expr",
            "names nothing of the message",
            "1 + 1",
            "{ value = … }",
        ),
        (
            "bins = { a = { expr = \"b\", missing = \"skip\" } }",
            "bins.a.missing",
            "`missing` contradicts `expr`",
            "skip",
            "has(msg.price)",
        ),
        (
            "bins = { a = { expr = \"b\", default = 1 } }",
            "bins.a.default",
            "`default` contradicts `expr`",
            "1",
            "has(",
        ),
        (
            "bins = { a = { expr = \"b\", path = \"c\" } }",
            "bins.a.expr",
            "contradict each other",
            "b",
            "one of them",
        ),
        (
            "bins = { a = { expr = \"timestamp(b)\" } }",
            "bins.a.expr",
            "no record can hold a timestamp",
            "timestamp",
            "string(…)",
        ),
        (
            "add = { n = { expr = \"b * 2\" } }",
            "add.n.expr",
            "has no type",
            "b * 2",
            "beside `expr`",
        ),
        (
            "add = { n = { expr = \"b\", as = \"hex\" } }",
            "add.n.as",
            "cannot be read as this",
            "hex",
            "integer, float",
        ),
    ]);
    check(
        "[[route]]\n[[route.write]]\ntombstone = \"delete\"\nkey = { expr = \"meta.key + id\" }\nbins = [\"a\"]",
        &[(
            4,
            "route[0].write[0].key",
            "a key that a message without payload has",
            "a table",
            "\"@key\"",
        )],
    );
    good(
        "[[route]]\n[[route.write]]\ntombstone = \"delete\"\nkey = { expr = \"meta.topic + meta.key\" }\nbins = [\"a\"]",
    );
}
