//! Messages that come again and have dead letters already: the worker passes them, and does not apply them.
//!
//! A dead letter can be acknowledged and its message's offset not committed when the process dies. The message comes
//! again, and by then the rules may accept it. But a replay of the letters would apply it once more. So each commit
//! says from where on the letters of later messages are ([`Lettered::bounds`]), and a worker that starts reads the
//! letters from there on ([`Lettered::search`]). Runs on the worker's thread. `docs/architecture/lettered.md` says why
//! it holds, and what it does not cover.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use log::{debug, info, warn};

use crate::config::model::RejectAction;
use crate::delivery::letter::Letter;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::intake::AHEAD_MAX;
use crate::kafka::consumer::origin::StartOffset;
use crate::kafka::consumer::source::{Source, SourceMessage};
use crate::kafka::letters::bound::LettersFrom;
use crate::kafka::letters::{NoLetters, Search};
use crate::message::Message;
use crate::output::publication::Publication;
use crate::partition::env::Env;

/// The word of such messages in `penstock_messages_rejected_total`.
pub(super) const LETTERED_BEFORE: &str = "lettered_before";

/// At most this many letters are remembered. They take 32 bytes each.
const FOUND_MAX: usize = 1_000_000;
/// At most this many of the worker's own marks. With fewer, more is read after a crash.
const MARKS_MAX: usize = 16;

/// Which messages of a partition have letters.
#[derive(Default)]
pub(super) struct Lettered {
    /// Letters that were there when the worker started: the message's offset and [`fingerprint`].
    found: BTreeSet<(i64, u64)>,
    /// From where on the letters in `found` are, for each topic of dead letters.
    found_from: Vec<LettersFrom>,
    /// `found` is not known yet.
    is_open: bool,
    /// The search has begun: `found_from` is set.
    is_begun: bool,
    /// Of the worker's own letters: from which message on they are at or above which offsets. In message order.
    marks: VecDeque<Mark>,
    /// The highest offset of a message that got a letter from this worker.
    last: i64,
    /// The last letters of this worker. Their messages can come again, if librdkafka goes back.
    own: VecDeque<Own>,
    /// From where on the letters of all messages are that this worker was given.
    at_start: Vec<LettersFrom>,
    /// It was logged that a letter is of another message than the one at its offset.
    is_other_told: Cell<bool>,
}

struct Mark {
    first: i64,
    from: Arc<LettersFrom>,
}

struct Own {
    offset: i64,
    fingerprint: u64,
    from: Arc<LettersFrom>,
}

impl Lettered {
    /// Finds out which messages have letters, before the first one is taken. `committed`: from where on their letters
    /// are. Empty: it is not known, and nothing is read. Returns `false` if the stop flag was raised.
    pub fn search<S: Source>(&mut self, env: &Env<'_, S>, committed: Vec<LettersFrom>, start: StartOffset) -> bool {
        let since = Instant::now();
        (self.is_open, self.is_begun) = (!committed.is_empty(), true);
        self.found_from = committed;
        let letters = &env.shared.letters;
        if matches!(env.shared.rejecting.action, RejectAction::DeadLetter { .. }) {
            letters.look(since, env.stop);
        }
        self.at_start = self.bounds(i64::MIN, letters.known_now().as_deref());
        let start = match start {
            StartOffset::Offset(offset) => offset,
            StartOffset::Oldest => 0,
        };
        let (mut searched, mut read) = (Vec::new(), 0);
        for from in &self.found_from {
            let found = &mut self.found;
            let search = Search {
                from,
                partition: env.partition(),
                since,
                stop: env.stop,
                // If there is no message, none has a letter. If nobody tells, there may be some.
                is_needed: &|| env.source.log_end().map_or(true, |end| end > start),
            };
            match letters.search(search, &mut |message| take(env, found, start, message)) {
                Ok(of) => {
                    read += of.read;
                    searched.push(of.from);
                }
                Err(NoLetters::Stopped) => return false,
                Err(NoLetters::Absent) => debug!(
                    "kafka: there is no topic of dead letters any more {} dead_letters={}",
                    env.partition(),
                    from.topic
                ),
                Err(NoLetters::Refused(why)) => debug!(
                    "kafka: the dead letters cannot be read {} dead_letters={} error=\"{why}\"",
                    env.partition(),
                    from.topic
                ),
            }
        }
        (self.found_from, self.is_open) = (searched, false);
        self.tell_found(env, read);
        true
    }

    fn tell_found<S: Source>(&self, env: &Env<'_, S>, read: u64) {
        let partition = env.partition();
        let (Some((first, _)), Some((last, _))) = (self.found.first(), self.found.last()) else {
            if read > 0 {
                debug!("kafka: no message that comes again has a dead letter {partition} read={read}");
            }
            return;
        };
        info!(
            "kafka: messages that come again have dead letters already; they are passed and not processed again \
             {partition} messages={} from={first} to={last} read={read}",
            self.found.len()
        );
        if self.found.len() >= FOUND_MAX {
            warn!(
                "kafka: more messages that come again have dead letters than are remembered; those behind are processed \
                 again {partition} messages={FOUND_MAX} to={last}"
            );
        }
    }

    /// Whether this message has a letter already.
    pub fn has(&self, message: &impl SourceMessage) -> bool {
        let offset = message.offset();
        let mut of_offset = self.found.range((offset, 0)..=(offset, u64::MAX)).peekable();
        // The last letter need not be that of the highest offset: librdkafka goes back.
        let is_own_offset = !self.own.is_empty() && offset <= self.last;
        if of_offset.peek().is_none() && !is_own_offset {
            return false;
        }
        let view = message.view(false);
        let fingerprint = fingerprint(view.key, view.payload, view.timestamp_ms);
        let is_own = |own: &Own| (own.offset, own.fingerprint) == (offset, fingerprint);
        if self.found.contains(&(offset, fingerprint)) || (is_own_offset && self.own.iter().any(is_own)) {
            return true;
        }
        if of_offset.peek().is_some() && !self.is_other_told.replace(true) {
            // A log that was cut, or a letter that somebody else has made.
            warn!(
                "kafka: a dead letter names the offset of another message than it holds; the message is processed \
                 topic={} partition={} offset={offset}",
                view.topic, view.partition
            );
        }
        false
    }

    /// Notes that this letter of the message at `offset` is about to be sent. `now`: from where on all letters are that
    /// are not sent yet, if that is known.
    pub fn sent(&mut self, now: Option<Arc<LettersFrom>>, offset: i64, letter: &Publication<'_>) {
        let from = now.unwrap_or_else(|| Arc::new(LettersFrom::beginning(letter.topic, TopicId::NONE)));
        self.last = self.last.max(offset);
        let is_new = self.marks.back().is_none_or(|mark| !Arc::ptr_eq(&mark.from, &from));
        // Where marks are left out, an older one counts, which is lower.
        if self.marks.is_empty() || (is_new && self.marks.len() < MARKS_MAX) {
            self.marks.push_back(Mark {
                first: offset,
                from: from.clone(),
            });
        }
        if self.own.len() == AHEAD_MAX {
            self.own.pop_front();
        }
        self.own.push_back(Own {
            offset,
            fingerprint: fingerprint(letter.key.as_deref(), letter.payload.as_deref(), letter.timestamp_ms),
            from,
        });
    }

    /// All messages below `next` are finished.
    pub fn finished_below(&mut self, next: i64) {
        // Those that librdkafka may go back over are kept.
        let below = self.found.range(..(next, 0)).count();
        for _ in AHEAD_MAX..below {
            self.found.pop_first();
        }
        while self.marks.get(1).is_some_and(|second| second.first <= next) {
            self.marks.pop_front();
        }
        if self.last < next {
            self.marks.clear();
        }
    }

    /// For each topic of dead letters, from where on all letters of messages at or above `next` are. `now`: from where
    /// on all letters are that are not sent yet.
    pub fn bounds(&self, next: i64, now: Option<&LettersFrom>) -> Vec<LettersFrom> {
        let mut bounds: Vec<LettersFrom> = now.cloned().into_iter().collect();
        let found = Some(&self.found_from).filter(|_| self.is_open || self.found.range((next, 0)..).next().is_some());
        let mark = self.marks.front().filter(|_| self.last >= next).map(|mark| &*mark.from);
        let own = self.own.iter().find(|own| own.offset >= next).map(|own| &*own.from);
        for from in mark.into_iter().chain(own).chain(found.into_iter().flatten()) {
            match bounds.iter_mut().find(|bound| bound.topic == from.topic) {
                Some(bound) => *bound = bound.and(from),
                None => bounds.push(from.clone()),
            }
        }
        bounds
    }

    /// Whether it is known from where on letters are.
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// From where on the letters of all messages are that this worker was given.
    pub fn at_start(&self) -> Vec<LettersFrom> {
        self.at_start.clone()
    }
}

/// Remembers the letter if it is of a message that this worker can get.
fn take<S: Source>(env: &Env<'_, S>, found: &mut BTreeSet<(i64, u64)>, start: i64, message: &Message<'_>) {
    // What is no letter is somebody else's.
    let Ok(letter) = Letter::read(message) else { return };
    let (group, partition) = (&env.shared.group, env.partition());
    let is_same_topic = match letter.topic_id.and_then(TopicId::parse) {
        Some(id) if !env.topic_id.is_none() => id == env.topic_id,
        _ => letter.topic == &*partition.topic,
    };
    let is_same_epoch = letter.guard_epoch.is_none_or(|epoch| epoch == group.guard_epoch);
    // A letter that a replay has made is of a message that was passed long ago.
    let is_first = letter.tries == 0;
    if !is_same_topic
        || !is_same_epoch
        || !is_first
        || letter.group != group.name
        || letter.partition != partition.number
        || letter.offset < start
    {
        return;
    }
    let before = letter.message(message);
    found.insert((
        letter.offset,
        fingerprint(before.key, before.payload, before.timestamp_ms),
    ));
    if found.len() > FOUND_MAX {
        found.pop_last();
    }
}

/// Tells messages apart that have the same offset: a log that is cut gives offsets to other messages. Compared only
/// within a process. An empty key or payload counts as none.
fn fingerprint(key: Option<&[u8]>, payload: Option<&[u8]>, timestamp_ms: Option<i64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for bytes in [key, payload] {
        let bytes = bytes.unwrap_or_default();
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    }
    hasher.write_i64(timestamp_ms.unwrap_or(-1));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::consumer::source::QueuedMessage;
    use crate::partition::made_up::letters::DEAD;

    fn letter() -> Publication<'static> {
        Publication {
            message: 0,
            topic: DEAD,
            key: None,
            payload: None,
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    fn from(offset: i64) -> LettersFrom {
        let mut from = LettersFrom::beginning(DEAD, TopicId::new([1; 16]));
        from.raise(0, offset);
        from
    }

    /// From where on the letters of messages at or above `next` are, if the topic ends at `end`.
    fn bound(letters: &mut Lettered, next: i64, end: i64) -> i64 {
        letters.finished_below(next);
        letters.bounds(next, Some(&from(end)))[0].of(0)
    }

    #[test]
    fn a_commit_goes_back_to_what_was_known_when_its_first_letter_was_sent() {
        // Each letter is stored before the next one is sent, and none is acknowledged yet.
        let mut letters = Lettered::default();
        let count = 40;
        for (at, offset) in (0..count).zip(100..) {
            letters.sent(Some(Arc::new(from(at))), offset, &letter());
        }
        assert_eq!(bound(&mut letters, 100, count), 0);
        assert_eq!(bound(&mut letters, 105, count), 5);
        // Not more marks than these are kept. An older one is right, too.
        assert_eq!(bound(&mut letters, 130, count), 15);
        assert_eq!(bound(&mut letters, 139, count), 15);
        assert_eq!(bound(&mut letters, 140, count), count);
        // Back over the last messages.
        assert_eq!(bound(&mut letters, 120, count), 20);
    }

    #[test]
    fn letters_that_are_sent_together_have_one_mark() {
        let mut letters = Lettered::default();
        let now = Arc::new(from(7));
        for offset in 0..100 {
            letters.sent(Some(now.clone()), offset, &letter());
        }
        assert_eq!((letters.marks.len(), letters.own.len()), (1, AHEAD_MAX));
        assert_eq!(bound(&mut letters, 99, 90), 7);
        assert_eq!(bound(&mut letters, 100, 90), 90);
        // Where nothing is known, the beginning is right.
        letters.sent(None, 200, &letter());
        assert_eq!(letters.bounds(150, Some(&from(90)))[0].of(0), 0);
    }

    #[test]
    fn another_topic_has_its_own_words() {
        let mut letters = Lettered {
            found: BTreeSet::from([(50, 1)]),
            found_from: vec![LettersFrom::beginning("former", TopicId::NONE)],
            ..Lettered::default()
        };
        let topics = |letters: &Lettered, next| {
            let bounds = letters.bounds(next, Some(&from(3)));
            bounds.into_iter().map(|from| from.topic).collect::<Vec<String>>()
        };
        assert_eq!(topics(&letters, 50), [DEAD, "former"]);
        assert_eq!(topics(&letters, 51), [DEAD]);
        letters.is_open = true;
        assert_eq!(topics(&letters, 51), [DEAD, "former"], "it is not known yet");
    }

    struct Message(i64);

    impl QueuedMessage for Message {
        fn offset(&self) -> i64 {
            self.0
        }

        fn bytes(&self) -> usize {
            0
        }
    }

    impl SourceMessage for Message {
        fn timestamp_ms(&self) -> Option<i64> {
            None
        }

        fn leader_epoch(&self) -> Option<i32> {
            None
        }

        fn view(&self, _with_headers: bool) -> crate::message::Message<'_> {
            crate::message::Message {
                topic: "events",
                partition: 0,
                offset: self.0,
                timestamp_ms: None,
                key: None,
                payload: None,
                headers: Vec::new(),
            }
        }
    }

    /// librdkafka goes back by a few messages, and one that was written before is refused now.
    #[test]
    fn a_letter_behind_a_new_one_is_still_known_after_going_back() {
        let mut letters = Lettered::default();
        for offset in [99, 100] {
            letters.sent(Some(Arc::new(from(0))), offset, &letter());
        }
        assert!(letters.has(&Message(99)) && !letters.has(&Message(98)));
        letters.sent(Some(Arc::new(from(2))), 96, &letter());
        let known: Vec<i64> = (95..102).filter(|offset| letters.has(&Message(*offset))).collect();
        assert_eq!(known, [96, 99, 100]);
    }
}
