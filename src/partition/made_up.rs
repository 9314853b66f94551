//! Test doubles for a partition's log, a database and rules, so that tests run workers without Kafka.

pub mod letters;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

use crate::config::model::{OffsetGone, Reject, RejectAction};
use crate::delivery::plan::OutgoingRow;
use crate::delivery::pressure::Pressure;
use crate::delivery::reject_limit::Rejects;
use crate::delivery::write::{Answer, RowWriter, Stored};
use crate::kafka::Partition;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::intake::{Intake, Queue};
use crate::kafka::consumer::origin::{CommitTag, NoOrigin, Origin, PartitionStart};
use crate::kafka::consumer::source::{Commit, CommitFailure, FetchError, QueuedMessage, Room, Source, SourceMessage};
use crate::kafka::letters::bound::LettersFrom;
use crate::message::{Message, Reason, Rejection};
use crate::observe::counters::Counters;
use crate::output::row::{Op, RecordKey, Row, RowAction, RowRules, RowTtl, Target};
use crate::output::value::Value;
use crate::output::{Output, Verdict};
use crate::partition::hooks::NoHooks;
use crate::partition::made_up::letters::NoDeadTopic;
use crate::partition::shared::{Group, Rejecting, Shared, Sizes, Times};
use crate::processor::Processor;
use crate::rules::code::Processors;
use crate::util::memory;
use crate::util::stop::{Stop, StopKind};

pub const TOPIC: &str = "events";
pub const TOPIC_ID: TopicId = TopicId::NONE;
/// The metadata of each commit, without letters.
pub const TAG: &str = "tag";

pub fn partition(number: i32) -> Partition {
    Partition {
        topic: TOPIC.into(),
        number,
    }
}

/// An error of the client. Its kind does not matter.
pub fn kafka_error() -> KafkaError {
    KafkaError::ConsumerCommit(RDKafkaErrorCode::BrokerTransportFailure)
}

/// Waits for another thread: returns what `look` finds, as soon as it finds something.
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::yield_now();
    }
}

/// What a poll of the queue returns.
#[derive(Debug)]
pub enum Found {
    /// A message at this offset. Its payload says what the rules do with it (see [`Obeys`]).
    Message(i64, &'static str),
    /// The same, with a leader epoch.
    Of(i32, i64, &'static str),
    Error(FetchError),
    /// Raises the stop flag before the next item.
    Stop(StopKind),
}

impl Found {
    fn message(&self) -> Option<MadeUpMessage> {
        let (epoch, offset, payload) = match self {
            Found::Message(offset, payload) => (None, *offset, *payload),
            Found::Of(epoch, offset, payload) => (Some(*epoch), *offset, *payload),
            Found::Error(_) | Found::Stop(_) => return None,
        };
        Some(MadeUpMessage { offset, epoch, payload })
    }
}

impl From<MadeUpMessage> for Found {
    fn from(message: MadeUpMessage) -> Found {
        let MadeUpMessage { offset, epoch, payload } = message;
        match epoch {
            Some(epoch) => Found::Of(epoch, offset, payload),
            None => Found::Message(offset, payload),
        }
    }
}

/// A commit as the group receives it: offset, leader epoch, and whether it is the worker's last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub next: i64,
    pub epoch: Option<i32>,
    pub is_last: bool,
}

/// The log of one partition. Clones share it.
#[derive(Debug, Clone)]
pub struct Log(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug)]
struct State {
    queue: VecDeque<Found>,
    /// Raised when the queue is empty or fetching is paused, so that the worker ends.
    stop: Stop,
    stops_when_dry: bool,
    stops_when_paused: bool,
    /// The consumer's position, where it does not follow from what was taken.
    at: Option<(i64, Option<i32>)>,
    /// The messages that were taken. A seek brings them again.
    taken: Vec<MadeUpMessage>,
    /// Where the taken messages have moved the consumer.
    position: Option<(i64, Option<i32>)>,
    /// How many messages were asked for at once.
    asked: Vec<usize>,
    commits: Vec<Committed>,
    /// The metadata of the last one.
    tag: String,
    /// Results of the next commits.
    refusals: VecDeque<CommitFailure>,
    seeks: Vec<(i64, Option<i32>)>,
    refuses_seeks: bool,
    pauses: usize,
    resumes: usize,
    ends: (i64, i64),
    cut: Option<i64>,
    origin: Result<Origin, NoOrigin>,
}

impl Log {
    /// A log with these items. The worker is told to stop when there are no more.
    pub fn of(found: impl IntoIterator<Item = Found>) -> Log {
        Log::new(found, true)
    }

    /// A log with these items, whose worker waits for more at the end.
    pub fn that_goes_on(found: impl IntoIterator<Item = Found>) -> Log {
        Log::new(found, false)
    }

    fn new(found: impl IntoIterator<Item = Found>, stops_when_dry: bool) -> Log {
        let state = State {
            queue: found.into_iter().collect(),
            stop: Stop::new(),
            stops_when_dry,
            stops_when_paused: false,
            at: None,
            taken: Vec::new(),
            position: None,
            asked: Vec::new(),
            commits: Vec::new(),
            tag: String::new(),
            refusals: VecDeque::new(),
            seeks: Vec::new(),
            refuses_seeks: false,
            pauses: 0,
            resumes: 0,
            ends: (0, 0),
            cut: None,
            origin: Ok(Origin {
                topic_id: TOPIC_ID,
                tag: tag(),
                epoch: None,
                letters: Vec::new(),
            }),
        };
        Log(Arc::new((Mutex::new(state), Condvar::new())))
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Log {
        change(&mut self.0.0.lock());
        self
    }

    /// Tells the worker to stop when it pauses fetching, which it does when its partition is held.
    pub fn stops_when_paused(self) -> Log {
        self.with(|state| (state.stops_when_dry, state.stops_when_paused) = (false, true))
    }

    /// Sets the consumer's position.
    pub fn at(self, position: i64, epoch: Option<i32>) -> Log {
        self.with(|state| state.at = Some((position, epoch)))
    }

    /// Every seek fails.
    pub fn refusing_seeks(self) -> Log {
        self.with(|state| state.refuses_seeks = true)
    }

    /// The next commit fails like this; later ones succeed.
    pub fn refusing(self, refusal: CommitFailure) -> Log {
        self.with(|state| state.refusals.push_back(refusal))
    }

    /// Sets the oldest offset and the end of the log, and where it was cut.
    pub fn reaching(self, ends: (i64, i64), cut: Option<i64>) -> Log {
        self.with(|state| (state.ends, state.cut) = (ends, cut))
    }

    /// The group's offset says from where on letters are.
    pub fn lettered_from(self, letters: Vec<LettersFrom>) -> Log {
        self.with(|state| state.origin.as_mut().unwrap().letters = letters)
    }

    /// What the last commit says about letters.
    pub fn letters(&self) -> Vec<LettersFrom> {
        let state = self.0.0.lock();
        let words = state.tag.split(' ').filter_map(|word| word.strip_prefix("dead="));
        words.map(|word| LettersFrom::parse(word).unwrap()).collect()
    }

    pub fn from_origin(self, origin: Result<Origin, NoOrigin>) -> Log {
        self.with(|state| state.origin = origin)
    }

    /// Adds items.
    pub fn append(&self, found: impl IntoIterator<Item = Found>) {
        self.0.0.lock().queue.extend(found);
        self.0.1.notify_all();
    }

    pub fn commits(&self) -> Vec<Committed> {
        self.0.0.lock().commits.clone()
    }

    /// The offset that the group committed last.
    pub fn committed(&self) -> Option<i64> {
        Some(self.0.0.lock().commits.last()?.next)
    }

    /// The offsets of all seeks, each with its epoch if it has one.
    pub fn seeks(&self) -> Vec<(i64, Option<i32>)> {
        self.0.0.lock().seeks.clone()
    }

    /// How many messages were asked for at once, call by call.
    pub fn asked(&self) -> Vec<usize> {
        self.0.0.lock().asked.clone()
    }

    pub fn pauses_and_resumes(&self) -> (usize, usize) {
        let state = self.0.0.lock();
        (state.pauses, state.resumes)
    }

    /// The source from which a worker reads this log.
    pub fn source(&self, number: i32) -> MadeUpSource {
        MadeUpSource {
            partition: partition(number),
            intake: Intake::new(MadeUpQueue(self.clone())),
            log: self.clone(),
        }
    }

    /// The stop flag for its worker.
    pub fn stop(&self) -> Stop {
        self.0.0.lock().stop.clone()
    }
}

/// Reads a [`Log`].
pub struct MadeUpSource {
    partition: Partition,
    intake: Intake<MadeUpQueue>,
    log: Log,
}

#[derive(Debug, Clone, Copy)]
pub struct MadeUpMessage {
    offset: i64,
    epoch: Option<i32>,
    payload: &'static str,
}

impl QueuedMessage for MadeUpMessage {
    fn offset(&self) -> i64 {
        self.offset
    }

    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl SourceMessage for MadeUpMessage {
    fn timestamp_ms(&self) -> Option<i64> {
        None
    }

    fn leader_epoch(&self) -> Option<i32> {
        self.epoch
    }

    fn view(&self, _with_headers: bool) -> Message<'_> {
        Message {
            topic: TOPIC,
            partition: 0,
            offset: self.offset,
            timestamp_ms: None,
            key: None,
            payload: Some(self.payload.as_bytes()),
            headers: Vec::new(),
        }
    }
}

impl MadeUpSource {
    fn commit(&self, commit: Commit<'_>, is_last: bool) -> Result<(), CommitFailure> {
        assert!(commit.tag.starts_with(TAG));
        let mut state = self.log.0.0.lock();
        if let Some(refusal) = state.refusals.pop_front() {
            return Err(refusal);
        }
        let Commit { next, epoch, tag } = commit;
        state.commits.push(Committed { next, epoch, is_last });
        tag.clone_into(&mut state.tag);
        Ok(())
    }
}

impl State {
    /// Takes the first item of the queue.
    fn pop(&mut self) -> Option<Found> {
        let found = self.queue.pop_front();
        self.taken.extend(found.as_ref().and_then(Found::message));
        found
    }

    /// The offset at which librdkafka fetches next, if everything in the queue before the next message is gone.
    fn fetch_offset(&self) -> Option<i64> {
        let next = self.queue.iter().find_map(Found::message);
        let last = self.taken.last().map(|last| last.offset + 1);
        next.map(|next| next.offset).or(last)
    }

    /// Fetches from `offset`: what was taken from there on comes again, and what is below it does not come.
    fn fetch_from(&mut self, offset: i64) {
        let below = self.taken.iter().rposition(|message| message.offset < offset);
        let again = self.taken.split_off(below.map_or(0, |below| below + 1));
        let is_below = |found: &Found| found.message().is_some_and(|message| message.offset < offset);
        while self.queue.front().is_some_and(is_below) {
            self.queue.pop_front();
        }
        for message in again.into_iter().rev() {
            self.queue.push_front(message.into());
        }
    }
}

/// The queue of a [`Log`]. It moves its position as librdkafka 2.12.1 does.
struct MadeUpQueue(Log);

impl Queue for MadeUpQueue {
    type Message = MadeUpMessage;

    fn next(&self, wait: Duration) -> Option<Result<MadeUpMessage, FetchError>> {
        let (state, appended) = &*self.0.0;
        let mut state = state.lock();
        let deadline = Instant::now() + wait;
        loop {
            match state.pop() {
                Some(Found::Stop(kind)) => state.stop.request(kind),
                Some(Found::Error(error)) => return Some(Err(error)),
                Some(found) => {
                    let message = found.message()?;
                    state.position = Some((message.offset + 1, message.epoch));
                    return Some(Ok(message));
                }
                None if state.stops_when_dry => {
                    state.stop.request(StopKind::Drain);
                    return None;
                }
                None => {
                    if appended.wait_until(&mut state, deadline).timed_out() {
                        return None;
                    }
                }
            }
        }
    }

    fn ready(&self, max: usize, into: &mut VecDeque<Result<MadeUpMessage, FetchError>>) {
        let mut state = self.0.0.0.lock();
        state.asked.push(max);
        for _ in 0..max {
            // The stop comes when the queue is polled for what is behind it.
            if matches!(state.queue.front(), None | Some(Found::Stop(_))) {
                return;
            }
            let (next, to) = match state.pop() {
                Some(Found::Error(error)) => {
                    let to = state.fetch_offset().map(|at| (at + 1, Some(0)));
                    (Err(error), to)
                }
                found => {
                    let message = found.and_then(|found| found.message()).unwrap();
                    (Ok(message), Some((message.offset + 1, message.epoch)))
                }
            };
            if to.map(|(offset, _)| offset) > state.position.map(|(offset, _)| offset) {
                state.position = to;
            }
            into.push_back(next);
        }
    }

    fn position(&self) -> Option<(i64, Option<i32>)> {
        let state = self.0.0.0.lock();
        state.at.or(state.position)
    }

    fn seek(&self, offset: i64, epoch: Option<i32>) -> KafkaResult<()> {
        let mut state = self.0.0.0.lock();
        if state.refuses_seeks {
            return Err(kafka_error());
        }
        state.seeks.push((offset, epoch));
        state.position = None;
        state.fetch_from(offset);
        Ok(())
    }

    fn pause(&self) -> KafkaResult<()> {
        let mut state = self.0.0.0.lock();
        state.pauses += 1;
        if let Some((position, _)) = state.position {
            state.fetch_from(position);
        }
        if state.stops_when_paused {
            state.stop.request(StopKind::Drain);
        }
        Ok(())
    }
}

impl Source for MadeUpSource {
    type Message<'s> = MadeUpMessage;

    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn poll(&self, wait: Duration, room: Room) -> Option<Result<MadeUpMessage, FetchError>> {
        self.intake.poll(wait, room)
    }

    fn position(&self) -> Option<(i64, Option<i32>)> {
        self.intake.position()
    }

    fn seek(&self, offset: i64, epoch: i32) -> KafkaResult<()> {
        self.intake.seek(offset, Some(epoch))
    }

    fn pause(&self) -> KafkaResult<()> {
        self.intake.pause()
    }

    fn resume(&self) -> KafkaResult<()> {
        self.log.0.0.lock().resumes += 1;
        Ok(())
    }

    fn log_end(&self) -> KafkaResult<i64> {
        Ok(self.log.0.0.lock().ends.1)
    }

    fn send_commit(&self, commit: Commit<'_>) -> Result<(), CommitFailure> {
        self.commit(commit, false)
    }

    fn commit_by(&self, commit: Commit<'_>, _deadline: Instant) -> Result<(), CommitFailure> {
        self.commit(commit, true)
    }

    fn last_commit_failed(&self, _next: i64, _error: &KafkaError) {}

    fn origin(&self, _start: &PartitionStart, _stop: &Stop) -> Result<Origin, NoOrigin> {
        self.log.0.0.lock().origin.clone()
    }

    fn confirm(&self, topic_id: TopicId, _stop: &Stop) -> Result<(), NoOrigin> {
        assert_eq!(topic_id, TOPIC_ID);
        Ok(())
    }

    fn log_ends(&self, _stop: &Stop) -> Result<(i64, i64), NoOrigin> {
        Ok(self.log.0.0.lock().ends)
    }

    fn find_cut(&self, _next: i64, _epoch: i32, _stop: &Stop) -> Result<Option<i64>, NoOrigin> {
        Ok(self.log.0.0.lock().cut)
    }
}

/// A database whose records have integer keys. Remembers the keys of each call, and refuses some rows.
#[derive(Debug)]
pub struct Database {
    calls: Mutex<Vec<Vec<i64>>>,
    refused: Vec<(i64, u8)>,
    written: Sender<i64>,
}

impl Database {
    /// Refuses the rows of these keys with these codes. Sends all other keys to `written`.
    pub fn new(refused: &[(i64, u8)], written: Sender<i64>) -> Arc<Database> {
        Arc::new(Database {
            calls: Mutex::default(),
            refused: refused.to_vec(),
            written,
        })
    }

    /// A database that accepts everything.
    pub fn willing() -> Arc<Database> {
        Database::new(&[], unbounded().0)
    }

    pub fn calls(&self) -> Vec<Vec<i64>> {
        self.calls.lock().clone()
    }
}

impl RowWriter for Database {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        let keys = rows.iter().map(|row| match row.key {
            RecordKey::Integer(key) => *key,
            key => panic!("{key:?} is no integer"),
        });
        let keys: Vec<i64> = keys.collect();
        let answer = |key: &i64| match self.refused.iter().find(|(of, _)| of == key) {
            Some((_, code)) => Answer::Code(*code),
            None => {
                // A test that does not listen has dropped the receiver.
                let _ = self.written.send(*key);
                Answer::Code(0)
            }
        };
        let answers = keys.iter().map(answer).collect();
        self.calls.lock().push(keys);
        answers
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        rows.iter().map(|_| None).collect()
    }

    fn rows_max(&self) -> usize {
        usize::MAX
    }

    fn lacks_namespace(&self, _namespace: &str) -> bool {
        false
    }
}

/// The metadata of each commit.
pub fn tag() -> CommitTag {
    CommitTag {
        plain: TAG.to_owned(),
        before_letters: Some(TAG.to_owned()),
    }
}

/// Does what a message's payload says: `write` (a record whose key is the offset), `filter`, `reject` or `panic`.
struct Obeys {
    target: Arc<Target>,
    /// It writes what is to be rejected, too.
    is_mended: bool,
}

impl Processor for Obeys {
    fn process<'m>(&'m self, message: &Message<'m>, _: i64, output: &mut Output<'m>) -> Result<Verdict, Rejection> {
        match message.payload {
            Some(b"reject") if !self.is_mended => Err(Rejection::new(Reason::Processor("asked_for"), "asked for")),
            Some(b"write" | b"reject") => {
                output.rows.push(Row {
                    message: 0,
                    number: 0,
                    rules: &RowRules::UPDATE,
                    target: &self.target,
                    key: RecordKey::Integer(message.offset),
                    action: RowAction::Write(vec![Op::Put {
                        bin: "offset".into(),
                        value: Value::Int(message.offset),
                    }]),
                    ttl: RowTtl::NamespaceDefault,
                    newer: None,
                });
                Ok(Verdict::Kept)
            }
            Some(b"filter") => Ok(Verdict::Filtered),
            _ => Err(Rejection::new(Reason::Processor("asked_for"), "asked for")),
        }
    }

    fn is_guarded(&self) -> bool {
        false
    }

    fn namespaces(&self) -> Vec<String> {
        vec!["test".to_owned()]
    }
}

/// The shared state for workers of the made-up topic. Commits are due at once.
pub fn shared(database: &Arc<Database>, action: RejectAction) -> Shared {
    shared_where(database, action, false)
}

/// The same. `is_mended`: what is to be rejected is written, as after a change of the rules.
pub fn shared_where(database: &Arc<Database>, action: RejectAction, is_mended: bool) -> Shared {
    let processor: Arc<dyn Processor> = Arc::new(Obeys {
        target: Arc::new(Target::new("test", "users")),
        is_mended,
    });
    let topics = [TOPIC.to_owned()];
    let counters = Arc::new(Counters::new());
    let reject = Reject {
        action: action.clone(),
        percent_max: None,
        percent_of: 1,
        consecutive_max: None,
    };
    Shared {
        group: Group {
            name: "g".to_owned(),
            guard_epoch: 0,
        },
        processors: Processors::same_for(&topics, &processor).check(&topics).unwrap(),
        writer: database.clone(),
        pressure: Arc::new(Pressure::new(1000, None, counters.clone())),
        publisher: None,
        rejecting: Rejecting {
            action,
            counts: Arc::new(Rejects::new(&reject)),
        },
        letters: Arc::new(NoDeadTopic),
        sizes: Sizes::new(100, memory::plan(1 << 30, 1 << 20, 1, 1, false).unwrap()),
        times: Times {
            commit_interval: Duration::ZERO,
            commit_max: Duration::from_secs(10),
            finish_max: Duration::from_secs(10),
        },
        offset_gone: OffsetGone::default(),
        counters,
        hooks: Arc::new(NoHooks),
    }
}
