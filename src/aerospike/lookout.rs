//! The lookout: finds out whether a lost database is back, and why it is away, when no worker does.
//!
//! Normally the workers find out by retrying their rows. But the worker whose rows failed can be revoked before they
//! succeed, and the others may have nothing to write. Then nobody asks any more, and the last state would be reported
//! for ever. So while writes fail and no worker retries, the lookout tries a read. While writes fail, it also asks the
//! nodes about each other and about our login. The log then names nodes that are not reached. A login that is refused
//! permanently ends the service.
//!
//! A login that comes from files may be changed. Then it does not end the service: a new one in the files is used
//! (`rotation`). Until there is one, no call goes to the client, and the nodes are asked more and more seldom whether
//! they accept the present one again. A refusal that is not of the login, such as a missing right, does end the service,
//! but not before a new login in the files was tried: it may be another user's. Nodes that accept a login can still
//! refuse its rows. That counts in the same way.
//!
//! The main thread calls [`Store::look_out`] again and again and never waits in it. A look runs on a thread of its own,
//! one at a time, and has time-outs.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aerospike::BatchOperation;
use log::{debug, info, warn};
use parking_lot::Mutex;

use super::ask::Manner;
use super::batch::answer;
use super::members::{Asking, Look, look};
use super::refusal::{Refusal, is_of_login, is_refusal};
use super::{Failed, Store, request};
use crate::config::model::LoginFiles;
use crate::delivery::pressure::{Gate, Pressure};
use crate::delivery::row_outcomes::Disposition;
use crate::delivery::write::{Answer, outcome};
use crate::util::backoff::Backoff;

/// Interval between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Interval at which the files of the login are read while nothing fails.
const FILES_INTERVAL: Duration = Duration::from_secs(5);
/// While calls fail, workers ask no more often whether the login is accepted.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a worker waits for another one that asks. A refusal comes at once.
const CHECK_WAIT: Duration = Duration::from_millis(300);
/// Pauses between two looks of which the first found the login refused, after the first [`REFUSED_LOOKS`]. Each look logs
/// in at each node, and a cluster may lock a user who fails too often.
const REFUSED: Backoff = Backoff::new(Duration::from_secs(4), Duration::from_secs(20)).half_certain();
/// No worker retries any more if the last call failed this long ago and none is in flight. Longer than a worker pauses.
const QUIET_MIN: Duration = Duration::from_secs(3);
/// At most this many rows are read.
const PROBES: usize = 64;
/// Rows that were refused longer ago than this have nothing to do with those that are refused now. Longer than a worker
/// takes to send a row again.
const ROWS_FORGOTTEN: Duration = Duration::from_secs(30);
/// A login counts as refused permanently after this time and this many looks in which every node that answers refuses
/// it. A node that restarts may refuse it for a moment.
const REFUSED_MIN: Duration = Duration::from_secs(6);
const REFUSED_LOOKS: u32 = 3;

#[derive(Default)]
pub(super) struct Lookout {
    state: Mutex<State>,
    /// When a worker asked last. Locked while it asks.
    checked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct State {
    is_looking: bool,
    looked: Option<Instant>,
    /// Why the database is away, in words.
    told: Option<String>,
    /// Since when all nodes that answer refuse us, and in how many looks.
    refused: Option<(Instant, u32)>,
    /// No node is asked before this.
    ask_at: Option<Instant>,
    /// Rows of this user are refused, by nodes that accept its login.
    rows: Option<RefusedRows>,
    /// How many nodes refused the user in the last look.
    refusing: usize,
    /// The user is refused permanently, if no other one is in the files.
    ending: Option<Refusal>,
    /// The user is refused permanently.
    refusal: Option<Refusal>,
}

struct RefusedRows {
    refusal: Refusal,
    since: Instant,
    last: Instant,
    looks: u32,
}

impl RefusedRows {
    /// Whether a worker still sends such a row.
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < QUIET_MIN
    }
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

    /// Whether to look now: the last look was `interval` ago, and none is running. If so, a look counts as running
    /// until its [`Looking`] is dropped.
    fn begins(&self, now: Instant, interval: Duration) -> bool {
        let mut state = self.state.lock();
        let is_early = state
            .looked
            .is_some_and(|at| now.saturating_duration_since(at) < interval);
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
        (state.ask_at, state.refusing, state.ending) = (None, 0, None);
        state.rows = None;
    }

    /// A row is refused, and will be sent again. `files`: those of the login.
    fn row_refused(&self, refusal: Refusal, files: &LoginFiles, now: Instant) {
        let mut state = self.state.lock();
        if let Some(rows) = &mut state.rows
            && now.saturating_duration_since(rows.last) < ROWS_FORGOTTEN
        {
            (rows.refusal, rows.last) = (refusal, now);
            return;
        }
        warn!(
            "aerospike: {refusal}: {}; its rows wait for another login in {files}, and without one the service ends",
            refusal.cure()
        );
        state.rows = Some(RefusedRows {
            refusal,
            since: now,
            last: now,
            looks: 0,
        });
    }

    /// Whether rows are refused now.
    fn refuses_rows(&self, now: Instant) -> bool {
        self.state.lock().rows.as_ref().is_some_and(|rows| rows.is_recent(now))
    }

    /// Whether the nodes may be asked now.
    fn asks(&self, now: Instant) -> bool {
        self.state.lock().ask_at.is_none_or(|at| now >= at)
    }

    /// No other login was taken after the last look: what it has found counts.
    fn concludes(&self, now: Instant) {
        let state = &mut *self.state.lock();
        state.refusal = state.refusal.or(state.ending);
        if let Some(rows) = state.rows.as_mut().filter(|rows| rows.is_recent(now)) {
            rows.looks += 1;
            if now.saturating_duration_since(rows.since) >= REFUSED_MIN && rows.looks >= REFUSED_LOOKS {
                state.refusal = state.refusal.or(Some(rows.refusal));
            }
        }
    }

    /// How many nodes refused the user when they were asked last.
    fn refusing(&self) -> usize {
        self.state.lock().refusing
    }

    /// Takes in what a look has found. `files`: those of the login.
    fn found(&self, found: &Look, has_user: bool, files: Option<&LoginFiles>, now: Instant) {
        let mut state = self.state.lock();
        state.refusing = refusing_user(found);
        let refused = found.refusals.iter().find(|(_, code)| is_refusal(*code));
        let refused = refused.filter(|_| found.answered == 0);
        let refusal = refused.map(|(_, code)| Refusal { code: *code, has_user });
        // A login that may change in its files is waited for.
        let files = files.filter(|_| refusal.is_some_and(|refusal| is_of_login(refusal.code)));
        let told = match refusal {
            Some(refusal) => {
                let node = refused.map_or("", |(node, _)| node);
                Some(match files {
                    None => format!("{refusal} node={node}: {}", refusal.cure()),
                    Some(files) => format!(
                        "{refusal} node={node}: {}, in {files}, which is read again without a restart",
                        refusal.cure()
                    ),
                })
            }
            None if found.answered == 0 && !found.troubles.is_empty() => Some(Failed::tls(&found.troubles).to_string()),
            None if found.gaps.is_whole() => None,
            None => Some(format!("{}; {}", found.gaps, found.gaps.cure())),
        };
        if let Some(told) = told.as_ref().filter(|told| state.told.as_ref() != Some(told)) {
            warn!("aerospike: {told}");
        }
        state.told = told;
        let Some(refusal) = refusal else {
            (state.refused, state.ask_at, state.ending) = (None, None, None);
            return;
        };
        let (since, looks) = state.refused.unwrap_or((now, 0));
        state.refused = Some((since, looks + 1));
        state.ask_at = looks.checked_sub(REFUSED_LOOKS).map(|more| now + REFUSED.pause(more));
        let is_permanent = now.duration_since(since) >= REFUSED_MIN && looks + 1 >= REFUSED_LOOKS;
        state.ending = (files.is_none() && is_permanent).then_some(refusal);
    }
}

impl Store {
    /// Called again and again while the service runs. Does not wait.
    pub fn look_out(self: &Arc<Self>, pressure: &Arc<Pressure>) {
        let failing = self.health.last_failed();
        let is_closed = pressure.view().gate == Gate::Closed;
        let is_held = self.connection.is_held();
        let has_login = self.asking.read().manner.login.is_some();
        let refuses_rows = self.lookout.refuses_rows(Instant::now());
        let is_well = failing.is_none() && !is_closed && !is_held && !refuses_rows;
        if is_well {
            // A refused row needs at most two calls, each of two write time-outs, besides its pause.
            self.health.forget_closed(4 * self.write_timeout());
            self.lookout.is_over();
            if !has_login || self.rotation.is_none() && !self.connection.has_lost_all_nodes() {
                return;
            }
        }
        let interval = if is_well { FILES_INTERVAL } else { LOOK_INTERVAL };
        if !self.lookout.begins(Instant::now(), interval) {
            return;
        }
        let nobody_tries = failing.is_none_or(|last| last >= QUIET_MIN) && !refuses_rows;
        let (store, pressure) = (self.clone(), pressure.clone());
        let spawned = thread::Builder::new().name("aerospike-look".into()).spawn(move || {
            let _looking = Looking(&store.lookout);
            if is_well && !store.connection.has_lost_all_nodes() {
                store.take_new_login(0);
            } else if is_well || is_held || !(nobody_tries && store.is_back(&pressure)) {
                store.look();
            }
        });
        if let Err(error) = spawned {
            debug!("aerospike: cannot start a thread error=\"{error}\"");
            self.lookout.state.lock().is_looking = false;
        }
    }

    /// Asks the nodes why writes fail, or why none is reached, and does what follows from that for the login.
    fn look(&self) {
        let now = Instant::now();
        let mut refusing = self.lookout.refusing();
        if self.lookout.asks(now) {
            let found = self.ask_nodes(now);
            refusing = refusing_user(&found);
            if found.answered > 0 && self.connection.is_held() {
                match self.connection.renew(None) {
                    Ok(()) => info!("aerospike: the login is accepted again"),
                    Err(why) => debug!("aerospike: the login is accepted again, but: {why}"),
                }
            }
        }
        if refusing > 0 || self.lookout.refuses_rows(now) {
            self.take_new_login(refusing);
        }
        self.lookout.concludes(now);
    }

    /// Whether rows that are refused with this code are sent again: the login may change in its files. If it does not,
    /// the lookout ends the service.
    pub(super) fn refuses_rows(&self, code: u8) -> bool {
        let Some(rotation) = &self.rotation else {
            return false;
        };
        let refusal = Refusal { code, has_user: true };
        self.lookout.row_refused(refusal, &rotation.files, Instant::now());
        true
    }

    /// Asks the nodes. If all that answer refuse the login, no call goes to the client from then on.
    fn ask_nodes(&self, now: Instant) -> Look {
        let asking = self.asking();
        let found = look(&self.connection.places(), &[], &asking);
        let has_user = asking.manner.login.is_some();
        let files = self.rotation.as_ref().map(|rotation| &rotation.files);
        let is_refused = found.answered == 0 && found.refusals.iter().any(|(_, code)| is_refusal(*code));
        // While writes succeed, nothing else is worth a line.
        if is_refused || self.health.last_failed().is_some() || self.connection.is_held() {
            self.lookout.found(&found, has_user, files, now);
        }
        if is_refused && has_user {
            self.connection.hold();
        }
        found
    }

    /// Whether calls must not go to the client, because no node accepts the login. A worker asks before each call. If
    /// calls fail, it finds out: a call of the client that waits for a connection logs in every millisecond, until
    /// `run.write_timeout`.
    pub(super) fn is_login_refused(&self) -> bool {
        if self.connection.is_held() {
            return true;
        }
        if self.asking.read().manner.login.is_none() {
            return false;
        }
        if self.health.last_failed().is_none() && !self.connection.is_losing_nodes() {
            return false;
        }
        let Some(mut checked) = self.lookout.checked.try_lock_for(CHECK_WAIT) else {
            return self.connection.is_held();
        };
        let now = Instant::now();
        if checked.is_none_or(|at| now.saturating_duration_since(at) >= CHECK_INTERVAL) && !self.connection.is_held() {
            self.ask_nodes(now);
            *checked = Some(Instant::now());
        }
        self.connection.is_held()
    }

    /// Uses the login that is in the files now, if it is another one and the nodes accept it, or more of them than the
    /// present one: a cluster spreads a changed user node by node. `refusing`: how many refuse the present one.
    fn take_new_login(&self, refusing: usize) {
        let Some(rotation) = &self.rotation else { return };
        let now = Instant::now();
        let Some(candidate) = rotation.due(now) else { return };
        let asking = self.asking();
        let login = Some(candidate.login.clone());
        let asking = Asking {
            manner: Manner { login, ..asking.manner },
            ..asking
        };
        let found = look(&self.connection.places(), &[], &asking);
        let refused = found.refusals.len();
        if found.answered == 0 || refused > 0 && refused >= refusing {
            rotation.put_off(now, found.refusals.first());
            return;
        }
        match self.connection.renew(Some((&candidate.user, &candidate.password))) {
            Ok(()) => {
                self.asking.write().manner.login = Some(candidate.login.clone());
                rotation.taken(candidate);
                self.lookout.is_over();
                info!(
                    "aerospike: the login in {} has changed and is used from now on",
                    rotation.files
                );
            }
            Err(why) => {
                debug!("aerospike: no connection with the new login: {why}");
                rotation.put_off(now, None);
            }
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
        let mut operations = request::probes(&self.asking.read().namespaces, permit.rows());
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

/// How many nodes refuse the user. Another login may be another user's, who has the right that this one lacks.
fn refusing_user(found: &Look) -> usize {
    found.refusals.iter().filter(|(_, code)| is_refusal(*code)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_by(codes: &[u8], answered: usize) -> Look {
        Look {
            answered,
            refusals: codes.iter().map(|code| ("a:3000".to_owned(), *code)).collect(),
            ..Look::default()
        }
    }

    #[test]
    fn a_login_that_every_node_refuses_for_a_while_is_refused_for_good() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let refusal = |seconds: u64, look: &Look| {
            let now = began + Duration::from_secs(seconds);
            lookout.found(look, true, None, now);
            lookout.concludes(now);
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
    fn a_login_in_files_is_waited_for_and_asked_about_more_and_more_seldom() {
        let lookout = Lookout::default();
        let files = LoginFiles {
            username: None,
            password: Some("/etc/pw".into()),
        };
        let began = Instant::now();
        let mut looks = Vec::new();
        for seconds in (0..600).step_by(2) {
            let now = began + Duration::from_secs(seconds);
            if lookout.asks(now) {
                lookout.found(&refused_by(&[65], 0), true, Some(&files), now);
                lookout.concludes(now);
                looks.push(seconds);
            }
        }
        assert_eq!(lookout.state.lock().refusal, None, "the service goes on");
        assert_eq!(looks[..REFUSED_LOOKS as usize + 1], [0, 2, 4, 6]);
        let in_first_minute = looks.iter().filter(|at| **at < 60).count();
        assert!(in_first_minute <= 12, "{looks:?}");
        // A pause is 10 to 20 seconds, and what is due is seen two seconds later at the most.
        let later = looks.iter().filter(|at| **at >= 120).count();
        assert!((20..=48).contains(&later), "{looks:?}");
        let told = lookout.told().unwrap();
        assert!(told.contains("node=a:3000") && told.contains("/etc/pw"), "{told}");
    }

    #[test]
    fn a_user_who_lacks_a_right_ends_the_service_after_a_new_login_was_tried() {
        let files = LoginFiles {
            username: Some("/etc/user".into()),
            password: None,
        };
        for code in [81, 82] {
            let lookout = Lookout::default();
            let began = Instant::now();
            let found = |seconds| {
                let now = began + Duration::from_secs(seconds);
                lookout.found(&refused_by(&[code], 0), true, Some(&files), now);
            };
            let refusal = || lookout.state.lock().refusal.map(|refusal| refusal.code);
            [0, 3, 6].into_iter().for_each(found);
            assert_eq!(lookout.refusing(), 1, "a new login in the files is tried");
            assert_eq!(refusal(), None, "and before the service ends");
            // It is taken.
            lookout.is_over();
            lookout.concludes(began);
            assert_eq!(refusal(), None);
            // There is none, or it is refused as well.
            [10, 13, 16].into_iter().for_each(found);
            lookout.concludes(began);
            assert_eq!(refusal(), Some(code));
        }
    }

    #[test]
    fn rows_that_are_refused_end_the_service_if_no_other_login_comes_for_a_while() {
        let files = LoginFiles {
            username: None,
            password: Some("/secrets/pw".into()),
        };
        let lookout = Lookout::default();
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let rights = Refusal {
            code: 81,
            has_user: true,
        };
        let refused = |seconds: u64| lookout.row_refused(rights, &files, at(seconds));
        let concluded = |seconds: u64| {
            lookout.concludes(at(seconds));
            lookout.state.lock().refusal
        };
        refused(0);
        assert_eq!([0, 2].map(concluded), [None, None]);
        // Another login is taken: it counts anew.
        lookout.is_over();
        refused(4);
        refused(7);
        assert_eq!([8, 9].map(concluded), [None, None], "not for long enough");
        assert!(lookout.refuses_rows(at(9)));
        // No worker has such a row any more, for instance since its partition was taken away.
        assert!(!lookout.refuses_rows(at(13)));
        assert_eq!(concluded(13), None);
        refused(60);
        assert_eq!([60, 62].map(concluded), [None, None], "from there it counts anew");
        for seconds in [61, 63, 65, 67] {
            refused(seconds);
        }
        assert_eq!(concluded(67), Some(rights));
    }

    #[test]
    fn what_passes_is_no_refusal() {
        let lookout = Lookout::default();
        let began = Instant::now();
        for seconds in 0..60 {
            let now = began + Duration::from_secs(seconds);
            lookout.found(&refused_by(&[66, 83], 0), true, None, now);
            lookout.concludes(now);
        }
        assert_eq!(lookout.state.lock().refusal, None);
        assert_eq!(lookout.told(), None);
    }

    #[test]
    fn one_looks_at_a_time_and_not_all_the_time() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let begins = |seconds| lookout.begins(at(seconds), Duration::from_secs(2));
        assert!(begins(0));
        assert!(!begins(3600), "somebody looks");
        drop(Looking(&lookout));
        assert!(!begins(1));
        assert!(begins(2));
    }

    #[test]
    fn what_was_found_is_forgotten_when_nothing_fails() {
        let lookout = Lookout::default();
        let began = Instant::now();
        let mut gaps = Look::default();
        gaps.gaps.nameless = 1;
        lookout.found(&gaps, true, None, began);
        assert!(lookout.told().is_some_and(|told| told.contains("address without TLS")));
        for seconds in [0, 2] {
            lookout.found(&refused_by(&[65], 0), true, None, began + Duration::from_secs(seconds));
        }
        lookout.is_over();
        assert_eq!(lookout.told(), None);
        let later = began + Duration::from_secs(60);
        lookout.found(&refused_by(&[65], 0), true, None, later);
        lookout.concludes(later);
        assert_eq!(lookout.state.lock().refusal, None, "from there it counts anew");
    }

    #[test]
    fn a_look_that_panics_is_over() {
        let lookout = Lookout::default();
        assert!(lookout.begins(Instant::now(), LOOK_INTERVAL));
        let look = || {
            let _looking = Looking(&lookout);
            panic!("as in the client");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(look)).is_err());
        assert!(!lookout.state.lock().is_looking);
    }
}
