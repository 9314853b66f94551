//! One batch on its way: judged and mapped, written, and handed on to be published. Runs on the partition's thread.
//!
//! The branching between the stages is here; each stage says what it made of the batch. Delivery rests on this order:
//! all of a message is judged and mapped before anything of it is written. What it publishes is produced when its
//! rows are done. A dead letter is acknowledged before its offset moves and, where the database refused a row, before
//! anything later goes to that record.

use std::collections::{BTreeMap, HashMap};

use log::{debug, error};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::aerospike::refusal::Refusal as WhoAsks;
use crate::config::model::{InDoubt, RejectAction};
use crate::delivery::guard::{OFFSET_END, mark};
use crate::delivery::plan::Plan;
use crate::delivery::reject::{MessageOrigin, NotDone, Rejected, RowsNotDone, dead_letter};
use crate::delivery::reject_limit::TooMany;
use crate::delivery::write::{Calls, Fatal, Limits, Refusal, Refused, Tally, WriteEnd, Written, write};
use crate::kafka::view;
use crate::message::{Reason, Rejection};
use crate::output::publication::Publication;
use crate::output::{Output, Verdict};
use crate::partition::held::rejection_of;
use crate::partition::worker::{BATCHES_IN_HAND, BatchEnd, WEIGHT, Worker, WorkerEnd, now_ms};
use crate::util::exit::Exit;

/// What becomes of a message.
pub(super) enum Fate {
    Kept,
    Filtered,
    /// By its own fault.
    Rejected(Box<Rejected>),
}

/// The message that ends the batch: nothing at or behind it is committed.
struct Cut {
    message: usize,
    why: CutBy,
}

/// What ends a batch before its last message.
enum CutBy {
    /// Its partition is held.
    Hold,
    /// The service stops.
    Stop,
    /// The service stops: there have been too many.
    TooMany(TooMany),
}

/// The messages that were taken, and what they ask for.
struct Batch<'m> {
    messages: &'m [BorrowedMessage<'m>],
    /// One for each message that was judged.
    fates: Vec<Fate>,
    plan: Plan<'m>,
    /// What messages ask to be produced, in their order.
    publications: Vec<Publication<'m>>,
    /// In the order of the messages; without those that are acknowledged.
    letters: Vec<Publication<'m>>,
    /// What both weigh.
    published_bytes: u64,
    /// The database has refused a row: its record takes nothing before the dead letter is acknowledged.
    holds_records: bool,
    condition_errors_ignored: u64,
    ttl_past_skipped: u64,
    ttl_past_deleted: u64,
    /// Rejected so far, and the last so many one after another, those before it included.
    rejected: u64,
    consecutive: u32,
    cut: Option<Cut>,
}

impl<'m> Batch<'m> {
    /// Nothing is judged yet; the last `consecutive` messages were rejected.
    fn new(messages: &'m [BorrowedMessage<'m>], consecutive: u32) -> Self {
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

    /// Cuts the batch at `message`, unless it is cut before.
    fn cut_at(&mut self, message: usize, why: CutBy) {
        if self.cut.as_ref().is_none_or(|cut| message < cut.message) {
            self.cut = Some(Cut { message, why });
        }
    }

    /// The messages before the cut.
    fn end(&self) -> usize {
        self.cut.as_ref().map_or(self.fates.len(), |cut| cut.message)
    }
}

/// How a stage ended, where it did not go through.
pub(super) enum Broken {
    Stopped,
    Fatal(Exit),
}

impl From<Broken> for WorkerEnd {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Stopped => WorkerEnd::Stopped,
            Broken::Fatal(exit) => WorkerEnd::Fatal(exit),
        }
    }
}

impl<'w> Worker<'w> {
    /// Brings `messages` to their end, or as many of them as make a batch of rows (an `each` can make many of one); says how
    /// many are dealt with. After any end but `Finished` that is all of them: the rest is given back.
    pub(super) fn batch<'m>(&mut self, messages: &'m [BorrowedMessage<'m>]) -> (usize, BatchEnd)
    where
        'w: 'm,
    {
        let mut batch = Batch::new(messages, self.consecutive_rejects);
        self.judge(&mut batch);
        let written = self.write_rows(&mut batch);
        // A wait may have ended fetching, and the queue would stay empty.
        self.fetching.resume();
        let counters = &self.shared.counters;
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
        // What stands before the first message that is not written can be finished.
        let end = cut.as_ref().map_or(taken, |cut| cut.message);
        let finished = match &written {
            Ok(()) => end,
            Err((open, Broken::Stopped)) => open.map_or(end, |open| open.min(end)),
            Err((_, Broken::Fatal(_))) => 0,
        };
        let mut behind = fates.split_off(finished).into_iter();
        publications.extend(letters);
        publications.retain(|publication| publication.message < finished);
        publications.sort_by_key(|publication| publication.message);
        self.hand_over(messages, fates, publications);
        debug!(
            "worker: batch {} messages={taken} finished={finished} next={:?}",
            self.partition,
            self.tracker.next()
        );
        let settled = match written {
            Err((_, broken)) => Err(broken),
            // Nothing later goes to a record that holds a dead letter, and a person reads of a state that stands still.
            Ok(()) if holds_records || cut.is_some() => self.settle(),
            Ok(()) => self.publish_on(),
        };
        let rest = messages.len() - finished;
        match (settled, cut) {
            (Err(broken), _) => {
                self.give_back(rest);
                (messages.len(), BatchEnd::Broken(broken))
            }
            (Ok(()), Some(cut)) => {
                let Some(Fate::Rejected(rejected)) = behind.next() else {
                    unreachable!("a batch is cut at a rejected message");
                };
                (
                    messages.len(),
                    self.end_at(&messages[cut.message], &rejected.rejection, &cut.why, rest),
                )
            }
            (Ok(()), None) => (taken, BatchEnd::Finished),
        }
    }

    /// At the first of the last `rest` messages, which is rejected; the others are given back.
    fn end_at(&self, message: &BorrowedMessage<'_>, rejection: &Rejection, why: &CutBy, rest: usize) -> BatchEnd {
        let counters = &self.shared.counters;
        counters.messages_rejected.add(1);
        counters.messages_held.add(1);
        counters.messages_in_hand.add(-1);
        self.give_back(rest - 1);
        self.shared.rejects.count(rejection.reason.as_str());
        let offset = message.offset();
        match why {
            CutBy::Hold => BatchEnd::Held {
                offset,
                rejection: rejection.clone(),
            },
            CutBy::Stop => self.stops_at(offset, rejection, None),
            CutBy::TooMany(too_many) => self.stops_at(offset, rejection, Some(*too_many)),
        }
    }

    /// All that can be said without the database of the next messages, as many as make a batch of rows.
    fn judge<'m>(&self, batch: &mut Batch<'m>)
    where
        'w: 'm,
    {
        let rows_max = self.shared.batch_rows_max;
        let bytes_max = (WEIGHT * self.shared.batch_bytes_max()) as u64;
        let messages = batch.messages;
        let rows = messages.len().min(rows_max) * self.processor.rows_per_message();
        let mut plan = Plan::with_capacity(rows.min(BATCHES_IN_HAND * rows_max));
        let (mut output, mut scratch) = (Output::default(), Output::default());
        let now_ms = now_ms();
        let wants_headers = self.processor.wants_headers();
        for (index, message) in messages.iter().enumerate() {
            let full = plan.records() >= rows_max
                || plan.rows() >= BATCHES_IN_HAND * rows_max
                || plan.bytes() as u64 + batch.published_bytes >= bytes_max;
            // One at the least: what is large is taken alone.
            if full && index > 0 {
                break;
            }
            output.begin(index);
            let publications = output.publications.len();
            let judged = self
                .processor
                .process(&view(message, wants_headers), now_ms, &mut output, &mut scratch)
                .and_then(|verdict| self.plan(message.offset(), &mut output, &mut plan).map(|()| verdict));
            match judged {
                Ok(verdict) => {
                    batch.consecutive = 0;
                    let made = &output.publications[publications..];
                    batch.published_bytes += made.iter().map(Publication::bytes).sum::<u64>();
                    batch.fates.push(match verdict {
                        Verdict::Kept => Fate::Kept,
                        Verdict::Filtered => Fate::Filtered,
                    });
                }
                Err(rejection) => {
                    output.take_back();
                    let rejected = Box::new(Rejected::from(rejection));
                    let messages = (index + 1) as u64;
                    let too_many = || {
                        self.shared
                            .rejects
                            .one_more(messages, batch.rejected, batch.consecutive)
                    };
                    let cut = match &self.shared.reject {
                        RejectAction::Hold => Some(CutBy::Hold),
                        RejectAction::Stop => Some(CutBy::Stop),
                        RejectAction::Drop | RejectAction::DeadLetter { .. } => too_many().map(CutBy::TooMany),
                    };
                    batch.rejected += 1;
                    batch.consecutive += 1;
                    if cut.is_none()
                        && let Some(letter) = self.letter(index, message, &rejected, now_ms)
                    {
                        batch.add_letter(letter);
                    }
                    batch.fates.push(Fate::Rejected(rejected));
                    // Nothing behind it is mapped, and so written: when the rule is corrected it comes again, and a later
                    // message on its record would make a guard take it for applied.
                    if let Some(why) = cut {
                        batch.cut_at(index, why);
                        break;
                    }
                }
            }
        }
        batch.condition_errors_ignored += output.condition_errors_ignored;
        batch.ttl_past_skipped += output.ttl_past_skipped;
        batch.ttl_past_deleted += output.ttl_past_deleted;
        batch.publications = output.publications;
        batch.plan = plan;
    }

    /// Moves a message's rows into the plan.
    fn plan<'m>(&self, offset: i64, output: &mut Output<'m>, plan: &mut Plan<'m>) -> Result<(), Rejection> {
        if output
            .rows
            .iter()
            .any(|row| row.rules.guarded && mark(offset, row.number).is_none())
        {
            return Err(Rejection::new(
                Reason::TooManyRows,
                format!("guards can tell apart the messages below offset {OFFSET_END}, and this one is not"),
            ));
        }
        for row in output.rows.drain(..) {
            // Only looked at where the row is guarded.
            let mark = mark(offset, row.number).unwrap_or_default();
            plan.push(row, mark);
        }
        Ok(())
    }

    /// Writes all rows before the cut. A row that the database refuses holds its record until what becomes of its message
    /// is done; then the record's later rows are written. `Err`: the first message that is not written, where one is
    /// not, and why.
    fn write_rows<'m>(&mut self, batch: &mut Batch<'m>) -> Result<(), (Option<usize>, Broken)>
    where
        'w: 'm,
    {
        let written = self.write(&batch.plan);
        let Written { end, refused, open, .. } = written;
        let first = open
            .iter()
            .copied()
            .chain(refused.iter().map(|refused| refused.row))
            .map(|row| batch.plan.message(row))
            .min();
        match end {
            WriteEnd::Finished if refused.is_empty() => return Ok(()),
            WriteEnd::Finished => {}
            end => return Err((first, self.broken(end))),
        }
        self.go_on_behind(batch, refused, open)
    }

    /// What is left to do where rows are refused.
    fn go_on_behind<'m>(
        &mut self,
        batch: &mut Batch<'m>,
        refused: Vec<Refused>,
        mut open: Vec<usize>,
    ) -> Result<(), (Option<usize>, Broken)>
    where
        'w: 'm,
    {
        // By record: the last message that holds it.
        let mut holders: HashMap<usize, usize> = HashMap::new();
        self.refuse(batch, &refused, &mut open, &mut holders);
        loop {
            let end = batch.end();
            open.retain(|row| batch.plan.message(*row) < end);
            let Some(first_open) = open.iter().map(|row| batch.plan.message(*row)).min() else {
                return Ok(());
            };
            // In the order of the messages: a record's own dead letters are among them, since its open rows are later.
            let due = batch.letters.partition_point(|letter| letter.message < first_open);
            if due > 0 {
                let due = batch.letters.drain(..due).collect();
                self.publish_first(batch.messages, due)
                    .map_err(|broken| (Some(first_open), broken))?;
            }
            let is_held = |row: &usize| {
                let holder = holders.get(&batch.plan.record(*row));
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
            } = self.write(&batch.plan.only(&rows));
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
                let first = unwritten.map(|row| batch.plan.message(row)).min();
                return Err((first, self.broken(end)));
            }
            self.refuse(batch, &refused, &mut open, &mut holders);
        }
    }

    /// Their messages are rejected: what of them is not written yet never is on the records that refused them, and each
    /// gets what `[reject]` says.
    fn refuse<'m>(
        &self,
        batch: &mut Batch<'m>,
        refused: &[Refused],
        open: &mut Vec<usize>,
        holders: &mut HashMap<usize, usize>,
    ) where
        'w: 'm,
    {
        batch.holds_records = true;
        let plan = &batch.plan;
        // The refused rows of a message, and with them those that are not sent for their sake.
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
            let not_done = rows.iter().map(|row| {
                let row = &batch.plan.row(*row).row;
                NotDone {
                    row: row.number,
                    line: row.rules.line,
                    namespace: row.target.namespace.clone(),
                    set: row.target.set.clone(),
                }
            });
            let mut not_done: Vec<NotDone> = not_done.collect();
            let first = refused[0];
            let in_doubt = refused.iter().any(|each| each.in_doubt);
            let waits = refused.iter().any(|each| {
                let rules = batch.plan.row(each.row).row.rules;
                each.refusal == Refusal::InDoubt && rules.in_doubt == InDoubt::Hold
            });
            // Another record refused it before.
            if let Fate::Rejected(before) = &mut batch.fates[message] {
                if let RowsNotDone::These(rows) = &mut before.rows_not_done {
                    rows.append(&mut not_done);
                    rows.sort_unstable_by_key(|row| row.row);
                }
                before.in_doubt |= in_doubt;
            } else {
                batch.publications.retain(|publication| publication.message != message);
                batch.fates[message] = Fate::Rejected(Box::new(Rejected {
                    rejection: rejection_of(first.refusal),
                    rows_not_done: RowsNotDone::These(not_done),
                    attempts: first.attempts,
                    in_doubt,
                }));
            }
            match &self.shared.reject {
                _ if waits => batch.cut_at(message, CutBy::Hold),
                RejectAction::Hold => batch.cut_at(message, CutBy::Hold),
                RejectAction::Stop => batch.cut_at(message, CutBy::Stop),
                RejectAction::Drop => {}
                RejectAction::DeadLetter { .. } => {
                    let Fate::Rejected(rejected) = &batch.fates[message] else {
                        continue;
                    };
                    let letter = self.letter(message, &batch.messages[message], rejected, now_ms());
                    batch.letters.retain(|letter| letter.message != message);
                    if let Some(letter) = letter {
                        batch.add_letter(letter);
                    }
                }
            }
        }
        self.cut_where_too_many(batch);
    }

    /// Before anything of it is published: at the first message that the database has rejected and that is one too many the
    /// service stops. Its record holds what is behind it; behind what the rules rejected other rows are written already, so
    /// those go their way.
    fn cut_where_too_many(&self, batch: &mut Batch<'_>) {
        let (mut rejected, mut consecutive) = (0, self.consecutive_rejects);
        for index in 0..batch.end() {
            let Fate::Rejected(of) = &batch.fates[index] else {
                consecutive = 0;
                continue;
            };
            let is_held = matches!(of.rows_not_done, RowsNotDone::These(_));
            let one_more = || self.shared.rejects.one_more(index as u64 + 1, rejected, consecutive);
            if is_held && let Some(too_many) = one_more() {
                batch.cut_at(index, CutBy::TooMany(too_many));
                return;
            }
            rejected += 1;
            consecutive += 1;
        }
        (batch.rejected, batch.consecutive) = (rejected, consecutive);
    }

    fn letter<'m>(
        &self,
        index: usize,
        message: &'m BorrowedMessage<'m>,
        rejected: &Rejected,
        now_ms: i64,
    ) -> Option<Publication<'m>>
    where
        'w: 'm,
    {
        let RejectAction::DeadLetter { topic, headers } = &self.shared.reject else {
            return None;
        };
        let topic_id = self.topic_id.to_string();
        let origin = MessageOrigin {
            group: &self.shared.group,
            topic_id: (!self.topic_id.is_none()).then_some(topic_id.as_str()),
            now_ms,
        };
        Some(dead_letter(
            topic,
            *headers,
            index,
            &view(message, true),
            rejected,
            origin,
        ))
    }

    fn write(&self, plan: &Plan<'_>) -> Written {
        let limits = Limits {
            rows: self.shared.batch_rows_max,
            bytes: WEIGHT * self.shared.batch_bytes_max(),
            finish_max: self.shared.finish_max,
        };
        let calls = Calls {
            writer: &*self.shared.writer,
            pressure: &self.shared.pressure,
            stop: self.stop,
            meanwhile: &|| self.fetching.pass_time(),
        };
        let written = write(plan, &limits, &self.guard, &calls);
        self.count(&written.tally);
        written
    }

    fn broken(&self, end: WriteEnd) -> Broken {
        match end {
            WriteEnd::Finished | WriteEnd::Stopped => Broken::Stopped,
            WriteEnd::Fatal(Fatal::Credentials(code)) => {
                let refusal = WhoAsks { code, has_user: true };
                error!("aerospike: {refusal} code={code}; {}", refusal.cure());
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

    fn count(&self, tally: &Tally) {
        let counters = &self.shared.counters;
        counters.rows_written.add(tally.written);
        counters.rows_merged.add(tally.merged);
        counters.rows_stale.add(tally.stale);
        counters.rows_guard_refused.add(tally.guard_refused);
        counters.rows_ignored.add(tally.ignored);
    }
}
