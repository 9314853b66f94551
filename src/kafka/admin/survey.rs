//! What Kafka says about topics, rights and the group's offsets, for `check --connect`.
//!
//! It only asks: it joins no group, commits nothing, produces nothing. The brokers themselves tell which rights a user
//! has (the authorised operations of `DescribeTopics` and `DescribeConsumerGroups`, for which `rdkafka` has no call).
//! If a broker does not tell, the rights stay unknown.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::advertised::{Brokers, Learned, Unreached};
use crate::kafka::admin::asking::{Asking, Errors, is_refused_login};
use crate::kafka::admin::describe_configs::{self, Retention};
use crate::kafka::admin::describe_group::{self, DescribedGroup};
use crate::kafka::admin::describe_topics::{self, Answer, Described, Found};
use crate::kafka::admin::probe::{ProbeError, security};
use crate::kafka::admin::request::{Event, Queue, check_event, prepare};
use crate::kafka::admin::rights::Right;
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::client::{outside_config, serve};
use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::epoch;
use crate::kafka::consumer::origin::tagged_topic;
use crate::kafka::diagnosis::{Complaint, Diagnosis};
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two questions to a coordinator that is not ready.
pub(super) const NOT_READY_PAUSE: Duration = Duration::from_millis(200);
/// Time-out of a question whose answer is optional.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between a failed request and the next one. Events are processed meanwhile.
const PAUSE: Duration = Duration::from_millis(200);
/// Number of polls in one such pause.
const POLLS: u32 = 10;
/// If there is no answer for this long, the announced addresses are examined.
const LEARNED_AFTER: Duration = Duration::from_secs(3);

/// State of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicState {
    /// It exists, with these partitions.
    Present(Vec<i32>),
    /// It does not exist.
    Absent,
    /// Kafka does not allow us to see it.
    Refused,
    /// The question failed, for this reason in Kafka's words.
    Failed(String),
}

/// What was found about one topic.
#[derive(Debug, Clone)]
pub struct TopicSurvey {
    /// Its name.
    pub name: String,
    /// What was found.
    pub state: TopicState,
    /// The user's rights; `None`: not told.
    pub rights: Option<Vec<Right>>,
    /// Its current id.
    pub id: Option<TopicId>,
    /// How Kafka deletes its messages, if it is produced to; `None`: not told, or not asked for.
    pub retention: Option<Retention>,
}

/// What was found about one partition.
#[derive(Debug, Clone)]
pub struct PartitionSurvey {
    /// The name of its topic.
    pub topic: String,
    /// Its number.
    pub number: i32,
    /// The offset of the oldest message, and the offset behind the last one.
    pub range: (i64, i64),
    /// The group's committed offset.
    pub committed: Option<Committed>,
}

impl PartitionSurvey {
    /// The topic that the group's offset was committed for, if the metadata says so. Only Penstock writes such
    /// metadata.
    pub fn committed_for(&self, cluster_id: Option<&str>) -> Option<TopicId> {
        tagged_topic(&self.committed.as_ref()?.tag, cluster_id)
    }
}

/// What was found about the group.
#[derive(Debug, Clone, Default)]
pub struct GroupSurvey {
    /// The user's rights; `None`: not told.
    pub rights: Option<Vec<Right>>,
    /// Number of members; `None`: not told.
    pub members: Option<usize>,
    /// Why its offsets could not be read.
    pub failure: Option<String>,
    /// Reading was refused because a right is missing.
    pub is_refused: bool,
}

/// Everything that was found.
#[derive(Debug, Clone)]
pub struct KafkaSurvey {
    /// Kafka's id of the cluster.
    pub cluster_id: Option<String>,
    /// Number of known brokers.
    pub brokers: usize,
    /// Brokers that do not answer at the addresses that they announce.
    pub unreached: Vec<Unreached>,
    /// In the order in which they were asked for. Empty if no broker is reachable at its own address.
    pub topics: Vec<TopicSurvey>,
    /// The partitions of the consumed topics.
    pub partitions: Vec<PartitionSurvey>,
    /// The group `kafka.group`.
    pub group: GroupSurvey,
}

impl KafkaSurvey {
    /// A survey that contains only the addresses of the brokers.
    fn of_addresses(brokers: usize, unreached: Vec<Unreached>) -> KafkaSurvey {
        KafkaSurvey {
            cluster_id: None,
            brokers,
            unreached,
            topics: Vec::new(),
            partitions: Vec::new(),
            group: GroupSurvey::default(),
        }
    }
}

type Client = BaseConsumer<Asking>;

/// Asks about the topics of the configuration, including those that it produces to, and about its group.
///
/// # Errors
/// If no broker answers within `timeout`, or none accepts us.
pub fn survey(kafka: &Kafka, produced: &[&str], timeout: Duration) -> Result<KafkaSurvey, ProbeError> {
    let mut config = outside_config(kafka);
    config.set("statistics.interval.ms", Learned::INTERVAL_MS);
    let mut diagnosis = Diagnosis::new(kafka);
    let client: Client = config
        .create_with_context(Asking::new(&diagnosis, Errors::Untold))
        .map_err(|error| ProbeError::Configuration(error.to_string()))?;
    let mut brokers = Brokers::new(security(kafka));
    // Use the first answer already: if no broker is reachable at its own address, there may be no second one.
    match reach(&client, kafka, timeout, &mut diagnosis)? {
        Reached::Answer(metadata) => brokers.take(&metadata),
        Reached::Addresses { brokers, unreached } => return Ok(KafkaSurvey::of_addresses(brokers, unreached)),
    }
    // The client keeps it from the first answer on.
    let first_cluster = client.client().fetch_cluster_id(REQUEST_TIMEOUT);
    let consumed = kafka.topics.iter().map(String::as_str);
    let names: Vec<&str> = consumed.clone().chain(produced.iter().copied()).collect();
    let answers = brokers.ask(&client, &brokers.all(), &names, &StartLimit::none(), &Stop::new());
    let mut unreached = answers.unreached;
    // A question to a broker that does not answer would wait in vain.
    let Some(answering) = answers.answering.first().copied() else {
        return Ok(KafkaSurvey::of_addresses(brokers.len(), unreached));
    };
    for id in &answers.answering {
        if let (Some(first), Some(other)) = (&first_cluster, cluster_of(&client, *id))
            && *first != other
        {
            let address = brokers.address(*id).unwrap_or_default();
            return Err(ProbeError::Listener(Complaint::other_cluster(&format!(
                "kafka.brokers leads to the cluster {first}, and broker {id} of it says its address is {address}, where a \
                 broker of the cluster {other} answers"
            ))));
        }
    }
    // The client may also have met both clusters by itself. It then knows only the later one.
    serve(&client);
    if let Some(complaint) = client.context().other_cluster() {
        return Err(ProbeError::Listener(complaint));
    }
    let mut states = Vec::with_capacity(names.len());
    for name in &names {
        let metadata = client.fetch_metadata(Some(name), REQUEST_TIMEOUT);
        states.push(match metadata {
            Ok(metadata) => {
                brokers.take(&metadata);
                topic_state(&metadata, name)
            }
            Err(error) => TopicState::Failed(error.to_string()),
        });
    }
    for each in &mut unreached {
        each.leads = brokers.led_by(each.id);
    }
    // A broker that does not know rights may leave that question unanswered. So the ids are asked for separately.
    let describe = |with_rights| describe_topics(&client, answering, &names, with_rights);
    let (described, with_rights) = (describe(false), describe(true));
    let topics: Vec<TopicSurvey> = names
        .into_iter()
        .zip(states)
        .enumerate()
        .map(|(number, (name, state))| TopicSurvey {
            name: name.to_owned(),
            retention: (number >= kafka.topics.len() && matches!(state, TopicState::Present(_)))
                .then(|| describe_configs::retention(&client, answering, name, DESCRIBE_TIMEOUT))
                .flatten(),
            state,
            rights: with_rights.get(name).and_then(|topic| topic.rights.clone()),
            id: match described.get(name).map(|topic| &topic.found) {
                Some(Found::Id(id)) if !id.is_none() => Some(*id),
                _ => None,
            },
        })
        .collect();
    let mut group = describe_group(&client, &kafka.group).unwrap_or_default();
    // A refused question is asked again until its time limit.
    let of = &topics[..kafka.topics.len()];
    let until = Instant::now() + REQUEST_TIMEOUT;
    let asked = (!group.is_refused).then(|| {
        loop {
            match partitions(&client, of, &brokers, &answers.answering) {
                Err(error) if is_not_ready(&error) && Instant::now() < until => thread::sleep(NOT_READY_PAUSE),
                done => return done,
            }
        }
    });
    let partitions = match asked {
        Some(Ok(partitions)) => partitions,
        Some(Err(error)) => {
            group.is_refused = crate::kafka::consumer::committed::is_refusal(&error);
            group.failure = Some(client.context().coordinator().unwrap_or_else(|| error.to_string()));
            Vec::new()
        }
        None => Vec::new(),
    };
    let cluster_id = client.client().fetch_cluster_id(REQUEST_TIMEOUT);
    Ok(KafkaSurvey {
        cluster_id,
        brokers: brokers.len(),
        unreached,
        topics,
        partitions,
        group,
    })
}

/// Whether the group's coordinator is still being set up, as after the first question to a new cluster. It passes by
/// itself.
pub(super) fn is_not_ready(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

/// The result of the first question.
enum Reached {
    Answer(Metadata),
    /// A broker has given the addresses of all brokers; some are not reachable there, and nobody answers.
    Addresses {
        brokers: usize,
        unreached: Vec<Unreached>,
    },
}

/// Waits for the first answer of a broker.
fn reach(client: &Client, kafka: &Kafka, timeout: Duration, diagnosis: &mut Diagnosis) -> Result<Reached, ProbeError> {
    let started = Instant::now();
    let topic = kafka.topics.first().map(String::as_str);
    loop {
        let asked = client.fetch_metadata(topic, Duration::from_secs(1));
        let why = match asked {
            Ok(metadata) => return Ok(Reached::Answer(metadata)),
            Err(error) => error.to_string(),
        };
        // Refused credentials come as an event; the request itself just times out.
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            let event = client.poll(PAUSE / POLLS);
            if event.is_some_and(|event| is_refused_login(&event)) {
                let complaint = client.context().complaint();
                return Err(diagnosis.refusal().map_or_else(
                    || ProbeError::Credentials(complaint.unwrap_or_else(|| "authentication failed".into())),
                    ProbeError::Listener,
                ));
            }
        }
        // If the brokers are only slow, the next request gets the answer.
        if started.elapsed() >= timeout.min(LEARNED_AFTER) {
            let learned = Brokers::learned(client.context().learned(), security(kafka));
            let unreached = learned.look_over(&StartLimit::none(), &Stop::new());
            let is_late = started.elapsed() >= timeout;
            let brokers = learned.len();
            if !unreached.is_empty() && (is_late || unreached.len() == brokers) {
                return Ok(Reached::Addresses { brokers, unreached });
            }
        }
        let why_not = diagnosis.look(Some(started + timeout), &Stop::new());
        if let Some(complaint) = &why_not
            && (complaint.exit.is_some() || started.elapsed() >= timeout)
        {
            return Err(ProbeError::Listener(complaint.clone()));
        }
        if started.elapsed() >= timeout {
            let complaint = client.context().complaint();
            return Err(ProbeError::Unreachable(complaint.unwrap_or(why)));
        }
    }
}

fn topic_state(metadata: &Metadata, name: &str) -> TopicState {
    let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
        return TopicState::Failed("the topic is not in the broker's answer".to_owned());
    };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => {
            let mut partitions: Vec<i32> = topic.partitions().iter().map(MetadataPartition::id).collect();
            partitions.sort_unstable();
            TopicState::Present(partitions)
        }
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => TopicState::Absent,
        Some(RDKafkaErrorCode::TopicAuthorizationFailed) => TopicState::Refused,
        Some(code) => TopicState::Failed(code.to_string()),
    }
}

/// The partitions whose leaders answer.
fn partitions(
    client: &Client,
    topics: &[TopicSurvey],
    brokers: &Brokers,
    answering: &BTreeSet<i32>,
) -> Result<Vec<PartitionSurvey>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for topic in topics {
        if let TopicState::Present(partitions) = &topic.state {
            let is_led = |number: &&i32| {
                let leader = brokers.leader(&topic.name, **number);
                leader.is_none_or(|leader| answering.contains(&leader))
            };
            for number in partitions.iter().filter(is_led) {
                list.add_partition(&topic.name, *number);
            }
        }
    }
    if list.count() == 0 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let committed = client.committed_offsets(list, REQUEST_TIMEOUT);
    // Collect what librdkafka has complained about meanwhile.
    serve(client);
    let committed = committed?;
    for (element, epoch) in committed.elements().iter().zip(epoch::of_list(&committed)) {
        element.error()?;
        let committed = match element.offset() {
            Offset::Offset(offset) => Some(Committed {
                offset,
                tag: element.metadata().to_owned(),
                epoch,
            }),
            _ => None,
        };
        found.push(PartitionSurvey {
            topic: element.topic().to_owned(),
            number: element.partition(),
            range: client.fetch_watermarks(element.topic(), element.partition(), REQUEST_TIMEOUT)?,
            committed,
        });
    }
    Ok(found)
}

// ---- librdkafka

/// What a broker says about the topics; empty if it does not answer.
///
/// `broker` is named because librdkafka would otherwise ask the controller, which may not be reachable.
fn describe_topics(client: &Client, broker: i32, names: &[&str], with_rights: bool) -> HashMap<String, Described> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let Ok(queue) = describe_topics::request(client, &names, broker, DESCRIBE_TIMEOUT, with_rights) else {
        return HashMap::new();
    };
    match describe_topics::wait(&queue, DESCRIBE_TIMEOUT, &Stop::new()) {
        Answer::Topics(topics) => topics,
        Answer::Failure(_) | Answer::Stopped => HashMap::new(),
    }
}

/// Waits for the answer in the queue, if one comes.
fn answer(queue: &Queue<'_>) -> Option<Event> {
    let event = queue.answer(DESCRIBE_TIMEOUT, &Stop::new())?;
    check_event(&event).ok().map(|()| event)
}

/// The cluster that this broker belongs to, if it tells.
fn cluster_of(client: &Client, broker: i32) -> Option<String> {
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER;
    let (options, queue) = prepare(client, operation, DESCRIBE_TIMEOUT, Some(broker), false).ok()?;
    let native = client.client().native_ptr();
    // SAFETY: all are alive. The call copies the options, and counts a reference to the queue.
    unsafe { sys::rd_kafka_DescribeCluster(native, options.as_ptr(), queue.as_ptr()) };
    let event = answer(&queue)?;
    // SAFETY: the event is alive. The result is null if the event is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeCluster_result(event.as_ptr()) };
    if result.is_null() {
        return None;
    }
    // SAFETY: the result lives as long as its event.
    let id = unsafe { sys::rd_kafka_DescribeCluster_result_cluster_id(result) };
    if id.is_null() {
        return None;
    }
    // SAFETY: a string in the result, which is alive.
    Some(unsafe { CStr::from_ptr(id) }.to_string_lossy().into_owned())
}

/// Rights and members of the group, if a broker describes it.
fn describe_group(client: &Client, name: &str) -> Option<GroupSurvey> {
    Some(match describe_group::describe(client, name)? {
        DescribedGroup::Refused => GroupSurvey {
            failure: Some("the user may not see it".to_owned()),
            is_refused: true,
            ..GroupSurvey::default()
        },
        DescribedGroup::Seen { rights, members } => GroupSurvey {
            rights,
            members: Some(members.len()),
            ..GroupSurvey::default()
        },
    })
}
