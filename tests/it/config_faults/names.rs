//! Sets and namespaces whose name comes from the message.

use super::{check_lines, check_write};

#[test]
fn names_from_the_message_need_their_list() {
    check_write(&[
        (
            "set = \"users_{country}\"",
            "set",
            "a set from the message needs `sets_allowed`: the server never frees a set's name, and a namespace has 4095",
            "\"users_{country}\"",
            "sets_allowed = [\"users_de\", \"users_fr\"]",
        ),
        (
            "set = \"@topic\"",
            "set",
            "needs `sets_allowed`",
            "\"@topic\"",
            "name those that it may be",
        ),
        (
            "set = { path = \"a\" }",
            "set",
            "needs `sets_allowed`",
            "a table",
            "sets_allowed",
        ),
        (
            "namespace = { path = \"tenant\" }",
            "namespace",
            "a namespace from the message needs `namespaces_allowed`",
            "a table",
            "namespaces_allowed = [",
        ),
        ("set = \"{a b}\"", "set", "does not belong", "\"{a b}\"", "in quotes"),
        ("set = \"a}b\"", "set", "without its `{`", "\"a}b\"", "}}"),
        (
            "set = { value = 5 }",
            "set",
            "a name is a string",
            "a table",
            "in quotes",
        ),
        (
            "set = { object = { a = \"b\" } }",
            "set.object",
            "an object cannot stand here",
            "a table",
            "name a field",
        ),
        (
            "sets_allowed = [\"a\"]",
            "sets_allowed",
            "`sets_allowed` without a set from the message",
            "an array of 1",
            "remove it",
        ),
        (
            "namespaces_allowed = [\"a\"]",
            "namespaces_allowed",
            "`namespaces_allowed` without a namespace from the message",
            "an array of 1",
            "remove it",
        ),
    ]);
    let long_set = format!("[\"{}\"]", "s".repeat(64));
    let long_namespace = format!("[\"{}\"]", "n".repeat(32));
    for (word, list, key, problem, found, cure) in [
        ("set", "[]", "", "needs at least one name", "an array of 0", "users_de"),
        ("set", "\"a\"", "", "expected an array of strings", "\"a\"", "brackets"),
        ("set", "[5]", "[0]", "expected a string", "integer 5", "quotes"),
        ("set", "[\"a\", \"a\"]", "[1]", "named twice", "\"a\"", "once"),
        ("set", "[\"\"]", "[0]", "a set name is empty", "\"\"", "sets_allowed ="),
        (
            "set",
            &long_set,
            "[0]",
            "64 bytes, Aerospike allows 63",
            "\"sss",
            "sets_allowed =",
        ),
        (
            "namespace",
            &long_namespace,
            "[0]",
            "32 bytes, Aerospike allows 31",
            "\"nnn",
            "namespaces_allowed =",
        ),
    ] {
        let lines = format!("bins = [\"x\"]\n{word} = \"@header.x\"\n{word}s_allowed = {list}");
        let key = format!("{word}s_allowed{key}");
        check_lines(&[(&lines, (6, &key, problem, found, cure))]);
    }
    check_lines(&[
        (
            "bins = [\"x\"]\nset = { path = \"a\", as = \"integer\" }\nsets_allowed = [\"a\"]",
            (
                5,
                "set.as",
                "a name cannot be read as this",
                "\"integer\"",
                "write one of: string",
            ),
        ),
        (
            "bins = [\"x\"]\nset = \"users\"\nsets_allowed = [\"users\"]",
            (
                6,
                "sets_allowed",
                "without a set from the message",
                "an array of 1",
                "remove it",
            ),
        ),
        (
            "bins = [\"x\"]\nset = { path = \"a\", default = \"c\" }\nsets_allowed = [\"a\", \"b\"]",
            (
                5,
                "set.default",
                "is not among sets_allowed",
                "\"c\"",
                "add it to sets_allowed",
            ),
        ),
    ]);
}
