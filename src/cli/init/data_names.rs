//! Names that look like data: the names in a map can be addresses, numbers of persons or ids.
//!
//! A guess, on the safe side. What looks like a word (a person's name) is not found here; `shape` finds maps by how
//! often their names occur.

use std::net::{Ipv4Addr, Ipv6Addr};

/// As many digits together are a number of something, and no version or year.
const DIGITS_MIN: usize = 7;
const HEX_DIGITS_MIN: usize = 16;

/// Whether a name looks like a mail address, a UUID, an address of a network, a long number, or a hash.
pub(super) fn is_data(name: &str) -> bool {
    is_mail(name) || is_uuid(name) || is_network(name) || is_number(name) || is_hash(name)
}

fn is_mail(name: &str) -> bool {
    let parts = name.split_once('@');
    parts.is_some_and(|(person, host)| !person.is_empty() && host.contains('.'))
}

fn is_uuid(name: &str) -> bool {
    name.as_bytes().windows(36).any(|window| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

fn is_network(name: &str) -> bool {
    let v4 = name.split(|c: char| !c.is_ascii_digit() && c != '.');
    let v6 = name.split(|c: char| !c.is_ascii_hexdigit() && c != ':');
    // "a::b" is a name of programs.
    let is_v6 = |part: &str| part.contains(|c: char| c.is_ascii_digit()) && part.parse::<Ipv6Addr>().is_ok();
    let is_mac = |part: &str| {
        part.len() == 17
            && part.bytes().enumerate().all(|(at, byte)| match at % 3 {
                2 => matches!(byte, b':' | b'-'),
                _ => byte.is_ascii_hexdigit(),
            })
    };
    v4.map(|part| part.trim_matches('.'))
        .any(|part| part.parse::<Ipv4Addr>().is_ok())
        || v6.into_iter().any(is_v6)
        || name
            .split(|c: char| !c.is_ascii_hexdigit() && !matches!(c, ':' | '-'))
            .any(is_mac)
}

/// Also with what people write between digits, as in `+49 (151) 123-456` and `2026-01-31`.
fn is_number(name: &str) -> bool {
    let mut digits = 0;
    for c in name.chars() {
        match c {
            _ if c.is_numeric() => digits += 1,
            ' ' | '-' | '_' | '.' | '/' | '(' | ')' => {}
            _ => digits = 0,
        }
        if digits >= DIGITS_MIN {
            return true;
        }
    }
    false
}

fn is_hash(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_hexdigit())
        .any(|part| part.len() >= HEX_DIGITS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_data_is_told_from_the_name_of_a_field() {
        for name in [
            "user1@example.com",
            "mailto:a.b+c@sub.example.org",
            "123e4567-e89b-12d3-a456-426614174000",
            "order:123E4567-E89B-12D3-A456-426614174000",
            "10.0.0.1",
            "10.0.0.1:8080",
            "fe80::1",
            "[2001:db8::7]:443",
            "00:1a:2b:3c:4d:5e",
            "+49 (151) 123-456",
            "123-45-6789",
            "user_1234567",
            "2026-01-31",
            "٠١٢٣٤٥٦٧",
            "deadbeefdeadbeef",
            "h.0123456789abcdef0123456789abcdef",
        ] {
            assert!(is_data(name), "{name}");
        }
        for name in [
            "id",
            "@key",
            "@timestamp",
            "@metadata.version",
            "a@b",
            "user.country",
            "v1.2.3",
            "a::b",
            "field_10000",
            "year_2026",
            "sha256",
            "amount_2026_q1",
            "accessed_by_decade",
            "größe",
            "名前",
            "0",
        ] {
            assert!(!is_data(name), "{name}");
        }
    }
}
