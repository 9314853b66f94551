//! Group membership with a real Kafka broker: protocols, static members, new partitions and topics, deleted records.
//! `make test-kafka` runs these tests. Otherwise they are ignored, like all tests here.

use crate::support::process::run_service;
use crate::support::{
    DEADLINE, Database, Kafka, Service, Setup, Stream, Target, Topic, simulator, summary, unique, wait_for, wait_until,
};
use penstock::util::exit::Exit;
use penstock_sim::Stalled;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PROTOCOLS: [&str; 3] = [
    "",
    "partition.assignment.strategy = \"range\"",
    "group.protocol = \"consumer\"",
];

fn admin() -> AdminClient<rdkafka::client::DefaultClientContext> {
    Kafka::real().client().create().unwrap()
}

fn setup(topic: &Topic, target: impl Into<Target>) -> Setup {
    Setup::new(&Kafka::real(), topic, target).consumer("")
}

/// Deletes the records below `offset` in each partition.
fn delete_records(topic: &Topic, offset: i64) {
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions {
        list.add_partition_offset(&topic.name, partition, Offset::Offset(offset))
            .unwrap();
    }
    wait_for(admin().delete_records(&list, &AdminOptions::new())).unwrap();
    assert!(topic.beginnings().iter().all(|oldest| *oldest == offset));
}

// ---- given back

/// If a rebalance revokes all partitions, the member gives all of them back. Otherwise it gives back half of them and
/// keeps the others.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn partitions_are_given_back_while_the_database_is_silent_with_what_is_written_committed() {
    for protocol in PROTOCOLS {
        given_back_while_the_database_is_silent(protocol);
    }
}

fn given_back_while_the_database_is_silent(protocol: &str) {
    let topic = Kafka::real().topic("silent-revoke", 4);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    let mut setup = setup(&topic, sim.addr()).consumer(protocol);
    // The member commits only the partitions that it gives back.
    setup.commit_interval = "5m";
    let first = Service::start(&setup);
    first.wait_written(stream.total());
    sim.faults().stall(Stalled::Dropped);
    stream.produce(100);
    first.wait_for("every partition to wait for the database", |counters| {
        counters.messages_in_hand.get() >= 4
    });
    // The second member has a database that does answer.
    let other = simulator();
    setup.target = other.addr().into();
    let second = Service::start(&setup);
    // After shutdown_grace the process would have ended instead.
    second.wait_for("half of the partitions", |counters| {
        counters.partitions_assigned.get() == 2
    });
    assert!(first.counters.messages_returned.get() > 0);
    second.wait_written(2 * 100);
    let committed = topic.committed(&setup.group);
    // The partitions of the second member are committed up to where it started. Those of the first member are committed
    // only if it gave them back for a moment.
    let given = committed.iter().flatten().filter(|offset| **offset == 100).count();
    let all = if protocol.contains("range") { 4 } else { 2 };
    assert_eq!(given, all, "{protocol}: {committed:?}");
    sim.faults().unstall();
    first.wait_written(stream.total() - 2 * 100);
    let (first, second) = (first.stop(), second.stop());
    first.assert(Exit::Stopped);
    second.assert(Exit::Stopped);
    assert_eq!(second.counters.messages_written.get(), 2 * 100);
    for (set, key) in stream.records().keys().filter(|(set, _)| *set == "all") {
        let found = [&sim, &other]
            .iter()
            .filter(|each| each.get("test", set, key).is_some())
            .count();
        assert_eq!(found, 1, "{set}/{key}");
    }
}

/// The number of the group's members. `None` if the coordinator does not answer yet.
fn members(topic: &Topic, group: &str) -> Option<usize> {
    let consumer: BaseConsumer = topic.client.create().unwrap();
    let groups = consumer.fetch_group_list(Some(group), DEADLINE).ok()?;
    Some(groups.groups().iter().map(|group| group.members().len()).sum())
}

/// If a member did not leave, the group would wait until its session ends, and so would the commits of the others.
#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_member_without_partitions_leaves_the_group_when_it_stops() {
    let topic = Kafka::real().topic("spare", 1);
    let database = Database::from_env();
    // Longer than every wait in this test.
    let setup = setup(&topic, &database).consumer("session.timeout.ms = 120000");
    let services = [Service::start(&setup), Service::start(&setup)];
    wait_until(
        "two members",
        || members(&topic, &setup.group),
        |members| *members == Some(2),
    );
    let assigned = |service: &Service| service.counters.partitions_assigned.get();
    wait_until(
        "one to have the partition, and the other to know that it has none",
        || {
            services
                .each_ref()
                .map(|service| (assigned(service), service.counters.rebalances.get()))
        },
        |seen| seen.iter().map(|(assigned, _)| assigned).sum::<i64>() == 1 && seen.iter().all(|(_, times)| *times > 0),
    );
    let (with, without): (Vec<Service>, Vec<Service>) = services.into_iter().partition(|each| assigned(each) == 1);
    for service in without {
        service.stop().assert(Exit::Stopped);
    }
    wait_until(
        "one member",
        || members(&topic, &setup.group),
        |members| *members == Some(1),
    );
    for service in with {
        service.stop().assert(Exit::Stopped);
    }
    wait_until(
        "no member",
        || members(&topic, &setup.group),
        |members| *members == Some(0),
    );
}

// ---- begun again

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn records_deleted_before_they_were_read_are_counted_and_the_rest_is_read() {
    for protocol in PROTOCOLS {
        let topic = Kafka::real().topic("deleted", 2);
        let database = Database::from_env();
        let setup = setup(&topic, &database).consumer(protocol);
        let mut stream = Stream::new(&topic, 5);
        stream.produce(50);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &stream.ends());
        service.stop().assert(Exit::Stopped);
        stream.produce(100);
        delete_records(&topic, 120);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &stream.ends());
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        assert_eq!(ended.counters.offsets_lost.get(), 2 * 70, "{protocol}");
        assert_eq!(ended.counters.messages_written.get(), 2 * 30, "{protocol}");
        // All records are deleted, and no message shows it.
        stream.produce(10);
        delete_records(&topic, 160);
        let service = Service::start(&setup);
        topic.wait_committed(&setup.group, &stream.ends());
        stream.produce(10);
        topic.wait_committed(&setup.group, &stream.ends());
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        assert_eq!(ended.counters.offsets_lost.get(), 2 * 10, "{protocol}");
        assert_eq!(ended.counters.messages_written.get(), 2 * 10, "{protocol}");
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn records_deleted_during_an_outage_are_never_passed_in_silence() {
    const TEXT_BYTES: usize = 10_000;
    const MESSAGES: i64 = 1000;
    let topic = Kafka::real().topic("outage", 1);
    let sim = simulator();
    // The memory has room for about a hundred messages.
    let mut setup = setup(&topic, sim.addr()).run("memory = \"82MiB\"\nwrite_timeout = \"300ms\"");
    setup.routes = "[[route]]\n[[route.write]]\nset = \"all\"\nkey = \"id\"\nbins = [\"n\"]\n".into();
    let service = Service::start(&setup);
    service.wait_for("the partition", |counters| counters.partitions_assigned.get() == 1);
    sim.faults().stall(Stalled::Dropped);
    let producer: rdkafka::producer::BaseProducer = topic.client.create().unwrap();
    let text = "x".repeat(TEXT_BYTES);
    for n in 0..MESSAGES {
        let payload = format!(r#"{{"id":"{n}","n":{n},"text":"{text}"}}"#);
        crate::support::send(&producer, &topic.name, 0, payload.as_bytes());
    }
    rdkafka::producer::Producer::flush(&producer, crate::support::DEADLINE).unwrap();
    service.wait_for("the outage", |counters| counters.rows_retried.get() > 0);
    delete_records(&topic, MESSAGES - 100);
    assert_eq!(service.counters.offsets_lost.get(), 0);
    sim.faults().unstall();
    topic.wait_committed(&setup.group, &[Some(MESSAGES)]);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    let lost = ended.counters.offsets_lost.get();
    assert!(lost > 0, "{}", summary(&ended.counters));
    assert_eq!(ended.counters.messages_written.get() + lost, MESSAGES.unsigned_abs());
    assert_eq!(sim.records("test", "all").len() as u64 + lost, MESSAGES.unsigned_abs());
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_stray_begins_its_partition_again_with_every_protocol() {
    for protocol in PROTOCOLS {
        let topic = Kafka::real().topic("stray", 2);
        let sim = simulator();
        let mut stream = Stream::new(&topic, 5);
        let setup = setup(&topic, sim.addr()).consumer(protocol);
        let service = Service::start(&setup);
        service.wait_for("the partitions", |counters| counters.partitions_assigned.get() == 2);
        let rebalances = service.counters.rebalances.get();
        sim.faults().stall(Stalled::Dropped);
        stream.produce(1000);
        service.wait_for("every worker to wait for the database", |counters| {
            counters.rows_retried.get() > 0 && counters.messages_in_hand.get() >= 2
        });
        service.provoke.strays(&topic.name, 0);
        service.wait_for("a batch to be given back", |counters| {
            counters.messages_stray.get() > 0 && counters.messages_returned.get() > 0
        });
        sim.faults().unstall();
        topic.wait_committed(&setup.group, &stream.ends());
        assert_eq!(service.counters.rebalances.get(), rebalances, "{protocol}");
        service.stop().assert_accounted(Exit::Stopped);
        stream.assert_ledger(&sim);
    }
}

// ---- topics and partitions that come later

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_group_that_starts_at_the_end_reads_new_partitions_from_their_beginning() {
    for protocol in PROTOCOLS {
        let mut topic = Kafka::real().topic("grows", 2);
        let database = Database::from_env();
        let mut old = Stream::new(&topic, 5);
        old.produce(50);
        let consumer = format!("{protocol}\n\"topic.metadata.refresh.interval.ms\" = 1000");
        let mut setup = setup(&topic, &database).consumer(&consumer);
        setup.start = "latest";
        let service = Service::start(&setup);
        service.wait_for("the partitions", |counters| counters.partitions_assigned.get() == 2);
        assert_eq!(topic.committed(&setup.group), old.ends(), "{protocol}");
        let grown = NewPartitions::new(&topic.name, 4);
        let results = wait_for(admin().create_partitions([&grown], &AdminOptions::new())).unwrap();
        assert_eq!(results, [Ok(topic.name.clone())]);
        topic.partitions = 4;
        wait_until("the new partitions", || topic.beginnings(), |oldest| oldest.len() == 4);
        // Most messages are produced before the service knows the partitions.
        let mut new = Stream::new(&topic, 5).prefixed("new-");
        new.produce(50);
        topic.wait_committed(&setup.group, &[Some(100), Some(100), Some(50), Some(50)]);
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        assert_eq!(ended.counters.messages_written.get(), new.total(), "{protocol}");
        new.assert_ledger(&database);
    }
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_topic_that_comes_and_goes_is_told_and_holds_up_no_other() {
    let topic = Kafka::real().topic("there", 2);
    let database = Database::from_env();
    let name = unique("later");
    let mut setup = setup(&topic, &database).consumer("\"topic.metadata.refresh.interval.ms\" = 1000");
    setup.more_topics = vec![name.clone()];
    setup.start = "latest";
    let file = setup.file();
    let mut program = run_service(file.path());
    program.wait_for_line(&["WARN", "there is no such topic", &name]);
    topic.wait_committed(&setup.group, &[Some(0), Some(0)]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());

    let new = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
    wait_for(admin().create_topics([&new], &AdminOptions::new())).unwrap();
    let later = Topic {
        name: name.clone(),
        ..topic.clone()
    };
    let mut later_stream = Stream::new(&later, 5).prefixed("later-");
    later_stream.produce(50);
    later.wait_committed(&setup.group, &later_stream.ends());
    program.wait_for_line(&["INFO", "the topic is there", &name]);

    wait_for(admin().delete_topics(&[&name], &AdminOptions::new())).unwrap();
    wait_until(
        "the topic's end to be told",
        || program.output().matches("there is no such topic").count(),
        |count| *count == 2,
    );
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());
    program.signal("TERM");
    program.end().assert_code(0);
    let mut records = stream.records();
    records.extend(later_stream.records());
    crate::support::assert_ledger(&records, &database);
}

// ---- static members

/// A static member, with a session that is longer than the test.
fn instance(id: &str) -> String {
    format!("group.instance.id = \"{id}\"\nsession.timeout.ms = 45000\nheartbeat.interval.ms = 500")
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_static_member_that_is_started_again_within_its_session_disturbs_nobody() {
    let topic = Kafka::real().topic("static", 4);
    let database = Database::from_env();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = setup(&topic, &database);
    let first = Service::start(&setup.clone().consumer(&instance("a")));
    first.wait_for("all partitions", |counters| counters.partitions_assigned.get() == 4);
    let second = Service::start(&setup.clone().consumer(&instance("b")));
    let half = |service: &Service| service.wait_for("half", |counters| counters.partitions_assigned.get() == 2);
    half(&first);
    half(&second);
    topic.wait_committed(&setup.group, &stream.ends());
    let rebalances = first.counters.rebalances.get();
    let ended = second.stop();
    ended.assert(Exit::Stopped);
    stream.produce(50);
    let second = Service::start(&setup.clone().consumer(&instance("b")));
    half(&second);
    topic.wait_committed(&setup.group, &stream.ends());
    assert_eq!(
        first.counters.rebalances.get(),
        rebalances,
        "the other member was disturbed"
    );
    let written = first.stop().assert(Exit::Stopped).counters.messages_written.get()
        + ended.counters.messages_written.get()
        + second.stop().assert(Exit::Stopped).counters.messages_written.get();
    assert_eq!(written, stream.total());
    stream.assert_ledger(&database);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn a_static_member_whose_id_another_process_takes_ends_and_loses_nothing() {
    let topic = Kafka::real().topic("fenced", 2);
    let database = Database::from_env();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = setup(&topic, &database).consumer(&instance("same"));
    let file = setup.file();
    let mut first = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    let mut second = run_service(file.path());
    first.wait_for_line(&["ERROR", "group.instance.id", "another process"]);
    first.end().assert_code(78);
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());
    second.signal("TERM");
    second.end().assert_code(0);
    stream.assert_ledger(&database);
}

#[test]
#[ignore = "needs a Kafka broker: make test-kafka"]
fn where_the_brokers_share_out_the_second_process_of_a_static_member_ends() {
    let topic = Kafka::real().topic("unreleased", 2);
    let database = Database::from_env();
    let mut stream = Stream::new(&topic, 5);
    stream.produce(50);
    let setup = setup(&topic, &database).consumer("group.protocol = \"consumer\"\ngroup.instance.id = \"same\"");
    let file = setup.file();
    let mut first = run_service(file.path());
    topic.wait_committed(&setup.group, &stream.ends());
    let mut second = run_service(file.path());
    second.wait_for_line(&["ERROR", "group.instance.id", "still in the group"]);
    second.end().assert_code(75);
    stream.produce(50);
    topic.wait_committed(&setup.group, &stream.ends());
    first.signal("TERM");
    first.end().assert_code(0);
    stream.assert_ledger(&database);
}
