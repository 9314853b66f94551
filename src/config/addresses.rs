//! Mistakes in addresses of brokers and nodes: a login, a scheme or a TLS name where only `host:port` may be.
//!
//! Pure: takes a text; returns nothing, or the problem and its cure. A login is only recognised here, and never
//! repeated.

use super::names;

/// Whether a text, of any key, looks like an address with a login: `user:password@host`, `host?password=…`.
pub fn may_hold_login(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let names_secret = ["password=", "passwd=", "pwd=", "secret=", "token="]
        .iter()
        .any(|word| {
            lower
                .match_indices(word)
                .any(|(at, _)| lower.get(..at).is_some_and(|before| before.contains(['?', '&', ';'])))
        });
    if names_secret {
        return true;
    }
    // `{a}:{@key}` is one of Penstock's templates.
    !text.contains(char::is_whitespace)
        && !text.contains('{')
        && text.split_once(':').is_some_and(|(_, rest)| {
            rest.rsplit_once('@')
                .is_some_and(|(before, host)| !before.is_empty() && host.starts_with(char::is_alphanumeric))
        })
}

/// The same for a text that should be an address. This check is stricter.
pub fn address_may_hold_login(text: &str) -> bool {
    text.contains(['@', '?', '=', '&']) || may_hold_login(text)
}

/// What the user meant with a wrong `aerospike.hosts`: the problem and the cure. `is_shown`: the cure may repeat parts
/// of the list.
pub fn misread_hosts(list: &str, is_shown: bool) -> Option<(String, String)> {
    const TLS: &str = "and a section [aerospike.tls]";
    let example = |hosts: &str| {
        if is_shown && hosts.chars().count() < 80 && names::hosts(hosts, 1).is_ok() {
            format!("write hosts = {hosts:?}")
        } else {
            "write host:port, comma-separated, e.g. \"aerospike-1:3000\"".to_owned()
        }
    };
    if let Some((before, _)) = list.split_once("://") {
        let scheme = before.rsplit(',').next().unwrap_or(before).trim().to_ascii_lowercase();
        let bare: Vec<&str> = list
            .split(',')
            .map(|each| each.split_once("://").map_or(each, |(_, host)| host).trim())
            .map(|each| each.split('/').next().unwrap_or(each))
            .collect();
        let cure = example(&bare.join(","));
        return Some(match scheme.as_str() {
            "http" | "https" => (
                format!("`{scheme}://` stands in front, and Aerospike's nodes do not speak HTTP"),
                cure,
            ),
            "tls" | "ssl" | "aerospikes" => (format!("`{scheme}://` asks for TLS"), format!("{cure}, {TLS}")),
            _ => ("an address has no scheme in front".to_owned(), cure),
        });
    }
    // The form of Aerospike's tools: host:tls-name:port.
    let has_tls_name = |host: &str| {
        let parts: Vec<&str> = host.trim().split(':').collect();
        parts.len() == 3
            && !host.contains([';', '|', ' ', '\t', '\n'])
            && parts.iter().all(|part| !part.is_empty())
            && parts.iter().skip(1).any(|part| part.parse::<u16>().is_ok())
    };
    if list.split(',').any(has_tls_name) {
        return Some((
            "a TLS name stands beside the port".to_owned(),
            format!("write host:port, comma-separated, {TLS} with the name as `name`"),
        ));
    }
    let list = list.trim();
    if list.contains('/') {
        return Some(("an address has no path".to_owned(), example(list.split('/').next()?)));
    }
    let parts: Vec<&str> = list
        .split([';', ' ', '|', '\n', '\t', ','])
        .filter(|part| !part.is_empty())
        .collect();
    if parts.len() > 1 && list.contains([';', ' ', '|', '\n', '\t']) && parts.iter().all(|part| part.contains(':')) {
        return Some(("hosts are separated by commas".to_owned(), example(&parts.join(","))));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_login_is_told_from_one_without() {
        for text in [
            "u:p@h:9092",
            "sasl_ssl://u:p@h:9092",
            "a:1,u:p@h:9092",
            "h:9092?password=p",
            "h:9092;user=u;password=p",
            "kafka://h?a=b&token=t",
        ] {
            assert!(may_hold_login(text), "{text}");
        }
        for text in [
            "h:9092",
            "@key",
            "{a}:{@key}",
            "a:@key",
            "me@here",
            "a == 'x: y@z'",
            "x.password == 1",
            "",
        ] {
            assert!(!may_hold_login(text), "{text}");
        }
        for text in ["me@h:9092", "h:9092?x", "h:9092 password=p"] {
            assert!(address_may_hold_login(text), "{text}");
        }
        for text in ["h:9092", "SSL://h:9093/", "[::1]:3000", "h:tls:3000"] {
            assert!(!address_may_hold_login(text), "{text}");
        }
    }

    #[test]
    fn hosts_that_are_written_for_something_else_are_told_what_would_do() {
        for (list, problem, cure) in [
            ("http://h:3000", "`http://`", "hosts = \"h:3000\""),
            ("a:1,https://h:3000/x", "`https://`", "hosts = \"a:1,h:3000\""),
            ("tls://h:4333", "asks for TLS", "a section [aerospike.tls]"),
            ("aerospike://h:3000", "no scheme", "hosts = \"h:3000\""),
            ("h:3000:tls", "a TLS name", "a section [aerospike.tls] with the name"),
            (
                "a:3000,h:tls:4333",
                "a TLS name",
                "a section [aerospike.tls] with the name",
            ),
            ("h:3000/test", "no path", "hosts = \"h:3000\""),
            ("a:1;b:2", "commas", "hosts = \"a:1,b:2\""),
            ("http://h h:3000", "`http://`", "aerospike-1:3000"),
        ] {
            let (found, said) = misread_hosts(list, true).unwrap_or_else(|| panic!("{list}"));
            assert!(found.contains(problem), "{list}: {found}");
            assert!(said.contains(cure), "{list}: {said}");
            let (found, said) = misread_hosts(list, false).unwrap_or_default();
            assert!(!found.contains("h:3000") && !said.contains("h:3000"), "{list}");
        }
        for list in ["h:3000", "::1", "fe80::1", "a b", "a,,b", ""] {
            assert_eq!(misread_hosts(list, true), None, "{list}");
        }
    }
}
