//! Rules of Kafka and Aerospike for the names of topics, bins, sets, namespaces and hosts.
//!
//! Pure: takes a name; returns nothing, or the problem. A problem never repeats the name, since the name may come from
//! the environment.

use crate::config::secrecy::is_text_of_file;

pub const BIN_BYTES_MAX: usize = 15;
pub const NAMESPACE_BYTES_MAX: usize = 31;
pub const SET_BYTES_MAX: usize = 63;
pub const TOPIC_BYTES_MAX: usize = 249;
pub const GROUP_BYTES_MAX: usize = 255;

/// The path of a file.
pub fn path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        Err("a path is empty".to_owned())
    } else if is_text_of_file(path) {
        Err("this is the text of a file, and not its path".to_owned())
    } else if path.contains('\0') {
        Err("a path holds a NUL character".to_owned())
    } else if path.ends_with('/') {
        Err("a path ends with a slash: that is a folder".to_owned())
    } else {
        Ok(())
    }
}

/// The name in a certificate: of a host, or an IP address. Aerospike's `tls-name` may be any word.
pub fn tls_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    if name.is_empty() || name.len() > 253 {
        Err("a name has 1 to 253 characters".to_owned())
    } else if !name.chars().all(legal) {
        Err("a name in a certificate has letters, digits, `.`, `_` and `-` only".to_owned())
    } else {
        Ok(())
    }
}

/// A Kafka topic: `[a-zA-Z0-9._-]{1,249}`, but not `.` or `..`.
pub fn topic(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Err("a topic name is empty".to_owned())
    } else if name.starts_with('^') {
        Err("a pattern of topics is not known to this version".to_owned())
    } else if name == "." || name == ".." {
        Err("a topic cannot be called so".to_owned())
    } else if let Some(c) = name.chars().find(|c| !legal(*c)) {
        Err(format!("{} is not allowed in a topic name", shown(c)))
    } else if name.len() > TOPIC_BYTES_MAX {
        Err(format!(
            "topic name is {} bytes, Kafka allows {TOPIC_BYTES_MAX}",
            name.len()
        ))
    } else {
        Ok(())
    }
}

/// The name of an Aerospike bin.
pub fn bin(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("a bin name is empty".to_owned())
    } else if name.contains('\0') {
        Err("a bin name holds a NUL character".to_owned())
    } else if name.len() > BIN_BYTES_MAX {
        Err(format!(
            "bin name is {} bytes, Aerospike allows {BIN_BYTES_MAX}",
            name.len()
        ))
    } else if is_of_guard(name) {
        Err("`~` and 14 letters, digits, `-` or `_` are the name of a guard".to_owned())
    } else {
        Ok(())
    }
}

/// Whether a bin's name has the form of a guard's name (`delivery::guard`): `~` and 14 characters of base64url.
pub fn is_of_guard(name: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.len() == BIN_BYTES_MAX && name.strip_prefix('~').is_some_and(|rest| rest.bytes().all(base64url))
}

/// The name of an Aerospike namespace.
pub fn namespace(name: &str) -> Result<(), String> {
    database_name(name, "namespace", NAMESPACE_BYTES_MAX)
}

/// The name of an Aerospike set.
pub fn set(name: &str) -> Result<(), String> {
    database_name(name, "set", SET_BYTES_MAX)
}

/// Aerospike lists namespaces and sets in texts with the separators `:` and `;`, so a name can contain neither.
fn database_name(name: &str, what: &str, bytes_max: usize) -> Result<(), String> {
    if name.is_empty() {
        Err(format!("a {what} name is empty"))
    } else if let Some(c) = name.chars().find(|c| c.is_control() || matches!(c, ':' | ';')) {
        Err(format!("{} is not allowed in a {what} name", shown(c)))
    } else if name.len() > bytes_max {
        Err(format!(
            "{what} name is {} bytes, Aerospike allows {bytes_max}",
            name.len()
        ))
    } else {
        Ok(())
    }
}

/// A consumer group.
/// A consumer group.
pub fn group(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("a group name is empty".to_owned())
    } else if name.chars().any(char::is_control) {
        Err("a group name holds a control character (`\\t` and `\\n` in double quotes are such)".to_owned())
    } else if name.len() > GROUP_BYTES_MAX {
        Err(format!(
            "group name is {} bytes, {GROUP_BYTES_MAX} are allowed",
            name.len()
        ))
    } else {
        Ok(())
    }
}

/// Checks `host[:port]`, comma-separated, with IPv6 addresses in brackets. Returns the same list with a port for each
/// host.
pub fn hosts(list: &str, port_default: u16) -> Result<String, String> {
    let hosts: Result<Vec<String>, String> = list.split(',').map(|each| host(each.trim(), port_default)).collect();
    hosts.map(|hosts| hosts.join(","))
}

fn host(written: &str, port_default: u16) -> Result<String, String> {
    if written.is_empty() {
        return Err("a host is empty".to_owned());
    }
    let (host, port) = if let Some(rest) = written.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return Err("an IPv6 address lacks its closing bracket".to_owned());
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("what stands in brackets is not an IPv6 address".to_owned());
        }
        (format!("[{address}]"), port)
    } else {
        if written.matches(':').count() > 1 {
            return Err("a host has more than one colon; an IPv6 address stands in brackets".to_owned());
        }
        let split = written.find(':').unwrap_or(written.len());
        let (host, port) = written.split_at(split);
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() {
            return Err("a port stands without a host".to_owned());
        }
        // No host name consists of digits only. A resolver would take it for an IPv4 address.
        if host.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a number stands where the host's name or address belongs".to_owned());
        }
        if let Some(c) = host.chars().find(|c| !legal(*c)) {
            return Err(format!("{} is not allowed in a host name", shown(c)));
        }
        (host.to_owned(), port)
    };
    if port.is_empty() {
        return Ok(format!("{host}:{port_default}"));
    }
    let digits = port.strip_prefix(':').unwrap_or("");
    match digits.parse::<u16>() {
        Ok(port) if port > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(format!("{host}:{port}")),
        _ => Err("a port is not a number from 1 to 65535".to_owned()),
    }
}

fn shown(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if c.is_control() => "a control character".to_owned(),
        c => format!("`{c}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_port() {
        let cases = [
            ("a", Some("a:3000")),
            ("a:1, b ,127.0.0.1:65535", Some("a:1,b:3000,127.0.0.1:65535")),
            ("[::1]", Some("[::1]:3000")),
            ("[2001:db8::2]:4000", Some("[2001:db8::2]:4000")),
            ("", None),
            ("a,,b", None),
            ("a,", None),
            (":3000", None),
            ("a:", None),
            ("a:0", None),
            ("a:65536", None),
            ("a:+5", None),
            ("a:tls:3000", None),
            ("::1", None),
            ("[::1", None),
            ("[nonsense]:1", None),
            ("[::1]x", None),
            ("[::1]3000", None),
            ("9092", None),
            ("9092:9092", None),
            ("a b", None),
            ("a/b", None),
            ("sasl_ssl://a:9092", None),
        ];
        for (list, expected) in cases {
            assert_eq!(hosts(list, 3000).ok().as_deref(), expected, "{list}");
        }
    }

    #[test]
    fn topics_follow_kafkas_rule() {
        for good in ["a", "a.b_c-D9", &"x".repeat(249)] {
            assert_eq!(topic(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "^events.*", &"x".repeat(250)] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bins_are_measured_in_bytes() {
        for good in ["a", "123456789012345", "größe", "a b"] {
            assert_eq!(bin(good), Ok(()), "{good}");
        }
        for bad in ["", "1234567890123456", "ööööööööö", "a\0"] {
            assert!(bin(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_names_of_guards_are_reserved() {
        for good in [
            "~",
            "~abc",
            "~abcdefghijklm",
            "abcdefghijklmno",
            "~abcdefghijklm.",
            "~abcdefghijklö",
        ] {
            assert_eq!(bin(good), Ok(()), "{good}");
        }
        for bad in ["~abcdefghijklmn", "~AZaz09-_AZaz09"] {
            assert!(bin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sets_and_namespaces_have_no_separators() {
        assert_eq!(set(&"s".repeat(63)), Ok(()));
        assert!(set(&"s".repeat(64)).is_err());
        assert_eq!(namespace(&"n".repeat(31)), Ok(()));
        assert!(namespace(&"n".repeat(32)).is_err());
        for bad in ["", "a:b", "a;b", "a\nb"] {
            assert!(set(bad).is_err() && namespace(bad).is_err(), "{bad:?}");
        }
    }
}
