//! Messages that come again after a crash and have dead letters: no worker applies them.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::model::Reject;
use crate::delivery::reject_limit::Rejects;
use crate::kafka::letters::bound::LettersFrom;
use crate::message::Message;
use crate::partition::lettered::LETTERED_BEFORE;
use crate::partition::made_up::letters::{DEAD, DeadTopic};
use crate::partition::made_up::shared_where;
use crate::util::stop::Stop;

/// How a worker's run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    InOrder,
    /// When its letters are stored, and before a commit.
    Killed,
}

/// Ends a worker also when its test fails, which waits for it.
struct Stops(Stop);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.request(StopKind::Abandon);
    }
}

/// One worker's run after the other, over the same partition.
struct Runs {
    dead: DeadTopic,
    /// What the group's offset says: the offset, and from where on letters are.
    committed: (i64, Vec<LettersFrom>),
    /// There is no such offset yet.
    is_new: bool,
    is_mended: bool,
    refused: Vec<(i64, u8)>,
    consecutive_max: Option<u32>,
    /// Tells after each run what was written.
    keys: Vec<i64>,
    shared: Option<Shared>,
}

impl Runs {
    fn new() -> Runs {
        Runs {
            dead: DeadTopic::empty(),
            committed: (10, Vec::new()),
            is_new: false,
            is_mended: false,
            refused: Vec::new(),
            consecutive_max: None,
            keys: Vec::new(),
            shared: None,
        }
    }

    /// Runs a worker from the group's offset on. `letters`: how many the topic has when it is killed.
    fn run(&mut self, found: &[(i64, &'static str)], ends: Ends, letters: usize) {
        let (offset, letters_from) = self.committed.clone();
        let found = found.iter().map(|(offset, payload)| Found::Message(*offset, payload));
        let log = if ends == Ends::InOrder {
            Log::of(found)
        } else {
            Log::that_goes_on(found)
        };
        let log = log.lettered_from(letters_from).reaching((0, 1000), None);
        let database = Database::new(&self.refused, crossbeam_channel::unbounded().0);
        let mut shared = shared_where(&database, DeadTopic::action(), self.is_mended);
        shared.publisher = Some(Arc::new(self.dead.clone()));
        shared.letters = Arc::new(self.dead.clone());
        shared.rejecting.counts = Arc::new(Rejects::new(&Reject {
            action: DeadTopic::action(),
            percent_max: None,
            percent_of: 1,
            consecutive_max: self.consecutive_max,
        }));
        if ends == Ends::Killed {
            shared.times.commit_interval = Duration::MAX;
        }
        let mut start = at_10().start;
        start.from = match self.is_new {
            true => StartOffset::Oldest,
            false => StartOffset::Offset(offset),
        };
        let progress = Progress::default();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| worker::run(&shared, &log.source(0), &start, &log.stop(), &progress));
            let stops = (ends == Ends::Killed).then(|| Stops(log.stop()));
            if ends == Ends::Killed {
                until(|| (self.dead.offsets().len() == letters && !progress.is_in_hand()).then_some(()));
            }
            drop(stops);
            let end = worker.join().unwrap();
            assert_eq!(end == WorkerEnd::Stopped, ends == Ends::InOrder);
        });
        if let Some(offset) = log.committed() {
            (self.committed, self.is_new) = ((offset, log.letters()), false);
        }
        self.keys = database.calls().concat();
        let counters = &shared.counters;
        assert_eq!(counters.messages_in_hand.get(), 0);
        let told = [
            &counters.messages_written,
            &counters.messages_filtered,
            &counters.messages_dead_lettered,
            &counters.messages_dropped,
            &counters.messages_returned,
        ];
        let told: u64 = told.iter().map(|counter| counter.get()).sum();
        assert_eq!(counters.messages_consumed.get(), told, "the ledger balances");
        self.shared = Some(shared);
    }

    fn lettered_before(&self) -> u64 {
        let by_word = self.shared.as_ref().unwrap().counters.messages_rejected.by_word();
        let before = by_word.into_iter().find(|(word, _)| *word == LETTERED_BEFORE);
        before.map_or(0, |(_, count)| count)
    }
}

/// The messages of a run that is killed behind their letters.
const FOUND: [(i64, &str); 5] = [
    (11, "reject"),
    (12, "write"),
    (13, "reject"),
    (14, "filter"),
    (15, "write"),
];

/// A first run that ends in order, and a second one that is killed.
fn killed() -> Runs {
    let mut runs = Runs::new();
    runs.run(&[(10, "reject")], Ends::InOrder, 0);
    assert_eq!(runs.committed.0, 11);
    runs.run(&FOUND, Ends::Killed, 3);
    assert_eq!(runs.committed.0, 11, "the kill came before the commit");
    assert_eq!(runs.dead.offsets(), [10, 11, 13]);
    runs
}

#[test]
fn a_message_with_a_letter_is_not_applied_when_it_comes_again_though_the_rules_accept_it_now() {
    let mut runs = killed();
    runs.is_mended = true;
    let mut found = FOUND.to_vec();
    found.push((16, "reject"));
    runs.run(&found, Ends::InOrder, 0);
    assert_eq!(runs.keys, [12, 15, 16]);
    assert_eq!(runs.dead.offsets(), [10, 11, 13]);
    assert_eq!(runs.lettered_before(), 2);
    assert_eq!(runs.committed.0, 17);
    // Nothing is read again where nothing was stored since.
    assert_eq!(runs.dead.searches().last(), Some(&2));
    runs.run(&[(17, "write")], Ends::InOrder, 0);
    assert_eq!(runs.dead.searches().last(), Some(&0));
}

#[test]
fn a_message_has_one_letter_though_it_comes_again() {
    let mut runs = killed();
    runs.run(&FOUND, Ends::InOrder, 0);
    assert_eq!(runs.dead.offsets(), [10, 11, 13]);
    assert_eq!((runs.lettered_before(), runs.committed.0), (2, 16));
}

#[test]
fn kills_one_after_another_change_nothing() {
    let mut runs = killed();
    // Two more kills: one in the middle of what comes again, one behind it.
    runs.run(&FOUND[..1], Ends::Killed, 3);
    let mut found = FOUND.to_vec();
    found.push((16, "reject"));
    runs.run(&found, Ends::Killed, 4);
    runs.is_mended = true;
    runs.run(&found, Ends::InOrder, 0);
    assert_eq!(runs.keys, [12, 15]);
    assert_eq!(runs.dead.offsets(), [10, 11, 13, 16]);
    assert_eq!(runs.lettered_before(), 3);
}

#[test]
fn a_commit_in_the_middle_of_what_comes_again_still_says_where_its_letters_are() {
    let mut runs = killed();
    runs.is_mended = true;
    runs.run(&FOUND[..2], Ends::InOrder, 0);
    assert_eq!(runs.committed.0, 13);
    // The letter of 13 is before the end of the topic at that commit.
    assert!(runs.committed.1[0].of(0) <= 2, "{:?}", runs.committed.1);
    runs.run(&FOUND[2..], Ends::InOrder, 0);
    assert_eq!(runs.keys, [15]);
    assert_eq!(runs.lettered_before(), 1);
}

#[test]
fn a_new_group_that_is_killed_before_its_first_commit_finds_its_letters() {
    for is_new in [true, false] {
        let mut runs = Runs::new();
        // Without an offset, or with one that says nothing of letters.
        (runs.is_new, runs.committed.0) = (is_new, 11);
        runs.run(&FOUND, Ends::Killed, 2);
        assert_eq!(runs.dead.offsets(), [11, 13]);
        assert!(!runs.is_new && runs.committed.0 == 11, "{:?}", runs.committed);
        runs.is_mended = true;
        runs.run(&FOUND, Ends::InOrder, 0);
        assert_eq!(runs.keys, [12, 15]);
        assert_eq!((runs.lettered_before(), runs.committed.0), (2, 16));
    }
}

#[test]
fn a_new_group_finds_the_letter_of_a_row_that_the_database_refused() {
    let mut runs = Runs::new();
    (runs.is_new, runs.refused) = (true, vec![(11, 13)]);
    runs.run(&[(10, "write"), (11, "write"), (12, "write")], Ends::Killed, 1);
    assert_eq!(runs.dead.offsets(), [11]);
    runs.refused = Vec::new();
    runs.run(&[(10, "write"), (11, "write"), (12, "write")], Ends::InOrder, 0);
    assert_eq!(runs.keys, [10, 12]);
    assert_eq!((runs.lettered_before(), runs.committed.0), (1, 13));
}

/// Runs a worker whose first commit is refused, and that is told to stop when it has taken all, unless it `goes_on`.
fn refused_once(found: Vec<Found>, refusal: CommitFailure, goes_on: bool) -> (Ran, DeadTopic) {
    let dead = DeadTopic::empty();
    let log = if goes_on {
        Log::that_goes_on(found)
    } else {
        Log::of(found)
    };
    let letters = dead.clone();
    let run = Run {
        shared: Box::new(move |shared| {
            shared.times.commit_interval = Duration::MAX;
            shared.rejecting.action = DeadTopic::action();
            shared.publisher = Some(Arc::new(letters.clone()));
            shared.letters = Arc::new(letters);
        }),
        ..at_10()
    };
    let log = log.refusing(refusal);
    let ran = std::thread::scope(|scope| {
        if goes_on {
            let (stops, dead) = (Stops(log.stop()), dead.clone());
            scope.spawn(move || {
                until(|| (!dead.offsets().is_empty()).then_some(()));
                drop(stops);
            });
        }
        run.over(&log)
    });
    (ran, dead)
}

#[test]
fn no_letter_is_sent_before_the_group_has_an_offset_that_says_so() {
    let found = || vec![Found::Message(10, "write"), Found::Message(11, "reject")];
    // The stop comes before the commit is accepted: the message has no letter, and comes again.
    let (ran, dead) = refused_once(found(), CommitFailure::Failed(kafka_error()), false);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert!(dead.offsets().is_empty());
    assert_eq!(ran.shared.counters.messages_returned.get(), 1);
    // The same when the partition is no longer ours.
    let (ran, dead) = refused_once(found(), CommitFailure::NotOurs(kafka_error()), false);
    assert_eq!(ran.outcome(), (WorkerEnd::Lost, None));
    assert!(dead.offsets().is_empty());
    // Otherwise it is tried again.
    let (ran, dead) = refused_once(found(), CommitFailure::Failed(kafka_error()), true);
    assert_eq!(dead.offsets(), [11]);
    assert_eq!(ran.end, WorkerEnd::Lost);
    let told = ran.log.commits();
    assert_eq!((told.len(), told[0].next), (1, 10));
    assert_eq!(ran.log.letters()[0].of(0), 0);
    assert_eq!(ran.shared.counters.commit_errors.get(), 1);
}

#[test]
fn a_row_that_the_database_refused_is_not_sent_again_when_its_letter_is_acknowledged() {
    let mut runs = Runs::new();
    runs.refused = vec![(11, 13)];
    runs.run(&[(10, "write")], Ends::InOrder, 0);
    runs.run(&[(11, "write"), (12, "write")], Ends::Killed, 1);
    assert_eq!(runs.dead.offsets(), [11]);
    runs.refused = Vec::new();
    runs.run(&[(11, "write"), (12, "write")], Ends::InOrder, 0);
    assert_eq!(runs.keys, [12]);
    assert_eq!((runs.lettered_before(), runs.committed.0), (1, 13));
}

#[test]
fn without_the_right_to_read_the_topic_the_messages_are_applied_as_before() {
    let mut runs = killed();
    runs.is_mended = true;
    runs.dead.refusing();
    runs.run(&FOUND, Ends::InOrder, 0);
    assert_eq!(runs.keys, [11, 12, 13, 15]);
    assert_eq!(runs.lettered_before(), 0);
}

#[test]
fn a_topic_created_again_has_only_the_letters_that_came_since() {
    let mut runs = killed();
    runs.dead.created_again();
    runs.run(&FOUND[..1], Ends::Killed, 1);
    assert_eq!(runs.dead.offsets(), [11], "the letters in the former topic are gone");
    runs.is_mended = true;
    runs.run(&FOUND, Ends::InOrder, 0);
    assert_eq!(runs.keys, [12, 13, 15]);
    assert_eq!(runs.lettered_before(), 1);
}

#[test]
fn a_letter_of_another_message_at_the_same_offset_does_not_count() {
    let mut runs = killed();
    runs.is_mended = true;
    runs.dead.of_other_messages();
    runs.run(&FOUND, Ends::InOrder, 0);
    assert_eq!(runs.keys, [11, 12, 13, 15]);
}

#[test]
fn an_offset_that_does_not_say_where_letters_are_leads_to_no_search() {
    let mut runs = killed();
    runs.is_mended = true;
    // The group's offset was set by another tool.
    runs.committed.1 = Vec::new();
    let searches = runs.dead.searches().len();
    runs.run(&FOUND, Ends::InOrder, 0);
    assert_eq!(runs.keys, [11, 12, 13, 15]);
    assert_eq!(runs.dead.searches().len(), searches);
}

#[test]
fn what_the_client_goes_back_over_in_one_run_is_passed_too() {
    let mut runs = Runs::new();
    runs.run(
        &[
            (10, "write"),
            (11, "reject"),
            (12, "write"),
            (11, "reject"),
            (12, "write"),
        ],
        Ends::InOrder,
        0,
    );
    assert_eq!(runs.dead.offsets(), [11]);
    assert_eq!((runs.lettered_before(), runs.committed.0), (1, 13));
}

#[test]
fn a_message_with_a_letter_does_not_count_as_rejected_in_a_row() {
    let mut runs = killed();
    // One is allowed. Two come again with letters, and one is new.
    runs.consecutive_max = Some(1);
    runs.run(&[FOUND[0], FOUND[2], (14, "reject")], Ends::InOrder, 0);
    assert_eq!(runs.dead.offsets(), [10, 11, 13, 14]);
    let recent = runs.shared.as_ref().unwrap().rejecting.counts.recent();
    assert_eq!(recent.len(), 1, "{recent:?}");
}

#[test]
fn a_worker_that_begins_again_is_told_from_where_on_its_letters_are() {
    let dead = DeadTopic::empty();
    let log = Log::that_goes_on([Found::Message(10, "write"), Found::Message(11, "reject")]);
    let database = Database::willing();
    let mut shared = shared_where(&database, DeadTopic::action(), false);
    shared.publisher = Some(Arc::new(dead.clone()));
    shared.letters = Arc::new(dead.clone());
    let start = at_10().start;
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| worker::run(&shared, &log.source(0), &start, &log.stop(), &progress));
        // As for a message that came outside of its queue.
        let stops = Stops(log.stop());
        until(|| (progress.next() == Some(12)).then_some(()));
        drop(stops);
        assert_eq!(worker.join().unwrap(), WorkerEnd::Lost);
    });
    let of = |offset| {
        progress
            .letters_from(offset)
            .unwrap()
            .first()
            .map(|from| (from.topic.clone(), from.of(0)))
    };
    assert_eq!(of(Some(12)), Some((DEAD.to_owned(), 1)));
    assert_eq!(of(Some(11)), Some((DEAD.to_owned(), 0)), "the letter of 11 is at 0");
    assert_eq!(of(None), Some((DEAD.to_owned(), 0)));
}

#[test]
fn where_the_brokers_find_the_metadata_too_long_the_offset_is_committed_without() {
    let dead = DeadTopic::empty();
    let log = Log::of([Found::Message(10, "reject")]);
    let refusal = KafkaError::ConsumerCommit(RDKafkaErrorCode::OffsetMetadataTooLarge);
    let log = log.refusing(CommitFailure::Metadata(refusal));
    let letters = dead.clone();
    let run = Run {
        shared: Box::new(move |shared| {
            shared.times.commit_interval = Duration::MAX;
            shared.rejecting.action = DeadTopic::action();
            shared.publisher = Some(Arc::new(letters.clone()));
            shared.letters = Arc::new(letters);
        }),
        ..at_10()
    };
    let ran = run.over(&log);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert_eq!(ran.log.letters(), []);
    assert!(ran.progress.is_metadata_refused());
}

#[test]
fn letters_of_others_are_none_of_this_partition() {
    use crate::config::model::DeadLetterHeaders;
    use crate::delivery::reject::{MessageOrigin, Rejected, dead_letter};
    use crate::message::{Reason, Rejection};
    let mut runs = Runs::new();
    runs.run(&[(10, "write")], Ends::InOrder, 0);
    let publish = |group: &str, topic: &str, partition: i32, offset: i64, more: &[(&'static str, &'static str)]| {
        let message = Message {
            topic,
            partition,
            offset,
            timestamp_ms: None,
            key: None,
            payload: Some(b"reject".as_slice()),
            headers: Vec::new(),
        };
        let rejected = Rejected::from(Rejection::new(Reason::KeyMissing, "no key"));
        let origin = MessageOrigin {
            group,
            topic_id: None,
            guard_epoch: 0,
            guarded: "",
            versioned: "",
            now_ms: 1,
            tries: 0,
            first_time: None,
        };
        let mut letter = dead_letter(DEAD, DeadLetterHeaders::Penstock, 0, &message, &rejected, origin);
        let more = more
            .iter()
            .map(|(name, value)| ((*name).into(), Some(value.as_bytes().into())));
        letter.headers.extend(more);
        runs.dead.put(&letter);
    };
    publish("other", "events", 0, 11, &[]);
    publish("g", "others", 0, 12, &[]);
    publish("g", "events", 1, 13, &[]);
    publish("g", "events", 0, 14, &[("penstock.guard_epoch", "7")]);
    publish("g", "events", 0, 15, &[("penstock.tries", "1")]);
    publish("g", "events", 0, 16, &[("penstock.guard_epoch", "0")]);
    publish("g", "events", 0, 10, &[]);
    runs.is_mended = true;
    let found: Vec<(i64, &str)> = (11..18).map(|offset| (offset, "reject")).collect();
    runs.run(&found, Ends::InOrder, 0);
    assert_eq!(runs.keys, [11, 12, 13, 14, 15, 17]);
}
