//! Faults on command, while connections are open: delays, stalls, refusals, resets, silence after applying, messages
//! that are lost or take effect late, batches that end early, result codes for rows and for whole batches, stop-writes,
//! and rows that are not forwarded.
//!
//! This module only decides; the connection threads (`server`) and `batch` act on it. It takes one lock, once per
//! message.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::message::Digest;
use super::random::{Random, Share, Strikes};
use super::server::Connections;
use super::wire::code;

/// What happens to a message that arrives during a stall. It is never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalled {
    /// It has no effect.
    Dropped,
    /// It takes effect, but is not answered.
    Applied,
}

/// How a batch ends early.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EarlyEnd {
    /// This many rows are answered, in the order of the batch (or of their race, if rows race).
    pub rows_answered: usize,
    /// The share of the remaining rows that are applied without an answer, 0.0 to 1.0. Drawn for each row.
    pub applied: f64,
    /// The code of the header that closes the batch.
    pub code: u8,
}

/// A handle for the faults of a running simulator. Clones share the faults.
///
/// Each fault of messages (`silence`, `lose`, `late`, `late_after`, `slow_answers`, `end_batches`) has one share: a
/// later call replaces it, and `Share::Next(0)` ends it. Result codes (`fail_rows`, `fail_reads`, `fail_batches`,
/// `refuse_records`) add up until `clear`.
#[derive(Clone)]
pub struct Faults {
    state: Arc<State>,
}

struct State {
    settings: Mutex<Settings>,
    /// Wakes those who wait out a delay when a fault changes, and at the end.
    changed: Condvar,
    stopped: AtomicBool,
    /// The connections of each node that the faults affect.
    connections: Vec<Connections>,
}

/// A message that takes effect later.
pub type Held = Box<dyn FnOnce() + Send>;

struct Settings {
    delay: Duration,
    stall: Option<Stalled>,
    refuse: bool,
    reset: u64,
    silence: Strikes<()>,
    lose: Strikes<()>,
    late: Strikes<()>,
    late_after: Strikes<Duration>,
    slow_answers: Strikes<Duration>,
    early: Strikes<EarlyEnd>,
    rows: Strikes<u8>,
    reads: Strikes<u8>,
    batches: Strikes<u8>,
    records: Vec<RefusedRecords>,
    unowned: Option<u8>,
    stop_writes: bool,
    held: VecDeque<Held>,
    random: Random,
    /// How often everything was cleared. A waiter checks whether that happened meanwhile.
    clears: u64,
}

struct RefusedRecords {
    code: u8,
    share: f64,
    seed: u64,
}

impl RefusedRecords {
    fn strike(&self, digest: &Digest) -> bool {
        let [head @ .., _, _, _, _] = digest;
        let word = head.chunks_exact(8).fold(self.seed, |word, chunk| {
            word ^ chunk.try_into().map_or(0, u64::from_le_bytes)
        });
        Random::new(word).fraction() < self.share
    }
}

impl Settings {
    fn new(random: Random, clears: u64) -> Self {
        Settings {
            delay: Duration::ZERO,
            stall: None,
            refuse: false,
            reset: 0,
            silence: Strikes::default(),
            lose: Strikes::default(),
            late: Strikes::default(),
            late_after: Strikes::default(),
            slow_answers: Strikes::default(),
            early: Strikes::default(),
            rows: Strikes::default(),
            reads: Strikes::default(),
            batches: Strikes::default(),
            records: Vec::new(),
            unowned: None,
            stop_writes: false,
            held: VecDeque::new(),
            random,
            clears,
        }
    }

    /// Decides what the message faults do with this message. The first fault that applies decides.
    fn draw(&mut self) -> Verdict {
        if self.reset > 0 {
            self.reset -= 1;
            return Verdict::Reset;
        }
        let random = &mut self.random;
        if self.lose.draw(random).is_some() {
            Verdict::Drop
        } else if self.silence.draw(random).is_some() {
            Verdict::Apply
        } else if self.late.draw(random).is_some() {
            Verdict::Hold
        } else if let Some(after) = self.late_after.draw(random) {
            Verdict::ApplyAfter(after)
        } else if let Some(longest) = self.slow_answers.draw(random) {
            Verdict::AnswerAfter(longest.mul_f64(random.fraction()))
        } else {
            Verdict::Answer
        }
    }
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answer,
    /// Apply it, and answer after this time.
    AnswerAfter(Duration),
    /// Apply it without an answer.
    Apply,
    /// Apply it after this time, without an answer.
    ApplyAfter(Duration),
    /// Keep it until it is released, without an answer.
    Hold,
    /// Neither apply nor answer it.
    Drop,
    /// Apply it, send the first bytes of the answer, and close the connection.
    Reset,
}

impl Faults {
    pub(super) fn new(connections: Vec<Connections>, seed: u64) -> Self {
        let state = State {
            settings: Mutex::new(Settings::new(Random::new(seed), 0)),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            connections,
        };
        Faults { state: Arc::new(state) }
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.state.settings.lock());
        self.state.changed.notify_all();
    }

    /// Each message and info request waits for this time before it is applied. Zero ends the delay, also for those that
    /// wait now.
    pub fn delay(&self, delay: Duration) {
        self.change(|settings| settings.delay = delay);
    }

    /// Accepts and reads, but never answers: messages, info, logins.
    pub fn stall(&self, what: Stalled) {
        self.change(|settings| settings.stall = Some(what));
    }

    /// Ends a stall. Stalled messages stay unanswered.
    pub fn unstall(&self) {
        self.change(|settings| settings.stall = None);
    }

    /// Closes all connections, and new ones at once, until it is set to `false`.
    pub fn refuse(&self, refuse: bool) {
        self.change(|settings| settings.refuse = refuse);
        if refuse {
            self.close_connections();
        }
    }

    /// Closes all connections once. Clients may reconnect.
    pub fn close_connections(&self) {
        self.state.connections.iter().for_each(Connections::close_all);
    }

    /// The next `messages` messages are applied, the first bytes of each answer are sent (no row has its code then), and
    /// the connection is closed.
    pub fn reset_next(&self, messages: u64) {
        self.change(|settings| settings.reset = messages);
    }

    /// The next `messages` messages are applied but not answered.
    pub fn silence_next(&self, messages: u64) {
        self.silence(Share::Next(messages));
    }

    /// A share of the messages, including reads, is applied but never answered.
    pub fn silence(&self, share: Share) {
        self.change(|settings| settings.silence = Strikes::only(share, ()));
    }

    /// A share of the messages has no effect and is never answered.
    pub fn lose(&self, share: Share) {
        self.change(|settings| settings.lose = Strikes::only(share, ()));
    }

    /// The next `messages` messages are not answered, and held back until `release_late`.
    pub fn late_next(&self, messages: u64) {
        self.late(Share::Next(messages));
    }

    /// A share of the messages, including reads, is not answered and held back until `release_late`. So an original
    /// takes effect after its retry and after newer writes. A held message does not block its connection.
    pub fn late(&self, share: Share) {
        self.change(|settings| settings.late = Strikes::only(share, ()));
    }

    /// A share of the messages is not answered and takes effect after this time, whatever happens meanwhile. Its
    /// connection waits with it; a client that gives up closes the connection.
    pub fn late_after(&self, share: Share, after: Duration) {
        self.change(|settings| settings.late_after = Strikes::only(share, after));
    }

    /// Applies everything that `late` held back, in the order of arrival, and returns the number of messages. All are
    /// applied when this returns. The current faults of rows and batches apply to them.
    pub fn release_late(&self) -> usize {
        let held = std::mem::take(&mut self.state.settings.lock().held);
        let messages = held.len();
        // Not under the lock: each message checks its own faults.
        held.into_iter().for_each(|apply| apply());
        messages
    }

    /// How many messages `late` holds back.
    pub fn held_late(&self) -> usize {
        self.state.settings.lock().held.len()
    }

    /// A share of the messages is applied at once and answered up to `longest` later, drawn evenly.
    pub fn slow_answers(&self, share: Share, longest: Duration) {
        self.change(|settings| settings.slow_answers = Strikes::only(share, longest));
    }

    /// A share of the batches ends early: some rows have no answer, and some of those were applied.
    pub fn end_batches(&self, share: Share, end: EarlyEnd) {
        self.change(|settings| settings.early = Strikes::only(share, end));
    }

    /// Refuses rows that write, and single writes, with `code`. They are not applied. Shares add up in the order of the
    /// calls; the first one that applies decides.
    pub fn fail_rows(&self, code: u8, share: Share) {
        self.change(|settings| settings.rows.add(share, code));
    }

    /// Rows that write, and single writes, find their record busy (14), as if many calls wrote one record at a time.
    pub fn busy(&self, share: Share) {
        self.fail_rows(code::KEY_BUSY, share);
    }

    /// Refuses every row and single write to this share of all records (0.0 to 1.0) with `code`, until `clear`. The
    /// seed and the digest decide which records: the same ones at every attempt and in every run.
    pub fn refuse_records(&self, code: u8, share: f64, seed: u64) {
        self.change(|settings| settings.records.push(RefusedRecords { code, share, seed }));
    }

    /// Whether `refuse_records`, as it is set now, refuses a record.
    pub fn refuses_record(&self, digest: &Digest) -> bool {
        refused_record(&self.state.settings.lock(), digest).is_some()
    }

    /// Like `fail_rows`, for rows and single messages that only read.
    pub fn fail_reads(&self, code: u8, share: Share) {
        self.change(|settings| settings.reads.add(share, code));
    }

    /// Refuses whole batches: one header with `code`, and no row is applied.
    pub fn fail_batches(&self, code: u8, share: Share) {
        self.change(|settings| settings.batches.add(share, code));
    }

    /// A node refuses rows of partitions that it does not have with `code` (11, as while the cluster changes). `None`:
    /// it forwards them to their master again.
    pub fn refuse_unowned(&self, code: Option<u8>) {
        self.change(|settings| settings.unowned = code);
    }

    /// In every namespace, writes answer 8 and `namespace/<name>` says `stop_writes=true`. Deletes still work, as on
    /// the server.
    pub fn stop_writes(&self, stop: bool) {
        self.change(|settings| settings.stop_writes = stop);
    }

    /// Restarts the random generator, so that the same shares affect the same rows again.
    pub fn seed(&self, seed: u64) {
        self.change(|settings| settings.random = Random::new(seed));
    }

    /// Ends every fault. Messages that are held back, or that wait to be applied, never take effect. Slow answers are
    /// sent now.
    pub fn clear(&self) {
        self.change(|settings| {
            let random = std::mem::replace(&mut settings.random, Random::new(0));
            *settings = Settings::new(random, settings.clears + 1);
        });
    }

    /// Drops the messages that are held back, like a server that restarts.
    pub(super) fn forget_late(&self) {
        self.change(|settings| settings.held.clear());
    }

    fn is_refusing(&self) -> bool {
        self.state.settings.lock().refuse
    }

    fn unowned(&self) -> Option<u8> {
        self.state.settings.lock().unowned
    }

    fn is_stop_writes(&self) -> bool {
        self.state.settings.lock().stop_writes
    }

    /// Ends all waits permanently.
    fn stop(&self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Under the lock, so that no thread is between checking the flag and waiting.
        self.state.settings.lock().held.clear();
        self.state.changed.notify_all();
    }

    /// Keeps a message until `release_late`.
    pub(super) fn hold(&self, apply: Held) {
        self.state.settings.lock().held.push_back(apply);
    }

    /// Waits for this time. `false`: everything was cleared meanwhile, or the end came.
    pub(super) fn wait(&self, how_long: Duration) -> bool {
        let until = Instant::now().checked_add(how_long);
        let mut settings = self.state.settings.lock();
        let clears = settings.clears;
        loop {
            if self.state.stopped.load(Ordering::SeqCst) || settings.clears != clears {
                return false;
            }
            match until {
                Some(until) if Instant::now() >= until => return true,
                Some(until) => _ = self.state.changed.wait_until(&mut settings, until),
                None => self.state.changed.wait(&mut settings),
            }
        }
    }

    /// Waits out the delay and decides what to do with a frame that arrived.
    fn judge(&self, is_message: bool) -> Verdict {
        let arrived = Instant::now();
        let mut settings = self.state.settings.lock();
        while !settings.delay.is_zero() && !self.state.stopped.load(Ordering::SeqCst) {
            let Some(until) = arrived.checked_add(settings.delay) else {
                break;
            };
            if Instant::now() >= until {
                break;
            }
            self.state.changed.wait_until(&mut settings, until);
        }
        match settings.stall {
            Some(Stalled::Applied) if is_message => Verdict::Apply,
            Some(_) => Verdict::Drop,
            None if is_message => settings.draw(),
            None => Verdict::Answer,
        }
    }

    /// The code that refuses this whole batch.
    fn strike_batch(&self) -> Option<u8> {
        let settings = &mut *self.state.settings.lock();
        settings.batches.draw(&mut settings.random)
    }

    /// How this batch ends early, if it does. Also returns for each row whether it is applied if it comes after that
    /// end.
    fn strike_end(&self, rows: usize) -> Option<(EarlyEnd, Vec<bool>)> {
        let settings = &mut *self.state.settings.lock();
        let end = settings.early.draw(&mut settings.random)?;
        let applied = (0..rows).map(|_| settings.random.fraction() < end.applied);
        Some((end, applied.collect()))
    }

    /// The code that refuses each row; empty if no fault is set. The input is, for each row, whether it writes, and its
    /// record.
    fn strike_rows<'d>(&self, rows: impl Iterator<Item = (bool, &'d Digest)>) -> Vec<Option<u8>> {
        let settings = &mut *self.state.settings.lock();
        if settings.rows.is_empty() && settings.reads.is_empty() && settings.records.is_empty() {
            return Vec::new();
        }
        rows.map(|(writes, digest)| match writes {
            true => refused_record(settings, digest).or_else(|| settings.rows.draw(&mut settings.random)),
            false => settings.reads.draw(&mut settings.random),
        })
        .collect()
    }

    fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.state.settings.lock().random)
    }
}

/// The faults at one node: first those of the whole cluster, then the node's own. If there is only one node, it has
/// only the cluster's.
pub struct NodeFaults {
    cluster: Faults,
    own: Option<Faults>,
}

impl NodeFaults {
    pub fn new(cluster: Faults, own: Option<Faults>) -> Self {
        NodeFaults { cluster, own }
    }

    pub fn cluster(&self) -> &Faults {
        &self.cluster
    }

    /// The faults of this node alone. If there is only one node: the cluster's.
    pub fn own(&self) -> &Faults {
        self.own.as_ref().unwrap_or(&self.cluster)
    }

    fn each(&self) -> impl Iterator<Item = &Faults> {
        std::iter::once(&self.cluster).chain(&self.own)
    }

    pub fn stop(&self) {
        self.each().for_each(Faults::stop);
    }

    pub fn is_refusing(&self) -> bool {
        self.each().any(Faults::is_refusing)
    }

    pub fn is_stop_writes(&self) -> bool {
        self.each().any(Faults::is_stop_writes)
    }

    pub fn unowned(&self) -> Option<u8> {
        self.each().find_map(Faults::unowned)
    }

    /// Waits out the delays and decides what to do with a frame that arrived. Also returns the faults that decided.
    pub fn judge(&self, is_message: bool) -> (Verdict, &Faults) {
        let verdict = self.cluster.judge(is_message);
        match &self.own {
            Some(own) if verdict == Verdict::Answer => (own.judge(is_message), own),
            _ => (verdict, &self.cluster),
        }
    }

    /// The code that refuses this whole batch.
    pub fn strike_batch(&self) -> Option<u8> {
        self.each().find_map(Faults::strike_batch)
    }

    /// How this batch ends early, if it does. Also returns for each row whether it is applied if it comes after that
    /// end.
    pub fn strike_end(&self, rows: usize) -> Option<(EarlyEnd, Vec<bool>)> {
        self.each().find_map(|faults| faults.strike_end(rows))
    }

    /// The code that refuses each row; empty if no fault is set. The input is, for each row, whether it writes, and its
    /// record.
    pub fn strike_rows<'d>(&self, rows: impl Iterator<Item = (bool, &'d Digest)> + Clone) -> Vec<Option<u8>> {
        match &self.own {
            None => self.cluster.strike_rows(rows),
            Some(own) => first_codes(self.cluster.strike_rows(rows.clone()), own.strike_rows(rows)),
        }
    }

    pub fn random<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        self.cluster.random(draw)
    }
}

/// For each row, the first code of the two. A side may be empty: then it has no code for any row.
pub fn first_codes(mut first: Vec<Option<u8>>, second: Vec<Option<u8>>) -> Vec<Option<u8>> {
    if first.is_empty() {
        return second;
    }
    for (first, second) in first.iter_mut().zip(second) {
        *first = first.or(second);
    }
    first
}

fn refused_record(settings: &Settings, digest: &Digest) -> Option<u8> {
    let refused = settings.records.iter().find(|records| records.strike(digest))?;
    Some(refused.code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(at: u32) -> Digest {
        let mut digest = [7; 20];
        digest[..4].copy_from_slice(&at.to_le_bytes());
        digest
    }

    fn strike_writes(faults: &Faults, rows: u32) -> Vec<Option<u8>> {
        let digests: Vec<Digest> = (0..rows).map(digest).collect();
        faults.strike_rows(digests.iter().map(|digest| (true, digest)))
    }

    #[test]
    fn a_share_strikes_about_its_part_and_the_same_rows_for_a_seed() {
        let faults = Faults::new(Vec::new(), 1);
        faults.fail_rows(18, Share::Fraction(0.2));
        let first = strike_writes(&faults, 1000);
        let struck = first.iter().flatten().count();
        assert!((150..250).contains(&struck), "{struck} of 1000");
        faults.seed(1);
        assert_eq!(strike_writes(&faults, 1000), first);
        assert_eq!(
            faults.strike_rows([(false, &digest(0))].into_iter()),
            [None],
            "a write's fault does not strike a read"
        );
    }

    #[test]
    fn a_count_strikes_so_many_and_ends() {
        let faults = Faults::new(Vec::new(), 1);
        faults.fail_batches(151, Share::Next(2));
        assert_eq!(
            [faults.strike_batch(), faults.strike_batch(), faults.strike_batch()],
            [Some(151), Some(151), None]
        );
        faults.fail_rows(9, Share::Next(3));
        faults.clear();
        assert!(strike_writes(&faults, 1).is_empty());
    }

    #[test]
    fn refused_records_are_the_same_at_every_attempt_whatever_else_is_drawn() {
        let faults = Faults::new(Vec::new(), 1);
        faults.refuse_records(22, 0.3, 5);
        let first = strike_writes(&faults, 1000);
        let struck = first.iter().flatten().count();
        assert!((250..350).contains(&struck), "{struck} of 1000");
        faults.busy(Share::Fraction(0.5));
        let second = strike_writes(&faults, 1000);
        for (at, (first, second)) in first.iter().zip(&second).enumerate() {
            assert_eq!(first.is_some(), *second == Some(22), "row {at}");
            assert_eq!(faults.refuses_record(&digest(at as u32)), first.is_some());
        }
        assert_eq!(
            faults.strike_rows([(false, &digest(0))].into_iter()),
            [None],
            "a read is not refused"
        );
    }

    #[test]
    fn each_fault_of_messages_has_its_verdict() {
        let faults = Faults::new(Vec::new(), 1);
        let two = || [faults.judge(true), faults.judge(true)];
        faults.silence(Share::Next(1));
        assert_eq!(two(), [Verdict::Apply, Verdict::Answer]);
        faults.lose(Share::Next(1));
        assert_eq!(two(), [Verdict::Drop, Verdict::Answer]);
        faults.late_next(1);
        assert_eq!(faults.judge(false), Verdict::Answer, "info is no message");
        assert_eq!(two(), [Verdict::Hold, Verdict::Answer]);
        let second = Duration::from_secs(1);
        faults.late_after(Share::Next(1), second);
        assert_eq!(two(), [Verdict::ApplyAfter(second), Verdict::Answer]);
        faults.slow_answers(Share::Fraction(1.0), second);
        assert!(matches!(faults.judge(true), Verdict::AnswerAfter(after) if after < second));
        faults.slow_answers(Share::Next(0), second);
        assert_eq!(
            faults.judge(true),
            Verdict::Answer,
            "a later call replaces an earlier one"
        );
    }
}
