//! Tests of the stage with a made-up publisher: what is sent again, in which order, and what counts as done.

use std::borrow::Cow;
use std::time::Duration;

use crate::delivery::publish::*;
use publish_all::{Published, publish};

#[path = "../../../tests/support/publishing/publish_all.rs"]
mod publish_all;

const TOPIC: &str = "t";

/// What becomes of a message that is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Store,
    Fail(i32),
    /// It stays in the queue until the queue is purged.
    Lie,
    NoRoom,
    Busy,
    Refuse,
    /// It is larger than the publisher may send.
    TooLarge,
}

/// Decides by the number of the attempt, the payload, and whether the message was sent alone.
struct MadeUp<F> {
    fate: F,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    attempts: usize,
    stored: Vec<String>,
    alone: Vec<String>,
    lying: Vec<(Place, Arc<Reports>)>,
    purges: usize,
}

impl<F: Fn(usize, &str, bool) -> Fate + Send + Sync> MadeUp<F> {
    fn new(fate: F) -> Self {
        MadeUp {
            fate,
            state: Mutex::default(),
        }
    }

    fn publish(&self, payloads: &[&str], stop: &Stop) -> Published {
        let publications: Vec<Publication<'_>> = payloads
            .iter()
            .enumerate()
            .map(|(message, payload)| publication(message, TOPIC, payload))
            .collect();
        self.publish_all(&publications, stop)
    }

    fn publish_all(&self, publications: &[Publication<'_>], stop: &Stop) -> Published {
        let calls = PublishCalls {
            publisher: self,
            stop,
            finish_max: Duration::from_millis(500),
            ends_since: None,
            meanwhile: &|| {},
        };
        publish(publications, &calls)
    }

    fn store_what_lies(&self) {
        for (place, reports) in std::mem::take(&mut self.state.lock().lying) {
            reports.report(place, Ok(()));
        }
    }

    fn stored(&self) -> Vec<String> {
        self.state.lock().stored.clone()
    }
}

impl<F: Fn(usize, &str, bool) -> Fate + Send + Sync> Publisher for MadeUp<F> {
    fn send(
        &self,
        _topic: &str,
        message: &OutgoingMessage,
        place: Place,
        reports: &Arc<Reports>,
        alone: bool,
    ) -> Result<(), Unsent> {
        let payload = String::from_utf8_lossy(message.payload().unwrap()).into_owned();
        let mut state = self.state.lock();
        let attempt = state.attempts;
        state.attempts += 1;
        let failure = |code| SendFailure {
            code,
            why: "made up".into(),
        };
        match (self.fate)(attempt, &payload, alone) {
            Fate::Store => {
                state.stored.push(payload.clone());
                if alone {
                    state.alone.push(payload);
                }
                drop(state);
                reports.report(place, Ok(()));
            }
            Fate::Fail(code) => {
                drop(state);
                reports.report(place, Err(failure(code)));
            }
            Fate::Lie => state.lying.push((place, reports.clone())),
            Fate::NoRoom => {
                drop(state);
                reports.room();
                return Err(Unsent::NoRoom);
            }
            Fate::Busy => return Err(Unsent::Busy),
            Fate::Refuse => return Err(Unsent::Failed(failure(-188))),
            Fate::TooLarge => {
                return Err(Unsent::TooLarge {
                    limit_bytes: 1,
                    limit: "the test",
                });
            }
        }
        Ok(())
    }

    fn withdraw(&self, _reports: &Arc<Reports>) {}

    fn purge(&self) {
        let mut state = self.state.lock();
        state.purges += 1;
        for (place, reports) in std::mem::take(&mut state.lying) {
            let purged = SendFailure {
                code: -152,
                why: "purged".into(),
            };
            reports.report(place, Err(purged));
        }
    }
}

fn publication<'m>(message: usize, topic: &'m str, payload: &'m str) -> Publication<'m> {
    Publication {
        message,
        topic,
        key: Some(Cow::Borrowed(b"key")),
        payload: Some(Cow::Borrowed(payload.as_bytes())),
        headers: Vec::new(),
        timestamp_ms: None,
    }
}

#[test]
fn nothing_to_publish_is_done_at_once() {
    let published = MadeUp::new(|_, _, _| Fate::Store).publish(&[], &Stop::new());
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 0));
}

#[test]
fn what_comes_behind_a_failure_is_sent_again_behind_it() {
    // The second message fails once. The third is stored before that is known.
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 1 { Fate::Fail(-192) } else { Fate::Store });
    let published = publisher.publish(&["a", "b", "c"], &Stop::new());
    assert_eq!(
        (published.end, published.done, published.resent),
        (PublishEnd::Finished, 3, 2)
    );
    assert_eq!(publisher.stored(), ["a", "c", "b", "c"]);
}

#[test]
fn another_topic_is_not_sent_again() {
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 0 { Fate::Fail(3) } else { Fate::Store });
    let publications = [publication(0, TOPIC, "a"), publication(0, "other", "b")];
    let published = publisher.publish_all(&publications, &Stop::new());
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 2));
    assert_eq!(publisher.stored(), ["b", "a"]);
}

/// Every such code is retried until the message is stored.
#[test]
fn what_may_pass_is_tried_until_it_does() {
    for code in [-152, -151, -153, -138, -192, -190, 3, 7, 19, 13, 47, 500] {
        let publisher = MadeUp::new(move |attempt, _, _| if attempt < 3 { Fate::Fail(code) } else { Fate::Store });
        let published = publisher.publish(&["a"], &Stop::new());
        assert_eq!(published.end, PublishEnd::Finished, "code {code}");
    }
}

#[test]
fn a_refusal_before_it_is_sent_is_a_failure_like_others() {
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 1 { Fate::Refuse } else { Fate::Store });
    let published = publisher.publish(&["a", "b", "c"], &Stop::new());
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 3));
    assert_eq!(publisher.stored(), ["a", "b", "c"]);
}

#[test]
fn a_full_queue_and_a_busy_topic_are_waited_for() {
    let publisher = MadeUp::new(|attempt, _, _| match attempt {
        1 | 2 => Fate::NoRoom,
        3 | 4 => Fate::Busy,
        _ => Fate::Store,
    });
    let published = publisher.publish(&["a", "b"], &Stop::new());
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 2));
    assert_eq!(publisher.stored(), ["a", "b"]);
}

#[test]
fn a_message_that_is_refused_alone_is_named() {
    // When it is sent with others, the whole request is refused because of it.
    for code in [10, 18, 4, 87, 44, 32] {
        let publisher = MadeUp::new(move |_, payload, alone| match payload {
            "bad" => Fate::Fail(code),
            _ if alone => Fate::Store,
            _ => Fate::Fail(code),
        });
        let published = publisher.publish(&["a", "b", "bad", "c"], &Stop::new());
        assert_eq!(published.done, 2, "code {code}");
        let PublishEnd::Fatal(fatal) = published.end else {
            panic!("code {code}: {published:?}");
        };
        assert_eq!(fatal.offset(), Some(2), "code {code}");
        assert_eq!(fatal.exit(), Exit::Rejected);
        assert!(fatal.to_string().contains("the topic t "), "{fatal}");
        assert_eq!(publisher.stored(), ["a", "b"]);
    }
}

/// Settles until it ends for another reason than one message, and leaves those out.
fn settle_without(outbox: &mut Outbox, calls: &PublishCalls<'_>) -> (PublishEnd, Vec<(u64, Option<i64>)>) {
    let mut left_out = Vec::new();
    loop {
        let end = outbox.settle(outbox.pushed(), calls);
        let (PublishEnd::Fatal(fatal), Some(number)) = (&end, outbox.leave_out()) else {
            return (end, left_out);
        };
        left_out.push((number, fatal.offset()));
    }
}

#[test]
fn messages_that_are_too_large_or_refused_can_be_left_out() {
    for bad in [Fate::TooLarge, Fate::Fail(10), Fate::Fail(87)] {
        for payloads in [
            &["bad"][..],
            &["bad", "a", "bad", "bad", "b"],
            &["a", "b", "bad"],
            &["bad", "bad", "a"],
        ] {
            let publisher = MadeUp::new(move |_, payload, _| if payload == "bad" { bad } else { Fate::Store });
            with_outbox(&publisher, |outbox, calls| {
                for (number, payload) in payloads.iter().enumerate() {
                    // Numbers are of the outbox, and offsets of the source.
                    let topic = if *payload == "b" { "other" } else { TOPIC };
                    outbox.push(10 + number as i64, &publication(number, topic, payload));
                }
                let (end, left_out) = settle_without(outbox, calls);
                assert_eq!(end, PublishEnd::Finished, "{bad:?} {payloads:?}");
                let bad_ones = (0..payloads.len()).filter(|number| payloads[*number] == "bad");
                let expected: Vec<_> = bad_ones
                    .map(|number| (number as u64, Some(10 + number as i64)))
                    .collect();
                assert_eq!(left_out, expected, "{bad:?} {payloads:?}");
                assert_eq!((outbox.is_empty(), outbox.bytes()), (true, 0));
                // The next batch goes as always.
                outbox.push(7, &publication(0, TOPIC, "later"));
                assert_eq!(settle_without(outbox, calls), (PublishEnd::Finished, vec![]));
            });
            let mut stored = publisher.stored();
            stored.sort_unstable();
            stored.dedup();
            let mut expected: Vec<&str> = payloads.iter().copied().filter(|payload| *payload != "bad").collect();
            expected.extend(["later"]);
            expected.sort_unstable();
            assert_eq!(stored, expected, "{bad:?} {payloads:?}");
        }
    }
}

#[test]
fn what_no_single_message_causes_cannot_be_left_out() {
    for code in [29, -150] {
        let publisher = MadeUp::new(move |_, _, _| Fate::Fail(code));
        with_outbox(&publisher, |outbox, calls| {
            outbox.push(0, &publication(0, TOPIC, "a"));
            let (end, left_out) = settle_without(outbox, calls);
            assert!(matches!(end, PublishEnd::Fatal(_)), "{end:?}");
            assert!(left_out.is_empty());
            assert_eq!(outbox.settle(outbox.pushed(), calls), PublishEnd::Stopped);
        });
    }
}

#[test]
fn a_batch_that_is_too_large_goes_in_parts() {
    // The first eight attempts are refused: too many messages at once.
    let publisher = MadeUp::new(|attempt, _, _| if attempt < 8 { Fate::Fail(10) } else { Fate::Store });
    let payloads = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let published = publisher.publish(&payloads, &Stop::new());
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 8));
    assert_eq!(publisher.stored(), payloads);
    assert!(publisher.state.lock().alone.is_empty());
}

#[test]
fn a_refusal_that_follows_another_reports_failure_is_still_narrowed_down() {
    // The first message of a request is reported as refused because of another one.
    let publisher = MadeUp::new(|attempt, payload, _| match payload {
        "a" if attempt > 0 => Fate::Store,
        "a" => Fate::Fail(-138),
        _ => Fate::Fail(87),
    });
    let published = publisher.publish(&["a", "bad"], &Stop::new());
    assert_eq!(published.done, 1);
    assert!(
        matches!(
            published.end,
            PublishEnd::Fatal(PublishFatal::Refused { offset: 1, .. })
        ),
        "{published:?}"
    );
}

#[test]
fn who_may_not_write_and_a_broken_producer_end_it() {
    for (code, exit) in [(29, Exit::Credentials), (31, Exit::Credentials), (-150, Exit::Restart)] {
        let publisher = MadeUp::new(move |attempt, _, _| if attempt == 1 { Fate::Fail(code) } else { Fate::Store });
        let published = publisher.publish(&["a", "b", "c"], &Stop::new());
        let PublishEnd::Fatal(fatal) = published.end else {
            panic!("code {code}: {published:?}");
        };
        assert_eq!(fatal.exit(), exit, "code {code}");
        assert_eq!(published.done, 1);
    }
}

fn with_outbox<F, R>(publisher: &MadeUp<F>, act: impl FnOnce(&mut Outbox, &PublishCalls<'_>) -> R) -> R
where
    F: Fn(usize, &str, bool) -> Fate + Send + Sync,
{
    let stop = Stop::new();
    let calls = PublishCalls {
        publisher,
        stop: &stop,
        finish_max: Duration::from_millis(500),
        ends_since: None,
        meanwhile: &|| {},
    };
    act(&mut Outbox::new(&stop), &calls)
}

#[test]
fn what_is_gathered_is_not_sent_before_it_is_to_be() {
    let publisher = MadeUp::new(|_, _, _| Fate::Store);
    with_outbox(&publisher, |outbox, calls| {
        outbox.push(0, &publication(0, TOPIC, "a"));
        assert_eq!(outbox.advance(false, calls), Ok(true));
        assert!(publisher.stored().is_empty());
        assert_eq!((outbox.stored_below(), outbox.pushed()), (0, 1));
        outbox.push(1, &publication(1, TOPIC, "b"));
        assert_eq!(outbox.bytes(), 2 * (3 + 1 + ENTRY_BYTES));
        assert_eq!(outbox.advance(true, calls), Ok(true));
        // The reports arrive with the next call.
        assert_eq!(outbox.advance(false, calls), Ok(true));
        assert_eq!((outbox.stored_below(), outbox.bytes(), outbox.is_empty()), (2, 0, true));
    });
    assert_eq!(publisher.stored(), ["a", "b"]);
}

/// The worker goes on with later messages while earlier ones are in flight. Then an earlier one fails.
#[test]
fn what_was_pushed_behind_a_failure_goes_out_behind_it() {
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 0 { Fate::Fail(-192) } else { Fate::Store });
    with_outbox(&publisher, |outbox, calls| {
        outbox.push(0, &publication(0, TOPIC, "a"));
        outbox.push(1, &publication(1, TOPIC, "b"));
        assert_eq!(outbox.advance(true, calls), Ok(true));
        outbox.push(2, &publication(2, TOPIC, "c"));
        // `Ok(false)`, and nothing is sent behind the failed message.
        assert_eq!(outbox.advance(true, calls), Ok(false));
        assert_eq!(publisher.stored(), ["b"]);
        assert_eq!(outbox.stored_below(), 0);
        assert_eq!(outbox.settle(outbox.pushed(), calls), PublishEnd::Finished);
        assert_eq!((outbox.stored_below(), outbox.take_resent()), (3, 2));
    });
    assert_eq!(publisher.stored(), ["b", "a", "b", "c"]);
}

/// An offset is not done before all earlier ones are. The topics may answer in any order.
#[test]
fn numbers_count_as_stored_in_their_order_whichever_topic_answers_first() {
    let publisher = MadeUp::new(|_, payload, _| if payload == "a" { Fate::Lie } else { Fate::Store });
    with_outbox(&publisher, |outbox, calls| {
        outbox.push(0, &publication(0, TOPIC, "a"));
        outbox.push(1, &publication(1, "other", "b"));
        assert_eq!(outbox.advance(true, calls), Ok(true));
        assert_eq!(outbox.advance(true, calls), Ok(true));
        assert_eq!((outbox.stored_below(), outbox.pushed()), (0, 2));
        publisher.store_what_lies();
        assert_eq!(outbox.advance(true, calls), Ok(true));
        assert_eq!(outbox.stored_below(), 2);
    });
}

#[test]
fn a_part_can_be_waited_for() {
    let publisher = MadeUp::new(|_, payload, _| if payload == "b" { Fate::Lie } else { Fate::Store });
    with_outbox(&publisher, |outbox, calls| {
        outbox.push(0, &publication(0, TOPIC, "a"));
        outbox.push(1, &publication(1, TOPIC, "b"));
        assert_eq!(outbox.settle(1, calls), PublishEnd::Finished);
        assert_eq!(outbox.stored_below(), 1);
        publisher.store_what_lies();
        assert_eq!(outbox.settle(2, calls), PublishEnd::Finished);
    });
}

/// There is no failure: librdkafka does not report a message that waits.
#[test]
fn a_topic_that_is_not_heard_of_is_waited_for_after_a_second() {
    let publisher = MadeUp::new(|_, _, _| Fate::Lie);
    with_outbox(&publisher, |outbox, calls| {
        outbox.push(0, &publication(0, TOPIC, "a"));
        assert_eq!(outbox.advance(true, calls), Ok(true));
        outbox.heard -= SILENT_AFTER;
        assert_eq!(outbox.advance(true, calls), Ok(false));
        publisher.store_what_lies();
        assert_eq!(outbox.settle(1, calls), PublishEnd::Finished);
    });
}

/// A worker that ends for its own reason waits as long as one that is stopped.
#[test]
fn an_end_is_as_a_stop() {
    let publisher = MadeUp::new(|_, _, _| Fate::Fail(-188));
    with_outbox(&publisher, |outbox, calls| {
        let calls = PublishCalls {
            ends_since: Some(Instant::now()),
            ..*calls
        };
        outbox.push(0, &publication(0, TOPIC, "a"));
        assert_eq!(outbox.settle(1, &calls), PublishEnd::Stopped);
        outbox.leave(&calls);
        // Nothing is sent any more.
        assert_eq!(outbox.settle(1, &calls), PublishEnd::Stopped);
    });
    assert_eq!(publisher.state.lock().attempts, 1);
}

#[test]
fn a_stop_leaves_nothing_in_the_queue() {
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 1 { Fate::Lie } else { Fate::Store });
    let stop = Stop::new();
    stop.request(StopKind::Drain);
    let published = publisher.publish(&["a", "b", "c"], &stop);
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 1));
    let state = publisher.state.lock();
    assert!(state.purges > 0 && state.lying.is_empty());
}

#[test]
fn a_stop_lets_what_was_not_sent_be_sent_and_nothing_that_failed_be_sent_again() {
    let stop = Stop::new();
    stop.request(StopKind::Drain);
    let publisher = MadeUp::new(|_, _, _| Fate::Store);
    let published = publisher.publish(&["a", "b"], &stop);
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 2));

    // A purge by another worker is not a failure.
    let publisher = MadeUp::new(|attempt, _, _| if attempt == 0 { Fate::Fail(-152) } else { Fate::Store });
    let published = publisher.publish(&["a", "b"], &stop);
    assert_eq!((published.end, published.done), (PublishEnd::Finished, 2));

    let publisher = MadeUp::new(|_, _, _| Fate::Fail(-188));
    let published = publisher.publish(&["a", "b"], &stop);
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
    assert_eq!(publisher.state.lock().attempts, 2);
}

#[test]
fn a_lost_partition_ends_it_at_once() {
    let stop = Stop::new();
    stop.request(StopKind::Abandon);
    let publisher = MadeUp::new(|_, _, _| Fate::Store);
    let published = publisher.publish(&["a"], &stop);
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 0));
    assert_eq!(publisher.state.lock().attempts, 0);
}

/// A message stored after a failed one is not done when the failed one is sent again: it would come before it.
#[test]
fn done_never_counts_a_message_whose_order_is_still_open() {
    // "a" fails, "b" is stored, "a" is stored at its second attempt. Nothing is stored after that.
    let publisher = MadeUp::new(|attempt, _, _| match attempt {
        0 => Fate::Fail(-192),
        1 | 2 => Fate::Store,
        _ => Fate::Lie,
    });
    let stop = Stop::new();
    let published = thread_scope(&publisher, &stop);
    assert_eq!(publisher.stored(), ["b", "a"]);
    assert_eq!((published.end, published.done), (PublishEnd::Stopped, 1));
}

/// Publishes "a" and "b", and stops after the fourth attempt.
fn thread_scope<F: Fn(usize, &str, bool) -> Fate + Send + Sync>(publisher: &MadeUp<F>, stop: &Stop) -> Published {
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publisher.publish(&["a", "b"], stop));
        let deadline = Instant::now() + Duration::from_secs(30);
        while publisher.state.lock().attempts < 4 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        stop.request(StopKind::Drain);
        publishing.join().unwrap()
    })
}
