//! `penstock check --connect`: asks Kafka and Aerospike what would go wrong.
//!
//! It only asks: it joins no group, and commits, produces and writes nothing. What only a write can show is listed as
//! open.

mod counted;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use super::terminal::{Colours, Kind, finding};
use crate::aerospike::info::{Access, NodeInfo, Settings};
use crate::aerospike::{ConnectError, Store, StoreOptions};
use crate::config::model::{Action, BelowLog, BeyondLog, Config, RejectAction, Tombstone, Ttl, TtlPast, Write};
use crate::delivery::guard::{Guard, GuardIdentity};
use crate::kafka::admin::newest::{Span, spans};
use crate::kafka::admin::probe::ProbeError;
use crate::kafka::admin::rights::Right;
use crate::kafka::admin::survey::{KafkaSurvey, PartitionSurvey, TopicState, survey};
use crate::kafka::admin::topic_id::TopicId;
use crate::observe::counters::Counters;
use crate::output::Output;
use crate::processor::Processor;
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;
use crate::util::stop::Stop;

/// How long to wait for Kafka and for Aerospike if `run.start_timeout` is not set.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
/// A larger difference between clocks makes ttls wrong by an amount that people notice.
const SKEW_MAX_S: i64 = 2;
/// The lowest major version that supports batch writes.
const BUILD_MIN: u32 = 6;
/// About Kafka's default for `message.max.bytes`.
const MESSAGE_BYTES: i64 = 1 << 20;
/// At most this many partitions are sampled: their next message is read.
const LOOKED_AT_MAX: usize = 32;

/// Asks Kafka and Aerospike, prints the findings, and returns the exit code. `warnings`: the number of warnings that
/// were already printed for the configuration alone.
pub(super) fn connect(config: &Config, warnings: usize) -> Exit {
    let mapping = match Mapping::compile(config) {
        Ok(mapping) => mapping,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "{error}");
            return Exit::Panic;
        }
    };
    let mut report = Report {
        colours: Colours::of_stdout(),
        exit: Exit::Stopped,
        counts: [0, warnings, 0],
    };
    let writes: Vec<&Write> = config.routes.iter().flat_map(|route| &route.writes).collect();
    let timeout = config.run.start_timeout.unwrap_or(REACH_TIMEOUT);
    let kafka = kafka(config, &mapping, timeout, &mut report);
    // Also if no rule writes: the service connects to it at the start.
    let store = aerospike(config, &writes, timeout, &mut report);
    if let (Some(kafka), Some(store)) = (&kafka, &store) {
        applied(config, &mapping, kafka, store, &mut report);
        counted::counted(config, &mapping, kafka, store, &mut report);
    }
    report.end()
}

/// The findings. Each is printed at once.
struct Report {
    colours: Colours,
    exit: Exit,
    /// Number of ok lines, warnings and errors.
    counts: [usize; 3],
}

impl Report {
    fn tell(&mut self, kind: Kind, thing: &str, found: &str, cure: &str) {
        self.counts[kind as usize] += 1;
        let _ = io::stdout()
            .lock()
            .write_all(finding(self.colours, kind, thing, found, cure).as_bytes());
    }

    fn ok(&mut self, thing: &str, found: &str) {
        self.tell(Kind::Ok, thing, found, "");
    }

    fn warning(&mut self, thing: &str, found: &str, cure: &str) {
        self.tell(Kind::Warning, thing, found, cure);
    }

    fn error(&mut self, thing: &str, found: &str, cure: &str) {
        self.fatal(Exit::Found, thing, found, cure);
    }

    /// Reports an error with its own exit code.
    fn fatal(&mut self, exit: Exit, thing: &str, found: &str, cure: &str) {
        self.exit = self.exit.or_worse(exit);
        self.tell(Kind::Error, thing, found, cure);
    }

    fn end(self) -> Exit {
        let [ok, warnings, errors] = self.counts;
        let _ = writeln!(
            io::stdout().lock(),
            "{errors} error(s), {warnings} warning(s), {ok} ok; nothing was written, no group was joined. Only the first write \
             shows for certain whether writing is granted"
        );
        self.exit
    }
}

// ---- Kafka

fn kafka(config: &Config, mapping: &Mapping, timeout: Duration, report: &mut Report) -> Option<KafkaSurvey> {
    let kafka = &config.kafka;
    let produced = config.produced_topics();
    let found = match survey(kafka, &produced, timeout) {
        Ok(found) => found,
        Err(error) => {
            let (exit, found, cure) = match error {
                ProbeError::Credentials(why) => (
                    Exit::Credentials,
                    format!("access is refused: {why}"),
                    "correct the user, the password or the user's rights",
                ),
                ProbeError::Configuration(why) => (Exit::Configuration, why, "correct [kafka.properties]"),
                ProbeError::Listener(complaint) => {
                    let (exit, found) = match complaint.exit {
                        Some(exit) => (exit, complaint.found),
                        // It may still answer later.
                        None => (
                            Exit::Unreachable,
                            format!("not reached within {timeout:?}: {}", complaint.found),
                        ),
                    };
                    report.fatal(exit, "kafka", &found, &complaint.cure);
                    return None;
                }
                ProbeError::Unreachable(why) => (
                    Exit::Unreachable,
                    format!("not reached within {timeout:?}: {why}"),
                    "start it, or correct kafka.brokers and [kafka.properties]",
                ),
                ProbeError::Advertised(_) | ProbeError::Stopped => return None,
            };
            report.fatal(exit, "kafka", &found, cure);
            return None;
        }
    };
    report.ok("kafka", &format!("reached, brokers: {}", found.brokers));
    for unreached in &found.unreached {
        let follows = match (found.unreached.len() == found.brokers, unreached.leads.as_str()) {
            (true, _) => "nothing is read or produced".to_owned(),
            (false, "") => "it leads none of the topics; a group that it coordinates cannot be joined".to_owned(),
            (false, leads) => format!("nothing is read of, or produced to, {leads}"),
        };
        report.fatal(Exit::Unreachable, "kafka", &unreached.to_string(), &follows);
    }
    let dead_letters = match &config.reject.action {
        RejectAction::DeadLetter { topic, .. } => Some(topic.as_str()),
        RejectAction::Hold | RejectAction::Stop | RejectAction::Drop => None,
    };
    for (number, topic) in found.topics.iter().enumerate() {
        let thing = format!("kafka topic {}", topic.name);
        let is_consumed = number < kafka.topics.len();
        let is_dead = dead_letters == Some(topic.name.as_str());
        match &topic.state {
            TopicState::Present(partitions) => {
                let needed = if is_consumed { Right::Read } else { Right::Write };
                match &topic.rights {
                    Some(rights) if !rights.contains(&needed) => report.fatal(
                        Exit::Credentials,
                        &thing,
                        &format!("the user has no {needed} on it"),
                        "grant it",
                    ),
                    Some(rights) if is_dead && !rights.contains(&Right::Read) => report.warning(
                        &thing,
                        "the user has no READ on it: after a crash, messages that have dead letters already are processed \
                         again",
                        "grant it",
                    ),
                    Some(_) if is_dead => report.ok(
                        &thing,
                        &format!("partitions: {}, WRITE and READ are granted", partitions.len()),
                    ),
                    Some(_) => report.ok(
                        &thing,
                        &format!("partitions: {}, {needed} is granted", partitions.len()),
                    ),
                    None => report.ok(
                        &thing,
                        &format!(
                            "partitions: {}; the brokers do not tell whether {needed} is granted",
                            partitions.len()
                        ),
                    ),
                }
                if is_dead && let Some(retention) = topic.retention.as_ref().filter(|each| each.is_of_own_time()) {
                    report.warning(
                        &thing,
                        &format!(
                            "message.timestamp.type is CreateTime, so retention.ms, {}, counts from the time of the \
                             rejected message: Kafka soon deletes the letters of old messages",
                            retention.ms
                        ),
                        &format!(
                            "kafka-configs.sh --alter --topic {} --add-config message.timestamp.type=LogAppendTime",
                            topic.name
                        ),
                    );
                }
            }
            TopicState::Absent if is_consumed => report.error(
                &thing,
                "there is no such topic, or the user may not see it: nothing of it will be read",
                "create it, or correct kafka.topics",
            ),
            TopicState::Absent => report.error(
                &thing,
                "there is no such topic, or the user may not see it: partitions with messages for it will wait",
                "create it, or correct its name",
            ),
            TopicState::Refused => report.fatal(
                Exit::Credentials,
                &thing,
                "the user may not see it",
                if is_consumed {
                    "grant READ on it"
                } else {
                    "grant WRITE on it"
                },
            ),
            TopicState::Failed(why) => report.error(&thing, why, "look at the brokers"),
        }
    }
    // No broker answered, so there is nothing to report.
    if found.topics.is_empty() {
        return None;
    }
    group(config, mapping, &found, report);
    Some(found)
}

fn group(config: &Config, mapping: &Mapping, found: &KafkaSurvey, report: &mut Report) {
    let thing = format!("kafka group {}", config.kafka.group);
    match &found.group.rights {
        Some(rights) if !rights.contains(&Right::Read) => {
            report.fatal(Exit::Credentials, &thing, "the user has no READ on it", "grant it");
        }
        Some(_) => report.ok(&thing, "READ is granted"),
        None => {}
    }
    if let Some(why) = &found.group.failure {
        let exit = if found.group.is_refused {
            Exit::Credentials
        } else {
            Exit::Found
        };
        let cure = "grant READ on the group and the topics, or look at the brokers";
        report.fatal(exit, &thing, &format!("its offsets cannot be read: {why}"), cure);
        return;
    }
    let begun = found.partitions.iter().filter(|each| each.committed.is_some()).count();
    let members = match found.group.members {
        Some(members) => format!(", members now: {members}"),
        None => String::new(),
    };
    report.ok(
        &thing,
        &format!(
            "has offsets of {begun} of {} partition(s){members}",
            found.partitions.len()
        ),
    );
    for partition in &found.partitions {
        offset(config, mapping, found, partition, report);
    }
}

fn offset(config: &Config, mapping: &Mapping, found: &KafkaSurvey, partition: &PartitionSurvey, report: &mut Report) {
    let PartitionSurvey {
        topic,
        number,
        range: (oldest, end),
        committed,
    } = partition;
    let Some(committed) = committed else { return };
    let offset = committed.offset;
    let is_guarded = mapping.topic(topic).is_some_and(Processor::is_guarded);
    let thing = format!("kafka offset of {topic}:{number}");
    let now = id_of(found, topic);
    match (now, partition.committed_for(found.cluster_id.as_deref())) {
        (Some(now), Some(then)) if now != then => {
            report.warning(
                &thing,
                &format!("{offset} belongs to a former topic of this name (id {then}; it is {now} now)"),
                "none needed: the new topic is read from its beginning",
            );
            return;
        }
        (Some(_), None) if is_guarded => report.warning(
            &thing,
            &format!("{offset} was not committed by Penstock: a person or another program set it"),
            "if it was set back to apply messages again, raise run.guard_epoch: guarded writes refuse them otherwise",
        ),
        _ => {}
    }
    if offset < *oldest {
        report.error(
            &thing,
            &format!(
                "{} message(s) from {offset} to {oldest} are gone before they were read",
                oldest - offset
            ),
            match config.kafka.offset_gone.below {
                BelowLog::Earliest => "reading goes on at the oldest message (kafka.offset_gone): they are lost",
                BelowLog::End => {
                    "reading goes on at the end of the log (kafka.offset_gone): they and all that is there are lost"
                }
                BelowLog::Stop => "the service stops there (kafka.offset_gone): set the offset",
            },
        );
    } else if offset > *end {
        report.error(
            &thing,
            &format!("{offset} is beyond the end, {end}: the log was truncated, or the offset was set too high"),
            match (config.kafka.offset_gone.beyond, committed.epoch.is_some()) {
                (BeyondLog::Stop, _) => "the service stops there (kafka.offset_gone): set the offset",
                (BeyondLog::Resume, false) => {
                    "the service stops there (kafka.offset_gone), since nothing was committed that tells where the log was cut: \
                     set the offset"
                }
                (BeyondLog::Resume, true) if is_guarded => {
                    "the service stops there (kafka.offset_gone), since guards would refuse what is new at offsets that were \
                     read: set run.guard_epoch to another number, and the offset"
                }
                (_, true) => "reading goes on where the log was cut (kafka.offset_gone), or set the offset",
                (BeyondLog::Earliest, false) => {
                    "what is there is read from the oldest message on (kafka.offset_gone), or set the offset"
                }
                (BeyondLog::End, false) => {
                    "reading goes on at the end (kafka.offset_gone), and what is there and new is lost: set the offset"
                }
            },
        );
    }
}

fn id_of(found: &KafkaSurvey, topic: &str) -> Option<TopicId> {
    found.topics.iter().find(|each| each.name == topic)?.id
}

// ---- Aerospike

fn aerospike(config: &Config, writes: &[&Write], timeout: Duration, report: &mut Report) -> Option<Store> {
    let mut namespaces: Vec<String> = writes.iter().flat_map(|write| write.namespace.all().to_vec()).collect();
    namespaces.sort();
    namespaces.dedup();
    let options = StoreOptions {
        write_timeout: config.run.write_timeout,
        workers: 1,
        start_timeout: Some(timeout),
        // They are checked below, one by one.
        namespaces: Vec::new(),
        whole: false,
    };
    let counters = Arc::new(Counters::new());
    let store = match Store::connect(&config.aerospike, &options, counters, &Stop::new()) {
        Ok(store) => store,
        Err(error) => {
            let (exit, found, cure) = match error {
                ConnectError::Credentials(refusal) => {
                    (Exit::Credentials, refusal.to_string(), refusal.cure().to_owned())
                }
                ConnectError::TlsFile(bad) => (Exit::Configuration, bad.what, bad.cure),
                ConnectError::NotAerospike(failed) | ConnectError::Tls(failed) => {
                    (Exit::Configuration, failed.why, failed.cure)
                }
                ConnectError::Unreachable(failed) => (
                    Exit::Unreachable,
                    format!("not reached within {timeout:?}: {}", failed.why),
                    failed.cure,
                ),
                error @ (ConnectError::NoNamespace { .. } | ConnectError::Stopped) => {
                    (Exit::Configuration, error.to_string(), "correct it".to_owned())
                }
            };
            report.fatal(exit, "aerospike", &found, &cure);
            return None;
        }
    };
    let nodes = match store.survey(&namespaces) {
        Ok(nodes) => nodes,
        Err(why) => {
            report.fatal(
                Exit::Unreachable,
                "aerospike",
                &format!("no node answers: {why}"),
                "look at its log",
            );
            return None;
        }
    };
    members(&store, &namespaces, report);
    for node in &nodes {
        node_of(node, writes, report);
    }
    deletions(&nodes, writes, report);
    for namespace in &namespaces {
        let thing = format!("aerospike namespace {namespace}");
        let absent: Vec<&str> = nodes
            .iter()
            .filter(|node| node.namespaces.get(namespace).is_some_and(Option::is_none))
            .map(|node| node.name.as_str())
            .collect();
        if !absent.is_empty() {
            report.error(
                &thing,
                &format!("there is no such namespace on {}", absent.join(", ")),
                "correct aerospike.namespace or the write's namespace, or add it to the nodes' configuration",
            );
            continue;
        }
        let of_it: Vec<&Write> = writes
            .iter()
            .copied()
            .filter(|write| write.namespace.all().contains(namespace))
            .collect();
        settings(&thing, &nodes, namespace, &of_it, report);
        match store.access(namespace) {
            Access::Granted => {}
            Access::NoReads(why) => report.warning(
                &thing,
                &format!("the user may not read it: {why}"),
                "grant read-write: guards and `newer` read back what a record holds",
            ),
            Access::Unknown(why) => report.warning(
                &thing,
                &format!("a record cannot be read: {why}"),
                "look at the cluster",
            ),
        }
    }
    if let Some((user, _)) = &config.aerospike.credentials {
        roles(&store, user, report);
    }
    Some(store)
}

/// Whether the client has reached all nodes of the cluster, and the nodes have all partitions.
fn members(store: &Store, namespaces: &[String], report: &mut Report) {
    let found = store.gaps(namespaces);
    if found.is_security_off {
        report.warning(
            "aerospike",
            "the cluster has security switched off: aerospike.user and aerospike.password are not checked",
            "remove them, or switch security on",
        );
    }
    if found.gaps.is_whole() {
        report.ok("aerospike", &format!("reached, nodes: {}", found.gaps.reached));
    }
    for gap in found.gaps.each() {
        report.fatal(Exit::Unreachable, "aerospike", &gap.to_string(), &gap.cure());
    }
}

fn node_of(node: &NodeInfo, writes: &[&Write], report: &mut Report) {
    let thing = format!("aerospike node {}", node.name);
    report.ok(&thing, &format!("{}, build {}", node.edition, node.build));
    let major = node.build.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < BUILD_MIN) {
        report.error(
            &thing,
            &format!("build {} has no batch writes", node.build),
            "upgrade it to 6.0 or later",
        );
    }
    if node.statistics.get("cluster_integrity") == Some("false") {
        report.error(
            &thing,
            "it does not agree with its cluster (cluster_integrity=false)",
            "look at the nodes' logs",
        );
    }
    let epoch_ttl = writes.iter().any(|write| is_instant(&write.ttl));
    match node.clock_ahead_s() {
        Some(ahead) if ahead.abs() > SKEW_MAX_S => {
            let (apart, side) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
            let found = format!("its clock is {apart} s {side} this machine's");
            if epoch_ttl {
                report.warning(
                    &thing,
                    &format!("{found}: records whose ttl is an instant end that much too early or too late"),
                    "synchronise both with one time server",
                );
            } else {
                report.warning(&thing, &found, "synchronise both with one time server");
            }
        }
        Some(_) => report.ok(&thing, &format!("its clock is this machine's, within {SKEW_MAX_S} s")),
        None => {}
    }
    if let Some(skew_ms) = node.statistics.number("cluster_clock_skew_ms")
        && skew_ms > SKEW_MAX_S * 1000
    {
        report.warning(
            &thing,
            &format!("the clocks of the cluster's nodes are {skew_ms} ms apart"),
            "synchronise them with one time server",
        );
    }
}

/// Whether some message can make this write delete its record.
fn deletes(write: &Write) -> bool {
    matches!(write.action, Action::Delete) || write.tombstone == Tombstone::Delete || write.ttl_past == TtlPast::Delete
}

/// The community edition has no durable deletes.
fn deletions(nodes: &[NodeInfo], writes: &[&Write], report: &mut Report) {
    let Some(write) = writes.iter().find(|write| deletes(write)) else {
        return;
    };
    let community: Vec<&str> = nodes
        .iter()
        .filter(|node| node.edition.contains("Community"))
        .map(|node| node.name.as_str())
        .collect();
    let thing = match community[..] {
        [] => return,
        [node] => format!("aerospike node {node}"),
        _ => format!("aerospike nodes {}", community.join(", ")),
    };
    report.warning(
        &thing,
        &format!(
            "the community edition forgets deletions (the write at line {}): a deleted record can come back when a node \
             restarts from its disk",
            write.line
        ),
        "let such records end by a ttl, or use an edition with durable deletes",
    );
}

/// Whether the ttl is the time at which the record ends.
fn is_instant(ttl: &Ttl) -> bool {
    matches!(ttl, Ttl::Field(typed) if typed.cast.is_some_and(|cast| cast.unit().is_some()))
}

fn settings(thing: &str, nodes: &[NodeInfo], namespace: &str, writes: &[&Write], report: &mut Report) {
    let on_nodes = || {
        nodes
            .iter()
            .filter_map(|node| Some((node.name.as_str(), node.namespaces.get(namespace)?.as_ref()?)))
    };
    let where_true = |name: &str| -> Vec<&str> {
        on_nodes()
            .filter(|(_, settings)| settings.is_true(name))
            .map(|(node, _)| node)
            .collect()
    };
    let errors_before = report.counts[2];
    for (name, problem, cure) in [
        (
            "clock_skew_stop_writes",
            "takes no writes, because its nodes' clocks are too far apart",
            "synchronise them with one time server",
        ),
        (
            "stop_writes",
            "takes no writes (stop-writes): it is full, or one of its thresholds is passed",
            "free memory or disk, or raise the threshold",
        ),
    ] {
        let nodes = where_true(name);
        if !nodes.is_empty() {
            report.error(thing, &format!("{problem}, on {}", nodes.join(", ")), cure);
        }
    }
    let breached = where_true("hwm_breached");
    if !breached.is_empty() {
        report.warning(
            thing,
            &format!(
                "evicts records before their ttl is over (hwm_breached), on {}",
                breached.join(", ")
            ),
            "free memory or disk",
        );
    }
    for name in ["dead_partitions", "unavailable_partitions"] {
        let count = on_nodes()
            .filter_map(|(_, settings)| settings.number(name))
            .max()
            .unwrap_or(0);
        if count > 0 {
            report.error(
                thing,
                &format!("{name}={count}: their records cannot be written"),
                "look at the cluster",
            );
        }
    }
    ttls(
        thing,
        on_nodes().map(|(_, settings)| settings).collect(),
        writes,
        report,
    );
    let Some((_, first)) = on_nodes().next() else { return };
    let single = first.number("effective_replication_factor") == Some(1);
    if single && nodes.len() > 1 {
        report.warning(
            thing,
            "has one copy of each record (replication factor 1): a node that is lost takes its records along",
            "raise replication-factor",
        );
    }
    let deletes = writes.iter().find(|write| deletes(write));
    if let Some(write) = deletes
        && first.is_true("strong-consistency")
        && !first.is_true("strong-consistency-allow-expunge")
    {
        report.error(
            thing,
            &format!(
                "is strongly consistent and allows no deletes that are not durable: the write at line {} is refused (22)",
                write.line
            ),
            "set strong-consistency-allow-expunge, or let records end by a ttl",
        );
    }
    record_size(thing, first, report);
    if report.counts[2] == errors_before {
        let told: Vec<String> = [
            "nsup-period",
            "default-ttl",
            "max-record-size",
            "stop_writes",
            "strong-consistency",
        ]
        .into_iter()
        .filter_map(|name| Some(format!("{name}={}", first.get(name)?)))
        .collect();
        report.ok(thing, &told.join(" "));
    }
}

fn ttls(thing: &str, settings: Vec<&Settings>, writes: &[&Write], report: &mut Report) {
    let Some(write) = writes
        .iter()
        .find(|write| matches!(write.ttl, Ttl::Seconds(_) | Ttl::Field(_)))
    else {
        return;
    };
    let line = write.line;
    let never_ends = |settings: &&&Settings| settings.number("nsup-period") == Some(0);
    let Some(settings) = settings.iter().find(never_ends) else {
        return;
    };
    if settings.is_true("allow-ttl-without-nsup") {
        report.warning(
            thing,
            &format!(
                "nsup-period is 0: expired records (the write at line {line} has a ttl) are hidden, but never freed"
            ),
            "set nsup-period above 0",
        );
    } else {
        report.error(
            thing,
            &format!("nsup-period is 0, and the write at line {line} has a ttl: each such write is refused (22)"),
            "set nsup-period above 0, or remove the ttl",
        );
    }
}

fn record_size(thing: &str, settings: &Settings, report: &mut Report) {
    let Some(max) = settings.number("max-record-size").filter(|max| *max > 0) else {
        return;
    };
    if max < MESSAGE_BYTES {
        report.warning(
            thing,
            &format!("max-record-size is {max}, less than a Kafka message can have ({MESSAGE_BYTES} by default)"),
            "raise it, or write fewer fields: a message whose record is larger is rejected (13)",
        );
    }
}

fn roles(store: &Store, user: &str, report: &mut Report) {
    const WRITING: [&str; 4] = ["read-write", "read-write-udf", "write", "superuser"];
    const NOT_WRITING: [&str; 7] = [
        "read",
        "data-admin",
        "sys-admin",
        "user-admin",
        "udf-admin",
        "sindex-admin",
        "truncate",
    ];
    let thing = format!("aerospike user {user}");
    match store.roles(user) {
        Ok(roles) if roles.iter().any(|role| WRITING.contains(&role.as_str())) => {
            report.ok(&thing, &format!("roles: {}", roles.join(", ")));
        }
        Ok(roles) if roles.iter().all(|role| NOT_WRITING.contains(&role.as_str())) => report.fatal(
            Exit::Credentials,
            &thing,
            &format!("none of its roles may write: {}", roles.join(", ")),
            "grant read-write",
        ),
        Ok(roles) => report.ok(
            &thing,
            &format!(
                "roles: {}; the first write shows whether the cluster's own roles among them may write",
                roles.join(", ")
            ),
        ),
        Err(why) => report.ok(&thing, &format!("logged in; its roles are not known ({why})")),
    }
}

// ---- guards

/// Reads the message at each committed offset and checks whether its records say that it is applied already. After a
/// crash this is normal for the last messages. After a manual reset of the offset it is not.
fn applied(config: &Config, mapping: &Mapping, found: &KafkaSurvey, store: &Store, report: &mut Report) {
    let mut looked_at = 0;
    for topic in &config.kafka.topics {
        let Some(rules) = mapping.topic(topic).filter(|rules| rules.is_guarded()) else {
            continue;
        };
        let id = id_of(found, topic);
        let begins: Vec<Span> = found
            .partitions
            .iter()
            .filter(|partition| partition.topic == *topic)
            .filter_map(|partition| {
                let begin = partition.committed.as_ref()?.offset;
                let (oldest, end) = partition.range;
                (oldest..end).contains(&begin).then_some(Span {
                    partition: partition.number,
                    begin,
                    end: begin + 1,
                })
            })
            .take(LOOKED_AT_MAX - looked_at)
            .collect();
        looked_at += begins.len();
        let thing = |partition: i32| format!("kafka offset of {topic}:{partition}");
        let read = spans(&config.kafka, topic, &begins, &mut |message| {
            let guard = Guard::new(&GuardIdentity {
                group: &config.kafka.group,
                topic_id: id.map_or([0; 16], |id| *id.as_bytes()),
                topic,
                partition: message.partition,
                epoch: config.run.guard_epoch,
            });
            let mut output = Output::default();
            output.begin(0);
            if rules.process(message, 0, &mut output).is_err() {
                return;
            }
            let guarded = output.rows.iter().filter(|row| row.rules.guarded);
            let held = guarded.filter_map(|row| store.integer(row.target, &row.key, guard.bin()).ok()?);
            // A guard's value is the offset and the row's number among its message's rows.
            if let Some(last) = held
                .map(|sequence| sequence >> 16)
                .max()
                .filter(|last| *last >= message.offset)
            {
                report.warning(
                    &thing(message.partition),
                    &format!(
                        "it is {}, but a record of that message is written up to {last}: {} message(s) may be refused as \
                         applied already",
                        message.offset,
                        last - message.offset + 1
                    ),
                    "none needed after a crash; if the offset was set back to apply them again, raise run.guard_epoch",
                );
            }
        });
        if let Err(error) = read {
            report.warning(
                &format!("kafka topic {topic}"),
                &format!("its next messages cannot be read: {}", crate::aerospike::chain(&error)),
                "look at the brokers; whether those messages are applied already is not known",
            );
        }
    }
}
