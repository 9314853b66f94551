//! The worker's loop over a made-up log: what is written, what is committed, and how it ends.

mod ahead;
mod lettered;

use std::sync::Arc;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::model::{BelowLog, BeyondLog, OffsetGone, RejectAction};
use crate::kafka::Partition;
use crate::kafka::consumer::origin::{LettersHint, NoOrigin, Origin, PartitionStart, StartOffset};
use crate::kafka::consumer::source::{CommitFailure, FetchError};
use crate::partition::ends::WorkerEnd;
use crate::partition::hooks::Hooks;
use crate::partition::made_up::{Committed, Database, Found, Log, TAG, TOPIC_ID, kafka_error, shared, tag, until};
use crate::partition::progress::Progress;
use crate::partition::shared::Shared;
use crate::partition::worker;
use crate::util::exit::Exit;
use crate::util::stop::{Stop, StopKind};

/// A worker's run, from its start to its end.
struct Ran {
    end: WorkerEnd,
    log: Log,
    /// The keys that were written, one list per call.
    calls: Vec<Vec<i64>>,
    progress: Progress,
    shared: Shared,
}

struct Run {
    start: PartitionStart,
    refused: Vec<(i64, u8)>,
    shared: Box<dyn FnOnce(&mut Shared)>,
    progress: Progress,
}

/// Starts at offset 10, the group's committed offset.
fn at_10() -> Run {
    Run {
        start: PartitionStart {
            from: StartOffset::Offset(10),
            begin: None,
            tag: TAG.to_owned(),
            epoch: None,
            topic_id: None,
            letters: LettersHint::Known(Vec::new()),
        },
        refused: Vec::new(),
        shared: Box::new(|_| {}),
        progress: Progress::default(),
    }
}

/// The same, with so few rows in a batch that many messages are in hand behind it.
fn with_batches_of_two() -> Run {
    Run {
        shared: Box::new(|shared| shared.sizes.batch_rows_max = 2),
        ..at_10()
    }
}

impl Run {
    fn where_rejects(mut self, action: RejectAction) -> Run {
        self.shared = Box::new(|shared| shared.rejecting.action = action);
        self
    }

    fn over(self, log: &Log) -> Ran {
        let database = Database::new(&self.refused, crossbeam_channel::unbounded().0);
        let mut shared = shared(&database, RejectAction::Hold);
        (self.shared)(&mut shared);
        let progress = self.progress;
        let end = worker::run(&shared, &log.source(0), &self.start, &log.stop(), &progress);
        assert_eq!(
            shared.counters.messages_in_hand.get(),
            0,
            "every message is accounted for"
        );
        Ran {
            end,
            log: log.clone(),
            calls: database.calls(),
            progress,
            shared,
        }
    }
}

impl Ran {
    /// How the worker ended, and the group's offset afterwards.
    fn outcome(&self) -> (WorkerEnd, Option<i64>) {
        (self.end, self.log.committed())
    }

    fn keys(&self) -> Vec<i64> {
        self.calls.concat()
    }
}

fn writes(offsets: impl IntoIterator<Item = i64>) -> Vec<Found> {
    offsets
        .into_iter()
        .map(|offset| Found::Message(offset, "write"))
        .collect()
}

/// Raises the stop flag when the first batch is in hand.
struct StopsAtOnce(Stop);

impl Hooks for StopsAtOnce {
    fn batch_in_hand(&self, _: &Partition) {
        self.0.request(StopKind::Drain);
    }
}

#[test]
fn messages_are_written_in_their_order_and_the_offset_behind_the_last_is_committed() {
    let ran = at_10().over(&Log::of(writes([10, 11, 14])));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(15)));
    assert_eq!(ran.keys(), [10, 11, 14]);
    // Committed once on the way, and once at the end with an answer; only an answer makes sure of it.
    let commit = |is_last| Committed {
        next: 15,
        epoch: None,
        is_last,
    };
    assert_eq!(ran.log.commits(), [commit(false), commit(true)]);
    assert_eq!(ran.shared.counters.commits.get(), 2);
    assert_eq!(ran.progress.next(), Some(15));
    assert_eq!(ran.progress.taken(), 3);
}

#[test]
fn written_messages_without_a_timestamp_are_counted_and_have_no_latency() {
    let mut found = writes([10, 11]);
    found.push(Found::Message(12, "filter"));
    let counters = at_10().over(&Log::of(found)).shared.counters;
    let unmeasured = counters.delivery_latency_unmeasured.by_word();
    assert_eq!(unmeasured, [("future", 0), ("missing", 2), ("replayed", 0)]);
    assert_eq!(counters.delivery_latency.counts().count(), 0);
    assert_eq!(counters.decode_to_written.counts().count(), 2);
}

#[test]
fn a_batch_has_no_more_rows_than_it_may_have() {
    let ran = with_batches_of_two().over(&Log::of(writes(10..15)));
    assert_eq!(ran.calls, [vec![10, 11], vec![12, 13], vec![14]]);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(15)));
}

#[test]
fn batches_are_full_while_the_queue_has_messages() {
    let run = Run {
        shared: Box::new(|shared| shared.sizes.batch_rows_max = 3),
        ..at_10()
    };
    // 15 messages are in hand at once. They make 12 rows or 10, as it comes.
    let found = (10..70).map(|offset| Found::Message(offset, if offset % 4 == 1 { "filter" } else { "write" }));
    let ran = run.over(&Log::of(found));
    let rows: Vec<usize> = ran.calls.iter().map(Vec::len).collect();
    assert_eq!(rows, [3; 15]);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(70)));
}

#[test]
fn messages_in_hand_are_finished_before_a_stop_and_no_more_are_taken() {
    let log = Log::of(writes(10..40));
    let stop = log.stop();
    let run = Run {
        shared: Box::new(move |shared| {
            shared.sizes.batch_rows_max = 2;
            shared.hooks = Arc::new(StopsAtOnce(stop));
        }),
        ..at_10()
    };
    let ran = run.over(&log);
    assert_eq!(ran.calls, [[10, 11], [12, 13], [14, 15], [16, 17], [18, 19]]);
    assert_eq!((ran.progress.taken(), ran.progress.is_in_hand()), (10, false));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(20)));
}

#[test]
fn a_filtered_message_is_finished_and_writes_nothing() {
    let ran = at_10().over(&Log::of([Found::Message(10, "filter"), Found::Message(11, "write")]));
    assert_eq!(ran.keys(), [11]);
    assert_eq!(ran.log.committed(), Some(12));
    assert_eq!(ran.shared.counters.messages_filtered.get(), 1);
}

#[test]
fn a_gap_behind_the_last_message_is_committed_with_it() {
    // The markers of a transaction are at 11 and 12.
    let ran = at_10().over(&Log::of(writes([10])).at(13, Some(4)));
    assert_eq!(ran.log.committed(), Some(13));
    // Before the first message, the position may belong to an earlier assignment.
    let ran = at_10().over(&Log::of([]).at(13, Some(4)));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, None));
}

#[test]
fn a_commit_carries_the_leader_epoch_up_to_its_offset() {
    let log = Log::of([Found::Of(3, 10, "write"), Found::Of(5, 11, "write")]);
    let ran = at_10().over(&log);
    let last = ran.log.commits().pop().unwrap();
    assert_eq!((last.next, last.epoch), (12, Some(5)));
}

#[test]
fn at_a_rejected_message_the_partition_is_held_and_nothing_behind_it_is_written() {
    let found = [
        Found::Message(10, "write"),
        Found::Message(11, "reject"),
        Found::Message(12, "write"),
    ];
    let ran = at_10().over(&Log::of(found).stops_when_paused());
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert_eq!(ran.keys(), [10]);
    let held = ran.progress.held().unwrap();
    assert!(
        held.why.contains("offset=11") && held.why.contains("penstock skip FILE events:0:11 "),
        "{}",
        held.why
    );
    assert_eq!(ran.shared.counters.messages_held.get(), 1);
    assert_eq!(ran.shared.counters.messages_returned.get(), 1);
    assert_eq!(ran.log.pauses_and_resumes(), (1, 1), "whoever gets it next reads it");
}

#[test]
fn a_row_that_the_database_refuses_holds_the_partition_too() {
    let run = Run {
        refused: vec![(11, 13)],
        ..at_10()
    };
    let ran = run.over(&Log::of(writes([10, 11, 12])).stops_when_paused());
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert!(ran.progress.held().unwrap().why.contains("the record is too big"));
}

#[test]
fn where_rejected_messages_are_dropped_the_partition_goes_on() {
    let found = [Found::Message(10, "reject"), Found::Message(11, "write")];
    let ran = at_10().where_rejects(RejectAction::Drop).over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(12)));
    assert_eq!(ran.keys(), [11]);
    assert_eq!(ran.shared.counters.messages_dropped.get(), 1);
}

#[test]
fn where_a_rejected_message_stops_the_service_it_is_not_committed() {
    let found = [Found::Message(10, "write"), Found::Message(11, "reject")];
    let ran = at_10().where_rejects(RejectAction::Stop).over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Fatal(Exit::Rejected), Some(11)));
}

#[test]
fn what_cannot_be_read_holds_the_partition_behind_all_that_was() {
    let mut found = writes([10, 11]);
    found.push(Found::Error(FetchError::Unreadable(kafka_error())));
    found.extend(writes([20]));
    // librdkafka continues behind it, and its position is there.
    let ran = at_10().over(&Log::of(found).stops_when_paused().at(20, None));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(12)));
    assert_eq!(ran.keys(), [10, 11]);
    assert!(ran.progress.held().unwrap().why.contains("reason=unreadable"));
}

/// A log in which the next offset does not exist.
fn gone(log: Log, policy: OffsetGone) -> Ran {
    log.append([Found::Of(2, 10, "write"), Found::Error(FetchError::Gone)]);
    let run = Run {
        shared: Box::new(move |shared| shared.offset_gone = policy),
        ..at_10()
    };
    run.over(&log)
}

#[test]
fn where_messages_went_before_they_were_read_another_worker_begins_where_the_file_says() {
    let policy = |below| OffsetGone {
        below,
        ..OffsetGone::default()
    };
    let log = || Log::of([]).reaching((30, 90), None);
    let ran = gone(log(), policy(BelowLog::Earliest));
    assert_eq!(ran.outcome(), (WorkerEnd::Again, Some(11)));
    assert_eq!(ran.progress.again(), Some(30));
    assert_eq!(ran.shared.counters.offsets_lost.get(), 19);
    let ran = gone(log(), policy(BelowLog::End));
    assert_eq!((ran.end, ran.progress.again()), (WorkerEnd::Again, Some(90)));
    let ran = gone(log(), policy(BelowLog::Stop));
    assert_eq!(ran.outcome(), (WorkerEnd::Fatal(Exit::Rejected), Some(11)));
    assert_eq!(ran.progress.again(), None);
}

#[test]
fn where_the_log_was_cut_another_worker_begins_at_the_cut() {
    let policy = OffsetGone {
        beyond: BeyondLog::Resume,
        ..OffsetGone::default()
    };
    let ran = gone(Log::of([]).reaching((0, 7), Some(7)), policy);
    assert_eq!((ran.end, ran.progress.again()), (WorkerEnd::Again, Some(7)));
    // It is not known where the log was cut. Nothing is read twice or skipped unless the configuration says so.
    let ran = gone(Log::of([]).reaching((0, 7), None), policy);
    assert_eq!(ran.end, WorkerEnd::Fatal(Exit::Rejected));
}

#[test]
fn a_log_that_went_back_is_read_again_from_there_once_all_before_it_is_finished() {
    let mut found = writes([10, 11, 12]);
    found.extend(writes([3, 4]));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.calls, [vec![10, 11, 12], vec![3, 4]]);
    let commits: Vec<i64> = ran.log.commits().iter().map(|commit| commit.next).collect();
    assert_eq!(commits, [13, 5, 5]);
}

#[test]
fn where_the_stop_comes_before_the_log_that_went_back_the_next_owner_begins_there() {
    let mut found = writes([10, 11, 12]);
    found.push(Found::Stop(StopKind::Drain));
    found.extend(writes([3, 4]));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(3)));
    assert_eq!(ran.keys(), [10, 11, 12]);
    assert_eq!(ran.progress.next(), Some(3));
}

#[test]
fn where_the_log_went_back_behind_an_unfinished_message_the_next_owner_begins_at_that_one() {
    for held in [10, 15] {
        let mut found = writes(10..20);
        found[usize::try_from(held - 10).unwrap()] = Found::Message(held, "reject");
        found.extend(writes([18, 19]));
        let ran = at_10().over(&Log::of(found).stops_when_paused());
        assert_eq!(
            ran.outcome(),
            (WorkerEnd::Stopped, (held > 10).then_some(held)),
            "{held}"
        );
        assert_eq!(ran.progress.next(), Some(held));
        assert_eq!(ran.keys(), (10..held).collect::<Vec<_>>());
    }
}

#[test]
fn a_first_message_of_a_later_leader_is_taken_only_when_the_log_is_verified() {
    let origin = Origin {
        topic_id: TOPIC_ID,
        tag: tag(),
        letters: Vec::new(),
        epoch: Some(4),
    };
    let log = Log::of([Found::Of(6, 10, "write")]).from_origin(Ok(origin.clone()));
    let ran = at_10().over(&log);
    assert_eq!(ran.log.seeks(), [(10, Some(4))]);
    assert_eq!(ran.keys(), [10]);
    let ran = at_10().over(&Log::of([Found::Of(4, 10, "write")]).from_origin(Ok(origin)));
    assert_eq!(ran.log.seeks(), []);
}

#[test]
fn a_partition_that_is_anothers_is_left_at_once() {
    let log = Log::of(writes([10])).refusing(CommitFailure::NotOurs(kafka_error()));
    let ran = at_10().over(&log);
    assert_eq!(ran.outcome(), (WorkerEnd::Lost, None));
    // Also with messages in hand.
    let log = Log::of(writes(10..20)).refusing(CommitFailure::NotOurs(kafka_error()));
    let ran = with_batches_of_two().over(&log);
    assert_eq!(ran.outcome(), (WorkerEnd::Lost, None));
    assert_eq!((ran.keys().len(), ran.shared.counters.messages_returned.get()), (2, 8));
}

#[test]
fn a_worker_that_is_to_abandon_its_partition_commits_nothing() {
    let mut found = writes([10]);
    found.push(Found::Stop(StopKind::Abandon));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Lost, None));
}

#[test]
fn a_commit_that_failed_is_sent_again() {
    let log = Log::of(writes([10])).refusing(CommitFailure::Failed(kafka_error()));
    let ran = at_10().over(&log);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert_eq!(ran.shared.counters.commit_errors.get(), 1);
}

#[test]
fn a_commit_that_the_callback_says_has_failed_is_due_again() {
    // After the first batch, the callback reports that its commit failed. Nothing new is finished.
    let log = Log::that_goes_on(writes([10]));
    let progress = Progress::default();
    let database = Database::willing();
    let shared = shared(&database, RejectAction::Hold);
    let start = at_10().start;
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| worker::run(&shared, &log.source(0), &start, &log.stop(), &progress));
        until(|| log.committed());
        progress.set_commit_failed();
        until(|| log.commits().get(1).copied());
        log.stop().request(StopKind::Drain);
        assert_eq!(worker.join().unwrap(), WorkerEnd::Stopped);
    });
    let commits = log.commits();
    assert_eq!((commits[1].next, commits[1].is_last), (11, false));
}

#[test]
fn a_last_commit_that_is_refused_for_its_epoch_is_sent_without() {
    let run = Run {
        // No commit except the last one.
        shared: Box::new(|shared| shared.times.commit_interval = std::time::Duration::MAX),
        ..at_10()
    };
    let refusal = KafkaError::ConsumerCommit(RDKafkaErrorCode::FencedLeaderEpoch);
    let log = Log::of([Found::Of(3, 10, "write")]).refusing(CommitFailure::Epoch(refusal));
    let ran = run.over(&log);
    let commits = ran.log.commits();
    assert_eq!(
        commits,
        [Committed {
            next: 11,
            epoch: None,
            is_last: true
        }]
    );
    assert!(ran.progress.is_epoch_refused());
}

#[test]
fn a_user_who_may_not_read_ends_the_service_and_other_errors_do_not() {
    let refused = || Found::Error(FetchError::Refused(kafka_error()));
    let mut found = writes([10]);
    found.push(refused());
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.end, WorkerEnd::Fatal(Exit::Credentials));
    // Messages in hand are given back.
    let mut found = writes(10..20);
    found.push(refused());
    let ran = with_batches_of_two().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Fatal(Exit::Credentials), Some(12)));
    assert_eq!(ran.shared.counters.messages_returned.get(), 8);
    let mut found = vec![Found::Error(FetchError::Passing(kafka_error()))];
    found.extend(writes([10]));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
}

#[test]
fn an_offset_of_a_former_topic_is_not_begun_at() {
    let log = Log::of(writes([10]))
        .from_origin(Err(NoOrigin::Former))
        .reaching((5, 90), None);
    let ran = at_10().over(&log);
    assert_eq!(ran.outcome(), (WorkerEnd::Again, None));
    assert_eq!(ran.progress.again(), Some(5));
    assert!(ran.keys().is_empty());
    let ran = at_10().over(&Log::of(writes([10])).from_origin(Err(NoOrigin::Refused("no".into()))));
    assert_eq!(ran.outcome(), (WorkerEnd::Fatal(Exit::Credentials), None));
}

#[test]
fn a_start_elsewhere_than_the_groups_offset_is_committed_before_any_message() {
    let mut run = at_10();
    run.start.begin = Some(10);
    let ran = run.over(&Log::of([]));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(10)));
}

#[test]
fn a_batch_that_was_taken_is_finished_though_the_stop_came() {
    let mut found = vec![Found::Stop(StopKind::Drain)];
    found.extend(writes([10, 11]));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(12)));
    assert_eq!(ran.keys(), [10, 11]);
    assert_eq!(ran.shared.counters.messages_returned.get(), 0);
}
