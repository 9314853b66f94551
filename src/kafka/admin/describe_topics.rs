//! librdkafka's `DescribeTopics` request to one broker. `rdkafka` has no call for it.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::admin::request::{Event, NO_MEMORY, Queue, check_error, check_event, prepare};
use crate::kafka::admin::rights::{Right, rights};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::ffi::Owned;
use crate::util::stop::Stop;

/// The result of a request for one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Id(TopicId),
    /// There is no such topic.
    Absent,
    Refused(String),
    NotYet(String),
}

/// What a broker says about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    pub found: Found,
    /// The user's rights; `None`: not in the answer, or not asked for.
    pub rights: Option<Vec<Right>>,
}

/// What a failure of the request, or for one topic in it, means.
pub(super) fn verdict(code: RDKafkaErrorCode) -> Found {
    match code {
        RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed => {
            Found::Refused(code.to_string())
        }
        RDKafkaErrorCode::UnknownTopicOrPartition => Found::Absent,
        RDKafkaErrorCode::UnsupportedFeature
        | RDKafkaErrorCode::UnsupportedVersion
        | RDKafkaErrorCode::NotImplemented => Found::Id(TopicId::NONE),
        _ => Found::NotYet(code.to_string()),
    }
}

/// How a request ended.
pub(super) enum Answer {
    Topics(HashMap<String, Described>),
    Failure(RDKafkaErrorCode),
    Stopped,
}

/// Asks a broker about all topics. Its answer comes to the queue.
pub(super) fn request<'c, C: ConsumerContext>(
    client: &'c BaseConsumer<C>,
    topics: &[CString],
    broker: i32,
    timeout: Duration,
    with_rights: bool,
) -> Result<Queue<'c>, RDKafkaErrorCode> {
    let mut names: Vec<*const c_char> = topics.iter().map(|topic| topic.as_ptr()).collect();
    // SAFETY: `names` has as many strings as given. They are alive during the call, which copies them.
    let collection = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()) };
    // SAFETY: just created for us.
    let collection = unsafe { Owned::new(collection, sys::rd_kafka_TopicCollection_destroy) }.ok_or(NO_MEMORY)?;
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    let (options, queue) = prepare(client, operation, timeout, Some(broker), with_rights)?;
    let native = client.client().native_ptr();
    // SAFETY: all four are alive. The call copies the names and the options, and counts a reference to the queue.
    // librdkafka discards an answer that comes after the queue's destruction.
    unsafe { sys::rd_kafka_DescribeTopics(native, collection.as_ptr(), options.as_ptr(), queue.as_ptr()) };
    Ok(queue)
}

/// Waits for the answer to a request with this time-out.
pub(super) fn wait(queue: &Queue<'_>, timeout: Duration, stop: &Stop) -> Answer {
    match queue.answer(timeout, stop) {
        Some(event) => topics(&event).map_or_else(Answer::Failure, Answer::Topics),
        None if stop.requested() => Answer::Stopped,
        None => Answer::Failure(RDKafkaErrorCode::OperationTimedOut),
    }
}

/// Whether a broker has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// It has answered, whatever it says.
    Answered,
    /// It does not know the request: an old broker, or not a broker, such as a KRaft controller.
    Unknown,
    /// It has not answered by the deadline.
    Silent,
}

/// Waits until the deadline for the broker's answer.
pub(super) fn reply(queue: &Queue<'_>, deadline: Instant, stop: &Stop) -> Reply {
    let Some(event) = queue.event(deadline, stop) else {
        return Reply::Silent;
    };
    match check_event(&event) {
        Ok(()) => Reply::Answered,
        Err(RDKafkaErrorCode::UnsupportedFeature) => Reply::Unknown,
        // librdkafka's own error codes are below zero.
        Err(code) if code as i32 >= 0 => Reply::Answered,
        Err(_) => Reply::Silent,
    }
}

fn topics(event: &Event) -> Result<HashMap<String, Described>, RDKafkaErrorCode> {
    check_event(event)?;
    // SAFETY: the event is alive. The result is null if the event is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeTopics_result(event.as_ptr()) };
    if result.is_null() {
        return Err(RDKafkaErrorCode::BadMessage);
    }
    let mut count = 0;
    // SAFETY: the result lives as long as its event.
    let descriptions = unsafe { sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count) };
    if descriptions.is_null() || count == 0 {
        return Ok(HashMap::new());
    }
    // SAFETY: there are `count` pointers, alive as long as the event.
    let descriptions = unsafe { std::slice::from_raw_parts(descriptions, count) };
    // SAFETY: each is a description in the event, which is alive.
    let found = descriptions.iter().filter_map(|each| unsafe { description(*each) });
    Ok(found.collect())
}

/// A topic's name, and what the broker says about it.
///
/// # Safety
/// `description` is null, or belongs to an event that is alive during the call.
unsafe fn description(description: *const sys::rd_kafka_TopicDescription_t) -> Option<(String, Described)> {
    if description.is_null() {
        return None;
    }
    // SAFETY: the description is alive.
    let name = unsafe { sys::rd_kafka_TopicDescription_name(description) };
    if name.is_null() {
        return None;
    }
    // SAFETY: a string of the description.
    let name = unsafe { CStr::from_ptr(name) }.to_str().ok()?.to_owned();
    // SAFETY: the description is alive.
    let error = unsafe { sys::rd_kafka_TopicDescription_error(description) };
    // SAFETY: the error belongs to the description, which is alive.
    if let Err(code) = unsafe { check_error(error) } {
        let found = verdict(code);
        return Some((name, Described { found, rights: None }));
    }
    // SAFETY: the description is alive.
    let id = unsafe { topic_id(description) };
    let mut count = 0;
    // SAFETY: the description is alive.
    let operations = unsafe { sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count) };
    // SAFETY: there are `count` operations, in the description, which is alive.
    let rights = unsafe { rights(operations, count) };
    let found = Found::Id(id);
    Some((name, Described { found, rights }))
}

/// # Safety
/// The description is alive during the call.
unsafe fn topic_id(description: *const sys::rd_kafka_TopicDescription_t) -> TopicId {
    // SAFETY: as the caller promises.
    let id = unsafe { sys::rd_kafka_TopicDescription_topic_id(description) };
    if id.is_null() {
        return TopicId::NONE;
    }
    // SAFETY: a part of the description, which is alive.
    let most = unsafe { sys::rd_kafka_Uuid_most_significant_bits(id) };
    // SAFETY: a part of the description, which is alive.
    let least = unsafe { sys::rd_kafka_Uuid_least_significant_bits(id) };
    TopicId::from_halves(most, least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_access_is_no_matter_of_waiting() {
        assert!(matches!(
            verdict(RDKafkaErrorCode::TopicAuthorizationFailed),
            Found::Refused(_)
        ));
        assert_eq!(verdict(RDKafkaErrorCode::UnknownTopicOrPartition), Found::Absent);
        assert!(matches!(
            verdict(RDKafkaErrorCode::LeaderNotAvailable),
            Found::NotYet(_)
        ));
        assert_eq!(verdict(RDKafkaErrorCode::UnsupportedFeature), Found::Id(TopicId::NONE));
    }
}
