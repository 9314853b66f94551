//! Messages that were taken from the queue in one call, and what can happen in the middle of them. The made-up log
//! moves its position as librdkafka does, which is wrong after an error and after offsets that go back.

use std::time::Duration;

use super::*;
use crate::kafka::consumer::intake::AHEAD_MAX;
use crate::kafka::consumer::source::{QueuedMessage as _, Room, Source as _};
use crate::partition::made_up::MadeUpSource;
use crate::partition::shared::Sizes;
use crate::util::memory::MemoryPlan;

fn passing() -> Found {
    Found::Error(FetchError::Passing(kafka_error()))
}

/// The offsets of all commits, in their order.
fn commits(ran: &Ran) -> Vec<i64> {
    ran.log.commits().iter().map(|commit| commit.next).collect()
}

#[test]
fn wherever_a_log_goes_back_in_what_was_taken_it_is_read_again_from_there() {
    let most = i64::try_from(AHEAD_MAX).unwrap();
    // It goes back at the first, a middle and the last message of one call, and between two calls.
    for before in [1, 2, most - 2, most - 1, most, most + 1] {
        for after in [1, 2, most] {
            let mut found = writes(100..100 + before);
            found.extend(writes(3..3 + after));
            let ran = at_10().over(&Log::of(found));
            let calls: [Vec<i64>; 2] = [(100..100 + before).collect(), (3..3 + after).collect()];
            assert_eq!(ran.calls, calls, "{before} {after}");
            // The position is still behind the earlier messages. It is not committed for the later ones.
            assert_eq!(commits(&ran), [100 + before, 3 + after, 3 + after], "{before} {after}");
        }
    }
}

#[test]
fn a_log_that_goes_back_twice_in_what_was_taken_is_read_again_twice() {
    let ran = at_10().over(&Log::of(writes([10, 11, 11, 12, 12, 13])));
    assert_eq!(ran.calls, [vec![10, 11], vec![11, 12], vec![12, 13]]);
    assert_eq!(commits(&ran), [12, 13, 14, 14]);
}

#[test]
fn an_error_between_messages_ends_the_batch_and_the_messages_behind_it_follow() {
    for at in [1, 2, 3] {
        let mut found = writes([10, 11, 12, 13]);
        found.insert(at, passing());
        let ran = at_10().over(&Log::of(found));
        let keys = [10, 11, 12, 13];
        assert_eq!(ran.calls, [&keys[..at], &keys[at..]], "{at}");
        // Nothing that is behind the error is committed with what is before it.
        assert_eq!(commits(&ran)[0], 10 + i64::try_from(at).unwrap(), "{at}");
        assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(14)));
    }
}

#[test]
fn an_error_moves_no_commit_past_a_message_that_was_not_read() {
    // librdkafka's position is then behind 11.
    let ran = at_10().over(&Log::of([
        Found::Message(10, "write"),
        passing(),
        Found::Stop(StopKind::Drain),
        Found::Message(11, "write"),
    ]));
    assert_eq!(commits(&ran), [11, 12, 12]);
}

#[test]
fn where_reading_ends_between_messages_the_offset_behind_the_last_one_is_committed() {
    for error in [FetchError::Gone, FetchError::Unreadable(kafka_error())] {
        let mut found = writes([10, 11]);
        found.push(Found::Error(error));
        found.extend(writes([20, 21]));
        let ran = at_10().over(&Log::of(found).reaching((30, 90), None).stops_when_paused());
        assert_eq!(ran.log.committed(), Some(12), "{:?}", ran.end);
        assert_eq!(ran.keys(), [10, 11]);
    }
}

#[test]
fn where_reading_is_refused_between_messages_nothing_unfinished_is_committed() {
    let mut found = writes([10]);
    found.push(passing());
    found.extend(writes([11]));
    found.push(Found::Error(FetchError::Refused(kafka_error())));
    found.extend(writes([12]));
    let ran = at_10().over(&Log::of(found));
    assert_eq!(ran.outcome(), (WorkerEnd::Fatal(Exit::Credentials), Some(11)));
}

#[test]
fn what_was_taken_ahead_is_left_to_the_next_owner() {
    let log = Log::of([Found::Message(10, "write"), passing(), Found::Message(11, "write")]);
    let stop = log.stop();
    let run = Run {
        shared: Box::new(move |shared| shared.hooks = Arc::new(StopsAtOnce(stop))),
        ..at_10()
    };
    let ran = run.over(&log);
    assert_eq!(ran.keys(), [10]);
    assert_eq!(ran.outcome(), (WorkerEnd::Stopped, Some(11)));
    assert_eq!(ran.progress.taken(), 1);
}

/// Messages of a later leader than the group's offset. The first one is taken when the log is verified.
fn of_a_later_leader() -> Log {
    let origin = Origin {
        topic_id: TOPIC_ID,
        tag: tag(),
        letters: Vec::new(),
        epoch: Some(4),
    };
    let found = (10..13).map(|offset| Found::Of(6, offset, "write"));
    Log::of(found).from_origin(Ok(origin))
}

#[test]
fn a_seek_drops_what_was_taken_ahead_since_it_comes_again() {
    let ran = at_10().over(&of_a_later_leader());
    assert_eq!(ran.log.seeks(), [(10, Some(4))]);
    assert_eq!(ran.calls, [[10, 11, 12]]);
    assert_eq!(commits(&ran), [13, 13]);
}

#[test]
fn a_seek_that_fails_loses_nothing_of_what_was_taken_ahead() {
    let ran = at_10().over(&of_a_later_leader().refusing_seeks());
    assert_eq!(ran.calls, [[10, 11, 12]]);
    assert_eq!(commits(&ran), [13, 13]);
}

const ROOM: Room = Room {
    messages: 100,
    bytes: 1 << 20,
};

/// The offset of the next message; `None` for an error.
fn next(source: &MadeUpSource, room: Room) -> Option<i64> {
    let next = source.poll(Duration::ZERO, room).unwrap();
    next.ok().map(|message| message.offset())
}

#[test]
fn there_is_no_position_until_all_that_was_taken_is_handed_over() {
    let source = Log::that_goes_on(writes([10, 11, 12])).source(0);
    for offset in [10, 11] {
        assert_eq!(next(&source, ROOM), Some(offset));
        assert_eq!(source.position(), None);
    }
    assert_eq!(next(&source, ROOM), Some(12));
    assert_eq!(source.position(), Some((13, None)));
}

#[test]
fn a_pause_drops_what_was_taken_ahead_and_it_comes_again() {
    let log = Log::that_goes_on(writes([10, 11, 12]));
    let source = log.source(0);
    assert_eq!(next(&source, ROOM), Some(10));
    source.pause().unwrap();
    assert_eq!(log.seeks(), [(11, None)]);
    source.resume().unwrap();
    for offset in [11, 12] {
        assert_eq!(next(&source, ROOM), Some(offset));
    }
    assert!(source.poll(Duration::ZERO, ROOM).is_none(), "they come once");
    // Nothing is ahead: librdkafka itself resumes at the right message.
    source.pause().unwrap();
    assert_eq!(log.seeks().len(), 1);
}

#[test]
fn after_an_error_a_pause_skips_nothing() {
    let log = Log::that_goes_on([Found::Message(10, "write"), passing(), Found::Stop(StopKind::Drain)]);
    log.append(writes([11, 12]));
    let source = log.source(0);
    assert_eq!((next(&source, ROOM), next(&source, ROOM)), (Some(10), None));
    assert_eq!(source.position(), None, "it is that of the error");
    source.pause().unwrap();
    source.resume().unwrap();
    assert_eq!(next(&source, ROOM), Some(11));
    assert_eq!((next(&source, ROOM), source.position()), (Some(12), Some((13, None))));
}

#[test]
fn the_position_counts_again_when_a_message_was_taken_alone() {
    for wrong in [passing(), Found::Message(10, "write")] {
        let log = Log::that_goes_on([Found::Message(10, "write"), wrong, Found::Stop(StopKind::Drain)]);
        log.append(writes([11]));
        let source = log.source(0);
        next(&source, ROOM);
        next(&source, ROOM);
        assert_eq!(source.position(), None);
        assert_eq!(next(&source, ROOM), Some(11));
        assert_eq!(source.position(), Some((12, None)));
    }
}

#[test]
fn a_pause_that_fails_loses_nothing_of_what_was_taken_ahead() {
    let log = Log::that_goes_on(writes([10, 11])).refusing_seeks();
    let source = log.source(0);
    assert_eq!(next(&source, ROOM), Some(10));
    source.pause().unwrap_err();
    assert_eq!(next(&source, ROOM), Some(11));
}

#[test]
fn no_more_is_taken_at_once_than_the_worker_has_room_for() {
    let log = Log::that_goes_on(writes(10..1000));
    let source = log.source(0);
    let room = |messages, bytes| Room { messages, bytes };
    // A message has 5 bytes. Each refill asks for what is behind its first message.
    for (room, taken) in [
        (room(1, 1 << 20), 1),
        (room(3, 1 << 20), 3),
        (room(100, 1 << 20), AHEAD_MAX),
        (room(100, 1), 1),
        (room(100, 9), 1),
        (room(100, 20), 4),
    ] {
        for _ in 0..taken {
            next(&source, room);
        }
        assert!(source.position().is_some(), "nothing is ahead: {room:?}");
    }
    assert_eq!(log.asked(), [2, AHEAD_MAX - 1, 3]);
}

#[test]
fn large_messages_are_taken_alone_until_there_are_none() {
    const LARGE: &str = "write with a payload that has exactly so many bytes";
    let room = Room {
        messages: 100,
        bytes: LARGE.len() * 2,
    };
    let mut found = writes([10]);
    found.push(Found::Message(11, LARGE));
    // A call ends here.
    found.push(Found::Stop(StopKind::Drain));
    found.extend(writes([12]));
    found.extend((13..20).map(|offset| Found::Message(offset, LARGE)));
    found.extend(writes(20..200));
    let log = Log::that_goes_on(found);
    let source = log.source(0);
    for offset in 10..200 {
        assert_eq!(next(&source, room), Some(offset));
    }
    let asked = log.asked();
    // The first call expects small messages. The second one begins with a small message, but there was a large one.
    assert_eq!(asked[..5], [19, 2, 1, 1, 1]);
    assert!(asked[5] < 4 && asked.last() > Some(&10), "{asked:?}");
}

#[test]
fn a_worker_takes_no_more_at_once_than_its_batch_may_have() {
    // It has up to five batches of rows in hand: 40 messages. After each batch it takes as many as were in it.
    let run = Run {
        shared: Box::new(|shared| shared.sizes.batch_rows_max = 8),
        ..at_10()
    };
    let log = Log::of(writes(10..100));
    assert_eq!(run.over(&log).outcome(), (WorkerEnd::Stopped, Some(100)));
    assert_eq!(log.asked()[..4], [31, 7, 7, 7]);
    // Or as many bytes as a batch has: 36 messages. Two of them make a batch, because rows weigh more.
    let run = Run {
        shared: Box::new(|shared| {
            let memory = MemoryPlan {
                batch_bytes: 180,
                ..shared.sizes.memory
            };
            shared.sizes = Sizes::new(100, memory);
        }),
        ..at_10()
    };
    let log = Log::of(writes(10..100));
    assert_eq!(run.over(&log).outcome(), (WorkerEnd::Stopped, Some(100)));
    assert_eq!(log.asked()[..4], [31, 3, 1, 1]);
}
