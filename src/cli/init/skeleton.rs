//! The answers, and the sections of the file that are made of them alone.
//!
//! The skeleton is a configuration of nothing else: it shows whether the answers are right, and it reaches Kafka.

use super::line::Line;
use super::written::string;

/// Everything that is not taken from samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub brokers: String,
    pub topic: String,
    pub group: String,
    pub hosts: String,
    pub namespace: String,
    pub set: String,
    /// `None`: the proposed one.
    pub key: Option<String>,
    /// `None`: rejected messages hold their partition.
    pub dead_letter_topic: Option<String>,
    /// Name and value; a secret is a reference.
    pub properties: Vec<(String, String)>,
}

/// Of `[kafka.properties]`.
const INSTANCE: &str = "# Each process with a name of its own: when it starts again, the others keep their partitions.\n\
     #\"group.instance.id\" = \"${env:HOSTNAME}\"\n";

/// A configuration with nothing but the answers: to check them, and to reach Kafka.
pub(super) fn skeleton(answers: &Answers) -> String {
    let mut text = String::new();
    sections(&mut text, answers, false, &[]);
    let record_key = string(answers.key.as_deref().unwrap_or("@key"));
    text.push_str(&format!(
        "[[route]]\n[[route.write]]\nset = {}\nkey = {record_key}\nbins = \"*\"\n",
        string(&answers.set)
    ));
    reject(&mut text, answers);
    text
}

pub(super) fn sections(text: &mut String, answers: &Answers, is_told: bool, more: &[Line]) {
    let note = |told: &'static str| if is_told { told } else { "" };
    let set = |text: &mut String, name: &str, value: String, told: &'static str| {
        Line {
            is_on: true,
            name: name.to_owned(),
            value,
            note: note(told).to_owned(),
        }
        .write(text, "");
    };
    text.push_str("[kafka]\n");
    set(text, "brokers", string(&answers.brokers), "");
    set(text, "topics", format!("[{}]", string(&answers.topic)), "");
    set(
        text,
        "group",
        string(&answers.group),
        "offsets belong to it; with another group everything is read again",
    );
    for each in more {
        each.write(text, "");
    }
    if is_told {
        Line {
            is_on: false,
            name: "start".to_owned(),
            value: string("latest"),
            note: "a new group begins at the end, not with all old messages".to_owned(),
        }
        .write(text, "");
    }
    if !answers.properties.is_empty() {
        text.push_str("\n[kafka.properties]\n");
        for (name, value) in &answers.properties {
            text.push_str(&format!("{} = {}\n", string(name), string(value)));
        }
        if is_told && answers.properties.iter().all(|(name, _)| name != "group.instance.id") {
            text.push_str(INSTANCE);
        }
    } else if is_told {
        text.push_str(
            "\n# A login and TLS. Secrets stay outside of this file: a reference says where they are.\n\
             #[kafka.properties]\n\
             #\"security.protocol\" = \"SASL_SSL\"\n\
             #\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
             #\"sasl.username\" = \"${env:KAFKA_USER}\"\n\
             #\"sasl.password\" = \"${file:/etc/penstock/kafka.pw}\"\n\
             #\"ssl.ca.location\" = \"/etc/ssl/certs/ca-certificates.crt\"\n",
        );
        text.push_str(INSTANCE);
    }
    text.push_str("\n[aerospike]\n");
    set(text, "hosts", string(&answers.hosts), "");
    set(text, "namespace", string(&answers.namespace), "");
    if is_told {
        text.push_str("# Both or none:\n#user = \"penstock\"\n#password = \"${file:/etc/penstock/aerospike.pw}\"\n");
    }
}

pub(super) fn reject(text: &mut String, answers: &Answers) {
    text.push_str("[reject]\n");
    match &answers.dead_letter_topic {
        Some(topic) => text.push_str(&format!("action = \"dead_letter\"\ntopic = {}\n", string(topic))),
        None => text.push_str("action = \"hold\"\n"),
    }
}
