//! The run: both passes over the topic, batch by batch, and the account.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::aerospike::refusal::Refusal as WhoAsks;
use crate::aerospike::{ConnectError, Store, StoreOptions, chain};
use crate::config::model::{Config, DeadLetterHeaders, RejectAction};
use crate::delivery::letter::Letter;
use crate::delivery::pressure::{Gate, Pressure};
use crate::delivery::publish::{Outbox, PublishCalls, PublishEnd};
use crate::delivery::reject::{MessageOrigin, Rejected, RowsNotDone, dead_letter};
use crate::delivery::write::{Calls, Fatal, Limits};
use crate::kafka::admin::newest::{NewestError, Span, Step, read_through, waits, whole};
use crate::kafka::admin::probe::{ClusterView, ProbeError, probe};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::{ReadError, TopicIds};
use crate::kafka::producer::{Producer, ProducerError};
use crate::message::{Message, Rejection};
use crate::observe::counters::Counters;
use crate::processor::Processor as _;
use crate::replay::index::{Full, Index, MESSAGES_MAX, Place};
use crate::replay::judge::{Judge, Judged, Manner};
use crate::replay::owned::Owned;
use crate::replay::reasons::{Reasons, shown};
use crate::replay::rows::{InPart, Outcome, RowsOf, Task};
use crate::replay::selection::Selection;
use crate::replay::source;
use crate::replay::totals::{Leave, Refuse, Totals, count};
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;
use crate::util::memory;
use crate::util::start_limit::StartLimit;
use crate::util::stop::{Stop, StopKind};

/// How long Kafka and Aerospike may be unreachable at the start, if `run.start_timeout` is not set.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long after a stop calls to the database may still begin, and acknowledgements are awaited.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// Letters in a batch, at most.
const BATCH_LETTERS: usize = 1000;
/// Rows are heavier in memory than the messages that they are made of.
const WEIGHT: usize = 4;
/// Ledger entries are kept for so much longer than the oldest letter, in seconds: a run that goes on at the same time,
/// with other rules, can still write a letter about a row that another run has entered.
const FORGET_MARGIN_S: i64 = 86_400;

/// What a run is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The topic of the letters.
    pub from: String,
    pub selection: Selection,
    pub manner: Manner,
    /// Only says what would happen.
    pub dry_run: bool,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The headers are read.
    Reading,
    /// Letters are replayed.
    Replaying,
}

/// What a run tells while it works. Called often.
pub trait Watch {
    /// `done` of `of` messages or letters. `waits`: what it waits for now.
    fn progress(&self, stage: Stage, done: u64, of: u64, waits: Option<&str>);
    /// A line for the user.
    fn tell(&self, line: &str);
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub totals: Totals,
    pub exit: Exit,
    /// Why it ended early.
    pub why: Option<String>,
}

/// Why a run cannot go on.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    why: String,
}

impl Failure {
    fn new(exit: Exit, why: impl ToString) -> Failure {
        Failure {
            exit,
            why: why.to_string(),
        }
    }

    fn stopped() -> Failure {
        Failure::new(Exit::Restart, "stopped before the end; start it again to go on")
    }
}

impl From<NewestError> for Failure {
    fn from(error: NewestError) -> Failure {
        let exit = if error.is_refusal() {
            Exit::Credentials
        } else if error.is_absent() {
            Exit::Usage
        } else {
            Exit::Unreachable
        };
        Failure::new(exit, chain(&error))
    }
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Failure {
        let exit = match &error {
            ProbeError::Stopped => return Failure::stopped(),
            ProbeError::Credentials(_) => Exit::Credentials,
            ProbeError::Configuration(_) => Exit::Configuration,
            ProbeError::Listener(complaint) => complaint.exit.unwrap_or(Exit::Unreachable),
            ProbeError::Unreachable(_) | ProbeError::Advertised(_) => Exit::Unreachable,
        };
        Failure::new(exit, error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        let exit = match &error {
            ConnectError::Stopped => return Failure::stopped(),
            ConnectError::Credentials(_) => Exit::Credentials,
            ConnectError::NoNamespace { .. }
            | ConnectError::NotAerospike(_)
            | ConnectError::TlsFile(_)
            | ConnectError::Tls(_) => Exit::Configuration,
            ConnectError::Unreachable(_) => Exit::Unreachable,
        };
        Failure::new(exit, error)
    }
}

impl From<ProducerError> for Failure {
    fn from(error: ProducerError) -> Failure {
        let exit = match &error {
            ProducerError::Configuration(_) => Exit::Configuration,
            ProducerError::Thread(_) => Exit::Restart,
        };
        Failure::new(exit, error)
    }
}

impl From<WhoAsks> for Failure {
    fn from(refusal: WhoAsks) -> Failure {
        Failure::new(Exit::Credentials, format!("aerospike: {refusal}; {}", refusal.cure()))
    }
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Failure {
        match fatal {
            Fatal::Credentials(code) => WhoAsks { code, has_user: true }.into(),
            Fatal::NoNamespace(namespace) => Failure::new(
                Exit::Configuration,
                format!(
                    "aerospike: the cluster has no namespace \"{namespace}\"; correct aerospike.namespace or the write's namespace"
                ),
            ),
        }
    }
}

/// Replays letters until all that are selected are dealt with, `stop` is raised, or it cannot go on.
pub fn replay(config: &Config, mapping: &Mapping, options: &Options, stop: &Stop, watch: &dyn Watch) -> Ended {
    let mut totals = Totals {
        is_dry: options.dry_run,
        ..Totals::default()
    };
    let ended = pass_both(config, mapping, options, stop, watch, &mut totals);
    let (exit, why) = match ended {
        Ok(()) => (totals.exit(), totals.why_left()),
        Err(Failure { exit, why }) => (exit, Some(why)),
    };
    Ended { totals, exit, why }
}

fn pass_both(
    config: &Config,
    mapping: &Mapping,
    options: &Options,
    stop: &Stop,
    watch: &dyn Watch,
    totals: &mut Totals,
) -> Result<(), Failure> {
    if config.kafka.topics.contains(&options.from) {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{} is one of kafka.topics; --from names a topic of dead letters",
                options.from
            ),
        ));
    }
    let limit = StartLimit::new(Some(config.run.start_timeout.unwrap_or(REACH_TIMEOUT)));
    let view = probe(&config.kafka, &limit, stop)?;
    let spans = whole(&config.kafka, &options.from).map_err(|error| {
        if error.is_absent() {
            Failure::new(Exit::Usage, source::absent(&options.from, config))
        } else {
            error.into()
        }
    })?;
    let mut judge = Judge {
        config,
        mapping,
        manner: options.manner,
        topic_ids: BTreeMap::new(),
    };
    totals.spans.clone_from(&spans);
    let first = first_pass(&judge, options, &spans, stop, watch, totals)?;
    // What the first pass could not read is no part of the run.
    let spans = without(&spans, &totals.unread);
    let selected = first.selected.min(options.selection.limit.unwrap_or(u64::MAX));
    totals.over_limit = first.selected - selected;
    totals.left = selected;
    // Before anything is written: what was misspelt may be the larger part of what is meant.
    if let Some(mistake) = first.mistake {
        return Err(Failure::new(Exit::Usage, mistake));
    }
    if selected == 0 {
        return Ok(());
    }
    judge.topic_ids = topic_ids(config, &first, &view, &limit, stop, watch)?;
    let database = if options.dry_run {
        None
    } else {
        Some(Database::connect(config, mapping, options, &limit, &view, stop, watch)?)
    };
    let second = Second {
        judge: &judge,
        options,
        first: &first,
        selected,
        stop,
        watch,
        database: database.as_ref(),
        outbox: RefCell::new(Outbox::new(stop)),
        reached: Cell::new(0),
    };
    second.pass(&spans, totals)
}

/// What the first pass has found.
struct First {
    index: Index,
    /// Newest letters that are selected.
    selected: u64,
    /// The times of the oldest and the newest letter, in seconds. `None`: there is none.
    times: Option<(i64, i64)>,
    /// The topics of the rejected messages.
    topics: BTreeSet<String>,
    /// What is wrong with the reasons that are asked for.
    mistake: Option<String>,
}

/// Reads the headers of all letters.
fn first_pass(
    judge: &Judge<'_>,
    options: &Options,
    spans: &[Span],
    stop: &Stop,
    watch: &dyn Watch,
    totals: &mut Totals,
) -> Result<First, Failure> {
    let selection = &options.selection;
    let mut first = First {
        index: Index::default(),
        selected: 0,
        times: None,
        topics: BTreeSet::new(),
        mistake: None,
    };
    let mut reasons = Reasons::new(&selection.reasons);
    // Letters in the index, and those of them that are not selected where they are the newest.
    let mut indexed = 0_u64;
    let of: u64 = spans.iter().map(length).sum();
    let mut full = false;
    let mut passed = 0;
    let unread = read_through(&judge.config.kafka, &options.from, spans, &mut |step| {
        if stop.requested() {
            return ControlFlow::Break(());
        }
        let Step::Message(message) = step else {
            if let Step::Waits(span) = step {
                watch.tell(&waits(&options.from, &span));
            }
            watch.progress(Stage::Reading, passed, of, None);
            return ControlFlow::Continue(());
        };
        passed += 1;
        watch.progress(Stage::Reading, passed, of, None);
        totals.read += 1;
        let place = Place::of(message);
        let letter = match Letter::read(message) {
            Ok(letter) => letter,
            Err(why) => {
                count(&mut totals.refused, (Refuse::NotALetter, 0), place, &why.to_string());
                return ControlFlow::Continue(());
            }
        };
        reasons.see(letter.reason);
        if letter.group == judge.config.kafka.group {
            let (begin, at) = (letter.first_time.as_second(), letter.time.as_second());
            let (oldest, newest) = first.times.unwrap_or((begin, at));
            first.times = Some((oldest.min(begin).min(at), newest.max(at)));
        }
        if let Some(refuse) = judge.refusal(&letter) {
            if selection.takes(&letter) {
                count(&mut totals.refused, (refuse, 0), place, &judge.about(refuse, &letter));
            } else {
                totals.unselected += 1;
            }
        } else if selection.is_before(&letter) {
            // It is older than every letter that is selected, so it supersedes none of them.
            totals.unselected += 1;
        } else if first.index.add(&letter, place, selection.takes(&letter)) == Err(Full) {
            full = true;
            return ControlFlow::Break(());
        } else {
            indexed += 1;
            if !first.topics.contains(letter.topic) {
                first.topics.insert(letter.topic.to_owned());
            }
        }
        ControlFlow::Continue(())
    })?;
    totals.unread = unread;
    if stop.requested() {
        return Err(Failure::stopped());
    }
    if full {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{} has letters of more than {MESSAGES_MAX} messages: take a part of them with --since",
                options.from
            ),
        ));
    }
    first.mistake = reasons.mistake(&options.from);
    let messages = first.index.messages() as u64;
    first.selected = first.index.selected();
    totals.superseded = indexed - messages;
    totals.unselected += messages - first.selected;
    Ok(first)
}

/// These ranges, as far as they were read.
fn without(spans: &[Span], unread: &[Span]) -> Vec<Span> {
    let end = |span: &Span| unread.iter().find(|each| each.partition == span.partition);
    let spans = spans.iter();
    spans
        .map(|span| Span {
            end: end(span).map_or(span.end, |unread| unread.begin),
            ..*span
        })
        .collect()
}

fn length(span: &Span) -> u64 {
    u64::try_from(span.end - span.begin).unwrap_or_default()
}

/// The ids of the letters' topics, as far as they can be known now.
fn topic_ids(
    config: &Config,
    first: &First,
    view: &ClusterView,
    limit: &StartLimit,
    stop: &Stop,
    watch: &dyn Watch,
) -> Result<BTreeMap<String, TopicId>, Failure> {
    let ids = TopicIds::new(&config.kafka).map_err(|error| Failure::new(Exit::Configuration, error))?;
    if let Some(broker) = view.answering {
        ids.prefer(broker);
    }
    let mut known = BTreeMap::new();
    for topic in first.topics.iter().filter(|topic| !view.absent.contains(topic)) {
        match ids.read_within(topic, Instant::now(), limit, stop) {
            Ok(id) => {
                known.insert(topic.clone(), id);
            }
            Err(ReadError::Stopped) => return Err(Failure::stopped()),
            Err(error @ (ReadError::Refused(_) | ReadError::TooLate(_))) => {
                watch.tell(&format!(
                    "{error}; so messages of {topic} that may overwrite newer values are refused"
                ));
            }
        }
    }
    Ok(known)
}

/// What a run writes to.
struct Database {
    store: Arc<Store>,
    pressure: Arc<Pressure>,
    producer: Arc<Producer>,
    limits: Limits,
    /// Where letters go that fail again.
    letters_to: String,
    headers: DeadLetterHeaders,
}

impl Database {
    fn connect(
        config: &Config,
        mapping: &Mapping,
        options: &Options,
        limit: &StartLimit,
        view: &ClusterView,
        stop: &Stop,
        watch: &dyn Watch,
    ) -> Result<Database, Failure> {
        let run = &config.run;
        let counters = Arc::new(Counters::new());
        let namespaces: BTreeSet<String> = mapping
            .topics()
            .iter()
            .flat_map(|(_, rules)| rules.namespaces())
            .collect();
        let store_options = StoreOptions {
            write_timeout: run.write_timeout,
            workers: 1,
            start_timeout: limit.left(),
            namespaces: namespaces.into_iter().collect(),
            whole: true,
        };
        let store = Store::connect(&config.aerospike, &store_options, counters.clone(), stop)?;
        let memory = memory::plan(run.memory_bytes, run.batch_bytes_max as u64, 1, view.brokers, true)
            .map_err(|error| Failure::new(Exit::Configuration, error))?;
        let (letters_to, headers) = match &config.reject.action {
            RejectAction::DeadLetter { topic, headers } => (topic.clone(), *headers),
            _ => {
                watch.tell(&format!(
                    "reject.action is not dead_letter: letters that fail again go to {}",
                    options.from
                ));
                (options.from.clone(), DeadLetterHeaders::Penstock)
            }
        };
        Ok(Database {
            store: Arc::new(store),
            pressure: Arc::new(Pressure::new(run.rows_in_flight_max, run.rows_per_second_max, counters)),
            producer: Arc::new(Producer::new(&config.kafka, &memory)?),
            limits: Limits {
                rows: run.batch_rows_max,
                bytes: WEIGHT * usize::try_from(memory.batch_bytes).unwrap_or(usize::MAX),
                finish_max: FINISH_MAX,
            },
            letters_to,
            headers,
        })
    }

    /// What it waits for now, if it does.
    fn waits(&self) -> Option<String> {
        let view = self.pressure.view();
        if view.gate == Gate::Open {
            return self.producer.failing().map(|failing| {
                format!(
                    "waits for Kafka: the topic {} takes no messages: {}",
                    failing.topic, failing.why
                )
            });
        }
        Some(format!(
            "waits for Aerospike ({}), the log says why",
            view.gate.as_str()
        ))
    }
}

/// The second pass.
struct Second<'s> {
    judge: &'s Judge<'s>,
    options: &'s Options,
    first: &'s First,
    /// How many letters are replayed.
    selected: u64,
    stop: &'s Stop,
    watch: &'s dyn Watch,
    /// `None`: a dry run.
    database: Option<&'s Database>,
    outbox: RefCell<Outbox>,
    /// Letters that are dealt with.
    reached: Cell<u64>,
}

impl Second<'_> {
    fn pass(&self, spans: &[Span], totals: &mut Totals) -> Result<(), Failure> {
        let bytes_max = self.judge.config.run.batch_bytes_max;
        let mut batch: Vec<Owned> = Vec::new();
        let (mut bytes, mut taken) = (0, 0_u64);
        let mut failed = None;
        let mut flush = |batch: &mut Vec<Owned>| {
            let flushed = self.flush(batch, totals);
            batch.clear();
            flushed
        };
        let kafka = &self.judge.config.kafka;
        let read = read_through(kafka, &self.options.from, spans, &mut |step| {
            if self.stop.requested() {
                return ControlFlow::Break(());
            }
            let Step::Message(message) = step else {
                if let Step::Waits(span) = step {
                    self.watch.tell(&waits(&self.options.from, &span));
                }
                self.look_out();
                self.show(None);
                return ControlFlow::Continue(());
            };
            // A letter that cannot be read was counted in the first pass.
            let Ok(letter) = Letter::read(message) else {
                return ControlFlow::Continue(());
            };
            let selection = &self.options.selection;
            if self.judge.refusal(&letter).is_some()
                || !selection.takes(&letter)
                || !self.first.index.is_newest(&letter, Place::of(message))
            {
                return ControlFlow::Continue(());
            }
            let letter = Owned::of(message);
            bytes += letter.bytes();
            batch.push(letter);
            taken += 1;
            if batch.len() >= BATCH_LETTERS || bytes >= bytes_max || taken == self.selected {
                bytes = 0;
                if let Err(failure) = flush(&mut batch) {
                    failed = Some(failure);
                    return ControlFlow::Break(());
                }
            }
            if taken == self.selected {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let ended = match failed {
            Some(failure) => Err(failure),
            None => read.map_err(Failure::from).and_then(|unread| {
                flush(&mut batch)?;
                Ok(unread)
            }),
        };
        if let Some(database) = self.database {
            let mut outbox = self.outbox.borrow_mut();
            if !outbox.is_empty() {
                self.with_calls(database, |calls| outbox.leave(calls));
            }
        }
        totals.unread.extend(ended?);
        if self.stop.requested() && totals.left > 0 {
            let refusal = self.database.and_then(|database| database.store.refusal());
            return Err(refusal.map_or_else(Failure::stopped, Failure::from));
        }
        Ok(())
    }

    /// Done again and again while the run works or waits: a lost database is found again, and so is a login that is
    /// changed or accepted again. One that is refused permanently stops the run.
    fn look_out(&self) {
        let Some(database) = self.database else { return };
        database.store.look_out(&database.pressure);
        if database.store.refusal().is_some() {
            self.stop.request(StopKind::Drain);
        }
    }

    fn meanwhile(&self, database: &Database) {
        self.look_out();
        self.show(database.waits().as_deref());
    }

    fn show(&self, waits: Option<&str>) {
        self.watch
            .progress(Stage::Replaying, self.reached.get(), self.selected, waits);
    }

    /// Deals with these letters, in parts that fit a batch of rows.
    fn flush(&self, letters: &[Owned], totals: &mut Totals) -> Result<(), Failure> {
        let mut letters = letters;
        while !letters.is_empty() && !self.stop.requested() {
            let dealt_with = self.some(letters, totals)?;
            letters = &letters[dealt_with..];
            self.show(None);
        }
        Ok(())
    }

    /// Deals with the first of these letters. Returns how many.
    fn some(&self, letters: &[Owned], totals: &mut Totals) -> Result<usize, Failure> {
        let config = self.judge.config;
        let rows_max = 5 * config.run.batch_rows_max;
        let bytes_max = WEIGHT * config.run.batch_bytes_max;
        let now_ms = now_ms();
        let views: Vec<Message<'_>> = letters.iter().map(Owned::view).collect();
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut dealt_with = 0;
        for (letter, view) in letters.iter().zip(&views) {
            if !parts.is_empty() && (rows >= rows_max || bytes >= bytes_max) {
                break;
            }
            dealt_with += 1;
            let place = letter.place;
            let Ok(letter) = Letter::read(view) else {
                continue;
            };
            let message = letter.message(view);
            let fate = match self.judge.judge(&letter, &message, tasks.len(), now_ms) {
                Judged::Filtered => Fate::Filtered,
                Judged::Refused(why, line) => Fate::refused(why, line),
                Judged::Rejected(rejection) => Fate::Failed(Box::new(Rejected {
                    rejection,
                    rows_not_done: RowsNotDone::AsBefore(letter.rows_text.to_owned()),
                    attempts: 0,
                    in_doubt: letter.in_doubt,
                })),
                Judged::Open(open) => {
                    rows += open.rows.len();
                    bytes += open.rows.iter().map(crate::output::row::Row::bytes).sum::<usize>();
                    tasks.push(Task {
                        letter: letter.clone(),
                        open,
                    });
                    Fate::Task(tasks.len() - 1)
                }
            };
            parts.push(Part {
                place,
                letter,
                message,
                fate,
            });
        }
        match self.database {
            None => self.foretell(&parts, &tasks, totals),
            Some(database) => self.carry_out(database, &parts, &tasks, totals)?,
        }
        Ok(dealt_with)
    }

    /// A dry run: counts what would happen.
    fn foretell(&self, parts: &[Part<'_>], tasks: &[Task<'_>], totals: &mut Totals) {
        for part in parts {
            self.reached.set(self.reached.get() + 1);
            totals.left -= 1;
            match &part.fate {
                Fate::Task(task) => {
                    let open = &tasks[*task].open;
                    if let Some(cause) = open.left.iter().find(|row| row.why.is_cause()) {
                        let in_part = InPart {
                            why: Refuse::MayOverwrite,
                            line: cause.line,
                            done: open.open.len(),
                            of: open.open.len() + open.left.len(),
                            left: open.left.iter().map(|row| (row.line, row.why)).collect(),
                        };
                        settle(&Fate::in_part(in_part), part.place, totals);
                    } else {
                        let day = part.letter.time.to_string();
                        let day = day.get(..10).unwrap_or_default().to_owned();
                        totals.would.add(day, shown(part.letter.reason));
                        totals.would_publish += u64::from(!open.publications.is_empty());
                    }
                    for how in &open.overwriting {
                        count(&mut totals.overwriting, *how, part.place, "");
                    }
                }
                fate => settle(fate, part.place, totals),
            }
        }
    }

    /// Writes the rows, then publishes, then counts.
    fn carry_out(
        &self,
        database: &Database,
        parts: &[Part<'_>],
        tasks: &[Task<'_>],
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let config = self.judge.config;
        let (oldest, newest) = self.first.times.unwrap_or_default();
        let rows_of = RowsOf {
            group: &config.kafka.group,
            epoch: config.run.guard_epoch,
            keep_newer: self.options.manner.keep_newer,
            overwrite: self.options.manner.overwrite,
            limits: database.limits,
            // Not before any letter, whatever the clock of this machine says.
            time: Timestamp::now().as_second().max(newest),
            // An entry can be of a letter that could not be read, or that is in the topic of the configuration.
            forget_below: if totals.unread.is_empty() && source::configured(config) == Some(&self.options.from) {
                oldest - FORGET_MARGIN_S
            } else {
                0
            },
        };
        let (outcomes, written, fatal) = {
            let calls = Calls {
                writer: &*database.store,
                pressure: &database.pressure,
                stop: self.stop,
                meanwhile: &|| self.meanwhile(database),
            };
            rows_of.write(tasks, &calls)
        };
        totals.rows_written += written;
        let mut outcomes: Vec<Option<Outcome>> = outcomes.into_iter().map(Some).collect();
        // Letters that are done when what they produce is acknowledged.
        let mut waiting: Vec<(usize, Fate, u64, u64)> = Vec::new();
        let mut outbox = self.outbox.borrow_mut();
        // For each message that is produced, from this number on: the letter that it belongs to.
        let first_number = outbox.pushed();
        let mut owners: Vec<usize> = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let fate = match &part.fate {
                Fate::Task(task) => match outcomes.get_mut(*task).and_then(Option::take) {
                    None | Some(Outcome::Left) => continue,
                    Some(Outcome::Failed(rejected)) => Fate::Failed(rejected),
                    // It publishes when its last row is done.
                    Some(Outcome::Refused(in_part)) => Fate::in_part(in_part),
                    Some(done) => {
                        let published = &tasks[*task].open.publications;
                        for publication in published {
                            outbox.push(part.letter.offset, publication);
                            owners.push(number);
                        }
                        waiting.push((number, Fate::Done(done), published.len() as u64, 0));
                        continue;
                    }
                },
                Fate::Filtered => Fate::Filtered,
                Fate::Refused { why, line, .. } => Fate::refused(*why, *line),
                Fate::Failed(rejected) => Fate::Failed(rejected.clone()),
                Fate::Done(_) => continue,
            };
            let letters = if let Fate::Failed(rejected) = &fate {
                let origin = MessageOrigin {
                    group: part.letter.group,
                    topic_id: part.letter.topic_id,
                    now_ms: now_ms(),
                    guard_epoch: config.run.guard_epoch,
                    guarded: part.letter.guarded,
                    versioned: part.letter.versioned,
                    tries: part.letter.tries.saturating_add(1),
                    first_time: Some(part.letter.first_time),
                };
                let letter = dead_letter(
                    &database.letters_to,
                    database.headers,
                    number,
                    &part.message,
                    rejected,
                    origin,
                );
                outbox.push(part.letter.offset, &letter);
                owners.push(number);
                1
            } else {
                0
            };
            waiting.push((number, fate, 0, letters));
        }
        let all = outbox.pushed();
        // Letters of which a message can never be produced, and why.
        let mut unsent: BTreeMap<usize, String> = BTreeMap::new();
        let end = loop {
            let end = self.with_calls(database, |calls| outbox.settle(all, calls));
            let PublishEnd::Fatal(fatal) = &end else { break end };
            let Some(left_out) = outbox.leave_out() else { break end };
            let owner = usize::try_from(left_out - first_number)
                .ok()
                .and_then(|place| owners.get(place));
            if let Some(owner) = owner {
                unsent.insert(*owner, fatal.to_string());
            }
        };
        let is_settled = end == PublishEnd::Finished;
        for (number, fate, published, letters) in waiting {
            // What is not acknowledged is done again by the next run.
            if !is_settled && published + letters > 0 {
                continue;
            }
            let place = parts[number].place;
            totals.left -= 1;
            self.reached.set(self.reached.get() + 1);
            if let Some(why) = unsent.remove(&number) {
                settle(&Fate::not_produced(why), place, totals);
                continue;
            }
            totals.published += published;
            totals.letters_made += letters;
            settle(&fate, place, totals);
        }
        match (fatal, end) {
            (Some(fatal), _) => Err(fatal.into()),
            (None, PublishEnd::Fatal(fatal)) => Err(Failure::new(fatal.exit(), format!("kafka: {fatal}"))),
            (None, PublishEnd::Stopped | PublishEnd::Finished) => Ok(()),
        }
    }

    fn with_calls<R>(&self, database: &Database, call: impl FnOnce(&PublishCalls<'_>) -> R) -> R {
        call(&PublishCalls {
            publisher: &*database.producer,
            stop: self.stop,
            finish_max: FINISH_MAX,
            ends_since: None,
            meanwhile: &|| self.meanwhile(database),
        })
    }
}

/// A letter of a batch.
struct Part<'m> {
    place: Place,
    letter: Letter<'m>,
    message: Message<'m>,
    fate: Fate,
}

enum Fate {
    Filtered,
    Refused {
        why: Refuse,
        /// The line of the write that is the cause, or 0.
        line: usize,
        /// How many of its rows are done, and how many it lists. Both are 0 if none was looked at.
        rows: (usize, usize),
        /// The rows that are left: the lines of their writes, and why.
        left: Vec<(usize, Leave)>,
        /// The cause in words, or empty.
        detail: String,
    },
    Failed(Box<Rejected>),
    /// Its number among the tasks.
    Task(usize),
    Done(Outcome),
}

impl Fate {
    fn refused(why: Refuse, line: usize) -> Fate {
        Fate::Refused {
            why,
            line,
            rows: (0, 0),
            left: Vec::new(),
            detail: String::new(),
        }
    }

    fn in_part(in_part: InPart) -> Fate {
        Fate::Refused {
            why: in_part.why,
            line: in_part.line,
            rows: (in_part.done, in_part.of),
            left: in_part.left,
            detail: String::new(),
        }
    }

    fn not_produced(detail: String) -> Fate {
        Fate::Refused {
            why: Refuse::NotProduced,
            line: 0,
            rows: (0, 0),
            left: Vec::new(),
            detail,
        }
    }
}

/// Counts a letter that is dealt with.
fn settle(fate: &Fate, place: Place, totals: &mut Totals) {
    let done = &mut totals.done;
    match fate {
        Fate::Filtered => done.filtered += 1,
        Fate::Refused {
            why,
            line,
            rows: (rows_done, rows),
            left,
            detail,
        } => {
            let example = count(&mut totals.refused, (*why, *line), place, detail);
            example.rows_done += *rows_done as u64;
            example.rows += *rows as u64;
            for left in left {
                count(&mut totals.rows_left, *left, place, "");
            }
        }
        Fate::Failed(rejected) => {
            let Rejection { reason, detail } = &rejected.rejection;
            count(&mut totals.failed, reason.as_str().to_owned(), place, detail);
        }
        Fate::Done(Outcome::Already) => done.already += 1,
        Fate::Done(Outcome::Stale) => done.stale += 1,
        Fate::Done(Outcome::Ignored) => done.ignored += 1,
        Fate::Done(Outcome::KeptNewer) => done.kept_newer += 1,
        Fate::Done(_) => done.written += 1,
        Fate::Task(_) => {}
    }
}

/// Milliseconds since 1970. A clock that is set before 1970 gives 0.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
