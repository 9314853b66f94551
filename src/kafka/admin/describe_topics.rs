//! librdkafka's `DescribeTopics`, asked of one broker: `rdkafka` has no call for it.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char};
use std::marker::PhantomData;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::ffi::Owned;
use crate::util::stop::Stop;

/// How long is waited for an answer before the stop flag is looked at again.
const GLANCE: Duration = Duration::from_millis(50);

/// What a request brought of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) enum Found {
    Id(TopicId),
    /// There is no such topic.
    Absent,
    Refused(String),
    NotYet(String),
}

/// What a failure of the request, or of one topic in it, means.
pub(in crate::kafka) fn verdict(code: RDKafkaErrorCode) -> Found {
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
pub(in crate::kafka) enum Answer {
    Topics(HashMap<String, Found>),
    Failure(RDKafkaErrorCode),
    Stopped,
}

pub(in crate::kafka) type Queue<'c> = (Owned<sys::rd_kafka_queue_t>, PhantomData<&'c ()>);

/// Asks a broker about all topics: its answer will come to the queue, which must not outlive the client.
pub(in crate::kafka) fn request<'c, C: ConsumerContext>(
    client: &'c BaseConsumer<C>,
    topics: &[CString],
    broker: i32,
    timeout: Duration,
) -> Result<Queue<'c>, RDKafkaErrorCode> {
    const NO_MEMORY: RDKafkaErrorCode = RDKafkaErrorCode::CriticalSystemResource;
    let native = client.client().native_ptr();
    let mut names: Vec<*const c_char> = topics.iter().map(|topic| topic.as_ptr()).collect();
    // SAFETY: `names` are as many strings as told, alive during the call, which copies them.
    let collection = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()) };
    // SAFETY: just made for us.
    let collection = unsafe { Owned::new(collection, sys::rd_kafka_TopicCollection_destroy) }.ok_or(NO_MEMORY)?;
    // SAFETY: the client is alive.
    let options =
        unsafe { sys::rd_kafka_AdminOptions_new(native, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS) };
    // SAFETY: just made for us.
    let options = unsafe { Owned::new(options, sys::rd_kafka_AdminOptions_destroy) }.ok_or(NO_MEMORY)?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the options are alive; with no buffer there is no text of an error.
    let code =
        unsafe { sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), timeout_ms, ptr::null_mut(), 0) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(code.into());
    }
    // SAFETY: the options are alive; with no buffer there is no text of an error.
    let code = unsafe { sys::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, ptr::null_mut(), 0) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(code.into());
    }
    // SAFETY: the client is alive, and outlives the queue by the type of what is returned.
    let queue = unsafe { sys::rd_kafka_queue_new(native) };
    // SAFETY: just made for us.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_MEMORY)?;
    // SAFETY: all four are alive; the call copies the names and the options, and keeps the queue by counting it. An
    // answer that comes after the queue's destruction is thrown away by librdkafka.
    unsafe { sys::rd_kafka_DescribeTopics(native, collection.as_ptr(), options.as_ptr(), queue.as_ptr()) };
    Ok((queue, PhantomData))
}

/// Waits for the answer to a request of this time-out.
pub(in crate::kafka) fn wait(queue: &Queue<'_>, timeout: Duration, stop: &Stop) -> Answer {
    // librdkafka answers by its own time-out.
    match event(queue, Instant::now() + timeout + Duration::from_secs(1), stop) {
        Some(event) => topics(&event).map_or_else(Answer::Failure, Answer::Topics),
        None if stop.requested() => Answer::Stopped,
        None => Answer::Failure(RDKafkaErrorCode::OperationTimedOut),
    }
}

/// Whether a broker has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Described {
    /// Whatever it says.
    Answered,
    /// It does not know the question: an old broker, or none at all, as a KRaft controller.
    Unknown,
    /// Not by the deadline.
    Silent,
}

/// Whether the broker has answered by the deadline.
pub(in crate::kafka) fn described(queue: &Queue<'_>, deadline: Instant, stop: &Stop) -> Described {
    let Some(event) = event(queue, deadline, stop) else {
        return Described::Silent;
    };
    // SAFETY: the event is alive.
    let code: RDKafkaErrorCode = unsafe { sys::rd_kafka_event_error(event.as_ptr()) }.into();
    // What librdkafka says by itself is below zero.
    match code {
        RDKafkaErrorCode::UnsupportedFeature => Described::Unknown,
        code if code as i32 >= 0 => Described::Answered,
        _ => Described::Silent,
    }
}

/// What comes to the queue; `None`: nothing by the deadline, or told to stop.
fn event((queue, _): &Queue<'_>, deadline: Instant, stop: &Stop) -> Option<Owned<sys::rd_kafka_event_t>> {
    let glance_ms = i32::try_from(GLANCE.as_millis()).unwrap_or(i32::MAX);
    loop {
        // SAFETY: the queue is alive.
        let event = unsafe { sys::rd_kafka_queue_poll(queue.as_ptr(), glance_ms) };
        // SAFETY: an event is its taker's.
        let event = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) };
        if event.is_some() || stop.requested() || Instant::now() >= deadline {
            return event;
        }
    }
}

fn topics(event: &Owned<sys::rd_kafka_event_t>) -> Result<HashMap<String, Found>, RDKafkaErrorCode> {
    // SAFETY: the event is alive.
    let code = unsafe { sys::rd_kafka_event_error(event.as_ptr()) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(code.into());
    }
    // SAFETY: the event is alive; null if it is of another kind.
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
    // SAFETY: as many pointers as told, alive as long as the event.
    let descriptions = unsafe { std::slice::from_raw_parts(descriptions, count) };
    // SAFETY: each is a description of the living event.
    let found = descriptions.iter().filter_map(|each| unsafe { description(*each) });
    Ok(found.collect())
}

/// A topic's name, and what was found of it.
///
/// # Safety
/// `description` is null, or of an event that is alive during the call.
unsafe fn description(description: *const sys::rd_kafka_TopicDescription_t) -> Option<(String, Found)> {
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
    if !error.is_null() {
        // SAFETY: the error is the living description's.
        let code = unsafe { sys::rd_kafka_error_code(error) };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Some((name, verdict(code.into())));
        }
    }
    // SAFETY: the description is alive.
    let id = unsafe { sys::rd_kafka_TopicDescription_topic_id(description) };
    if id.is_null() {
        return Some((name, Found::Id(TopicId::NONE)));
    }
    // SAFETY: a part of the living description.
    let most = unsafe { sys::rd_kafka_Uuid_most_significant_bits(id) };
    // SAFETY: a part of the living description.
    let least = unsafe { sys::rd_kafka_Uuid_least_significant_bits(id) };
    Some((name, Found::Id(TopicId::from_halves(most, least))))
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
