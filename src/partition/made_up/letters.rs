//! A topic of dead letters in memory, with one partition: what workers publish to it, and what they read of it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::config::model::{DeadLetterHeaders, RejectAction};
use crate::delivery::publish::{Place, Publisher, Reports, Unsent};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::letters::bound::LettersFrom;
use crate::kafka::letters::{Letters, NoLetters, Search, Searched};
use crate::message::Message;
use crate::output::publication::{OutgoingMessage, Publication};
use crate::util::stop::Stop;

pub const DEAD: &str = "dead";

/// The topic. Clones share it.
#[derive(Debug, Clone)]
pub struct DeadTopic(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    id: TopicId,
    letters: Vec<Stored>,
    /// What the process knows of its end.
    known: i64,
    is_refused: bool,
    /// How many messages each search has read.
    searches: Vec<u64>,
}

#[derive(Debug)]
struct Stored {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl DeadTopic {
    pub fn empty() -> DeadTopic {
        DeadTopic(Arc::new(Mutex::new(State {
            id: TopicId::new([1; 16]),
            letters: Vec::new(),
            known: 0,
            is_refused: false,
            searches: Vec::new(),
        })))
    }

    /// Rejected messages go to it.
    pub fn action() -> RejectAction {
        RejectAction::DeadLetter {
            topic: DEAD.to_owned(),
            headers: DeadLetterHeaders::Penstock,
        }
    }

    /// It is deleted and created again, empty.
    pub fn created_again(&self) {
        let mut state = self.0.lock();
        state.id = TopicId::new([2; 16]);
        state.letters.clear();
    }

    /// It may not be read.
    pub fn refusing(&self) {
        self.0.lock().is_refused = true;
    }

    /// The offsets of the messages that have letters, in the order of the letters.
    pub fn offsets(&self) -> Vec<i64> {
        let state = self.0.lock();
        let offset = |letter: &Stored| {
            let (_, value) = letter.headers.iter().find(|(name, _)| name == "penstock.offset")?;
            str::from_utf8(value.as_deref()?).ok()?.parse().ok()
        };
        state.letters.iter().map(|letter| offset(letter).unwrap()).collect()
    }

    /// Somebody else puts a letter there.
    pub fn put(&self, letter: &Publication<'_>) {
        self.store(&OutgoingMessage::from(letter));
    }

    fn store(&self, message: &OutgoingMessage) {
        let mut state = self.0.lock();
        let headers = message.headers();
        state.letters.push(Stored {
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        });
        state.known = state.end();
    }

    /// How many messages each search has read.
    pub fn searches(&self) -> Vec<u64> {
        self.0.lock().searches.clone()
    }

    /// Changes the payload of each letter, as if it were of another message.
    pub fn of_other_messages(&self) {
        for letter in &mut self.0.lock().letters {
            letter.payload = Some(b"another".to_vec());
        }
    }
}

impl State {
    fn end(&self) -> i64 {
        i64::try_from(self.letters.len()).unwrap()
    }
}

impl Publisher for DeadTopic {
    fn send(
        &self,
        topic: &str,
        message: &OutgoingMessage,
        place: Place,
        reports: &Arc<Reports>,
        _alone: bool,
    ) -> Result<(), Unsent> {
        assert_eq!(topic, DEAD);
        self.store(message);
        reports.report(place, Ok(()));
        Ok(())
    }

    fn withdraw(&self, _reports: &Arc<Reports>) {}

    fn purge(&self) {}
}

impl Letters for DeadTopic {
    fn known_now(&self) -> Option<Arc<LettersFrom>> {
        let state = self.0.lock();
        Some(Arc::new(LettersFrom {
            topic: DEAD.to_owned(),
            id: state.id,
            offsets: vec![state.known],
            epochs: Vec::new(),
        }))
    }

    fn look(&self, _since: Instant, _stop: &Stop) {
        let mut state = self.0.lock();
        state.known = state.end();
    }

    fn look_if_old(&self, _stop: &Stop) {}

    fn search(&self, search: Search<'_>, take: &mut dyn FnMut(&Message<'_>)) -> Result<Searched, NoLetters> {
        let mut state = self.0.lock();
        assert_eq!(search.from.topic, DEAD);
        let begin = if search.from.id == state.id {
            search.from.of(0)
        } else {
            0
        };
        let begin = Some(begin).filter(|begin| *begin <= state.end()).unwrap_or(0);
        let mut read = 0;
        if begin < state.end() && (search.is_needed)() {
            if state.is_refused {
                return Err(NoLetters::Refused("no".to_owned()));
            }
            for (offset, letter) in (0..).zip(&state.letters).skip(usize::try_from(begin).unwrap()) {
                let headers = letter.headers.iter();
                take(&Message {
                    topic: DEAD,
                    partition: 0,
                    offset,
                    timestamp_ms: Some(1),
                    key: letter.key.as_deref(),
                    payload: letter.payload.as_deref(),
                    headers: headers.map(|(name, value)| (name.as_str(), value.as_deref())).collect(),
                });
                read += 1;
            }
        }
        state.searches.push(read);
        Ok(Searched {
            from: LettersFrom {
                topic: DEAD.to_owned(),
                id: state.id,
                offsets: vec![begin],
                epochs: Vec::new(),
            },
            read,
        })
    }
}

/// There are no dead letters.
#[derive(Debug)]
pub struct NoDeadTopic;

impl Letters for NoDeadTopic {
    fn known_now(&self) -> Option<Arc<LettersFrom>> {
        None
    }

    fn look(&self, _since: Instant, _stop: &Stop) {}

    fn look_if_old(&self, _stop: &Stop) {}

    fn search(&self, search: Search<'_>, _: &mut dyn FnMut(&Message<'_>)) -> Result<Searched, NoLetters> {
        panic!("nothing to search in {:?}", search.from)
    }
}
