//! What calls to librdkafka have in common, where `rdkafka` has none of its own.

use std::ptr::NonNull;

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
