//! Publish: sends the messages that a batch produces to their topics, and retries for as long as necessary.
//!
//! When the rows of a batch are done, the worker pushes its messages into its [`Outbox`] and goes on. It writes the
//! next batch while delivery reports arrive. The worker blocks in three cases: something waits for a report, the outbox
//! is full, or something goes wrong. It then blocks until every message has a delivery report that says "stored". That
//! is the back-pressure, as for the database.
//!
//! If a message fails, all messages after it in its topic are sent again, in order, once none of them is in flight any
//! more. So the last message of a key stays the last. This can cause duplicates: publishing promises at least once.
//! [`mod@crate::delivery::report_outcomes`] decides what a report means.
//!
//! This module does not know the Kafka client ([`Publisher`] does) and commits nothing. It logs only what it leaves
//! behind. The publisher logs a topic that takes no messages, once for all workers.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use crate::delivery::report_outcomes::{Meaning, meaning};
use crate::output::publication::{OutgoingMessage, Publication};
use crate::util::backoff::Backoff;
use crate::util::exit::Exit;
use crate::util::stop::{GLANCE, Stop, StopKind};

/// Why a message was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// librdkafka's error code (`rd_kafka_resp_err_t`).
    pub code: i32,
    /// librdkafka's text for it.
    pub why: String,
}

/// Identifies a message of an outbox: its lane and its position in the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    lane: usize,
    position: usize,
}

#[cfg(test)]
impl Place {
    pub const FIRST: Place = Place { lane: 0, position: 0 };
}

/// Receives the delivery reports of one outbox, from the publisher's thread. Wakes the worker when there is enough to
/// do.
#[derive(Debug)]
pub struct Reports {
    stop: Stop,
    /// Bytes that the publisher's queue holds for this outbox. The publisher counts them, under its own lock.
    queued_bytes: AtomicU64,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    reports: Vec<(Place, Result<(), SendFailure>)>,
    /// Whether one of the reports is a failure.
    failed: bool,
    /// How many reports wake the waiter. `None`: nobody waits.
    wanted: Option<usize>,
    /// The publisher has room again for a message that did not fit.
    room: bool,
}

impl Inbox {
    fn is_worth_it(&self) -> bool {
        self.failed || self.room || self.wanted.is_some_and(|wanted| self.reports.len() >= wanted)
    }
}

impl Reports {
    pub fn new(stop: &Stop) -> Arc<Reports> {
        Arc::new(Reports {
            stop: stop.clone(),
            queued_bytes: AtomicU64::new(0),
            inbox: Mutex::default(),
        })
    }

    /// Stores the report of a message. The publisher calls this exactly once for each message that it took, from any
    /// thread.
    pub fn report(&self, place: Place, result: Result<(), SendFailure>) {
        let wakes = {
            let mut inbox = self.inbox.lock();
            inbox.failed |= result.is_err();
            inbox.reports.push((place, result));
            inbox.is_worth_it()
        };
        if wakes {
            self.stop.wake();
        }
    }

    /// Bytes that the publisher's queue holds for this outbox, as the publisher has counted them.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Relaxed)
    }

    /// The publisher took this many bytes into its queue.
    pub fn add_queued(&self, bytes: u64) {
        self.queued_bytes.fetch_add(bytes, Relaxed);
    }

    /// The publisher's queue released this many bytes.
    pub fn sub_queued(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }

    /// The publisher may have room again for a message that it answered with [`Unsent::NoRoom`].
    pub fn room(&self) {
        self.inbox.lock().room = true;
        self.stop.wake();
    }

    fn take(&self) -> Vec<(Place, Result<(), SendFailure>)> {
        let mut inbox = self.inbox.lock();
        inbox.failed = false;
        inbox.room = false;
        std::mem::take(&mut inbox.reports)
    }

    /// Waits until `wanted` reports have arrived, one is a failure, there is room again, the stop flag is raised
    /// (unless the caller has already `seen` it raised), or `deadline` has passed.
    fn wait(&self, wanted: usize, seen: bool, deadline: Instant) {
        self.inbox.lock().wanted = Some(wanted);
        self.stop.wait_for(seen, || self.inbox.lock().is_worth_it(), deadline);
        self.inbox.lock().wanted = None;
    }
}

/// Why the publisher did not take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// The queue is full. [`Reports::room`] tells when it has room again.
    NoRoom,
    /// Another worker uses the topic alone for a moment, or this one must wait until no other messages are in flight.
    Busy,
    /// The publisher can never take it. The limit in bytes, and the setting that defines it.
    TooLarge { limit_bytes: u64, limit: &'static str },
    /// The same failure as in a delivery report.
    Failed(SendFailure),
    /// The producer has failed for good.
    Fatal(String),
}

/// Produces messages: the Kafka producer, or a test.
pub trait Publisher: Send + Sync {
    /// Takes a copy of the message to produce it, or says why not. Does not block. Each message taken is reported to
    /// `reports` exactly once, with this `place`. Messages of one topic and key that are stored are stored in the order
    /// in which they were taken.
    ///
    /// `alone`: take the message only if no other message of its topic is in flight, of any worker. Take no other one
    /// until it is reported. So a refusal is caused by this message.
    ///
    /// # Errors
    /// See [`Unsent`].
    fn send(
        &self,
        topic: &str,
        message: &OutgoingMessage,
        place: Place,
        reports: &Arc<Reports>,
        alone: bool,
    ) -> Result<(), Unsent>;

    /// This outbox no longer waits for room or for a topic, until it sends again.
    fn withdraw(&self, reports: &Arc<Reports>);

    /// Removes from the queue all messages that are not stored yet, of all workers. Each of them is reported soon. A
    /// message on its way to a broker cannot be called back; we can only stop waiting for it.
    fn purge(&self);
}

/// How messages are published.
#[derive(Clone, Copy)]
pub struct PublishCalls<'c> {
    pub publisher: &'c dyn Publisher,
    pub stop: &'c Stop,
    /// How long after a stop to wait for reports.
    pub finish_max: Duration,
    /// If the worker ends for its own reason: since when. It has the same effect as a stop.
    pub ends_since: Option<Instant>,
    /// Called at least every [`GLANCE`] while waiting, so that the partition's other duties go on.
    pub meanwhile: &'c dyn Fn(),
}

/// How waiting for what was published ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEnd {
    /// All messages waited for are stored.
    Finished,
    /// The stop flag was raised first.
    Stopped,
    Fatal(PublishFatal),
}

/// Why the service cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishFatal {
    /// The offset of the source message, the bytes of the message with key and headers, and the limit that refuses it.
    TooLarge {
        offset: i64,
        topic: String,
        bytes: u64,
        limit: Limit,
    },
    /// The user may not write there.
    Unauthorized { topic: String, why: String },
    /// The topic refuses the message because of its content.
    Refused { offset: i64, topic: String, why: String },
    /// The producer has failed for good.
    Producer { why: String },
}

/// The limit that a message exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The topic's own limit.
    Topic,
    /// A limit of this process, in bytes, and the setting that defines it.
    Own { bytes: u64, set_by: &'static str },
}

impl PublishFatal {
    /// The offset of the source message, if one message is the cause.
    pub fn offset(&self) -> Option<i64> {
        match self {
            PublishFatal::TooLarge { offset, .. } | PublishFatal::Refused { offset, .. } => Some(*offset),
            PublishFatal::Unauthorized { .. } | PublishFatal::Producer { .. } => None,
        }
    }

    /// The exit code with which the service ends.
    pub fn exit(&self) -> Exit {
        match self {
            PublishFatal::TooLarge { .. } | PublishFatal::Refused { .. } => Exit::Rejected,
            PublishFatal::Unauthorized { .. } => Exit::Credentials,
            // A new producer can go on.
            PublishFatal::Producer { .. } => Exit::Restart,
        }
    }
}

impl fmt::Display for PublishFatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishFatal::TooLarge {
                topic,
                bytes,
                limit: Limit::Topic,
                ..
            } => write!(
                f,
                "the topic {topic} refuses a message of {bytes} bytes as too large; raise max.message.bytes of the topic"
            ),
            PublishFatal::TooLarge {
                topic,
                bytes,
                limit: Limit::Own { bytes: limit, set_by },
                ..
            } => write!(
                f,
                "a message of {bytes} bytes for the topic {topic} is larger than the {limit} that may be sent; raise {set_by}"
            ),
            PublishFatal::Unauthorized { topic, why } => write!(
                f,
                "kafka refuses to produce to the topic {topic}: {why}; grant the user WRITE and DESCRIBE on it (brokers \
                 before 3.0: IDEMPOTENT_WRITE on the cluster, too)"
            ),
            PublishFatal::Refused { topic, why, .. } => write!(
                f,
                "the topic {topic} refuses a message for what it is: {why}; a compacted topic needs a key; see the \
                 topic's settings and the brokers' policies"
            ),
            PublishFatal::Producer { why } => {
                write!(f, "the kafka producer cannot go on: {why}; start the service again")
            }
        }
    }
}

impl std::error::Error for PublishFatal {}

/// Bytes kept per message besides key, payload and headers, here and by the worker.
const ENTRY_BYTES: u64 = 256;
/// A worker goes on without a report for this long.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// Backoff after a failure of the brokers or the network.
const BROKERS: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// Backoff after a failure that nothing caused, such as a purge by another worker.
const PURGED: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
/// Interval between two tries while another worker uses the topic alone.
const BUSY: Duration = Duration::from_millis(10);
/// Interval between two purges while leaving.
const PURGE_INTERVAL: Duration = Duration::from_millis(100);
/// How long a leaving worker waits for the reports of its messages. The client's threads answer at once unless they
/// resolve a host name.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// The messages that a worker has to publish and that are not confirmed yet.
///
/// Messages of one topic are sent in the order in which they were pushed. Each message has a number, counted from 0
/// over all topics.
#[derive(Debug)]
pub struct Outbox {
    reports: Arc<Reports>,
    lanes: Vec<TopicLane>,
    /// For each number from `stored_below` on: whether that message is stored, and all earlier ones of its topic too.
    stored: VecDeque<bool>,
    stored_below: u64,
    /// Memory of all messages in bytes.
    bytes: u64,
    resent: u64,
    /// When a message was last stored, or when the first of those in flight was sent.
    heard: Instant,
    /// Nothing is sent any more.
    has_failed: bool,
    /// The message that was the cause of the last end, if one was.
    culprit: Option<Place>,
}

/// The messages of one topic.
#[derive(Debug)]
struct TopicLane {
    topic: String,
    /// Messages that are not stored, and those behind one that is not stored.
    messages: VecDeque<Entry>,
    /// The position of the first message in `messages`. So many were stored before it.
    first: usize,
    /// The position of the next message to send.
    next: usize,
    /// Sent but not reported yet.
    under_way: usize,
    /// The largest value of `under_way` since the lane last began again.
    peak: usize,
    /// The lowest position that failed. Nothing is sent until all messages in flight are reported.
    failed: Option<usize>,
    /// What the failures since the lane last began again require.
    trouble: Trouble,
    /// How many messages may be in flight at once. Unlimited until the topic refuses a message that was sent with
    /// others.
    window: usize,
    /// Send one message at a time, and no other worker's beside it.
    alone: bool,
    failures: u32,
    /// The brokers failed this topic, and have stored none of its messages since.
    is_failing: bool,
    pause_until: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    message: OutgoingMessage,
    /// The offset of the source message.
    offset: i64,
    number: u64,
    is_stored: bool,
    /// It is not sent. It counts as stored.
    is_left_out: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// Pause: the brokers have a problem.
    brokers: bool,
    /// Send fewer at once: a message that was sent with others was refused.
    company: bool,
}

impl TopicLane {
    fn new(topic: &str) -> TopicLane {
        TopicLane {
            topic: topic.to_owned(),
            messages: VecDeque::new(),
            first: 0,
            next: 0,
            under_way: 0,
            peak: 0,
            failed: None,
            trouble: Trouble::default(),
            window: usize::MAX,
            alone: false,
            failures: 0,
            is_failing: false,
            pause_until: None,
        }
    }

    fn end(&self) -> usize {
        self.first + self.messages.len()
    }

    /// Whether everything is stored. Stored messages leave the lane when the first one is reported.
    fn is_finished(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether all sent messages are in flight without a failure, and the next ones can follow.
    fn is_well(&self) -> bool {
        self.failed.is_none() && self.pause_until.is_none() && self.window == usize::MAX
    }

    /// Sends again from the failed message on, after a pause. Called when a message has failed and none is in flight
    /// any more.
    fn begin_again(&mut self, failed: usize) {
        // Messages stored after the failed one are sent again after it.
        for entry in self.messages.range_mut(failed - self.first..self.next - self.first) {
            entry.is_stored = entry.is_left_out;
        }
        let Trouble { brokers, company } = std::mem::take(&mut self.trouble);
        if company {
            // Any of the messages that were sent together may be the cause, or all of them together.
            self.window = (self.peak / 2).max(1);
            self.alone |= self.peak <= 1;
        }
        let backoff = if brokers { BROKERS } else { PURGED };
        self.pause_until = Some(Instant::now() + backoff.pause(self.failures));
        self.failures += 1;
        self.is_failing = brokers;
        self.next = failed;
        self.failed = None;
        self.peak = 0;
    }
}

impl Outbox {
    /// An empty outbox. `stop`: the worker's stop flag, through which reports wake the worker.
    pub fn new(stop: &Stop) -> Outbox {
        Outbox {
            reports: Reports::new(stop),
            lanes: Vec::new(),
            stored: VecDeque::new(),
            stored_below: 0,
            bytes: 0,
            resent: 0,
            heard: Instant::now(),
            has_failed: false,
            culprit: None,
        }
    }

    /// Adds a message made from the message at `offset`. Sends nothing yet.
    pub fn push(&mut self, offset: i64, publication: &Publication<'_>) {
        let lane = match self.lanes.iter().position(|lane| lane.topic == publication.topic) {
            Some(lane) => lane,
            None => {
                self.lanes.push(TopicLane::new(publication.topic));
                self.lanes.len() - 1
            }
        };
        let number = self.pushed();
        let message = OutgoingMessage::from(publication);
        self.bytes += message.weight() + ENTRY_BYTES;
        self.stored.push_back(false);
        self.lanes[lane].messages.push_back(Entry {
            message,
            offset,
            number,
            is_stored: false,
            is_left_out: false,
        });
    }

    /// How many messages were pushed. This is the number of the next one.
    pub fn pushed(&self) -> u64 {
        self.stored_below + self.stored.len() as u64
    }

    /// All messages below this number are stored, in the right order.
    pub fn stored_below(&self) -> u64 {
        self.stored_below
    }

    /// Whether everything is stored.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Bytes of memory that the unconfirmed messages use.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many messages were sent again since the last call.
    pub fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.resent)
    }

    /// Takes the reports that have arrived and, if `send`, sends what may be sent. Does not block. `Ok(false)`:
    /// something failed, has no room, or was not reported for a second. The worker must then call
    /// [`settle`](Outbox::settle).
    ///
    /// # Errors
    /// If the service cannot go on. Nothing is sent any more then.
    pub fn advance(&mut self, send: bool, calls: &PublishCalls<'_>) -> Result<bool, PublishFatal> {
        let advanced = self.hear(calls).and_then(|()| {
            let is_silent = self.under_way() > 0 && self.heard.elapsed() >= SILENT_AFTER;
            let mut is_well = !is_silent && self.lanes.iter().all(TopicLane::is_well);
            if send && is_well {
                for lane in 0..self.lanes.len() {
                    is_well &= matches!(self.send(lane, false, calls)?, Sending::Nothing | Sending::UnderWay);
                }
                is_well &= self.lanes.iter().all(TopicLane::is_well);
            }
            Ok(is_well)
        });
        self.has_failed |= advanced.is_err();
        advanced
    }

    /// Blocks until all messages below the number `until` are stored, for as long as it takes. Sends everything.
    ///
    /// After a stop, messages that were not sent yet are still sent. Messages that the brokers failed are not sent
    /// again, and reports are awaited until `finish_max` after the stop. If the partition is lost
    /// ([`StopKind::Abandon`]), this ends at once.
    pub fn settle(&mut self, until: u64, calls: &PublishCalls<'_>) -> PublishEnd {
        let end = self.run(until, calls);
        self.has_failed |= matches!(end, PublishEnd::Fatal(_));
        end
    }

    fn run(&mut self, until: u64, calls: &PublishCalls<'_>) -> PublishEnd {
        loop {
            if let Err(fatal) = self.hear(calls) {
                return PublishEnd::Fatal(fatal);
            }
            if self.stored_below >= until {
                return PublishEnd::Finished;
            }
            let stop = calls.stop;
            let requested_at = stop.requested_at();
            let stopped_at = requested_at.or(calls.ends_since);
            if self.has_failed
                || stopped_at.is_some_and(|at| at.elapsed() >= calls.finish_max)
                || stop.kind() == Some(StopKind::Abandon)
            {
                return PublishEnd::Stopped;
            }
            (calls.meanwhile)();
            let mut look_again = Instant::now() + GLANCE;
            if let Some(at) = stopped_at {
                look_again = look_again.min(at + calls.finish_max);
            }
            let mut moves = false;
            for lane in 0..self.lanes.len() {
                match self.send(lane, stopped_at.is_some(), calls) {
                    Ok(Sending::UnderWay) => moves = true,
                    Ok(Sending::NoRoom) => {
                        moves = true;
                        // The messages before it must be reported first.
                        break;
                    }
                    Ok(Sending::Pause(until)) => {
                        moves = true;
                        look_again = look_again.min(until);
                    }
                    Ok(Sending::Nothing) => {}
                    Err(fatal) => return PublishEnd::Fatal(fatal),
                }
            }
            // The messages that are left have failed at the brokers.
            if !moves && stopped_at.is_some() && self.under_way() == 0 {
                return PublishEnd::Stopped;
            }
            let wanted = self.wanted(until);
            self.reports.wait(wanted, requested_at.is_some(), look_again);
        }
    }

    /// Leaves out the message that was the cause of the last end, so that the others can go on, and returns its number.
    /// `None`: it was not one message, and nothing can go on.
    pub fn leave_out(&mut self) -> Option<u64> {
        let Place { lane, position } = self.culprit.take()?;
        let lane = self.lanes.get_mut(lane)?;
        let entry = lane.messages.get_mut(position.checked_sub(lane.first)?)?;
        (entry.is_stored, entry.is_left_out) = (true, true);
        let number = entry.number;
        if lane.failed == Some(position) {
            // It was refused alone: nothing was sent behind it.
            lane.failed = None;
        }
        self.has_failed = false;
        self.let_go();
        Some(number)
    }

    fn under_way(&self) -> usize {
        self.lanes.iter().map(|lane| lane.under_way).sum()
    }

    /// How many reports to wait for: all that `until` needs, or one if the next message can be sent after any report.
    fn wanted(&self, until: u64) -> usize {
        let waits = |lane: &TopicLane| lane.under_way > 0 && lane.next < lane.end() && lane.failed.is_none();
        if self.lanes.iter().any(waits) {
            return 1;
        }
        match self.under_way() {
            0 => usize::MAX,
            all => usize::try_from(until - self.stored_below).map_or(all, |needed| needed.min(all)),
        }
    }

    /// Sends what may be sent of a lane.
    fn send(&mut self, number: usize, stopping: bool, calls: &PublishCalls<'_>) -> Result<Sending, PublishFatal> {
        if self.under_way() == 0 {
            self.heard = Instant::now();
        }
        let lane = &mut self.lanes[number];
        if lane.is_finished() {
            return Ok(Sending::Nothing);
        }
        if lane.under_way > 0 && lane.failed.is_some() {
            return Ok(Sending::UnderWay);
        }
        if stopping && lane.under_way == 0 && (lane.trouble.brokers || lane.is_failing) {
            return Ok(Sending::Nothing);
        }
        if let Some(failed) = lane.failed {
            self.resent += (lane.next - failed) as u64;
            lane.begin_again(failed);
        }
        if let Some(until) = lane.pause_until {
            if until > Instant::now() {
                return Ok(Sending::Pause(until));
            }
            lane.pause_until = None;
        }
        while lane.next < lane.end() && lane.under_way < lane.window {
            let Entry {
                message,
                offset,
                is_left_out,
                ..
            } = &lane.messages[lane.next - lane.first];
            if *is_left_out {
                lane.next += 1;
                continue;
            }
            let place = Place {
                lane: number,
                position: lane.next,
            };
            match calls
                .publisher
                .send(&lane.topic, message, place, &self.reports, lane.alone)
            {
                Ok(()) => {
                    lane.next += 1;
                    lane.under_way += 1;
                    lane.peak = lane.peak.max(lane.under_way);
                }
                Err(Unsent::NoRoom) => return Ok(Sending::NoRoom),
                Err(Unsent::Busy) => return Ok(Sending::Pause(Instant::now() + BUSY)),
                Err(Unsent::TooLarge { limit_bytes, limit }) => {
                    let fatal = PublishFatal::TooLarge {
                        offset: *offset,
                        topic: lane.topic.clone(),
                        bytes: message.weight(),
                        limit: Limit::Own {
                            bytes: limit_bytes,
                            set_by: limit,
                        },
                    };
                    return Err(self.blame(place, fatal));
                }
                Err(Unsent::Failed(failure)) => {
                    // The publisher did not take it. It is handled like any other failure: those in flight are reported
                    // first.
                    lane.next += 1;
                    lane.under_way += 1;
                    return match self.reported(place, Err(failure), calls) {
                        Ok(()) => self.send(number, stopping, calls),
                        Err(fatal) => Err(self.blame(place, fatal)),
                    };
                }
                Err(Unsent::Fatal(why)) => return Err(self.blame(place, PublishFatal::Producer { why })),
            }
        }
        Ok(Sending::UnderWay)
    }

    /// Takes the reports. Returns the first error.
    fn hear(&mut self, calls: &PublishCalls<'_>) -> Result<(), PublishFatal> {
        let mut heard = Ok(());
        for (place, result) in self.reports.take() {
            let reported = self.reported(place, result, calls);
            if let (Ok(()), Err(fatal)) = (&heard, reported) {
                heard = Err(self.blame(place, fatal));
            }
        }
        self.let_go();
        heard
    }

    /// Notes whether the message at `place` is itself the cause.
    fn blame(&mut self, place: Place, fatal: PublishFatal) -> PublishFatal {
        self.culprit = fatal.offset().map(|_| place);
        fatal
    }

    fn reported(
        &mut self,
        place: Place,
        result: Result<(), SendFailure>,
        calls: &PublishCalls<'_>,
    ) -> Result<(), PublishFatal> {
        let lane = &mut self.lanes[place.lane];
        lane.under_way -= 1;
        let entry = &mut lane.messages[place.position - lane.first];
        let failure = match result {
            Ok(()) => {
                entry.is_stored = true;
                self.heard = Instant::now();
                lane.failures = 0;
                lane.is_failing = false;
                return Ok(());
            }
            Err(failure) => failure,
        };
        if lane.failed.is_none() {
            // The lane sends nothing for a while, and must not block others meanwhile.
            calls.publisher.withdraw(&self.reports);
        }
        lane.failed = Some(lane.failed.map_or(place.position, |before| before.min(place.position)));
        let (offset, topic) = (entry.offset, || lane.topic.clone());
        match meaning(failure.code) {
            // `Stored` does not occur here: the report has an error.
            Meaning::Stored | Meaning::Again => {}
            Meaning::Retry | Meaning::Unknown => lane.trouble.brokers = true,
            Meaning::TooLarge | Meaning::Refused if !lane.alone => lane.trouble.company = true,
            Meaning::TooLarge => {
                return Err(PublishFatal::TooLarge {
                    offset,
                    topic: topic(),
                    bytes: entry.message.weight(),
                    limit: Limit::Topic,
                });
            }
            Meaning::Refused => {
                return Err(PublishFatal::Refused {
                    offset,
                    topic: topic(),
                    why: failure.why,
                });
            }
            Meaning::Unauthorized => {
                return Err(PublishFatal::Unauthorized {
                    topic: topic(),
                    why: failure.why,
                });
            }
            Meaning::Fatal => return Err(PublishFatal::Producer { why: failure.why }),
        }
        Ok(())
    }

    /// Removes messages that are stored together with all earlier ones of their topic. A message stored after a failed
    /// one is kept, because it is sent again.
    fn let_go(&mut self) {
        for lane in &mut self.lanes {
            while lane.messages.front().is_some_and(|entry| entry.is_stored)
                && let Some(entry) = lane.messages.pop_front()
            {
                lane.first += 1;
                self.bytes -= entry.message.weight() + ENTRY_BYTES;
                if let Ok(place) = usize::try_from(entry.number - self.stored_below) {
                    self.stored[place] = true;
                }
            }
            // A message that was left out may never have been sent.
            lane.next = lane.next.max(lane.first);
            if lane.messages.is_empty() {
                // The trouble is over.
                (lane.window, lane.alone, lane.peak) = (usize::MAX, false, 0);
            }
        }
        while self.stored.front() == Some(&true) {
            self.stored.pop_front();
            self.stored_below += 1;
        }
    }

    /// Abandons the unconfirmed messages: the partition's next owner publishes them again. Purges them as far as
    /// possible, so that none of them is stored after the next owner's.
    pub fn leave(&mut self, calls: &PublishCalls<'_>) {
        self.has_failed = true;
        calls.publisher.withdraw(&self.reports);
        let deadline = Instant::now() + LEAVE_MAX;
        loop {
            for (place, result) in self.reports.take() {
                let lane = &mut self.lanes[place.lane];
                lane.under_way -= 1;
                lane.messages[place.position - lane.first].is_stored = result.is_ok();
            }
            let under_way = self.under_way();
            if under_way == 0 {
                break;
            }
            let now = Instant::now();
            if now >= deadline {
                warn!(
                    "publish: leaving without a report for some messages; they may still be stored messages={under_way} topics={}",
                    self.topics_under_way()
                );
                break;
            }
            calls.publisher.purge();
            (calls.meanwhile)();
            self.reports.wait(under_way, true, deadline.min(now + PURGE_INTERVAL));
        }
        self.let_go();
    }

    fn topics_under_way(&self) -> String {
        let topics: Vec<&str> = self
            .lanes
            .iter()
            .filter(|lane| lane.under_way > 0)
            .map(|lane| lane.topic.as_str())
            .collect();
        topics.join(",")
    }
}

enum Sending {
    /// Nothing is left, or what is left has failed and is not sent again.
    Nothing,
    /// Reports are still to come.
    UnderWay,
    /// The next message waits for room.
    NoRoom,
    /// Nothing is sent before this time.
    Pause(Instant),
}

#[cfg(test)]
mod tests;
