//! Which member reads which partition, and from where: stray messages, offsets that are gone, topics that appear later,
//! members that join, leave and die. The service in the process, with a mock broker and a simulator.
//! `tests/live/members.rs` has the tests that need a real broker.

use std::time::Duration;

use crate::support::process::{SimProgram, run_service};
use crate::support::{DEADLINE, Kafka, Records as _, Service, Setup, Stream, Topic, send, simulator, summary};
use crate::support::{unique, wait_until};
use penstock::util::exit::Exit;
use penstock_sim::{Simulator, Stalled};
use rdkafka::producer::{BaseProducer, Producer as _};

// ---- stray messages

/// A service whose workers have a batch in hand that the database does not accept, and more messages in their queues.
fn stalled(setup: &Setup, stream: &mut Stream, sim: &Simulator) -> Service {
    let partitions = i64::from(stream.topic.partitions);
    let service = Service::start(setup);
    service.wait_for("the partitions", |counters| {
        counters.partitions_assigned.get() == partitions
    });
    sim.faults().stall(Stalled::Dropped);
    stream.produce(1000);
    service.wait_for("every worker to wait for the database", |counters| {
        counters.rows_retried.get() > 0 && counters.messages_in_hand.get() >= partitions
    });
    service
}

#[test]
fn a_stray_begins_its_partition_again_and_nothing_is_lost() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("stray", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = stalled(&setup, &mut stream, &sim);
    service.provoke.strays(&topic.name, 0);
    service.wait_for("the stray", |counters| counters.messages_stray.get() > 0);
    // The worker of partition 0 gives its batch back; that of partition 1 keeps its batch.
    service.wait_for("a batch to be given back", |counters| {
        counters.messages_returned.get() > 0
    });
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &stream.ends());
    let ended = service.stop();
    ended.assert_accounted(Exit::Stopped);
    stream.assert_ledger(&sim);
    let counters = &ended.counters;
    assert_eq!(counters.messages_stray.get(), 1, "it was begun again for each stray");
    assert_eq!(counters.rebalances.get(), 2, "the group took part in it");
    assert_eq!(
        counters.messages_written.get(),
        stream.total(),
        "messages were written twice: {}",
        summary(counters)
    );
}

#[test]
fn strays_that_come_again_and_again_end_the_process_to_be_started_again() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("strays", 1);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = stalled(&setup, &mut stream, &sim);
    for round in 1..=6 {
        let returned = service.counters.messages_returned.get();
        let in_hand = |service: &Service| service.counters.messages_in_hand.get() > 0;
        wait_until(
            "the worker to have messages in hand, or the service to end",
            || (in_hand(&service), service.is_running()),
            |(in_hand, running)| *in_hand || !running,
        );
        service.provoke.strays(&topic.name, 0);
        wait_until(
            "the stray",
            || (service.counters.messages_stray.get(), service.is_running()),
            |(strays, running)| *strays >= round || !running,
        );
        if !service.is_running() {
            break;
        }
        wait_until(
            "the batch to be given back, or the end",
            || (service.counters.messages_returned.get(), service.is_running()),
            |(now, running)| *now > returned || !running,
        );
    }
    service.end().assert_accounted(Exit::Restart);
    assert_eq!(topic.committed(&setup.group), [Some(0)], "nothing was written");
    sim.faults().unstall();
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    service.stop().assert(Exit::Stopped);
    stream.assert_ledger(&sim);
}

// ---- offsets that are gone

/// A mock partition keeps at most 5 MiB.
const TEXT_BYTES: usize = 10_000;

/// Messages from number `first` on. They are so large that a partition keeps only a few hundred.
fn produce_large(topic: &Topic, partition: i32, first: i64, messages: i64) {
    let producer: BaseProducer = topic.client.create().unwrap();
    let text = "x".repeat(TEXT_BYTES);
    for n in first..first + messages {
        let payload = format!(r#"{{"id":"{partition}-{n}","n":{n},"text":"{text}"}}"#);
        send(&producer, &topic.name, partition, payload.as_bytes());
    }
    producer.flush(DEADLINE).unwrap();
}

const ALL_ONLY: &str = r#"
[[route]]
  [[route.write]]
  set = "all"
  key = "id"
  bins = ["n"]
"#;

/// The group's offset is 20, and the log begins above it.
fn committed_and_gone(setup: &Setup, topic: &Topic) -> i64 {
    produce_large(topic, 0, 0, 20);
    let service = Service::start(setup);
    wait_until(
        "the first messages",
        || topic.committed(&setup.group)[0],
        |committed| *committed == Some(20),
    );
    service.stop().assert(Exit::Stopped);
    produce_large(topic, 0, 20, 1000);
    let oldest = topic.beginnings()[0];
    assert!(oldest > 20, "the mock broker keeps everything");
    oldest
}

#[test]
fn an_offset_that_is_gone_at_the_start_is_counted_and_reading_goes_on_at_the_oldest_message() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("gone", 1);
    let sim = simulator();
    let setup = Setup::new(&kafka, &topic, sim.addr()).routes(ALL_ONLY);
    let oldest = committed_and_gone(&setup, &topic);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &[Some(1020)]);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.offsets_lost.get(), oldest.unsigned_abs() - 20);
    assert_eq!(ended.counters.messages_written.get(), (1020 - oldest).unsigned_abs());
    // It is not reported twice.
    let service = Service::start(&setup);
    service.wait_for("the lag to be 0", |counters| counters.consumer_lag.get() == 0);
    assert_eq!(service.stop().counters.offsets_lost.get(), 0);
}

#[test]
fn an_offset_that_is_gone_stops_the_service_where_the_configuration_says_so() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("gone-stop", 2);
    let sim = SimProgram::start(&[]);
    let setup = Setup::new(&kafka, &topic, sim.addr)
        .routes(ALL_ONLY)
        .kafka("offset_gone = \"stop\"");
    let oldest = committed_and_gone(&setup, &topic);
    produce_large(&topic, 1, 0, 5);
    let file = setup.file();
    // Nothing behind it is committed, so it is found again.
    for _ in 0..2 {
        let mut program = run_service(file.path());
        let line = program.wait_for_line(&["ERROR", "gone", " partition=0 ", " from=20 "]);
        for part in [
            format!("topic={}", topic.name),
            format!(" to={oldest} "),
            format!(" gone={} ", oldest - 20),
            "cure=\"".into(),
            format!(" to {oldest} (kafka-consumer-groups.sh"),
        ] {
            assert!(line.contains(&part), "no {part:?} in {line}");
        }
        program.end().assert_code(65);
        assert_eq!(topic.committed(&setup.group)[0], Some(20));
    }
    assert_eq!(sim.ints("all", &[&format!("0-{oldest}")]), [None]);
    // What the cure proposes.
    let setup = setup.kafka("offset_gone = \"earliest\"");
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &[Some(1020), Some(5)]);
    service.stop().assert(Exit::Stopped);
}

#[test]
fn messages_that_go_during_an_outage_are_counted_and_nothing_is_passed_in_silence() {
    const MESSAGES: i64 = 1500;
    let kafka = Kafka::mock();
    let topic = kafka.topic("outage", 1);
    let sim = simulator();
    // Room for about a hundred messages, while the broker keeps about five hundred.
    let setup = Setup::new(&kafka, &topic, sim.addr())
        .routes(ALL_ONLY)
        .run("memory = \"82MiB\"\nwrite_timeout = \"300ms\"");
    let service = Service::start(&setup);
    service.wait_for("the partition", |counters| counters.partitions_assigned.get() == 1);
    sim.faults().stall(Stalled::Dropped);
    produce_large(&topic, 0, 0, 200);
    service.wait_for("the outage", |counters| counters.rows_retried.get() > 0);
    produce_large(&topic, 0, 200, MESSAGES - 200);
    let oldest = topic.beginnings()[0];
    assert!(oldest > 400, "the mock broker keeps everything: {oldest}");
    assert_eq!(service.counters.offsets_lost.get(), 0);
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &[Some(MESSAGES)]);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let lost = ended.counters.offsets_lost.get();
    assert!(lost > 0, "{}", summary(&ended.counters));
    assert_eq!(
        ended.counters.messages_written.get() + lost,
        MESSAGES.unsigned_abs(),
        "{}",
        summary(&ended.counters)
    );
    assert_eq!(sim.count("all") + lost, MESSAGES.unsigned_abs());
}

// ---- topics and partitions that appear later

#[test]
fn a_topic_that_is_not_there_does_not_hold_up_the_others_and_is_read_whole_when_it_comes() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("there", 2);
    let later = kafka.topic("later", 2);
    kafka.fail_topic(&later.name);
    let sim = simulator();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.more_topics = vec![later.name.clone()];
    setup.consumer += "\n\"topic.metadata.refresh.interval.ms\" = 500";
    // The value does not matter: the group has already started when the topic appears.
    setup.start = "latest";
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &[Some(0), Some(0)]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    service.wait_written(stream.total());
    kafka.heal_topic(&later.name);
    let mut later_stream = Stream::new(&later, 5).prefixed("later-");
    later_stream.produce(50);
    later.wait_committed(&setup.group, &later_stream.ends());
    service.stop().assert(Exit::Stopped);
    let mut records = stream.records();
    records.extend(later_stream.records());
    crate::support::assert_ledger(&records, &sim);
}

#[test]
fn a_topic_that_comes_while_nothing_is_there_is_read_whole() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("first", 2);
    kafka.fail_topic(&topic.name);
    let sim = SimProgram::start(&[]);
    let mut setup = Setup::new(&kafka, &topic, sim.addr);
    setup.start = "latest";
    let file = setup.file();
    let mut program = run_service(file.path());
    program.wait_for_line(&["WARN", "kafka: waiting", "no such topic"]);
    kafka.heal_topic(&topic.name);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());
    program.signal("TERM");
    program.end().assert_code(0);
    stream.assert_ledger(&sim);
}

#[test]
fn a_partition_without_an_offset_of_a_group_that_has_begun_is_read_from_its_beginning() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("grown", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.start = "latest";
    topic.commit(&setup.group, 0, 50);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(
        ended.counters.messages_written.get(),
        50,
        "{}",
        summary(&ended.counters)
    );
}

#[test]
fn a_group_that_starts_at_the_end_commits_all_its_beginnings_before_it_reads() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("at-once", 4);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(30);
    let before = stream.ends();
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    setup.start = "latest";
    // The workers commit nothing.
    setup.commit_interval = "5m";
    // Two members that start at the same time.
    let services = [Service::start(&setup), Service::start(&setup)];
    for service in &services {
        service.wait_for("an assignment", |counters| counters.rebalances.get() > 0);
    }
    assert_eq!(topic.committed(&setup.group), before);
    let old = stream.total();
    stream.produce(20);
    wait_until(
        "the new messages",
        || services.iter().map(|s| s.counters.messages_written.get()).sum::<u64>(),
        |written| *written >= stream.total() - old,
    );
    // One after the other: the mock broker accepts no commit during a rebalance.
    let [first, second] = services;
    for service in [&first, &second] {
        service.wait_for("half of the partitions", |counters| {
            counters.partitions_assigned.get() == 2
        });
    }
    let first = first.stop();
    second.wait_for("all partitions", |counters| counters.partitions_assigned.get() == 4);
    let second = second.stop();
    let consumed = [&first, &second].map(|ended| ended.assert(Exit::Stopped).counters.messages_consumed.get());
    assert_eq!(consumed.iter().sum::<u64>(), stream.total() - old);
    assert_eq!(topic.committed(&setup.group), stream.ends());
}

#[test]
fn a_group_whose_offsets_cannot_be_told_at_first_is_asked_again() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("asked-again", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    kafka.fail_offset_fetches(3);
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    service.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

// ---- members

#[test]
fn a_member_without_partitions_waits_takes_over_and_stops_at_once() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("spare", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let first = Service::start(&setup);
    first.wait_written(stream.total());
    // It may be the first member that has no partition now.
    let file = setup.file();
    let mut second = run_service(file.path());
    second.wait_for_line(&["progress", "partitions="]);
    if first.counters.partitions_assigned.get() == 1 {
        second.wait_for_line(&["progress", " lag=- ", "partitions=0", "state=no-partitions"]);
    }
    first.stop().assert(Exit::Stopped);
    stream.produce(100);
    wait_until(
        "the second member to take over",
        || (topic.committed(&setup.group), second.output()),
        |(committed, _)| *committed == stream.ends(),
    );

    // A member without partitions has nothing to finish.
    let third = Service::start(&setup);
    third.wait_for("a place in the group", |counters| counters.rebalances.get() > 0);
    third.stop().assert(Exit::Stopped);
    second.signal("TERM");
    second.end().assert_code(0);
    stream.assert_ledger(&sim);
}

#[test]
fn of_a_lost_assignment_nothing_is_committed() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("lost", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let mut setup = Setup::new(&kafka, &topic, sim.addr());
    // No commits except those with which a partition is given back.
    setup.commit_interval = "5m";
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    // The messages behind the loss wait, so that nothing is committed while the test reads the offsets.
    sim.faults().stall(Stalled::Dropped);
    kafka.forget_a_member();
    service.wait_for("the loss and another assignment", |counters| {
        counters.rebalances.get() >= 3 && counters.messages_in_hand.get() >= 2
    });
    assert_eq!(
        topic.committed(&setup.group),
        [None, None],
        "the partitions were another member's"
    );
    assert_eq!(service.counters.commit_errors.get(), 0, "a commit was tried");
    sim.faults().unstall();
    service.wait_written(2 * stream.total());
    service.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

#[test]
fn a_partition_is_given_back_though_its_last_commit_is_not_answered() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("unanswered", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let mut setup = Setup::new(&kafka, &topic, sim.addr())
        .run("shutdown_grace = \"4s\"\nwrite_timeout = \"300ms\"")
        .consumer("session.timeout.ms = 6000\nheartbeat.interval.ms = 300");
    setup.commit_interval = "5m";
    let first = Service::start(&setup);
    first.wait_written(stream.total());
    // The mock broker holds all later answers of a connection behind a delayed one.
    kafka.delay_commits(1, Duration::from_secs(5));
    let second = Service::start(&setup);
    // The process would have ended with 75 after shutdown_grace.
    second.wait_for("a partition", |counters| counters.partitions_assigned.get() == 1);
    assert!(first.counters.commit_errors.get() > 0, "the commit was answered");
    assert!(first.is_running());
    wait_until(
        "both to have all",
        || first.counters.messages_written.get() + second.counters.messages_written.get(),
        |written| *written >= stream.total(),
    );
    first.stop().assert(Exit::Stopped);
    second.wait_for("the other partition", |counters| {
        counters.partitions_assigned.get() == 2
    });
    second.stop().assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
}

#[test]
fn a_service_waits_for_the_first_of_its_topics() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("present", 1);
    let sim = simulator();
    let missing = unique("missing");
    kafka.fail_topic(&missing);
    let mut setup = Setup::new(&kafka, &topic, sim.addr()).run("start_timeout = \"1s\"");
    setup.topic = missing;
    assert_eq!(Service::start(&setup).end().exit, Exit::Unreachable);
    setup.more_topics = vec![topic.name.clone()];
    setup.run = "start_timeout = \"30s\"".into();
    let service = Service::start(&setup);
    service.wait_for("the topic that is there", |counters| {
        counters.partitions_assigned.get() == 1
    });
    service.stop().assert(Exit::Stopped);
}

// ---- commits

/// Kafka's coordinators store the leader epoch of a commit. librdkafka's mock compares it with the leader's current
/// epoch, and for ever refuses offsets that were read under an earlier leader. Without the epoch it accepts the commit.
#[test]
fn commits_that_are_refused_for_their_leader_epoch_are_sent_without_it() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("epochs", 2);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    stream.produce(100);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &stream.ends());
    // The messages wait while the leaders move. So the offsets that are committed afterwards belong to an earlier
    // leader epoch.
    sim.faults().stall(Stalled::Dropped);
    stream.produce(100);
    service.wait_for("every worker to wait for the database", |counters| {
        counters.rows_retried.get() > 0 && counters.messages_in_hand.get() >= 2
    });
    for partition in 0..topic.partitions {
        kafka
            .cluster()
            .partition_leader(&topic.name, partition, Some(1))
            .unwrap();
    }
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &stream.ends());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert!(ended.counters.commit_errors.get() > 0, "{}", summary(&ended.counters));
    stream.assert_ledger(&sim);
}
