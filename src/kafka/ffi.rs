//! What calls to librdkafka have in common, where `rdkafka` has none of its own.

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

/// A thing of librdkafka's that we own.
pub(in crate::kafka) struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `destroy` is what librdkafka names for `pointer`, and nobody else calls it.
    pub(in crate::kafka) unsafe fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Owned { pointer, destroy })
    }

    pub(in crate::kafka) fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: owned by this alone, as `new` was promised.
        unsafe { (self.destroy)(self.as_ptr()) }
    }
}

/// Lets the callbacks have what waits for them. `poll` returns nothing for a log line that it has handed over, as it does for
/// an empty queue, so it is called long enough; and without any time-out it hands over nothing.
pub(in crate::kafka) fn serve<C: ConsumerContext>(client: &BaseConsumer<C>) {
    const LONG_ENOUGH: Duration = Duration::from_millis(64);
    let until = Instant::now() + LONG_ENOUGH;
    while Instant::now() < until {
        drop(client.poll(Duration::from_millis(1)));
    }
}
