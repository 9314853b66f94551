//! The key of `[http]`.

use super::{check, check_each, good};

#[test]
fn an_address_to_listen_at_is_an_ip_address_and_a_port() {
    let own = "\"127.0.0.1:9100\" for this machine alone, or \"0.0.0.0:9100\"";
    for (value, problem, found, cure) in [
        ("9100", "expected a string", "integer 9100", own),
        ("true", "expected a string", "boolean true", "in quotes"),
        ("\":9100\"", "the address before the port is missing", "\":9100\"", own),
        (
            "\"127.0.0.1\"",
            "the port is missing",
            "\"127.0.0.1\"",
            "\"127.0.0.1:7367\"",
        ),
        ("\"localhost:9100\"", "not a name", "\"localhost:9100\"", own),
        ("\"http://0.0.0.0:9100/metrics\"", "no scheme", "http", own),
        ("\"0.0.0.0:91000\"", "0 to 65535", "91000", "\"127.0.0.1:7367\""),
        // The value of a reference is not shown.
        ("\"${env:DURATION}\"", "", "${env:DURATION}", "\"127.0.0.1:7367\""),
    ] {
        let piece = format!("[http]\nlisten = {value}");
        check(&piece, &[(2, "http.listen", problem, found, cure)]);
    }
    check_each(&[
        ("[http]", (1, "http.listen", "is missing", "", "or remove [http]")),
        ("http = 5", (1, "http", "expected a table", "integer 5", "[http]")),
        (
            "[http]\nlisten = \"127.0.0.1:7367\"\nport = 7367",
            (3, "http.port", "unknown key in [http]", "", "`listen`"),
        ),
        (
            "[prometheus]\nlisten = \"127.0.0.1:7367\"",
            (1, "prometheus", "unknown key in the file", "", "`http`"),
        ),
    ]);
    assert!(good("").http.is_none());
    let http = good("[http]\nlisten = \"[::1]:7367\"").http;
    assert_eq!(http.map(|http| http.listen.to_string()).as_deref(), Some("[::1]:7367"));
}
