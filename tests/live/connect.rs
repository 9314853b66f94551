//! The commands that ask Kafka, against a real broker.

use crate::support::connect::{COUNTED, assert_line, check, the_newest_messages_of_a_topic_are_tried, write};
use crate::support::{Database, Kafka, Setup, Stream, unique};

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

/// A letter has the time of its message, so retention may delete it at once.
#[test]
#[ignore = "make test-kafka"]
fn a_topic_of_letters_that_go_by_the_time_of_their_messages_is_told() {
    let kafka = Kafka::real();
    let topic = kafka.topic("check-letters", 1);
    let database = Database::from_env();
    let append = ("message.timestamp.type", "LogAppendTime");
    for (settings, is_told) in [
        (&[][..], true),
        (&[append], false),
        (&[("retention.ms", "-1")], false),
        (&[("cleanup.policy", "compact")], false),
    ] {
        let dead = kafka.topic_with(unique("check-dead"), 1, settings);
        let reject = format!(
            "{COUNTED}\n[reject]\naction = \"dead_letter\"\ntopic = \"{}\"\n",
            dead.name
        );
        let exited = check(&Setup::new(&kafka, &topic, &database).routes(&reject));
        exited.assert_code(0);
        if is_told {
            let cure = format!(
                "--topic {} --add-config message.timestamp.type=LogAppendTime",
                dead.name
            );
            assert_line(
                &exited,
                &["warning ", &dead.name, "retention.ms, 604800000, counts from"],
            );
            assert!(exited.output.contains(&cure), "{}", exited.output);
        } else {
            assert!(
                !exited.output.contains("LogAppendTime"),
                "{settings:?}\n{}",
                exited.output
            );
        }
    }
}

#[test]
#[ignore = "make test-kafka"]
fn the_newest_messages_of_a_real_topic_are_tried() {
    the_newest_messages_of_a_topic_are_tried(&Kafka::real(), &Database::from_env());
}
