//! The limit on the effort of one check: stack, steps, and errors.
//!
//! A schema that refers to itself follows a message as deep as it goes, through any number of references at each level,
//! and alternatives can multiply. For an `anyOf`, the crate keeps each error of each alternative. It has no limits of
//! its own. But it asks our nodes what they are, for each reference which node it is at, and for each error what to
//! show. [`step`] and [`error`] are called there. When the effort is used up, they unwind the thread to [`within`],
//! without the message of a panic.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

/// Half of the stack of a thread that asks for none.
const STACK_BYTES_MAX: usize = 1 << 20;

/// Steps that every check may take, and those for each byte of the message. A step takes some 20 ns.
const STEPS: usize = 1_000_000;
const STEPS_PER_BYTE: usize = 10;

/// Errors of the crate in one check. Each takes some 400 bytes.
const ERRORS: usize = 10_000;

thread_local! {
    /// The lowest address that the stack may reach. 0: no check runs.
    static STACK_END: Cell<usize> = const { Cell::new(0) };
    static STEPS_LEFT: Cell<usize> = const { Cell::new(0) };
    static ERRORS_LEFT: Cell<usize> = const { Cell::new(0) };
}

/// The effort is used up.
struct UsedUp;

/// Why a check has no result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It needs more than a check may need.
    UsedUp,
    /// The crate panicked. The text can contain data of the message, so it is on standard error, where every panic is.
    Panicked,
}

/// Runs a check of a message with `bytes`.
///
/// # Errors
/// It has no result. The next message is checked as usual.
pub(super) fn within<T>(bytes: usize, check: impl FnOnce() -> T) -> Result<T, Failed> {
    STACK_END.set(here().saturating_sub(STACK_BYTES_MAX));
    STEPS_LEFT.set(STEPS.saturating_add(bytes.saturating_mul(STEPS_PER_BYTE)));
    ERRORS_LEFT.set(ERRORS);
    let checked = panic::catch_unwind(AssertUnwindSafe(check));
    STACK_END.set(0);
    checked.map_err(|why| match why.is::<UsedUp>() {
        true => Failed::UsedUp,
        false => Failed::Panicked,
    })
}

/// Unwinds to [`within`] if the effort is used up.
#[inline]
pub(super) fn step() {
    let end = STACK_END.get();
    let left = STEPS_LEFT.get();
    if end > 0 && (left == 0 || here() < end) {
        give_up();
    }
    STEPS_LEFT.set(left.saturating_sub(1));
}

/// As [`step`], for an error that the library keeps.
#[cold]
pub(super) fn error() {
    let left = ERRORS_LEFT.get();
    if STACK_END.get() > 0 && left == 0 {
        give_up();
    }
    ERRORS_LEFT.set(left.saturating_sub(1));
}

#[cold]
fn give_up() {
    panic::resume_unwind(Box::new(UsedUp));
}

/// The address of the caller's stack, nearly.
#[inline]
fn here() -> usize {
    let place = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&place)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_errors_and_stack_are_limited_while_a_check_runs() {
        assert_eq!(within(0, || (0..STEPS).for_each(|_| step())), Ok(()));
        assert_eq!(within(0, || (0..=STEPS).for_each(|_| step())), Err(Failed::UsedUp));
        assert_eq!(within(100, || (0..=STEPS).for_each(|_| step())), Ok(()));
        assert_eq!(within(0, || (0..=ERRORS).for_each(|_| error())), Err(Failed::UsedUp));
        fn deeper(left: usize) -> usize {
            step();
            let below = if left == 0 { 0 } else { deeper(left - 1) };
            std::hint::black_box(below + 1)
        }
        assert_eq!(within(0, || deeper(100)), Ok(101));
        assert_eq!(within(0, || deeper(STEPS - 2)), Err(Failed::UsedUp));
        // Without a check.
        (0..=2 * STEPS).for_each(|_| step());
        (0..=2 * ERRORS).for_each(|_| error());
    }

    #[test]
    fn a_panic_is_the_end_of_one_check() {
        assert_eq!(within(0, || panic!("of a test")), Err::<(), _>(Failed::Panicked));
        assert_eq!(within(0, step), Ok(()));
    }
}
