//! Clients of all kinds against a running server. No test sleeps. If a test needs a time limit to pass, that limit is
//! short. If a limit must not matter, it is one hour.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::Duration;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
/// How long a step of a test may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// More bytes than the buffers of two sockets hold.
const BIG_BYTES: usize = 64 * 1024 * 1024;

/// The usual limits, but no connection ends by itself.
fn patient() -> Limits {
    Limits {
        connection_max: HOUR,
        idle_min: HOUR,
        ..Limits::default()
    }
}

fn serve(limits: Limits) -> Running {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let handler = |request: &Request| match request.path.as_str() {
        "/big" => Answer::text(Status::Ok, "x".repeat(BIG_BYTES)),
        "/bug" => panic!("on purpose"),
        path => Answer::text(Status::Ok, path.to_owned()),
    };
    server.start(handler).unwrap()
}

fn connect(running: &Running) -> TcpStream {
    let stream = TcpStream::connect(running.address()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads everything until the server ends the connection. Fails at a time-out.
fn rest(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_ne!(
            error.kind(),
            io::ErrorKind::WouldBlock,
            "the server keeps the connection"
        ),
    }
    bytes
}

fn text(stream: &TcpStream) -> String {
    String::from_utf8(rest(stream)).unwrap()
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// The server's answer to these bytes.
fn said(running: &Running, bytes: &[u8]) -> String {
    let mut stream = connect(running);
    // The server may answer and close before it has read all of them.
    let _ = stream.write_all(bytes);
    text(&stream)
}

/// Checks that another client is served.
fn assert_serves(running: &Running) {
    let said = said(running, request("/well").as_bytes());
    assert!(
        said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\n/well"),
        "{said}"
    );
}

fn assert_status(said: &str, status: &str) {
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {said}");
}

#[test]
fn get_and_head_are_answered_and_the_connection_ends() {
    let running = serve(patient());
    let got = said(&running, request("/a?b").as_bytes());
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "/a");
    for line in [
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Length: 2",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ] {
        assert!(head.lines().any(|each| each == line), "{line}: {head}");
    }
    let only_head = said(&running, b"HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(
        only_head.contains("\r\nContent-Length: 2\r\n") && only_head.ends_with("\r\n\r\n"),
        "{only_head}"
    );
    let refused = said(&running, b"DELETE /a HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_status(&refused, "405");
    assert!(refused.contains("\r\nAllow: GET, HEAD\r\n"), "{refused}");
}

#[test]
fn what_is_no_request_of_ours_gets_an_answer_and_the_server_goes_on() {
    let running = serve(patient());
    for (bytes, status) in [
        (&b"GET /x HTTP/1.0\r\n\r\n"[..], "200"),
        (b"GET http://test/x HTTP/1.1\r\nHost: test\r\n\r\n", "200"),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: test\r\n\r\n", "200"),
        (b"GET /x\r\n", "400"),
        (b"GET /x HTTP/1.1\r\n\r\n", "400"),
        (b"GET /\0 HTTP/1.1\r\nHost: test\r\n\r\n", "400"),
        (b"\0\0\0\0", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "400"),
        (b"\xff\xfe\xfd\xfc", "400"),
        (b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", "405"),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody", "405"),
    ] {
        assert_status(&said(&running, bytes), status);
        assert_serves(&running);
    }
}

#[test]
fn a_client_that_sends_one_byte_at_a_time_is_answered_and_holds_nobody_up() {
    let running = serve(patient());
    let mut slow = connect(&running);
    for (number, byte) in request("/slow").bytes().enumerate() {
        slow.write_all(&[byte]).unwrap();
        if number % 8 == 0 {
            assert_serves(&running);
        }
    }
    let said = text(&slow);
    assert!(said.ends_with("\r\n\r\n/slow"), "{said}");
}

#[test]
fn one_that_never_comes_to_an_end_is_ended_at_its_deadline() {
    let limits = Limits {
        connection_max: Duration::from_millis(100),
        ..patient()
    };
    let running = serve(limits);
    let (silent, mut slow) = (connect(&running), connect(&running));
    assert_eq!(text(&silent), "");
    // This client is never idle. It writes until the server has reset the connection.
    while slow.write_all(b"G").is_ok() {}
    assert_serves(&running);
}

#[test]
fn silent_clients_hold_nobody_up() {
    let running = serve(patient());
    let silent: Vec<TcpStream> = (0..60).map(|_| connect(&running)).collect();
    assert_serves(&running);
    for mut stream in silent {
        stream.write_all(request("/late").as_bytes()).unwrap();
        assert!(text(&stream).ends_with("/late"));
    }
}

#[test]
fn a_huge_head_is_refused_and_its_rest_is_read_up_to_a_bound() {
    let huge = vec![b'a'; 10_000_000];
    // The server throws away all of the surplus, and the client reads its answer.
    let running = serve(Limits {
        surplus_bytes_max: huge.len(),
        ..patient()
    });
    let mut stream = connect(&running);
    stream.write_all(&huge).unwrap();
    assert_status(&text(&stream), "431");
    let fields = format!("GET / HTTP/1.1\r\nHost: test\r\n{}\r\n", "Field: value\r\n".repeat(100));
    assert_status(&said(&running, fields.as_bytes()), "431");
    let body = [
        b"GET /x HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n",
        &*huge,
    ]
    .concat();
    assert_status(&said(&running, &body[..5_000_000]), "200");
    // Beyond the bound the connection is closed.
    let running = serve(patient());
    for _ in 0..3 {
        let mut stream = connect(&running);
        while stream.write_all(&huge).is_ok() {}
        assert_serves(&running);
    }
}

#[test]
fn one_that_never_reads_its_answer_holds_nobody_up_and_ends() {
    let limits = Limits {
        connections_max: 1,
        connection_max: Duration::from_millis(200),
        ..patient()
    };
    let running = serve(limits);
    let mut deaf = connect(&running);
    deaf.write_all(request("/big").as_bytes()).unwrap();
    // There is room for one connection, so this client waits until the deadline of the other one.
    assert_serves(&running);
    assert!(rest(&deaf).len() < BIG_BYTES);
}

#[test]
fn answers_that_nobody_reads_have_a_bound() {
    let running = serve(Limits {
        unread_bytes_max: 1,
        ..patient()
    });
    let mut deaf = connect(&running);
    deaf.write_all(request("/big").as_bytes()).unwrap();
    let mut other = connect(&running);
    other.write_all(request("/big").as_bytes()).unwrap();
    assert!(rest(&deaf).len() < BIG_BYTES);
    assert!(rest(&other).len() > BIG_BYTES);
    assert_serves(&running);
}

#[test]
fn five_hundred_clients_at_once_are_all_answered() {
    let running = serve(patient());
    let begin = Barrier::new(500);
    thread::scope(|scope| {
        for _ in 0..500 {
            scope.spawn(|| {
                begin.wait();
                assert_serves(&running);
            });
        }
    });
}

#[test]
fn the_one_that_has_been_idle_for_the_longest_goes_for_a_new_one() {
    let running = serve(Limits {
        connections_max: 2,
        idle_min: Duration::ZERO,
        ..patient()
    });
    let (first, mut second) = (connect(&running), connect(&running));
    assert_serves(&running);
    assert_eq!(text(&first), "");
    second.write_all(request("/second").as_bytes()).unwrap();
    assert!(text(&second).ends_with("/second"));
}

#[test]
fn a_new_one_waits_for_those_that_have_not_been_idle_for_long() {
    let running = serve(Limits {
        connections_max: 1,
        ..patient()
    });
    let (mut first, mut second) = (connect(&running), connect(&running));
    second.write_all(request("/second").as_bytes()).unwrap();
    first.write_all(request("/first").as_bytes()).unwrap();
    assert!(text(&first).ends_with("/first"));
    drop(first);
    assert!(text(&second).ends_with("/second"));
}

/// Calls the steps of the server directly, without its thread.
#[test]
fn whether_a_new_one_takes_a_place_depends_on_how_long_the_others_have_been_idle() {
    for (idle_min, waits) in [(HOUR, true), (Duration::ZERO, false)] {
        let limits = Limits {
            connections_max: 1,
            idle_min,
            ..patient()
        };
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let address = server.address();
        let mut serving = Serving::new(server, |_| Answer::text(Status::Ok, ""));
        let _first = TcpStream::connect(address).unwrap();
        serving.accept();
        let first_at = serving.slots[0].as_ref().unwrap().active_at;
        let _second = TcpStream::connect(address).unwrap();
        serving.accept();
        assert_eq!(serving.next.is_some(), waits, "{idle_min:?}");
        let kept_at = serving.slots[0].as_ref().unwrap().active_at;
        assert_eq!(kept_at == first_at, waits, "{idle_min:?}");
        // The server wakes up in time to check again.
        let wait_max = serving.wait_max().unwrap();
        assert!(wait_max <= HOUR, "{wait_max:?}");
    }
}

#[test]
fn a_handler_that_panics_costs_its_request_an_answer_and_nothing_else() {
    let running = serve(patient());
    assert_status(&said(&running, request("/bug").as_bytes()), "500");
    assert_serves(&running);
}

#[test]
fn a_taken_address_is_told_with_the_cure() {
    let running = serve(patient());
    let error = Server::bind(running.address(), patient()).unwrap_err().to_string();
    let address = running.address();
    assert!(
        error.starts_with(&format!("http: cannot listen at {address} error=\"")),
        "{error}"
    );
    assert!(error.contains("cure=\"another program listens there"), "{error}");
    // An address that belongs to no network (RFC 5737).
    let error = Server::bind("192.0.2.1:0".parse().unwrap(), patient())
        .unwrap_err()
        .to_string();
    assert!(error.contains("cure=\"no network interface"), "{error}");
}

#[test]
fn it_ends_when_it_is_dropped_whoever_is_connected() {
    let running = serve(patient());
    let address = running.address();
    let mut deaf = connect(&running);
    deaf.write_all(request("/big").as_bytes()).unwrap();
    let silent = connect(&running);
    assert_serves(&running);
    drop(running);
    assert_eq!(text(&silent), "");
    assert!(rest(&deaf).len() < BIG_BYTES);
    Server::bind(address, patient()).unwrap();
}
