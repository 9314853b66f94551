//! A configuration for a test, and the service on a thread, as the binary runs it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use penstock::config;
use penstock::observe::counters::Counters;
use penstock::observe::seen::Seen;
use penstock::partition::hooks::Hooks;
use penstock::rules::code::Processors;
use penstock::rules::mapping::Mapping;
use penstock::service::supervisor;
use penstock::util::exit::Exit;
use penstock::util::stop::{Stop, StopKind};
use penstock::web;
use penstock::web::about::about;
use penstock::web::server::{Limits, Running, Server};
use tempfile::NamedTempFile;

use super::database::Target;
use super::kafka::{Kafka, Topic};
use super::lines::Lines;
use super::process::file;
use super::provoke::Provoked;
use super::stream::ROUTES;
use super::{unique, wait_until};

/// A configuration's text in parts. Parts that a test does not set have values that suit tests.
#[derive(Clone)]
pub struct Setup {
    pub brokers: String,
    pub topic: String,
    /// More topics to read.
    pub more_topics: Vec<String>,
    pub group: String,
    pub target: Target,
    /// More lines of `[kafka]`.
    pub kafka: String,
    pub commit_interval: &'static str,
    /// More lines of `[run]`.
    pub run: String,
    /// `kafka.start`.
    pub start: &'static str,
    /// More lines of `[kafka.consumer]`.
    pub consumer: String,
    /// More lines of `[aerospike]`.
    pub aerospike: String,
    pub routes: String,
}

impl Setup {
    pub fn new(kafka: &Kafka, topic: &Topic, target: impl Into<Target>) -> Setup {
        Setup {
            brokers: kafka.brokers.clone(),
            topic: topic.name.clone(),
            more_topics: Vec::new(),
            group: unique("group"),
            target: target.into(),
            kafka: String::new(),
            // Commits are frequent, so that tests can wait for them.
            commit_interval: "50ms",
            run: "batch_rows_max = 40\nwrite_timeout = \"300ms\"\n".into(),
            // After a member has left, the mock broker lets a group be joined again after this time minus a second.
            start: "earliest",
            consumer: "session.timeout.ms = 3000\nheartbeat.interval.ms = 300".into(),
            aerospike: String::new(),
            routes: ROUTES.into(),
        }
    }

    pub fn run(mut self, lines: &str) -> Setup {
        self.run = lines.into();
        self
    }

    pub fn kafka(mut self, lines: &str) -> Setup {
        self.kafka = lines.into();
        self
    }

    pub fn consumer(mut self, lines: &str) -> Setup {
        self.consumer = lines.into();
        self
    }

    pub fn aerospike(mut self, lines: &str) -> Setup {
        self.aerospike = lines.into();
        self
    }

    pub fn routes(mut self, routes: &str) -> Setup {
        self.routes = routes.into();
        self
    }

    /// The configuration in a file, which is deleted when this is dropped.
    pub fn file(&self) -> NamedTempFile {
        file(&self.text())
    }

    pub fn text(&self) -> String {
        let Setup {
            brokers,
            topic,
            more_topics,
            group,
            target,
            kafka,
            commit_interval,
            run,
            start,
            consumer,
            aerospike,
            routes,
        } = self;
        let topics: Vec<String> = [topic]
            .into_iter()
            .chain(more_topics)
            .map(|topic| format!("\"{topic}\""))
            .collect();
        let topics = topics.join(", ");
        let (target, routes) = (target.lines(), target.routes(routes));
        format!(
            "[run]\ncommit_interval = \"{commit_interval}\"\n{run}\n\
             [kafka]\nbrokers = \"{brokers}\"\ntopics = [{topics}]\ngroup = \"{group}\"\nstart = \"{start}\"\n{kafka}\n\
             [kafka.consumer]\n{consumer}\n\
             [aerospike]\n{target}\n{aerospike}\n{routes}"
        )
    }
}

/// The service on a thread, running as in the binary.
pub struct Service {
    pub counters: Arc<Counters>,
    /// What it shows of itself, the counters among it.
    pub seen: Seen,
    /// Faults that a test can trigger in it.
    pub provoke: Provoked,
    stop: Stop,
    thread: Option<JoinHandle<Exit>>,
}

impl Service {
    pub fn start(setup: &Setup) -> Service {
        Self::start_with(setup, None)
    }

    /// The same, with rules in code if given.
    pub fn start_with(setup: &Setup, processors: Option<Processors>) -> Service {
        Lines::gather();
        let config = config::parse(&setup.text(), "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
        let seen = Seen::new(about(&config));
        let stop = Stop::new();
        let provoke = Provoked::default();
        let processors = processors.unwrap_or_else(|| Mapping::compile(&config).unwrap().into());
        let thread = {
            let (seen, stop) = (seen.clone(), stop.clone());
            let hooks: Arc<dyn Hooks> = Arc::new(provoke.clone());
            thread::Builder::new()
                .name("service".into())
                .spawn(move || supervisor::run_hooked(&config, &processors, &stop, &seen, &hooks))
        };
        Service {
            counters: seen.counters.clone(),
            seen,
            provoke,
            stop,
            thread: Some(thread.unwrap()),
        }
    }

    /// Runs it until the topic's ends are committed, and stops it. Fails unless it ends normally, with all messages
    /// accounted for.
    pub fn run_to_the_ends_of(topic: &Topic, setup: &Setup) -> Ended {
        let service = Service::start(setup);
        topic.wait_committed(&setup.group, &topic.ends());
        let ended = service.stop();
        ended.assert(Exit::Stopped);
        ended
    }

    /// Its HTTP endpoints, at a free port.
    pub fn endpoints(&self) -> Running {
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Limits::default()).unwrap();
        web::serve(server, &self.seen).unwrap()
    }

    /// Waits until this many messages are written or dropped.
    pub fn wait_finished(&self, messages: u64) {
        self.wait_for("messages to be finished", |counters| {
            counters.messages_written.get() + counters.messages_dropped.get() >= messages
        });
    }

    /// Waits until this many messages are written.
    pub fn wait_written(&self, messages: u64) {
        self.wait_for("messages to be written", |counters| {
            counters.messages_written.get() >= messages
        });
    }

    /// Waits for a condition on the counters while the service runs.
    pub fn wait_for(&self, what: &str, reached: impl Fn(&Counters) -> bool) {
        wait_until(
            what,
            || {
                let (running, reached) = (self.is_running(), reached(&self.counters));
                let state = summary(&self.counters);
                assert!(running || reached, "the service ended; waited for {what}: {state}");
                (reached, state)
            },
            |(reached, _)| *reached,
        );
    }

    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Requests a stop, and does not wait for the end.
    pub fn request_stop(&self) {
        self.stop.request(StopKind::Drain);
    }

    /// Stops it, and waits for its end.
    pub fn stop(self) -> Ended {
        self.request_stop();
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let thread = self.thread.take().unwrap();
        wait_until("the service to end", || thread.is_finished(), |finished| *finished);
        Ended {
            exit: thread.join().expect("the service panicked"),
            counters: self.counters.clone(),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.request_stop();
    }
}

/// A service that has ended.
pub struct Ended {
    pub exit: Exit,
    pub counters: Arc<Counters>,
}

impl Ended {
    /// Fails unless it ended with this code and without stray messages, and every consumed message is accounted for.
    pub fn assert(&self, exit: Exit) -> &Ended {
        self.assert_no_stray().assert_accounted(exit)
    }

    /// The same for tests that provoke stray messages.
    pub fn assert_accounted(&self, exit: Exit) -> &Ended {
        assert_eq!(self.exit, exit, "{}", summary(&self.counters));
        let counters = &self.counters;
        let accounted = counters.messages_written.get()
            + counters.messages_filtered.get()
            + counters.messages_dead_lettered.get()
            + counters.messages_dropped.get()
            + counters.messages_held.get()
            + counters.messages_returned.get();
        assert_eq!(
            counters.messages_consumed.get(),
            accounted,
            "consumed and accounted for: {}",
            summary(counters)
        );
        let rejected =
            counters.messages_dead_lettered.get() + counters.messages_dropped.get() + counters.messages_held.get();
        assert_eq!(counters.messages_rejected.get(), rejected, "{}", summary(counters));
        assert_eq!(counters.messages_in_hand.get(), 0, "in hand: {}", summary(counters));
        self
    }

    /// Fails if a message came from outside of its partition's queue.
    pub fn assert_no_stray(&self) -> &Ended {
        assert_eq!(self.counters.messages_stray.get(), 0, "{}", summary(&self.counters));
        self
    }
}

/// The counters of messages and rows, on one line.
pub fn summary(counters: &Counters) -> String {
    format!(
        "consumed={} written={} filtered={} dead_lettered={} dropped={} held={} returned={} in_hand={} stray={} rows_sent={} rows_written={} rows_retried={} \
         batches={} rebalances={} partitions={} lag={} commit_errors={} offsets_lost={}",
        counters.messages_consumed.get(),
        counters.messages_written.get(),
        counters.messages_filtered.get(),
        counters.messages_dead_lettered.get(),
        counters.messages_dropped.get(),
        counters.messages_held.get(),
        counters.messages_returned.get(),
        counters.messages_in_hand.get(),
        counters.messages_stray.get(),
        counters.rows_sent.get(),
        counters.rows_written.get(),
        counters.rows_retried.get(),
        counters.batches.get(),
        counters.rebalances.get(),
        counters.partitions_assigned.get(),
        counters.consumer_lag.get(),
        counters.commit_errors.get(),
        counters.offsets_lost.get(),
    )
}
