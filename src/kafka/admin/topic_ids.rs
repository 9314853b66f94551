//! Topic ids. They distinguish a topic from an earlier one with the same name.
//!
//! Kafka gives each topic an id when it is created. The name and the offsets do not show that a topic was deleted and
//! created again. `rdkafka` has no call for ids, so they are read with librdkafka's `DescribeTopics`, by a separate
//! client: one request for all topics, for everybody who needs an id. None of it goes through the group's consumer.
//!
//! Called by workers before their first batch, and by a thread that reads the ids at intervals. Does not decide what
//! happens if a topic was created again.

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use log::{debug, warn};
use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupMemberInfo;

use crate::config::model::Kafka;
use crate::kafka::admin::advertised;
use crate::kafka::admin::describe_topics::{Answer, Found, request, verdict, wait};
use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::client::{LogContext, leave_behind, serve};
use crate::kafka::connection_config;
use crate::kafka::login::Login;
use crate::util::seconds::Seconds;
use crate::util::start_limit::StartLimit;
use crate::util::stop::{Stop, StopKind};
use crate::util::throttle::Throttle;

/// Time-out of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time-out of one attempt to find a broker that can be asked.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause between a failed request and the next one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often waiting code checks the stop flag.
const GLANCE: Duration = Duration::from_millis(50);
/// A warning is logged if an id takes longer than this.
const WARN_AFTER: Duration = Duration::from_secs(1);
/// Interval at which the thread reads the ids. A topic that was created again can stay unnoticed for this long.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// How many replaced ids per topic are remembered.
const FORMER_MAX: usize = 16;

/// Why there is no id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    Stopped,
    /// Kafka does not allow us to describe the topic.
    Refused(String),
    /// Not answered within `run.start_timeout`.
    TooLate(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Stopped => f.write_str("stopped while reading a topic's id"),
            ReadError::Refused(why) => write!(f, "kafka refuses to describe the topic: {why}"),
            ReadError::TooLate(why) => {
                write!(f, "kafka gave no topic's id within run.start_timeout: {why}")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// The ids of the service's topics, shared by all who need them.
pub struct TopicIds {
    topics: Vec<Arc<str>>,
    names: Vec<CString>,
    /// `None` only while this is being dropped.
    client: Option<BaseConsumer<LogContext>>,
    /// The client's login, if it can change.
    login: Option<Login>,
    /// The broker that is asked. The same one as long as it answers, so that answers do not contradict each other.
    broker: Mutex<Option<i32>>,
    /// A broker that is known to answer.
    preferred: OnceLock<i32>,
    /// How often a broker was chosen in turn because none was known to answer.
    turns: AtomicUsize,
    cluster_id: OnceLock<String>,
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Default)]
struct State {
    /// Some thread is asking the broker, on behalf of all.
    asking: bool,
    /// After a failure: no request before this time.
    next_request: Option<Instant>,
    topics: HashMap<Arc<str>, Known>,
    lines: Throttle,
    /// The broker gives no ids. Logged once.
    told_none: bool,
}

#[derive(Default)]
struct Known {
    /// The id, and when the request that returned it began.
    id: Option<(TopicId, Instant)>,
    /// The failure of the last request, and when that request began.
    failure: Option<(Found, Instant)>,
    /// Ids that were replaced. They never come back, but a broker that has not heard of the change may still return
    /// one.
    former: Vec<TopicId>,
}

impl fmt::Debug for TopicIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicIds")
            .field("topics", &self.topics)
            .finish_non_exhaustive()
    }
}

impl TopicIds {
    /// Connects when first asked.
    ///
    /// # Errors
    /// If librdkafka refuses the settings.
    pub fn new(kafka: &Kafka) -> Result<Self, KafkaError> {
        let mut config = connection_config(kafka);
        // For `topic_ends`: the end of a log, whatever transactions are open in it.
        config.set("isolation.level", "read_uncommitted");
        let client = config.create_with_context(LogContext::AtDebug)?;
        let topics: Vec<Arc<str>> = kafka.topics.iter().map(|topic| topic.as_str().into()).collect();
        Ok(TopicIds {
            names: topics.iter().filter_map(|topic| CString::new(&**topic).ok()).collect(),
            topics,
            client: Some(client),
            login: Login::of("topic ids", &config, &kafka.consumer_login),
            broker: Mutex::default(),
            preferred: OnceLock::new(),
            turns: AtomicUsize::new(0),
            cluster_id: OnceLock::new(),
            state: Mutex::default(),
            answered: Condvar::new(),
        })
    }

    /// Names a broker that is known to answer. Must be called at most once.
    pub fn prefer(&self, broker: i32) {
        let _ = self.preferred.set(broker);
    }

    /// The id of the topic, from a broker's answer to a request that began at `since` or later. Retries until there is
    /// an answer or the stop flag is raised.
    ///
    /// # Errors
    /// See [`ReadError`]; never `TooLate`.
    /// See [`ReadError`]; never `TooLate`.
    pub fn read(&self, topic: &str, since: Instant, stop: &Stop) -> Result<TopicId, ReadError> {
        self.read_within(topic, since, &StartLimit::none(), stop)
    }

    /// The same, within the time limit of the start.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read_within(
        &self,
        topic: &str,
        since: Instant,
        limit: &StartLimit,
        stop: &Stop,
    ) -> Result<TopicId, ReadError> {
        let started = Instant::now();
        let mut state = self.state.lock();
        loop {
            if stop.requested() {
                return Err(ReadError::Stopped);
            }
            let mut why = None;
            if let Some(known) = state.topics.get(topic) {
                if let Some((id, _)) = known.id.filter(|(_, at)| *at >= since) {
                    return Ok(id);
                }
                match &known.failure {
                    Some((Found::Refused(why), at)) if *at >= since => return Err(ReadError::Refused(why.clone())),
                    Some((Found::NotYet(reason), _)) => why = Some(reason.clone()),
                    Some((Found::Absent, _)) => why = Some("there is no such topic".to_owned()),
                    _ => {}
                }
            }
            if let Some(why) = &why
                && limit.is_over()
            {
                return Err(ReadError::TooLate(why.clone()));
            }
            if let Some(why) = why
                && started.elapsed() >= WARN_AFTER
                && let Some(repeated) = state.lines.pass()
            {
                warn!(
                    "kafka: waiting for the topic's id; the topic is not read until then topic={topic} waited={} \
                     reason=\"{why}\"{repeated}",
                    Seconds(started.elapsed())
                );
            }
            // A topic that does not exist must not block the others.
            let failed = state.topics.get(topic).is_none_or(|known| known.failure.is_some());
            let paused = failed && state.next_request.is_some_and(|at| Instant::now() < at);
            if state.asking || paused {
                self.answered.wait_for(&mut state, GLANCE);
            } else {
                state.asking = true;
                drop(state);
                self.ask(limit, stop);
                state = self.state.lock();
            }
        }
    }

    /// The id of the topic when it was last read; `None` before that.
    pub fn known(&self, topic: &str) -> Option<TopicId> {
        let state = self.state.lock();
        state.topics.get(topic).and_then(|known| known.id).map(|(id, _)| id)
    }

    /// A topic whose id has changed since it was first read: its name, its current id and the previous one.
    pub fn changed(&self) -> Option<(Arc<str>, TopicId, TopicId)> {
        let state = self.state.lock();
        state
            .topics
            .iter()
            .find_map(|(topic, known)| Some((topic.clone(), known.id?.0, *known.former.last()?)))
    }

    /// Topics that did not exist at the last answer.
    pub fn absent(&self) -> Vec<Arc<str>> {
        let state = self.state.lock();
        let is_absent = |known: &Known| matches!(known.failure, Some((Found::Absent, _)));
        let absent = state.topics.iter().filter(|(_, known)| is_absent(known));
        let mut absent: Vec<Arc<str>> = absent.map(|(topic, _)| topic.clone()).collect();
        absent.sort();
        absent
    }

    /// The members of a group, each as client and host; `None` if the brokers do not tell. Blocks for at most some
    /// seconds.
    pub fn group_members(&self, group: &str) -> Option<Vec<String>> {
        let client = self.client.as_ref()?;
        let list = client.client().fetch_group_list(Some(group), REQUEST_TIMEOUT).ok()?;
        let found = list.groups().iter().find(|found| found.name() == group)?;
        // This request does not return groups with the next generation's protocol.
        let is_told = !["", "Dead"].contains(&found.state());
        let member = |member: &GroupMemberInfo| format!("{} at {}", member.client_id(), member.client_host());
        is_told.then(|| found.members().iter().map(member).collect())
    }

    /// The cluster's id, known after the first answer about topics. `None` if the broker gives none.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.get().map(String::as_str)
    }

    /// The client, for other questions. `None` only while this is being dropped.
    pub(super) fn client(&self) -> Option<&BaseConsumer<LogContext>> {
        self.client.as_ref()
    }

    /// What a broker says now about a topic that need not be one of the service's. Nothing is remembered of it.
    pub(super) fn describe_other(&self, topic: &str, timeout: Duration, stop: &Stop) -> Found {
        let not_yet = |why: &str| Found::NotYet(why.to_owned());
        let (Some(client), Ok(name)) = (&self.client, CString::new(topic)) else {
            return not_yet("the client is closed");
        };
        match self.describe(client, &[name], &StartLimit::new(Some(timeout)), stop) {
            Answer::Topics(found) => match found.get(topic) {
                Some(described) => described.found.clone(),
                None => not_yet("the topic is not in the broker's answer"),
            },
            Answer::Failure(code) => verdict(code),
            Answer::Stopped => not_yet("stopped"),
        }
    }

    /// Starts the thread that reads the ids again every [`LOOK_INTERVAL`], for [`TopicIds::known`].
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn look_on(ids: Arc<TopicIds>) -> std::io::Result<Looking> {
        let stop = Stop::new();
        let thread = {
            let stop = stop.clone();
            thread::Builder::new().name("topic-ids".into()).spawn(move || {
                while !stop.wait(LOOK_INTERVAL) {
                    ids.refresh(&stop);
                }
            })?
        };
        Ok(Looking {
            stop,
            thread: Some(thread),
        })
    }

    /// Sends one request, unless another thread is asking. Failures are retried at the next call.
    fn refresh(&self, stop: &Stop) {
        let mut state = self.state.lock();
        if !state.asking {
            state.asking = true;
            drop(state);
            self.ask(&StartLimit::none(), stop);
        }
    }

    /// Sends one request and stores its answer for everybody. The caller has set `asking`.
    fn ask(&self, limit: &StartLimit, stop: &Stop) {
        // Resets `asking` even after a panic. Otherwise everybody would wait for ever.
        let _asking = Asking(self);
        let began = Instant::now();
        let Some(found) = self.request(limit, stop) else {
            return;
        };
        let mut state = self.state.lock();
        let mut failed = false;
        for (topic, found) in self.topics.iter().zip(found) {
            failed |= !matches!(found, Found::Id(_));
            if matches!(found, Found::Id(TopicId::NONE)) && !state.told_none {
                state.told_none = true;
                warn!(
                    "kafka: the brokers give no topic ids: a topic that was deleted and created again is not recognised"
                );
            }
            state.topics.entry(topic.clone()).or_default().take(topic, found, began);
        }
        state.next_request = failed.then(|| Instant::now() + PAUSE);
    }

    /// A broker's answer for each topic, in the order of `topics`; `None` if the stop flag was raised.
    fn request(&self, limit: &StartLimit, stop: &Stop) -> Option<Vec<Found>> {
        let client = self.client.as_ref()?;
        let answer = self.describe(client, &self.names, limit, stop);
        // The client's log lines and errors wait in a queue. Only this call empties it.
        let events = serve(client);
        if let Some(login) = &self.login {
            events
                .iter()
                .filter_map(|event| event.as_ref().err())
                .for_each(|error| login.hear(error));
            // SAFETY: the client is alive.
            unsafe { login.renew(client.client().native_ptr()) };
        }
        let found = match answer {
            Answer::Topics(found) => found,
            Answer::Failure(code) => {
                let found = match verdict(code) {
                    Found::NotYet(code) => Found::NotYet(self.why(client, limit, stop).unwrap_or(code)),
                    found => found,
                };
                return Some(vec![found; self.topics.len()]);
            }
            Answer::Stopped => return None,
        };
        let of = |topic: &Arc<str>| match found.get(&**topic) {
            Some(described) => described.found.clone(),
            None => Found::NotYet("the topic is not in the broker's answer".into()),
        };
        Some(self.topics.iter().map(of).collect())
    }

    /// Which brokers do not answer at the addresses that they announce, if that is the reason.
    fn why(&self, client: &BaseConsumer<LogContext>, limit: &StartLimit, stop: &Stop) -> Option<String> {
        let topic = self.topics.first()?;
        advertised::why(client, &[topic], limit, stop)
    }

    fn describe(
        &self,
        client: &BaseConsumer<LogContext>,
        names: &[CString],
        limit: &StartLimit,
        stop: &Stop,
    ) -> Answer {
        let known = *self.broker.lock();
        // While no broker is connected, this question fails. The next one would make librdkafka connect again and again
        // without a pause, until it times out (`rdkafka_broker.c`, `rd_kafka_broker_find_by_nodeid0_fl`).
        let asked = self.any_broker(client);
        let broker = match asked.map(|any| known.unwrap_or(any)) {
            Ok(broker) => broker,
            Err(error) => return Answer::Failure(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        let timeout = limit.bound(REQUEST_TIMEOUT);
        let answer = match request(client, names, broker, timeout, false) {
            Ok(queue) => wait(&queue, timeout, stop),
            Err(code) => Answer::Failure(code),
        };
        if matches!(answer, Answer::Topics(_))
            && self.cluster_id.get().is_none()
            && let Some(id) = client.client().fetch_cluster_id(CONNECT_TIMEOUT)
        {
            let _ = self.cluster_id.set(id);
        }
        *self.broker.lock() = match answer {
            Answer::Failure(_) => None,
            Answer::Topics(_) | Answer::Stopped => Some(broker),
        };
        answer
    }

    /// A broker that answers. Without a broker, librdkafka would ask the controller, which may not be reachable. A
    /// configured address has no broker number until the broker has been identified. Then each broker is tried in turn.
    fn any_broker(&self, client: &BaseConsumer<LogContext>) -> Result<i32, KafkaError> {
        let topic = self.topics.first().map(|topic| &**topic);
        let metadata = client.fetch_metadata(topic, CONNECT_TIMEOUT)?;
        let brokers = metadata.brokers();
        if metadata.orig_broker_id() >= 0 || brokers.is_empty() {
            return Ok(metadata.orig_broker_id());
        }
        let turn = self.turns.fetch_add(1, Relaxed);
        let preferred = self.preferred.get().filter(|_| turn == 0).copied();
        let preferred = preferred.filter(|id| brokers.iter().any(|broker| broker.id() == *id));
        Ok(preferred.unwrap_or(brokers[turn % brokers.len()].id()))
    }
}

impl Drop for TopicIds {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            leave_behind(client, "topic-ids");
        }
    }
}

struct Asking<'a>(&'a TopicIds);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.state.lock().asking = false;
        self.0.answered.notify_all();
    }
}

impl Known {
    /// Stores the result of a request that began at `began`.
    fn take(&mut self, topic: &str, found: Found, began: Instant) {
        match found {
            Found::Id(id) if self.former.contains(&id) => {
                let why = format!("a broker still names the id {id}, which was replaced");
                self.failure = Some((Found::NotYet(why), began));
            }
            // From a broker with an older version than others.
            Found::Id(TopicId::NONE) if self.id.is_some_and(|(id, _)| !id.is_none()) => {
                self.id = self.id.map(|(id, _)| (id, began));
                self.failure = None;
            }
            Found::Id(id) => {
                if let Some((before, _)) = self.id
                    && !before.is_none()
                    && before != id
                {
                    debug!("kafka: the topic has another id topic={topic} id={id} was={before}");
                    if self.former.len() == FORMER_MAX {
                        self.former.remove(0);
                    }
                    self.former.push(before);
                }
                self.id = Some((id, began));
                self.failure = None;
            }
            failure => self.failure = Some((failure, began)),
        }
    }
}

/// The thread that reads the ids. It ends when this is dropped.
#[derive(Debug)]
pub struct Looking {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Looking {
    /// Tells the thread to end, without waiting for it.
    pub fn request_stop(&self) {
        self.stop.request(StopKind::Abandon);
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.request_stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("kafka: the thread that looks for topics created again had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_replaced_is_not_believed_again() {
        let (first, second) = (TopicId::from_halves(1, 1), TopicId::from_halves(2, 2));
        let mut known = Known::default();
        let now = Instant::now();
        for id in [first, second, first] {
            known.take("t", Found::Id(id), now);
        }
        assert_eq!(known.id, Some((second, now)));
        assert!(matches!(known.failure, Some((Found::NotYet(_), _))));
        known.take("t", Found::Id(second), now);
        assert_eq!(known.failure, None);
    }
}
