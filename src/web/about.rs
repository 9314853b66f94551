//! What does not change while the process runs. It comes from the configuration, and is shown in the log at the start
//! and in `/status`.

use std::time::SystemTime;

use crate::config::model::{self, Config, DeadLetterHeaders, Format, Name, Reject, RejectAction, Start, Write};
use crate::observe::snapshot::About;
use crate::util::logging::pairs::Text;
use crate::util::version;

/// Describes a process that has just started with this configuration.
pub fn about(config: &Config) -> About {
    About {
        version: version::NUMBER,
        commit: version::COMMIT,
        started: SystemTime::now(),
        group: config.kafka.group.clone(),
        topics: config.kafka.topics.clone(),
        sets: sets(config),
        settings: settings(config),
    }
}

/// Where records go: `namespace.set`, each one once. A name that comes from the message is shown as `*`. If a write
/// names no set, only the namespace is shown.
fn sets(config: &Config) -> Vec<String> {
    let part = |name: &Name| match name {
        Name::Fixed(name) => name.clone(),
        Name::FromMessage { .. } => "*".to_owned(),
    };
    let mut sets: Vec<String> = Vec::new();
    for Write { namespace, set, .. } in config.routes.iter().flat_map(|route| &route.writes) {
        let (namespace, set) = (part(namespace), part(set));
        let place = if set.is_empty() {
            namespace
        } else {
            format!("{namespace}.{set}")
        };
        if !sets.contains(&place) {
            sets.push(place);
        }
    }
    sets
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

/// The settings of the service, without secrets: a name, and the values. The values of librdkafka properties are not
/// shown, because each of them may be a secret.
fn settings(config: &Config) -> Vec<(String, String)> {
    let kafka = &config.kafka;
    let names = |properties: &[(String, model::Secret)]| {
        properties
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    let line = |name: &str, values: String| (name.to_owned(), values);
    let mut lines = vec![
        line("run", config.run.to_string()),
        line(
            "kafka",
            format!(
                "brokers={} topics={} group={} start={} offset_gone={} format={} properties=[{}]",
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
        ),
        line(
            "aerospike",
            format!(
                "hosts={} namespace={} user={}",
                Text(&config.aerospike.hosts),
                config.aerospike.namespace,
                Text(config.aerospike.credentials.as_ref().map_or("none", |(user, _)| user)),
            ),
        ),
    ];
    if let Some(http) = &config.http {
        lines.push(line("http", format!("listen={}", http.listen)));
    }
    lines.push(line("reject", reject(&config.reject)));
    for route in &config.routes {
        for publish in &route.publishes {
            let values = format!(
                "line={} topics={} topic={}",
                publish.line,
                route.topics.join(","),
                publish.topic
            );
            lines.push(line("publish", values));
        }
        for write in &route.writes {
            let values = format!(
                "line={} topics={} namespace={} set={} key={} each={}",
                write.line,
                route.topics.join(","),
                Text(name(&write.namespace)),
                Text(name(&write.set)),
                Text(&write.key.written),
                write.each.is_some(),
            );
            lines.push(line("write", values));
        }
    }
    lines
}

/// An example for tests.
#[cfg(test)]
pub(super) fn example() -> About {
    About {
        version: "1.2.3",
        commit: "0123456789",
        started: SystemTime::UNIX_EPOCH,
        group: "penstock".to_owned(),
        topics: vec!["events".to_owned()],
        sets: vec!["test.users".to_owned()],
        settings: vec![("run".to_owned(), "memory=512MiB".to_owned())],
    }
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
        let lines: Vec<String> = settings(&config)
            .into_iter()
            .map(|(name, values)| format!("{name} {values}"))
            .collect();
        let said = lines.join("\n");
        for words in [" start=latest ", " format=json_sr ", " headers=connect "] {
            assert!(said.contains(words), "{words} is not in:\n{said}");
        }
    }

    #[test]
    fn sets_are_told_once_and_those_of_messages_by_a_star() {
        let text = r#"
            [kafka]
            brokers = "k:9092"
            topics = ["events"]
            [aerospike]
            hosts = "a"
            namespace = "test"
            [[route]]
            [[route.write]]
            key = "id"
            set = "users"
            bins = { n = "n" }
            [[route.write]]
            key = "other"
            set = "users"
            bins = { n = "n" }
            [[route.write]]
            key = "id"
            namespace = "main"
            set = { path = "kind" }
            sets_allowed = ["a", "b"]
            bins = { n = "n" }
            [[route.write]]
            key = "id"
            bins = { n = "n" }
        "#;
        let config = crate::config::load_from(text.as_bytes(), "test").unwrap();
        assert_eq!(about(&config).sets, ["test.users", "main.*", "test"]);
    }
}
