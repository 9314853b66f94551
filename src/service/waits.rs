//! What the service waits for: as one word, and as a sentence.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;

use crate::kafka::producer::Failing;
use crate::observe::progress::State;
use crate::service::start::Service;

/// Everything that the service may wait for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Namespaces that refuse rows.
    pub closed: Vec<String>,
    /// How long all writes have failed.
    pub failing_for: Option<Duration>,
    /// Why, if that was found out.
    pub why_failing: Option<String>,
    /// Number of records that wait because of an unexpected answer.
    pub unexpected: usize,
    /// The output topic that accepts no messages, while a worker has messages for it.
    pub not_taking: Option<Failing>,
    /// Number of partitions that make no progress without a known reason.
    pub stalled: usize,
    /// Number of partitions that wait until a person acts.
    pub held: usize,
    /// Whether a broker is reached. `None`: not known yet.
    pub is_connected: Option<bool>,
    /// Number of assigned partitions.
    pub partitions: i64,
}

impl Waits {
    /// What the service waits for now. `stalled`: the number of partitions that the watchdog reports as stalled;
    /// `held`: the number of held partitions.
    pub fn of(service: &Service, stalled: usize, held: usize) -> Waits {
        let health = service.store.health();
        Waits {
            closed: health.closed(),
            failing_for: health.failing_for().or_else(|| service.store.refused_for()),
            why_failing: service.store.why_away(),
            unexpected: health.unexpected(),
            not_taking: service.not_taking(),
            stalled,
            held,
            is_connected: service.consumer.context().is_connected(),
            partitions: service.counters.partitions_assigned.get(),
        }
    }

    /// The state. If several apply, it is the one that a person would look at first.
    pub fn state(self) -> State {
        if !self.closed.is_empty() {
            State::NamespaceClosed(self.closed)
        } else if let Some(since) = self.failing_for {
            State::WaitingForAerospike(since, self.why_failing)
        } else if self.unexpected > 0 {
            State::RecordHeld
        } else if let Some(Failing { topic, since, .. }) = self.not_taking {
            State::WaitingForTopic(topic, since)
        } else if self.stalled > 0 {
            State::Stalled(self.stalled)
        } else if self.held > 0 {
            State::Held
        } else if self.is_connected == Some(false) {
            State::WaitingForKafka
        } else if self.partitions == 0 {
            State::NoPartitions
        } else {
            State::Ok
        }
    }
}

/// The state in a sentence: what happens, whether data is lost, and what to do if a person must act.
/// `has_joined`: whether the first assignment has been made.
pub(super) fn sentence(state: &State, partitions: usize, held: usize, has_joined: bool) -> String {
    match state {
        State::NamespaceClosed(namespaces) => format!(
            "Aerospike refuses writes to {} now. The rows wait and are tried again; nothing is lost. The log says why.",
            namespaces.join(", ")
        ),
        State::WaitingForAerospike(since, Some(why)) => format!(
            "No write has succeeded for {since:.0?}: {why}. Reading waits and nothing is lost; it goes on by itself when \
             that is mended."
        ),
        State::WaitingForAerospike(since, None) => format!(
            "Aerospike has not answered for {since:.0?}. Reading waits and nothing is lost; it goes on by itself when the \
             database answers."
        ),
        State::RecordHeld => {
            "Aerospike gave a row an answer that this version does not know. Its record and partition wait; see the log."
                .to_owned()
        }
        State::WaitingForTopic(topic, since) => format!(
            "Kafka has taken no message for the topic {topic} for {since:.0?}. Whoever has one waits; nothing is lost. The \
             log says why."
        ),
        State::Stalled(stalled) => format!(
            "{} no progress though nothing excuses it. A restart reads on from the last commit; see the log.",
            of_partitions(*stalled, partitions, "makes", "make")
        ),
        State::Held => format!(
            "{} at a message until a person acts. The others go on. See each partition for what to do.",
            of_partitions(held, partitions, "waits", "wait")
        ),
        State::WaitingForKafka => "No Kafka broker is reached. It is tried again; nothing is lost.".to_owned(),
        State::NoPartitions if !has_joined => {
            "Waiting for the group to give this process its partitions, which it does when every member has answered. If \
             that takes long, the log says why."
                .to_owned()
        }
        State::NoPartitions => {
            "The group has given this process no partition: other members read them, or the topics are not there."
                .to_owned()
        }
        State::Ok => match partitions {
            1 => "The partition is read, and what is read is written.".to_owned(),
            _ => format!("{partitions} partitions are read, and what is read is written."),
        },
    }
}

fn of_partitions(some: usize, all: usize, one: &str, many: &str) -> String {
    let verb = if some == 1 { one } else { many };
    format!("{some} of {all} partitions {verb}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that waits for everything at once.
    fn all() -> Waits {
        Waits {
            closed: vec!["test".to_owned()],
            failing_for: Some(Duration::from_secs(3)),
            why_failing: None,
            unexpected: 1,
            not_taking: Some(Failing {
                topic: "out".to_owned(),
                since: Duration::from_secs(1),
                why: String::new(),
            }),
            stalled: 2,
            held: 1,
            is_connected: Some(false),
            partitions: 0,
        }
    }

    #[test]
    fn of_several_waits_the_line_tells_the_one_to_look_at_first() {
        let mut told = Vec::new();
        let lift: [fn(&mut Waits); 8] = [
            |waits| waits.closed.clear(),
            |waits| waits.failing_for = None,
            |waits| waits.unexpected = 0,
            |waits| waits.not_taking = None,
            |waits| waits.stalled = 0,
            |waits| waits.held = 0,
            |waits| waits.is_connected = None,
            |waits| waits.partitions = 1,
        ];
        for lifted in 0..=lift.len() {
            let mut waits = all();
            lift[..lifted].iter().for_each(|lift| lift(&mut waits));
            told.push(waits.state().word());
        }
        assert_eq!(
            told,
            [
                "namespace-closed",
                "waiting-for-aerospike",
                "record-held",
                "waiting-for-topic",
                "stalled",
                "held",
                "waiting-for-kafka",
                "no-partitions",
                "ok"
            ]
        );
    }

    #[test]
    fn a_sentence_says_how_many_and_whether_anything_is_lost() {
        let held = sentence(&State::Held, 8, 1, true);
        assert!(
            held.starts_with("1 of 8 partitions waits at a message until a person acts."),
            "{held}"
        );
        let away = sentence(&State::WaitingForAerospike(Duration::from_secs(12), None), 8, 0, true);
        assert!(
            away.starts_with("Aerospike has not answered for 12s.") && away.contains("nothing is lost"),
            "{away}"
        );
        let refused = State::WaitingForAerospike(Duration::from_secs(12), Some("refused".to_owned()));
        let refused = sentence(&refused, 8, 0, true);
        assert!(
            refused.starts_with("No write has succeeded for 12s: refused."),
            "{refused}"
        );
        assert!(sentence(&State::Ok, 1, 0, true).starts_with("The partition is read"));
        let joining = sentence(&State::NoPartitions, 0, 0, false);
        assert!(joining.starts_with("Waiting for the group "), "{joining}");
        let spare = sentence(&State::NoPartitions, 0, 0, true);
        assert!(
            spare.starts_with("The group has given this process no partition"),
            "{spare}"
        );
    }
}
