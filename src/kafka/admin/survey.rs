//! What Kafka says of topics, rights and the group's offsets, for `check --connect`.
//!
//! Asks only: joins no group, commits nothing, produces nothing. Which rights a user has is told by the brokers themselves
//! (the authorised operations of `DescribeTopics` and `DescribeConsumerGroups`, which `rdkafka` has no call for); a
//! broker that does not tell leaves it open.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::time::{Duration, Instant};
use std::{ptr, thread};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataPartition};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::advertised::{Brokers, Learned, Unreached};
use crate::kafka::admin::asking::{Asking, Errors, is_refused_login};
use crate::kafka::admin::probe::{ProbeError, security};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::client::serve;
use crate::kafka::connection_config;
use crate::kafka::consumer::committed::Committed;
use crate::kafka::consumer::epoch;
use crate::kafka::consumer::origin::tagged_topic;
use crate::kafka::diagnosis::{Complaint, Diagnosis};
use crate::kafka::ffi::Owned;
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

/// A right on a topic or on the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read messages, or to commit offsets.
    Read,
    /// To produce.
    Write,
    /// To see it.
    Describe,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Read => "READ",
            Right::Write => "WRITE",
            Right::Describe => "DESCRIBE",
        })
    }
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
    let mut config = connection_config(kafka);
    config.set("group.id", &kafka.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("allow.auto.create.topics", "false");
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
    let described = describe(false).unwrap_or_default();
    let with_rights = describe(true).unwrap_or_default();
    let topics: Vec<TopicSurvey> = names
        .into_iter()
        .zip(states)
        .map(|(name, state)| {
            let (id, _) = described.get(name).cloned().unwrap_or_default();
            let (_, rights) = with_rights.get(name).cloned().unwrap_or_default();
            TopicSurvey {
                name: name.to_owned(),
                state,
                rights,
                id,
            }
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

type Described = (Option<TopicId>, Option<Vec<Right>>);

fn options(
    client: &Client,
    operation: sys::rd_kafka_admin_op_t,
    rights: bool,
) -> Option<Owned<sys::rd_kafka_AdminOptions_t>> {
    // SAFETY: the client is alive.
    let options = unsafe { sys::rd_kafka_AdminOptions_new(client.client().native_ptr(), operation) };
    // SAFETY: just made for us.
    let options = unsafe { Owned::new(options, sys::rd_kafka_AdminOptions_destroy) }?;
    let timeout_ms = i32::try_from(DESCRIBE_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the options are alive; with no buffer there is no text of an error.
    unsafe { sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), timeout_ms, ptr::null_mut(), 0) };
    // SAFETY: the options are alive.
    let error =
        unsafe { sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.as_ptr(), rights.into()) };
    // SAFETY: an error that is returned is its taker's. One that says no leaves the rights untold.
    drop(unsafe { Owned::new(error, sys::rd_kafka_error_destroy) });
    Some(options)
}

/// The answer that comes to the queue, if one comes.
fn answer(queue: &Owned<sys::rd_kafka_queue_t>) -> Option<Owned<sys::rd_kafka_event_t>> {
    // librdkafka answers by its own time-out.
    let wait_ms = i32::try_from(DESCRIBE_TIMEOUT.as_millis() + 1000).unwrap_or(i32::MAX);
    // SAFETY: the queue is alive.
    let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), wait_ms) };
    // SAFETY: an event is its taker's.
    let event = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) }?;
    // SAFETY: the event is alive.
    let code = unsafe { sys::rd_kafka_event_error(event.as_ptr()) };
    (code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(event)
}

fn queue(client: &Client) -> Option<Owned<sys::rd_kafka_queue_t>> {
    // SAFETY: the client is alive, and outlives the queue in both callers.
    let queue = unsafe { sys::rd_kafka_queue_new(client.client().native_ptr()) };
    // SAFETY: just made for us.
    unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }
}

/// Id and rights of those topics that a broker describes.
///
/// `broker` is asked: without one librdkafka would ask the controller, which need not be there.
fn describe_topics(
    client: &Client,
    broker: i32,
    names: &[&str],
    with_rights: bool,
) -> Option<BTreeMap<String, Described>> {
    let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: as many strings as told, alive during the call, which copies them.
    let topics = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
    // SAFETY: just made for us.
    let topics = unsafe { Owned::new(topics, sys::rd_kafka_TopicCollection_destroy) }?;
    let options = options(
        client,
        sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        with_rights,
    )?;
    // SAFETY: the options are alive; with no buffer there is no text of an error.
    unsafe { sys::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, ptr::null_mut(), 0) };
    let queue = queue(client)?;
    let native = client.client().native_ptr();
    // SAFETY: all four are alive; the call copies names and options, and keeps the queue by counting it.
    unsafe { sys::rd_kafka_DescribeTopics(native, topics.as_ptr(), options.as_ptr(), queue.as_ptr()) };
    let event = answer(&queue)?;
    // SAFETY: the event is alive; null if it is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeTopics_result(event.as_ptr()) };
    if result.is_null() {
        return None;
    }
    let mut count = 0;
    // SAFETY: the result lives as long as its event.
    let descriptions = unsafe { sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count) };
    if descriptions.is_null() {
        return None;
    }
    // SAFETY: as many pointers as told, alive as long as the event.
    let descriptions = unsafe { std::slice::from_raw_parts(descriptions, count) };
    let mut found = BTreeMap::new();
    for description in descriptions.iter().copied().filter(|each| !each.is_null()) {
        // SAFETY: a description of the living event.
        let name = unsafe { sys::rd_kafka_TopicDescription_name(description) };
        if name.is_null() {
            continue;
        }
        // SAFETY: a string of the living description.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        // SAFETY: a description of the living event.
        let error = unsafe { sys::rd_kafka_TopicDescription_error(description) };
        // SAFETY: of the same description.
        if unsafe { is_error(error) } {
            continue;
        }
        let mut count = 0;
        // SAFETY: a description of the living event.
        let operations = unsafe { sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count) };
        // SAFETY: as many as told, alive as long as the event.
        let rights = unsafe { rights(operations, count) };
        // SAFETY: a description of the living event.
        let id = unsafe { sys::rd_kafka_TopicDescription_topic_id(description) };
        let id = (!id.is_null()).then(|| {
            // SAFETY: a part of the living description.
            let most = unsafe { sys::rd_kafka_Uuid_most_significant_bits(id) };
            // SAFETY: a part of the living description.
            let least = unsafe { sys::rd_kafka_Uuid_least_significant_bits(id) };
            TopicId::from_halves(most, least)
        });
        found.insert(name, (id.filter(|id| !id.is_none()), rights));
    }
    Some(found)
}

/// The cluster that this broker is of, if it tells.
fn cluster_of(client: &Client, broker: i32) -> Option<String> {
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER;
    let options = options(client, operation, false)?;
    // SAFETY: the options are alive; with no buffer there is no text of an error.
    unsafe { sys::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, ptr::null_mut(), 0) };
    let queue = queue(client)?;
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
    let options = options(
        client,
        sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        true,
    )?;
    let queue = queue(client)?;
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
    if unsafe { is_refusal(error) } {
        return Some(GroupSurvey {
            failure: Some("the user may not see it".to_owned()),
            is_refused: true,
            ..GroupSurvey::default()
        });
    }
    // SAFETY: of the same description.
    if unsafe { is_error(error) } {
        return None;
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

/// # Safety
/// `error` is null, or alive during the call.
unsafe fn is_refusal(error: *const sys::rd_kafka_error_t) -> bool {
    if error.is_null() {
        return false;
    }
    // SAFETY: as the caller promises.
    let code = unsafe { sys::rd_kafka_error_code(error) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED
}

/// # Safety
/// `error` is null, or alive during the call.
unsafe fn is_error(error: *const sys::rd_kafka_error_t) -> bool {
    if error.is_null() {
        return false;
    }
    // SAFETY: as the caller promises.
    let code = unsafe { sys::rd_kafka_error_code(error) };
    code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// `None`: the broker does not tell.
///
/// # Safety
/// `operations` is null, or so many are there during the call.
unsafe fn rights(operations: *const sys::rd_kafka_AclOperation_t, count: usize) -> Option<Vec<Right>> {
    use sys::rd_kafka_AclOperation_t as Operation;
    if operations.is_null() || count == 0 {
        return None;
    }
    // As numbers: what later versions know is no value of the enumeration.
    // SAFETY: as the caller promises; the enumeration is of this size.
    let operations: &[u32] = unsafe { std::slice::from_raw_parts(operations.cast(), count) };
    let all = Operation::RD_KAFKA_ACL_OPERATION_ALL as u32;
    let is_told = |of: Operation| operations.iter().any(|each| *each == of as u32 || *each == all);
    let known = [
        (Right::Read, Operation::RD_KAFKA_ACL_OPERATION_READ),
        (Right::Write, Operation::RD_KAFKA_ACL_OPERATION_WRITE),
        (Right::Describe, Operation::RD_KAFKA_ACL_OPERATION_DESCRIBE),
    ];
    let rights = known.into_iter().filter(|(_, operation)| is_told(*operation));
    Some(rights.map(|(right, _)| right).collect())
}
