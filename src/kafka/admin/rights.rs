//! What the user may do with a topic or a group, according to the brokers.

use std::fmt;

use rdkafka::bindings as sys;

/// A right on a topic or on the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To read messages, or to commit offsets.
    Read,
    /// To produce.
    Write,
    /// To see the topic or the group.
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

/// The rights in an answer; `None`: the broker does not tell.
///
/// # Safety
/// `operations` is null, or points to `count` operations during the call.
pub(super) unsafe fn rights(operations: *const sys::rd_kafka_AclOperation_t, count: usize) -> Option<Vec<Right>> {
    use sys::rd_kafka_AclOperation_t as Operation;
    if operations.is_null() || count == 0 {
        return None;
    }
    // As numbers: an operation of a later version is not a valid value of the enumeration.
    // SAFETY: as the caller promises; the enumeration has this size.
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
