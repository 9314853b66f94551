//! `[http]`: where the endpoints listen.
//!
//! An IP address and a port. No name: it would be resolved at every start, perhaps to several addresses. And no port
//! alone: who listens everywhere has to write so.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::file::reader::{Node, Table};
use super::model::Http;

/// In examples. No exporter that is widely known has it, nor a service that IANA lists.
pub const PORT: u16 = 7367;

/// The section. Nothing if its key is faulty.
pub fn http(table: &Table<'_>) -> Option<Http> {
    let cure = format!("write e.g. listen = \"127.0.0.1:{PORT}\", or remove [http]");
    let node = table.required("listen", &cure)?;
    Some(Http { listen: listen(node)? })
}

fn listen(node: &Node<'_>) -> Option<SocketAddr> {
    if let Some(number) = node.integer() {
        let port = u16::try_from(number).unwrap_or(PORT);
        node.fault("expected a string", format!("write {}", both(port)));
        return None;
    }
    let text = node.text()?;
    match address(&text.value) {
        Ok(address) => Some(address),
        Err(Misread { problem, port }) => {
            let port = port.filter(|_| !text.from_outside).unwrap_or(PORT);
            node.fault(problem, format!("write {}", both(port)));
            None
        }
    }
}

/// The two that most people want.
fn both(port: u16) -> String {
    format!("\"127.0.0.1:{port}\" for this machine alone, or \"0.0.0.0:{port}\" for all that reach it")
}

/// A text that is no address to listen at, and the port in it.
#[derive(Debug, PartialEq, Eq)]
struct Misread {
    problem: &'static str,
    port: Option<u16>,
}

/// `address:port`, an IPv6 address in brackets.
fn address(text: &str) -> Result<SocketAddr, Misread> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (has_scheme, bare) = match text.split_once("://") {
        Some((_, rest)) => (true, rest.split('/').next().unwrap_or(rest)),
        None => (false, text),
    };
    let (host, port) = match bare.rsplit_once(':') {
        Some((host, port)) => (host, port),
        // A port alone, or an address alone.
        None if bare.bytes().all(|byte| byte.is_ascii_digit()) => ("", bare),
        None => (bare, ""),
    };
    let number = port.parse::<u16>().ok();
    let problem = if has_scheme {
        "an address to listen at has no scheme in front"
    } else if text.parse::<IpAddr>().is_ok() || port.is_empty() {
        "the port is missing"
    } else if number.is_none() {
        "the port is not a number from 0 to 65535"
    } else if host.is_empty() {
        "the address before the port is missing"
    } else if host.parse::<Ipv6Addr>().is_ok() {
        "an IPv6 address stands in brackets"
    } else {
        "the IP address of this machine belongs before the port, not a name"
    };
    Err(Misread { problem, port: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ports_are_taken() {
        for text in ["127.0.0.1:7367", "0.0.0.0:1", "[::1]:65535", "[::]:7367", "10.1.2.3:0"] {
            assert_eq!(address(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn the_port_is_kept_of_what_is_no_address() {
        for (text, problem, port) in [
            (":9100", "before the port is missing", Some(9100)),
            ("9100", "before the port is missing", Some(9100)),
            ("127.0.0.1", "the port is missing", None),
            ("::1", "the port is missing", Some(1)),
            ("localhost", "the port is missing", None),
            ("localhost:", "the port is missing", None),
            ("localhost:9100", "not a name", Some(9100)),
            ("*:9100", "not a name", Some(9100)),
            ("300.0.0.1:9100", "not a name", Some(9100)),
            ("fe80::1:9100", "the port is missing", Some(9100)),
            ("2001:db8:0:0:0:0:0:1:9100", "in brackets", Some(9100)),
            ("127.0.0.1:65536", "not a number", None),
            ("127.0.0.1:http", "not a number", None),
            ("http://127.0.0.1:9100/metrics", "no scheme", Some(9100)),
            ("", "the port is missing", None),
        ] {
            let misread = address(text).unwrap_err();
            assert!(misread.problem.contains(problem), "{text}: {misread:?}");
            assert_eq!(misread.port, port, "{text}");
        }
    }
}
