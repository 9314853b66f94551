//! Takes messages from a partition's queue several at a time, and hands them over one by one.
//!
//! That takes two thirds of the CPU (`docs/architecture/decisions-memory-and-speed.md`). The first message is waited
//! for and taken alone; then what is there is taken without waiting, so nothing lingers. What was taken and not handed
//! over is ahead: librdkafka's position is behind it, but nobody has seen it yet. This file hides that. To its caller,
//! everything is as if each message were taken alone:
//!
//! - The position is told only while nothing is ahead.
//! - A seek and a pause drop what is ahead, and it comes again.
//! - An error stands in its place between the messages.
//!
//! librdkafka's call for many messages moves the position in its own way (read in `rdkafka_queue.c` of 2.12.1,
//! `rd_kafka_q_serve_rkmessages`). An error moves it, too, to behind an offset that was not read (its issue 4844, fixed
//! in 2.13.2). And it never moves back, not even when the offsets do. The position decides what is committed and
//! where a paused partition resumes, so in both cases it counts as wrong until a message is taken alone, which sets it
//! to behind that message.
//!
//! librdkafka itself pauses all partitions at the beginning of a rebalance, on another thread. If that meets the end
//! of a call, the messages of this call come again. So after a rebalance the offsets can go back by [`AHEAD_MAX`]
//! messages. (Earlier in a call, librdkafka notices the pause and drops what the call has.)

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

use rdkafka::error::KafkaResult;

use crate::kafka::consumer::fetched::{FetchError, QueuedMessage};

/// The largest number of messages that are taken from the queue at once. With more, a message costs hardly less.
pub const AHEAD_MAX: usize = 32;

/// How much a worker still takes into its batch.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    pub messages: usize,
    /// Keys and payloads.
    pub bytes: usize,
}

/// A partition's queue, with librdkafka's own behaviour.
pub trait Queue {
    type Message: QueuedMessage;

    /// The next message. Waits at most `wait`. A message sets the position to behind itself; an error does not.
    fn next(&self, wait: Duration) -> Option<Result<Self::Message, FetchError>>;

    /// Appends the messages that are there, at most `max` (and at most [`AHEAD_MAX`]), without waiting. The position
    /// afterwards is behind the highest offset, even if that is the offset of an error.
    fn ready(&self, max: usize, into: &mut VecDeque<Result<Self::Message, FetchError>>);

    /// The position, with the leader epoch of the entry that moved it last.
    fn position(&self) -> Option<(i64, Option<i32>)>;

    /// Fetches again from `offset`. With an epoch, the brokers check it. There is no position until a message is taken.
    fn seek(&self, offset: i64, epoch: Option<i32>) -> KafkaResult<()>;

    /// Stops fetching, and drops what is in the queue. Fetching resumes at the position.
    fn pause(&self) -> KafkaResult<()>;
}

/// A queue, and what was taken from it ahead.
pub struct Intake<Q: Queue> {
    // Dropped in this order: no message outlives the consumer, which the queue may own.
    state: RefCell<State<Q::Message>>,
    pub queue: Q,
}

struct State<M> {
    ahead: VecDeque<Result<M, FetchError>>,
    /// The offset of the last message that was handed over, since the last seek.
    handed_over: Option<i64>,
    /// The queue's position is not where its messages are.
    is_astray: bool,
    /// About the size of the largest of the last messages.
    large_bytes: usize,
}

impl<Q: Queue> Intake<Q> {
    pub fn new(queue: Q) -> Self {
        Intake {
            state: RefCell::new(State {
                ahead: VecDeque::with_capacity(AHEAD_MAX),
                handed_over: None,
                is_astray: false,
                large_bytes: 0,
            }),
            queue,
        }
    }

    /// The next message. Waits at most `wait`. At most as much is taken ahead as `room` has, unless the messages are
    /// suddenly larger than those before.
    pub fn poll(&self, wait: Duration, room: Room) -> Option<Result<Q::Message, FetchError>> {
        let state = &mut *self.state.borrow_mut();
        let next = match state.ahead.pop_front() {
            Some(next) => next,
            None => state.take(&self.queue, wait, room)?,
        };
        if let Ok(message) = &next {
            state.handed_over = Some(message.offset());
        }
        Some(next)
    }

    /// The position: behind the last message that was handed over, and behind the gaps that follow it. `None` while
    /// that is not known.
    pub fn position(&self) -> Option<(i64, Option<i32>)> {
        if self.state.borrow().is_exact() {
            self.queue.position()
        } else {
            None
        }
    }

    /// Fetches again from `offset`.
    ///
    /// # Errors
    /// If the queue cannot. What is ahead then stays: it may not come again.
    pub fn seek(&self, offset: i64, epoch: Option<i32>) -> KafkaResult<()> {
        let state = &mut *self.state.borrow_mut();
        self.queue.seek(offset, epoch)?;
        state.begin_anew();
        Ok(())
    }

    /// Stops fetching, and drops what is fetched and not handed over. Fetching resumes behind the last message that was
    /// handed over.
    ///
    /// # Errors
    /// If the queue cannot.
    pub fn pause(&self) -> KafkaResult<()> {
        let state = &mut *self.state.borrow_mut();
        if !state.is_exact()
            && let Some(last) = state.handed_over
        {
            self.queue.seek(last + 1, None)?;
            state.begin_anew();
        }
        self.queue.pause()
    }
}

impl<M: QueuedMessage> State<M> {
    /// The queue's position is where its caller believes it to be.
    fn is_exact(&self) -> bool {
        self.ahead.is_empty() && !self.is_astray
    }

    fn begin_anew(&mut self) {
        self.ahead.clear();
        (self.handed_over, self.is_astray) = (None, false);
    }

    /// Takes a message from the queue, and what is ready behind it.
    fn take(&mut self, queue: &impl Queue<Message = M>, wait: Duration, room: Room) -> Option<Result<M, FetchError>> {
        let first = match queue.next(wait)? {
            Ok(first) => first,
            error => return Some(error),
        };
        self.is_astray = false;
        // One large message among small ones is soon forgotten.
        self.large_bytes = first.bytes().max(self.large_bytes - self.large_bytes / 8);
        let more = room.bytes.saturating_sub(first.bytes()) / self.large_bytes.max(1);
        let more = more.min(room.messages.saturating_sub(1)).min(AHEAD_MAX - 1);
        if more > 0 {
            queue.ready(more, &mut self.ahead);
            let mut last = first.offset();
            for next in &self.ahead {
                match next {
                    Ok(message) => {
                        self.is_astray |= message.offset() <= last;
                        last = message.offset();
                        self.large_bytes = self.large_bytes.max(message.bytes());
                    }
                    Err(_) => self.is_astray = true,
                }
            }
        }
        Some(Ok(first))
    }
}
