//! Questions to the service's HTTP endpoints, as `curl` asks them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::DEADLINE;

/// What came.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    /// The lines of the headers.
    pub head: String,
    pub body: String,
}

/// `GET path`.
pub fn get(address: SocketAddr, path: &str) -> Answered {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {text}"));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answered {
        status: status.unwrap_or_else(|| panic!("{path}: {head}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// The JSON at this path.
pub fn json(address: SocketAddr, path: &str) -> serde_json::Value {
    let answered = get(address, path);
    serde_json::from_str(&answered.body).unwrap_or_else(|error| panic!("{path}: {error}: {answered:?}"))
}
