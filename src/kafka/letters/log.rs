//! The topic of dead letters on Kafka: [`LetterLog`].
//!
//! Called by workers, on their threads, and by the producer's thread for each letter that is stored. The questions go
//! through the client of the topic ids. Reading has a client of its own, outside of the group: nothing is committed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::newest::{is_passing, reading_config};
use crate::kafka::admin::topic_ends::{Told, TopicEnds, ends};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::kafka::client::LogContext;
use crate::kafka::consumer::committed::is_refusal;
use crate::kafka::consumer::{cut, epoch};
use crate::kafka::letters::bound::LettersFrom;
use crate::kafka::letters::{Letters, NoLetters, Search, Searched};
use crate::kafka::view;
use crate::message::Message;
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::stop::Stop;
use crate::util::throttle::{LINES, Throttle};

/// Time-out of each request at a worker's start.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Time-out of each request of a worker that is at work.
const SHORT_TIMEOUT: Duration = Duration::from_millis(500);
/// How old an answer may be while workers are at work. Other processes also write letters; this many seconds of them
/// are read after a crash.
const OLD_AFTER: Duration = Duration::from_secs(60);
/// The same while the ends are not known.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Pause between a failed attempt and the next one.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a thread that waits for its turn looks again.
const GLANCE: Duration = Duration::from_millis(10);
const POLL_WAIT: Duration = Duration::from_millis(50);
/// So many workers read at the same time. Each has a client of its own, with some MiB of memory.
const READERS_MAX: usize = 4;
/// If neither a message nor an end of a partition comes for this long, reading is begun again.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// After so many answers that there is no such topic, there is none. A broker that has just started may say so.
const ABSENT_ANSWERS: u32 = 3;

/// Topics of dead letters on Kafka.
pub struct LetterLog {
    kafka: Kafka,
    ids: Arc<TopicIds>,
    /// `reject.topic`. `None`: there are no dead letters.
    topic: Option<String>,
    own: Mutex<Own>,
    /// The last answer about each topic, and when the request began. Locked during requests, so nobody may block on it.
    answers: Mutex<HashMap<String, (Told, Instant)>>,
    /// How many workers read.
    reading: AtomicUsize,
    /// It was logged that reading is refused.
    is_refusal_told: AtomicBool,
}

/// What is known of `reject.topic`.
struct Own {
    from: Option<Arc<LettersFrom>>,
    /// The brokers have told the ends. If not, `from` is the beginning.
    is_known: bool,
    /// When the last request began.
    asked: Option<Instant>,
    /// Partitions whose leader, or topic, has changed since the answer before the last one. A message that was stored
    /// before the change can still be reported.
    changed: BTreeSet<usize>,
    is_refusal_told: bool,
}

impl fmt::Debug for LetterLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LetterLog")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl LetterLog {
    /// Asks nothing yet. `topic`: `reject.topic`, if there are dead letters.
    pub fn new(kafka: &Kafka, ids: &Arc<TopicIds>, topic: Option<&str>) -> LetterLog {
        let from = topic.map(|topic| Arc::new(LettersFrom::beginning(topic, TopicId::NONE)));
        LetterLog {
            kafka: kafka.clone(),
            ids: ids.clone(),
            topic: topic.map(str::to_owned),
            own: Mutex::new(Own {
                from,
                is_known: false,
                asked: None,
                changed: BTreeSet::new(),
                is_refusal_told: false,
            }),
            answers: Mutex::default(),
            reading: AtomicUsize::new(0),
            is_refusal_told: AtomicBool::new(false),
        }
    }

    /// The producer has stored a message. What is stored in its partition from now on has a higher offset.
    pub fn stored(&self, topic: &str, partition: i32, offset: i64) {
        if self.topic.as_deref() != Some(topic) {
            return;
        }
        // Without a duplicate's offset: the broker does not tell it.
        let (Ok(partition), true) = (usize::try_from(partition), offset >= 0) else {
            return;
        };
        let mut own = self.own.lock();
        if own.is_known
            && !own.changed.contains(&partition)
            && let Some(from) = &mut own.from
        {
            Arc::make_mut(from).raise(partition, offset + 1);
        }
    }

    /// The answer to a request about `topic` that began at `since` or later. `None`: the stop flag was raised.
    fn told(&self, topic: &str, since: Instant, timeout: Duration, stop: &Stop) -> Option<Told> {
        loop {
            if stop.requested() {
                return None;
            }
            if let Some(mut answers) = self.answers.try_lock() {
                return match answers.get(topic) {
                    Some((told, at)) if *at >= since => Some(told.clone()),
                    _ => Some(self.ask(&mut answers, topic, timeout, stop)),
                };
            }
            stop.wait(GLANCE);
        }
    }

    fn ask(&self, answers: &mut HashMap<String, (Told, Instant)>, topic: &str, timeout: Duration, stop: &Stop) -> Told {
        let began = Instant::now();
        let told = ends(&self.ids, topic, timeout, stop);
        if self.topic.as_deref() == Some(topic) {
            self.take(topic, &told, began);
        }
        answers.insert(topic.to_owned(), (told.clone(), began));
        told
    }

    /// Keeps an answer about `reject.topic`.
    fn take(&self, topic: &str, told: &Told, began: Instant) {
        let own = &mut *self.own.lock();
        let is_first = own.asked.replace(began).is_none();
        match told {
            Told::Ends(ends) => {
                let before = own.from.as_deref().filter(|_| own.is_known);
                let from = merged(topic, before, ends);
                // Before the first answer, no letter was sent that could be reported.
                own.changed = (0..ends.ends.len())
                    .filter(|_| !is_first)
                    .filter(|partition| !before.is_some_and(|before| is_same_log(before, &from, *partition)))
                    .collect();
                (own.from, own.is_known) = (Some(Arc::new(from)), true);
            }
            Told::Absent => {
                own.from = Some(Arc::new(LettersFrom::beginning(topic, TopicId::NONE)));
                own.is_known = false;
            }
            Told::Refused(why) => {
                (own.from, own.is_known) = (None, false);
                if !std::mem::replace(&mut own.is_refusal_told, true) {
                    warn!(
                        "kafka: the ends of the topic of dead letters are refused; messages that have dead letters and \
                         come again after a crash are processed again topic={topic} error=\"{why}\" cure=\"grant the user \
                         READ on it\""
                    );
                }
            }
            // What is known stays true.
            Told::NotYet(_) => {}
        }
    }

    /// Searches as a worker that starts does. `retry`: for how long, and when it says so.
    pub(in crate::kafka) fn search_by(
        &self,
        retry: &Retry<'_>,
        search: Search<'_>,
        take: &mut dyn FnMut(&Message<'_>),
    ) -> Result<Searched, RetryError<String, NoLetters>> {
        let (mut since, mut absent) = (search.since, 0);
        retry.run(
            || match self.attempt(search, since, take) {
                Err(AttemptError::Passing(why)) => {
                    since = Instant::now();
                    absent = if why == ABSENT { absent + 1 } else { 0 };
                    if absent >= ABSENT_ANSWERS {
                        return Err(AttemptError::Final(NoLetters::Absent));
                    }
                    Err(AttemptError::Passing(why))
                }
                attempted => attempted,
            },
            |why, waited, repeated| {
                warn!(
                    "kafka: waiting for the topic of dead letters, to know which of the messages that come again have \
                     letters; the partition is not read until then {} dead_letters={} waited={waited} \
                     reason=\"{why}\"{repeated}",
                    search.partition,
                    search.from.topic,
                    waited = Seconds(waited)
                );
            },
        )
    }

    fn attempt(
        &self,
        search: Search<'_>,
        since: Instant,
        take: &mut dyn FnMut(&Message<'_>),
    ) -> Result<Searched, AttemptError<String, NoLetters>> {
        let Search { from, stop, .. } = search;
        let ends = match self.told(&from.topic, since, TIMEOUT, stop) {
            None => return Err(AttemptError::Final(NoLetters::Stopped)),
            Some(Told::Ends(ends)) => ends,
            Some(Told::Absent) => return Err(AttemptError::Passing(ABSENT.to_owned())),
            Some(Told::Refused(why)) => return Err(AttemptError::Final(NoLetters::Refused(why))),
            Some(Told::NotYet(why)) => return Err(AttemptError::Passing(why)),
        };
        let (mut from, spans) = spans(from, &ends)?;
        if spans.is_empty() || !(search.is_needed)() {
            return Ok(Searched { from, read: 0 });
        }
        let Some(_turn) = Turn::take(&self.reading, stop) else {
            return Err(AttemptError::Final(NoLetters::Stopped));
        };
        match read(&self.kafka, &mut from, spans, search, take) {
            Ok(Some(read)) => Ok(Searched { from, read }),
            Ok(None) => Err(AttemptError::Final(NoLetters::Stopped)),
            Err(error) if is_refusal(&error) => Err(AttemptError::Final(NoLetters::Refused(error.to_string()))),
            Err(error) => Err(AttemptError::Passing(error.to_string())),
        }
    }
}

/// A worker's turn to read.
struct Turn<'r>(&'r AtomicUsize);

impl Turn<'_> {
    /// Waits until fewer than [`READERS_MAX`] workers read. `None`: the stop flag was raised.
    fn take<'r>(readers: &'r AtomicUsize, stop: &Stop) -> Option<Turn<'r>> {
        let enter = |readers: usize| (readers < READERS_MAX).then_some(readers + 1);
        while readers.fetch_update(Relaxed, Relaxed, enter).is_err() {
            if stop.wait(GLANCE) {
                return None;
            }
        }
        Some(Turn(readers))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

const ABSENT: &str = "there is no such topic";

impl Letters for LetterLog {
    fn known_now(&self) -> Option<Arc<LettersFrom>> {
        self.own.lock().from.clone()
    }

    fn look(&self, since: Instant, stop: &Stop) {
        if let Some(topic) = &self.topic {
            self.told(topic, since, TIMEOUT, stop);
        }
    }

    fn look_if_old(&self, stop: &Stop) {
        let Some(topic) = &self.topic else { return };
        let (asked, is_known) = {
            let own = self.own.lock();
            (own.asked, own.is_known || own.from.is_none())
        };
        let after = if is_known { OLD_AFTER } else { ASK_AGAIN_AFTER };
        if asked.is_some_and(|asked| asked.elapsed() < after) || stop.requested() {
            return;
        }
        if let Some(mut answers) = self.answers.try_lock() {
            self.ask(&mut answers, topic, SHORT_TIMEOUT, stop);
        }
    }

    fn search(&self, search: Search<'_>, take: &mut dyn FnMut(&Message<'_>)) -> Result<Searched, NoLetters> {
        let searched = self.search_by(&Retry::new(search.stop, PAUSE), search, take);
        let why = match searched {
            Ok(searched) => return Ok(searched),
            Err(RetryError::Final(why)) => why,
            Err(RetryError::Stopped | RetryError::TooLate(_)) => NoLetters::Stopped,
        };
        if let NoLetters::Refused(why) = &why
            && !self.is_refusal_told.swap(true, Relaxed)
        {
            warn!(
                "kafka: the dead letters cannot be read; messages that have dead letters and come again after a crash are \
                 processed again (logged once, for the first partition) {} dead_letters={} error=\"{why}\" cure=\"grant \
                 the user READ on the topic of dead letters\"",
                search.partition, search.from.topic
            );
        }
        Err(why)
    }
}

/// From where on letters are that are sent after these ends were told. `before`: the same, as known before.
fn merged(topic: &str, before: Option<&LettersFrom>, ends: &TopicEnds) -> LettersFrom {
    let mut from = match before {
        Some(before) if before.id == ends.id => before.clone(),
        _ => LettersFrom::beginning(topic, ends.id),
    };
    for (partition, end) in ends.ends.iter().enumerate() {
        match *end {
            None => {}
            // One leader does not cut its log. Letters that were stored since the request began have raised it already.
            Some(end) if end.epoch.is_some() && end.epoch == from.epoch(partition) => from.raise(partition, end.offset),
            // Another leader's log may be shorter.
            Some(end) => from.set(partition, end.offset, end.epoch),
        }
    }
    from
}

/// Whether both offsets of a partition are about the log of the same leader. Without epochs it is not known.
fn is_same_log(before: &LettersFrom, now: &LettersFrom, partition: usize) -> bool {
    before.id == now.id && before.epoch(partition) == now.epoch(partition)
}

/// What is to be read of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    /// From this offset on there can be letters.
    begin: i64,
    /// The offset behind the last message.
    end: i64,
    /// The offset to read next. It can be below `begin`.
    next: i64,
    /// Below `begin`, the log must be what leaders up to this epoch have written. `None`: it is, or nobody can know.
    epoch: Option<i32>,
}

/// By partition.
type Spans = BTreeMap<i32, Span>;

/// From where on the topic is read, and the ranges that have messages.
fn spans(from: &LettersFrom, ends: &TopicEnds) -> Result<(LettersFrom, Spans), AttemptError<String, NoLetters>> {
    let is_other = from.id != ends.id && !from.id.is_none() && !ends.id.is_none();
    let mut begins = LettersFrom::beginning(&from.topic, ends.id);
    let mut spans = Spans::new();
    for (number, end) in (0..).zip(&ends.ends) {
        let partition = usize::try_from(number).unwrap_or_default();
        let Some(end) = *end else {
            return Err(AttemptError::Passing(format!(
                "no leader tells the end of its partition {number}"
            )));
        };
        let epoch = from.epoch(partition);
        // Leaders are counted upwards: the topic was created again where the brokers have no ids.
        let is_earlier = end.epoch.zip(epoch).is_some_and(|(now, before)| now < before);
        // The topic was created again since the commit, or its log was cut: all that it has may be newer.
        let begin = Some(from.of(partition))
            .filter(|begin| !is_other && !is_earlier && *begin <= end.offset)
            .unwrap_or(0);
        begins.set(partition, begin, end.epoch);
        let epoch = epoch.filter(|_| begin > 0);
        // The same leader has cut nothing.
        let may_be_cut = epoch.is_some() && end.epoch != epoch;
        if begin < end.offset || may_be_cut {
            let span = Span {
                begin,
                end: end.offset,
                // The message before it shows who has written the log.
                next: begin - i64::from(epoch.is_some()),
                epoch,
            };
            spans.insert(number, span);
        }
    }
    Ok((begins, spans))
}

/// Reads the ranges. Returns the number of messages; `None`: the stop flag was raised. Where the log was cut, it is
/// read from there on, and `from` is lowered.
fn read(
    kafka: &Kafka,
    from: &mut LettersFrom,
    mut spans: Spans,
    search: Search<'_>,
    take: &mut dyn FnMut(&Message<'_>),
) -> KafkaResult<Option<u64>> {
    let topic = from.topic.clone();
    let mut config = reading_config(kafka);
    // Letters are in no transaction. One of another producer must not hide those behind it.
    config.set("isolation.level", "read_uncommitted");
    // Only offsets are kept of what is read, so little needs to wait in memory.
    config.set("queued.max.messages.kbytes", "4096");
    config.set("fetch.message.max.bytes", "262144");
    let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug)?;
    let mut begins = TopicPartitionList::with_capacity(spans.len());
    for (partition, span) in &spans {
        begins.add_partition_offset(&topic, *partition, Offset::Offset(span.next))?;
    }
    consumer.assign(&begins)?;
    let (mut read, mut heard) = (0, Instant::now());
    // Partitions whose leader knows of all that is to be read.
    let mut confirmed = BTreeSet::new();
    let mut lines = Throttle::new(LINES).first_at(heard + LINES);
    while !spans.is_empty() {
        if search.stop.requested() {
            return Ok(None);
        }
        if lines.pass().is_some() {
            let left: i64 = spans.values().map(|span| span.end - span.next).sum();
            info!(
                "kafka: reading dead letters, to know which of the messages that come again have letters; the \
                 partition is not read until then {} dead_letters={topic} read={read} left={left}",
                search.partition
            );
        }
        let (partition, message) = match consumer.poll(POLL_WAIT) {
            None if heard.elapsed() < SILENCE_MAX => continue,
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            // For example, a broker is not reachable. librdkafka retries.
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => continue,
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, None),
            Some(Err(error)) => return Err(error),
            Some(Ok(message)) => (message.partition(), Some(message)),
        };
        let Some(span) = spans.get_mut(&partition) else {
            continue;
        };
        if let Some(epoch) = span.epoch.take() {
            let first = message.as_ref().map(epoch::of_message);
            // It is read on where nobody else has written. A message without an epoch is older than all that have one.
            let is_same = first.is_some_and(|of| of.is_none_or(|of| of <= epoch));
            let cut = if is_same {
                Some(span.begin)
            } else {
                cut::find(kafka, &topic, partition, span.begin, epoch, search.stop)?
            };
            let Some(cut) = cut else { return Ok(None) };
            heard = Instant::now();
            if cut < span.begin {
                debug!(
                    "kafka: later leaders have written the topic of dead letters from there on; letters are looked for \
                     there {} dead_letters={topic} dead_letters_partition={partition} from={cut} was={}",
                    search.partition, span.begin
                );
                from.lower(usize::try_from(partition).unwrap_or_default(), cut);
                (span.begin, span.next) = (cut, cut);
                consumer.seek(&topic, partition, Offset::Offset(cut), TIMEOUT)?;
                continue;
            }
            span.next = span.begin;
        }
        match message {
            None if span.next >= span.end || confirmed.contains(&partition) => {
                // Behind the last message are only marks of transactions.
                spans.remove(&partition);
            }
            None => {
                // A leader that has just been elected may not know the end yet. The partition is read once more.
                let known = consumer.fetch_watermarks(&topic, partition, TIMEOUT);
                if known.is_ok_and(|(_, known)| known >= span.end) {
                    confirmed.insert(partition);
                    heard = Instant::now();
                } else if heard.elapsed() >= SILENCE_MAX {
                    // It does not come back: the log was cut since its end was told.
                    return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
                } else {
                    search.stop.wait(POLL_WAIT);
                }
                consumer.seek(&topic, partition, Offset::Offset(span.next), TIMEOUT)?;
                continue;
            }
            Some(message) => {
                let offset = message.offset();
                if (span.begin..span.end).contains(&offset) {
                    take(&view(&message, true));
                    read += 1;
                }
                span.next = offset + 1;
                if span.next >= span.end {
                    spans.remove(&partition);
                }
            }
        }
        heard = Instant::now();
    }
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::admin::topic_ends::End;

    const ID: TopicId = TopicId::new([7; 16]);

    /// All leaders have this epoch, if it is known.
    fn told(id: TopicId, ends: &[Option<i64>], epoch: Option<i32>) -> TopicEnds {
        let end = |end: &Option<i64>| end.map(|offset| End { offset, epoch });
        TopicEnds {
            id,
            ends: ends.iter().map(end).collect(),
        }
    }

    fn from(id: TopicId, offsets: &[i64], epoch: Option<i32>) -> LettersFrom {
        let mut from = LettersFrom::beginning("dead", id);
        for (partition, offset) in offsets.iter().enumerate() {
            from.set(partition, *offset, epoch);
        }
        from
    }

    /// The ranges that are read: partition, begin, end, and the epoch that is compared.
    fn read(from: &LettersFrom, ends: &TopicEnds) -> Vec<(i32, i64, i64, Option<i32>)> {
        let (begins, spans) = spans(from, ends).unwrap();
        let range = |(number, span): (i32, Span)| {
            assert_eq!(begins.of(usize::try_from(number).unwrap()), span.begin);
            assert_eq!(span.next, span.begin - i64::from(span.epoch.is_some()));
            (number, span.begin, span.end, span.epoch)
        };
        spans.into_iter().map(range).collect()
    }

    #[test]
    fn what_is_new_since_the_commit_is_read_and_nothing_else() {
        for epoch in [None, Some(3)] {
            let told = |id, ends: &[Option<i64>]| told(id, ends, epoch);
            let commit = from(ID, &[5, 7], epoch);
            assert_eq!(read(&commit, &told(ID, &[Some(5), Some(7)])), []);
            assert_eq!(read(&commit, &told(ID, &[Some(5), Some(9)])), [(1, 7, 9, epoch)]);
            // A partition that was added since.
            let added = told(ID, &[Some(5), Some(7), Some(2)]);
            assert_eq!(read(&commit, &added), [(2, 0, 2, None)]);
            // Created again: whatever it has is newer.
            let other = TopicId::new([8; 16]);
            assert_eq!(read(&commit, &told(other, &[Some(9), Some(0)])), [(0, 0, 9, None)]);
            // Cut, or created again where the brokers have no ids.
            assert_eq!(read(&commit, &told(ID, &[Some(4), Some(7)])), [(0, 0, 4, None)]);
            let without_id = from(TopicId::NONE, &[5], epoch);
            assert_eq!(read(&without_id, &told(ID, &[Some(6)])), [(0, 5, 6, epoch)]);
            assert!(matches!(
                spans(&commit, &told(ID, &[Some(5), None])),
                Err(AttemptError::Passing(_))
            ));
        }
    }

    #[test]
    fn another_leaders_log_is_compared_also_where_it_ends_at_the_offset() {
        let commit = from(ID, &[5, 0], Some(3));
        for epoch in [Some(4), None] {
            let ends = told(ID, &[Some(5), Some(0)], epoch);
            assert_eq!(read(&commit, &ends), [(0, 5, 5, Some(3))]);
            let ends = told(ID, &[Some(8), Some(1)], epoch);
            assert_eq!(read(&commit, &ends), [(0, 5, 8, Some(3)), (1, 0, 1, None)]);
        }
        // Of a former topic, where the brokers have no ids. Its leaders were counted further.
        let commit = from(TopicId::NONE, &[5], Some(3));
        assert_eq!(
            read(&commit, &told(TopicId::NONE, &[Some(8)], Some(2))),
            [(0, 0, 8, None)]
        );
        // A version before this one has committed, without epochs.
        let commit = from(ID, &[5], None);
        assert_eq!(read(&commit, &told(ID, &[Some(5)], Some(4))), []);
        assert_eq!(read(&commit, &told(ID, &[Some(8)], Some(4))), [(0, 5, 8, None)]);
    }

    #[test]
    fn an_older_answer_does_not_take_back_what_was_stored_since() {
        let before = from(ID, &[5, 9], Some(3));
        let now = |id, ends: &[Option<i64>]| merged("dead", Some(&before), &told(id, ends, Some(3)));
        assert_eq!(now(ID, &[Some(6), Some(8)]), from(ID, &[6, 9], Some(3)));
        assert_eq!(now(ID, &[None, Some(10)]), from(ID, &[5, 10], Some(3)));
        let other = TopicId::new([8; 16]);
        assert_eq!(now(other, &[Some(1)]), from(other, &[1], Some(3)));
        let first = merged("dead", None, &told(ID, &[None, Some(3)], None));
        assert_eq!((first.of(0), first.of(1)), (0, 3));
    }

    #[test]
    fn another_leaders_end_counts_though_it_is_lower() {
        for (before, now) in [(Some(3), Some(4)), (None, None), (Some(3), None), (None, Some(3))] {
            let merged = merged("dead", Some(&from(ID, &[9], before)), &told(ID, &[Some(4)], now));
            assert_eq!(merged, from(ID, &[4], now));
        }
    }

    #[test]
    fn a_report_about_a_former_log_does_not_raise_the_offset_of_the_log_that_follows() {
        let text = include_str!("../../../examples/events.toml");
        let kafka = crate::config::parse(text, "events.toml").unwrap().kafka;
        let log = LetterLog::new(&kafka, &Arc::new(TopicIds::new(&kafka).unwrap()), Some("dead"));
        let take = |ends: &[i64], epochs: &[i32]| {
            let end = |(offset, epoch): (&i64, &i32)| {
                Some(End {
                    offset: *offset,
                    epoch: Some(*epoch),
                })
            };
            let ends = ends.iter().zip(epochs).map(end).collect();
            log.take("dead", &Told::Ends(TopicEnds { id: ID, ends }), Instant::now());
        };
        let offsets = || log.known_now().unwrap().offsets.clone();
        take(&[5, 5], &[1, 1]);
        log.stored("dead", 0, 8);
        log.stored("other", 0, 80);
        assert_eq!(offsets(), [9, 5]);
        // Cut. Then come the reports of two messages that the former leaders have stored.
        take(&[7, 5], &[2, 1]);
        log.stored("dead", 0, 9);
        log.stored("dead", 1, 9);
        assert_eq!(offsets(), [7, 10]);
        assert_eq!(log.known_now().unwrap().epochs, [Some(2), Some(1)]);
        take(&[7, 11], &[2, 1]);
        log.stored("dead", 0, 9);
        assert_eq!(offsets(), [10, 11]);
    }
}
