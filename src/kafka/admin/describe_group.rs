//! librdkafka's `DescribeConsumerGroups` request: who is in a group, and what the user may do with it. `rdkafka` has no
//! call for it.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::admin::request::{check_error, check_event, prepare};
use crate::kafka::admin::rights::{Right, rights};
use crate::util::stop::Stop;

const TIMEOUT: Duration = Duration::from_secs(3);

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// `client.id`.
    pub client: String,
    /// As the broker sees it: an address.
    pub host: String,
    /// `group.instance.id`, if it has one.
    pub instance: Option<String>,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.client, self.host)?;
        match &self.instance {
            Some(instance) => write!(f, " (group.instance.id {instance})"),
            None => Ok(()),
        }
    }
}

/// What a broker says about a group.
pub(super) enum DescribedGroup {
    /// The user may not see it.
    Refused,
    Seen {
        /// `None`: not told.
        rights: Option<Vec<Right>>,
        members: Vec<Member>,
    },
}

/// Asks the group's coordinator. `None`: it does not tell.
pub(super) fn describe<C: ConsumerContext>(client: &BaseConsumer<C>, name: &str) -> Option<DescribedGroup> {
    let name = CString::new(name).ok()?;
    let mut names = [name.as_ptr()];
    let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let (options, queue) = prepare(client, operation, TIMEOUT, None, true).ok()?;
    let native = client.client().native_ptr();
    // SAFETY: all are alive. The call copies the name and the options, and counts a reference to the queue.
    unsafe { sys::rd_kafka_DescribeConsumerGroups(native, names.as_mut_ptr(), 1, options.as_ptr(), queue.as_ptr()) };
    let event = queue.answer(TIMEOUT, &Stop::new())?;
    check_event(&event).ok()?;
    // SAFETY: the event is alive. The result is null if the event is of another kind.
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
    // SAFETY: a description in the event, which is alive.
    let error = unsafe { sys::rd_kafka_ConsumerGroupDescription_error(group) };
    // SAFETY: the error belongs to the same description.
    match unsafe { check_error(error) } {
        Ok(()) => {}
        Err(RDKafkaErrorCode::GroupAuthorizationFailed) => return Some(DescribedGroup::Refused),
        Err(_) => return None,
    }
    let mut count = 0;
    // SAFETY: a description in the event, which is alive.
    let operations = unsafe { sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count) };
    // SAFETY: there are `count` operations, alive as long as the event.
    let rights = unsafe { rights(operations, count) };
    // SAFETY: a description in the event, which is alive.
    let count = unsafe { sys::rd_kafka_ConsumerGroupDescription_member_count(group) };
    let members = (0..count).map(|number| {
        // SAFETY: a description in the event, which is alive, and it has this many members.
        let member = unsafe { sys::rd_kafka_ConsumerGroupDescription_member(group, number) };
        if member.is_null() {
            return Member::default();
        }
        // SAFETY: a member of the description, which is alive.
        let client = unsafe { sys::rd_kafka_MemberDescription_client_id(member) };
        // SAFETY: as above.
        let host = unsafe { sys::rd_kafka_MemberDescription_host(member) };
        // SAFETY: as above.
        let instance = unsafe { sys::rd_kafka_MemberDescription_group_instance_id(member) };
        Member {
            // SAFETY: null, or a string of the member.
            client: unsafe { text(client) }.unwrap_or_default(),
            // SAFETY: as above.
            host: unsafe { text(host) }.unwrap_or_default(),
            // SAFETY: as above.
            instance: unsafe { text(instance) }.filter(|instance| !instance.is_empty()),
        }
    });
    let members = members.collect();
    Some(DescribedGroup::Seen { rights, members })
}

/// # Safety
/// `text` is null, or a string that is alive during the call.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: as the caller promises.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
