//! librdkafka's `DescribeConfigs` request for one topic: the settings by which Kafka deletes its messages.

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};

use crate::kafka::admin::request::{Event, check_event, prepare};
use crate::kafka::ffi::Owned;
use crate::util::stop::Stop;

/// How Kafka deletes the messages of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// `message.timestamp.type`
    pub timestamp_type: String,
    /// `retention.ms`: below zero for ever.
    pub ms: i64,
    /// `cleanup.policy`
    pub policy: String,
}

impl Retention {
    /// Whether a message is deleted when its own timestamp, which its producer has set, is old enough.
    pub fn is_of_own_time(&self) -> bool {
        self.timestamp_type == "CreateTime"
            && self.ms >= 0
            && self.policy.split(',').any(|each| each.trim() == "delete")
    }
}

/// Asks a broker. `None`: it does not tell.
pub(super) fn retention<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    broker: i32,
    topic: &str,
    timeout: Duration,
) -> Option<Retention> {
    let topic = CString::new(topic).ok()?;
    let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
    // SAFETY: the call copies the name.
    let resource = unsafe { sys::rd_kafka_ConfigResource_new(kind, topic.as_ptr()) };
    // SAFETY: just created for us.
    let resource = unsafe { Owned::new(resource, sys::rd_kafka_ConfigResource_destroy) }?;
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let (options, queue) = prepare(client, operation, timeout, Some(broker), false).ok()?;
    let mut resources = [resource.as_ptr()];
    // SAFETY: all are alive. The call copies the resource and the options, and counts a reference to the queue.
    unsafe {
        sys::rd_kafka_DescribeConfigs(
            client.client().native_ptr(),
            resources.as_mut_ptr(),
            resources.len(),
            options.as_ptr(),
            queue.as_ptr(),
        );
    }
    let event = queue.answer(timeout, &Stop::new())?;
    check_event(&event).ok()?;
    let setting = |name: &str| setting(&event, name);
    Some(Retention {
        timestamp_type: setting("message.timestamp.type")?,
        ms: setting("retention.ms")?.parse().ok()?,
        policy: setting("cleanup.policy")?,
    })
}

/// The value of a setting in an answer for one resource.
fn setting(event: &Event, wanted: &str) -> Option<String> {
    // SAFETY: the event is alive. The result is null if the event is of another kind.
    let result = unsafe { sys::rd_kafka_event_DescribeConfigs_result(event.as_ptr()) };
    if result.is_null() {
        return None;
    }
    let mut count = 0;
    // SAFETY: the result lives as long as its event.
    let resources = unsafe { sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count) };
    if resources.is_null() || count == 0 {
        return None;
    }
    // SAFETY: there is at least one pointer, to a resource that lives as long as the event.
    let resource = unsafe { *resources };
    // SAFETY: the resource is alive. One that could not be described has no settings.
    let entries = unsafe { sys::rd_kafka_ConfigResource_configs(resource, &raw mut count) };
    if entries.is_null() || count == 0 {
        return None;
    }
    // SAFETY: there are `count` pointers, alive as long as the event.
    let entries = unsafe { std::slice::from_raw_parts(entries, count) };
    entries.iter().find_map(|entry| {
        // SAFETY: the entry is alive.
        let name = unsafe { sys::rd_kafka_ConfigEntry_name(*entry) };
        // SAFETY: the entry is alive.
        let value = unsafe { sys::rd_kafka_ConfigEntry_value(*entry) };
        if name.is_null() || value.is_null() {
            return None;
        }
        // SAFETY: a string of the entry, which is alive.
        let name = unsafe { CStr::from_ptr(name) };
        // SAFETY: likewise.
        let value = unsafe { CStr::from_ptr(value) };
        (name.to_bytes() == wanted.as_bytes()).then(|| value.to_string_lossy().into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_by_their_own_time_if_their_producer_sets_it_and_retention_is_finite() {
        let of = |timestamp_type: &str, ms, policy: &str| {
            let retention = Retention {
                timestamp_type: timestamp_type.to_owned(),
                ms,
                policy: policy.to_owned(),
            };
            retention.is_of_own_time()
        };
        assert!(of("CreateTime", 604_800_000, "delete"));
        assert!(of("CreateTime", 0, "compact,delete"));
        assert!(!of("LogAppendTime", 604_800_000, "delete"));
        assert!(!of("CreateTime", -1, "delete"));
        assert!(!of("CreateTime", 604_800_000, "compact"));
    }
}
