//! What Kafka says of topics, rights and the group's offsets, for `check --connect`.
//!
//! Asks only: joins no group, commits nothing, produces nothing. Which rights a user has is told by the brokers themselves
//! (the authorised operations of `DescribeTopics` and `DescribeConsumerGroups`, which `rdkafka` has no call for); a
//! broker that does not tell leaves it open.

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
use crate::kafka::admin::describe_topics::{self, Answer, Described, Found};
use crate::kafka::admin::probe::{ProbeError, security};
use crate::kafka::admin::request::{Event, Queue, check_error, check_event, prepare};
use crate::kafka::admin::rights::{Right, rights};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::client::{outside_config, serve};
use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::epoch;
use crate::kafka::consumer::origin::tagged_topic;
use crate::kafka::diagnosis::{Complaint, Diagnosis};
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions to a coordinator that is not ready.
const NOT_READY_PAUSE: Duration = Duration::from_millis(200);
/// Of a question that may stay open.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Between a request that failed and the next one, in which events are taken.
const PAUSE: Duration = Duration::from_millis(200);
/// In so many parts.
const POLLS: u32 = 10;
/// Without an answer for so long, the addresses that the brokers give are looked at.
const LEARNED_AFTER: Duration = Duration::from_secs(3);

/// What was found of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicState {
    /// With its partitions.
    Present(Vec<i32>),
    /// There is no such topic.
    Absent,
    /// Kafka does not let us see it.
    Refused,
    /// With Kafka's words.
    Failed(String),
}

/// Of one topic.
#[derive(Debug, Clone)]
pub struct TopicSurvey {
    /// Its name.
    pub name: String,
    /// What was found.
    pub state: TopicState,
    /// The user's rights; `None`: not told.
    pub rights: Option<Vec<Right>>,
    /// The id that it has now.
    pub id: Option<TopicId>,
}

/// Of one partition.
#[derive(Debug, Clone)]
pub struct PartitionSurvey {
    /// Of this topic.
    pub topic: String,
    /// Its number.
    pub number: i32,
    /// The oldest message that is there, and the offset behind the last one.
    pub range: (i64, i64),
    /// The group's offset.
    pub committed: Option<Committed>,
}

impl PartitionSurvey {
    /// The topic that the group's offset was committed for, where it says so; nothing says so but Penstock itself.
    pub fn committed_for(&self, cluster_id: Option<&str>) -> Option<TopicId> {
        tagged_topic(&self.committed.as_ref()?.tag, cluster_id)
    }
}

/// Of the group.
#[derive(Debug, Clone, Default)]
pub struct GroupSurvey {
    /// The user's rights; `None`: not told.
    pub rights: Option<Vec<Right>>,
    /// How many members it has; `None`: not told.
    pub members: Option<usize>,
    /// Why its offsets could not be asked for.
    pub failure: Option<String>,
    /// It was refused for want of rights.
    pub is_refused: bool,
}

/// All that was found.
#[derive(Debug, Clone)]
pub struct KafkaSurvey {
    /// As Kafka calls its cluster.
    pub cluster_id: Option<String>,
    /// How many brokers are known.
    pub brokers: usize,
    /// Those that do not answer at the addresses that they give.
    pub unreached: Vec<Unreached>,
    /// In the order that they were asked for; none where no broker is reached at its own address.
    pub topics: Vec<TopicSurvey>,
    /// Of the topics that are consumed.
    pub partitions: Vec<PartitionSurvey>,
    /// Of `kafka.group`.
    pub group: GroupSurvey,
}

impl KafkaSurvey {
    /// Nothing but where the brokers say that they are.
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

/// Asks about the topics of the configuration, those that it produces to among them, and about its group.
///
/// # Errors
/// When no broker answers within `timeout`, or none lets us in.
pub fn survey(kafka: &Kafka, produced: &[&str], timeout: Duration) -> Result<KafkaSurvey, ProbeError> {
    let mut config = outside_config(kafka);
    config.set("statistics.interval.ms", Learned::INTERVAL_MS);
    let mut diagnosis = Diagnosis::new(kafka);
    let client: Client = config
        .create_with_context(Asking::new(&diagnosis, Errors::Untold))
        .map_err(|error| ProbeError::Configuration(error.to_string()))?;
    let mut brokers = Brokers::new(security(kafka));
    // Of the first answer already: where no broker is reached at its own address, there may be no second one.
    match reach(&client, kafka, timeout, &mut diagnosis)? {
        Reached::Answer(metadata) => brokers.take(&metadata),
        Reached::Addresses { brokers, unreached } => return Ok(KafkaSurvey::of_addresses(brokers, unreached)),
    }
    // Kept by the client from the first answer on.
    let first_cluster = client.client().fetch_cluster_id(REQUEST_TIMEOUT);
    let consumed = kafka.topics.iter().map(String::as_str);
    let names: Vec<&str> = consumed.clone().chain(produced.iter().copied()).collect();
    let answers = brokers.ask(&client, &brokers.all(), &names, &StartLimit::none(), &Stop::new());
    let mut unreached = answers.unreached;
    // What is asked of one that does not answer would wait in vain.
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
    // Or the client has met both by itself, and then knows the later one.
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
    // A broker that does not know of rights may leave that question unanswered, and with it that of the ids.
    let describe = |with_rights| describe_topics(&client, answering, &names, with_rights);
    let (described, with_rights) = (describe(false), describe(true));
    let topics: Vec<TopicSurvey> = names
        .into_iter()
        .zip(states)
        .map(|(name, state)| TopicSurvey {
            name: name.to_owned(),
            state,
            rights: with_rights.get(name).and_then(|topic| topic.rights.clone()),
            id: match described.get(name).map(|topic| &topic.found) {
                Some(Found::Id(id)) if !id.is_none() => Some(*id),
                _ => None,
            },
        })
        .collect();
    let mut group = describe_group(&client, &kafka.group).unwrap_or_default();
    // A question that is refused is asked again until its time is over.
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

/// Whether the group's coordinator is still being made, as after the first question to a new cluster. It passes by itself.
fn is_not_ready(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
        )
    )
}

/// What came of the first question.
enum Reached {
    Answer(Metadata),
    /// A broker has said where they all are, and some are not reached there; nobody answers what is asked.
    Addresses {
        brokers: usize,
        unreached: Vec<Unreached>,
    },
}

/// Waits for a broker's first answer.
fn reach(client: &Client, kafka: &Kafka, timeout: Duration, diagnosis: &mut Diagnosis) -> Result<Reached, ProbeError> {
    let started = Instant::now();
    let topic = kafka.topics.first().map(String::as_str);
    loop {
        let asked = client.fetch_metadata(topic, Duration::from_secs(1));
        let why = match asked {
            Ok(metadata) => return Ok(Reached::Answer(metadata)),
            Err(error) => error.to_string(),
        };
        // Refused credentials come as an event, while the request itself just times out.
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
        // Of brokers that are merely slow the next request has the answer.
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

/// Those whose leaders answer.
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
    // What librdkafka complained of meanwhile.
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

/// What a broker tells of the topics; nothing where it does not answer.
///
/// `broker` is asked: without one librdkafka would ask the controller, which need not be there.
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

/// The answer that comes to the queue, if one comes.
fn answer(queue: &Queue<'_>) -> Option<Event> {
    let event = queue.answer(DESCRIBE_TIMEOUT, &Stop::new())?;
    check_event(&event).ok().map(|()| event)
}

/// The cluster that this broker is of, if it tells.
fn cluster_of(client: &Client, broker: i32) -> Option<String> {
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER;
    let (options, queue) = prepare(client, operation, DESCRIBE_TIMEOUT, Some(broker), false).ok()?;
    let native = client.client().native_ptr();
    // SAFETY: all are alive; the call copies the options, and keeps the queue by counting it.
    unsafe { sys::rd_kafka_DescribeCluster(native, options.as_ptr(), queue.as_ptr()) };
    let event = answer(&queue)?;
    // SAFETY: the event is alive; null if it is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeCluster_result(event.as_ptr()) };
    if result.is_null() {
        return None;
    }
    // SAFETY: the result lives as long as its event.
    let id = unsafe { sys::rd_kafka_DescribeCluster_result_cluster_id(result) };
    if id.is_null() {
        return None;
    }
    // SAFETY: a string of the living result.
    Some(unsafe { CStr::from_ptr(id) }.to_string_lossy().into_owned())
}

/// Rights and members of the group, if a broker describes it.
fn describe_group(client: &Client, name: &str) -> Option<GroupSurvey> {
    let name = CString::new(name).ok()?;
    let mut names = [name.as_ptr()];
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let (options, queue) = prepare(client, operation, DESCRIBE_TIMEOUT, None, true).ok()?;
    let native = client.client().native_ptr();
    // SAFETY: all are alive; the call copies the name and the options, and keeps the queue by counting it.
    unsafe { sys::rd_kafka_DescribeConsumerGroups(native, names.as_mut_ptr(), 1, options.as_ptr(), queue.as_ptr()) };
    let event = answer(&queue)?;
    // SAFETY: the event is alive; null if it is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeConsumerGroups_result(event.as_ptr()) };
    if result.is_null() {
        return None;
    }
    let mut count = 0;
    // SAFETY: the result lives as long as its event.
    let groups = unsafe { sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count) };
    if groups.is_null() || count == 0 {
        return None;
    }
    // SAFETY: there is at least one pointer, alive as long as the event.
    let group = unsafe { *groups };
    if group.is_null() {
        return None;
    }
    // SAFETY: a description of the living event.
    let error = unsafe { sys::rd_kafka_ConsumerGroupDescription_error(group) };
    // SAFETY: of the same description.
    match unsafe { check_error(error) } {
        Ok(()) => {}
        Err(RDKafkaErrorCode::GroupAuthorizationFailed) => {
            return Some(GroupSurvey {
                failure: Some("the user may not see it".to_owned()),
                is_refused: true,
                ..GroupSurvey::default()
            });
        }
        Err(_) => return None,
    }
    let mut count = 0;
    // SAFETY: a description of the living event.
    let operations = unsafe { sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count) };
    // SAFETY: a description of the living event.
    let members = unsafe { sys::rd_kafka_ConsumerGroupDescription_member_count(group) };
    Some(GroupSurvey {
        // SAFETY: as many as told, alive as long as the event.
        rights: unsafe { rights(operations, count) },
        members: Some(members),
        ..GroupSurvey::default()
    })
}
