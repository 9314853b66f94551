//! Messages that wait only for Kafka's acknowledgements: their rows are written, and their publications or dead letters
//! are on the way.
//!
//! The worker continues meanwhile, as long as nothing fails. If it waited after each batch, the brokers would answer
//! one small request after another. Offsets follow the acknowledgements, in message order. The worker waits in four
//! cases: it has nothing else to do; so much is pending that a crash would repeat too much; something fails; or the
//! next write must not overtake a dead letter.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use log::{debug, error, warn};

use crate::config::model::RejectAction;
use crate::delivery::publish::{Outbox, PublishCalls, PublishEnd, PublishFatal};
use crate::delivery::reject::Rejected;
use crate::kafka::consumer::source::{QueuedMessage, Source, SourceMessage};
use crate::message::Rejection;
use crate::observe::metrics::delivery_latency::DeliveryLatencies;
use crate::output::publication::Publication;
use crate::partition::ends::{Broken, WorkerEnd};
use crate::partition::env::{Env, now_ms};
use crate::partition::lettered::LETTERED_BEFORE;
use crate::partition::offsets::Offsets;
use crate::util::exit::Exit;
use crate::util::stop::{Stop, StopKind};

/// How long messages are gathered before they are sent, while the worker has other work. A request with one message
/// costs a broker about as much as one with a hundred. Dead letters are few, so they are gathered for longer.
const GATHER_MESSAGES: Duration = Duration::from_millis(50);
const GATHER_LETTERS: Duration = Duration::from_millis(500);
/// Maximum number of pending messages. A crash repeats them, like everything since the last commit.
const PENDING_MAX: u64 = 50_000;

/// What happens to a message.
pub(super) enum Fate {
    Kept,
    Filtered,
    /// Rejected because of its own content.
    Rejected(Box<Rejected>),
    /// Rejected by an earlier worker, and its dead letter is acknowledged. The rules were not applied.
    Lettered,
}

/// A worker's pending messages.
pub(super) struct Pending {
    outbox: Outbox,
    /// In order of their offsets.
    parts: VecDeque<Part>,
    /// Total number of messages in `parts`.
    messages: u64,
    /// When the gathered messages are sent.
    send_at: Option<Instant>,
    /// Number of consecutive rejections, up to the last message that was handed over.
    consecutive_rejects: u32,
}

/// Either one message that publishes or is rejected, or several consecutive messages that do neither.
#[derive(Default)]
struct Part {
    /// The offset behind the last message of this part.
    next: i64,
    /// The part is done when everything below this number in the outbox is stored.
    number: u64,
    messages: u64,
    written: u64,
    filtered: u64,
    lettered: u64,
    /// Number of messages that publish. Dead letters do not count.
    published: u64,
    /// The reason, if the message is rejected.
    rejected: Option<&'static str>,
    /// Of a message that is written and publishes: its timestamp. Its latency is known when it is acknowledged.
    awaits_since: Option<Option<i64>>,
}

impl Pending {
    pub fn new(stop: &Stop) -> Pending {
        Pending {
            outbox: Outbox::new(stop),
            parts: VecDeque::new(),
            messages: 0,
            send_at: None,
            consecutive_rejects: 0,
        }
    }

    fn push(&mut self, offset: i64, publication: &Publication<'_>, gather: Duration) {
        self.outbox.push(offset, publication);
        let at = Instant::now() + gather;
        self.send_at = Some(self.send_at.map_or(at, |before| before.min(at)));
    }

    /// Ends a part. `next`: the offset behind it.
    fn end_part(&mut self, part: &mut Part, next: i64) {
        let part = Part {
            next,
            number: self.outbox.pushed(),
            ..std::mem::take(part)
        };
        self.messages += part.messages;
        self.parts.push_back(part);
    }

    pub fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Removes and returns the first part, if everything that it publishes is stored.
    fn take(&mut self) -> Option<Part> {
        let stored_below = self.outbox.stored_below();
        if self.parts.front()?.number > stored_below {
            return None;
        }
        let part = self.parts.pop_front()?;
        self.messages -= part.messages;
        Some(part)
    }

    /// Number of consecutive rejections, up to the last message that was handed over.
    pub fn consecutive_rejects(&self) -> u32 {
        self.consecutive_rejects
    }

    /// Takes messages whose rows are written: publishes what they publish, then finishes their offsets. `publications`:
    /// in message order.
    pub fn hand_over<S: Source>(
        &mut self,
        env: &Env<'_, S>,
        offsets: &mut Offsets,
        messages: &[impl SourceMessage],
        fates: Vec<Fate>,
        publications: Vec<Publication<'_>>,
    ) {
        let mut publications = publications.into_iter().peekable();
        let (all, mut rejected, mut lettered) = (fates.len() as u64, 0, 0);
        let mut part = Part::default();
        let (now_ms, mut latencies) = (now_ms(), gather_latencies(env));
        for (index, (message, fate)) in messages.iter().zip(fates).enumerate() {
            let is_rejected = matches!(fate, Fate::Rejected(_));
            let waits = is_rejected || publications.peek().is_some_and(|next| next.message == index);
            if waits && part.messages > 0 {
                // The messages before it do not wait for it.
                self.end_part(&mut part, message.offset());
            }
            let gather = if is_rejected { GATHER_LETTERS } else { GATHER_MESSAGES };
            while let Some(publication) = publications.next_if(|next| next.message == index) {
                if is_rejected {
                    let now = env.shared.letters.known_now();
                    offsets.letters.sent(now, message.offset(), &publication);
                }
                self.push(message.offset(), &publication, gather);
                part.published += u64::from(!is_rejected);
            }
            part.messages += 1;
            self.consecutive_rejects = match fate {
                Fate::Rejected(_) => self.consecutive_rejects + 1,
                Fate::Lettered => self.consecutive_rejects,
                Fate::Kept | Fate::Filtered => 0,
            };
            match fate {
                Fate::Kept => {
                    part.written += 1;
                    let timestamp_ms = message.timestamp_ms();
                    if waits {
                        part.awaits_since = Some(timestamp_ms);
                    } else {
                        latencies.acknowledged(timestamp_ms, now_ms);
                    }
                }
                Fate::Filtered => part.filtered += 1,
                Fate::Lettered => {
                    part.lettered += 1;
                    lettered += 1;
                }
                Fate::Rejected(of) => {
                    tell(env, message.offset(), &of);
                    part.rejected = Some(of.rejection.reason.as_str());
                    rejected += 1;
                }
            }
            if waits || index as u64 + 1 == all {
                let next = messages.get(index + 1);
                let next = next.map_or(message.offset() + 1, QueuedMessage::offset);
                self.end_part(&mut part, next);
            }
        }
        add_latencies(env, &latencies);
        // The limits counted those with letters when they were rejected.
        env.shared.rejecting.counts.finished(all - lettered, rejected);
        self.collect(env, offsets);
    }

    /// Finishes the messages that are acknowledged.
    fn collect<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets) {
        let counters = &env.shared.counters;
        let mut next = None;
        let mut published: Option<(i64, DeliveryLatencies)> = None;
        while let Some(part) = self.take() {
            if let Some(timestamp_ms) = part.awaits_since {
                let (now_ms, latencies) = published.get_or_insert_with(|| (now_ms(), gather_latencies(env)));
                latencies.acknowledged(timestamp_ms, *now_ms);
            }
            counters.messages_written.add(part.written);
            counters.messages_filtered.add(part.filtered);
            counters.messages_published.add(part.published);
            if part.lettered > 0 {
                counters.messages_rejected.add(LETTERED_BEFORE, part.lettered);
                counters.messages_dead_lettered.add(part.lettered);
            }
            if let Some(reason) = part.rejected {
                counters.messages_rejected.add(reason, 1);
                match &env.shared.rejecting.action {
                    RejectAction::DeadLetter { .. } => counters.messages_dead_lettered.add(1),
                    _ => counters.messages_dropped.add(1),
                }
            }
            counters
                .messages_in_hand
                .add(-i64::try_from(part.messages).unwrap_or(i64::MAX));
            next = Some(part.next);
        }
        if let Some((_, latencies)) = &published {
            add_latencies(env, latencies);
        }
        if let Some(next) = next {
            offsets.finished_below(next);
            env.progress.set_next(next);
        }
    }

    /// Sends what is due, and processes acknowledgements. Waits only if too much is pending or something fails.
    pub fn publish_on<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets) -> Result<(), Broken> {
        let bytes_max = env.shared.sizes.pending_bytes_max();
        if self.is_empty() {
            return Ok(());
        }
        let is_due = self.send_at.is_some_and(|at| at <= Instant::now())
            || self.outbox.bytes() >= bytes_max / 2
            || self.messages >= PENDING_MAX / 2;
        if !self.advance(env, offsets, is_due)? {
            return self.settle(env, offsets);
        }
        while self.outbox.bytes() >= bytes_max || self.messages >= PENDING_MAX {
            // Waits for half of them only, so that reports keep coming for the rest.
            let Some(half) = self.parts.get((self.parts.len().max(1) - 1) / 2) else {
                break;
            };
            self.settle_below(env, offsets, half.number)?;
        }
        Ok(())
    }

    /// Waits until nothing is pending.
    pub fn settle<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets) -> Result<(), Broken> {
        self.settle_below(env, offsets, self.outbox.pushed())
    }

    fn settle_below<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets, number: u64) -> Result<(), Broken> {
        if self.is_empty() {
            return Ok(());
        }
        self.send_at = None;
        let end = self.with_outbox(env, offsets, None, |outbox, calls| outbox.settle(number, calls));
        // Fetching may have been paused during the wait. Without this the queue would stay empty.
        env.fetching.resume();
        match end {
            PublishEnd::Finished => Ok(()),
            PublishEnd::Stopped => Err(Broken::Stopped),
            PublishEnd::Fatal(fatal) => Err(Broken::Fatal(publish_fatal(env, &fatal))),
        }
    }

    fn advance<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets, send: bool) -> Result<bool, Broken> {
        if send {
            self.send_at = None;
        }
        self.with_outbox(env, offsets, None, |outbox, calls| outbox.advance(send, calls))
            .map_err(|fatal| Broken::Fatal(publish_fatal(env, &fatal)))
    }

    /// Publishes dead letters before everything else of the batch, and waits for them. Afterwards the rows that they
    /// blocked can be written.
    pub fn publish_first<S: Source>(
        &mut self,
        env: &Env<'_, S>,
        offsets: &mut Offsets,
        messages: &[impl SourceMessage],
        letters: Vec<Publication<'_>>,
    ) -> Result<(), Broken> {
        for letter in letters {
            let offset = messages[letter.message].offset();
            offsets.letters.sent(env.shared.letters.known_now(), offset, &letter);
            self.outbox.push(offset, &letter);
        }
        self.settle(env, offsets)
    }

    /// Calls the outbox, then finishes the messages that it reports as acknowledged.
    fn with_outbox<S: Source, R>(
        &mut self,
        env: &Env<'_, S>,
        offsets: &mut Offsets,
        ends_since: Option<Instant>,
        call: impl FnOnce(&mut Outbox, &PublishCalls<'_>) -> R,
    ) -> R {
        let Some(publisher) = &env.shared.publisher else {
            unreachable!(
                "there is a producer where a topic is named to produce to, and nothing is published to another"
            );
        };
        let result = call(
            &mut self.outbox,
            &PublishCalls {
                publisher: &**publisher,
                stop: env.stop,
                finish_max: env.shared.times.finish_max,
                ends_since,
                meanwhile: &|| env.fetching.pass_time(),
            },
        );
        let counters = &env.shared.counters;
        counters.messages_published_again.add(self.outbox.take_resent());
        self.collect(env, offsets);
        result
    }

    /// The worker ends: waits for pending messages until the deadline, and gives the rest back.
    pub fn close<S: Source>(&mut self, env: &Env<'_, S>, offsets: &mut Offsets, end: WorkerEnd) -> WorkerEnd {
        let mut end = end;
        let is_lost = end == WorkerEnd::Lost || env.stop.kind() == Some(StopKind::Abandon);
        if !self.is_empty() {
            let since = Instant::now();
            if !is_lost {
                let settled = self.with_outbox(env, offsets, Some(since), |outbox, calls| {
                    outbox.settle(outbox.pushed(), calls)
                });
                if let PublishEnd::Fatal(fatal) = settled {
                    let exit = publish_fatal(env, &fatal);
                    if end == WorkerEnd::Stopped {
                        end = WorkerEnd::Fatal(exit);
                    }
                }
            }
            if !self.is_empty() {
                self.with_outbox(env, offsets, Some(since), Outbox::leave);
            }
        }
        let returned = self.messages;
        if returned > 0 {
            debug!(
                "worker: leaves messages unacknowledged {} messages={returned}",
                env.partition()
            );
            env.give_back(usize::try_from(returned).unwrap_or(usize::MAX));
        }
        (self.parts, self.messages) = (VecDeque::new(), 0);
        end
    }
}

fn gather_latencies<S: Source>(env: &Env<'_, S>) -> DeliveryLatencies {
    DeliveryLatencies::for_histogram(&env.shared.counters.delivery_latency)
}

fn add_latencies<S: Source>(env: &Env<'_, S>, latencies: &DeliveryLatencies) {
    let counters = &env.shared.counters;
    latencies.add_to(&counters.delivery_latency, &counters.delivery_latency_unmeasured);
}

/// Logs a rejected message that is skipped. For each reason, at most one line per interval.
fn tell<S: Source>(env: &Env<'_, S>, offset: i64, rejected: &Rejected) {
    let Rejection { reason, detail } = &rejected.rejection;
    env.remember_reject(offset, *reason);
    let Some(repeated) = env.shared.rejecting.counts.tell(reason.as_str()) else {
        return;
    };
    let what = match &env.shared.rejecting.action {
        RejectAction::DeadLetter { topic, .. } => Cow::Owned(format!("a dead letter goes to {topic}")),
        _ => Cow::Borrowed("dropped"),
    };
    warn!(
        "message rejected, {what} {} offset={offset} reason={} detail={detail:?}{repeated}",
        env.partition(),
        reason.as_str(),
    );
}

fn publish_fatal<S: Source>(env: &Env<'_, S>, fatal: &PublishFatal) -> Exit {
    let offset = fatal
        .offset()
        .map_or_else(|| "unknown".to_owned(), |offset| offset.to_string());
    error!("kafka: {fatal} {} offset={offset}", env.partition());
    fatal.exit()
}
