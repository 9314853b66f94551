//! Parses requests from bytes and encodes answers as bytes, as RFC 9112 defines them. Depends only on its arguments.

use std::borrow::Cow;

use httparse::EMPTY_HEADER;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// The most headers that a request may have.
const HEADERS_MAX: usize = 64;

/// What a client asks for, with `GET` or `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path as it was sent: from the first `/` up to a `?`.
    pub path: String,
    /// The `Accept` header. Empty if there is none.
    pub accept: String,
}

/// The status of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    InternalError,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::InternalError => "500 Internal Server Error",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: Status,
    pub content_type: &'static str,
    /// Headers in addition to those that every answer has.
    pub headers: Vec<(&'static str, String)>,
    pub body: Cow<'static, str>,
}

impl Answer {
    pub fn new(status: Status, content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Answer {
        Answer {
            status,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// An answer in plain text, for people.
    pub fn text(status: Status, body: impl Into<Cow<'static, str>>) -> Answer {
        Answer::new(status, "text/plain; charset=utf-8", body)
    }

    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// The bytes for the socket. An answer to `HEAD` has no body. Otherwise it is the same.
    pub fn encoded(&self, has_body: bool) -> Vec<u8> {
        let mut head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            self.status.line(),
            self.content_type,
            self.body.len()
        );
        // If the clock shows a year that the header cannot express, there is no `Date`.
        if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()) {
            head.push_str(&format!("Date: {date}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if has_body {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        bytes
    }
}

/// What the bytes of a request are so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// The head is not complete yet.
    Partial,
    /// The complete request, and whether the answer has a body.
    Whole(Request, bool),
    Refused(Answer),
}

fn refused(why: &'static str) -> Head {
    Head::Refused(Answer::text(Status::BadRequest, why))
}

/// Reads the head of a request. `is_full`: the buffer has no room for more bytes.
pub fn read(bytes: &[u8], is_full: bool) -> Head {
    let too_large = || {
        Head::Refused(Answer::text(
            Status::HeadTooLarge,
            "the head of the request is too large\n",
        ))
    };
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if is_full => return too_large(),
        Ok(httparse::Status::Partial) => return Head::Partial,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return too_large(),
        Err(_) => return refused("this is no HTTP/1.1 request\n"),
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return refused("this is no HTTP/1.1 request\n");
    };
    let has_body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => {
            let answer = Answer::text(Status::MethodNotAllowed, "only GET and HEAD\n");
            return Head::Refused(answer.with("Allow", "GET, HEAD"));
        }
    };
    let named = |name: &'static str| {
        let headers = request.headers.iter();
        headers.filter(move |header| header.name.eq_ignore_ascii_case(name))
    };
    let hosts = named("host").count();
    if hosts > 1 || (hosts == 0 && version > 0) {
        return refused("a request has one Host header\n");
    }
    let Some(path) = path(target) else {
        return refused("the target of a request is a path\n");
    };
    let accept: Vec<Cow<'_, str>> = named("accept")
        .map(|header| String::from_utf8_lossy(header.value))
        .collect();
    let request = Request {
        path: path.to_owned(),
        accept: accept.join(", "),
    };
    Head::Whole(request, has_body)
}

/// The path of a request's target: `/status?x`, or `http://host/status`, which is the form for proxies.
fn path(target: &str) -> Option<&str> {
    let whole = if target.starts_with('/') {
        target
    } else {
        let (scheme, rest) = target.split_once("://")?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (_, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if path.starts_with('/') { path } else { "/" }
    };
    whole.split('?').next()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn get(path: &str) -> Head {
        let request = Request {
            path: path.to_owned(),
            accept: String::new(),
        };
        Head::Whole(request, true)
    }

    fn status(bytes: &[u8]) -> Option<Status> {
        match read(bytes, false) {
            Head::Refused(answer) => Some(answer.status),
            Head::Partial | Head::Whole(..) => None,
        }
    }

    #[test]
    fn a_target_becomes_a_path() {
        for (target, path) in [
            ("/", "/"),
            ("/status?a=b?c", "/status"),
            ("/..//%2e/x", "/..//%2e/x"),
            ("http://h:1/metrics", "/metrics"),
            ("HTTPS://h/metrics?x", "/metrics"),
            ("http://h", "/"),
            ("http://h?x=/y", "/"),
        ] {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(read(bytes.as_bytes(), false), get(path), "{target}");
        }
        for target in ["*", "h:80", "ftp://h/x", "status"] {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(status(bytes.as_bytes()), Some(Status::BadRequest), "{target}");
        }
    }

    #[test]
    fn a_request_is_read_once_it_is_whole() {
        let bytes = b"HEAD /x HTTP/1.1\r\naccept: a/b\r\nHOST: h\r\nAccept: c\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end], false), Head::Partial, "{end}");
            assert!(
                matches!(read(&bytes[..end], true), Head::Refused(answer) if answer.status == Status::HeadTooLarge),
                "{end}"
            );
        }
        let request = Request {
            path: "/x".to_owned(),
            accept: "a/b, c".to_owned(),
        };
        assert_eq!(read(bytes, true), Head::Whole(request, false));
        assert_eq!(read(b"GET / HTTP/1.0\r\n\r\n", false), get("/"));
        assert_eq!(read(b"\r\nGET / HTTP/1.0\n\n", false), get("/"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX));
        for (bytes, expected) in [
            (&b"GET /\r\n"[..], Status::BadRequest),                   // HTTP/0.9
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Status::BadRequest), // HTTP/2
            (b"\x16\x03\x01\x02\x00\x01\x00", Status::BadRequest),     // TLS
            (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", Status::BadRequest),
            (b"GET / HTTP/1.1\r\nHost: h\0\r\n\r\n", Status::BadRequest),
            (b"GET / HTTP/1.1\r\n\r\n", Status::BadRequest),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Status::BadRequest),
            (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", Status::BadRequest),
            (b"POST / HTTP/1.1\r\nHost: h\r\n\r\n", Status::MethodNotAllowed),
            (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", Status::MethodNotAllowed),
            (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", Status::MethodNotAllowed),
            (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", Status::MethodNotAllowed),
            (many.as_bytes(), Status::HeadTooLarge),
        ] {
            assert_eq!(status(bytes), Some(expected), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in vec(any::<u8>(), 0..200), line in "[ -~\r\n:/?*.]{0,80}", is_full: bool) {
            let request = [b"GET ".as_slice(), line.as_bytes(), b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            for bytes in [bytes, line.into_bytes(), request] {
                match read(&bytes, is_full) {
                    Head::Partial => prop_assert!(!is_full),
                    Head::Whole(request, _) => prop_assert!(request.path.starts_with('/')),
                    Head::Refused(answer) => prop_assert_ne!(answer.status, Status::Ok),
                }
            }
        }
    }

    #[test]
    fn an_answer_to_head_has_the_headers_and_no_body() {
        let answer = Answer::text(Status::Ok, "größe").with("Allow", "x");
        let (get, head) = (answer.encoded(true), answer.encoded(false));
        let (get, head) = (String::from_utf8(get).unwrap(), String::from_utf8(head).unwrap());
        assert_eq!(get, format!("{head}größe"));
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        for line in [
            "Content-Length: 7",
            "Cache-Control: no-store",
            "Connection: close",
            "Allow: x",
        ] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
        }
        assert!(head.contains("\r\nDate: ") && head.contains(" GMT\r\n"), "{head}");
    }
}
