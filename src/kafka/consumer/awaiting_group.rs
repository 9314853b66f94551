//! Why a member has had no partitions for a long time: it waits for its group.
//!
//! The coordinator assigns the partitions when every member has joined again. It counts a killed process as a member
//! until its session ends, and all others wait until then. Nobody can distinguish a dead member from a busy one. So
//! this code logs how long the group has not answered, and which members it counts. The main thread calls it with each
//! poll. It asks for the members on a separate thread, since the answer may take seconds. Decides nothing.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};
use log::{debug, info, warn};
use rdkafka::consumer::Consumer as _;

use crate::config::model::Config;
use crate::kafka::Consumer;
use crate::kafka::admin::topic_ids::TopicIds;
use crate::util::seconds::Seconds;
use crate::util::throttle::Throttle;

/// Live members join again within one or two heartbeats. If the group has not answered for this long, it waits for
/// somebody.
const WORTH_TELLING: Duration = Duration::from_secs(5);
/// With `group.protocol = "consumer"` the brokers answer at once, but may assign nothing. After this time (with the
/// brokers' default) the group has noticed a dead member. A member without partitions is then one too many.
const NOTHING_GIVEN_MAX: Duration = Duration::from_secs(60);
/// librdkafka's default for `session.timeout.ms`.
const SESSION_DEFAULT: Duration = Duration::from_secs(45);

/// The members that the group counts, each as client and host; `None`: not known.
type Members = Option<Vec<String>>;

/// Logs how long the group has not answered.
pub struct AwaitingGroup {
    group: String,
    session: Duration,
    is_static: bool,
    /// `group.protocol = "consumer"`.
    is_next_generation: bool,
    pace: Pace,
    /// The pending question for the members.
    asked: Option<Receiver<Members>>,
}

impl AwaitingGroup {
    pub fn new(config: &Config) -> AwaitingGroup {
        let kafka = &config.kafka;
        let property = |name: &str| kafka.consumer_property(name);
        let session_ms = property("session.timeout.ms").and_then(|text| text.parse().ok());
        AwaitingGroup {
            group: kafka.group.clone(),
            session: session_ms.map_or(SESSION_DEFAULT, Duration::from_millis),
            is_static: property("group.instance.id").is_some(),
            is_next_generation: property("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer")),
            pace: Pace::new(Instant::now()),
            asked: None,
        }
    }

    /// Logs that the group does not answer, if it is time. `partitions`: how many are read in this process.
    pub fn tick(&mut self, consumer: &Consumer, partitions: usize, topic_ids: &Arc<TopicIds>) {
        let context = consumer.context();
        let unanswered = if self.is_next_generation {
            self.nothing_given(context.is_connected() == Some(true))
        } else {
            context.joining_for()
        };
        if let Some(asked) = &self.asked {
            let members = match asked.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(members) => members,
                Err(TryRecvError::Disconnected) => None,
            };
            self.asked = None;
            // The wait may be over by now.
            if partitions == 0 && unanswered.is_some() {
                self.tell(members.as_deref());
            }
        }
        let is_due = self.pace.is_due(Instant::now(), partitions, unanswered);
        if is_due && self.is_next_generation {
            info!(
                "kafka: the group has given this process no partition: it has as many other members as partitions, or it \
                 still counts a member that is gone, until its session ends (group.consumer.session.timeout.ms of the \
                 brokers, 45 s unless set there). Nothing is lost waited={}",
                Seconds(self.pace.waits_since.elapsed())
            );
        } else if is_due {
            self.asked = Some(ask(topic_ids.clone(), self.group.clone()));
        }
    }

    /// How long nothing has been assigned, while a dead member may be the cause.
    fn nothing_given(&self, is_connected: bool) -> Option<Duration> {
        let waited = self.pace.waits_since.elapsed();
        (is_connected && waited <= NOTHING_GIVEN_MAX).then(|| waited.saturating_sub(WORTH_TELLING))
    }

    fn tell(&self, members: Option<&[String]>) {
        let waited = self.pace.waits_since.elapsed();
        let Some(line) = line(members, waited, self.session, self.is_static) else {
            debug!(
                "kafka: the group has not answered, and counts nobody else for={}",
                Seconds(waited)
            );
            return;
        };
        warn!("{line}");
    }
}

/// Decides when to log.
struct Pace {
    /// There have been no partitions since then.
    waits_since: Instant,
    lines: Throttle,
}

impl Pace {
    fn new(now: Instant) -> Pace {
        Pace {
            waits_since: now,
            lines: Throttle::default(),
        }
    }

    /// `unanswered`: how long the group has not answered, as far as the statistics show; `None`: it has answered.
    fn is_due(&mut self, now: Instant, partitions: usize, unanswered: Option<Duration>) -> bool {
        if partitions > 0 {
            *self = Pace::new(now);
        }
        partitions == 0
            && unanswered.is_some_and(|unanswered| unanswered + WORTH_TELLING / 10 >= WORTH_TELLING)
            && self.lines.pass_at(now).is_some()
    }
}

fn ask(topic_ids: Arc<TopicIds>, group: String) -> Receiver<Members> {
    let (sender, members) = bounded(1);
    let asking = thread::Builder::new()
        .name("group-members".into())
        .spawn(move || sender.send(topic_ids.group_members(&group)));
    if let Err(error) = asking {
        debug!("kafka: the group's members are not asked for error=\"{error}\"");
    }
    members
}

/// The log line. `None`: the group counts no other member, so it waits for nobody.
fn line(members: Option<&[String]>, waited: Duration, session: Duration, is_static: bool) -> Option<String> {
    let counted = match members {
        Some([] | [_]) => return None,
        Some(members) => format!(
            " members={} who=\"this process among them: {}\"",
            members.len(),
            members.join(", ")
        ),
        None => String::new(),
    };
    let cure = if is_static {
        "wait; or find the member that does not answer"
    } else {
        "wait; with group.instance.id in [kafka.consumer] a process that is started again has its partitions at once"
    };
    Some(format!(
        "kafka: the group has not given out its partitions: it still counts a member that has not joined again. A process \
         that was killed is counted until its session ends, up to {session} (session.timeout.ms). Nothing is lost \
         waited={waited}{counted} cure=\"{cure}\"",
        session = Seconds(session),
        waited = Seconds(waited)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_group_that_does_not_answer_is_told_once_in_ten_seconds_and_no_more_when_it_has() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let at = |seconds| begin + seconds * SECOND;
        // The first statistics that say so may have been made at any moment.
        assert!(!pace.is_due(at(5), 0, Some(Duration::ZERO)));
        assert!(pace.is_due(at(10), 0, Some(5 * SECOND)));
        assert!(!pace.is_due(at(15), 0, Some(10 * SECOND)));
        assert!(pace.is_due(at(20), 0, Some(15 * SECOND)));
        assert!(
            !pace.is_due(at(30), 0, None),
            "it has answered: there is nothing for this member"
        );
        assert!(
            !pace.is_due(at(40), 2, Some(35 * SECOND)),
            "it goes on with what it has"
        );
        assert_eq!(pace.waits_since, at(40));
    }

    #[test]
    fn the_line_says_whom_the_group_counts_and_how_long_it_can_last() {
        let members = ["penstock at /10.0.0.1".to_owned(), "penstock at /10.0.0.2".to_owned()];
        let told = line(Some(&members), 12 * SECOND, 45 * SECOND, false).unwrap();
        for part in [
            "still counts a member",
            "up to 45s (session.timeout.ms)",
            "waited=12s members=2 ",
            "penstock at /10.0.0.1, penstock at /10.0.0.2",
            "group.instance.id",
        ] {
            assert!(told.contains(part), "no {part:?} in {told}");
        }
        assert!(
            !line(None, SECOND, 6 * SECOND, true)
                .unwrap()
                .contains("group.instance.id")
        );
    }

    #[test]
    fn a_group_that_counts_nobody_else_waits_for_nobody() {
        let alone = ["penstock at /10.0.0.1".to_owned()];
        assert_eq!(line(Some(&alone), 12 * SECOND, 45 * SECOND, false), None);
        assert_eq!(line(Some(&[]), 12 * SECOND, 45 * SECOND, false), None);
    }
}
