//! `penstock health`: asks a running service on this machine whether it is well. For health checks in containers, which
//! have no `curl`.
//!
//! The address is given, or comes from `http.listen` in the service's own configuration. A health check gives it: the file
//! may have got a fault since the service read it. The decision is that of `/livez` or `/readyz`; here it becomes an exit
//! code.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;

use super::{load, refuse, shown};
use crate::config::addresses::address_may_hold_login;
use crate::util::exit::Exit;

/// From the first step to the last. Less than the time that those who ask usually leave (5 s in the container file).
const TIMEOUT: Duration = Duration::from_secs(4);
/// A health answer is far smaller. Another program may listen at the address.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The header fields that are looked for in an answer at most.
const HEADERS_MAX: usize = 32;

#[derive(Debug, Args)]
pub(super) struct Health {
    /// Address of the service, or its configuration (http.listen).
    #[arg(value_name = "ADDRESS|FILE")]
    service: PathBuf,
    /// Ask whether messages can flow (/readyz), not whether it is alive.
    #[arg(long)]
    ready: bool,
}

/// Asks the service, prints the answer, and returns the exit code.
pub(super) fn health(arguments: &Health) -> Exit {
    let given = arguments.service.to_str().and_then(|text| text.parse().ok());
    let listen = match given.map_or_else(|| listen_of(&arguments.service), Ok) {
        Ok(listen) => listen,
        Err(exit) => return exit,
    };
    let address = here(listen);
    let path = if arguments.ready { "/readyz" } else { "/livez" };
    match ask(address, path, Instant::now() + TIMEOUT) {
        Ok(failing) if failing.is_empty() => {
            let _ = writeln!(io::stdout().lock(), "ok");
            Exit::Stopped
        }
        Ok(failing) => {
            let _ = writeln!(io::stdout().lock(), "{}", failing.join("\n"));
            Exit::Found
        }
        Err(error) => tell(&format!("http://{address}{path}: {error}"), Exit::Unreachable),
    }
}

/// `http.listen` of the file.
fn listen_of(file: &Path) -> Result<SocketAddr, Exit> {
    // It is not repeated, as the name of a file would be.
    if file.to_str().is_some_and(address_may_hold_login) && !file.exists() {
        return Err(refuse(
            "a login or a query stands in the address; write HOST:PORT, e.g. 127.0.0.1:7367: it asks for no login",
        ));
    }
    let config = load(file).ok_or(Exit::Configuration)?;
    let file = shown(file);
    let Some(http) = &config.http else {
        return Err(tell(
            &format!("{file} has no [http]: without it the service answers nobody; add [http] with listen"),
            Exit::Configuration,
        ));
    };
    match http.listen.port() {
        0 => Err(tell(
            &format!("{file}: http.listen has port 0: only the service's log knows its port; set a fixed one"),
            Exit::Configuration,
        )),
        _ => Ok(http.listen),
    }
}

fn tell(problem: &str, exit: Exit) -> Exit {
    let _ = writeln!(io::stderr().lock(), "{problem}");
    exit
}

/// The address at which a program on this machine reaches whoever listens there.
fn here(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Why there is no answer.
#[derive(Debug)]
enum AskError {
    /// The connection failed, or took too long.
    Io(io::Error),
    /// Something answered that is not Penstock.
    Foreign,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Io(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                write!(f, "no answer within {} s", TIMEOUT.as_secs())
            }
            AskError::Io(error) => write!(f, "{error}"),
            AskError::Foreign => f.write_str("what answers there is not Penstock"),
        }
    }
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> AskError {
        AskError::Io(error)
    }
}

/// The checks that fail, each as `name: why`; none if the service is well.
fn ask(address: SocketAddr, path: &str, deadline: Instant) -> Result<Vec<String>, AskError> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        // Each read gets what is left: a server that sends byte by byte does not keep us.
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part) {
            Ok(0) => return failing(&answer).ok_or(AskError::Foreign),
            Ok(read) => answer.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(AskError::Foreign);
        }
    }
}

/// The time until the deadline. Never zero, which would mean no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// The failing checks of a whole answer. `None` if it is not one of Penstock's health answers.
fn failing(answer: &[u8]) -> Option<Vec<String>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(length)) = head.parse(answer) else {
        return None;
    };
    let body: Value = serde_json::from_slice(answer.get(length..)?).ok()?;
    let failing: Vec<String> = body
        .get("checks")?
        .as_array()?
        .iter()
        .filter(|check| check.get("ok") != Some(&Value::Bool(true)))
        .map(|check| {
            let word = |name: &str| check.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
            format!("{}: {}", word("name"), word("why"))
        })
        .collect();
    match head.code {
        Some(200) if failing.is_empty() => Some(failing),
        Some(503) if !failing.is_empty() => Some(failing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_listens_everywhere_is_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:7367", "127.0.0.1:7367"),
            ("[::]:7367", "[::1]:7367"),
            ("192.0.2.7:1", "192.0.2.7:1"),
        ] {
            assert_eq!(here(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn only_a_whole_health_answer_counts() {
        let answer = |code: &str, body: &str| format!("HTTP/1.1 {code} X\r\nContent-Length: 1\r\n\r\n{body}");
        let well = r#"{"status":"ok","checks":[{"name":"partitions","ok":true,"why":""}]}"#;
        let ill = r#"{"status":"failing","checks":[{"name":"group","ok":false,"why":"not joined"},{"name":"kafka","ok":true}]}"#;
        for (text, expected) in [
            (answer("200", well), Some(vec![])),
            (answer("503", ill), Some(vec!["group: not joined".to_owned()])),
            // Half of an answer, code and content that contradict each other, other programs.
            (answer("200", &well[..20]), None),
            (answer("200", ill), None),
            (answer("503", well), None),
            (answer("200", "{}"), None),
            (answer("404", "not found"), None),
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(failing(text.as_bytes()), expected, "{text}");
        }
    }
}
