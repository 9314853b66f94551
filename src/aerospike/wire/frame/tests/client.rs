//! The bytes that the client sends for rows, recorded between it and a simulator.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use aerospike::{BatchPolicy, Client, ClientPolicy};
use penstock_sim::{SimConfig, Simulator};

use crate::aerospike::request;
use crate::delivery::plan::OutgoingRow;

/// Long enough that no call ends before its answer.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// A client whose batch requests are recorded.
pub struct Recorder {
    client: Client,
    frames: Receiver<Vec<u8>>,
    _simulator: Simulator,
}

impl Recorder {
    pub fn start() -> Recorder {
        let simulator = Simulator::start(SimConfig::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hosts = listener.local_addr().unwrap().to_string();
        let (sender, frames) = channel();
        let server = simulator.addr();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, sender) = (client.unwrap(), sender.clone());
                thread::spawn(move || forward(client, server, &sender));
            }
        });
        Recorder {
            client: Client::new(&ClientPolicy::default(), &hosts).unwrap(),
            frames,
            _simulator: simulator,
        }
    }

    /// What the client sends for these rows. At least two: it sends a lone row as a single write.
    pub fn frame(&self, rows: &[OutgoingRow<'_>]) -> Vec<u8> {
        assert!(rows.len() > 1);
        let mut policy = BatchPolicy::write_default();
        policy.base_policy.total_timeout = TIMEOUT.as_millis().try_into().unwrap();
        policy.base_policy.socket_timeout = policy.base_policy.total_timeout;
        let mut operations = request::write(rows);
        self.client.batch(&policy, &mut operations).unwrap();
        self.frames.recv_timeout(TIMEOUT).unwrap()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.client.close();
    }
}

/// Hands bytes on in both directions until one side closes.
fn forward(mut client: TcpStream, server: SocketAddr, frames: &Sender<Vec<u8>>) {
    let mut server = TcpStream::connect(server).unwrap();
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut frame = vec![0; 8];
    while client.read_exact(&mut frame[..8]).is_ok() {
        let size = u64::from_be_bytes(frame[..8].try_into().unwrap()) & 0xffff_ffff_ffff;
        frame.resize(8 + size as usize, 0);
        if client.read_exact(&mut frame[8..]).is_err() || server.write_all(&frame).is_err() {
            break;
        }
        let is_batch = frame[1] == 3 && frame[9] & 0x08 != 0;
        if is_batch && frames.send(frame.clone()).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

/// Row flags of a request.
pub const REPEAT: u8 = 0x01;
/// In the second info byte: the client wants an answer for each operation.
pub const RESPOND_ALL_OPS: u8 = 0x80;

/// A request taken apart: what stands before the rows, and each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub head: Vec<u8>,
    pub rows: Vec<Vec<u8>>,
}

/// Reads numbers from the front of bytes.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, bytes: usize) -> &'b [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        self.take(bytes)
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

impl Request {
    /// Takes a whole request apart, and checks its lengths.
    pub fn of(frame: &[u8]) -> Request {
        const HEAD: usize = 8 + 22 + 5 + 4 + 1;
        let mut head = Reader(&frame[..HEAD]);
        head.take(2);
        assert_eq!(head.number(6), frame.len() - 8, "the size of the message");
        head.take(22);
        assert_eq!(head.number(4), frame.len() - 34, "the length of the batch's field");
        assert_eq!(head.number(1), 41, "the batch's field");
        let rows = head.number(4);
        let mut rest = Reader(&frame[HEAD..]);
        let rows = (0..rows).map(|_| row(&mut rest)).collect();
        assert!(rest.0.is_empty(), "bytes behind the last row");
        Request {
            head: frame[..HEAD].to_vec(),
            rows,
        }
    }

    /// The client's request with the two differences taken out: repeated rows are written whole, and no row wants an
    /// answer for each operation. Lengths stand in the head, and change.
    pub fn of_client(frame: &[u8]) -> Vec<u8> {
        let Request { mut head, mut rows } = Request::of(frame);
        for number in 0..rows.len() {
            if rows[number][24] & REPEAT != 0 {
                assert_eq!(rows[number][24], REPEAT);
                let (before, row) = rows.split_at_mut(number);
                row[0].truncate(24);
                row[0].extend_from_slice(&before[number - 1][24..]);
            } else {
                assert_ne!(rows[number][26] & RESPOND_ALL_OPS, 0, "row {number}");
                rows[number][26] &= !RESPOND_ALL_OPS;
            }
        }
        let rows = rows.concat();
        let body = head.len() + rows.len() - 8;
        head[2..8].copy_from_slice(&(body as u64).to_be_bytes()[2..]);
        head[30..34].copy_from_slice(&((body - 26) as u32).to_be_bytes());
        [head, rows].concat()
    }
}

/// Takes one row.
fn row(rest: &mut Reader<'_>) -> Vec<u8> {
    let whole = rest.0;
    rest.take(24);
    let flags = rest.number(1);
    if flags & usize::from(REPEAT) == 0 {
        assert_eq!(flags, 0x0e, "info bytes, a generation and a ttl");
        rest.take(3 + 2 + 4);
        let (fields, operations) = (rest.number(2), rest.number(2));
        let mut kinds = Vec::new();
        for _ in 0..fields {
            let length = rest.number(4);
            kinds.push(rest.take(length)[0]);
        }
        assert_eq!(kinds[..2], [0, 1], "the namespace, then the set");
        assert_eq!(kinds.iter().collect::<HashSet<_>>().len(), fields, "no field twice");
        for _ in 0..operations {
            let length = rest.number(4);
            rest.take(length);
        }
    }
    whole[..whole.len() - rest.0.len()].to_vec()
}
