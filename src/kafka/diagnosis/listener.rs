//! Finds out what answers at a port: what kind of Kafka listener, or something else.
//!
//! For most mistakes, librdkafka only reports that the connection was closed. So if no broker answers, this code asks
//! the ports of `kafka.brokers` directly, over plain sockets: first as a Kafka client and, if that is not understood,
//! with the first bytes of TLS, Aerospike, ZooKeeper and HTTP. It asks only what each of them answers without a login,
//! and writes nothing.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::kafka::diagnosis::handshake::{Distrust, Handshake};

/// Time-out for connecting, and for each answer.
const TIMEOUT: Duration = Duration::from_millis(1500);
/// Maximum length of an answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What answers at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A broker's listener without TLS.
    Kafka(Login),
    /// A KRaft controller's listener without TLS.
    Controller,
    /// Any server behind TLS.
    Tls,
    /// A broker's listener with TLS, or any server behind it that does not tell.
    KafkaTls {
        login: Login,
        /// What is wrong with its certificate.
        distrust: Option<Distrust>,
    },
    Http,
    Aerospike,
    ZooKeeper,
    Ssh,
    /// It accepts connections and answers nothing.
    Silent,
    /// It closes connections, or answers something else.
    Unknown,
    /// No connection: the reason.
    Unreached(String),
    /// The host name has no address: the reason.
    Unresolved(String),
}

/// What a broker's listener says about logging in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// It has no login.
    None,
    /// It requires a login, by one of these mechanisms.
    Wanted(Vec<String>),
    /// It does not tell.
    Unknown,
}

/// Finds out what answers at `address` (`host:port`). Blocks for a few seconds at most, plus the time of the host
/// name's lookup. `handshake`: also looks behind TLS.
pub fn look(address: &str, handshake: Option<&Handshake>) -> Listener {
    match (look_outside(address), handshake) {
        (Listener::Tls, Some(handshake)) => behind_tls(address, handshake).unwrap_or(Listener::Tls),
        (found, _) => found,
    }
}

fn look_outside(address: &str) -> Listener {
    if let Err(error) = address.to_socket_addrs() {
        return Listener::Unresolved(error.to_string());
    }
    let stream = match connect(address) {
        Ok(stream) => stream,
        Err(error) => return Listener::Unreached(error.to_string()),
    };
    let answer = ask(stream, &api_versions()).unwrap_or_default();
    if let Some(keys) = api_keys(&answer.bytes) {
        // A server that does not know the version of the request lists no others.
        return if keys.is_empty() || keys.contains(&METADATA) {
            Listener::Kafka(login(address))
        } else {
            Listener::Controller
        };
    }
    if let Some(found) = by_answer(&answer.bytes) {
        return found;
    }
    let questions: [&[u8]; 4] = [&client_hello(), AEROSPIKE, b"srvr", b"GET / HTTP/1.0\r\n\r\n"];
    let others: Vec<Answer> = thread::scope(|scope| {
        let asked = questions.map(|question| scope.spawn(move || ask(connect(address)?, question)));
        asked
            .into_iter()
            .filter_map(|thread| thread.join().ok()?.ok())
            .collect()
    });
    let found = others.iter().find_map(|answer| by_answer(&answer.bytes));
    let is_silent = !answer.is_closed && others.iter().all(|answer| answer.bytes.is_empty());
    found.unwrap_or(if is_silent { Listener::Silent } else { Listener::Unknown })
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => {
                stream.set_write_timeout(Some(TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[derive(Debug, Default)]
struct Answer {
    bytes: Vec<u8>,
    /// The other side has closed the connection.
    is_closed: bool,
}

/// Sends `question` and reads the answer, until it is a whole Kafka frame, the connection ends or the time is over.
fn ask(mut stream: TcpStream, question: &[u8]) -> io::Result<Answer> {
    let deadline = Instant::now() + TIMEOUT;
    let mut answer = Answer::default();
    if stream.write_all(question).is_err() {
        answer.is_closed = true;
    }
    let mut buffer = [0; 2048];
    while answer.bytes.len() < ANSWER_BYTES_MAX && frame(&answer.bytes).is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) => answer.is_closed = true,
            Ok(count) => answer.bytes.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                answer.is_closed = !late;
                break;
            }
        }
        // If it is not a frame, the first bytes are enough.
        if answer.is_closed || by_answer(&answer.bytes).is_some() {
            break;
        }
    }
    Ok(answer)
}

/// What the first bytes show.
fn by_answer(bytes: &[u8]) -> Option<Listener> {
    match bytes {
        // A TLS record: a handshake or an alert.
        [0x15 | 0x16, 0x03, 0x00..=0x04, ..] => Some(Listener::Tls),
        [b'H', b'T', b'T', b'P', b'/', ..] => Some(Listener::Http),
        [b'S', b'S', b'H', b'-', ..] => Some(Listener::Ssh),
        // An answer to an info request: version 2, type 1.
        [0x02, 0x01, 0x00, 0x00, _, _, _, _, ..] => Some(Listener::Aerospike),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let words = ["Zookeeper version", "ZooKeeper instance", "is not executed because"];
            words
                .iter()
                .any(|words| text.contains(words))
                .then_some(Listener::ZooKeeper)
        }
    }
}

// ---- Kafka's protocol

const CORRELATION: u32 = 0x7e57_0007;
const METADATA: u16 = 3;
const SASL_HANDSHAKE: u16 = 17;
const API_VERSIONS: u16 = 18;
const ILLEGAL_SASL_STATE: u16 = 34;

/// A request without a client name.
fn request(key: u16, version: u16, body: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(key.to_be_bytes());
    payload.extend(version.to_be_bytes());
    payload.extend(CORRELATION.to_be_bytes());
    payload.extend(u16::MAX.to_be_bytes());
    payload.extend(body);
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    [&size.to_be_bytes(), payload.as_slice()].concat()
}

fn api_versions() -> Vec<u8> {
    request(API_VERSIONS, 0, &[])
}

/// The body of the answer to one of our requests, when it is complete.
fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let (size, rest) = bytes.split_first_chunk()?;
    let payload = rest.get(..usize::try_from(u32::from_be_bytes(*size)).ok()?)?;
    let (correlation, body) = payload.split_first_chunk()?;
    (u32::from_be_bytes(*correlation) == CORRELATION).then_some(body)
}

fn take_u16<'b>(body: &mut &'b [u8]) -> Option<u16> {
    let (number, rest) = (*body as &'b [u8]).split_first_chunk()?;
    *body = rest;
    Some(u16::from_be_bytes(*number))
}

fn take_u32<'b>(body: &mut &'b [u8]) -> Option<u32> {
    let (number, rest) = (*body as &'b [u8]).split_first_chunk()?;
    *body = rest;
    Some(u32::from_be_bytes(*number))
}

/// The requests that the other side supports, if it answers like Kafka. Empty if it does not tell.
fn api_keys(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut body = frame(bytes)?;
    if take_u16(&mut body)? != 0 {
        return Some(Vec::new());
    }
    let count = take_u32(&mut body)?;
    (0..count.min(1000))
        .map(|_| {
            let key = take_u16(&mut body)?;
            let _from = take_u16(&mut body)?;
            let _to = take_u16(&mut body)?;
            Some(key)
        })
        .collect()
}

/// Asks for a mechanism that does not exist. A listener with SASL answers with the mechanisms that it has; another
/// listener answers that it has none.
fn which_mechanisms() -> Vec<u8> {
    let name = b"PENSTOCK-LOOKS";
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
    request(SASL_HANDSHAKE, 1, &[&length.to_be_bytes(), name.as_slice()].concat())
}

/// What a listener says that has TLS.
fn behind_tls(address: &str, handshake: &Handshake) -> io::Result<Listener> {
    let deadline = Instant::now() + TIMEOUT;
    let stream = connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let mut encrypted = handshake.with(stream, host, deadline)?;
    let answer = encrypted.ask(&which_mechanisms(), deadline, |bytes| frame(bytes).is_some());
    let login = answer.ok().and_then(|bytes| mechanisms(&bytes));
    Ok(Listener::KafkaTls {
        login: login.unwrap_or(Login::Unknown),
        distrust: encrypted.distrust,
    })
}

fn login(address: &str) -> Login {
    let answer = connect(address).and_then(|stream| ask(stream, &which_mechanisms()));
    answer
        .ok()
        .and_then(|answer| mechanisms(&answer.bytes))
        .unwrap_or(Login::Unknown)
}

fn mechanisms(bytes: &[u8]) -> Option<Login> {
    let mut body = frame(bytes)?;
    if take_u16(&mut body)? == ILLEGAL_SASL_STATE {
        return Some(Login::None);
    }
    let count = take_u32(&mut body)?;
    let names: Option<Vec<String>> = (0..count.min(100))
        .map(|_| {
            let length = usize::from(take_u16(&mut body)?);
            let (name, rest) = body.split_at_checked(length)?;
            body = rest;
            Some(String::from_utf8_lossy(name).into_owned())
        })
        .collect();
    names.map(Login::Wanted)
}

// ---- the others

/// An info request for `build`: version 2, type 1, the length in 6 bytes.
const AEROSPIKE: &[u8] = b"\x02\x01\x00\x00\x00\x00\x00\x06build\n";

/// The first message of TLS 1.2, with a few ciphers that every server knows. The answer is a TLS record, at least an
/// alert.
fn client_hello() -> Vec<u8> {
    let mut hello = vec![0x03, 0x03];
    hello.extend([0x50; 32]);
    // No session; four cipher suites; no compression.
    hello.extend([
        0x00, 0x00, 0x08, 0xc0, 0x2f, 0xc0, 0x2b, 0x00, 0x9c, 0x00, 0x2f, 0x01, 0x00,
    ]);
    // Extensions: the groups P-256 and P-384, uncompressed points, signatures with SHA-256.
    let extensions = [
        0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x17, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, 0x00, 0x0d,
        0x00, 0x08, 0x00, 0x06, 0x04, 0x01, 0x04, 0x03, 0x08, 0x04,
    ];
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([0x01, 0x00]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 4).unwrap();
        [&size.to_be_bytes(), &CORRELATION.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_brokers_answer_is_read_when_it_is_whole() {
        let whole = answered(&[0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 13, 0, 18, 0, 0, 0, 4]);
        assert_eq!(api_keys(&whole), Some(vec![3, 18]));
        for length in 0..whole.len() {
            assert_eq!(api_keys(&whole[..length]), None, "{length}");
        }
        // The answer to another request.
        let mut other = whole;
        other[7] ^= 1;
        assert_eq!(api_keys(&other), None);
    }

    #[test]
    fn a_listener_tells_its_mechanisms_or_that_nobody_logs_in() {
        let wanted = answered(b"\x00\x21\x00\x00\x00\x02\x00\x05PLAIN\x00\x0dSCRAM-SHA-256");
        let names = vec!["PLAIN".to_owned(), "SCRAM-SHA-256".to_owned()];
        assert_eq!(mechanisms(&wanted), Some(Login::Wanted(names)));
        assert_eq!(mechanisms(&answered(&[0, 34, 0, 0, 0, 0])), Some(Login::None));
        assert_eq!(mechanisms(&answered(&[0, 33, 0, 0, 0, 9])), None, "cut");
    }

    #[test]
    fn what_is_no_broker_is_told_by_its_first_bytes() {
        for (bytes, expected) in [
            (b"\x15\x03\x03\x00\x02\x02\x28".as_slice(), Some(Listener::Tls)),
            (b"\x16\x03\x03\x00\x5a", Some(Listener::Tls)),
            (b"HTTP/1.1 400 Bad Request", Some(Listener::Http)),
            (b"SSH-2.0-OpenSSH_9.6", Some(Listener::Ssh)),
            (
                b"\x02\x01\x00\x00\x00\x00\x00\x0ebuild\t8.1.2.0\n",
                Some(Listener::Aerospike),
            ),
            (b"Zookeeper version: 3.8.4", Some(Listener::ZooKeeper)),
            (
                b"srvr is not executed because it is not in the whitelist.",
                Some(Listener::ZooKeeper),
            ),
            (b"", None),
            (b"\x00\x00\x00\x0a", None),
        ] {
            assert_eq!(by_answer(bytes), expected, "{bytes:?}");
        }
    }
}
