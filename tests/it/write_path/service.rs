//! The same in the whole service: offsets, exit codes, counters, several topics and groups.

use penstock::util::exit::Exit;
use penstock_sim::{NamespaceConfig, Share, SimConfig, Simulator};
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::support::lines::Lines;
use crate::support::{DEADLINE, Kafka, Service, Setup, Topic, send, simulator, summary, unique};

const COUNT: &str = "[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = { n = 1 }";

/// Messages `from` to `to` for all topics, for `keys` records.
fn produce(topic: &Topic, from: i64, to: i64, keys: i64) {
    let producer: BaseProducer = topic.client.create().unwrap();
    for n in from..to {
        send(
            &producer,
            &topic.name,
            0,
            format!(r#"{{"id":"k{}","v":{n}}}"#, n % keys).as_bytes(),
        );
    }
    producer.flush(DEADLINE).unwrap();
}

fn run(setup: &Setup, messages: u64) -> std::sync::Arc<penstock::observe::counters::Counters> {
    Lines::gather();
    let service = Service::start(setup);
    service.wait_written(messages);
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    ended.counters.clone()
}

fn counts(sim: &Simulator, keys: i64) -> Vec<Option<i64>> {
    (0..keys)
        .map(|key| sim.get("test", "s", &format!("k{key}"))?.int("n"))
        .collect()
}

/// With a time-out that no attempt reaches, so that rows are sent only once.
fn patient(kafka: &Kafka, topic: &Topic, sim: &Simulator, rows: usize) -> Setup {
    Setup::new(kafka, topic, sim.addr())
        .run(&format!(
            "batch_rows_max = {rows}\nwrite_timeout = \"3s\"\nshutdown_grace = \"20s\""
        ))
        .routes(COUNT)
}

/// A crash after the write and before the commit.
#[test]
fn messages_that_come_again_in_other_batches_count_once_and_as_written() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("again", 1);
    let sim = simulator();
    let setup = |rows, group: &str| Setup {
        group: group.into(),
        ..patient(&kafka, &topic, &sim, rows)
    };
    let group = unique("group");
    produce(&topic, 0, 37, 4);
    run(&setup(3, &group), 37);
    kafka.refuse_commits(true);
    produce(&topic, 37, 200, 4);
    let counters = run(&setup(7, &group), 163);
    assert_eq!(
        (counters.rows_written.get(), counters.rows_guard_refused.get()),
        (163, 0)
    );
    assert_eq!(topic.committed(&group), [Some(37)]);
    assert_eq!(counts(&sim, 4), vec![Some(50); 4]);
    for rows in [200, 1] {
        let counters = run(&setup(rows, &group), 163);
        assert_eq!(counters.messages_written.get(), 163, "{}", summary(&counters));
        assert_eq!(
            (counters.rows_written.get(), counters.rows_guard_refused.get()),
            (0, 163)
        );
        assert_eq!(counts(&sim, 4), vec![Some(50); 4]);
    }
    // And new messages behind them.
    kafka.refuse_commits(false);
    produce(&topic, 200, 220, 4);
    let counters = run(&setup(40, &group), 183);
    assert_eq!(
        (counters.rows_written.get(), counters.rows_guard_refused.get()),
        (20, 163)
    );
    assert_eq!(topic.committed(&group), [Some(220)]);
    assert_eq!(counts(&sim, 4), vec![Some(55); 4]);
}

#[test]
fn several_topics_and_several_groups_write_one_record() {
    let kafka = Kafka::mock();
    let (one, two) = (kafka.topic("one", 1), kafka.topic("two", 1));
    let sim = simulator();
    produce(&one, 0, 30, 2);
    produce(&two, 0, 50, 2);
    let mut setup = patient(&kafka, &one, &sim, 10);
    setup.topic = format!("{}\", \"{}", one.name, two.name);
    let mut other = setup.clone();
    other.group = unique("other");
    kafka.refuse_commits(true);
    run(&setup, 80);
    assert_eq!(counts(&sim, 2), vec![Some(40); 2]);
    // Another service that reads the same messages.
    run(&other, 80);
    assert_eq!(counts(&sim, 2), vec![Some(80); 2]);
    // Both read everything again.
    run(&setup, 80);
    run(&other, 80);
    assert_eq!(counts(&sim, 2), vec![Some(80); 2]);
    // An intended re-run.
    setup.run += "\nguard_epoch = 1";
    run(&setup, 80);
    assert_eq!(counts(&sim, 2), vec![Some(120); 2]);
}

#[test]
fn a_user_who_may_not_write_any_more_ends_the_service() {
    Lines::gather();
    let kafka = Kafka::mock();
    let topic = kafka.topic("forbidden", 1);
    let sim = simulator();
    produce(&topic, 0, 20, 2);
    let setup = patient(&kafka, &topic, &sim, 10);
    let service = Service::start(&setup);
    service.wait_written(20);
    sim.faults().fail_rows(81, Share::Fraction(1.0));
    produce(&topic, 20, 40, 2);
    let ended = service.end();
    ended.assert(Exit::Credentials);
    assert_eq!(topic.committed(&setup.group), [Some(20)]);
    sim.faults().clear();
    run(&setup, 20);
    assert_eq!(counts(&sim, 2), vec![Some(20); 2]);
}

#[test]
fn a_namespace_that_went_away_ends_the_service_and_a_cluster_that_did_does_not() {
    Lines::gather();
    let kafka = Kafka::mock();
    let topic = kafka.topic("vanished", 1);
    let with = |namespaces: &[&str]| SimConfig {
        namespaces: namespaces.iter().map(|name| NamespaceConfig::new(*name)).collect(),
        ..SimConfig::default()
    };
    let sim = Simulator::start(with(&["test", "gold"])).unwrap();
    let listen = sim.addr();
    produce(&topic, 0, 20, 2);
    let routes = "[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]\n\
                  [[route.write]]\nnamespace = \"gold\"\nset = \"s\"\nkey = \"id\"\nbins = [\"v\"]";
    let setup = patient(&kafka, &topic, &sim, 10).routes(routes);
    let service = Service::start(&setup);
    service.wait_written(20);
    // It is away: the service waits.
    sim.faults().refuse(true);
    produce(&topic, 20, 40, 2);
    let retried = service.counters.rows_retried.get();
    service.wait_for("rows to be tried again", |c| c.rows_retried.get() > retried + 6);
    sim.faults().refuse(false);
    service.wait_written(40);
    // It comes back without the namespace.
    drop(sim);
    let sim = Simulator::start(SimConfig {
        listen,
        ..with(&["test"])
    })
    .unwrap();
    produce(&topic, 40, 60, 2);
    let ended = service.end();
    ended.assert(Exit::Configuration);
    assert_eq!(topic.committed(&setup.group), [Some(40)]);
    drop(sim);
}

#[test]
fn a_conflict_holds_its_partition_and_one_that_is_ignored_is_counted() {
    Lines::gather();
    let kafka = Kafka::mock();
    let topic = kafka.topic("conflict", 1);
    let sim = simulator();
    produce(&topic, 0, 10, 9);
    let create = format!("{COUNT}\nmode = \"create\"");
    let setup = patient(&kafka, &topic, &sim, 10).routes(&create);
    let service = Service::start(&setup);
    service.wait_for("a message to be rejected", |c| c.messages_rejected.get() > 0);
    service.stop().assert(Exit::Rejected);
    assert_eq!(topic.committed(&setup.group), [Some(9)]);
    let counters = run(&setup.clone().routes(&format!("{create}\non_conflict = \"ignore\"")), 1);
    assert_eq!(counters.rows_ignored.get(), 1, "{}", summary(&counters));
    assert_eq!(topic.committed(&setup.group), [Some(10)]);
    assert_eq!(counts(&sim, 9), vec![Some(1); 9]);
}

#[test]
fn what_cannot_be_repeated_and_may_be_applied_holds_its_partition() {
    Lines::gather();
    let kafka = Kafka::mock();
    for in_doubt in ["reject", "hold"] {
        let topic = kafka.topic("doubt", 1);
        let sim = simulator();
        let setup =
            patient(&kafka, &topic, &sim, 10).routes(&format!("{COUNT}\nguard = false\nin_doubt = \"{in_doubt}\""));
        produce(&topic, 0, 10, 2);
        let service = Service::start(&setup);
        service.wait_written(10);
        sim.faults().reset_next(1);
        produce(&topic, 10, 11, 2);
        service.wait_for("a message to be rejected", |c| c.messages_rejected.get() > 0);
        service.stop().assert(Exit::Rejected);
        assert_eq!(topic.committed(&setup.group), [Some(10)]);
        assert_eq!(counts(&sim, 2), [Some(6), Some(5)]);
    }
}
