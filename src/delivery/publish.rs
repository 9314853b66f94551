//! Publish: what messages ask to be produced, brought to its topics, for as long as it takes.
//!
//! A worker pushes into its [`Outbox`] what a batch asks for when the batch's rows are done, and goes on: the next batch is
//! written while reports come. It blocks where something waits for a report, where the outbox is full, and where anything
//! goes wrong, until every message has a delivery report that says that it is stored: that is the back-pressure, as with
//! the database. A message that fails takes everything behind it in its topic along: all of that is sent again, in order,
//! when nothing of it is under way any more, so a key's last message stays its last. Duplicates come of that; at least once
//! is what publishing promises. What a report means is [`mod@crate::delivery::report_outcomes`]'s to say.
//!
//! Does not know the Kafka client ([`Publisher`] does), commits nothing, and logs nothing but what it leaves behind: a
//! topic that takes no messages is told by the publisher, once for all workers.

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

/// Why a message is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFailure {
    /// librdkafka's number for it (`rd_kafka_resp_err_t`).
    pub code: i32,
    /// Its words for it.
    pub why: String,
}

/// Which of a call's messages: the lane and the position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    lane: usize,
    position: usize,
}

#[cfg(test)]
impl Place {
    pub const FIRST: Place = Place { lane: 0, position: 0 };
}

/// Where the delivery reports of one call arrive, from the publisher's thread. Wakes the worker when it is worth it.
#[derive(Debug)]
pub struct Reports {
    stop: Stop,
    /// What the publisher holds for this call: its own count, under its own lock.
    queued_bytes: AtomicU64,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    reports: Vec<(Place, Result<(), SendFailure>)>,
    /// One of them is a failure.
    failed: bool,
    /// How many reports wake the waiter; `None`: nobody waits.
    wanted: Option<usize>,
    /// There is room again for a message that had none.
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

    /// A message has its report. Called by the publisher, from any thread, once for each message that it took.
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

    /// What of this call is in the publisher's queue, in bytes, as it has counted.
    pub fn queued_bytes(&self) -> u64 {
        self.queued_bytes.load(Relaxed)
    }

    /// The publisher has taken so many bytes more.
    pub fn add_queued(&self, bytes: u64) {
        self.queued_bytes.fetch_add(bytes, Relaxed);
    }

    /// And given back so many.
    pub fn sub_queued(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }

    /// There may be room again for a message that was answered [`Unsent::NoRoom`].
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

    /// Waits for so many reports, a failure, room, the stop flag (unless it was `seen` raised), or until `deadline`.
    fn wait(&self, wanted: usize, seen: bool, deadline: Instant) {
        self.inbox.lock().wanted = Some(wanted);
        self.stop.wait_for(seen, || self.inbox.lock().is_worth_it(), deadline);
        self.inbox.lock().wanted = None;
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// The queue is full; [`Reports::room`] will tell when it is not.
    NoRoom,
    /// Another worker has the topic for itself for a moment, or this one must wait until nobody else's are under way.
    Busy,
    /// It could never be taken: the limit in bytes, and what sets it.
    TooLarge { limit_bytes: u64, limit: &'static str },
    /// The same as a delivery report that says so.
    Failed(SendFailure),
    /// The producer cannot go on.
    Fatal(String),
}

/// What produces: the broker's side, or a test.
pub trait Publisher: Send + Sync {
    /// Takes a copy of this message to be produced, or says why not. Does not block. A message that is taken is reported
    /// to `reports` exactly once, with this place; messages of one topic and key are stored in the order in which they
    /// are taken, as far as they are stored.
    ///
    /// `alone`: only when nothing else of its topic is under way, of any worker, and nothing is taken beside it until it
    /// is reported: a refusal is then its own.
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

    /// This call waits neither for room nor for a topic any more, until it sends again.
    fn withdraw(&self, reports: &Arc<Reports>);

    /// Takes back what is not stored yet, of all workers: each such message is reported soon. What is on its way to a
    /// broker cannot be called back, only no longer be waited for.
    fn purge(&self);
}

/// How messages are published.
#[derive(Clone, Copy)]
pub struct PublishCalls<'c> {
    pub publisher: &'c dyn Publisher,
    pub stop: &'c Stop,
    /// How long after a stop reports are still waited for.
    pub finish_max: Duration,
    /// The worker ends for a reason of its own, since then: the same as a stop.
    pub ends_since: Option<Instant>,
    /// Called at least every [`GLANCE`] while waiting: time passes for the partition.
    pub meanwhile: &'c dyn Fn(),
}

/// How waiting for what was published ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEnd {
    /// All that was waited for is stored.
    Finished,
    /// Told to stop first.
    Stopped,
    Fatal(PublishFatal),
}

/// Why the service cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishFatal {
    /// The offset of the message that it was made of, what it weighs with key and headers, and what refuses it.
    TooLarge {
        offset: i64,
        topic: String,
        bytes: u64,
        limit: Limit,
    },
    /// The user may not write there.
    Unauthorized { topic: String, why: String },
    /// The topic refuses the message for what it is.
    Refused { offset: i64, topic: String, why: String },
    /// The producer has failed for good.
    Producer { why: String },
}

/// What a message is too large for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The topic's own limit.
    Topic,
    /// One of this process, in bytes, and what sets it.
    Own { bytes: u64, set_by: &'static str },
}

impl PublishFatal {
    /// The offset of the message, where it is one message's doing.
    pub fn offset(&self) -> Option<i64> {
        match self {
            PublishFatal::TooLarge { offset, .. } | PublishFatal::Refused { offset, .. } => Some(*offset),
            PublishFatal::Unauthorized { .. } | PublishFatal::Producer { .. } => None,
        }
    }

    /// The exit code that it ends the service with.
    pub fn exit(&self) -> Exit {
        match self {
            PublishFatal::TooLarge { .. } | PublishFatal::Refused { .. } => Exit::Rejected,
            PublishFatal::Unauthorized { .. } => Exit::Credentials,
            // With a new producer it goes on.
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

/// What is kept of a message beside key, payload and headers, here and by the worker.
const ENTRY_BYTES: u64 = 256;
/// A worker goes on without a report for so long.
const SILENT_AFTER: Duration = Duration::from_secs(1);
/// After a failure of the brokers or the network.
const BROKERS: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// After what was nobody's fault.
const PURGED: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
/// Between two looks at a topic that another worker has for itself.
const BUSY: Duration = Duration::from_millis(10);
/// Between two attempts to take back what is under way, when leaving.
const PURGE_INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker that leaves waits to know what became of its messages. The client's threads answer at once unless
/// they look up a host name.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// What a worker has to publish and does not know to be stored yet.
///
/// Messages of one topic go out in the order in which they were pushed. Each has a number, from 0 on, over all topics.
#[derive(Debug)]
pub struct Outbox {
    reports: Arc<Reports>,
    lanes: Vec<TopicLane>,
    /// For each number from `stored_below` on: whether that message is stored, and all before it in its topic.
    stored: VecDeque<bool>,
    stored_below: u64,
    /// What all of it takes.
    bytes: u64,
    resent: u64,
    /// When a message was last stored, or the first of those under way was sent.
    heard: Instant,
    /// Nothing is sent any more.
    has_failed: bool,
}

/// One topic's messages.
#[derive(Debug)]
struct TopicLane {
    topic: String,
    /// Those that are not stored, or behind one that is not.
    messages: VecDeque<Entry>,
    /// The position of the first of them: so many were stored before.
    first: usize,
    /// The position of the next one to be sent.
    next: usize,
    /// Sent and not reported.
    under_way: usize,
    /// The most of them since the last beginning.
    peak: usize,
    /// The first position that failed. Nothing is sent until all that is under way is reported.
    failed: Option<usize>,
    /// What the failures since the last beginning ask for.
    trouble: Trouble,
    /// How many may be in flight at once: all, until the topic refuses a message that was sent with others.
    window: usize,
    /// One at a time, with nobody else's beside it.
    alone: bool,
    failures: u32,
    /// The brokers failed it, and have taken nothing of it since.
    is_failing: bool,
    pause_until: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    message: OutgoingMessage,
    /// Of the message that it was made of.
    offset: i64,
    number: u64,
    is_stored: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// A pause, since the brokers are not well.
    brokers: bool,
    /// Fewer at once: a message was refused in the company of others.
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

    /// Everything is stored. (What is stored is let go of with the report of the first.)
    fn is_finished(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether all that was sent is on its way, and what is sent next follows it.
    fn is_well(&self) -> bool {
        self.failed.is_none() && self.pause_until.is_none() && self.window == usize::MAX
    }

    /// Nothing is under way any more, and something has failed: from there on it is sent again, after a pause.
    fn begin_again(&mut self, failed: usize) {
        // What was stored behind the one that failed is sent again behind it.
        for entry in self.messages.range_mut(failed - self.first..self.next - self.first) {
            entry.is_stored = false;
        }
        let Trouble { brokers, company } = std::mem::take(&mut self.trouble);
        if company {
            // Any of those that went together may be why, or all of them together.
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
    /// Empty. `stop`: that of the worker, which the reports wake.
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
        }
    }

    /// One more, of the message at `offset`. Sends nothing yet.
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
        });
    }

    /// How many were pushed: the number of the next one.
    pub fn pushed(&self) -> u64 {
        self.stored_below + self.stored.len() as u64
    }

    /// All below this number are stored for certain, and nothing before them was stored behind them.
    pub fn stored_below(&self) -> u64 {
        self.stored_below
    }

    /// Everything is stored.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// What is not known to be stored, in bytes of memory.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages that were sent once more, since the last time this was asked.
    pub fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.resent)
    }

    /// Hears what was reported and, if `send`, sends what may be sent; does not block. `Ok(false)`: all is not well,
    /// something failed, has no room, or is not reported for a second: time to [`settle`](Outbox::settle).
    ///
    /// # Errors
    /// When the service cannot go on. Nothing is sent any more then.
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

    /// Blocks until all below the number `until` are stored, for as long as it takes. Sends all that there is.
    ///
    /// A stop flag that is up lets what was not sent be sent, nothing that the brokers failed be sent again, and reports be
    /// waited for until `finish_max` after it; a partition that is lost ([`StopKind::Abandon`]) ends it at once.
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
                        // What is in front of it is told first.
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
            // What is left the brokers have failed.
            if !moves && stopped_at.is_some() && self.under_way() == 0 {
                return PublishEnd::Stopped;
            }
            let wanted = self.wanted(until);
            self.reports.wait(wanted, requested_at.is_some(), look_again);
        }
    }

    fn under_way(&self) -> usize {
        self.lanes.iter().map(|lane| lane.under_way).sum()
    }

    /// How many reports are worth a look: all that `until` needs, unless the next message waits for one of them.
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
            let Entry { message, offset, .. } = &lane.messages[lane.next - lane.first];
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
                    return Err(PublishFatal::TooLarge {
                        offset: *offset,
                        topic: lane.topic.clone(),
                        bytes: message.weight(),
                        limit: Limit::Own {
                            bytes: limit_bytes,
                            set_by: limit,
                        },
                    });
                }
                Err(Unsent::Failed(failure)) => {
                    // It was never under way: what was is waited for as after any failure.
                    lane.next += 1;
                    lane.under_way += 1;
                    self.reported(place, Err(failure), calls)?;
                    return self.send(number, stopping, calls);
                }
                Err(Unsent::Fatal(why)) => return Err(PublishFatal::Producer { why }),
            }
        }
        Ok(Sending::UnderWay)
    }

    /// Takes what was reported. The first error counts.
    fn hear(&mut self, calls: &PublishCalls<'_>) -> Result<(), PublishFatal> {
        let mut heard = Ok(());
        for (place, result) in self.reports.take() {
            let reported = self.reported(place, result, calls);
            heard = heard.and(reported);
        }
        self.let_go();
        heard
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
            // It sends nothing for a while, and is in nobody's way meanwhile.
            calls.publisher.withdraw(&self.reports);
        }
        lane.failed = Some(lane.failed.map_or(place.position, |before| before.min(place.position)));
        let (offset, topic) = (entry.offset, || lane.topic.clone());
        match meaning(failure.code) {
            // A report without an error does not come here.
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

    /// Of what is stored, with all before it in its topic. Behind a failure it is kept: it is sent again then.
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
            if lane.messages.is_empty() {
                // What went wrong is over.
                (lane.window, lane.alone, lane.peak) = (usize::MAX, false, 0);
            }
        }
        while self.stored.front() == Some(&true) {
            self.stored.pop_front();
            self.stored_below += 1;
        }
    }

    /// Leaves nothing behind that could be stored later, as far as that can be: the partition's next owner publishes the
    /// same again, and a late one of ours must not come behind it. Unconfirmed messages are
    /// abandoned: the partition's next owner publishes them again.
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
                    "publish: leaving without a report of messages that may yet be stored messages={under_way} topics={}",
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
    /// Nothing of it is left, or what is left has failed and is not sent again.
    Nothing,
    /// Reports are to come.
    UnderWay,
    /// It waits for room.
    NoRoom,
    /// Nothing before this.
    Pause(Instant),
}

#[cfg(test)]
mod tests;
