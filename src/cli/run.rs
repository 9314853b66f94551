//! `penstock run`: the service, from its signals to its exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use log::{error, info};

use super::guards::guards;
use super::load_to_connect;
use crate::config::model::{self, Config, DeadLetterHeaders, Format, Name, Reject, RejectAction, Start};
use crate::observe::counters::Counters;
use crate::service::supervisor;
use crate::util::exit::Exit;
use crate::util::stop::{Stop, leave_now, stop_on_signals};

/// Runs the service until it is told to stop.
pub(super) fn run(file: &Path) -> Exit {
    // This comes first, so that an early stop is not missed.
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let Some(config) = load_to_connect(file) else {
        return Exit::Configuration;
    };
    info!(
        "penstock version={} file={} pid={}",
        env!("CARGO_PKG_VERSION"),
        file.display(),
        std::process::id()
    );
    for line in effective_settings(&config) {
        info!("settings: {line}");
    }
    for line in guards(&config) {
        info!("{line}");
    }
    let counters = Arc::new(Counters::new());
    // The panic hook has already printed the panic.
    let exit = catch_unwind(AssertUnwindSafe(|| supervisor::run(&config, &stop, &counters))).unwrap_or(Exit::Panic);
    info!("exit code={} meaning={exit:?}", exit.code());
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}

fn name(name: &Name) -> &str {
    match name {
        Name::Fixed(name) if name.is_empty() => "none",
        Name::Fixed(name) => name,
        Name::FromMessage { value, .. } => &value.written,
    }
}

fn reject(reject: &Reject) -> String {
    let limit = |limit: Option<u32>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let limits = format!(
        "percent_max={} percent_of={} consecutive_max={}",
        limit(reject.percent_max),
        reject.percent_of,
        limit(reject.consecutive_max)
    );
    match &reject.action {
        RejectAction::Hold => "action=hold".to_owned(),
        RejectAction::Stop => "action=stop".to_owned(),
        RejectAction::Drop => format!("action=drop {limits}"),
        RejectAction::DeadLetter { topic, headers } => {
            let headers = match headers {
                DeadLetterHeaders::Penstock => "penstock",
                DeadLetterHeaders::Connect => "connect",
            };
            format!("action=dead_letter topic={topic} headers={headers} {limits}")
        }
    }
}

/// The settings of the service, without secrets. Values of librdkafka properties are not shown, since any of them may
/// be a secret.
fn effective_settings(config: &Config) -> Vec<String> {
    let kafka = &config.kafka;
    let names = |properties: &[(String, model::Secret)]| {
        properties
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut lines = vec![
        format!("run {}", config.run),
        format!(
            "kafka brokers={} topics={} group={} start={} offset_gone={} format={} properties=[{}]",
            kafka.brokers,
            kafka.topics.join(","),
            kafka.group,
            match kafka.start {
                Start::Earliest => "earliest",
                Start::Latest => "latest",
            },
            kafka.offset_gone,
            match kafka.format {
                Format::Json => "json",
                Format::JsonSchemaRegistry => "json_sr",
            },
            names(&kafka.consumer_properties),
        ),
        format!(
            "aerospike hosts={} namespace={} user={}",
            config.aerospike.hosts,
            config.aerospike.namespace,
            config.aerospike.credentials.as_ref().map_or("none", |(user, _)| user),
        ),
    ];
    lines.push(format!("reject {}", reject(&config.reject)));
    for route in &config.routes {
        for publish in &route.publishes {
            let (line, topic) = (publish.line, &publish.topic);
            lines.push(format!(
                "publish line={line} topics={} topic={topic}",
                route.topics.join(",")
            ));
        }
        for write in &route.writes {
            lines.push(format!(
                "write line={} topics={} namespace={} set={} key={} each={}",
                write.line,
                route.topics.join(","),
                name(&write.namespace),
                name(&write.set),
                write.key.written,
                write.each.is_some(),
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_logged_in_the_words_of_the_configuration() {
        let text = r#"
            [kafka]
            brokers = "k:9092"
            topics = ["events"]
            start = "latest"
            format = "json_sr"
            [aerospike]
            hosts = "a"
            namespace = "test"
            [[route]]
            [[route.write]]
            key = "id"
            bins = { n = "n" }
            [reject]
            action = "dead_letter"
            topic = "events.dead"
            headers = "connect"
        "#;
        let config = crate::config::load_from(text.as_bytes(), "test").unwrap();
        let said = effective_settings(&config).join("\n");
        for words in [" start=latest ", " format=json_sr ", " headers=connect "] {
            assert!(said.contains(words), "{words} is not in:\n{said}");
        }
    }
}
