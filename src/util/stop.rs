//! How the process ends: the stop flag that every wait watches, and the signals that raise it.
//!
//! A [`Stop`] is raised once and never lowered. A thread that waits uses [`Stop::wait`] and is woken at once. The first
//! SIGINT, SIGTERM or SIGHUP asks for an orderly end. The second ends the process at once with 130, whatever the process
//! is doing. That is safe: a commit follows its writes, so whatever is cut off is delivered again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use parking_lot::{Condvar, Mutex};

use crate::util::exit::Exit;
use crate::util::screen;

/// The exit code of a second signal: what a shell says of a program that SIGINT ended.
pub const SECOND_SIGNAL: u8 = 130;

/// The longest time that a worker waits before it checks the stop flag and its periodic duties.
pub const GLANCE: Duration = Duration::from_millis(250);

/// What a stopped worker does with what it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopKind {
    /// Finish the current batch, commit synchronously, leave.
    Drain,
    /// Leave without a commit: another member already owns the partition.
    Abandon,
}

/// A flag that is raised once and then wakes all waiters. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<(Mutex<Option<Raised>>, Condvar)>);

#[derive(Debug, Clone, Copy)]
struct Raised {
    kind: StopKind,
    at: Instant,
}

impl Stop {
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag. `Abandon` overrides `Drain`; nothing lowers the flag.
    pub fn request(&self, kind: StopKind) {
        let mut state = self.0.0.lock();
        *state = Some(match *state {
            Some(before) => Raised {
                kind: before.kind.max(kind),
                at: before.at,
            },
            None => Raised {
                kind,
                at: Instant::now(),
            },
        });
        self.0.1.notify_all();
    }

    pub fn requested(&self) -> bool {
        self.0.0.lock().is_some()
    }

    pub fn kind(&self) -> Option<StopKind> {
        self.0.0.lock().map(|raised| raised.kind)
    }

    /// A flag that was raised this long ago.
    #[cfg(test)]
    pub fn requested_before(age: Duration) -> Stop {
        let at = Instant::now().checked_sub(age).unwrap();
        let raised = Raised {
            kind: StopKind::Drain,
            at,
        };
        Stop(Arc::new((Mutex::new(Some(raised)), Condvar::new())))
    }

    /// When the flag was first raised, if it was.
    pub fn requested_at(&self) -> Option<Instant> {
        self.0.0.lock().map(|raised| raised.at)
    }

    /// Waits until `is_woken` returns true, the flag is raised (unless the caller has already `seen` it raised), or
    /// `deadline` has passed. Code that makes `is_woken` true must call [`Stop::wake`] afterwards.
    pub fn wait_for(&self, seen: bool, is_woken: impl Fn() -> bool, deadline: Instant) {
        let mut state = self.0.0.lock();
        while !is_woken() && (seen || state.is_none()) {
            if self.0.1.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
    }

    /// Wakes the waiters so that they check their conditions again.
    pub fn wake(&self) {
        let _state = self.0.0.lock();
        self.0.1.notify_all();
    }

    /// Waits until the flag is raised or `timeout` has passed. Returns whether the flag is raised.
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.0.lock();
        while state.is_none() {
            if self.0.1.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.is_some()
    }
}

/// Installs the signal handlers. Their thread lives as long as the process.
///
/// # Errors
/// If the operating system refuses a handler or the thread, or the process has handlers of this crate already.
pub fn stop_on_signals(stop: Stop) -> Result<(), ctrlc::Error> {
    let mut is_second = false;
    ctrlc::set_handler(move || {
        if is_second {
            warn!("stop: a second signal, leaving at once");
            leave_with(SECOND_SIGNAL);
        }
        is_second = true;
        info!("stop: finishing the batch in hand; a second signal leaves at once");
        stop.request(StopKind::Drain);
    })
}

/// Ends the process at once without running destructors. For cases in which continuing would be worse than a restart.
pub fn leave_now(exit: Exit) -> ! {
    leave_with(exit.code())
}

fn leave_with(code: u8) -> ! {
    screen::end();
    // SAFETY: `_exit` may be called at any time, on any thread.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_waiter_is_woken_at_once_when_the_flag_is_raised() {
        let stop = Stop::new();
        let waiter = {
            let stop = stop.clone();
            thread::spawn(move || stop.wait(Duration::from_secs(3600)))
        };
        stop.request(StopKind::Drain);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn abandon_wins_over_drain_and_is_never_taken_back() {
        let stop = Stop::new();
        assert_eq!(stop.kind(), None);
        stop.request(StopKind::Abandon);
        stop.request(StopKind::Drain);
        assert_eq!(stop.kind(), Some(StopKind::Abandon));
    }

    #[test]
    fn a_wait_that_nobody_ends_says_so() {
        assert!(!Stop::new().wait(Duration::ZERO));
    }
}
