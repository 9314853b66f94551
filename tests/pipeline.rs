//! The whole pipeline in the process: a mock broker, the service as the binary runs it, a simulator that fails on
//! command. What must hold at the end: every record is what the messages ask for, and the offsets say so.
#![cfg(feature = "sim")]
// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use penstock::ops::exit::Exit;
use support::{Kafka, Service, Setup, Stream, simulator};

#[test]
fn messages_of_several_partitions_become_records_and_are_committed_to_their_ends() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("events", 4);
    let sim = simulator();
    let mut stream = Stream::new(&topic, 7);
    stream.produce(1000);
    let setup = Setup::new(&kafka, &topic, sim.addr());
    let service = Service::start(&setup);
    service.wait_written(stream.total());
    let ended = service.stop();
    ended.assert(Exit::Stopped);
    assert_eq!(ended.counters.messages_written.get(), stream.total());
    assert_eq!(topic.committed(&setup.group), stream.ends());
    assert_eq!(topic.ends(), stream.ends());
    stream.assert_ledger(&sim);
    let stats = sim.stats();
    assert_eq!(stats.duplicate_rows, 0, "a batch held a key twice: {stats:?}");
    assert!(stats.biggest_batch <= 40, "{stats:?}");
}
