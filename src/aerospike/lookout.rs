//! The lookout: finds out whether a lost database is back, and why it is away, when no worker does.
//!
//! Normally the workers find out by retrying their rows. But the worker whose rows failed can be revoked before they
//! succeed, and the others may have nothing to write. Then nobody asks any more, and the last state would be reported
//! for ever. So while writes fail and no worker retries, the lookout tries a read. While writes fail, it also asks the
//! nodes about each other and about our login. The log then names nodes that are not reached. A login that is refused
//! permanently ends the service.
//!
//! The main thread calls [`Store::look_out`] again and again and never waits in it. A look runs on a thread of its own,
//! one at a time, and has time-outs.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::BatchOperation;
use log::{debug, warn};
use parking_lot::Mutex;

use super::batch::answer;
use super::members::{Look, look};
use super::refusal::{Refusal, is_refusal};
use super::{Failed, Store, request};
use crate::delivery::pressure::{Gate, Pressure};
use crate::delivery::row_outcomes::Disposition;
use crate::delivery::write::{Answer, outcome};

/// Interval between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// No worker retries any more if the last call failed this long ago and none is in flight. Longer than a worker pauses.
const QUIET_MIN: Duration = Duration::from_secs(3);
/// At most this many rows are read.
const PROBES: usize = 64;
/// A login counts as refused permanently after this time and this many looks in which every node that answers refuses
/// it. A node that restarts may refuse it for a moment.
const REFUSED_MIN: Duration = Duration::from_secs(6);
const REFUSED_LOOKS: u32 = 3;

#[derive(Default)]
pub(super) struct Lookout {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_looking: bool,
    looked: Option<Instant>,
    /// Why the database is away, in words.
    told: Option<String>,
    /// Since when all nodes that answer refuse us, and in how many looks.
    refused: Option<(Instant, u32)>,
    /// The login is refused permanently.
    refusal: Option<Refusal>,
}

/// Marks that a look is running. Its drop ends the look, also after a panic; otherwise there would be no further look.
struct Looking<'l>(&'l Lookout);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_looking = false;
    }
}

impl Lookout {
    /// Why the database is away, if that was found out.
    pub fn told(&self) -> Option<String> {
        self.state.lock().told.clone()
    }

    /// Whether to look now: it is time, and no look is running. If so, a look counts as running until its [`Looking`]
    /// is dropped.
    fn begins(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let is_early = state
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < LOOK_INTERVAL);
        if state.is_looking || is_early {
            return false;
        }
        state.is_looking = true;
        state.looked = Some(now);
        true
    }

    /// Nothing fails any more: clears what was found.
    fn is_over(&self) {
        let mut state = self.state.lock();
        (state.told, state.refused) = (None, None);
    }

    fn found(&self, found: &Look, has_user: bool, now: Instant) {
        let mut state = self.state.lock();
        let code = found.refusals.iter().copied().find(|code| is_refusal(*code));
        let refusal = code
            .filter(|_| found.answered == 0)
            .map(|code| Refusal { code, has_user });
        let told = match refusal {
            Some(refusal) => Some(format!("{refusal}: {}", refusal.cure())),
            None if found.answered == 0 && !found.troubles.is_empty() => Some(Failed::tls(&found.troubles).to_string()),
            None if found.gaps.is_whole() => None,
            None => Some(format!("{}; {}", found.gaps, found.gaps.cure())),
        };
        if let Some(told) = told.as_ref().filter(|told| state.told.as_ref() != Some(told)) {
            warn!("aerospike: {told}");
        }
        state.told = told;
        let Some(refusal) = refusal else {
            state.refused = None;
            return;
        };
        let (since, looks) = state.refused.unwrap_or((now, 0));
        state.refused = Some((since, looks + 1));
        if now.duration_since(since) >= REFUSED_MIN && looks + 1 >= REFUSED_LOOKS {
            state.refusal = Some(refusal);
        }
    }
}

impl Store {
    /// Called again and again while the service runs. Does not wait.
    pub fn look_out(self: &Arc<Self>, pressure: &Arc<Pressure>) {
        let failing = self.health.last_failed();
        let is_closed = pressure.view().gate == Gate::Closed;
        if failing.is_none() && !is_closed {
            // A refused row needs at most two calls, each of two write time-outs, besides its pause.
            self.health.forget_closed(4 * self.write_timeout());
            self.lookout.is_over();
            return;
        }
        if !self.lookout.begins(Instant::now()) {
            return;
        }
        let nobody_tries = failing.is_none_or(|last| last >= QUIET_MIN);
        let (store, pressure) = (self.clone(), pressure.clone());
        let spawned = thread::Builder::new().name("aerospike-look".into()).spawn(move || {
            let _looking = Looking(&store.lookout);
            if !(nobody_tries && store.is_back(&pressure)) {
                let found = look(&store.connection.places(), &[], &store.asking);
                store
                    .lookout
                    .found(&found, store.asking.manner.login.is_some(), Instant::now());
            }
        });
        if let Err(error) = spawned {
            debug!("aerospike: cannot start a thread error=\"{error}\"");
            self.lookout.state.lock().is_looking = false;
        }
    }

    /// Why the cluster refuses the user permanently: it has done so for longer than a restarting node would. The
    /// service ends.
    pub fn refusal(&self) -> Option<Refusal> {
        self.lookout.state.lock().refusal
    }

    /// Reads some rows of every namespace that is written to. Returns whether all reads were answered.
    fn is_back(&self, pressure: &Pressure) -> bool {
        let Some(permit) = pressure.try_enter(PROBES) else {
            return false;
        };
        let mut operations = request::probes(&self.asking.namespaces, permit.rows());
        let client = self.client();
        let call = client.batch(self.policy(client.nodes().len()), &mut operations);
        let answers = operations.iter().map(BatchOperation::batch_record);
        let answers: Vec<Answer> = answers
            .map(|record| answer(record, call.as_ref().err(), false))
            .collect();
        permit.done(outcome(&answers));
        let waits = |answer: &Answer| matches!(answer.disposition(), Disposition::Retry | Disposition::NoNamespace);
        let is_back = !answers.iter().any(waits);
        if is_back {
            self.health.answers_again();
        } else {
            self.connection.look_for_cluster();
        }
        is_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_by(codes: &[u8], answered: usize) -> Look {
        Look {
            answered,
            refusals: codes.to_vec(),
            ..Look::default()
        }
    }

    #[test]
    fn a_login_that_every_node_refuses_for_a_while_is_refused_for_good() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let refusal = |seconds: u64, look: &Look| {
            lookout.found(look, true, began + Duration::from_secs(seconds));
            lookout.state.lock().refusal
        };
        assert_eq!(refusal(0, &refused_by(&[65], 0)), None);
        assert_eq!(refusal(5, &refused_by(&[65], 0)), None, "not long enough");
        assert!(lookout.told().unwrap().contains("aerospike.password"));
        assert_eq!(refusal(6, &refused_by(&[65], 1)), None, "another node takes it");
        assert_eq!(refusal(7, &refused_by(&[65], 0)), None, "from there it counts anew");
        assert_eq!(refusal(8, &refused_by(&[65], 0)), None);
        assert_eq!(refusal(9, &refused_by(&[65], 0)), None, "often, and not long enough");
        assert_eq!(refusal(10, &refused_by(&[], 1)), None);
        assert_eq!(refusal(11, &refused_by(&[65], 0)), None);
        assert_eq!(refusal(30, &refused_by(&[65], 0)), None, "not often enough");
        let found = refusal(32, &refused_by(&[65], 0));
        assert_eq!(
            found,
            Some(Refusal {
                code: 65,
                has_user: true
            })
        );
    }

    #[test]
    fn what_passes_is_no_refusal() {
        let lookout = Lookout::default();
        let began = Instant::now();
        for seconds in 0..60 {
            lookout.found(&refused_by(&[66, 83], 0), true, began + Duration::from_secs(seconds));
        }
        assert_eq!(lookout.state.lock().refusal, None);
        assert_eq!(lookout.told(), None);
    }

    #[test]
    fn one_looks_at_a_time_and_not_all_the_time() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(lookout.begins(at(0)));
        assert!(!lookout.begins(at(3600)), "somebody looks");
        drop(Looking(&lookout));
        assert!(!lookout.begins(at(1)));
        assert!(lookout.begins(at(2)));
    }

    #[test]
    fn what_was_found_is_forgotten_when_nothing_fails() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let mut gaps = Look::default();
        gaps.gaps.nameless = 1;
        lookout.found(&gaps, true, began);
        assert!(lookout.told().is_some_and(|told| told.contains("address without TLS")));
        for seconds in [0, 2] {
            lookout.found(&refused_by(&[65], 0), true, began + Duration::from_secs(seconds));
        }
        lookout.is_over();
        assert_eq!(lookout.told(), None);
        lookout.found(&refused_by(&[65], 0), true, began + Duration::from_secs(60));
        assert_eq!(lookout.state.lock().refusal, None, "from there it counts anew");
    }

    #[test]
    fn a_look_that_panics_is_over() {
        let lookout = Lookout::default();
        assert!(lookout.begins(Instant::now()));
        let look = || {
            let _looking = Looking(&lookout);
            panic!("as in the client");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).is_err());
        assert!(!lookout.state.lock().is_looking);
    }
}
