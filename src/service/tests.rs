//! Starts workers, stops them at a revocation and restarts them. The logs are fakes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use rdkafka::error::KafkaResult;

use crate::config::model::RejectAction;
use crate::kafka::Partition;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::group::Assignment;
use crate::kafka::consumer::origin::StartOffset;
use crate::kafka::consumer::source::FetchError;
use crate::observe::seen::Seen;
use crate::observe::snapshot::Board;
use crate::partition::hooks::Hooks;
use crate::partition::made_up::{Database, Found, Log, MadeUpSource, kafka_error, partition, shared, until};
use crate::partition::shared::Shared;
use crate::service::assignment::{Event, Workers};
use crate::service::restarts::Restarts;
use crate::util::exit::Exit;
use crate::util::stop::StopKind;

/// A fake of the group's consumer, with a log for each partition. It remembers the calls.
#[derive(Default)]
struct Group {
    logs: Mutex<HashMap<Partition, Log>>,
    is_whole: bool,
    refuses: bool,
    asked: Mutex<Vec<String>>,
}

impl Group {
    fn of(logs: &[(i32, &Log)]) -> Group {
        let logs = logs.iter().map(|(number, log)| (partition(*number), (*log).clone()));
        Group {
            logs: Mutex::new(logs.collect()),
            ..Group::default()
        }
    }

    /// The calls since this was last asked.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    fn note(&self, what: &str, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()> {
        let mut names: Vec<String> = partitions
            .iter()
            .map(|(partition, from)| format!("{}@{from}", partition.number))
            .collect();
        names.sort();
        self.asked.lock().push(format!("{what} {}", names.join(" ")));
        if self.refuses { Err(kafka_error()) } else { Ok(()) }
    }
}

impl Assignment for Group {
    type Source = MadeUpSource;

    fn source(&self, partition: &Partition) -> Option<MadeUpSource> {
        self.asked.lock().push(format!("source {}", partition.number));
        Some(self.logs.lock().get(partition)?.source(partition.number))
    }

    fn topic_id(&self, _topic: &str) -> Option<TopicId> {
        None
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn unassign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()> {
        self.note("unassign", partitions)
    }

    fn assign(&self, partitions: &[(Partition, StartOffset)]) -> KafkaResult<()> {
        self.note("assign", partitions)
    }
}

/// Workers with a fake database that reports each key that it gets.
struct Process {
    workers: Workers,
    board: Arc<Board>,
    events: Receiver<Event>,
    written: Receiver<i64>,
}

fn process() -> Process {
    process_with(|_| {})
}

fn process_with(change: impl FnOnce(&mut Shared)) -> Process {
    let (sender, written) = unbounded();
    let mut shared = shared(&Database::new(&[], sender), RejectAction::Hold);
    // A worker commits when it ends, and not before.
    shared.times.commit_interval = Duration::from_secs(3600);
    change(&mut shared);
    let (sender, events) = unbounded();
    let board = Seen::from(&Arc::default()).board;
    board.watch();
    Process {
        workers: Workers::new(Arc::new(shared), sender, board.clone(), Duration::from_secs(60)),
        board,
        events,
        written,
    }
}

impl Process {
    /// Starts these partitions, each at offset 10, which the group has committed.
    fn begin(&self, group: &Group, numbers: &[i32]) {
        let partitions: Vec<Partition> = numbers.iter().map(|number| partition(*number)).collect();
        let committed = |partition: &Partition| {
            let committed = Committed {
                offset: 10,
                tag: String::new(),
                epoch: None,
            };
            (partition.clone(), committed)
        };
        let committed = partitions.iter().map(committed).collect();
        self.workers.begin(group, &partitions, &committed);
        group.asked();
    }

    /// Waits until `count` rows are written. Returns their keys, sorted.
    fn written(&self, count: usize) -> Vec<i64> {
        let mut keys: Vec<i64> = (0..count).map(|_| self.written.recv().unwrap()).collect();
        keys.sort_unstable();
        keys
    }

    fn leave(self) {
        assert_eq!(self.workers.stop_all(StopKind::Drain, an_hour_later()), (true, 0));
    }
}

fn an_hour_later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn writes(offsets: impl IntoIterator<Item = i64>) -> Vec<Found> {
    offsets
        .into_iter()
        .map(|offset| Found::Message(offset, "write"))
        .collect()
}

fn gone() -> [Found; 1] {
    [Found::Error(FetchError::Gone)]
}

/// Waits until the worker of this partition has ended.
fn ended(process: &Process) -> Vec<(Partition, i64)> {
    until(|| Some(process.workers.to_begin_again()).filter(|ended| !ended.is_empty()))
}

#[test]
fn what_a_worker_has_written_is_committed_when_its_partition_is_given_back() {
    let logs = [Log::that_goes_on(writes([10, 11])), Log::that_goes_on(writes([20]))];
    let process = process();
    process.begin(&Group::of(&[(0, &logs[0]), (1, &logs[1])]), &[0, 1]);
    assert_eq!(process.written(3), [10, 11, 20]);
    assert_eq!(process.workers.count(), 2);
    process.workers.revoke(&[partition(1)], StopKind::Drain);
    assert_eq!((logs[0].committed(), logs[1].committed()), (None, Some(21)));
    assert!(process.workers.has(&partition(0)) && !process.workers.has(&partition(1)));
    // The other worker goes on.
    logs[0].append(writes([12]));
    assert_eq!(process.written(1), [12]);
    process.leave();
    assert_eq!(logs[0].committed(), Some(13));
}

#[test]
fn a_partition_that_another_member_has_already_is_left_without_a_commit() {
    let log = Log::that_goes_on(writes([10]));
    let process = process();
    process.begin(&Group::of(&[(0, &log)]), &[0]);
    process.written(1);
    process.workers.revoke(&[partition(0)], StopKind::Abandon);
    assert_eq!(log.committed(), None);
}

#[test]
fn a_held_partition_is_told_of_and_counted_at_the_end() {
    let log = Log::that_goes_on([Found::Message(10, "write"), Found::Message(11, "reject")]);
    let process = process();
    process.begin(&Group::of(&[(3, &log)]), &[3]);
    let (at, held) = until(|| process.workers.held().pop());
    assert_eq!(at, partition(3));
    assert!(held.why.contains("offset=11"), "{}", held.why);
    assert_eq!(process.workers.stop_all(StopKind::Drain, an_hour_later()), (true, 1));
    assert_eq!(log.committed(), Some(11));
}

#[test]
fn a_partition_whose_queue_cannot_be_split_ends_the_service() {
    let process = process();
    process.begin(&Group::default(), &[0]);
    assert!(matches!(process.events.try_recv(), Ok(Event::Fatal(Exit::Restart))));
    assert_eq!(process.workers.count(), 0);
}

#[test]
fn a_worker_that_panics_ends_the_service_and_commits_nothing_of_its_batch() {
    struct Panics;
    impl Hooks for Panics {
        fn batch_in_hand(&self, partition: &Partition) {
            assert!(partition.number != 1, "made to");
        }
    }
    let logs = [Log::that_goes_on(writes([10])), Log::that_goes_on(writes([20]))];
    let process = process_with(|shared| shared.hooks = Arc::new(Panics));
    process.begin(&Group::of(&[(0, &logs[0]), (1, &logs[1])]), &[0, 1]);
    assert!(matches!(process.events.recv(), Ok(Event::Fatal(Exit::Panic))));
    assert_eq!(process.written(1), [10]);
    process.leave();
    assert_eq!((logs[0].committed(), logs[1].committed()), (Some(11), None));
}

#[test]
fn a_partition_begins_again_where_its_worker_asks_and_the_others_go_on() {
    let log = Log::that_goes_on(writes([10])).reaching((30, 90), None);
    let other = Log::that_goes_on([]);
    let (process, group) = (process(), Group::of(&[(0, &log), (1, &other)]));
    process.begin(&group, &[0, 1]);
    process.written(1);
    log.append(gone());
    assert_eq!(ended(&process), [(partition(0), 30)]);
    log.append(writes([30]));
    let mut restarts = Restarts::default();
    assert_eq!(restarts.serve(Instant::now(), &group, &process.workers), Exit::Stopped);
    // The partition's queue is split off before the assignment. Otherwise its first messages would go to the main
    // queue.
    assert_eq!(group.asked(), ["unassign 0@30", "source 0", "assign 0@30"]);
    assert_eq!(process.written(1), [30]);
    process.leave();
    assert_eq!(log.committed(), Some(31));
}

#[test]
fn a_partition_that_asks_again_and_again_begins_once_a_second() {
    let log = Log::that_goes_on(gone()).reaching((30, 90), None);
    let (process, group) = (process(), Group::of(&[(0, &log)]));
    process.begin(&group, &[0]);
    let (mut restarts, now) = (Restarts::default(), Instant::now());
    ended(&process);
    // The worker asks for a later offset each time, because the offset at which it starts is gone, too.
    let log = log.reaching((60, 90), None);
    log.append(gone());
    restarts.serve(now, &group, &process.workers);
    assert_eq!(group.asked().len(), 3);
    ended(&process);
    let soon = now + Duration::from_millis(999);
    restarts.serve(soon, &group, &process.workers);
    assert!(group.asked().is_empty());
    restarts.serve(now + Duration::from_secs(1), &group, &process.workers);
    assert_eq!(group.asked().len(), 3);
    process.leave();
}

#[test]
fn where_a_rebalance_takes_all_partitions_the_others_are_begun_again_where_they_were() {
    let (log, other) = (Log::that_goes_on(writes([10])), Log::that_goes_on(writes([20, 21])));
    let group = Group {
        is_whole: true,
        ..Group::of(&[(0, &log), (1, &other)])
    };
    let process = process();
    process.begin(&group, &[0, 1]);
    process.written(3);
    let from = process.workers.restart(&group, &partition(0), Some(50), i64::MAX);
    assert_eq!(from, Ok(Some(StartOffset::Offset(50))));
    let asked = group.asked();
    assert_eq!(asked.last().unwrap(), "assign 0@50 1@22");
    assert!(!asked.iter().any(|asked| asked.starts_with("unassign")), "{asked:?}");
    // The worker that restarts elsewhere commits nothing. The other one is stopped as at a revocation.
    assert_eq!((log.committed(), other.committed()), (None, Some(22)));
    process.leave();
    assert_eq!(log.committed(), Some(50));
}

#[test]
fn a_message_that_went_past_its_worker_is_read_again() {
    let log = Log::that_goes_on(writes([10, 11]));
    let (process, group) = (process(), Group::of(&[(0, &log)]));
    process.begin(&group, &[0]);
    process.written(2);
    let mut restarts = Restarts::default();
    // The stray is message 11, which the worker has finished. A stray 12 would do as well.
    let exit = restarts.stray(Instant::now(), &group, &process.workers, &partition(0), 11);
    assert_eq!(exit, Exit::Stopped);
    assert_eq!(group.asked(), ["unassign 0@11", "source 0", "assign 0@11"]);
    // A partition that is no longer ours is not restarted: another member reads it.
    let exit = restarts.stray(Instant::now(), &group, &process.workers, &partition(7), 11);
    assert_eq!(exit, Exit::Stopped);
    assert!(group.asked().is_empty());
    process.leave();
}

#[test]
fn more_than_five_strays_within_a_minute_end_the_process() {
    let log = Log::that_goes_on([]);
    let (process, group) = (process(), Group::of(&[(0, &log)]));
    process.begin(&group, &[0]);
    let (mut restarts, now) = (Restarts::default(), Instant::now());
    let mut stray = |after| {
        let now = now + Duration::from_secs(after);
        restarts.stray(now, &group, &process.workers, &partition(0), 10)
    };
    for after in 0..5 {
        assert_eq!(stray(after), Exit::Stopped, "{after}");
    }
    // One minute after the first stray the count starts again.
    for after in 61..66 {
        assert_eq!(stray(after), Exit::Stopped, "{after}");
    }
    assert_eq!(stray(66), Exit::Restart);
    process.leave();
}

#[test]
fn a_partition_that_cannot_be_begun_again_ends_the_process() {
    let log = Log::that_goes_on(gone()).reaching((30, 90), None);
    let group = Group {
        refuses: true,
        ..Group::of(&[(0, &log)])
    };
    let process = process();
    process.begin(&group, &[0]);
    ended(&process);
    let exit = Restarts::default().serve(Instant::now(), &group, &process.workers);
    assert_eq!(exit, Exit::Restart);
    // Nobody reads the partition. If the process went on, `unread.rs` would find it.
    assert_eq!(process.workers.count(), 0);
    process.leave();
}

#[test]
fn a_worker_that_ends_by_itself_is_found_and_one_that_was_told_to_is_not() {
    let log = Log::that_goes_on([]).reaching((30, 90), None);
    let (process, group) = (process(), Group::of(&[(0, &log)]));
    process.begin(&group, &[0]);
    assert_eq!(process.workers.ended_unasked(), None);
    log.append(gone());
    ended(&process);
    assert_eq!(process.workers.ended_unasked(), Some(partition(0)));
    process.leave();
}

/// A worker that keeps its batch in hand until it is let go.
struct Slow {
    has_it: Sender<()>,
    let_go: Receiver<()>,
}

impl Hooks for Slow {
    fn batch_in_hand(&self, _partition: &Partition) {
        let _ = self.has_it.send(());
        let _ = self.let_go.recv();
    }
}

#[test]
fn the_board_says_that_the_main_thread_waits_for_workers() {
    let log = Log::that_goes_on(writes([10]));
    let ((has_it, taken), (go, let_go)) = (unbounded(), unbounded());
    let process = process_with(|shared| shared.hooks = Arc::new(Slow { has_it, let_go }));
    process.begin(&Group::of(&[(0, &log)]), &[0]);
    taken.recv().unwrap();
    let before = process.board.last();
    std::thread::scope(|scope| {
        let process = &process;
        scope.spawn(move || {
            let why = "Partitions change hands: 1 partition finishes what is in hand; nothing is lost.";
            until(|| Some(process.board.last()).filter(|last| last.why == why && last.at > before.at));
            drop(go);
        });
        process.workers.revoke(&[partition(0)], StopKind::Drain);
    });
    process.leave();
}
