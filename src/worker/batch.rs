//! A batch on its way: judged and mapped, written, published, and only then finished.
//!
//! Branching stands here; each stage says what it made of the batch. The order is what delivery rests on: all of a
//! message is judged and mapped before anything of it is written; what it publishes goes out when its rows are done; a
//! dead letter is acknowledged before its offset moves, and, where the database refused a row, before anything
//! later goes to that record. Dead letters of messages that were rejected before they had rows wait for no row: they are
//! on their way while the batch is written, and cost it no time of their own.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use log::{debug, error, warn};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use super::held::rejection_of;
use super::{BATCHES_IN_HAND, BatchEnd, WEIGHT, Worker, now_ms, signed};
use crate::config::model::{InDoubt, RejectAction};
use crate::ops::exit::Exit;
use crate::pipeline::guard::{OFFSET_END, mark};
use crate::pipeline::map::{Message, Reason, Rejection};
use crate::pipeline::output::{Output, Verdict};
use crate::pipeline::plan::Plan;
use crate::pipeline::publication::Publication;
use crate::pipeline::publish::{Begun, PublishCalls, PublishEnd, Published, publish};
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
    /// In the order of the messages; the first `letters_sent` are acknowledged. Those of messages without rows are taken
    /// out before the rows are written.
    letters: Vec<Publication<'m>>,
    letters_sent: usize,
    condition_errors_ignored: u64,
    /// Some message is rejected.
    has_rejected: bool,
    /// What the messages before it add to the limits of rejects.
    before: Before,
    cut: Option<Cut>,
}

/// Rejects that are not counted yet, of messages whose dead letters are on their way.
#[derive(Clone, Copy)]
struct Before {
    rejected: u64,
    /// The last so many messages were rejected.
    consecutive: u32,
}

impl Before {
    fn new(consecutive: u32) -> Self {
        Before {
            rejected: 0,
            consecutive,
        }
    }

    fn add(&mut self, fates: &[Fate]) {
        for fate in fates {
            if let Fate::Rejected(_) = fate {
                self.rejected += 1;
                self.consecutive += 1;
            } else {
                self.consecutive = 0;
            }
        }
    }
}

/// A batch whose rows are written, and whose dead letters are on their way.
struct Waiting<'m, 'c> {
    /// Its messages.
    range: Range<usize>,
    fates: Vec<Fate>,
    begun: Option<Begun<'m, 'm, 'c>>,
}

/// A batch of which everything is done.
struct Done {
    range: Range<usize>,
    fates: Vec<Fate>,
}

/// The batch with which it ended.
struct Last {
    /// Its first message.
    begin: usize,
    fates: Vec<Fate>,
    /// So many of its messages are done.
    finished: usize,
    broken: Option<Broken>,
    cut: Option<Cut>,
}

impl Batch<'_> {
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
        let (waiting, last) = self.written(messages);
        // Both waits may have ended it, and the queue would stay empty.
        self.fetching.resume();
        for Done { range, fates } in waiting {
            let finished = range.len();
            self.finish(&messages[range], &fates, finished, false);
        }
        let Last {
            begin,
            fates,
            finished,
            broken,
            cut,
        } = last;
        let (rest, taken) = (&messages[begin..], fates.len());
        let end = match (broken, cut) {
            (Some(Broken::Stopped), _) => BatchEnd::Stopped,
            (Some(Broken::Fatal(exit)), _) => BatchEnd::Fatal(exit),
            (None, Some(cut)) => {
                self.finish(rest, &fates, finished, true);
                let offset = rest[cut.message].offset();
                let Some(Fate::Rejected(rejected)) = fates.into_iter().nth(cut.message) else {
                    unreachable!("a batch is cut at a rejected message");
                };
                let rejection = rejected.rejection;
                let end = match cut.why {
                    CutBy::Hold => BatchEnd::Held { offset, rejection },
                    CutBy::Stop => self.stops_at(offset, &rejection, None),
                    CutBy::TooMany(too_many) => self.stops_at(offset, &rejection, Some(too_many)),
                };
                return (messages.len(), end);
            }
            (None, None) => {
                self.finish(&rest[..taken], &fates, finished, false);
                return (begin + taken, BatchEnd::Finished);
            }
        };
        self.finish(rest, &fates, finished, false);
        (messages.len(), end)
    }

    /// Writes and publishes batch after batch of `messages`: one, or, where dead letters are all that it publishes, as many as
    /// there are messages for, so that their acknowledgement is waited for once. All but the last one are done.
    fn written<'m>(&self, messages: &'m [BorrowedMessage<'m>]) -> (Vec<Done>, Last)
    where
        'w: 'm,
    {
        let meanwhile = || self.meanwhile();
        let calls = self.shared.publisher.as_ref().map(|_| self.publish_calls(&meanwhile));
        let mut waiting: Vec<Waiting<'m, '_>> = Vec::new();
        let (mut begin, mut before) = (0, Before::new(self.consecutive_rejects));
        loop {
            let mut batch = self.judged(&messages[begin..], before);
            self.cut_where_too_many(&mut batch);
            let mut early = std::mem::take(&mut batch.letters);
            early.truncate(early.partition_point(|letter| letter.message < batch.end()));
            let begun = match &calls {
                Some(calls) if !early.is_empty() => Some(Begun::begin(early, calls)),
                _ => None,
            };
            let (open, broken) = match self.write_rows(&mut batch) {
                Ok(()) => (None, None),
                Err((open, broken)) => (open, Some(broken)),
            };
            self.cut_where_too_many(&mut batch);
            self.shared
                .counters
                .condition_errors_ignored
                .add(batch.condition_errors_ignored);
            let range = begin..begin + batch.fates.len();
            let only_letters = broken.is_none()
                && batch.cut.is_none()
                && batch.publications.is_empty()
                && batch.letters.is_empty()
                && (begun.is_some() || !waiting.is_empty());
            if only_letters && range.end < messages.len() {
                begin = range.end;
                before.add(&batch.fates);
                waiting.push(Waiting {
                    range,
                    fates: batch.fates,
                    begun,
                });
                continue;
            }
            return self.settled(messages, waiting, batch, begin, open, broken, begun);
        }
    }

    /// Waits for what is on its way of the batches before, in their order, and publishes what the last one asks for.
    #[expect(clippy::too_many_arguments, reason = "the last batch, and how far it came")]
    fn settled<'m>(
        &self,
        messages: &'m [BorrowedMessage<'m>],
        waiting: Vec<Waiting<'m, '_>>,
        mut batch: Batch<'m>,
        begin: usize,
        open: Option<usize>,
        broken: Option<Broken>,
        begun: Option<Begun<'_, 'm, '_>>,
    ) -> (Vec<Done>, Last) {
        let mut done = Vec::with_capacity(waiting.len());
        // Something was sent once more: what was stored behind it has to be, too, or a key would end with an older one.
        let mut again = false;
        let mut waiting = waiting.into_iter();
        while let Some(next) = waiting.next() {
            let Waiting { range, fates, .. } = next;
            let of_batch = &messages[range.clone()];
            let arrived = next.begun.map(|begun| self.arrived(begun, of_batch, &mut again));
            let Some(Err((finished, by))) = arrived else {
                done.push(Done { range, fates });
                continue;
            };
            // Nobody waits for those behind it any more.
            for begun in waiting.filter_map(|waiting| waiting.begun).chain(begun) {
                self.count_published(&begun.leave());
            }
            let last = Last {
                begin: range.start,
                fates,
                finished,
                broken: Some(by),
                cut: None,
            };
            return (done, last);
        }
        // What stands before the first message that is not written can be finished.
        let written = open.map_or(batch.end(), |open| open.min(batch.end()));
        let (finished, broken) = match broken {
            Some(Broken::Fatal(exit)) => {
                if let Some(begun) = begun {
                    self.count_published(&begun.leave());
                }
                (0, Some(Broken::Fatal(exit)))
            }
            broken => match self.publish_rest(&mut batch, written, begun, again) {
                Ok(()) => (written, broken),
                Err((finished, by)) => (
                    finished,
                    Some(broken.filter(|_| matches!(by, Broken::Stopped)).unwrap_or(by)),
                ),
            },
        };
        let last = Last {
            begin,
            fates: batch.fates,
            finished,
            broken,
            cut: batch.cut,
        };
        (done, last)
    }

    /// Waits for dead letters that are on their way; where `again`, sends them once more, behind what was. `Err`: the first
    /// message whose letter is not stored, and why.
    fn arrived(
        &self,
        begun: Begun<'_, '_, '_>,
        messages: &[BorrowedMessage<'_>],
        again: &mut bool,
    ) -> Result<(), (usize, Broken)> {
        let (mut published, letters) = begun.finish();
        self.count_published(&published);
        if *again && published.end == PublishEnd::Finished {
            published = self.publish(&letters);
        }
        *again |= published.resent > 0;
        self.published(&published.end, messages).map_err(|by| {
            let undone = first_undone(&published, &letters);
            (undone.unwrap_or(messages.len()), by)
        })
    }

    /// All that can be said without the database.
    fn judged<'m>(&self, messages: &'m [BorrowedMessage<'m>], before: Before) -> Batch<'m>
    where
        'w: 'm,
    {
        let rows_max = self.shared.batch_rows_max;
        let bytes_max = WEIGHT * self.shared.batch_bytes_max();
        let mut plan = Plan::with_capacity(messages.len().min(rows_max) * self.processor.rows_per_message());
        let mut output = Output::default();
        let mut fates = Vec::with_capacity(messages.len());
        let mut letters = Vec::new();
        let mut cut = None;
        let mut published_bytes = 0;
        let mut has_rejected = false;
        let now_ms = now_ms();
        for (index, message) in messages.iter().enumerate() {
            // What Kafka acknowledges is waited for once, for as many calls as there are messages in hand.
            let publishes = !output.publications.is_empty();
            let records_max = if publishes {
                BATCHES_IN_HAND * rows_max
            } else {
                rows_max
            };
            let full = plan.records() >= records_max
                || plan.rows() >= BATCHES_IN_HAND * rows_max
                || plan.bytes() + published_bytes >= bytes_max;
            if full {
                break;
            }
            output.begin(index);
            let publications = output.publications.len();
            let judged = self
                .processor
                .process(&self.view(message), now_ms, &mut output)
                .and_then(|verdict| self.plan(message.offset(), &mut output, &mut plan).map(|()| verdict));
            match judged {
                Ok(verdict) => {
                    let made = &output.publications[publications..];
                    published_bytes += made.iter().map(Publication::owned_bytes).sum::<usize>();
                    fates.push(match verdict {
                        Verdict::Kept => Fate::Kept,
                        Verdict::Filtered => Fate::Filtered,
                    });
                }
                Err(rejection) => {
                    // Also what a processor of somebody's own has left.
                    output.take_back();
                    has_rejected = true;
                    let rejected = Box::new(Rejected::from(rejection));
                    match &self.shared.reject {
                        RejectAction::Hold => cut = Some(CutBy::Hold),
                        RejectAction::Stop => cut = Some(CutBy::Stop),
                        RejectAction::Drop => {}
                        RejectAction::DeadLetter { .. } => {
                            letters.extend(self.letter(index, message, &rejected, now_ms));
                        }
                    }
                    fates.push(Fate::Rejected(rejected));
                    if cut.is_some() {
                        break;
                    }
                }
            }
        }
        Batch {
            messages,
            plan,
            publications: output.publications,
            letters,
            letters_sent: 0,
            condition_errors_ignored: output.condition_errors_ignored,
            has_rejected,
            before,
            cut: cut.map(|why| Cut {
                message: fates.len() - 1,
                why,
            }),
            fates,
        }
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
        batch.has_rejected = true;
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
                    let place = batch.letters.partition_point(|letter| letter.message < message);
                    if let Some(letter) = letter {
                        batch.letters.insert(place, letter);
                    }
                }
            }
        }
        self.cut_where_too_many(batch);
    }

    /// Before anything of it is published: at the first rejected message that is one too many the service stops.
    fn cut_where_too_many(&self, batch: &mut Batch<'_>) {
        if !batch.has_rejected {
            return;
        }
        let Before {
            mut rejected,
            mut consecutive,
        } = batch.before;
        for index in 0..batch.end() {
            if let Fate::Rejected(_) = batch.fates[index] {
                if let Some(too_many) = self.shared.rejects.one_more(rejected, consecutive) {
                    batch.cut_at(index, CutBy::TooMany(too_many));
                    return;
                }
                rejected += 1;
                consecutive += 1;
            } else {
                consecutive = 0;
            }
        }
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
        let mut view = self.view(message);
        view.headers = all_headers(message);
        let topic_id = self.topic_id.to_string();
        let origin = Origin {
            group: &self.shared.group,
            topic_id: (!self.topic_id.is_none()).then_some(topic_id.as_str()),
            now_ms,
        };
        Some(dead_letter(topic, *headers, index, &view, rejected, origin))
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

    /// Publishes what messages before `end` ask for, and their dead letters, of which `begun` are on their way; where `again`,
    /// those are sent once more, behind what was. `Err`: how many messages are done all the same, and why not all.
    fn publish_rest<'m>(
        &self,
        batch: &mut Batch<'m>,
        end: usize,
        begun: Option<Begun<'_, 'm, '_>>,
        mut again: bool,
    ) -> Result<(), (usize, Broken)> {
        let mut publications = std::mem::take(&mut batch.publications);
        publications.truncate(publications.partition_point(|publication| publication.message < end));
        let mut letters = std::mem::take(&mut batch.letters);
        letters.truncate(letters.partition_point(|letter| letter.message < end));
        let letters_sent = batch.letters_sent.min(letters.len());
        if letters.is_empty() && !again {
            // The usual way: both are waited for together.
            let published = (!publications.is_empty()).then(|| self.publish(&publications));
            let broken = published.and_then(|published| {
                let undone = first_undone(&published, &publications).unwrap_or(end);
                self.published(&published.end, batch.messages)
                    .err()
                    .map(|by| (undone, by))
            });
            return match (begun, broken) {
                (Some(begun), Some((undone, by @ Broken::Fatal(_)))) => {
                    self.count_published(&begun.leave());
                    Err((undone, by))
                }
                (Some(begun), broken) => match (self.arrived(begun, batch.messages, &mut again), broken) {
                    (Ok(()), broken) => broken.map_or(Ok(()), Err),
                    (Err((first, by)), broken) => Err((first.min(broken.map_or(end, |(undone, _)| undone)), by)),
                },
                (None, broken) => broken.map_or(Ok(()), Err),
            };
        }
        // Letters that the database made stand between those that are on their way, and all of a key in order: from the
        // first that has gone too early on, all go again.
        let unsent = letters.get(letters_sent).map(|letter| letter.message);
        let mut early = Vec::new();
        if let Some(begun) = begun {
            let (published, letters) = begun.finish();
            self.count_published(&published);
            self.published(&published.end, batch.messages).map_err(|by| {
                let firsts = [
                    first_undone(&published, &letters),
                    publications.first().map(|publication| publication.message),
                    unsent,
                ];
                (firsts.into_iter().flatten().fold(end, usize::min), by)
            })?;
            early = letters.into_owned();
        }
        let first = letters.first().map(|letter| letter.message);
        let too_early = early.iter().map(|letter| letter.message);
        let from = too_early
            .filter(|message| again || first.is_some_and(|first| *message > first))
            .min();
        let is_due = |letter: &Publication<'_>| {
            let begin = from.into_iter().chain(unsent).min();
            letter.message < end && begin.is_some_and(|begin| letter.message >= begin)
        };
        let mut due: Vec<Publication<'m>> = letters.into_iter().chain(early).filter(is_due).collect();
        due.sort_by_key(|letter| letter.message);
        publications.append(&mut due);
        if publications.is_empty() {
            return Ok(());
        }
        let published = self.publish(&publications);
        self.published(&published.end, batch.messages)
            .map_err(|by| (first_undone(&published, &publications).unwrap_or(end), by))
    }

    fn publish(&self, publications: &[Publication<'_>]) -> Published {
        let published = publish(publications, &self.publish_calls(&|| self.meanwhile()));
        self.count_published(&published);
        published
    }

    fn publish_calls<'c>(&'c self, meanwhile: &'c dyn Fn()) -> PublishCalls<'c> {
        let Some(publisher) = &self.shared.publisher else {
            unreachable!("where anything is published there is a producer");
        };
        PublishCalls {
            publisher: &**publisher,
            stop: self.stop,
            finish_max: self.shared.finish_max,
            meanwhile,
        }
    }

    fn count_published(&self, published: &Published) {
        let counters = &self.shared.counters;
        counters.messages_published.add(published.done as u64);
        counters.messages_published_again.add(published.resent);
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

    fn view<'m>(&self, message: &'m BorrowedMessage<'m>) -> Message<'m> {
        Message {
            topic: message.topic(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            payload: message.payload(),
            headers: if self.processor.wants_headers() {
                all_headers(message)
            } else {
                Vec::new()
            },
        }
    }
}

/// The first message of which something is not stored.
fn first_undone(published: &Published, publications: &[Publication<'_>]) -> Option<usize> {
    let undone = publications.get(published.done..)?.iter();
    undone.map(|publication| publication.message).min()
}

fn all_headers<'m>(message: &'m BorrowedMessage<'m>) -> Vec<(&'m str, Option<&'m [u8]>)> {
    match message.headers() {
        Some(headers) => headers.iter().map(|header| (header.key, header.value)).collect(),
        None => Vec::new(),
    }
}
