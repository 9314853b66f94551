//! What librdkafka's requests without an `rdkafka` call (`Describe…`) have in common. The answer is an event that comes
//! to a queue.

use std::marker::PhantomData;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::ffi::Owned;
use crate::util::stop::Stop;

/// How often the stop flag is checked while waiting for an answer.
const GLANCE: Duration = Duration::from_millis(50);
/// librdkafka answers by the request's own time-out. After this additional time, no answer is expected.
const GRACE: Duration = Duration::from_secs(1);

pub(super) const NO_MEMORY: RDKafkaErrorCode = RDKafkaErrorCode::CriticalSystemResource;

pub(super) type Options = Owned<sys::rd_kafka_AdminOptions_t>;
pub(super) type Event = Owned<sys::rd_kafka_event_t>;

/// Where an answer arrives. It does not outlive the client.
pub(super) struct Queue<'c>(Owned<sys::rd_kafka_queue_t>, PhantomData<&'c ()>);

impl Queue<'_> {
    pub fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.0.as_ptr()
    }

    /// Waits for an event. `None`: nothing by the deadline, or the stop flag was raised.
    pub fn event(&self, deadline: Instant, stop: &Stop) -> Option<Event> {
        let glance_ms = i32::try_from(GLANCE.as_millis()).unwrap_or(i32::MAX);
        loop {
            // SAFETY: the queue is alive.
            let event = unsafe { sys::rd_kafka_queue_poll(self.as_ptr(), glance_ms) };
            // SAFETY: whoever takes an event owns it.
            let event = unsafe { Owned::new(event, sys::rd_kafka_event_destroy) };
            if event.is_some() || stop.requested() || Instant::now() >= deadline {
                return event;
            }
        }
    }

    /// The same, for a request that begins now and has this time-out.
    pub fn answer(&self, timeout: Duration, stop: &Stop) -> Option<Event> {
        self.event(Instant::now() + timeout + GRACE, stop)
    }
}

/// Prepares the options and the queue of a request. `broker`: the broker to ask; `None`: librdkafka chooses one.
/// `with_rights`: also ask for the user's rights, which not every broker tells.
pub(super) fn prepare<'c, C: ConsumerContext>(
    client: &'c BaseConsumer<C>,
    operation: sys::rd_kafka_admin_op_t,
    timeout: Duration,
    broker: Option<i32>,
    with_rights: bool,
) -> Result<(Options, Queue<'c>), RDKafkaErrorCode> {
    let native = client.client().native_ptr();
    // SAFETY: the client is alive.
    let options = unsafe { sys::rd_kafka_AdminOptions_new(native, operation) };
    // SAFETY: just created for us.
    let options = unsafe { Owned::new(options, sys::rd_kafka_AdminOptions_destroy) }.ok_or(NO_MEMORY)?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the options are alive. Without a buffer, no error text is written.
    check(unsafe { sys::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), timeout_ms, ptr::null_mut(), 0) })?;
    if let Some(broker) = broker {
        // SAFETY: the options are alive. Without a buffer, no error text is written.
        check(unsafe { sys::rd_kafka_AdminOptions_set_broker(options.as_ptr(), broker, ptr::null_mut(), 0) })?;
    }
    if with_rights {
        // SAFETY: the options are alive.
        let error = unsafe { sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.as_ptr(), 1) };
        // SAFETY: whoever receives a returned error owns it. If it says no, the rights are just missing.
        drop(unsafe { Owned::new(error, sys::rd_kafka_error_destroy) });
    }
    // SAFETY: the client is alive, and outlives the queue because of the queue's type.
    let queue = unsafe { sys::rd_kafka_queue_new(native) };
    // SAFETY: just created for us.
    let queue = unsafe { Owned::new(queue, sys::rd_kafka_queue_destroy) }.ok_or(NO_MEMORY)?;
    Ok((options, Queue(queue, PhantomData)))
}

/// Fails if the request failed.
pub(super) fn check_event(event: &Event) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: the event is alive.
    check(unsafe { sys::rd_kafka_event_error(event.as_ptr()) })
}

/// Fails if a part of an answer is an error.
///
/// # Safety
/// `error` is null, or alive during the call.
pub(super) unsafe fn check_error(error: *const sys::rd_kafka_error_t) -> Result<(), RDKafkaErrorCode> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller promises.
    check(unsafe { sys::rd_kafka_error_code(error) })
}

fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), RDKafkaErrorCode> {
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err(code.into())
    }
}
