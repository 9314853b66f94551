//! The measurement in its order: what is read, what is checked before anything is written, the steps, and the cleaning.
//!
//! Runs on the main thread. Whatever happens after the mark is written, the scratch set is emptied at the end; where
//! that fails, the next call does it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::aerospike::refusal::Refusal as WhoAsks;
use crate::aerospike::{ConnectError, Store, StoreOptions, chain};
use crate::bench::figures::{ENOUGH, Point, Settings};
use crate::bench::load::{Ended as StepEnded, Step, StepError, Work, now_ms};
use crate::bench::sample::{Made, Part, Sample};
use crate::bench::scratch::{Janitor, Keys, Mark, SET, Scratch, ScratchError};
use crate::bench::verdict::{Facts, recommended};
use crate::bench::watched::{Distress, Nowhere};
use crate::config::model::Config;
use crate::delivery::pressure::Pressure;
use crate::delivery::result_codes::Told;
use crate::delivery::write::{Fatal, RowWriter};
use crate::kafka::admin::newest::{NewestError, Span, whole};
use crate::kafka::admin::probe::{ProbeError, probe};
use crate::kafka::admin::reading_rate::{ReadingRate, reading_rate};
use crate::observe::counters::Counters;
use crate::processor::Processor as _;
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;
use crate::util::start_limit::StartLimit;
use crate::util::stop::Stop;

/// How long Kafka and Aerospike may be unreachable, if `run.start_timeout` is not set.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// Reading alone: the newest messages, and so many bytes at most.
const READ_MESSAGES_MAX: i64 = 1_000_000;
const READ_BYTES_MAX: u64 = 512 << 20;
/// Rows in flight while it is emptied.
const CLEAN_ROWS: usize = 1000;
/// These steps need not be longer.
const READ_MAX: Duration = Duration::from_secs(2);
const RULES_MAX: Duration = Duration::from_secs(1);
/// The values of `run.batch_rows_max` that are tried.
const BATCHES: [usize; 7] = [1, 10, 32, 100, 200, 500, 1000];
/// With more threads than there are partitions: the multiples that are tried.
const BEYOND: [usize; 2] = [2, 4];

/// How to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Records of the scratch set, for each namespace.
    pub keys: u32,
    /// How long a step lasts.
    pub step: Duration,
    /// At most so many rows per second.
    pub rows_per_s_max: Option<u32>,
    /// At most so many threads.
    pub threads_max: usize,
    /// A setting is not raised further where one call in a hundred takes longer.
    pub latency_max: Duration,
}

/// What the measurement tells while it works.
pub trait Watch {
    /// What it does now: step `step` of about `of`.
    fn progress(&self, step: usize, of: usize, what: &str);
    /// A line for the user.
    fn tell(&self, line: &str);
}

/// Why it cannot go on, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub why: String,
}

impl Failure {
    pub fn new(exit: Exit, why: impl ToString) -> Failure {
        Failure {
            exit,
            why: why.to_string(),
        }
    }

    fn stopped() -> Failure {
        Failure::new(Exit::Found, "stopped before anything was written")
    }
}

impl From<NewestError> for Failure {
    fn from(error: NewestError) -> Failure {
        let exit = if error.is_refusal() {
            Exit::Credentials
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

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Failure {
        match fatal {
            Fatal::Credentials(code) => {
                let refusal = WhoAsks { code, has_user: true };
                Failure::new(Exit::Credentials, format!("aerospike: {refusal}; {}", refusal.cure()))
            }
            Fatal::NoNamespace(namespace) => Failure::new(
                Exit::Configuration,
                format!("aerospike: the cluster has no namespace \"{namespace}\" any more"),
            ),
        }
    }
}

impl From<ScratchError> for Failure {
    fn from(error: ScratchError) -> Failure {
        let set = format!("aerospike: the set {SET}");
        match error {
            ScratchError::Fatal(fatal) => fatal.into(),
            ScratchError::Unread(why) => Failure::new(Exit::Unreachable, format!("{set} cannot be read: {why}")),
            ScratchError::Refused(Some(code)) => Failure::new(Exit::Found, format!("{set}: {}", Told(code))),
            ScratchError::Refused(None) => Failure::new(Exit::Found, format!("{set}: a row cannot be sent")),
            ScratchError::Unfinished => {
                Failure::new(Exit::Found, format!("{set}: the database does not answer in time"))
            }
        }
    }
}

/// Where messages come from.
#[derive(Debug, Default)]
pub struct Source {
    pub sample: Sample,
    /// The topics with what their partitions have. Empty: Kafka was not asked.
    pub topics: Vec<(String, Vec<Span>)>,
    /// Of all topics.
    pub partitions: usize,
    /// Topics of the configuration that are not there.
    pub absent: Vec<String>,
}

impl Source {
    /// How many topics have these partitions. 0: the number of partitions is only assumed.
    fn topics_told(&self) -> usize {
        let there: usize = self.topics.iter().map(|(_, spans)| spans.len()).sum();
        if there == self.partitions { self.topics.len() } else { 0 }
    }
}

/// Reads the newest messages of the topics. Joins no group, commits nothing.
///
/// # Errors
/// If Kafka is not reached, refuses, or has no topic.
pub fn read_topics(config: &Config, only: Option<&str>, stop: &Stop) -> Result<Source, Failure> {
    let limit = StartLimit::new(Some(config.run.start_timeout.unwrap_or(REACH_TIMEOUT)));
    let view = probe(&config.kafka, &limit, stop)?;
    let mut source = Source::default();
    let wanted = config.kafka.topics.iter();
    for topic in wanted.filter(|topic| only.is_none_or(|only| only == *topic)) {
        if view.absent.contains(topic) {
            source.absent.push(topic.clone());
            continue;
        }
        let spans = whole(&config.kafka, topic)?;
        source.sample.add_newest(&config.kafka, topic, spans.len())?;
        source.partitions += spans.len();
        source.topics.push((topic.clone(), spans));
    }
    if source.topics.is_empty() {
        let absent = source.absent.join(", ");
        return Err(Failure::new(
            Exit::Unreachable,
            format!("kafka: no such topic: {absent}; create it, or correct kafka.topics"),
        ));
    }
    Ok(source)
}

/// A namespace that the rules write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    /// Records can have a ttl.
    pub has_ttl: bool,
    /// Copies of each record.
    pub copies: u32,
}

/// All that is needed, before anything is written.
pub struct Ready<'r> {
    config: &'r Config,
    options: &'r Options,
    source: &'r Source,
    parts: Vec<Part<'r>>,
    pub made: Made,
    /// All namespaces of the rules, and those that rows of the sample are for.
    names: Vec<String>,
    pub namespaces: Vec<Namespace>,
    scratch: Scratch,
    store: Store,
    counters: Arc<Counters>,
    /// The threads that are as many as the partitions, unless the options allow fewer.
    threads: usize,
}

/// Connects, and refuses what must not be measured. Writes nothing.
///
/// # Errors
/// If the database is not reached, refuses, or is in a state in which it must not get more load; or if the messages make
/// no rows.
pub fn prepare<'r>(
    config: &'r Config,
    mapping: &'r Mapping,
    source: &'r Source,
    options: &'r Options,
    stop: &Stop,
) -> Result<Ready<'r>, Failure> {
    let mut made = Made::default();
    let now_ms = now_ms();
    let mut parts = Vec::new();
    for (topic, messages) in source.sample.parts() {
        if let Some(rules) = mapping.topic(topic) {
            parts.push(Part::new(rules, messages, now_ms, &mut made));
        }
    }
    if made.rows == 0 {
        return Err(Failure::new(Exit::Found, no_rows(&made)));
    }
    if made.sets.keys().any(|(_, set)| set == SET) {
        return Err(Failure::new(
            Exit::Found,
            format!("the rules write to the set {SET}, which is this command's own: give the records another set"),
        ));
    }
    let names = names(mapping);
    let threads = source.partitions.clamp(1, options.threads_max);
    let counters = Arc::new(Counters::new());
    let store = connect(config, &names, options.threads_max, counters.clone(), stop)?;
    // Only those that rows of the sample are for.
    let is_used = |name: &&String| made.sets.keys().any(|(namespace, _)| namespace == *name);
    let used: Vec<String> = names.iter().filter(is_used).cloned().collect();
    let namespaces = look(&store, &used)?;
    let places: Vec<(String, bool)> = namespaces.iter().map(|of| (of.name.clone(), of.has_ttl)).collect();
    let mut scratch = Scratch::new(&places, options.keys);
    made.rules.iter().for_each(|rules| scratch.learn(rules));
    Ok(Ready {
        config,
        options,
        source,
        parts,
        made,
        names,
        namespaces,
        scratch,
        store,
        counters,
        threads,
    })
}

fn no_rows(made: &Made) -> String {
    if made.messages == 0 {
        return "the topics have no messages to measure with: produce some, or name a file with --messages-from (one \
                message per line, as `penstock try` takes them)"
            .to_owned();
    }
    let reasons: Vec<String> = made
        .rejected
        .iter()
        .map(|(reason, count)| format!("{reason} {count}"))
        .collect();
    format!(
        "none of {} messages makes a row (filtered: {}, rejected: {}), so there is nothing to measure; `penstock try` says \
         why",
        made.messages,
        made.filtered,
        if reasons.is_empty() {
            "0".to_owned()
        } else {
            reasons.join(", ")
        }
    )
}

/// What the nodes say of the namespaces. A namespace that is in need gets no more load.
fn look(store: &Store, names: &[String]) -> Result<Vec<Namespace>, Failure> {
    let nodes = store.survey(names).map_err(|why| {
        Failure::new(
            Exit::Unreachable,
            format!("aerospike: the nodes do not tell their state: {why}"),
        )
    })?;
    let mut namespaces = Vec::new();
    for name in names {
        let told: Vec<_> = nodes
            .iter()
            .filter_map(|node| Some((&node.name, node.namespaces.get(name)?.as_ref()?)))
            .collect();
        for (node, settings) in &told {
            for (setting, what) in [
                ("stop_writes", "takes no writes (stop_writes)"),
                ("clock_skew_stop_writes", "takes no writes (clock_skew_stop_writes)"),
                (
                    "hwm_breached",
                    "evicts records because memory or disk is short (hwm_breached), and more records would evict others",
                ),
            ] {
                if settings.is_true(setting) {
                    return Err(Failure::new(
                        Exit::Found,
                        format!("aerospike: the namespace {name} {what} on node {node}: it is not measured"),
                    ));
                }
            }
            if settings.is_true("strong-consistency") && !settings.is_true("strong-consistency-allow-expunge") {
                return Err(Failure::new(
                    Exit::Found,
                    format!(
                        "aerospike: the namespace {name} is strongly consistent and allows no deletes that are not \
                         durable, so its records could not be removed: it is not measured"
                    ),
                ));
            }
        }
        let copies = told.iter().filter_map(|(_, settings)| {
            let effective = settings.number("effective_replication_factor");
            effective.or_else(|| settings.number("replication-factor"))
        });
        namespaces.push(Namespace {
            name: name.clone(),
            has_ttl: !told.is_empty()
                && told
                    .iter()
                    .all(|(_, settings)| settings.number("nsup-period").is_some_and(|period| period > 0)),
            copies: copies.max().and_then(|copies| u32::try_from(copies).ok()).unwrap_or(1),
        });
    }
    Ok(namespaces)
}

/// Deletes what earlier calls have left in these namespaces. Returns how many records that may have been in one of them.
/// `None`: nothing was left.
fn clean_earlier(
    janitor: &Janitor<'_>,
    names: &[String],
    stop: &Stop,
    watch: &dyn Watch,
) -> Result<Option<u32>, Failure> {
    let mut most = None;
    for name in names {
        let Some(mark) = janitor.mark(name)? else {
            continue;
        };
        watch.tell(&format!(
            "an earlier call has left up to {} records in {name}.{SET}: deleting them",
            mark.keys
        ));
        let keys = Keys::new(mark.keys);
        janitor.clean(name, &keys, None, stop, &|done| {
            watch.progress(0, 0, &format!("deleting {done} of {}", mark.keys));
        })?;
        most = most.max(Some(mark.keys));
    }
    Ok(most)
}

/// Only deletes what an earlier call has left. Returns whether there was something.
///
/// # Errors
/// If the database is not reached or refuses.
pub fn clean(config: &Config, mapping: &Mapping, stop: &Stop, watch: &dyn Watch) -> Result<bool, Failure> {
    let counters = Arc::new(Counters::new());
    let names = names(mapping);
    let store = connect(config, &names, 1, counters.clone(), stop)?;
    let pressure = Pressure::new(CLEAN_ROWS, config.run.rows_per_second_max, counters);
    let janitor = Janitor {
        store: &store,
        pressure: &pressure,
    };
    Ok(clean_earlier(&janitor, &names, stop, watch)?.is_some())
}

/// The namespaces that the rules can write to.
fn names(mapping: &Mapping) -> Vec<String> {
    let names: BTreeSet<String> = mapping
        .topics()
        .iter()
        .flat_map(|(_, rules)| rules.namespaces())
        .collect();
    names.into_iter().collect()
}

fn connect(
    config: &Config,
    names: &[String],
    workers: usize,
    counters: Arc<Counters>,
    stop: &Stop,
) -> Result<Store, ConnectError> {
    let options = StoreOptions {
        write_timeout: config.run.write_timeout,
        workers,
        start_timeout: Some(config.run.start_timeout.unwrap_or(REACH_TIMEOUT)),
        namespaces: names.to_vec(),
        whole: true,
    };
    Store::connect(&config.aerospike, &options, counters, stop)
}

/// What was measured.
#[derive(Debug)]
pub struct Report {
    pub facts: Facts,
    pub exit: Exit,
    /// Why it ended early.
    pub stopped: Option<String>,
    /// What may be left in the scratch set.
    pub left: Option<String>,
}

/// Why the steps end early.
enum Ending {
    Stopped,
    Distress(Distress),
    TakenOver,
    Failed(Failure),
}

impl From<StepError> for Ending {
    fn from(error: StepError) -> Ending {
        Ending::Failed(match error {
            StepError::Thread(error) => Failure::new(Exit::Found, format!("cannot start a thread: {error}")),
            StepError::Panic => Failure::new(Exit::Panic, "a thread panicked"),
            StepError::Fatal(fatal) => fatal.into(),
        })
    }
}

impl Ready<'_> {
    /// The limit of rows per second that is kept: the configuration's and the option's.
    pub fn rows_per_s_max(&self) -> Option<u32> {
        let configured = self.config.run.rows_per_second_max;
        configured.into_iter().chain(self.options.rows_per_s_max).min()
    }

    fn configured(&self) -> Settings {
        Settings {
            batch_rows: self.config.run.batch_rows_max,
            threads: self.threads,
            rows_in_flight: self.config.run.rows_in_flight_max,
        }
    }

    /// About how long it takes.
    pub fn lasts(&self) -> Duration {
        self.options.step * u32::try_from(self.steps()).unwrap_or(u32::MAX)
    }

    /// The most threads of a step.
    pub fn threads_max(&self) -> usize {
        self.thread_counts().into_iter().fold(self.threads, usize::max)
    }

    fn steps(&self) -> usize {
        // Rules, warm-up, as configured twice, as recommended; reading.
        let others = 5 + usize::from(!self.source.topics.is_empty());
        others + BATCHES.len() + self.thread_counts().len() + 4
    }

    fn thread_counts(&self) -> Vec<usize> {
        let powers = std::iter::successors(Some(1), |count| Some(count * 2));
        let below = powers.take_while(|count| *count < self.threads);
        let beyond = BEYOND.iter().map(|times| self.threads * times);
        let all = below.chain([self.threads]).chain(beyond);
        all.filter(|count| *count <= self.options.threads_max).collect()
    }

    /// Measures. Empties the scratch set before and afterwards.
    ///
    /// # Errors
    /// If it ends before anything is measured, and nothing is left in the database.
    pub fn measure(&self, stop: &Stop, watch: &dyn Watch) -> Result<Report, Failure> {
        let pressure = Pressure::new(CLEAN_ROWS, self.rows_per_s_max(), self.counters.clone());
        let janitor = Janitor {
            store: &self.store,
            pressure: &pressure,
        };
        let earlier = clean_earlier(&janitor, &self.names, stop, watch)?;
        if stop.requested() {
            return Err(Failure::stopped());
        }
        let mark = Mark {
            // The earlier call may still work for a moment.
            keys: self.options.keys.max(earlier.unwrap_or(0)),
            run: fastrand::i64(1..),
        };
        let mut marked = Vec::new();
        let mut ended = Ok(());
        for Namespace { name, has_ttl, .. } in &self.namespaces {
            let is_set = janitor.set_mark(name, *has_ttl, mark, stop);
            // Without an answer it may be there. If it was refused, nothing was written here.
            if !matches!(is_set, Err(ScratchError::Refused(_) | ScratchError::Fatal(_))) {
                marked.push(name);
            }
            if let Err(error) = is_set {
                ended = Err(Ending::Failed(error.into()));
                break;
            }
        }
        let mut steps = Steps {
            ready: self,
            work: Work {
                parts: &self.parts,
                scratch: &self.scratch,
                batch_bytes_max: self.config.run.batch_bytes_max,
            },
            janitor: &janitor,
            mark,
            // Greater than the offsets of an earlier call, if some of its records are left.
            offset: now_ms(),
            done: 0,
            stop,
            watch,
            facts: Facts {
                messages: self.made.messages,
                partitions: self.source.partitions,
                topics: self.source.topics_told(),
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                configured: self.configured(),
                now: None,
                batches: Vec::new(),
                threads: Vec::new(),
                in_flight: Vec::new(),
                then: None,
                again: None,
                is_read: false,
                reading: None,
                rules_cpu_us: 0.0,
                rows_per_s_max: self.rows_per_s_max(),
            },
        };
        if ended.is_ok() {
            ended = steps.all();
        }
        let facts = steps.facts;
        if let Err(Ending::Distress(distress)) = &ended {
            watch.tell(&format!(
                "{distress}: stopped. Deleting what was written; a second Ctrl-C leaves that to the next call"
            ));
        }
        let left = self.clean_own(&janitor, mark, &marked, watch);
        let (exit, stopped) = match ended {
            Ok(()) => (Exit::Stopped, None),
            Err(Ending::Stopped) => (Exit::Found, Some("stopped before the end".to_owned())),
            Err(Ending::Distress(distress)) => (
                Exit::Found,
                Some(format!("{distress}; stopped at once, to leave it alone")),
            ),
            Err(Ending::TakenOver) => (
                Exit::Found,
                Some(format!(
                    "another penstock bench has begun on this database and uses the set {SET}; these figures are not of \
                     one alone"
                )),
            ),
            Err(Ending::Failed(failure)) => (failure.exit, Some(failure.why)),
        };
        let exit = if left.is_some() {
            exit.or_worse(Exit::Found)
        } else {
            exit
        };
        Ok(Report {
            facts,
            exit,
            stopped,
            left,
        })
    }

    /// Empties the scratch set, whether the stop flag is raised or not. Returns what may be left.
    fn clean_own(&self, janitor: &Janitor<'_>, mark: Mark, marked: &[&String], watch: &dyn Watch) -> Option<String> {
        let keys = Keys::new(mark.keys);
        let mut left = Vec::new();
        for name in marked {
            // A second signal ends the process.
            let cleaned = janitor.clean(name, &keys, Some(mark.run), &Stop::new(), &|done| {
                watch.progress(self.steps(), self.steps(), &format!("deleting {done} of {}", mark.keys));
            });
            if let Err(error) = cleaned {
                let why = Failure::from(error).why;
                left.push(format!(
                    "up to {} records are left in {name}.{SET} ({why}); the next call deletes them, or one with --clean",
                    mark.keys
                ));
            }
        }
        (!left.is_empty()).then(|| left.join("\n"))
    }
}

/// The steps, one after the other.
struct Steps<'s> {
    ready: &'s Ready<'s>,
    work: Work<'s>,
    janitor: &'s Janitor<'s>,
    mark: Mark,
    /// The next message's offset.
    offset: i64,
    /// Steps that are done.
    done: usize,
    stop: &'s Stop,
    watch: &'s dyn Watch,
    facts: Facts,
}

impl Steps<'_> {
    fn all(&mut self) -> Result<(), Ending> {
        let step = self.ready.options.step;
        let configured = self.facts.configured;
        self.reading()?;
        self.rules(step)?;
        // Records are made before they are changed. The service changes records most of the time, too.
        self.run("warming up", configured, step)?;
        self.facts.now = self.run("as configured", configured, step)?;
        self.batches(configured, step)?;
        let batch_rows = recommended(&self.facts).batch_rows;
        self.threads(batch_rows, step)?;
        self.in_flight(batch_rows, step)?;
        let recommended = recommended(&self.facts);
        if recommended != configured {
            self.facts.then = self.run("as recommended", recommended, step)?;
        }
        // The same as at the beginning: does it give the same?
        self.facts.again = self.run("as configured, again", configured, step)?;
        Ok(())
    }

    /// Reading from Kafka alone.
    fn reading(&mut self) -> Result<(), Ending> {
        let topics = &self.ready.source.topics;
        if topics.is_empty() {
            return Ok(());
        }
        self.next("reading from Kafka alone");
        self.facts.is_read = true;
        let of_each = READ_MESSAGES_MAX / i64::try_from(self.facts.partitions.max(1)).unwrap_or(i64::MAX);
        let newest = |span: &Span| Span {
            begin: span.begin.max(span.end - of_each),
            ..*span
        };
        let topics: Vec<(String, Vec<Span>)> = topics
            .iter()
            .map(|(topic, spans)| (topic.clone(), spans.iter().map(newest).collect()))
            .collect();
        let read: Result<Option<ReadingRate>, _> = reading_rate(
            &self.ready.config.kafka,
            &topics,
            self.ready.options.step.min(READ_MAX),
            READ_BYTES_MAX,
            self.stop,
        );
        match read {
            Ok(rate) => self.facts.reading = rate,
            // The rest can be measured without it.
            Err(error) => self
                .watch
                .tell(&format!("kafka: reading alone is not measured: {error}")),
        }
        Ok(())
    }

    /// The CPU time of rules and plan: one thread, and a database that answers at once.
    fn rules(&mut self, step: Duration) -> Result<(), Ending> {
        self.next("rules and plan alone");
        let settings = Settings {
            threads: 1,
            ..self.facts.configured
        };
        let pressure = Pressure::new(settings.batch_rows, None, self.ready.counters.clone());
        let lasts = (step / 2).min(RULES_MAX);
        // The first time only warms up: nothing of the messages is in a cache yet.
        for lasts in [lasts / 4, lasts] {
            let ended = self.work.run(
                &Step {
                    settings,
                    lasts,
                    offset: self.offset,
                    writer: &Nowhere,
                    pressure: &pressure,
                    rows_per_s_max: None,
                },
                self.stop,
            )?;
            self.facts.rules_cpu_us = ended.own_cpu_us;
        }
        Ok(())
    }

    fn batches(&mut self, configured: Settings, step: Duration) -> Result<(), Ending> {
        let mut values: Vec<usize> = BATCHES.into_iter().chain([configured.batch_rows]).collect();
        values.sort_unstable();
        values.dedup();
        for batch_rows in values {
            if self.work.threads_max(batch_rows) < configured.threads {
                break;
            }
            let settings = self.unbound(Settings {
                batch_rows,
                ..configured
            });
            let Some(point) = self.run(&format!("{batch_rows} rows in a batch"), settings, step)? else {
                continue;
            };
            let is_slow = self.is_slow(&point);
            self.facts.batches.push(point);
            if is_slow && batch_rows >= configured.batch_rows {
                break;
            }
        }
        Ok(())
    }

    fn threads(&mut self, batch_rows: usize, step: Duration) -> Result<(), Ending> {
        let configured = self.facts.configured;
        let mut best = 0.0_f64;
        for threads in self.ready.thread_counts() {
            if self.work.threads_max(batch_rows) < threads {
                break;
            }
            let settings = self.unbound(Settings {
                threads,
                batch_rows,
                ..configured
            });
            let Some(point) = self.run(&format!("threads: {threads}"), settings, step)? else {
                continue;
            };
            let gains = point.messages_per_s * ENOUGH > best;
            let is_slow = self.is_slow(&point);
            best = best.max(point.messages_per_s);
            self.facts.threads.push(point);
            // Beyond the partitions it only shows what more partitions would give.
            if is_slow || (threads > configured.threads && !gains) {
                break;
            }
        }
        Ok(())
    }

    fn in_flight(&mut self, batch_rows: usize, step: Duration) -> Result<(), Ending> {
        let configured = self.facts.configured;
        let most = batch_rows * configured.threads;
        let mut values: Vec<usize> = [8, 4, 2, 1]
            .map(|part| most / part)
            .into_iter()
            .chain([configured.rows_in_flight.min(most)])
            .filter(|value| *value >= batch_rows.min(most))
            .collect();
        values.sort_unstable();
        values.dedup();
        for rows_in_flight in values {
            let settings = Settings {
                batch_rows,
                rows_in_flight,
                ..configured
            };
            let Some(point) = self.run(&format!("{rows_in_flight} rows in flight"), settings, step)? else {
                continue;
            };
            self.facts.in_flight.push(point);
        }
        Ok(())
    }

    /// The same settings, with as many rows in flight as all threads can have.
    fn unbound(&self, settings: Settings) -> Settings {
        let most = settings.batch_rows * settings.threads;
        Settings {
            rows_in_flight: settings.rows_in_flight.max(most),
            ..settings
        }
    }

    fn is_slow(&self, point: &Point) -> bool {
        point.call_p99_ms > self.ready.options.latency_max.as_secs_f64() * 1000.0
    }

    fn next(&mut self, what: &str) {
        self.done += 1;
        let of = self.ready.steps().max(self.done);
        self.watch.progress(self.done, of, what);
    }

    /// Runs a step. `None`: nothing was measured in its time.
    fn run(&mut self, what: &str, settings: Settings, lasts: Duration) -> Result<Option<Point>, Ending> {
        if self.stop.requested() {
            return Err(Ending::Stopped);
        }
        self.next(what);
        let pressure = Pressure::new(
            settings.rows_in_flight,
            self.facts.rows_per_s_max,
            self.ready.counters.clone(),
        );
        let writer: &(dyn RowWriter + Sync) = &self.ready.store;
        let step = Step {
            settings,
            lasts,
            offset: self.offset,
            writer,
            pressure: &pressure,
            rows_per_s_max: self.facts.rows_per_s_max,
        };
        let StepEnded {
            point,
            offset,
            distress,
            ..
        } = self.work.run(&step, self.stop)?;
        self.offset = offset;
        if let Some(distress) = distress {
            return Err(Ending::Distress(distress));
        }
        if self.stop.requested() {
            return Err(Ending::Stopped);
        }
        for namespace in &self.ready.namespaces {
            let mark = self.janitor.mark(&namespace.name);
            let mark = mark.map_err(|error| Ending::Failed(error.into()))?;
            if mark != Some(self.mark) {
                return Err(Ending::TakenOver);
            }
        }
        Ok(point)
    }
}
