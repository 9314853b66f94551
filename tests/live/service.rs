//! Tests with a real Kafka broker. `make test-kafka` starts a broker and runs them. They need its address in
//! `KAFKA_BROKERS`, and are ignored without it, because `make test` must not need other services.

use crate::support::process::{Program, SimProgram, run_service};
use crate::support::{
    DEADLINE, Database, Kafka, Records as _, Service, Setup, Stream, Target, Topic, assert_ledger, send,
};
use crate::support::{simulator, summary, unique, wait_for, wait_until};
use penstock::util::exit::Exit;
use penstock_sim::Simulator;
use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::topic_partition_list::Offset;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A client's configuration for the broker under test.
fn client() -> ClientConfig {
    Kafka::real().client()
}

/// A topic on the real broker, for this test alone.
fn topic(name: &str, partitions: i32) -> Topic {
    Kafka::real().topic(name, partitions)
}

/// Writes one message per key to the topic. A group with this protocol then reads the same number of messages.
fn a_group_reads_what_was_written(protocol: &str) {
    let topic = topic("round-trip", 3).name;

    let producer: BaseProducer = client().set("enable.idempotence", "true").create().unwrap();
    let keys: Vec<String> = (0..30).map(|number| format!("key-{number:02}")).collect();
    for key in &keys {
        producer
            .send(BaseRecord::to(&topic).key(key).payload(&format!("value of {key}")))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(DEADLINE).unwrap();

    let consumer: BaseConsumer = client()
        .set("group.id", unique("group"))
        .set("group.protocol", protocol)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while seen.len() < keys.len() {
        assert!(
            Instant::now() < deadline,
            "{} of {} messages: {seen:?}",
            seen.len(),
            keys.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message.unwrap();
            let key = message.key_view::<str>().unwrap().unwrap();
            assert_eq!(
                message.payload_view::<str>().unwrap().unwrap(),
                format!("value of {key}")
            );
            seen.push(key.to_owned());
        }
    }
    seen.sort();
    assert_eq!(seen, keys);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_group_of_the_classic_protocol_reads_what_was_written() {
    a_group_reads_what_was_written("classic");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_group_of_the_consumer_protocol_reads_what_was_written() {
    a_group_reads_what_was_written("consumer");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_nobody_created_is_not_created_by_asking() {
    let topic = unique("missing");
    let consumer: BaseConsumer = client().create().unwrap();
    for _ in 0..2 {
        let metadata = consumer.fetch_metadata(Some(&topic), DEADLINE).unwrap();
        assert!(metadata.topics()[0].error().is_some(), "{topic} is there");
    }
}

// ---- the pipeline on a real broker

/// A real broker requires sessions of at least 6 seconds. After a member has left the group, it can join again at once.
fn setup(topic: &Topic, target: impl Into<Target>) -> Setup {
    Setup::new(&Kafka::real(), topic, target).consumer("")
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn only_committed_transactions_become_records_and_the_offsets_pass_the_aborted_ones() {
    const MESSAGES: i64 = 50;
    let topic = topic("transactions", 3);
    let producer: BaseProducer = client()
        .set("transactional.id", unique("transaction"))
        .create()
        .unwrap();
    producer.init_transactions(DEADLINE).unwrap();
    let mut expected = BTreeMap::new();
    // The last transaction is aborted. After the last message there is nothing to read, but there are offsets to pass.
    for transaction in 0..7 {
        let is_committed = transaction % 2 == 1;
        producer.begin_transaction().unwrap();
        for n in 0..MESSAGES {
            // Partition 2 has only aborted transactions.
            for partition in (0..topic.partitions).filter(|partition| *partition < 2 || !is_committed) {
                let (id, key) = (
                    format!("{transaction}-{partition}-{n}"),
                    format!("{partition}-{}", n % 5),
                );
                send(
                    &producer,
                    &topic.name,
                    partition,
                    format!(r#"{{"id":"{id}","key":"{key}","n":{n}}}"#).as_bytes(),
                );
                if is_committed {
                    expected.insert(("all", id), n);
                    expected.insert(("last", key), n);
                }
            }
        }
        producer.flush(DEADLINE).unwrap();
        if is_committed {
            producer.commit_transaction(DEADLINE).unwrap();
        } else {
            producer.abort_transaction(DEADLINE).unwrap();
        }
    }
    let messages = expected.keys().filter(|(set, _)| *set == "all").count() as u64;

    let database = Database::from_env();
    let setup = setup(&topic, &database);
    let service = Service::start(&setup);
    service.wait_written(messages);
    // Markers have offsets, too. So the ends of the logs are after offsets that no consumer receives.
    let ends = topic.ends();
    wait_until(
        "the committed offsets to pass what was aborted",
        || topic.committed(&setup.group),
        |committed| committed[..2] == ends[..2],
    );
    service.wait_for("the lag to be 0", |counters| counters.consumer_lag.get() == 0);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(
        ended.counters.messages_written.get(),
        messages,
        "a message of an aborted transaction was written"
    );
    assert_eq!(ended.counters.offsets_lost.get(), 0, "a gap in the numbers is no loss");
    assert_eq!(topic.committed(&setup.group)[..2], ends[..2]);
    assert_ledger(&expected, &database);

    // A group that was at the end starts at the end again, and reads nothing twice.
    let service = Service::start(&setup);
    service.wait_for("the partitions", |counters| counters.partitions_assigned.get() == 3);
    service.wait_for("the lag to be 0", |counters| counters.consumer_lag.get() == 0);
    assert_eq!(service.stop().assert(Exit::Stopped).counters.messages_consumed.get(), 0);
}

/// Messages that an open transaction blocks are not part of the lag, but the service does report them.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn messages_behind_an_open_transaction_are_told_and_are_no_lag() {
    let topic = topic("open-transaction", 2);
    let producer: BaseProducer = client().set("transactional.id", unique("open")).create().unwrap();
    let send_to = |partition: i32, n: i32| {
        let payload = format!(r#"{{"id":"{partition}-{n}","key":"k","n":{n}}}"#);
        send(&producer, &topic.name, partition, payload.as_bytes());
    };
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send_to(0, 0);
    producer.commit_transaction(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    for n in 1..=4 {
        send_to(0, n);
    }
    for n in 1..=2 {
        send_to(1, n);
    }
    producer.flush(DEADLINE).unwrap();

    let database = Database::from_env();
    let file = setup(&topic, &database).file();
    let mut service = run_service(file.path());
    service.wait_for_line(&[
        "progress",
        " written=1 ",
        " lag=0 behind_open_transaction=6 ",
        "state=ok",
    ]);
    producer.commit_transaction(DEADLINE).unwrap();
    // The markers of both transactions do not count as messages.
    let line = service.wait_for_line(&["progress", " written=7 ", " lag=0 partitions=2 "]);
    assert!(!line.contains("behind_open_transaction"), "{line}");
    service.signal("TERM");
    service.end().assert_code(0);
}

/// A real broker says which members it counts.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_process_that_follows_a_killed_one_names_the_members_that_its_group_counts() {
    let topic = topic("killed", 1);
    let database = Database::from_env();
    let mut stream = Stream::new(&topic, 1);
    stream.produce(10);
    let setup = setup(&topic, &database).consumer("\"session.timeout.ms\" = 20000");
    let file = setup.file();
    let first = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    first.signal("KILL");
    drop(first);
    let mut second = run_service(file.path());
    second.wait_for_line(&[
        "WARN",
        "kafka: the group has not given out its partitions",
        "up to 20s (session.timeout.ms)",
        "members=2 who=\"this process among them: penstock at /",
        ", penstock at /",
        "group.instance.id",
    ]);
    stream.produce(10);
    topic.wait_committed(&setup.group, &stream.ends());
    second.signal("TERM");
    second.end().assert_code(0);
    // A member that is alone from the start waits for no other member.
    let mut third = run_service(file.path());
    third.wait_for_line(&["progress", "partitions=1", "state=ok"]);
    third.signal("TERM");
    let ended = third.end();
    ended.assert_code(0);
    assert!(!ended.output.contains("has not given out"), "{}", ended.output);
}

/// With the next-generation protocol the broker answers at once, and does not say why it assigns no partition.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_member_of_the_consumer_protocol_without_partitions_says_what_it_may_be_waiting_for() {
    let topic = topic("spare-848", 1);
    let database = Database::from_env();
    let mut stream = Stream::new(&topic, 1);
    stream.produce(10);
    let setup = setup(&topic, &database).consumer("\"group.protocol\" = \"consumer\"");
    let file = setup.file();
    let mut first = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    let mut second = run_service(file.path());
    second.wait_for_line(&[
        "INFO",
        "kafka: the group has given this process no partition",
        "as many other members as partitions",
        "still counts a member that is gone",
        "group.consumer.session.timeout.ms",
        "waited=1",
    ]);
    for member in [&mut first, &mut second] {
        member.signal("TERM");
        let ended = member.end();
        ended.assert_code(0);
        // The member that has its partition logs no such line.
        let said = ended.output.contains("has given this process no partition");
        assert_eq!(
            said,
            !ended.output.contains("kafka: assigned partitions=1"),
            "{}",
            ended.output
        );
    }
}

/// Sets the flag when dropped, so that a thread that waits for it also ends when the test fails.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Produces until `enough` is set. Never gets far ahead of what the service has written.
fn produce_until(enough: &AtomicBool, stream: &mut Stream, sim: &Simulator) {
    const LEAD_MAX: u64 = 2000;
    while !enough.load(Ordering::Relaxed) {
        stream.produce(20);
        // This counts records and not rows, because the rows of the other set are merged.
        let records = stream.total().saturating_sub(LEAD_MAX);
        wait_until(
            "the services to follow",
            || sim.count("all"),
            |written| *written >= records || enough.load(Ordering::Relaxed),
        );
    }
}

/// While messages flow, a second member joins and then the first one leaves. In the end the ledger is correct.
fn two_members_share_a_topic(consumer: &str) {
    let topic = topic("members", 6);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    let mut setup = setup(&topic, sim.addr()).consumer(consumer);
    // The only commits are those made when a partition is given back.
    setup.commit_interval = "5m";
    // There are batches in flight at every moment.
    sim.faults().delay(Duration::from_millis(10));
    let enough = AtomicBool::new(false);
    let (first, second) = thread::scope(|scope| {
        let enough = Enough(&enough);
        scope.spawn(|| produce_until(enough.0, &mut stream, &sim));
        let first = Service::start(&setup);
        first.wait_written(200);
        let second = Service::start(&setup);
        second.wait_for("half of the partitions", |counters| {
            counters.partitions_assigned.get() == 3
        });
        first.wait_for("the other half", |counters| counters.partitions_assigned.get() == 3);
        second.wait_written(500);
        let first = first.stop();
        second.wait_for("all partitions", |counters| counters.partitions_assigned.get() == 6);
        let written = second.counters.messages_written.get();
        second.wait_written(written + 500);
        drop(enough);
        (first, second)
    });
    first.assert(Exit::Stopped);
    sim.faults().clear();
    second.wait_written(stream.total() - first.counters.messages_written.get());
    let second = second.stop();
    second.assert(Exit::Stopped);
    assert_eq!(topic.committed(&setup.group), stream.ends());
    stream.assert_ledger(&sim);
    // Every partition was handed over in order, so no message was written twice.
    let written = first.counters.messages_written.get() + second.counters.messages_written.get();
    assert_eq!(
        written,
        stream.total(),
        "{} and {}",
        summary(&first.counters),
        summary(&second.counters)
    );
    assert_eq!(sim.stats().duplicate_rows, 0);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn members_come_and_go_in_mid_stream_and_give_over_what_they_must() {
    two_members_share_a_topic("");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn members_come_and_go_in_mid_stream_where_every_rebalance_takes_all_partitions() {
    two_members_share_a_topic("partition.assignment.strategy = \"range\"");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn members_come_and_go_in_mid_stream_where_the_brokers_share_out() {
    two_members_share_a_topic("group.protocol = \"consumer\"");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_program_stopped_and_killed_in_mid_stream_goes_on_where_it_was() {
    let topic = topic("program", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    // A killed member stays in the group until its session ends.
    let setup = setup(&topic, sim.addr).consumer("session.timeout.ms = 6000\nheartbeat.interval.ms = 500");
    let file = setup.file();
    sim.say("delay 5ms");
    for (signal, code) in [("TERM", Some(0)), ("KILL", None), ("INT", Some(0))] {
        stream.produce(500);
        let before = sim.count("all");
        let mut service = run_service(file.path());
        wait_until("records", || sim.count("all"), |count| *count >= before + 100);
        service.signal(signal);
        let exited = service.end();
        assert_eq!(exited.status.code(), code, "{signal}: {}", exited.output);
    }
    assert!(
        sim.count("all") < stream.total(),
        "every signal came after the last message"
    );
    sim.say("delay 0ms");
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    stream.assert_ledger(&sim);
    assert_eq!(sim.stat("duplicate_rows"), 0);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_broker_that_refuses_the_login_ends_the_start() {
    let topic = topic("login", 1);
    let database = Database::from_env();
    // The broker's listener does not support SASL, and says so in its handshake. This is refused like a wrong password.
    let setup = setup(&topic, &database).consumer(
        "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
         \"sasl.username\" = \"u\"\n\"sasl.password\" = \"p\"\n",
    );
    let ended = Service::start(&setup).end();
    ended.assert(Exit::Credentials);
    assert_eq!(ended.counters.rebalances.get(), 0, "the group was joined");
}

// ---- a topic deleted and created again

fn delete_topic(name: &str) {
    let admin: AdminClient<_> = client().create().unwrap();
    let results = wait_for(admin.delete_topics(&[name], &AdminOptions::new())).unwrap();
    assert_eq!(results, [Ok(name.to_owned())]);
}

/// Deletes the topic and creates it again after `gap`, with `messages` messages in each partition.
fn recreate(topic: &Topic, gap: Duration, messages: i64) -> Stream {
    delete_topic(&topic.name);
    // This does not wait for a condition. It sets how long the topic does not exist.
    thread::sleep(gap);
    let admin: AdminClient<_> = client().create().unwrap();
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(1));
    wait_until(
        "the topic to be created again",
        || wait_for(admin.create_topics([&new], &AdminOptions::new())).unwrap(),
        |results| match &results[0] {
            Ok(_) => true,
            Err((_, code)) => {
                assert_eq!(*code, RDKafkaErrorCode::TopicAlreadyExists);
                false
            }
        },
    );
    let mut stream = Stream::new(topic, 5).prefixed("new-");
    stream.produce(messages);
    stream
}

/// The records of two topics that had the same name.
fn both(old: &Stream, new: &Stream) -> BTreeMap<(&'static str, String), i64> {
    let mut records = old.records();
    records.extend(new.records());
    records
}

/// Creates the program's topic again while the program is frozen. Then the program goes on where it was. The new topic
/// has more messages than the old one, so no offset is out of range, and no offset goes back.
fn recreate_at_one_blow(program: &Program, topic: &Topic) -> Stream {
    program.signal("STOP");
    let new = recreate(topic, Duration::ZERO, 200);
    program.signal("CONT");
    new
}

fn a_topic_is_created_again_under_the_program(consumer: &str) {
    let topic = topic("again", 3);
    let database = Database::from_env();
    let setup = setup(&topic, &database).consumer(consumer);
    let file = setup.file();
    let mut old = Stream::new(&topic, 5);
    old.produce(50);
    let mut program = run_service(file.path());
    topic.wait_committed(&setup.group, &old.ends());
    let mut new = recreate_at_one_blow(&program, &topic);
    program.wait_for_line(&["WARN", "deleted and created again", &topic.name, " id=", " was="]);
    wait_until(
        "the new records",
        || database.count("all"),
        |count| *count >= (50 + 200) * 3,
    );
    topic.wait_committed(&setup.group, &new.ends());
    // The service goes on as before.
    new.produce(50);
    topic.wait_committed(&setup.group, &new.ends());
    program.signal("TERM");
    program.end().assert_code(0);
    assert_ledger(&both(&old, &new), &database);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_created_again_under_the_program_is_read_from_its_beginning() {
    a_topic_is_created_again_under_the_program("");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_created_again_under_the_program_is_read_from_its_beginning_where_the_brokers_share_out() {
    a_topic_is_created_again_under_the_program("group.protocol = \"consumer\"");
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_that_is_gone_for_a_while_is_read_from_its_beginning_when_it_is_back() {
    let topic = topic("again", 3);
    let database = Database::from_env();
    let setup = setup(&topic, &database).consumer(
        "\"topic.metadata.refresh.interval.ms\" = 1000\n\"topic.metadata.propagation.max.ms\" = 500\n\
         \"partition.assignment.strategy\" = \"range\"",
    );
    let mut old = Stream::new(&topic, 5);
    old.produce(50);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &old.ends());
    let new = recreate(&topic, Duration::from_secs(4), 200);
    wait_until(
        "the new records",
        || database.count("all"),
        |count| *count >= (50 + 200) * 3,
    );
    topic.wait_committed(&setup.group, &new.ends());
    service.stop().assert(Exit::Stopped);
    assert_ledger(&both(&old, &new), &database);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_created_again_while_nobody_reads_it_is_read_from_its_beginning() {
    let topic = topic("again", 3);
    let database = Database::from_env();
    let setup = setup(&topic, &database);
    let mut old = Stream::new(&topic, 5);
    old.produce(50);
    let service = Service::start(&setup);
    topic.wait_committed(&setup.group, &old.ends());
    service.stop().assert(Exit::Stopped);
    let late = topic.commits(&setup.group);
    let new = recreate(&topic, Duration::ZERO, 200);
    // Kafka deletes the group's offsets together with the topic. A commit that was in flight can arrive after that.
    topic.wait_committed(&setup.group, &[None, None, None]);
    let consumer: BaseConsumer = client().set("group.id", &setup.group).create().unwrap();
    consumer.commit(&late, CommitMode::Sync).unwrap();
    topic.wait_committed(&setup.group, &old.ends());

    let service = Service::start(&setup);
    wait_until(
        "the new records",
        || database.count("all"),
        |count| *count >= (50 + 200) * 3,
    );
    topic.wait_committed(&setup.group, &new.ends());
    service.stop().assert(Exit::Stopped);
    assert_ledger(&both(&old, &new), &database);

    // If a person sets an offset, the service starts there, whatever the topic was before.
    topic.commit(&setup.group, 0, 190);
    let service = Service::start(&setup);
    service.wait_written(10);
    topic.wait_committed(&setup.group, &new.ends());
    assert_eq!(
        service.stop().assert(Exit::Stopped).counters.messages_consumed.get(),
        10
    );
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_program_killed_soon_after_its_topic_was_created_again_loses_nothing_of_it() {
    let topic = topic("again", 3);
    let database = Database::from_env();
    let setup = setup(&topic, &database).consumer("session.timeout.ms = 6000\nheartbeat.interval.ms = 500");
    let file = setup.file();
    let mut old = Stream::new(&topic, 5);
    old.produce(50);
    let mut service = run_service(file.path());
    topic.wait_committed(&setup.group, &old.ends());
    let new = recreate_at_one_blow(&service, &topic);
    // The service goes on at its offset in the old topic. It commits that before it notices the new topic.
    wait_until(
        "an offset of the new topic",
        || topic.commits(&setup.group),
        |list| {
            list.elements()
                .iter()
                .any(|e| matches!(e.offset(), Offset::Offset(offset) if offset > 50))
        },
    );
    service.signal("KILL");
    assert_eq!(service.end().status.code(), None);
    assert!(database.count("all") < (50 + 200) * 3, "killed too late for this test");
    let mut service = run_service(file.path());
    wait_until(
        "the new records",
        || database.count("all"),
        |count| *count >= (50 + 200) * 3,
    );
    topic.wait_committed(&setup.group, &new.ends());
    service.signal("TERM");
    service.end().assert_code(0);
    assert_ledger(&both(&old, &new), &database);
}
