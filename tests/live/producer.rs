//! The producer with a real broker, `KAFKA_BROKERS`; ignored without one. It tests what the mock broker does not check:
//! the sequence numbers and epochs of the idempotent producer, the size of a request, a compacted topic.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use penstock::delivery::publish::{PublishEnd, PublishFatal};
use penstock::kafka::producer::WhyNot;
use penstock::output::publication::Publication;
use penstock::util::exit::Exit;
use penstock::util::start_limit::StartLimit;
use penstock::util::stop::{Stop, StopKind};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::support::publishing::{
    Worker, assert_finished, assert_in_order, numbered, producer, run, small_memory, stored,
};
use crate::support::{DEADLINE, Kafka, Topic, unique, wait_for, wait_until};

/// A topic with these settings.
fn topic_with(kafka: &Kafka, partitions: i32, settings: &[(&str, &str)]) -> Topic {
    let name = unique("set");
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    let mut topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let results = wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert_eq!(results, [Ok(name.clone())]);
    Topic {
        client: kafka.client(),
        name,
        partitions,
    }
}

/// Each purge leaves gaps in the sequence numbers of partitions to which others write at the same time. The broker
/// refuses what comes after a gap, and librdkafka starts a new epoch.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn workers_that_leave_all_the_time_take_nothing_from_the_others() {
    const WORKERS: usize = 4;
    const BATCHES: usize = 60;
    const BATCH: usize = 200;
    let kafka = Kafka::real();
    let topic = kafka.topic("purged", 3);
    let producer = producer(&kafka, &small_memory(WORKERS + 1), "");
    let all: Vec<Vec<Publication<'static>>> = (0..WORKERS)
        .map(|worker| numbered(&topic.name, BATCHES * BATCH, &format!("w{worker}-")))
        .collect();
    let mut left = 0;
    let resent: u64 = thread::scope(|scope| {
        let workers: Vec<_> = all
            .iter()
            .map(|publications| {
                let producer = &producer;
                scope.spawn(move || {
                    let mut resent = 0;
                    for batch in publications.chunks(BATCH) {
                        let published = run(producer, batch, &Stop::new());
                        assert_finished(&published, BATCH);
                        resent += published.resent;
                    }
                    resent
                })
            })
            .collect();
        let deadline = Instant::now() + DEADLINE;
        while workers.iter().any(|worker| !worker.is_finished()) && Instant::now() < deadline {
            let leaving = Worker::start(&producer, numbered(&topic.name, BATCH, &format!("left{left}-")));
            wait_until(
                "it to be in the queue",
                || producer.queued_bytes() > 0 || !leaving.is_waiting(),
                |is_there| *is_there,
            );
            leaving.stop.request(StopKind::Abandon);
            left += 1;
            let end = leaving.end().end;
            assert!(matches!(end, PublishEnd::Stopped | PublishEnd::Finished), "{end:?}");
        }
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    println!("left={left} resent={resent}");
    assert!(left > 0);
    for publications in &all {
        assert_in_order(&topic, publications);
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn requests_that_are_too_large_for_the_topic_go_in_parts_and_a_message_that_is_ends_it() {
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, 1, &[("max.message.bytes", "20000")]);
    let producer = producer(&kafka, &small_memory(2), "\"compression.type\" = \"none\"");
    let sized = |prefix: &str, bytes: usize| {
        let mut publications = numbered(&topic.name, 200, prefix);
        for publication in &mut publications {
            publication
                .headers
                .push(("h".into(), Some(Cow::Owned(vec![b'x'; bytes]))));
        }
        publications
    };
    let batches = [sized("a", 500), sized("b", 500)];
    let workers: Vec<Worker> = batches
        .iter()
        .map(|batch| Worker::start(&producer, batch.clone()))
        .collect();
    for worker in workers {
        let published = worker.end();
        assert_finished(&published, 200);
    }
    for batch in &batches {
        assert_in_order(&topic, batch);
    }
    let mut publications = sized("c", 10);
    publications[150].payload = Some(Cow::Owned(vec![b'x'; 30_000]));
    let published = run(&producer, &publications, &Stop::new());
    assert_eq!(published.done, 150);
    let PublishEnd::Fatal(fatal @ PublishFatal::TooLarge { .. }) = published.end else {
        panic!("{published:?}");
    };
    assert_eq!((fatal.exit(), fatal.offset()), (Exit::Rejected, Some(150)));
    assert!(fatal.to_string().contains(&topic.name), "{fatal}");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_compacted_topic_refuses_the_one_message_without_a_key() {
    let kafka = Kafka::real();
    let topic = topic_with(&kafka, 1, &[("cleanup.policy", "compact")]);
    let producer = producer(&kafka, &small_memory(1), "");
    let mut publications = numbered(&topic.name, 50, "a");
    publications[30].key = None;
    let published = run(&producer, &publications, &Stop::new());
    assert_eq!(published.done, 30);
    let PublishEnd::Fatal(fatal @ PublishFatal::Refused { .. }) = published.end else {
        panic!("{published:?}");
    };
    assert_eq!((fatal.exit(), fatal.offset()), (Exit::Rejected, Some(30)));
    assert!(fatal.to_string().contains(&topic.name), "{fatal}");
    // The messages before it are stored, perhaps twice: publishing is at least once. Later ones are stored where they
    // went in a request of their own. They are not counted as done, so the next start publishes them again.
    let stored: BTreeSet<_> = stored(&topic).into_iter().map(|stored| stored.payload).collect();
    let payload = |publication: &Publication<'static>| publication.payload.as_deref().map(<[u8]>::to_vec);
    for before in &publications[..30] {
        assert!(stored.contains(&payload(before)), "{:?}: {stored:?}", before.payload);
    }
    assert!(!stored.contains(&payload(&publications[30])), "{stored:?}");
}

/// Brokers create a topic for any client that asks for it, unless they are configured not to.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_that_is_not_there_is_not_created_by_asking_for_it() {
    let kafka = Kafka::real();
    let producer = producer(&kafka, &small_memory(1), "");
    let name = unique("missing");
    let is_absent = || {
        let unproducible = producer.check_topics([name.as_str()], &StartLimit::none(), &Stop::new());
        unproducible.iter().any(|each| each.why == WhyNot::Absent)
    };
    assert!(is_absent());
    let publications = numbered(&name, 10, "a");
    let worker = Worker::start(&producer, publications.clone());
    wait_until(
        "the reason",
        || producer.failing(),
        |failing| failing.as_ref().is_some_and(|failing| failing.why.contains("nknown")),
    );
    assert!(worker.is_waiting() && is_absent());
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
    wait_for(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert_finished(&worker.end(), 10);
    let topic = Topic {
        client: kafka.client(),
        name,
        partitions: 2,
    };
    assert_in_order(&topic, &publications);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_that_is_deleted_is_waited_for_until_it_is_created_again() {
    let kafka = Kafka::real();
    let topic = kafka.topic("deleted", 3);
    let producer = producer(&kafka, &small_memory(1), "");
    assert_finished(
        &run(&producer, &numbered(&topic.name, 300, "before"), &Stop::new()),
        300,
    );
    let admin: AdminClient<DefaultClientContext> = kafka.client().create().unwrap();
    wait_for(admin.delete_topics(&[&topic.name], &AdminOptions::new())).unwrap();
    let publications = numbered(&topic.name, 300, "a");
    let worker = Worker::start(&producer, publications.clone());
    wait_until("the topic to be told", || producer.failing(), Option::is_some);
    assert!(worker.is_waiting());
    let again = NewTopic::new(&topic.name, 3, TopicReplication::Fixed(1));
    wait_for(admin.create_topics([&again], &AdminOptions::new())).unwrap();
    assert_finished(&worker.end(), 300);
    assert_in_order(&topic, &publications);
    assert_eq!(producer.failing().map(|failing| failing.since < Duration::ZERO), None);
}
