//! `penstock run`: the service, from its signals to its exit code.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use log::{error, info};

use super::guards::guards;
use super::status_line::StatusLine;
use super::{read_to_connect, report};
use crate::config::model::{self, Config, DeadLetterHeaders, Format, Name, Reject, RejectAction, Start};
use crate::observe::counters::Counters;
use crate::observe::snapshot::{About, Board};
use crate::service::supervisor;
use crate::util::exit::Exit;
use crate::util::logging::pairs::Text;
use crate::util::logging::{self, Format as LogFormat};
use crate::util::stop::{Stop, leave_now, stop_on_signals};

/// The arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// Lines as text or json.
    #[arg(long, env = "PENSTOCK_LOG_FORMAT", value_name = "FORMAT", hide_env_values = true, hide_possible_values = true,
        value_parser = PossibleValuesParser::new(LogFormat::WORDS).map(|word| LogFormat::of(&word)))]
    log_format: Option<LogFormat>,
    /// No line that renews itself, on a terminal either.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the service until it is told to stop.
pub(super) fn run(arguments: &Run) -> Exit {
    let Run {
        file,
        log_format,
        quiet,
    } = arguments;
    logging::tell_panics();
    if let Some(format) = log_format {
        logging::set_format(*format);
    }
    // This comes first, so that an early stop is not missed.
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let config = match read_to_connect(file) {
        Ok(config) => config,
        Err(faults) => {
            match log_format {
                Some(LogFormat::Json) => error!("the configuration is refused: {faults}"),
                _ => report(&faults),
            }
            return Exit::Configuration;
        }
    };
    logging::set_format(log_format.unwrap_or(config.log.format));
    info!(
        "penstock version={} file={} pid={}",
        env!("CARGO_PKG_VERSION"),
        Text(&file.display().to_string()),
        std::process::id()
    );
    let settings = effective_settings(&config);
    for line in &settings {
        info!("settings: {line}");
    }
    for line in guards(&config) {
        info!("{line}");
    }
    let counters = Arc::new(Counters::new());
    let board = Arc::new(Board::new(about(&config, &settings)));
    let status = (!quiet).then(|| StatusLine::start(board.clone()));
    // The panic hook has already printed the panic.
    let exit = catch_unwind(AssertUnwindSafe(|| supervisor::run(&config, &stop, &counters))).unwrap_or(Exit::Panic);
    drop(status);
    info!("exit code={} meaning={exit:?}", exit.code());
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}

/// What does not change while the service runs.
fn about(config: &Config, settings: &[String]) -> About {
    let set = |namespace: &Name, set: &Name| {
        let word = |name: &Name| match name {
            Name::Fixed(name) => name.clone(),
            Name::FromMessage { .. } => "*".to_owned(),
        };
        format!("{}.{}", word(namespace), word(set))
    };
    let mut sets: Vec<String> = Vec::new();
    for write in config.routes.iter().flat_map(|route| &route.writes) {
        let set = set(&write.namespace, &write.set);
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    let settings = settings.iter().map(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), rest.to_owned())
    });
    About {
        version: env!("CARGO_PKG_VERSION"),
        started: SystemTime::now(),
        group: config.kafka.group.clone(),
        topics: config.kafka.topics.clone(),
        sets,
        settings: settings.collect(),
    }
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
            Text(&kafka.brokers),
            kafka.topics.join(","),
            Text(&kafka.group),
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
            Text(&config.aerospike.hosts),
            config.aerospike.namespace,
            Text(config.aerospike.credentials.as_ref().map_or("none", |(user, _)| user)),
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
                Text(name(&write.namespace)),
                Text(name(&write.set)),
                Text(&write.key.written),
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
