//! A batch on its way: judged and mapped, written, published, and only then finished.
//!
//! Branching stands here; each stage says what it made of the batch. The order is what delivery rests on: all of a
//! message is judged and mapped before anything of it is written; what it publishes goes out when its rows are done; a
//! dead letter is acknowledged before its offset moves, and, where the database refused a row, before anything
//! later goes to that record. Dead letters of messages that were rejected before they had rows wait for no row: they are
//! on their way while the batch is written, and cost it no time of their own.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use log::{debug, error, warn};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::held::rejection_of;
use super::{BATCHES_IN_HAND, BatchEnd, WEIGHT, Worker, now_ms, signed};
use crate::broker::view;
use crate::config::model::{InDoubt, RejectAction};
use crate::ops::exit::Exit;
use crate::pipeline::guard::{OFFSET_END, mark};
use crate::pipeline::map::{Reason, Rejection};
use crate::pipeline::output::{Output, Verdict};
use crate::pipeline::plan::Plan;
use crate::pipeline::publication::Publication;
use crate::pipeline::publish::{PublishCalls, PublishEnd, Published, publish};
use crate::pipeline::reject::{NotDone, Origin, Rejected, RowsNotDone, dead_letter};
use crate::pipeline::write::{Calls, Fatal, Limits, Refusal, Refused, Tally, WriteEnd, Written, write};
use crate::rejects::TooMany;

/// What becomes of a message.
enum Fate {
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
    /// In the order of the messages; the first `letters_sent` are acknowledged.
    letters: Vec<Publication<'m>>,
    letters_sent: usize,
    /// About what of them is not borrowed.
    letters_bytes: usize,
    /// Of how many calls it has been made.
    batches: usize,
    /// The database has refused a row: its record takes nothing before the dead letter is acknowledged.
    holds_records: bool,
    condition_errors_ignored: u64,
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
            letters_sent: 0,
            letters_bytes: 0,
            batches: 0,
            holds_records: false,
            condition_errors_ignored: 0,
            rejected: 0,
            consecutive,
            cut: None,
        }
    }

    /// Whether dead letters are all that it waits for, and nothing of what comes next waits for them.
    fn waits_for_letters(&self) -> bool {
        self.publications.is_empty() && !self.holds_records && self.letters.len() > self.letters_sent
    }

    fn add_letter(&mut self, letter: Publication<'m>) {
        self.letters_bytes += letter.owned_bytes();
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
enum Broken {
    Stopped,
    Fatal(Exit),
}

impl<'w> Worker<'w> {
    /// Brings `messages` to their end, or as many of them as make a batch of rows (an `each` can make many of one; where
    /// something is published it can be several batches); says how many are dealt with. After any end but `Finished` that
    /// is all of them: the rest is given back.
    pub(super) fn batch<'m>(&mut self, messages: &'m [BorrowedMessage<'m>]) -> (usize, BatchEnd)
    where
        'w: 'm,
    {
        let mut batch = Batch::new(messages, self.consecutive_rejects);
        let (finished, broken) = loop {
            self.judge(&mut batch);
            let (open, broken) = match self.write_rows(&mut batch) {
                Ok(()) => (None, None),
                Err((open, broken)) => (open, Some(broken)),
            };
            // What Kafka acknowledges is waited for once, for as many batches as there are messages in hand: a request with
            // one dead letter costs the broker as much as one with ten.
            let goes_on = broken.is_none()
                && batch.cut.is_none()
                && batch.waits_for_letters()
                && batch.batches < BATCHES_IN_HAND
                && batch.letters_bytes < WEIGHT * self.shared.batch_bytes_max()
                && batch.fates.len() < messages.len();
            if goes_on {
                continue;
            }
            // What stands before the first message that is not written can be finished.
            let written = open.map_or(batch.end(), |open| open.min(batch.end()));
            break match broken {
                Some(Broken::Fatal(exit)) => (0, Some(Broken::Fatal(exit))),
                broken => match self.publish_rest(&mut batch, written) {
                    Ok(()) => (written, broken),
                    Err((finished, by)) => {
                        let by = broken.filter(|_| matches!(by, Broken::Stopped)).unwrap_or(by);
                        (finished, Some(by))
                    }
                },
            };
        };
        // Both waits may have ended it, and the queue would stay empty.
        self.fetching.resume();
        let counters = &self.shared.counters;
        counters.condition_errors_ignored.add(batch.condition_errors_ignored);
        let Batch { fates, cut, .. } = batch;
        let taken = fates.len();
        match (broken, cut) {
            (Some(broken), _) => {
                self.finish(messages, &fates, finished, false);
                let end = match broken {
                    Broken::Stopped => BatchEnd::Stopped,
                    Broken::Fatal(exit) => BatchEnd::Fatal(exit),
                };
                (messages.len(), end)
            }
            (None, Some(cut)) => {
                self.finish(messages, &fates, finished, true);
                let offset = messages[cut.message].offset();
                let Some(Fate::Rejected(rejected)) = fates.into_iter().nth(cut.message) else {
                    unreachable!("a batch is cut at a rejected message");
                };
                let rejection = rejected.rejection;
                let end = match cut.why {
                    CutBy::Hold => BatchEnd::Held { offset, rejection },
                    CutBy::Stop => self.stops_at(offset, &rejection, None),
                    CutBy::TooMany(too_many) => self.stops_at(offset, &rejection, Some(too_many)),
                };
                (messages.len(), end)
            }
            (None, None) => {
                self.finish(&messages[..taken], &fates, finished, false);
                (taken, BatchEnd::Finished)
            }
        }
    }

    /// All that can be said without the database of the next messages, as many as make a batch of rows.
    fn judge<'m>(&self, batch: &mut Batch<'m>)
    where
        'w: 'm,
    {
        let rows_max = self.shared.batch_rows_max;
        let bytes_max = WEIGHT * self.shared.batch_bytes_max();
        let messages = batch.messages;
        let first = batch.fates.len();
        let mut plan = Plan::with_capacity((messages.len() - first).min(rows_max) * self.processor.rows_per_message());
        let mut output = Output::default();
        let mut published_bytes = 0;
        let now_ms = now_ms();
        let wants_headers = self.processor.wants_headers();
        for (index, message) in messages.iter().enumerate().skip(first) {
            // What a message publishes goes out behind its rows: the more rows at once, the fewer waits.
            let publishes = !output.publications.is_empty();
            let records_max = if publishes {
                BATCHES_IN_HAND * rows_max
            } else {
                rows_max
            };
            let full = plan.records() >= records_max
                || plan.rows() >= BATCHES_IN_HAND * rows_max
                || plan.bytes() + published_bytes + batch.letters_bytes >= bytes_max;
            // One at the least: what is large is taken alone.
            if full && index > first {
                break;
            }
            output.begin(index);
            let publications = output.publications.len();
            let judged = self
                .processor
                .process(&view(message, wants_headers), now_ms, &mut output)
                .and_then(|verdict| self.plan(message.offset(), &mut output, &mut plan).map(|()| verdict));
            match judged {
                Ok(verdict) => {
                    batch.consecutive = 0;
                    let made = &output.publications[publications..];
                    published_bytes += made.iter().map(Publication::owned_bytes).sum::<usize>();
                    batch.fates.push(match verdict {
                        Verdict::Kept => Fate::Kept,
                        Verdict::Filtered => Fate::Filtered,
                    });
                }
                Err(rejection) => {
                    // Also what a processor of somebody's own has left.
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
        batch.publications = output.publications;
        batch.plan = plan;
        batch.batches += 1;
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
    fn write_rows<'m>(&self, batch: &mut Batch<'m>) -> Result<(), (Option<usize>, Broken)>
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
        &self,
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
            if due > batch.letters_sent {
                let published = self.publish(&batch.letters[batch.letters_sent..due]);
                batch.letters_sent += published.done;
                self.published(&published.end, batch.messages)
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
        let origin = Origin {
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
            meanwhile: &|| self.meanwhile(),
        };
        let written = write(plan, &limits, &self.guard, &calls);
        self.count(&written.tally);
        written
    }

    /// Time passes for the partition while it waits.
    fn meanwhile(&self) {
        if self.fetching.falls_behind() {
            self.fetching.pause();
        }
        self.fetching.look_at_end();
    }

    /// Publishes what messages before `end` ask for, and their dead letters; `Err`: how many messages are done all the
    /// same, and why not all.
    fn publish_rest(&self, batch: &mut Batch<'_>, end: usize) -> Result<(), (usize, Broken)> {
        let mut publications = std::mem::take(&mut batch.publications);
        publications.truncate(publications.partition_point(|publication| publication.message < end));
        let mut letters = std::mem::take(&mut batch.letters).split_off(batch.letters_sent);
        letters.truncate(letters.partition_point(|letter| letter.message < end));
        publications.append(&mut letters);
        if publications.is_empty() {
            return Ok(());
        }
        let published = self.publish(&publications);
        self.published(&published.end, batch.messages).map_err(|broken| {
            let undone = publications[published.done..]
                .iter()
                .map(|publication| publication.message);
            (undone.fold(end, usize::min), broken)
        })
    }

    fn publish(&self, publications: &[Publication<'_>]) -> Published {
        let Some(publisher) = &self.shared.publisher else {
            unreachable!("there is a producer where Processor::produced_topics names a topic");
        };
        let published = publish(
            publications,
            &PublishCalls {
                publisher: &**publisher,
                stop: self.stop,
                finish_max: self.shared.finish_max,
                meanwhile: &|| self.meanwhile(),
            },
        );
        let counters = &self.shared.counters;
        counters.messages_published.add(published.done as u64);
        counters.messages_published_again.add(published.resent);
        published
    }

    fn published(&self, end: &PublishEnd, messages: &[BorrowedMessage<'_>]) -> Result<(), Broken> {
        match end {
            PublishEnd::Finished => Ok(()),
            PublishEnd::Stopped => Err(Broken::Stopped),
            PublishEnd::Fatal(fatal) => {
                let offset = fatal.message().and_then(|index| messages.get(index));
                let offset = offset.map_or_else(|| "unknown".to_owned(), |message| message.offset().to_string());
                error!("kafka: {fatal} {} offset={offset}", self.partition);
                Err(Broken::Fatal(fatal.exit()))
            }
        }
    }

    fn broken(&self, end: WriteEnd) -> Broken {
        match end {
            WriteEnd::Finished | WriteEnd::Stopped => Broken::Stopped,
            WriteEnd::Fatal(Fatal::Credentials(code)) => {
                error!(
                    "aerospike: refuses to write with these credentials code={code}; give the user the read-write role, \
                     or set aerospike.user and aerospike.password"
                );
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

    /// The first `finished` messages are done; the one behind them is rejected and ends the batch, if `cut`; the others
    /// are given back.
    fn finish(&mut self, messages: &[BorrowedMessage<'_>], fates: &[Fate], finished: usize, cut: bool) {
        let mut rejected = 0;
        let (mut written, mut filtered) = (0, 0);
        for (message, fate) in messages.iter().zip(fates).take(finished) {
            match fate {
                Fate::Kept => written += 1,
                Fate::Filtered => filtered += 1,
                Fate::Rejected(of) => {
                    rejected += 1;
                    self.consecutive_rejects += 1;
                    self.tell(message, of);
                    continue;
                }
            }
            self.consecutive_rejects = 0;
        }
        let counters = &self.shared.counters;
        counters.messages_written.add(written);
        counters.messages_filtered.add(filtered);
        match &self.shared.reject {
            RejectAction::DeadLetter { .. } => counters.messages_dead_lettered.add(rejected),
            _ => counters.messages_dropped.add(rejected),
        }
        counters.messages_rejected.add(rejected + u64::from(cut));
        counters.messages_held.add(u64::from(cut));
        counters.messages_in_hand.add(-signed(messages.len()));
        counters
            .messages_returned
            .add((messages.len() - finished - usize::from(cut)) as u64);
        if let (true, Some(Fate::Rejected(of))) = (cut, fates.get(finished)) {
            self.shared.rejects.count(of.rejection.reason.as_str());
        }
        self.shared.rejects.finished(finished as u64, rejected);
        let next = match (messages.get(finished), messages.last()) {
            (Some(unfinished), _) => unfinished.offset(),
            (None, Some(last)) => last.offset() + 1,
            (None, None) => return,
        };
        self.tracker.finished_below(next);
        self.progress.set_next(next);
        debug!(
            "worker: batch {} messages={} finished={finished} next={next}",
            self.partition,
            messages.len()
        );
    }

    /// A message was rejected and is left behind: counted, and told once in a while for each reason.
    fn tell(&self, message: &BorrowedMessage<'_>, rejected: &Rejected) {
        let Rejection { reason, detail } = &rejected.rejection;
        let Some(untold) = self.shared.rejects.count(reason.as_str()) else {
            return;
        };
        let what = match &self.shared.reject {
            RejectAction::DeadLetter { topic, .. } => Cow::Owned(format!("dead-lettered to {topic}")),
            _ => Cow::Borrowed("dropped"),
        };
        warn!(
            "message rejected, {what} {} offset={} reason={} detail={detail:?} not_told_since={untold}",
            self.partition,
            message.offset(),
            reason.as_str(),
        );
    }
}
