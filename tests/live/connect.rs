//! The commands that ask Kafka, against a real broker.

use crate::support::connect::{COUNTED, assert_line, check, the_newest_messages_of_a_topic_are_tried, write};
use crate::support::{Database, Kafka, Setup, Stream};

#[test]
#[ignore = "make test-kafka"]
fn rights_and_offsets_are_told_of_a_real_broker() {
    let kafka = Kafka::real();
    let topic = kafka.topic("check-real", 2);
    let database = Database::from_env();
    let setup = Setup::new(&kafka, &topic, &database).routes(COUNTED);
    let mut stream = Stream::new(&topic, 1);
    write(&setup, &topic, &mut stream, 10);
    let exited = check(&setup);
    exited.assert_code(0);
    // A broker without an authoriser grants everything, and says so.
    assert_line(&exited, &["ok ", &topic.name, "READ is granted"]);
    assert_line(&exited, &["ok ", "kafka group", "READ is granted"]);
    assert!(!exited.output.contains("kafka offset of"), "{}", exited.output);

    // An offset that a person sets back has no tag of ours.
    topic.commit(&setup.group, 1, 4);
    let exited = check(&setup);
    exited.assert_code(0);
    let partition = format!("{}:1", topic.name);
    assert_line(&exited, &["warning ", &partition, "was not committed by Penstock"]);
    assert_line(&exited, &["warning ", &partition, "up to 9: 6 message(s)"]);
    assert!(
        !exited.output.contains(&format!("{}:0", topic.name)),
        "{}",
        exited.output
    );
    assert_eq!(topic.committed(&setup.group), [Some(10), Some(4)]);

    topic.commit(&setup.group, 0, 17);
    let exited = check(&setup);
    exited.assert_code(1);
    assert_line(&exited, &["error ", ":0:", "17 is beyond the end, 10"]);
}

#[test]
#[ignore = "make test-kafka"]
fn the_newest_messages_of_a_real_topic_are_tried() {
    the_newest_messages_of_a_topic_are_tried(&Kafka::real(), &Database::from_env());
}
