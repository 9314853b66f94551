//! Publish: what a batch asks to be produced, brought to its topics, for as long as it takes.
//!
//! Runs on the partition's own thread and blocks it until every message has a delivery report that says that it is
//! stored: that is the back-pressure, as with the database. A message that fails takes everything of the batch behind
//! it in its topic along: all of that is sent again, in order, when nothing of it is under way any more, so a key's last
//! message stays its last. Duplicates come of that; at least once is what publishing promises. What a report means is
//! [`mod@crate::pipeline::delivery`]'s to say.
//!
//! Does not know the Kafka client ([`Publisher`] does), commits nothing, and logs nothing but what it leaves behind: a
//! topic that takes no messages is told by the publisher, once for all workers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::warn;
use parking_lot::Mutex;

use crate::ops::exit::Exit;
use crate::pipeline::delivery::{Meaning, meaning};
use crate::pipeline::publication::Publication;
use crate::pipeline::write::GLANCE;
use crate::shutdown::{Stop, StopKind};

/// Why a message is not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
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
    reports: Vec<(Place, Result<(), Failure>)>,
    /// One of them is a failure.
    failed: bool,
    /// So many are worth a look.
    wanted: usize,
    /// There is room again for a message that had none.
    room: bool,
}

impl Inbox {
    fn is_worth_it(&self) -> bool {
        self.failed || self.room || self.reports.len() >= self.wanted
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
    pub fn report(&self, place: Place, result: Result<(), Failure>) {
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

    fn take(&self) -> Vec<(Place, Result<(), Failure>)> {
        let mut inbox = self.inbox.lock();
        inbox.failed = false;
        inbox.room = false;
        std::mem::take(&mut inbox.reports)
    }

    /// Waits for so many reports, a failure, room, the stop flag (unless it was `seen` raised), or until `deadline`.
    fn wait(&self, wanted: usize, seen: bool, deadline: Instant) {
        self.inbox.lock().wanted = wanted;
        self.stop.wait_for(seen, || self.inbox.lock().is_worth_it(), deadline);
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
    Failed(Failure),
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
        publication: &Publication<'_>,
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
    /// Called at least every [`GLANCE`] while waiting: time passes for the partition.
    pub meanwhile: &'c dyn Fn(),
}

/// How the publishing of a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub end: PublishEnd,
    /// So many from the front are stored for certain, and nothing before them was stored behind them.
    pub done: usize,
    /// Messages that were sent once more.
    pub resent: u64,
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishEnd {
    /// All are stored.
    Finished,
    /// Told to stop first.
    Stopped,
    Fatal(PublishFatal),
}

/// Why the service cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishFatal {
    /// The message's place in the batch, what it weighs with key and headers, and what refuses it.
    TooLarge {
        message: usize,
        topic: String,
        bytes: u64,
        limit: Limit,
    },
    /// The user may not write there.
    Unauthorized { topic: String, why: String },
    /// The topic refuses the message for what it is.
    Refused { message: usize, topic: String, why: String },
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
    /// The message's place in the batch, where it is one message's doing.
    pub fn message(&self) -> Option<usize> {
        match self {
            PublishFatal::TooLarge { message, .. } | PublishFatal::Refused { message, .. } => Some(*message),
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

/// The first pause after a failure, and the longest.
type Pauses = (Duration, Duration);
const BROKERS: Pauses = (Duration::from_millis(100), Duration::from_secs(5));
/// After what was nobody's fault.
const PURGED: Pauses = (Duration::from_millis(5), Duration::from_secs(1));
/// Between two looks at a topic that another worker has for itself.
const BUSY: Duration = Duration::from_millis(10);
/// Between two attempts to take back what is under way, when leaving.
const PURGE_INTERVAL: Duration = Duration::from_millis(100);
/// How long a worker that leaves waits to know what became of its messages. The client's threads answer at once unless
/// they look up a host name.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// Publishes all of `publications`, in their order within each topic.
///
/// A stop flag that is up lets what was not sent be sent, nothing that the brokers failed be sent again, and reports be waited for until
/// `finish_max` after it; a partition that is lost ([`StopKind::Abandon`]) ends it at once. What is under way then is
/// taken back ([`Publisher::purge`]): the partition's next owner publishes the same again, and a late one of ours must
/// not come behind it.
pub fn publish(publications: &[Publication<'_>], calls: &PublishCalls<'_>) -> Published {
    let mut publishing = Publishing::new(publications, calls);
    let end = publishing.run();
    if end != PublishEnd::Finished {
        publishing.leave();
    }
    Published {
        end,
        done: publishing.stored.iter().take_while(|stored| **stored).count(),
        resent: publishing.resent,
    }
}

/// One topic's messages on their way.
#[derive(Debug)]
struct Lane<'m> {
    topic: &'m str,
    /// Their indices among the publications, ascending.
    messages: Vec<usize>,
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
    /// So many may be under way: all, until the topic refuses a message in the company of others.
    window: usize,
    /// One at a time, with nobody else's beside it.
    alone: bool,
    failures: u32,
    /// The brokers failed it, and have taken nothing of it since.
    is_failing: bool,
    pause_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    /// A pause, since the brokers are not well.
    brokers: bool,
    /// Fewer at once: a message was refused in the company of others.
    company: bool,
}

impl Lane<'_> {
    fn is_finished(&self) -> bool {
        self.next == self.messages.len() && self.under_way == 0 && self.failed.is_none()
    }

    /// Nothing is under way any more, and something has failed: from there on it is sent again, after a pause.
    fn begin_again(&mut self, failed: usize) {
        let Trouble { brokers, company } = std::mem::take(&mut self.trouble);
        if company {
            // Any of those that went together may be why, or all of them together.
            self.window = (self.peak / 2).max(1);
            self.alone |= self.peak <= 1;
        }
        let (first, longest) = if brokers { BROKERS } else { PURGED };
        let ceiling = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        // Full jitter, so that a thousand workers do not come back in one instant.
        self.pause_until = Some(Instant::now() + ceiling.mul_f64(0.1 + 0.9 * fastrand::f64()));
        self.is_failing = brokers;
        self.next = failed;
        self.failed = None;
        self.peak = 0;
    }
}

struct Publishing<'p, 'm, 'c> {
    publications: &'p [Publication<'m>],
    calls: &'c PublishCalls<'c>,
    reports: Arc<Reports>,
    lanes: Vec<Lane<'m>>,
    stored: Vec<bool>,
    resent: u64,
}

impl<'p, 'm, 'c> Publishing<'p, 'm, 'c> {
    fn new(publications: &'p [Publication<'m>], calls: &'c PublishCalls<'c>) -> Self {
        let mut lanes: Vec<Lane<'m>> = Vec::new();
        for (index, publication) in publications.iter().enumerate() {
            match lanes.iter_mut().find(|lane| lane.topic == publication.topic) {
                Some(lane) => lane.messages.push(index),
                None => lanes.push(Lane {
                    topic: publication.topic,
                    messages: vec![index],
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
                }),
            }
        }
        Publishing {
            calls,
            reports: Reports::new(calls.stop),
            lanes,
            stored: vec![false; publications.len()],
            publications,
            resent: 0,
        }
    }

    fn run(&mut self) -> PublishEnd {
        loop {
            let mut fatal = None;
            for (place, result) in self.reports.take() {
                fatal = fatal.or(self.reported(place, result).err());
            }
            if let Some(fatal) = fatal {
                return PublishEnd::Fatal(fatal);
            }
            if self.lanes.iter().all(Lane::is_finished) {
                return PublishEnd::Finished;
            }
            let stop = self.calls.stop;
            let stopped_at = stop.requested_at();
            if stopped_at.is_some_and(|at| at.elapsed() >= self.calls.finish_max)
                || stop.kind() == Some(StopKind::Abandon)
            {
                return PublishEnd::Stopped;
            }
            (self.calls.meanwhile)();
            let mut look_again = Instant::now() + GLANCE;
            if let Some(at) = stopped_at {
                look_again = look_again.min(at + self.calls.finish_max);
            }
            let mut moves = false;
            for lane in 0..self.lanes.len() {
                match self.send(lane, stopped_at.is_some()) {
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
            if !moves && stopped_at.is_some() && self.lanes.iter().all(|lane| lane.under_way == 0) {
                if self.lanes.iter().all(Lane::is_finished) {
                    return PublishEnd::Finished;
                }
                return PublishEnd::Stopped;
            }
            self.reports.wait(self.wanted(), stopped_at.is_some(), look_again);
        }
    }

    /// How many reports are worth a look: all that are to come, unless the next message waits for one of them.
    fn wanted(&self) -> usize {
        if self
            .lanes
            .iter()
            .any(|lane| lane.under_way > 0 && lane.next < lane.messages.len() && lane.failed.is_none())
        {
            return 1;
        }
        match self.lanes.iter().map(|lane| lane.under_way).sum() {
            0 => usize::MAX,
            all => all,
        }
    }

    /// Sends what may be sent of a lane.
    fn send(&mut self, number: usize, stopping: bool) -> Result<Sending, PublishFatal> {
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
            // What was stored behind the one that failed is sent again behind it.
            self.resent += (lane.next - failed) as u64;
            for &message in &lane.messages[failed..lane.next] {
                self.stored[message] = false;
            }
            lane.begin_again(failed);
        }
        if let Some(until) = lane.pause_until {
            if until > Instant::now() {
                return Ok(Sending::Pause(until));
            }
            lane.pause_until = None;
        }
        while lane.next < lane.messages.len() && lane.under_way < lane.window {
            let publication = &self.publications[lane.messages[lane.next]];
            let place = Place {
                lane: number,
                position: lane.next,
            };
            match self.calls.publisher.send(publication, place, &self.reports, lane.alone) {
                Ok(()) => {
                    lane.next += 1;
                    lane.under_way += 1;
                    lane.peak = lane.peak.max(lane.under_way);
                }
                Err(Unsent::NoRoom) => return Ok(Sending::NoRoom),
                Err(Unsent::Busy) => return Ok(Sending::Pause(Instant::now() + BUSY)),
                Err(Unsent::TooLarge { limit_bytes, limit }) => {
                    return Err(PublishFatal::TooLarge {
                        message: publication.message,
                        topic: publication.topic.to_owned(),
                        bytes: publication.bytes(),
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
                    self.reported(place, Err(failure))?;
                    return self.send(number, stopping);
                }
                Err(Unsent::Fatal(why)) => return Err(PublishFatal::Producer { why }),
            }
        }
        Ok(Sending::UnderWay)
    }

    fn reported(&mut self, place: Place, result: Result<(), Failure>) -> Result<(), PublishFatal> {
        let lane = &mut self.lanes[place.lane];
        lane.under_way -= 1;
        let message = lane.messages[place.position];
        let failure = match result {
            Ok(()) => {
                self.stored[message] = true;
                lane.failures = 0;
                lane.is_failing = false;
                return Ok(());
            }
            Err(failure) => failure,
        };
        if lane.failed.is_none() {
            // It sends nothing for a while, and is in nobody's way meanwhile.
            self.calls.publisher.withdraw(&self.reports);
        }
        lane.failed = Some(lane.failed.map_or(place.position, |before| before.min(place.position)));
        let publication = &self.publications[message];
        let topic = || publication.topic.to_owned();
        match meaning(failure.code) {
            // A report without an error does not come here.
            Meaning::Stored | Meaning::Again => {}
            Meaning::Retry | Meaning::Unknown => lane.trouble.brokers = true,
            Meaning::TooLarge | Meaning::Refused if !lane.alone => lane.trouble.company = true,
            Meaning::TooLarge => {
                return Err(PublishFatal::TooLarge {
                    message: publication.message,
                    topic: topic(),
                    bytes: publication.bytes(),
                    limit: Limit::Topic,
                });
            }
            Meaning::Refused => {
                return Err(PublishFatal::Refused {
                    message: publication.message,
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

    /// Leaves nothing behind that could be stored later, as far as that can be.
    fn leave(&mut self) {
        self.calls.publisher.withdraw(&self.reports);
        let deadline = Instant::now() + LEAVE_MAX;
        loop {
            for (place, result) in self.reports.take() {
                let lane = &mut self.lanes[place.lane];
                lane.under_way -= 1;
                self.stored[lane.messages[place.position]] = result.is_ok();
            }
            let under_way: usize = self.lanes.iter().map(|lane| lane.under_way).sum();
            if under_way == 0 {
                return;
            }
            let now = Instant::now();
            if now >= deadline {
                warn!(
                    "publish: leaving without a report of messages that may yet be stored messages={under_way} topics={}",
                    self.topics_under_way()
                );
                return;
            }
            self.calls.publisher.purge();
            (self.calls.meanwhile)();
            self.reports.wait(under_way, true, deadline.min(now + PURGE_INTERVAL));
        }
    }

    fn topics_under_way(&self) -> String {
        let topics: Vec<&str> = self
            .lanes
            .iter()
            .filter(|lane| lane.under_way > 0)
            .map(|lane| lane.topic)
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
