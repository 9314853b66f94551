//! Helpers for direct calls to librdkafka, where `rdkafka` has no function.

use std::ptr::NonNull;

/// An object of librdkafka that we own.
pub(in crate::kafka) struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `destroy` must be the function that librdkafka names for freeing `pointer`, and nobody else may call it.
    pub(in crate::kafka) unsafe fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Owned { pointer, destroy })
    }

    pub(in crate::kafka) fn as_ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: this value is the only owner, as the caller of `new` promised.
        unsafe { (self.destroy)(self.as_ptr()) }
    }
}
