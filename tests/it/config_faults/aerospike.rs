//! The keys of `[aerospike]`.

use super::{Expected, KAFKA, ROUTE, check, check_each, check_file};

#[test]
fn aerospike_is_checked() {
    let aerospike = |line: &str| match line.split(' ').next() {
        Some("hosts") => format!("[aerospike]\nnamespace = \"t\"\n{line}"),
        Some("namespace") => format!("[aerospike]\nhosts = \"a\"\n{line}"),
        _ => format!("[aerospike]\nnamespace = \"t\"\nhosts = \"a\"\n{line}"),
    };
    let long = format!("namespace = \"{}\"", "n".repeat(32));
    let cases: &[(&str, Expected<'_>)] = &[
        (
            "hosts = [\"a\"]",
            (3, "aerospike.hosts", "expected a string", "an array of 1", "quotes"),
        ),
        (
            "hosts = \"a,,b\"",
            (3, "aerospike.hosts", "a host is empty", "\"a,,b\"", "comma-separated"),
        ),
        (
            "hosts = \"a:0\"",
            (3, "aerospike.hosts", "a port is not a number", "\"a:0\"", "host:port"),
        ),
        (
            "hosts = \":3000\"",
            (
                3,
                "aerospike.hosts",
                "a port stands without a host",
                "\":3000\"",
                "host:port",
            ),
        ),
        (
            "hosts = \"[::1\"",
            (3, "aerospike.hosts", "closing bracket", "\"[::1\"", "brackets"),
        ),
        (
            "hosts = \"[a]:1\"",
            (3, "aerospike.hosts", "not an IPv6 address", "\"[a]:1\"", "brackets"),
        ),
        (
            "hosts = \"a:tls:3000\"",
            (3, "aerospike.hosts", "a TLS name", "tls", "host:port"),
        ),
        (
            "namespace = \"\"",
            (3, "aerospike.namespace", "is empty", "\"\"", "namespace"),
        ),
        (
            "namespace = \"a:b\"",
            (3, "aerospike.namespace", "`:` is not allowed", "\"a:b\"", "namespace"),
        ),
        (
            &long,
            (
                3,
                "aerospike.namespace",
                "32 bytes, Aerospike allows 31",
                "\"nnn",
                "namespace",
            ),
        ),
        ("user = \"u\"", (1, "aerospike.password", "is missing", "", "${file:")),
        (
            "password = \"hunter2\"",
            (1, "aerospike.user", "is missing", "", "beside `password`"),
        ),
        (
            "user = \"u\"\npassword = 5",
            (5, "aerospike.password", "expected a string", "", "quotes"),
        ),
        (
            "user = \"u\"\npassword = \"\"",
            (5, "aerospike.password", "is empty", "", "${file:"),
        ),
        (
            "user = \"u\"\npassword = \"hunter2${\"",
            (5, "aerospike.password", "whole values only", "", "$${"),
        ),
        (
            "user = \"\"\npassword = \"p\"",
            (4, "aerospike.user", "is empty", "\"\"", "name"),
        ),
        (
            "cluster_name = \"\"",
            (4, "aerospike.cluster_name", "is empty", "\"\"", "remove it"),
        ),
        (
            "use_services_alternate = \"true\"",
            (
                4,
                "aerospike.use_services_alternate",
                "expected true or false",
                "\"true\"",
                "without quotes",
            ),
        ),
        (
            "writer = \"nativ\"",
            (
                4,
                "aerospike.writer",
                "none of the values",
                "\"nativ\"",
                "did you mean \"native\"",
            ),
        ),
        (
            "writer = \"library\"",
            (4, "aerospike.writer", "none of the values", "\"library\"", "\"client\""),
        ),
        (
            "writer = true",
            (
                4,
                "aerospike.writer",
                "expected a string",
                "boolean true",
                "\"native\" or \"client\"",
            ),
        ),
        (
            "use_services_alternate = 1",
            (
                4,
                "aerospike.use_services_alternate",
                "expected true or false",
                "integer 1",
                "without quotes",
            ),
        ),
    ];
    for (line, expected) in cases {
        check(&aerospike(line), &[*expected]);
    }
    check_each(&[
        (
            "[aerospike]\nnamespace = \"t\"",
            (1, "aerospike.hosts", "is missing", "", "hosts = "),
        ),
        (
            "[aerospike]\nhosts = \"a\"",
            (1, "aerospike.namespace", "is missing", "", "namespace = "),
        ),
    ]);
    check_file(
        &format!("{KAFKA}{ROUTE}"),
        &[(1, "aerospike", "is missing", "", "[aerospike]")],
    );
    check_file(
        &format!("aerospike = []\n{KAFKA}{ROUTE}"),
        &[(1, "aerospike", "expected a table", "an array of 0", "[aerospike]")],
    );
}
