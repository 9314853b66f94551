//! A message that librdkafka has handed over, and why there is none.
//!
//! `rdkafka` has no call that takes several messages at once, and its message cannot be made from a pointer. So this is
//! our own.

use std::ffi::{CStr, c_void};
use std::ptr;
use std::slice;

use rdkafka::bindings as sys;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::Partition;
use crate::kafka::consumer::epoch;
use crate::kafka::ffi::Owned;
use crate::message::Message;

/// A message in a partition's queue.
pub trait QueuedMessage {
    fn offset(&self) -> i64;

    /// Size of its key and payload, in bytes.
    fn bytes(&self) -> usize;
}

/// A message that a worker has taken from its partition.
pub trait SourceMessage: QueuedMessage {
    /// When it was produced, or appended to the log: milliseconds since the epoch. `None` if it has no timestamp.
    fn timestamp_ms(&self) -> Option<i64>;

    /// The epoch of the leader that wrote it; `None` if its format has none (before Kafka 0.11).
    fn leader_epoch(&self) -> Option<i32>;

    /// The message as the rules see it. Headers are read only if `with_headers`.
    fn view(&self, with_headers: bool) -> Message<'_>;
}

/// Why there is no message.
#[derive(Debug)]
pub enum FetchError {
    /// The user may not read the topic or the group.
    Refused(KafkaError),
    /// The entry at the next offset cannot be read: its checksum is wrong (`check.crcs`), or librdkafka does not know
    /// its format. librdkafka reports it once, and then continues behind it.
    Unreadable(KafkaError),
    /// The next offset is not in the log, and librdkafka has stopped fetching. Everything fetched earlier was delivered
    /// before this error.
    Gone,
    /// It passes by itself, or with the next rebalance.
    Passing(KafkaError),
}

impl From<KafkaError> for FetchError {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed) => {
                FetchError::Refused(error)
            }
            Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::NotImplemented) => FetchError::Unreadable(error),
            Some(RDKafkaErrorCode::AutoOffsetReset) => FetchError::Gone,
            _ => FetchError::Passing(error),
        }
    }
}

/// A message of librdkafka that we own. It keeps its fetch's buffer in memory, and must be dropped before its consumer.
pub(in crate::kafka) struct Fetched(Owned<sys::rd_kafka_message_t>);

// SAFETY: a message of a consumer is read and destroyed by one thread at a time, which may be any thread. librdkafka
// counts atomically what it shares with other messages: its fetch's buffer, and the partition.
unsafe impl Send for Fetched {}

impl Fetched {
    /// The message, or the error that librdkafka delivers in its place. `None` for a null pointer.
    ///
    /// # Safety
    /// `pointer` must be null, or come from a call that consumes a queue and says that the caller destroys the message.
    pub unsafe fn new(pointer: *mut sys::rd_kafka_message_t) -> Option<Result<Fetched, FetchError>> {
        // SAFETY: this is the function for such messages, and the caller promises that nobody else calls it.
        let message = Fetched(unsafe { Owned::new(pointer, sys::rd_kafka_message_destroy) }?);
        Some(match message.get().err {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(message),
            code => Err(KafkaError::MessageConsumption(code.into()).into()),
        })
    }

    fn get(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the message is alive until `self` is dropped, and nobody changes it.
        unsafe { &*self.0.as_ptr() }
    }

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: the key belongs to the message, and has this length if it is there.
        unsafe { bytes(self.get().key, self.get().key_len) }
    }

    fn payload(&self) -> Option<&[u8]> {
        // SAFETY: the payload belongs to the message, and has this length if it is there.
        unsafe { bytes(self.get().payload, self.get().len) }
    }

    fn timestamp_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is there for the answer.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        let is_there = kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && timestamp != -1;
        is_there.then_some(timestamp)
    }

    fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is alive.
        unsafe { epoch::of_raw(self.0.as_ptr()) }
    }

    /// In their order. A header whose name is not UTF-8 is left out: no rule can name it, and nothing can send it on.
    fn headers(&self) -> Vec<(&str, Option<&[u8]>)> {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive, and `list` is there for the answer. librdkafka parses the headers at the first
        // call and keeps them in the message; nobody else uses it.
        let code = unsafe { sys::rd_kafka_message_headers(self.0.as_ptr(), &raw mut list) };
        if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Vec::new();
        }
        (0..)
            // SAFETY: the list belongs to the message.
            .map_while(|index| unsafe { header(list, index) })
            .filter_map(|(name, value)| Some((name.to_str().ok()?, value)))
            .collect()
    }
}

impl QueuedMessage for Fetched {
    fn offset(&self) -> i64 {
        self.get().offset
    }

    fn bytes(&self) -> usize {
        let message = self.get();
        message.key_len + message.len
    }
}

/// A message of a partition, as its worker has it. The lifetime is that of the source: the message is dropped first.
pub struct PartitionMessage<'s> {
    message: Fetched,
    partition: &'s Partition,
}

impl<'s> PartitionMessage<'s> {
    pub(super) fn new(message: Fetched, partition: &'s Partition) -> Self {
        PartitionMessage { message, partition }
    }
}

impl QueuedMessage for PartitionMessage<'_> {
    fn offset(&self) -> i64 {
        self.message.offset()
    }

    fn bytes(&self) -> usize {
        self.message.bytes()
    }
}

impl SourceMessage for PartitionMessage<'_> {
    fn timestamp_ms(&self) -> Option<i64> {
        self.message.timestamp_ms()
    }

    fn leader_epoch(&self) -> Option<i32> {
        self.message.leader_epoch()
    }

    fn view(&self, with_headers: bool) -> Message<'_> {
        Message {
            topic: &self.partition.topic,
            partition: self.partition.number,
            offset: self.message.offset(),
            timestamp_ms: self.message.timestamp_ms(),
            key: self.message.key(),
            payload: self.message.payload(),
            headers: if with_headers {
                self.message.headers()
            } else {
                Vec::new()
            },
        }
    }
}

/// The bytes at `first`; `None` if that is null.
///
/// # Safety
/// If it is not null, `length` bytes must be there, and stay there unchanged for `'m`.
unsafe fn bytes<'m>(first: *const c_void, length: usize) -> Option<&'m [u8]> {
    // SAFETY: the caller's promise.
    (!first.is_null()).then(|| unsafe { slice::from_raw_parts(first.cast(), length) })
}

/// The header at this place; `None` behind the last one.
///
/// # Safety
/// The list must be alive and unchanged for `'m`.
unsafe fn header<'m>(list: *const sys::rd_kafka_headers_t, index: usize) -> Option<(&'m CStr, Option<&'m [u8]>)> {
    let (mut name, mut value, mut length) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the list is alive, and the three are there for the answer.
    let code = unsafe { sys::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut length) };
    if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: librdkafka ends each name with a zero, and it belongs to the list.
    let name = unsafe { CStr::from_ptr(name) };
    // SAFETY: the value belongs to the list, and has this length if it is there.
    Some((name, unsafe { bytes(value, length) }))
}
