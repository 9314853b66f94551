//! Tests of calls with nodes that do as a test says, on sockets. A frame here has only what such a node must know.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::super::answers::tests::{end, plain, proto};
use super::*;
use crate::config::model::Mode;
use crate::delivery::plan::OutgoingAction;
use crate::output::row::{RecordKey, RowTtl, Target};

/// For calls that do not wait for it.
const LONG: Duration = Duration::from_secs(30);
/// For calls that do.
const SHORT: Duration = Duration::from_millis(200);
/// More than all buffers between two sockets.
const HUGE: i64 = 32 * 1024 * 1024;

const NO_NODE: u8 = 250;
const NO_NAMESPACE: u8 = 251;

const OK: Answer = Answer::Code(0);

fn unsent(failure: CallFailure) -> Answer {
    let in_doubt = false;
    Answer::Failed { failure, in_doubt }
}

fn doubt(failure: CallFailure) -> Answer {
    let in_doubt = true;
    Answer::Failed { failure, in_doubt }
}

/// The index, the row's number, and as many bytes as the key says.
#[derive(Default)]
struct TestFrame {
    bytes: Vec<u8>,
}

impl Request for TestFrame {
    fn begin(&mut self, timeout: Duration) {
        assert!(timeout >= Duration::from_millis(1));
        self.bytes.clear();
        self.bytes.extend([2, 3, 0, 0, 0, 0, 0, 0]);
    }

    fn row(&mut self, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable> {
        let &RecordKey::Integer(size) = row.key else {
            return Err(Unsendable);
        };
        let size = u32::try_from(size).unwrap();
        self.bytes.extend(index.to_be_bytes());
        self.bytes.extend(&row.digest[..4]);
        self.bytes.extend(size.to_be_bytes());
        self.bytes.resize(self.bytes.len() + size as usize, 0);
        Ok(())
    }

    fn finish(&mut self) -> &[u8] {
        let size = self.bytes.len() as u64 - 8;
        self.bytes[2..8].copy_from_slice(&size.to_be_bytes()[2..]);
        &self.bytes
    }
}

/// A row with this number for a node.
fn row(number: u32, node: u8) -> OutgoingRow<'static> {
    row_with(number, node, &RecordKey::Integer(0))
}

fn row_with(number: u32, node: u8, key: &'static RecordKey<'static>) -> OutgoingRow<'static> {
    static TARGET: LazyLock<Target> = LazyLock::new(|| Target {
        namespace: "test".into(),
        set: String::new(),
        send_key: false,
    });
    let mut digest = [0; 20];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest[19] = node;
    OutgoingRow {
        target: &TARGET,
        key,
        digest,
        action: OutgoingAction::Touch,
        exists: Mode::Update,
        ttl: RowTtl::NamespaceDefault,
        conditions: [None, None],
        only_removes: false,
        may_end: false,
        stale: 0,
        passed_over: Vec::new(),
    }
}

fn rows(count: u32, node: u8) -> Vec<OutgoingRow<'static>> {
    (0..count).map(|number| row(number, node)).collect()
}

/// The node's side of a connection.
struct Peer(TcpStream);

impl Peer {
    /// Reads a request: index and number of each row. `None`: the worker has closed the connection.
    fn request(&mut self) -> Option<Vec<(u32, u32)>> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).ok()?;
        let mut body = vec![0; u64::from_be_bytes(head) as usize & 0xFFFF_FFFF];
        self.0.read_exact(&mut body).ok()?;
        let mut rows = Vec::new();
        let mut left = &body[..];
        while let Some((row, rest)) = left.split_first_chunk::<12>() {
            let number = |at: usize| u32::from_be_bytes(row[at..at + 4].try_into().unwrap());
            rows.push((number(0), number(4)));
            left = &rest[number(8) as usize..];
        }
        Some(rows)
    }

    fn say(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Answers each row with 0, in the order of the rows.
    fn accept(&mut self) -> usize {
        let rows = self.request().unwrap();
        let answers: Vec<u8> = rows.iter().flat_map(|(index, _)| plain(*index, 0)).collect();
        assert!(self.say(&[proto(&answers), end(0)].concat()));
        rows.len()
    }

    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// A node: what it does is on a thread.
struct Node {
    address: NodeAddress,
    thread: JoinHandle<()>,
}

fn node(name: &str, act: impl FnOnce(&mut dyn FnMut() -> Peer) + Send + 'static) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || act(&mut || Peer(listener.accept().unwrap().0)));
    let name = name.to_owned();
    Node {
        address: NodeAddress { name, address },
        thread,
    }
}

fn owner(row: &OutgoingRow<'_>) -> Owner {
    match row.digest[19] {
        NO_NODE => Owner::NoNode,
        NO_NAMESPACE => Owner::NoNamespace,
        node => Owner::Node(node.into()),
    }
}

struct Worker {
    caller: Caller<TestFrame>,
    nodes: Vec<NodeAddress>,
}

impl Worker {
    fn of(nodes: &[&Node]) -> Worker {
        Worker {
            caller: Caller::default(),
            nodes: nodes.iter().map(|node| node.address.clone()).collect(),
        }
    }

    fn call(&mut self, rows: &[OutgoingRow<'_>], limit: Duration) -> Called {
        let called = self.caller.call_nodes(&self.nodes, owner, rows, Instant::now() + limit);
        assert_eq!(called.answers.len(), rows.len());
        called
    }
}

/// The answers to a call at a node that does this with its one request.
fn answered(count: u32, limit: Duration, act: impl FnOnce(&mut Peer) + Send + 'static) -> Called {
    let node = node("A", |next| {
        let mut peer = next();
        assert!(peer.request().is_some());
        act(&mut peer);
    });
    let called = Worker::of(&[&node]).call(&rows(count, 0), limit);
    node.thread.join().unwrap();
    called
}

/// The same with these bytes, behind which the connection stays open.
fn said(count: u32, bytes: Vec<u8>) -> Called {
    answered(count, LONG, move |peer| {
        peer.say(&bytes);
        assert!(peer.is_closed());
    })
}

#[test]
fn each_row_gets_its_own_code_from_its_own_node() {
    let first = node("A", |next| {
        let mut peer = next();
        assert_eq!(peer.request(), Some(vec![(0, 1), (1, 4)]));
        peer.say(&[proto(&plain(1, 5)), proto(&plain(0, 0)), end(0)].concat());
    });
    let second = node("B", |next| {
        let mut peer = next();
        assert_eq!(peer.request(), Some(vec![(0, 0), (1, 2)]));
        peer.say(&[proto(&[plain(0, 27), plain(1, 11)].concat()), end(0)].concat());
    });
    let mut worker = Worker::of(&[&first, &second]);
    let bytes: &'static RecordKey<'static> = &RecordKey::Bytes(std::borrow::Cow::Borrowed(&[1]));
    let rows = [
        row(0, 1),
        row(1, 0),
        row(2, 1),
        row(3, NO_NODE),
        row(4, 0),
        row(5, NO_NAMESPACE),
        row_with(6, 0, bytes),
    ];
    let called = worker.call(&rows, LONG);
    let expected = [
        Answer::Code(27),
        OK,
        Answer::Code(11),
        unsent(CallFailure::NoNode),
        Answer::Code(5),
        unsent(CallFailure::NoNamespace),
        unsent(CallFailure::Unsendable),
    ];
    assert_eq!((called.answers, called.failures), (expected.to_vec(), Vec::new()));
    first.thread.join().unwrap();
    second.thread.join().unwrap();
}

#[test]
fn a_newer_map_may_cure_rows_without_a_node_and_unavailable_partitions() {
    for (code, is_doubtful) in [(0, false), (22, false), (9, false), (11, true)] {
        let called = said(1, [proto(&plain(0, code)), end(0)].concat());
        assert_eq!(called.is_map_doubtful, is_doubtful, "{code}");
    }
    let mut worker = Worker::of(&[]);
    assert!(worker.call(&[row(0, NO_NODE)], LONG).is_map_doubtful);
    assert!(worker.call(&[row(0, NO_NAMESPACE)], LONG).is_map_doubtful);
    let foreign = worker.call(&[row(0, 3)], LONG);
    assert_eq!(
        foreign.answers,
        [unsent(CallFailure::NoNode)],
        "no node has this number"
    );
    assert!(!worker.call(&[], LONG).is_map_doubtful);
}

#[test]
fn a_batch_that_was_refused_whole_is_not_in_doubt() {
    for code in [150, 151, 152, 80, 66, 81] {
        let called = said(3, end(code));
        assert_eq!(called.answers, [Answer::Code(code); 3], "{code}");
        assert_eq!(called.failures, []);
    }
}

/// The server sends the same bytes after it has applied rows. The first row gets the code, so that it is sent alone.
#[test]
fn a_batch_that_ended_with_4_is_in_doubt_and_its_first_open_row_is_suspected() {
    let called = said(3, end(4));
    let open = doubt(CallFailure::Unanswered);
    assert_eq!(called.answers, [Answer::Code(4), open, open]);
    let failure = &called.failures[0];
    assert_eq!((failure.failure, failure.rows), (CallFailure::Unanswered, 3));
    assert!(failure.to_string().contains("ended the batch with 4"), "{failure}");
    let called = said(4, [proto(&[plain(3, 0), plain(0, 22)].concat()), end(4)].concat());
    assert_eq!(called.answers, [Answer::Code(22), Answer::Code(4), open, OK]);
    assert_eq!(said(1, end(4)).answers, [Answer::Code(4)], "nothing ran before it");
}

/// Codes such as 0, 5 and 27 mean "done" or "refused" if they are a row's own. In a last header they say nothing of a
/// row.
#[test]
fn no_other_code_of_the_last_header_becomes_the_code_of_a_row() {
    for code in (0..=255).filter(|code| *code != 4 && !refuses_all(*code)) {
        for count in [1, 2] {
            let called = said(count, end(code));
            let expected = vec![doubt(CallFailure::Unanswered); count as usize];
            assert_eq!(called.answers, expected, "{code}");
        }
    }
}

#[test]
fn rows_that_were_answered_before_a_refusal_keep_their_codes_and_the_others_are_in_doubt() {
    for code in [150, 151, 152, 80, 1] {
        let called = said(2, [proto(&plain(1, 0)), end(code)].concat());
        assert_eq!(called.answers, [doubt(CallFailure::Unanswered), OK], "{code}");
    }
}

#[test]
fn a_connection_that_ends_after_the_request_leaves_its_open_rows_in_doubt() {
    let called = answered(2, LONG, |peer| {
        peer.say(&proto(&plain(1, 0)));
    });
    assert_eq!(called.answers, [doubt(CallFailure::Connection), OK]);
    assert!(called.is_map_doubtful);
    assert_eq!(called.failures[0].rows, 1);
}

#[test]
fn an_answer_that_breaks_the_protocol_leaves_open_rows_in_doubt_and_closes_the_connection() {
    let first = proto(&plain(1, 0));
    let open = doubt(CallFailure::BadAnswer);
    let cases = [
        (
            [first.clone(), proto(&plain(1, 0))].concat(),
            [open, open],
            "two answers for row 1",
        ),
        ([first.clone(), proto(&plain(2, 0))].concat(), [open, OK], "row 2"),
        (
            [first.clone(), vec![2, 3, 1, 0, 0, 0, 0, 0]].concat(),
            [open, OK],
            "1099511627776 bytes",
        ),
        (
            [first.clone(), vec![2, 4, 0, 0, 0, 0, 0, 30]].concat(),
            [open, OK],
            "type 4",
        ),
        (
            [first, vec![2, 3, 0, 0, 0, 0, 0, 21]].concat(),
            [open, OK],
            "does not fit",
        ),
    ];
    for (bytes, expected, told) in cases {
        let node = node("A", move |next| {
            let mut peer = next();
            peer.request().unwrap();
            peer.say(&bytes);
            assert!(peer.is_closed());
            next().accept();
        });
        let mut worker = Worker::of(&[&node]);
        let called = worker.call(&rows(2, 0), LONG);
        assert_eq!(called.answers, expected, "{told}");
        assert!(called.failures[0].error.contains(told), "{:?}", called.failures);
        assert_eq!(worker.call(&rows(2, 0), LONG).answers, [OK; 2]);
        node.thread.join().unwrap();
    }
}

/// With a time-out for each read, this call would not end.
#[test]
fn a_node_that_drips_bytes_does_not_outlive_the_deadline() {
    let called = answered(2, SHORT, |peer| {
        assert!(peer.say(&proto(&plain(1, 0))));
        // Empty messages, byte by byte.
        while peer.say(&[2]) && peer.say(&[3]) && (0..6).all(|_| peer.say(&[0])) {}
    });
    assert_eq!(called.answers, [doubt(CallFailure::TimedOut), OK]);
    assert_eq!(
        called.failures[0].to_string().split(": ").last(),
        Some("no answer in time")
    );
}

#[test]
fn an_idle_connection_that_the_node_has_closed_is_replaced_before_a_request() {
    for last_words in ["", "x"] {
        let (closed, is_closed) = channel();
        let node = node("A", move |next| {
            let mut peer = next();
            peer.accept();
            peer.accept();
            assert!(peer.say(last_words.as_bytes()));
            if last_words.is_empty() {
                drop(peer);
                closed.send(None).unwrap();
            } else {
                closed.send(Some(peer)).unwrap();
            }
            next().accept();
        });
        let mut worker = Worker::of(&[&node]);
        assert_eq!(worker.call(&rows(3, 0), LONG).answers, [OK; 3]);
        assert_eq!(
            worker.call(&rows(3, 0), LONG).answers,
            [OK; 3],
            "on the same connection"
        );
        let _still_open: Option<Peer> = is_closed.recv().unwrap();
        // The system hands the node's last words over in its own time.
        let connection = worker.caller.lanes[0].connection.as_ref().unwrap();
        while connection.is_idle() {
            thread::yield_now();
        }
        let called = worker.call(&rows(3, 0), LONG);
        assert_eq!((called.answers, called.failures), (vec![OK; 3], Vec::new()));
        node.thread.join().unwrap();
    }
}

#[test]
fn an_answer_that_comes_too_late_is_never_taken_for_the_next_call() {
    let (late, is_late) = channel();
    let node = node("A", move |next| {
        let mut first = next();
        assert!(first.request().is_some());
        is_late.recv().unwrap();
        first.say(&[proto(&plain(0, 0)), end(0)].concat());
        let mut second = next();
        second.request().unwrap();
        second.say(&[proto(&plain(0, 22)), end(0)].concat());
    });
    let mut worker = Worker::of(&[&node]);
    let called = worker.call(&rows(1, 0), SHORT);
    assert_eq!(called.answers, [doubt(CallFailure::TimedOut)]);
    late.send(()).unwrap();
    assert_eq!(worker.call(&rows(1, 0), LONG).answers, [Answer::Code(22)]);
    node.thread.join().unwrap();
}

#[test]
fn a_request_that_the_kernel_did_not_take_wholly_was_not_sent() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.0.read_exact(&mut [0; 1000]).unwrap();
        // Closed with bytes that nobody read.
    });
    let called = Worker::of(&[&node]).call(&[row_with(0, 0, &RecordKey::Integer(HUGE)), row(1, 0)], LONG);
    assert_eq!(called.answers, [unsent(CallFailure::Connection); 2]);
    assert!(called.is_map_doubtful);
    node.thread.join().unwrap();
}

#[test]
fn a_request_that_breaks_off_on_an_idle_connection_is_sent_again_on_a_new_one() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.accept();
        peer.0.read_exact(&mut [0; 1000]).unwrap();
        drop(peer);
        assert_eq!(next().accept(), 2);
    });
    let mut worker = Worker::of(&[&node]);
    assert_eq!(worker.call(&rows(1, 0), LONG).answers, [OK]);
    let called = worker.call(&[row_with(0, 0, &RecordKey::Integer(HUGE)), row(1, 0)], LONG);
    assert_eq!((called.answers, called.failures), (vec![OK; 2], Vec::new()));
    node.thread.join().unwrap();
}

#[test]
fn a_node_that_reads_nothing_does_not_hold_up_another_one() {
    let (done, is_done) = channel::<()>();
    let deaf = node("A", move |next| {
        let _peer = next();
        let _ = is_done.recv();
    });
    let other = node("B", |next| {
        next().accept();
    });
    let rows = [row_with(0, 0, &RecordKey::Integer(HUGE)), row(1, 1)];
    let called = Worker::of(&[&deaf, &other]).call(&rows, 10 * SHORT);
    assert_eq!(called.answers, [unsent(CallFailure::TimedOut), OK]);
    assert_eq!(called.failures[0].error, "the node does not take the request");
    drop(done);
    deaf.thread.join().unwrap();
    other.thread.join().unwrap();
}

/// Its queue of connections is full, so that the system drops every further attempt: as a node without power does.
#[test]
fn a_node_that_cannot_be_reached_does_not_hold_up_another_one() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, SHORT) {
        queued.push(stream);
    }
    let other = node("B", |next| {
        next().accept();
    });
    let dark = NodeAddress {
        name: "A".into(),
        address: address.to_string(),
    };
    let mut worker = Worker::of(&[&other]);
    worker.nodes.insert(0, dark);
    let called = worker.call(&[row(0, 0), row(1, 1)], 10 * SHORT);
    assert_eq!(called.answers, [unsent(CallFailure::TimedOut), OK]);
    assert!(called.is_map_doubtful);
    assert_eq!(called.failures[0].error, "not connected in time");
    other.thread.join().unwrap();
}

#[test]
fn a_refused_connection_is_told_with_the_node_s_address() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap().to_string();
    drop(gone);
    let mut worker = Worker::of(&[]);
    worker.nodes.push(NodeAddress {
        name: "A".into(),
        address: address.clone(),
    });
    let called = worker.call(&rows(2, 0), LONG);
    assert_eq!(called.answers, [unsent(CallFailure::Connection); 2]);
    assert!(called.is_map_doubtful);
    let told = called.failures[0].to_string();
    assert!(told.contains(&address) && told.contains("refused"), "{told}");
    assert_eq!(called.failures[0].rows, 2);
    let cause = called.cause(CallFailure::Connection).unwrap();
    assert!(cause.starts_with(&format!("{address}: ")), "{cause}");
    assert_eq!(called.cause(CallFailure::TimedOut), None);
}

/// Each node answers after the other one has its request. The second one's answer does not fit into the buffers, and
/// the first one waits until it is gone.
#[test]
fn requests_are_sent_to_all_nodes_first_and_answers_are_read_as_they_come() {
    const LARGE: u32 = 32 * 1024 * 1024;
    let (first_has, is_first): (Sender<()>, Receiver<()>) = channel();
    let (second_is_read, is_second) = channel();
    let first = node("A", move |next| {
        let mut peer = next();
        peer.request().unwrap();
        first_has.send(()).unwrap();
        is_second.recv().unwrap();
        peer.say(&[proto(&plain(0, 0)), end(0)].concat());
    });
    let second = node("B", move |next| {
        let mut peer = next();
        peer.request().unwrap();
        is_first.recv().unwrap();
        let mut record = plain(0, 0);
        record[21] = 1;
        record.extend(LARGE.to_be_bytes());
        record.resize(record.len() + LARGE as usize, 0);
        assert!(peer.say(&[proto(&record), end(0)].concat()));
        second_is_read.send(()).unwrap();
    });
    let called = Worker::of(&[&first, &second]).call(&[row(0, 0), row(1, 1)], LONG);
    assert_eq!(called.answers, [OK; 2]);
    first.thread.join().unwrap();
    second.thread.join().unwrap();
}

#[test]
fn only_the_node_that_refuses_many_rows_gets_fewer_at_once() {
    let small = node("A", |next| {
        let mut peer = next();
        let refuse = |peer: &mut Peer| {
            let rows = peer.request().unwrap();
            peer.say(&end(151));
            rows.len()
        };
        assert_eq!(refuse(&mut peer), 5);
        assert_eq!(refuse(&mut peer), 2);
        let sizes: Vec<usize> = (0..3).map(|_| peer.accept()).collect();
        assert_eq!(sizes, [1, 1, 1]);
        assert_eq!(next().accept(), 1, "another worker's first request");
    });
    let large = node("B", |next| {
        let mut peer = next();
        assert_eq!((0..2).map(|_| peer.accept()).collect::<Vec<_>>(), [5, 5]);
    });
    let mut worker = Worker::of(&[&small, &large]);
    let all: Vec<OutgoingRow<'_>> = (0..10).map(|number| row(number, u8::from(number >= 5))).collect();
    let called = worker.call(&all, LONG);
    assert_eq!(called.answers, [[Answer::Code(151); 5], [OK; 5]].concat());
    let called = worker.call(&all, LONG);
    assert_eq!(called.answers[..2], [Answer::Code(151); 2]);
    assert_eq!(
        called.answers[2..],
        [OK; 8],
        "the rest of the group follows in smaller frames"
    );
    let mut other = Caller::<TestFrame>::new(worker.caller.limits.clone());
    let called = other.call_nodes(&worker.nodes, owner, &rows(1, 0), Instant::now() + LONG);
    assert_eq!(called.answers, [OK]);
    small.thread.join().unwrap();
    large.thread.join().unwrap();
}

#[test]
fn rows_behind_a_frame_that_failed_were_not_sent() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.request().unwrap();
        peer.say(&end(151));
        assert_eq!(peer.accept(), 2);
        assert_eq!(peer.request().unwrap().len(), 2);
        peer.say(&proto(&plain(1, 0)));
    });
    let mut worker = Worker::of(&[&node]);
    assert_eq!(worker.call(&rows(4, 0), LONG).answers, [Answer::Code(151); 4]);
    let called = worker.call(&rows(6, 0), LONG);
    let lost = unsent(CallFailure::Connection);
    assert_eq!(called.answers, [OK, OK, doubt(CallFailure::Connection), OK, lost, lost]);
    assert_eq!(called.failures[0].rows, 3);
    node.thread.join().unwrap();
}

/// The deadline passes while the first frame waits, and the next one is never begun.
#[test]
fn rows_that_the_deadline_kept_back_were_not_sent() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.request().unwrap();
        peer.say(&end(151));
        peer.request().unwrap();
        assert!(peer.is_closed());
    });
    let mut worker = Worker::of(&[&node]);
    assert_eq!(worker.call(&rows(2, 0), LONG).answers, [Answer::Code(151); 2]);
    let called = worker.call(&rows(3, 0), SHORT);
    let kept = unsent(CallFailure::TimedOut);
    assert_eq!(called.answers, [doubt(CallFailure::TimedOut), kept, kept]);
    let passed = worker
        .caller
        .call_nodes(&worker.nodes, owner, &rows(1, 0), Instant::now());
    assert_eq!(passed.answers, [kept], "after the deadline nothing is sent");
    node.thread.join().unwrap();
}

#[test]
fn a_refusal_of_the_user_or_the_node_holds_for_the_rest_of_the_group() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.request().unwrap();
        peer.say(&end(151));
        peer.request().unwrap();
        peer.say(&end(152));
        assert!(peer.is_closed(), "no further request");
    });
    let mut worker = Worker::of(&[&node]);
    worker.call(&rows(2, 0), LONG);
    assert_eq!(worker.call(&rows(3, 0), LONG).answers, [Answer::Code(152); 3]);
    drop(worker);
    node.thread.join().unwrap();
}

#[test]
fn connections_to_nodes_that_are_gone_or_moved_are_closed() {
    let stays = node("A", |next| {
        let mut peer = next();
        assert_eq!((peer.accept(), peer.accept()), (1, 1));
        assert!(peer.is_closed(), "forgotten");
        next().accept();
    });
    let moves = node("B", |next| {
        let mut peer = next();
        peer.accept();
        assert!(peer.is_closed());
    });
    let moved = node("B", |next| {
        next().accept();
    });
    let mut worker = Worker::of(&[&moves, &stays]);
    let rows = |first, second| [row(0, first), row(1, second)];
    assert_eq!(worker.call(&rows(0, 1), LONG).answers, [OK; 2]);
    worker.nodes = vec![stays.address.clone(), moved.address.clone()];
    assert_eq!(worker.call(&rows(0, 1), LONG).answers, [OK; 2]);
    moves.thread.join().unwrap();
    moved.thread.join().unwrap();
    worker.caller.forget();
    assert_eq!(worker.call(&[row(0, 0)], LONG).answers, [OK]);
    stays.thread.join().unwrap();
}

#[test]
fn a_frame_that_was_made_large_is_released_after_its_call() {
    let node = node("A", |next| {
        let mut peer = next();
        peer.accept();
        peer.accept();
    });
    let mut worker = Worker::of(&[&node]);
    worker.call(&rows(3, 0), LONG);
    let kept = worker.caller.lanes[0].frame.bytes.capacity();
    assert!(kept > 0, "used again");
    worker.call(&[row_with(0, 0, &RecordKey::Integer(HUGE))], LONG);
    assert_eq!(worker.caller.lanes[0].frame.bytes.capacity(), 0);
    node.thread.join().unwrap();
}

/// What a node does with a request, at random. Returns what it applied, and whether it goes on with the connection.
fn misbehave(peer: &mut Peer, applied: &mut HashSet<u32>, random: &mut fastrand::Rng) -> bool {
    if random.u8(..12) == 0 {
        // A part of the request, if it is not longer.
        let _ = peer.0.read(&mut [0; 40]);
        return false;
    }
    let Some(mut rows) = peer.request() else { return false };
    if random.u8(..8) == 0 {
        let refusals = [150, 151, 152, 80];
        return peer.say(&end(refusals[random.usize(..refusals.len())]));
    }
    if random.u8(..8) == 0 {
        // Ends at a row that it cannot read. Those before it may have run.
        let bad = random.usize(..rows.len());
        applied.extend(rows[..bad].iter().filter(|_| random.bool()).map(|(_, number)| *number));
        return peer.say(&end(4));
    }
    random.shuffle(&mut rows);
    let mut bytes = Vec::new();
    for (index, number) in rows {
        let code = if random.u8(..4) == 0 { 22 } else { 0 };
        if code == 0 {
            applied.insert(number);
        }
        bytes.extend(proto(&plain(index, code)));
    }
    bytes.extend(end(0));
    match random.u8(..6) {
        0 => bytes.truncate(random.usize(..bytes.len())),
        1 => bytes.extend(end(0)),
        // A row once more.
        2 => bytes.splice(0..0, bytes[..30].to_vec()).for_each(drop),
        _ => return bytes.chunks(random.usize(1..60)).all(|piece| peer.say(piece)),
    }
    peer.say(&bytes);
    false
}

/// Whatever two nodes do: a row with code 0 is applied, and a row without doubt and without code 0 is not.
#[test]
fn no_row_is_called_written_that_was_not_nor_safe_that_may_be_applied() {
    for seed in 0..150 {
        let (nodes, results): (Vec<Node>, Vec<Receiver<HashSet<u32>>>) = (0..2u64)
            .map(|number| {
                let (result, results) = channel();
                let (stop, stopped) = channel::<()>();
                let node = node(["A", "B"][number as usize], move |next| {
                    let mut random = fastrand::Rng::with_seed(seed * 2 + number);
                    let mut applied = HashSet::new();
                    for _ in 0..2 {
                        let mut peer = next();
                        while misbehave(&mut peer, &mut applied, &mut random) {}
                    }
                    let _ = result.send(applied);
                    drop(stopped);
                });
                drop(stop);
                (node, results)
            })
            .unzip();
        let mut worker = Worker::of(&nodes.iter().collect::<Vec<_>>());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut said = Vec::new();
        for call in 0..6u32 {
            let rows: Vec<OutgoingRow<'_>> = (0..random.u32(1..9))
                .map(|place| row(call * 100 + place, random.u8(..2)))
                .collect();
            let called = worker.call(&rows, SHORT);
            let company = called.answers.len() > 1;
            for (row, answer) in rows.iter().zip(called.answers) {
                let number = u32::from_be_bytes(row.digest[..4].try_into().unwrap());
                // As the write loop takes it: with this code a row was not alone is in doubt.
                let in_doubt = answer.in_doubt() || (answer == Answer::Code(PARAMETER) && company);
                said.push((number, answer, in_doubt));
            }
        }
        drop(worker);
        // Nodes that are still waiting for their second connection get one that says nothing.
        for node in &nodes {
            drop(TcpStream::connect(&node.address.address));
            drop(TcpStream::connect(&node.address.address));
        }
        let applied: HashSet<u32> = results.iter().flat_map(|result| result.recv().unwrap()).collect();
        for (number, answer, in_doubt) in said {
            if answer == OK {
                assert!(applied.contains(&number), "seed {seed}: row {number} is not applied");
            } else {
                assert!(
                    in_doubt || !applied.contains(&number),
                    "seed {seed}: row {number} {answer:?}"
                );
            }
        }
    }
}
