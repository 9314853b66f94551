//! One batch: its messages are mapped by the rules, written, and handed on to be published. Runs on the partition's thread.
//!
//! All branching between the stages is here; each stage returns what it decided about the batch. Delivery depends on
//! this order: all rules of a message are applied before any of it is written. Its publications are produced after
//! its rows are written. A dead letter is acknowledged before its message's offset is committed. If the database
//! refused a row, the dead letter is also acknowledged before anything later is written to that record.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use log::{debug, error};

use crate::aerospike::refusal::Refusal as WhoAsks;
use crate::config::model::{InDoubt, RejectAction};
use crate::delivery::guard::{OFFSET_END, sequence};
use crate::delivery::plan::Plan;
use crate::delivery::reject::{MessageOrigin, NotDone, Rejected, RowsNotDone, dead_letter, rejection_of};
use crate::delivery::reject_limit::TooMany;
use crate::delivery::write::{Calls, Fatal, Limits, Refusal, Refused, Tally, WriteEnd, Written, write};
use crate::kafka::consumer::source::{Source, SourceMessage};
use crate::message::{Reason, Rejection};
use crate::observe::counters::Counters;
use crate::output::publication::Publication;
use crate::output::{Output, Verdict};
use crate::partition::ends::{BatchEnd, Broken};
use crate::partition::env::{Env, now_ms};
use crate::partition::held::stops_at;
use crate::partition::lettered::Lettered;
use crate::partition::offsets::Offsets;
use crate::partition::pending::{Fate, Pending};
use crate::util::exit::Exit;

/// How many batches of rows a worker has in hand at most. If many messages concern the same record, they are merged
/// into one row, so a batch can hold more messages than it has rows.
pub(super) const BATCHES_IN_HAND: usize = 5;

/// Limit for the weight of rows (`Row::bytes`), as a multiple of `batch_bytes_max`: no further message is mapped when
/// the rows of a batch reach it, and no single call exceeds it. JSON can take much more memory after decoding than as
/// text.
const WEIGHT: usize = 4;

/// The message that ends the batch. Neither its offset nor any later one is committed.
struct Cut {
    message: usize,
    why: CutBy,
}

/// Why the batch ends before its last message.
enum CutBy {
    /// The partition is held.
    Hold,
    /// The service stops.
    Stop,
    /// The service stops: too many messages were rejected.
    TooMany(TooMany),
}

/// The messages that were taken from the queue, and what is to be written and published for them.
struct Batch<'m, M> {
    messages: &'m [M],
    /// One entry for each message that the rules were applied to.
    fates: Vec<Fate>,
    plan: Plan<'m>,
    /// What the messages publish, in message order.
    publications: Vec<Publication<'m>>,
    /// Dead letters in message order, without those that are acknowledged already.
    letters: Vec<Publication<'m>>,
    /// Total size of publications and dead letters, in bytes.
    published_bytes: u64,
    /// The database has refused a row. Nothing more is written to that record until the dead letter is acknowledged.
    holds_records: bool,
    condition_errors_ignored: u64,
    ttl_past_skipped: u64,
    ttl_past_deleted: u64,
    /// Number of messages rejected so far, and number of consecutive rejections. The latter includes earlier batches.
    rejected: u64,
    consecutive: u32,
    cut: Option<Cut>,
}

impl<'m, M: SourceMessage> Batch<'m, M> {
    /// No rule is applied yet. `consecutive`: number of consecutive rejections before this batch.
    fn new(messages: &'m [M], consecutive: u32) -> Self {
        Batch {
            messages,
            fates: Vec::with_capacity(messages.len()),
            plan: Plan::default(),
            publications: Vec::new(),
            letters: Vec::new(),
            published_bytes: 0,
            holds_records: false,
            condition_errors_ignored: 0,
            ttl_past_skipped: 0,
            ttl_past_deleted: 0,
            rejected: 0,
            consecutive,
            cut: None,
        }
    }

    fn add_letter(&mut self, letter: Publication<'m>) {
        self.published_bytes += letter.bytes();
        let place = self.letters.partition_point(|before| before.message < letter.message);
        self.letters.insert(place, letter);
    }

    /// Cuts the batch at `message`, unless it is already cut at an earlier message.
    fn cut_at(&mut self, message: usize, why: CutBy) {
        if self.cut.as_ref().is_none_or(|cut| message < cut.message) {
            self.cut = Some(Cut { message, why });
        }
    }

    /// Number of messages before the cut.
    fn end(&self) -> usize {
        self.cut.as_ref().map_or(self.fates.len(), |cut| cut.message)
    }

    /// Applies the rules to the next messages, without the database. Stops when the rows fill a batch.
    fn apply_rules<'w: 'm, S: Source<Message<'w> = M> + 'w>(&mut self, env: &Env<'w, S>, letters: &Lettered) {
        let rows_max = env.shared.sizes.batch_rows_max;
        let bytes_max = (WEIGHT * env.shared.sizes.batch_bytes_max()) as u64;
        let messages = self.messages;
        let rows = messages.len().min(rows_max) * env.processor.rows_per_message();
        let mut plan = Plan::with_capacity(rows.min(BATCHES_IN_HAND * rows_max));
        let (mut output, mut scratch) = (Output::default(), Output::default());
        let now_ms = now_ms();
        let wants_headers = env.processor.wants_headers();
        for (index, message) in messages.iter().enumerate() {
            let full = plan.records() >= rows_max
                || plan.rows() >= BATCHES_IN_HAND * rows_max
                || plan.bytes() as u64 + self.published_bytes >= bytes_max;
            // At least one message: a large message is taken alone.
            if full && index > 0 {
                break;
            }
            // Whoever replays its dead letter applies it.
            if letters.has(message) {
                self.fates.push(Fate::Lettered);
                continue;
            }
            output.begin(index);
            let publications = output.publications.len();
            let outcome = env
                .processor
                .process(&message.view(wants_headers), now_ms, &mut output, &mut scratch)
                .and_then(|verdict| add_rows(message.offset(), &mut output, &mut plan).map(|()| verdict));
            match outcome {
                Ok(verdict) => {
                    self.consecutive = 0;
                    let made = &output.publications[publications..];
                    self.published_bytes += made.iter().map(Publication::bytes).sum::<u64>();
                    self.fates.push(match verdict {
                        Verdict::Kept => Fate::Kept,
                        Verdict::Filtered => Fate::Filtered,
                    });
                }
                Err(rejection) => {
                    output.take_back();
                    let rejected = Box::new(Rejected::from(rejection));
                    let messages = (index + 1) as u64;
                    let too_many = || {
                        env.shared
                            .rejecting
                            .counts
                            .one_more(messages, self.rejected, self.consecutive)
                    };
                    let cut = match &env.shared.rejecting.action {
                        RejectAction::Hold => Some(CutBy::Hold),
                        RejectAction::Stop => Some(CutBy::Stop),
                        RejectAction::Drop | RejectAction::DeadLetter { .. } => too_many().map(CutBy::TooMany),
                    };
                    self.rejected += 1;
                    self.consecutive += 1;
                    if cut.is_none()
                        && let Some(letter) = letter(env, index, message, &rejected, now_ms)
                    {
                        self.add_letter(letter);
                    }
                    self.fates.push(Fate::Rejected(rejected));
                    // Messages behind it are not mapped, so they are not written. When the rule is corrected, this
                    // message comes again. If a later message had been written to its record, the guard would treat
                    // this one as already applied.
                    if let Some(why) = cut {
                        self.cut_at(index, why);
                        break;
                    }
                }
            }
        }
        self.condition_errors_ignored += output.condition_errors_ignored;
        self.ttl_past_skipped += output.ttl_past_skipped;
        self.ttl_past_deleted += output.ttl_past_deleted;
        self.publications = output.publications;
        self.plan = plan;
    }

    /// Writes all rows before the cut. If the database refuses a row, no later row of that record is written until the
    /// refused message is dealt with (for instance: its dead letter is acknowledged). `Err`: the first message that is
    /// not written, if any, and why.
    fn write_rows<'w: 'm, S: Source<Message<'w> = M> + 'w>(
        &mut self,
        env: &Env<'w, S>,
        pending: &mut Pending,
        offsets: &mut Offsets,
    ) -> Result<(), (Option<usize>, Broken)> {
        let written = write_plan(env, &self.plan);
        let Written { end, refused, open, .. } = written;
        let first = open
            .iter()
            .copied()
            .chain(refused.iter().map(|refused| refused.row))
            .map(|row| self.plan.message(row))
            .min();
        match end {
            WriteEnd::Finished if refused.is_empty() => return Ok(()),
            WriteEnd::Finished => {}
            end => return Err((first, broken(end))),
        }
        self.go_on_behind(env, pending, offsets, refused, open)
    }

    /// Continues after rows were refused.
    fn go_on_behind<'w: 'm, S: Source<Message<'w> = M> + 'w>(
        &mut self,
        env: &Env<'w, S>,
        pending: &mut Pending,
        offsets: &mut Offsets,
        refused: Vec<Refused>,
        mut open: Vec<usize>,
    ) -> Result<(), (Option<usize>, Broken)> {
        // For each record that is blocked: the last message that blocks it.
        let mut holders: HashMap<usize, usize> = HashMap::new();
        self.refuse(env, pending, &refused, &mut open, &mut holders);
        loop {
            let end = self.end();
            open.retain(|row| self.plan.message(*row) < end);
            let Some(first_open) = open.iter().map(|row| self.plan.message(*row)).min() else {
                return Ok(());
            };
            // In message order. This includes all dead letters for the same record, since its open rows belong to later
            // messages.
            let due = self.letters.partition_point(|letter| letter.message < first_open);
            if due > 0 {
                let first = self.letters[0].message;
                offsets.tell_letters(env).map_err(|broken| (Some(first), broken))?;
                let due = self.letters.drain(..due).collect();
                pending
                    .publish_first(env, offsets, self.messages, due)
                    .map_err(|broken| (Some(first_open), broken))?;
            }
            let is_held = |row: &usize| {
                let holder = holders.get(&self.plan.record(*row));
                holder.is_some_and(|holder| *holder >= first_open)
            };
            let mut rows: Vec<usize> = open.iter().copied().filter(|row| !is_held(row)).collect();
            open.retain(is_held);
            rows.sort_unstable();
            let Written {
                end,
                refused,
                open: still_open,
                ..
            } = write_plan(env, &self.plan.only(&rows));
            let refused: Vec<Refused> = refused
                .into_iter()
                .map(|refused| Refused {
                    row: rows[refused.row],
                    ..refused
                })
                .collect();
            open.extend(still_open.into_iter().map(|row| rows[row]));
            if end != WriteEnd::Finished {
                let unwritten = open.iter().copied().chain(refused.iter().map(|refused| refused.row));
                let first = unwritten.map(|row| self.plan.message(row)).min();
                return Err((first, broken(end)));
            }
            self.refuse(env, pending, &refused, &mut open, &mut holders);
        }
    }

    /// Rejects the messages of the refused rows, as `[reject]` says. Their rows that are still open are never written
    /// to the records that refused them.
    fn refuse<'w: 'm, S: Source<Message<'w> = M> + 'w>(
        &mut self,
        env: &Env<'w, S>,
        pending: &Pending,
        refused: &[Refused],
        open: &mut Vec<usize>,
        holders: &mut HashMap<usize, usize>,
    ) {
        self.holds_records = true;
        let plan = &self.plan;
        // The refused rows of each message, and its open rows that are therefore not sent.
        let mut by_message: BTreeMap<usize, (Vec<Refused>, Vec<usize>)> = BTreeMap::new();
        for each in refused {
            let message = plan.message(each.row);
            let holder = holders.entry(plan.record(each.row)).or_default();
            *holder = message.max(*holder);
            let (refused, rows) = by_message.entry(message).or_default();
            refused.push(*each);
            rows.push(each.row);
        }
        open.retain(|row| match by_message.get_mut(&plan.message(*row)) {
            Some((_, rows)) if rows.iter().any(|of| plan.record(*of) == plan.record(*row)) => {
                rows.push(*row);
                false
            }
            _ => true,
        });
        for (message, (refused, mut rows)) in by_message {
            rows.sort_unstable();
            let counts = self.plan.rows_by_record(message);
            let of = |row: usize| counts.get(&self.plan.record(row)).copied().unwrap_or_default();
            let not_done = rows.iter().map(|row| NotDone::of(&self.plan.row(*row).row, of(*row)));
            let mut not_done: Vec<NotDone> = not_done.collect();
            let first = refused[0];
            let in_doubt = refused.iter().any(|each| each.in_doubt);
            let waits = refused.iter().any(|each| {
                let rules = self.plan.row(each.row).row.rules;
                each.refusal == Refusal::InDoubt && rules.in_doubt == InDoubt::Hold
            });
            // Another record has refused this message before.
            if let Fate::Rejected(before) = &mut self.fates[message] {
                if let RowsNotDone::These(rows) = &mut before.rows_not_done {
                    rows.append(&mut not_done);
                    rows.sort_unstable_by_key(|row| row.row);
                }
                before.in_doubt |= in_doubt;
            } else {
                self.publications.retain(|publication| publication.message != message);
                self.fates[message] = Fate::Rejected(Box::new(Rejected {
                    rejection: rejection_of(first.refusal, self.plan.row(first.row).row.rules.guarded),
                    rows_not_done: RowsNotDone::These(not_done),
                    attempts: first.attempts,
                    in_doubt,
                }));
            }
            match &env.shared.rejecting.action {
                _ if waits => self.cut_at(message, CutBy::Hold),
                RejectAction::Hold => self.cut_at(message, CutBy::Hold),
                RejectAction::Stop => self.cut_at(message, CutBy::Stop),
                RejectAction::Drop => {}
                RejectAction::DeadLetter { .. } => {
                    let Fate::Rejected(rejected) = &self.fates[message] else {
                        continue;
                    };
                    let letter = letter(env, message, &self.messages[message], rejected, now_ms());
                    self.letters.retain(|letter| letter.message != message);
                    if let Some(letter) = letter {
                        self.add_letter(letter);
                    }
                }
            }
        }
        self.cut_where_too_many(env, pending);
    }

    /// Runs before anything is published. Cuts the batch at the first message that the database rejected and that
    /// exceeds a limit of `[reject]`; the service then stops. Messages that the rules rejected do not cut here: rows
    /// behind them are already written. Behind a message that the database rejected, its record is blocked.
    fn cut_where_too_many<'w, S: Source>(&mut self, env: &Env<'w, S>, pending: &Pending) {
        let (mut rejected, mut consecutive) = (0, pending.consecutive_rejects());
        for index in 0..self.end() {
            let of = match &self.fates[index] {
                Fate::Rejected(of) => of,
                Fate::Lettered => continue,
                Fate::Kept | Fate::Filtered => {
                    consecutive = 0;
                    continue;
                }
            };
            let is_held = matches!(of.rows_not_done, RowsNotDone::These(_));
            let one_more = || {
                env.shared
                    .rejecting
                    .counts
                    .one_more(index as u64 + 1, rejected, consecutive)
            };
            if is_held && let Some(too_many) = one_more() {
                self.cut_at(index, CutBy::TooMany(too_many));
                return;
            }
            rejected += 1;
            consecutive += 1;
        }
        (self.rejected, self.consecutive) = (rejected, consecutive);
    }
}

/// Processes `messages`, or as many as fill a batch of rows (an `each` can make many rows of one message). Returns how
/// many were dealt with. For any result except `Finished` this is all of them: the unfinished ones are given back.
pub(super) fn bring<'m, 'w: 'm, S: Source>(
    env: &Env<'w, S>,
    pending: &mut Pending,
    offsets: &mut Offsets,
    messages: &'m [S::Message<'w>],
) -> (usize, BatchEnd) {
    let began = Instant::now();
    let mut batch = Batch::new(messages, pending.consecutive_rejects());
    batch.apply_rules(env, &offsets.letters);
    let mut written = batch.write_rows(env, pending, offsets);
    let took = began.elapsed();
    // Fetching may have been paused during a wait. Without this the queue would stay empty.
    env.fetching.resume();
    let counters = &env.shared.counters;
    counters.condition_errors_ignored.add(batch.condition_errors_ignored);
    counters.ttl_past_skipped.add(batch.ttl_past_skipped);
    counters.ttl_past_deleted.add(batch.ttl_past_deleted);
    let Batch {
        mut fates,
        mut publications,
        letters,
        holds_records,
        cut,
        plan,
        ..
    } = batch;
    drop(plan);
    let taken = fates.len();
    // Messages before the first unwritten one can be finished.
    let end = cut.as_ref().map_or(taken, |cut| cut.message);
    let mut finished = match &written {
        Ok(()) => end,
        Err((open, Broken::Stopped | Broken::Lost)) => open.map_or(end, |open| open.min(end)),
        Err((_, Broken::Fatal(_))) => 0,
    };
    // Whoever starts after a kill must know where to look for these letters, or they are not sent.
    if let Some(first) = letters.first().map(|letter| letter.message)
        && first < finished
        && let Err(broken) = offsets.tell_letters(env)
    {
        (finished, written) = (first, Err((Some(first), broken)));
    }
    let mut behind = fates.split_off(finished).into_iter();
    let kept = fates.iter().filter(|fate| matches!(fate, Fate::Kept)).count();
    counters.decoded_to_written(kept as u64, took);
    publications.extend(letters);
    publications.retain(|publication| publication.message < finished);
    publications.sort_by_key(|publication| publication.message);
    pending.hand_over(env, offsets, messages, fates, publications);
    debug!(
        "worker: batch {} messages={taken} finished={finished} next={:?}",
        env.partition(),
        offsets.finished()
    );
    let settled = match written {
        Err((_, broken)) => Err(broken),
        // If a record waits for a dead letter, nothing later may be written to it. If the partition is held, a person
        // must find a state that does not change any more.
        Ok(()) if holds_records || cut.is_some() => pending.settle(env, offsets),
        Ok(()) => pending.publish_on(env, offsets),
    };
    let rest = messages.len() - finished;
    match (settled, cut) {
        (Err(broken), _) => {
            env.give_back(rest);
            (messages.len(), BatchEnd::Broken(broken))
        }
        (Ok(()), Some(cut)) => {
            let Some(Fate::Rejected(rejected)) = behind.next() else {
                unreachable!("a batch is cut at a rejected message");
            };
            (
                messages.len(),
                end_at(env, &messages[cut.message], &rejected.rejection, &cut.why, rest),
            )
        }
        (Ok(()), None) => (taken, BatchEnd::Finished),
    }
}

/// Ends the batch at the rejected message, which is the first of the last `rest` messages. The others are given back.
fn end_at<S: Source>(
    env: &Env<'_, S>,
    message: &impl SourceMessage,
    rejection: &Rejection,
    why: &CutBy,
    rest: usize,
) -> BatchEnd {
    let counters = &env.shared.counters;
    let reason = rejection.reason.as_str();
    counters.messages_rejected.add(reason, 1);
    counters.messages_held.add(1);
    counters.messages_in_hand.add(-1);
    env.give_back(rest - 1);
    let offset = message.offset();
    env.remember_reject(offset, rejection.reason);
    let too_many = match why {
        CutBy::Hold => {
            return BatchEnd::Held {
                offset,
                rejection: rejection.clone(),
            };
        }
        CutBy::Stop => None,
        CutBy::TooMany(too_many) => Some(*too_many),
    };
    stops_at(env.partition(), offset, rejection, too_many);
    BatchEnd::Broken(Broken::Fatal(Exit::Rejected))
}

/// Moves a message's rows into the plan.
fn add_rows<'m>(offset: i64, output: &mut Output<'m>, plan: &mut Plan<'m>) -> Result<(), Rejection> {
    if output
        .rows
        .iter()
        .any(|row| row.rules.guarded && sequence(offset, row.number).is_none())
    {
        return Err(Rejection::new(
            Reason::TooManyRows,
            format!("guards can tell apart the messages below offset {OFFSET_END}, and this one is not"),
        ));
    }
    for row in output.rows.drain(..) {
        // The sequence number is used only if the row is guarded.
        let sequence = sequence(offset, row.number).unwrap_or_default();
        plan.push(row, sequence);
    }
    Ok(())
}

/// The dead letter of a message; `None` if `reject.action` is not `dead_letter`.
fn letter<'m, 'w: 'm, S: Source>(
    env: &Env<'w, S>,
    index: usize,
    message: &'m impl SourceMessage,
    rejected: &Rejected,
    now_ms: i64,
) -> Option<Publication<'m>> {
    let RejectAction::DeadLetter { topic, headers } = &env.shared.rejecting.action else {
        return None;
    };
    let topic_id = env.topic_id.to_string();
    let origin = MessageOrigin {
        group: &env.shared.group.name,
        topic_id: (!env.topic_id.is_none()).then_some(topic_id.as_str()),
        now_ms,
        guard_epoch: env.shared.group.guard_epoch,
        guarded: &env.guarded,
        versioned: &env.versioned,
        tries: 0,
        first_time: None,
    };
    Some(dead_letter(
        topic,
        *headers,
        index,
        &message.view(true),
        rejected,
        origin,
    ))
}

fn write_plan<S: Source>(env: &Env<'_, S>, plan: &Plan<'_>) -> Written {
    let limits = Limits {
        rows: env.shared.sizes.batch_rows_max,
        bytes: WEIGHT * env.shared.sizes.batch_bytes_max(),
        finish_max: env.shared.times.finish_max,
    };
    let calls = Calls {
        writer: &*env.shared.writer,
        pressure: &env.shared.pressure,
        stop: env.stop,
        meanwhile: &|| env.fetching.pass_time(),
    };
    let written = write(plan, &limits, &env.guard, &calls);
    count(&env.shared.counters, &written.tally);
    written
}

fn broken(end: WriteEnd) -> Broken {
    match end {
        WriteEnd::Finished | WriteEnd::Stopped => Broken::Stopped,
        WriteEnd::Fatal(Fatal::Credentials(code)) => {
            let refusal = WhoAsks { code, has_user: true };
            error!("aerospike: {refusal} code={code} cure=\"{}\"", refusal.cure());
            Broken::Fatal(Exit::Credentials)
        }
        WriteEnd::Fatal(Fatal::NoNamespace(namespace)) => {
            error!(
                "aerospike: the cluster has no namespace \"{namespace}\" any more; correct aerospike.namespace or the \
                 write's namespace"
            );
            Broken::Fatal(Exit::Configuration)
        }
    }
}

fn count(counters: &Counters, tally: &Tally) {
    counters.rows_written.add(tally.written);
    counters.rows_merged.add(tally.merged);
    counters.rows_stale.add(tally.stale);
    counters.rows_guard_refused.add(tally.guard_refused);
    counters.rows_ignored.add(tally.ignored);
}
