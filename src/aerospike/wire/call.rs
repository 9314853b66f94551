//! One call: rows to all nodes that have them, and each row's answer.
//!
//! A [`Caller`] sends one frame to each node and then reads from all, on its own thread. `poll(2)` tells which node has
//! room or an answer, so that no node waits for another one: neither for one that cannot be reached, nor for one that
//! takes no bytes, nor for one whose answer is late. Reading one node after the other would be simpler, but the answers
//! of the later ones could fill their buffers meanwhile, and a server gives up such a batch. With one node the same way
//! costs three system calls beside `poll`: a look at the connection, one send, one receive.
//!
//! What a row's answer says about the row's doubt is decided here, in `Lane::ended` and `Lane::failed`;
//! `docs/architecture/native-writer-answers.md` has the table.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answers::Answers;
use super::connection::{Connection, Interest, wait};
use super::frame::{Frame, Unsendable};
use super::limits::NodeLimits;
use super::partitions::{Map, NodeAddress, Owner};
use crate::aerospike::limit::BatchLimit;
use crate::delivery::plan::OutgoingRow;
use crate::delivery::result_codes::Told;
use crate::delivery::row_outcomes::{CallFailure, PARAMETER, TOO_MANY_ROWS, UNAVAILABLE, refuses_all};
use crate::delivery::write::Answer;

/// Bytes taken from a socket at once. The answers of 200 rows have 4,400 bytes, and more if operations answer.
const CHUNK: usize = 32 * 1024;
/// What the frames of a worker keep between calls, for all nodes together. During a call they have about the bytes of a
/// batch, which the memory bound counts (`BATCH_COPIES` in `util/memory.rs`); 200 rows of 350 bytes are 70 KiB.
const FRAMES_KEPT_MAX: usize = 256 * 1024;

/// What one worker needs for its calls: buffers, and a connection to each node. Lives as long as the worker.
#[derive(Default)]
pub struct Caller<F = Frame> {
    limits: Arc<NodeLimits>,
    /// One for each node of the last map, in its order.
    lanes: Vec<Lane<F>>,
    chunk: Vec<u8>,
    ready: Vec<usize>,
}

/// What a call did.
#[derive(Debug, Default)]
pub struct Called {
    /// One per row, in the order of the rows.
    pub answers: Vec<Answer>,
    /// A row failed in a way that a newer map may cure.
    pub is_map_doubtful: bool,
    /// What failed at which node. Rows that no node has are not in it, nor those with a code of their own.
    pub failures: Vec<NodeFailure>,
}

impl Called {
    /// Which node failed in this way, and why: of several nodes, the one with the most rows.
    pub fn cause(&self, failure: CallFailure) -> Option<String> {
        let failed = self.failures.iter().filter(|failed| failed.failure == failure);
        let worst = failed.max_by_key(|failed| failed.rows)?;
        Some(format!("{}: {}", worst.address, worst.error))
    }
}

/// Why rows that were meant for a node have no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// The node's address.
    pub address: String,
    pub failure: CallFailure,
    /// How many.
    pub rows: usize,
    /// The error, or what the node did.
    pub error: String,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NodeFailure {
            address,
            failure,
            error,
            ..
        } = self;
        write!(f, "{}: {address}: {error}", failure.as_str())
    }
}

/// Builds the request for one node: a [`Frame`], or a test's.
pub trait Request: Default {
    /// See [`Frame::begin`].
    fn begin(&mut self, timeout: Duration);
    /// See [`Frame::row`].
    ///
    /// # Errors
    /// As there.
    fn row(&mut self, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable>;
    /// See [`Frame::finish`]. May be repeated, and then gives the same.
    fn finish(&mut self) -> &[u8];
    /// See [`Frame::capacity`].
    fn capacity(&self) -> usize;
}

impl Request for Frame {
    fn begin(&mut self, timeout: Duration) {
        Frame::begin(self, timeout);
    }

    fn row(&mut self, index: u32, row: &OutgoingRow<'_>) -> Result<(), Unsendable> {
        Frame::row(self, index, row)
    }

    fn finish(&mut self) -> &[u8] {
        Frame::finish(self)
    }

    fn capacity(&self) -> usize {
        Frame::capacity(self)
    }
}

/// Without the frames: they have the messages' data.
impl<F> fmt::Debug for Caller<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("nodes", &self.lanes.len())
            .finish_non_exhaustive()
    }
}

impl<F: Request> Caller<F> {
    /// `limits`: those that all workers share.
    pub fn new(limits: Arc<NodeLimits>) -> Self {
        Caller {
            limits,
            lanes: Vec::new(),
            chunk: Vec::new(),
            ready: Vec::new(),
        }
    }

    /// Makes one call. Each row is for a different record. Returns before `deadline`, or very soon after it.
    pub fn call(&mut self, map: &Map, rows: &[OutgoingRow<'_>], deadline: Instant) -> Called {
        let owner = |row: &OutgoingRow<'_>| map.owner(&row.target.namespace, &row.digest);
        self.call_nodes(map.nodes(), owner, rows, deadline)
    }

    /// Closes all connections and releases all buffers.
    pub fn forget(&mut self) {
        self.lanes.clear();
        self.chunk = Vec::new();
    }

    fn call_nodes(
        &mut self,
        nodes: &[NodeAddress],
        owner: impl Fn(&OutgoingRow<'_>) -> Owner,
        rows: &[OutgoingRow<'_>],
        deadline: Instant,
    ) -> Called {
        self.follow(nodes);
        for lane in &mut self.lanes {
            lane.fresh();
        }
        self.chunk.resize(CHUNK, 0);
        let mut call = Call {
            rows,
            deadline,
            called: Called {
                answers: vec![UNANSWERED; rows.len()],
                ..Called::default()
            },
        };
        for (row, outgoing) in rows.iter().enumerate() {
            match owner(outgoing) {
                Owner::Node(node) if node < self.lanes.len() => self.lanes[node].group.push(row),
                Owner::Node(_) | Owner::NoNode => call.unroutable(row, CallFailure::NoNode),
                Owner::NoNamespace => call.unroutable(row, CallFailure::NoNamespace),
            }
        }
        for lane in &mut self.lanes {
            lane.start(&mut call);
        }
        self.finish(&mut call);
        self.release();
        call.called
    }

    /// Releases what this call made large.
    fn release(&mut self) {
        let kept: usize = self.lanes.iter().map(|lane| lane.frame.capacity()).sum();
        if kept > FRAMES_KEPT_MAX {
            let share = FRAMES_KEPT_MAX / self.lanes.len().max(1);
            for lane in self.lanes.iter_mut().filter(|lane| lane.frame.capacity() > share) {
                lane.frame = F::default();
            }
        }
    }

    /// Takes the nodes of a map. What belongs to a node that is gone, or has another address, is dropped.
    fn follow(&mut self, nodes: &[NodeAddress]) {
        if self.lanes.iter().map(|lane| &lane.node).eq(nodes) {
            return;
        }
        let mut before = mem::take(&mut self.lanes);
        for node in nodes {
            let lane = match before.iter().position(|lane| lane.node == *node) {
                Some(place) => before.swap_remove(place),
                None => Lane::new(node.clone(), self.limits.of(&node.name)),
            };
            self.lanes.push(lane);
        }
    }

    /// Goes on with all nodes until each is done, or until the deadline.
    fn finish(&mut self, call: &mut Call<'_, '_>) {
        loop {
            let waiting = self
                .lanes
                .iter()
                .enumerate()
                .filter_map(|(number, lane)| lane.waits(number));
            let mut waiting = waiting.peekable();
            if waiting.peek().is_none() {
                return;
            }
            // What has come before the deadline counts, even if this thread was not running then. So there is one more
            // look behind it, and only one.
            let is_last = Instant::now() >= call.deadline;
            if let Err(error) = wait(waiting, call.deadline, &mut self.ready) {
                for lane in &mut self.lanes {
                    lane.failed(CallFailure::Connection, error.to_string(), call);
                }
                return;
            }
            for number in &self.ready {
                let lane = &mut self.lanes[*number];
                // A frame that is completed after the deadline would only bring doubt.
                if !is_last || lane.stage == Stage::Reading {
                    lane.step(&mut self.chunk, call);
                }
            }
            if is_last {
                for lane in &mut self.lanes {
                    lane.late(call);
                }
                return;
            }
        }
    }
}

/// What a row has until it is known better: the safe answer.
const UNANSWERED: Answer = Answer::Failed {
    failure: CallFailure::Unanswered,
    in_doubt: true,
};

/// One call while it runs.
struct Call<'r, 'p> {
    rows: &'r [OutgoingRow<'p>],
    deadline: Instant,
    called: Called,
}

impl Call<'_, '_> {
    fn answer(&mut self, row: usize, answer: Answer) {
        self.called.is_map_doubtful |= answer == Answer::Code(UNAVAILABLE);
        self.called.answers[row] = answer;
    }

    fn unroutable(&mut self, row: usize, failure: CallFailure) {
        self.called.is_map_doubtful = true;
        let in_doubt = false;
        self.answer(row, Answer::Failed { failure, in_doubt });
    }
}

/// How far the frame of a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// There is none.
    #[default]
    Idle,
    Connecting,
    /// So many of its bytes are handed to the kernel, and not all.
    Sending(usize),
    /// The kernel has it: the node may apply its rows.
    Reading,
}

/// What a worker has for one node.
struct Lane<F> {
    node: NodeAddress,
    limit: Arc<BatchLimit>,
    connection: Option<Connection>,
    /// The connection was open before this frame. So the node may have closed it meanwhile.
    is_reused: bool,
    frame: F,
    stage: Stage,
    answers: Answers,
    /// The node's rows, by their place in the call.
    group: Vec<usize>,
    /// How many of the group were put into a frame.
    taken: usize,
    /// The rows of the frame. The place in it is the index on the wire.
    in_flight: Vec<usize>,
}

impl<F: Request> Lane<F> {
    fn new(node: NodeAddress, limit: Arc<BatchLimit>) -> Self {
        Lane {
            node,
            limit,
            connection: None,
            is_reused: false,
            frame: F::default(),
            stage: Stage::Idle,
            answers: Answers::default(),
            group: Vec::new(),
            taken: 0,
            in_flight: Vec::new(),
        }
    }

    /// Begins the next frame of the group, if it has more rows.
    fn start(&mut self, call: &mut Call<'_, '_>) {
        while self.taken < self.group.len() {
            let left = call.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.late(call);
                return;
            }
            self.encode(left, call);
            if !self.in_flight.is_empty() {
                self.answers.begin(self.in_flight.len());
                if self.connection.as_ref().is_some_and(Connection::is_idle) {
                    self.is_reused = true;
                    self.stage = Stage::Sending(0);
                    self.send(call);
                } else {
                    self.connect(call);
                }
                return;
            }
        }
    }

    /// Puts as many rows into a frame as the node accepts.
    fn encode(&mut self, timeout: Duration, call: &mut Call<'_, '_>) {
        self.in_flight.clear();
        // Whole milliseconds, as on the wire. Never 0, which would mean the server's own limits.
        let timeout = Duration::from_millis(u64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u64::MAX));
        self.frame.begin(timeout);
        let rows_max = self.limit.rows().max(1);
        while self.in_flight.len() < rows_max
            && let Some(row) = self.group.get(self.taken).copied()
        {
            self.taken += 1;
            let index = u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX);
            match self.frame.row(index, &call.rows[row]) {
                Ok(()) => self.in_flight.push(row),
                Err(Unsendable) => {
                    let (failure, in_doubt) = (CallFailure::Unsendable, false);
                    call.answer(row, Answer::Failed { failure, in_doubt });
                }
            }
        }
    }

    fn connect(&mut self, call: &mut Call<'_, '_>) {
        self.is_reused = false;
        self.stage = Stage::Connecting;
        match Connection::begin(&self.node.address) {
            Ok(connection) => {
                self.connection = Some(connection);
                self.connecting(call);
            }
            Err(error) => self.broken(&error, call),
        }
    }

    fn connecting(&mut self, call: &mut Call<'_, '_>) {
        let Some(connection) = &mut self.connection else { return };
        match connection.is_connected() {
            Ok(true) => {
                self.stage = Stage::Sending(0);
                self.send(call);
            }
            Ok(false) => {}
            Err(error) => self.broken(&error, call),
        }
    }

    fn send(&mut self, call: &mut Call<'_, '_>) {
        let (Some(connection), Stage::Sending(sent)) = (&mut self.connection, self.stage) else {
            return;
        };
        let frame = self.frame.finish();
        match connection.send(&frame[sent..]) {
            Ok(more) if sent + more == frame.len() => self.stage = Stage::Reading,
            Ok(more) => self.stage = Stage::Sending(sent + more),
            // The node has closed it since the last call, or since the look at it. A server reads a request wholly
            // before it acts, so this one was not.
            Err(_) if self.is_reused => self.connect(call),
            Err(error) => self.broken(&error, call),
        }
    }

    fn receive(&mut self, chunk: &mut [u8], call: &mut Call<'_, '_>) {
        let Some(connection) = &mut self.connection else { return };
        match connection.receive(chunk) {
            Ok(None) => {}
            Ok(Some(bytes)) => match self.answers.feed(&chunk[..bytes]) {
                Ok(false) => {}
                Ok(true) => self.ended(self.answers.end().unwrap_or_default(), call),
                Err(fault) => self.failed(CallFailure::BadAnswer, fault.to_string(), call),
            },
            Err(error) => self.broken(&error, call),
        }
    }

    /// What the node's socket must be ready for.
    fn waits(&self, number: usize) -> Option<(usize, &Connection, Interest)> {
        let interest = match self.stage {
            Stage::Idle => return None,
            Stage::Connecting | Stage::Sending(_) => Interest::Send,
            Stage::Reading => Interest::Receive,
        };
        Some((number, self.connection.as_ref()?, interest))
    }

    /// Goes on after the socket is ready. One system call: then the deadline is looked at again.
    fn step(&mut self, chunk: &mut [u8], call: &mut Call<'_, '_>) {
        match self.stage {
            Stage::Idle => {}
            Stage::Connecting => self.connecting(call),
            Stage::Sending(_) => self.send(call),
            Stage::Reading => self.receive(chunk, call),
        }
    }

    /// The node has ended the batch with this code, and the connection can be used again.
    fn ended(&mut self, code: u8, call: &mut Call<'_, '_>) {
        self.stage = Stage::Idle;
        let rows = self.in_flight.len();
        if self.answers.answered() == 0 && refuses_all(code) {
            // Refused before any row was looked at. What the node says of the user or of itself also holds for the rows
            // that are not sent yet.
            if code == TOO_MANY_ROWS {
                self.limit.refused(rows);
            } else {
                self.in_flight.extend(&self.group[self.taken..]);
                self.taken = self.group.len();
            }
            for row in self.in_flight.drain(..) {
                call.answer(row, Answer::Code(code));
            }
            self.start(call);
            return;
        }
        if self.answers.answered() < rows {
            self.ended_early(code, call);
        } else {
            self.take_answers(None, call);
            if code == 0 {
                self.limit.accepted();
            }
        }
        self.start(call);
    }

    /// The node has ended the batch and left rows open: each of them may be applied.
    fn ended_early(&mut self, code: u8, call: &mut Call<'_, '_>) {
        // A server ends a batch with 4 at a row that it cannot read, and does not say which. The write loop sends a row
        // with this code alone, and then its answer is its own. So the first open row gets it, and the rows in front of
        // the bad one go away call by call. The loop takes such a code for doubt, as long as the row was not alone.
        let first = match code {
            PARAMETER => (0..self.in_flight.len()).find(|place| self.answers.code(*place).is_none()),
            _ => None,
        };
        let suspect = first.map(|place| self.in_flight[place]);
        let open = self.take_answers(Some(UNANSWERED), call);
        if let Some(row) = suspect {
            call.answer(row, Answer::Code(PARAMETER));
        }
        self.tell(
            CallFailure::Unanswered,
            open,
            format!("the node ended the batch with {}", Told(code)),
            call,
        );
    }

    /// Gives the rows of the frame their codes, and `open` to those that have none. Returns how many have none.
    fn take_answers(&mut self, open: Option<Answer>, call: &mut Call<'_, '_>) -> usize {
        let mut without = 0;
        for (place, row) in self.in_flight.drain(..).enumerate() {
            let answer = self.answers.code(place).map(Answer::Code);
            without += usize::from(answer.is_none());
            if let Some(answer) = answer.or(open) {
                call.answer(row, answer);
            }
        }
        without
    }

    fn broken(&mut self, error: &io::Error, call: &mut Call<'_, '_>) {
        self.failed(CallFailure::Connection, error.to_string(), call);
    }

    fn late(&mut self, call: &mut Call<'_, '_>) {
        if self.stage == Stage::Idle && self.taken == self.group.len() {
            return;
        }
        let what = match self.stage {
            Stage::Idle => "no time left to send the rest",
            Stage::Connecting => {
                call.called.is_map_doubtful = true;
                "not connected in time"
            }
            Stage::Sending(_) => "the node does not take the request",
            Stage::Reading => "no answer in time",
        };
        self.failed(CallFailure::TimedOut, what.to_owned(), call);
    }

    /// The frame has failed, and with it the connection: the rest of an answer may still come on it. Rows without a
    /// code are in doubt if the kernel had the whole frame. Rows that are not sent yet fail too.
    fn failed(&mut self, failure: CallFailure, error: String, call: &mut Call<'_, '_>) {
        let is_sent = self.stage == Stage::Reading;
        if self.stage != Stage::Idle {
            self.connection = None;
            self.stage = Stage::Idle;
        }
        call.called.is_map_doubtful |= failure == CallFailure::Connection;
        let in_doubt = is_sent;
        let mut open = self.take_answers(Some(Answer::Failed { failure, in_doubt }), call);
        for row in self.group.drain(self.taken..) {
            open += 1;
            let in_doubt = false;
            call.answer(row, Answer::Failed { failure, in_doubt });
        }
        self.tell(failure, open, error, call);
    }

    fn tell(&self, failure: CallFailure, rows: usize, error: String, call: &mut Call<'_, '_>) {
        if rows > 0 {
            call.called.failures.push(NodeFailure {
                address: self.node.address.clone(),
                failure,
                rows,
                error,
            });
        }
    }

    /// Forgets the last call. If it did not come to its end, because of a panic, its connection goes too.
    fn fresh(&mut self) {
        if mem::take(&mut self.stage) != Stage::Idle {
            self.connection = None;
        }
        self.group.clear();
        self.in_flight.clear();
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests;
