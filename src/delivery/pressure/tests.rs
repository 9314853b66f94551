//! Tests of the gate with made-up calls. Where time matters, the test passes it in.

use std::sync::mpsc;
use std::thread;

use crate::delivery::pressure::*;
use crate::util::stop::StopKind;

const LAST: Duration = Duration::from_secs(2);
const TAKEN: fn(usize) -> Outcome = |rows| Outcome {
    answered: rows,
    overloaded: 0,
    unanswered: 0,
};
const LOST: fn(usize) -> Outcome = |rows| Outcome {
    answered: 0,
    overloaded: 0,
    unanswered: rows,
};

fn pressure(rows_max: usize) -> Pressure {
    Pressure::new(rows_max, None, Arc::new(Counters::new()))
}

fn enter(pressure: &Pressure, rows: usize) -> Permit<'_> {
    pressure
        .enter(rows, &Stop::new(), LAST, &|| {})
        .expect("nobody stops it")
}

/// A turn at this moment, if one is free.
fn take(pressure: &Pressure, rows: usize, now: Instant) -> Option<usize> {
    pressure.take(&mut pressure.state.lock(), rows, now)
}

fn waiting(pressure: &Pressure, calls: usize) {
    while pressure.view().waiting < calls {
        thread::yield_now();
    }
}

#[test]
fn rows_in_flight_never_pass_the_limit() {
    let pressure = pressure(100);
    let first = enter(&pressure, 60);
    assert_eq!(first.rows(), 60);
    let now = Instant::now();
    assert_eq!(take(&pressure, 41, now), None, "60 + 41 rows are more than 100");
    assert_eq!(take(&pressure, 40, now), Some(40));
    assert_eq!(take(&pressure, 1, now), None);
    first.done(TAKEN(60));
    assert_eq!(take(&pressure, 60, now), Some(60));
}

#[test]
fn a_call_that_is_larger_than_the_limit_gets_the_limit() {
    let pressure = pressure(50);
    let permit = enter(&pressure, 200);
    assert_eq!(permit.rows(), 50);
}

#[test]
fn turns_are_taken_in_the_order_in_which_they_were_asked_for() {
    let pressure = pressure(10);
    let all = enter(&pressure, 10);
    let (sender, order) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..5 {
            let (pressure, sender) = (&pressure, sender.clone());
            scope.spawn(move || {
                let permit = enter(pressure, 10);
                sender.send(number).unwrap();
                permit.done(TAKEN(10));
            });
            waiting(pressure, number + 1);
        }
        all.done(TAKEN(10));
    });
    assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn one_call_without_an_answer_closes_it_where_no_other_is_under_way() {
    let pressure = pressure(100);
    enter(&pressure, 10).done(LOST(10));
    assert_eq!(pressure.view().gate, Gate::Closed);
    assert_eq!(pressure.view().limit_rows, 0);
}

#[test]
fn calls_without_an_answer_close_it_though_others_are_under_way() {
    let pressure = pressure(1000);
    let under_way: Vec<Permit<'_>> = (0..5).map(|_| enter(&pressure, 10)).collect();
    for (number, permit) in under_way.into_iter().enumerate().take(3) {
        assert!(!pressure.is_closed(), "after {number}");
        permit.done(LOST(10));
    }
    assert!(pressure.is_closed());
}

#[test]
fn while_another_is_answered_one_call_without_an_answer_closes_nothing() {
    let pressure = pressure(1000);
    for _ in 0..10 {
        let lost = enter(&pressure, 5);
        enter(&pressure, 5).done(TAKEN(5));
        lost.done(LOST(5));
        assert!(!pressure.is_closed());
    }
    assert_eq!(pressure.view().gate, Gate::Limited, "it is a time-out");
}

#[test]
fn a_closed_database_is_tried_by_one_with_few_rows_and_growing_pauses() {
    let pressure = pressure(1000);
    enter(&pressure, 200).done(LOST(200));
    let mut longest = Duration::ZERO;
    for failures in 1..12u32 {
        let probe_at = pressure.state.lock().closed.as_ref().unwrap().probe_at;
        assert_eq!(
            take(&pressure, 200, probe_at - Duration::from_millis(1)),
            None,
            "before its time"
        );
        assert_eq!(take(&pressure, 200, probe_at), Some(PROBE_ROWS));
        assert_eq!(take(&pressure, 200, probe_at + LAST), None, "one at a time");
        let began = probe_at;
        let ended = probe_at + Duration::from_secs(1);
        let mut state = pressure.state.lock();
        state.in_flight -= PROBE_ROWS;
        pressure.missed(&mut state, began, ended);
        let closed = state.closed.as_ref().unwrap();
        assert_eq!(closed.failures, failures);
        let pause = closed.probe_at - ended;
        assert!(pause <= PROBE.longest, "{pause:?}");
        longest = longest.max(pause);
    }
    assert!(longest >= PROBE.longest / 2, "the pauses grow: {longest:?}");
}

#[test]
fn what_was_under_way_when_it_closed_says_nothing_new() {
    let pressure = pressure(1000);
    let late: Vec<Permit<'_>> = (0..4).map(|_| enter(&pressure, 10)).collect();
    for permit in late {
        permit.done(LOST(10));
    }
    assert_eq!(pressure.state.lock().closed.as_ref().unwrap().failures, 0);
}

#[test]
fn the_first_answer_opens_it_gently_and_it_is_whole_again_within_few_calls() {
    let pressure = pressure(4000);
    let late = enter(&pressure, 200);
    for _ in 0..3 {
        enter(&pressure, 200).done(LOST(200));
    }
    assert!(pressure.is_closed());
    // An answer to any call opens the gate, not only an answer to the probe.
    late.done(TAKEN(200));
    assert_eq!(pressure.view().limit_rows, PROBE_ROWS);
    let mut rows_sent = 0;
    while pressure.view().gate != Gate::Open {
        let permit = enter(&pressure, 200);
        let rows = permit.rows();
        assert!(rows <= pressure.view().limit_rows);
        rows_sent += rows;
        permit.done(TAKEN(rows));
        assert!(rows_sent < 200_000, "a second's rows: {:?}", pressure.view());
    }
}

#[test]
fn overload_cuts_by_its_share_and_once_for_what_was_under_way_together() {
    let pressure = pressure(1000);
    let together: Vec<Permit<'_>> = (0..5).map(|_| enter(&pressure, 100)).collect();
    for permit in together {
        permit.done(Outcome {
            answered: 100,
            overloaded: 100,
            unanswered: 0,
        });
    }
    assert_eq!(pressure.view().limit_rows, 500);
    enter(&pressure, 100).done(Outcome {
        answered: 100,
        overloaded: 20,
        unanswered: 0,
    });
    let limit = pressure.view().limit_rows;
    assert!(
        (450..=454).contains(&limit),
        "a fifth of the rows cuts a tenth: {limit}"
    );
    for _ in 0..100 {
        enter(&pressure, 100).done(Outcome {
            answered: 100,
            overloaded: 100,
            unanswered: 0,
        });
    }
    assert_eq!(pressure.view().limit_rows, ROWS_MIN as usize, "and never to nothing");
    assert_eq!(pressure.view().gate, Gate::Limited, "it answers");
}

#[test]
fn a_stop_ends_the_wait_at_a_closed_gate_at_once() {
    let pressure = pressure(1000);
    let probe = {
        enter(&pressure, 10).done(LOST(10));
        let probe_at = pressure.state.lock().closed.as_ref().unwrap().probe_at;
        take(&pressure, 10, probe_at)
    };
    assert!(probe.is_some());
    let stop = Stop::new();
    thread::scope(|scope| {
        // Nobody will give it a turn: the probe never returns.
        let waits = scope.spawn(|| pressure.enter(10, &stop, Duration::from_secs(3600), &|| {}).is_none());
        waiting(&pressure, 1);
        stop.request(StopKind::Drain);
        assert!(waits.join().unwrap());
    });
    assert!(pressure.enter(10, &stop, LAST, &|| {}).is_none(), "and none begins");
    assert_eq!(pressure.view().waiting, 0);
}

#[test]
fn who_was_told_to_stop_leaves_when_it_closes() {
    let pressure = pressure(10);
    let all = enter(&pressure, 10);
    let stop = Stop::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| pressure.enter(10, &stop, Duration::from_secs(3600), &|| {}).is_none());
        waiting(&pressure, 1);
        stop.request(StopKind::Drain);
        all.done(LOST(10));
        assert!(waits.join().unwrap());
    });
}

#[test]
fn a_healthy_database_finishes_for_those_who_were_told_to_stop() {
    let pressure = pressure(10);
    let all = enter(&pressure, 10);
    let stop = Stop::new();
    stop.request(StopKind::Drain);
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let permit = pressure
                .enter(10, &stop, Duration::from_secs(3600), &|| {})
                .expect("its turn comes");
            permit.done(TAKEN(10));
        });
        waiting(&pressure, 1);
        all.done(TAKEN(10));
        waits.join().unwrap();
    });
    assert!(
        pressure
            .enter(10, &Stop::requested_before(LAST), LAST, &|| {})
            .is_some(),
        "there is room"
    );
    let all = enter(&pressure, 10);
    assert!(
        pressure
            .enter(10, &Stop::requested_before(LAST), LAST, &|| {})
            .is_none(),
        "there is none, and it waits no longer"
    );
    all.done(TAKEN(10));
}

#[test]
fn a_call_that_never_says_what_came_of_it_gives_its_turn_back() {
    let pressure = pressure(10);
    drop(enter(&pressure, 10));
    assert_eq!(pressure.view().in_flight_rows, 0);
    enter(&pressure, 10).done(LOST(10));
    drop(enter(&pressure, 10));
    assert_eq!(enter(&pressure, 10).rows(), 10, "the next one tries");
}

#[test]
fn rows_a_second_are_kept() {
    let pressure = Pressure::new(4000, Some(1000), Arc::new(Counters::new()));
    let began = pressure.state.lock().allowance_at;
    let mut rows = 0;
    for ms in 0..10_000 {
        let now = began + Duration::from_millis(ms);
        if let Some(granted) = take(&pressure, 200, now) {
            rows += granted;
            pressure.state.lock().in_flight -= granted;
        }
    }
    assert!((9_800..=10_300).contains(&rows), "{rows} rows in 10 seconds");
}

#[test]
fn who_waits_for_its_rows_a_second_is_woken_by_the_clock() {
    let pressure = Pressure::new(4000, Some(1000), Arc::new(Counters::new()));
    let began = Instant::now();
    for _ in 0..3 {
        let permit = enter(&pressure, 100);
        permit.done(TAKEN(100));
    }
    // Two calls of 100 rows come before the third: a fifth of a second, less what a burst allows.
    assert!(began.elapsed() >= Duration::from_millis(90), "{:?}", began.elapsed());
}

#[test]
fn many_workers_share_a_small_limit_and_all_get_through() {
    let pressure = pressure(50);
    let most = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for round in 0..200 {
                    let permit = enter(&pressure, 20);
                    most.fetch_max(pressure.view().in_flight_rows, SeqCst);
                    let outcome = match round % 50 {
                        49 => LOST(20),
                        _ => TAKEN(20),
                    };
                    permit.done(outcome);
                }
            });
        }
    });
    assert!(most.load(SeqCst) <= 50, "{most:?}");
    let view = pressure.view();
    assert_eq!((view.in_flight_rows, view.waiting), (0, 0));
}

#[test]
fn who_only_looks_gets_a_turn_where_nobody_else_has_or_wants_one() {
    let pressure = pressure(100);
    let under_way = enter(&pressure, 10);
    assert!(pressure.try_enter(10).is_none(), "whoever has rows under way finds out");
    under_way.done(LOST(10));
    assert!(pressure.is_closed());
    let permit = loop {
        match pressure.try_enter(100) {
            Some(permit) => break permit,
            None => thread::yield_now(),
        }
    };
    assert_eq!(permit.rows(), PROBE_ROWS);
    assert!(pressure.try_enter(10).is_none(), "one at a time");
    permit.done(TAKEN(PROBE_ROWS));
    assert!(!pressure.is_closed());
    let again = pressure.try_enter(100).unwrap();
    assert_eq!(again.rows(), PROBE_ROWS, "from few rows on");
}

#[test]
fn how_often_it_was_limited_is_counted_for_the_next_line() {
    let pressure = pressure(1000);
    let begin = Instant::now();
    let mut state = pressure.state.lock();
    state.cause = Cause::TimeOut;
    // Whether it is logged, and how often it was limited since the last line.
    let mut at = |seconds, limit| {
        state.limit = limit;
        pressure.settle(&mut state, begin + Duration::from_secs(seconds));
        (state.told_limited, state.limited_times)
    };
    assert_eq!(at(0, 10.0), (true, 0));
    for (times, seconds) in [(1, 2), (2, 4)] {
        assert_eq!(at(seconds - 1, 1000.0), (false, times - 1));
        assert_eq!(at(seconds, 10.0), (false, times), "too soon for a line");
        assert_eq!(at(seconds, 20.0), (false, times), "it is the same time");
    }
    assert_eq!(at(5, 1000.0), (false, 2));
    assert_eq!(at(12, 10.0), (true, 0), "this line has all three");
}
