//! The simulator against the recorded conversation of a real server (`tests/data/aerospike-transcript.txt`): every
//! recorded request is sent to it over real connections, in order, and every answer is compared byte by byte.
//!
//! Masked, because they depend on what happened before the recording or on the clock: the generation and the void time
//! in a message header (bytes 6 to 14 of each; where the recording has 0 the answer must have 0 too, and where it has
//! another value the answer must have another than 0). In `namespace/<name>` the values of `objects`,
//! `master_objects`, `current_time`, `non_expirable_objects` and `expired_objects`. No frame is left out.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use penstock_sim::{SimConfig, Simulator};

const TRANSCRIPT: &str = include_str!("../data/aerospike-transcript.txt");
const MESSAGE_HEADER_BYTES: usize = 22;
const CUT: &str = " …(cut)";

/// A frame of the recording: its type and its body, perhaps cut.
struct Frame {
    line: usize,
    kind: u8,
    /// The length the header gave, where the recording says it (messages).
    bytes: Option<usize>,
    body: Vec<u8>,
    is_cut: bool,
}

enum Entry {
    Request(String, Frame),
    Answer(String, Frame),
    Call(String),
}

fn parse(line_number: usize, line: &str) -> Entry {
    if let Some(call) = line.strip_prefix("== ") {
        return Entry::Call(call.to_owned());
    }
    let (connection, rest) = line.split_once(' ').unwrap();
    let (arrow, frame) = rest.split_once(' ').unwrap();
    let (frame, is_cut) = frame.strip_suffix(CUT).map_or((frame, false), |frame| (frame, true));
    let frame = if let Some(text) = frame.strip_prefix("INFO v2 b'") {
        let text = text.strip_suffix('\'').unwrap_or(text);
        let body = text
            .replace("\\n", "\n")
            .replace("\\t", "\t")
            .replace("/*682", &"/".repeat(682))
            .into_bytes();
        Frame {
            line: line_number,
            kind: 1,
            bytes: None,
            body,
            is_cut,
        }
    } else {
        let (len, hex) = frame.strip_prefix("type=3 v2 len=").unwrap().split_once(' ').unwrap();
        let bytes: usize = len.parse().unwrap();
        let body: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert!(
            is_cut || bytes == body.len(),
            "line {line_number}: {bytes} bytes said, {} recorded",
            body.len()
        );
        Frame {
            line: line_number,
            kind: 3,
            bytes: Some(bytes),
            body,
            is_cut,
        }
    };
    match arrow {
        "->" => Entry::Request(connection.to_owned(), frame),
        "<-" => Entry::Answer(connection.to_owned(), frame),
        other => panic!("line {line_number}: {other}"),
    }
}

fn send(stream: &mut TcpStream, frame: &Frame) {
    assert!(
        !frame.is_cut,
        "line {}: a request that was cut cannot be sent",
        frame.line
    );
    let header = (2u64 << 56) | (u64::from(frame.kind) << 48) | frame.body.len() as u64;
    stream
        .write_all(&[&header.to_be_bytes(), frame.body.as_slice()].concat())
        .unwrap();
}

fn receive(stream: &mut TcpStream, line: usize) -> (u8, Vec<u8>) {
    let mut header = [0; 8];
    stream
        .read_exact(&mut header)
        .unwrap_or_else(|error| panic!("line {line}: no answer: {error}"));
    let word = u64::from_be_bytes(header);
    assert_eq!(header[0], 2, "line {line}: version");
    let mut body = vec![0; (word & 0xffff_ffff_ffff) as usize];
    stream
        .read_exact(&mut body)
        .unwrap_or_else(|error| panic!("line {line}: half an answer: {error}"));
    (header[1], body)
}

/// Sets generation and void time of every message header in `body` to 0 or 1: whether they are there.
fn mask_messages(body: &mut [u8]) {
    let mut at = 0;
    while at + MESSAGE_HEADER_BYTES <= body.len() {
        for field in [at + 6..at + 10, at + 10..at + 14] {
            let is_set = body[field.clone()].iter().any(|byte| *byte != 0);
            body[field].copy_from_slice(&u32::from(is_set).to_be_bytes());
        }
        let ops = u16::from_be_bytes([body[at + 20], body[at + 21]]);
        at += MESSAGE_HEADER_BYTES;
        for _ in 0..ops {
            let size = u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
            at += 4 + size as usize;
        }
    }
}

/// Takes the values out that count what the recorded server held.
fn mask_info(body: &[u8]) -> String {
    let counted = [
        "objects",
        "master_objects",
        "current_time",
        "non_expirable_objects",
        "expired_objects",
    ];
    let text = String::from_utf8(body.to_vec()).unwrap();
    let mask_entry = |entry: &str| match entry.rsplit_once('=') {
        Some((name, _)) if counted.contains(&name) => format!("{name}=N"),
        _ => entry.to_owned(),
    };
    let mask_line = |line: &str| line.split(';').map(mask_entry).collect::<Vec<_>>().join(";");
    text.split('\n').map(mask_line).collect::<Vec<_>>().join("\n")
}

fn compare(recorded: &Frame, kind: u8, mut answer: Vec<u8>, call: &str) {
    let line = recorded.line;
    assert_eq!(kind, recorded.kind, "line {line}: type");
    if kind == 1 {
        let (expected, mut got) = (mask_info(&recorded.body), mask_info(&answer));
        if recorded.is_cut {
            let mut end = expected.len().min(got.len());
            while !got.is_char_boundary(end) {
                end -= 1;
            }
            got.truncate(end);
        }
        assert_eq!(got, expected, "line {line}, before {call:?}");
        return;
    }
    assert_eq!(
        recorded.bytes,
        Some(answer.len()),
        "line {line}: length; got {answer:02x?}"
    );
    let mut expected = recorded.body.clone();
    if recorded.is_cut {
        answer.truncate(expected.len());
    }
    mask_messages(&mut expected);
    mask_messages(&mut answer);
    assert_eq!(
        answer, expected,
        "line {line}, before {call:?}\n got {answer:02x?}\nwant {expected:02x?}"
    );
}

/// The recording deletes a record it did not write: it was there. (So was the first one written, at generation 8; it
/// is overwritten, and generations are masked.)
fn put_before_the_recording(simulator: &Simulator) {
    let record = "2aa527ffab19286a1071db1b09614c34156b5f37";
    let put = format!(
        "x -> type=3 v2 len=79 1600010000000000000000000000000003e800030001000000050074657374000000020166000000\
         1504{record}0000000d02010001780000000000000001"
    );
    let Entry::Request(_, frame) = parse(0, &put) else {
        panic!("a request")
    };
    let mut stream = TcpStream::connect(simulator.addr()).unwrap();
    send(&mut stream, &frame);
    let (_, answer) = receive(&mut stream, 0);
    assert_eq!(answer[5], 0, "{answer:02x?}");
}

#[test]
fn every_recorded_request_is_answered_as_the_real_server_did() {
    let config = SimConfig {
        cluster_name: "demo-cluster".to_owned(),
        ..SimConfig::default()
    };
    let simulator = Simulator::start(config).unwrap();
    let mut connections: BTreeMap<String, TcpStream> = BTreeMap::new();
    put_before_the_recording(&simulator);
    let (mut requests, mut answers, mut calls, mut left_out) = (0, 0, 0, Vec::new());

    let entries: Vec<Entry> = TRANSCRIPT
        .lines()
        .enumerate()
        .map(|(at, line)| parse(at + 1, line))
        .collect();
    let mut next_call = String::new();
    let names: Vec<String> = entries
        .iter()
        .rev()
        .map(|entry| {
            if let Entry::Call(call) = entry {
                next_call.clone_from(call);
            }
            next_call.clone()
        })
        .collect();
    for (entry, call) in entries.iter().zip(names.iter().rev()) {
        match entry {
            Entry::Request(connection, frame) => {
                let stream = connections.entry(connection.clone()).or_insert_with(|| {
                    let stream = TcpStream::connect(simulator.addr()).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                    stream
                });
                if frame.is_cut {
                    left_out.push(frame.line);
                    continue;
                }
                send(stream, frame);
                requests += 1;
            }
            Entry::Answer(connection, frame) => {
                let stream = connections.get_mut(connection).unwrap();
                let (kind, body) = receive(stream, frame.line);
                compare(frame, kind, body, call);
                answers += 1;
            }
            Entry::Call(_) => calls += 1,
        }
    }
    assert_eq!(left_out, Vec::<usize>::new(), "requests that were cut");
    assert_eq!((connections.len(), requests, answers, calls), (3, 39, 41, 36));
}
