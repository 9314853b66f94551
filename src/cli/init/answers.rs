//! What the configuration is told: by options, by answers to questions, or by defaults.
//!
//! Questions are asked on a terminal only, one per line; Enter takes the default. A wrong answer is asked again. The
//! check of an answer is that of the configuration's own reader, so that both say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, Write};

use super::options::Init;
use super::skeleton::{Answers, skeleton};
use super::written::comment;
use crate::config;
use crate::config::file::fault::{Fault, Faults};
use crate::config::names::GROUP_BYTES_MAX;
use crate::config::secrecy::names_secret;

/// How often an answer may be wrong.
const TRIES_MAX: usize = 5;
/// A longer line is no answer.
const LINE_BYTES_MAX: u64 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Brokers,
    Topic,
    Group,
    Hosts,
    Namespace,
    Set,
    Key,
    Reject,
    DeadLetterTopic,
}

impl What {
    pub const ALL: [What; 9] = [
        What::Brokers,
        What::Topic,
        What::Group,
        What::Hosts,
        What::Namespace,
        What::Set,
        What::Key,
        What::Reject,
        What::DeadLetterTopic,
    ];

    /// The option, the question, and the beginning of the key in faults of the configuration.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            What::Brokers => (
                "--brokers",
                "Kafka brokers (host:port, comma-separated)",
                "kafka.brokers",
            ),
            What::Topic => ("--topic", "Topic to read", "kafka.topics"),
            What::Group => ("--group", "Consumer group", "kafka.group"),
            What::Hosts => (
                "--hosts",
                "Aerospike nodes (host:port, comma-separated)",
                "aerospike.hosts",
            ),
            What::Namespace => ("--namespace", "Aerospike namespace", "aerospike.namespace"),
            What::Set => ("--set", "Set of the records", "route[0].write[0].set"),
            What::Key => (
                "--key",
                "Key of a record (a field's path, or @key)",
                "route[0].write[0].key",
            ),
            What::Reject => (
                "--reject",
                "Rejected messages: dead_letter, or hold the partition",
                "reject.action",
            ),
            What::DeadLetterTopic => ("--dead-letter-topic", "Topic of the dead letters", "reject.topic"),
        }
    }

    fn given(self, arguments: &Init) -> Option<&String> {
        match self {
            What::Brokers => arguments.brokers.as_ref(),
            What::Topic => arguments.topic.as_ref(),
            What::Group => arguments.group.as_ref(),
            What::Hosts => arguments.hosts.as_ref(),
            What::Namespace => arguments.namespace.as_ref(),
            What::Set => arguments.set.as_ref(),
            What::Key => arguments.key.as_ref(),
            What::Reject => arguments.reject.as_ref(),
            What::DeadLetterTopic => arguments.dead_letter_topic.as_ref(),
        }
    }
}

/// Where questions go.
pub(super) type Terminal<'t> = (&'t mut dyn BufRead, &'t mut dyn Write);

pub(super) struct Asking<'t> {
    given: BTreeMap<What, String>,
    properties: Vec<String>,
    terminal: Option<Terminal<'t>>,
    settled: BTreeMap<What, String>,
    /// The key is the one that was proposed.
    is_key_proposed: bool,
    /// Options without default that are not given.
    missing: Vec<&'static str>,
}

impl<'t> Asking<'t> {
    /// Without a terminal nothing is asked.
    pub fn new(arguments: &Init, terminal: Option<Terminal<'t>>) -> Asking<'t> {
        let given = What::ALL
            .into_iter()
            .filter_map(|what| Some((what, what.given(arguments)?.clone())));
        Asking {
            given: given.collect(),
            properties: arguments.properties.clone(),
            terminal,
            settled: BTreeMap::new(),
            is_key_proposed: true,
            missing: Vec::new(),
        }
    }

    /// The option, else the answer, else the default.
    ///
    /// # Errors
    /// If the answer is wrong again and again, or the terminal is gone.
    pub fn ask(&mut self, what: What, default: Option<&str>) -> Result<String, String> {
        let (option, question, _) = what.row();
        if let Some(given) = self.given.get(&what) {
            let given = given.clone();
            self.is_key_proposed &= what != What::Key;
            self.settled.insert(what, given.clone());
            return Ok(given);
        }
        let Some((input, output)) = &mut self.terminal else {
            if default.is_none() {
                self.missing.push(option);
            }
            let answer = default.unwrap_or_default().to_owned();
            self.settled.insert(what, answer.clone());
            return Ok(answer);
        };
        for _ in 0..TRIES_MAX {
            let answer = match line(*input, *output, question, default)? {
                answer if answer.is_empty() => match default {
                    Some(default) => default.to_owned(),
                    None => continue,
                },
                answer => answer,
            };
            // A default is right, or it is not a plain string.
            let why = wrong(what, &answer, &self.settled).filter(|_| Some(answer.as_str()) != default);
            match why {
                Some(why) => say(*output, &format!("  {why}\n"))?,
                None => {
                    self.is_key_proposed &= what != What::Key || Some(answer.as_str()) == default;
                    self.settled.insert(what, answer.clone());
                    return Ok(answer);
                }
            }
        }
        Err(format!("no answer that would do; {option} gives it, too"))
    }

    /// On a terminal: whether to look at the topic, and at how many messages. `None`: no.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn ask_count(&mut self, topic: &str) -> Result<Option<u32>, String> {
        let Some((input, output)) = &mut self.terminal else {
            return Ok(None);
        };
        let question = format!("Look at the newest messages of {topic}, to propose fields? yes or no");
        for _ in 0..TRIES_MAX {
            match line(*input, *output, &question, Some("yes"))?.to_lowercase().as_str() {
                "" | "y" | "yes" => return Ok(super::SAMPLES_DEFAULT.parse().ok()),
                "n" | "no" => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// # Errors
    /// Names all options that are missing.
    pub fn assert_complete(&self) -> Result<(), String> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(format!(
            "missing: {}; there is no terminal to ask on (or --yes), and there is no default",
            self.missing.join(", ")
        ))
    }

    /// # Errors
    /// If options contradict each other; if a property has no value, or a secret as it is: a command line is in the shell's history, and in the list of
    /// processes.
    pub fn assert_options(&self) -> Result<(), String> {
        if self.given.contains_key(&What::DeadLetterTopic)
            && self.given.get(&What::Reject).is_some_and(|action| action == "hold")
        {
            return Err("--dead-letter-topic is for --reject dead_letter: leave one of the two out".to_owned());
        }
        let mut names = BTreeSet::new();
        for property in &self.properties {
            let Some((name, value)) = property.split_once('=') else {
                return Err("--property: write NAME=VALUE, e.g. security.protocol=SSL".to_owned());
            };
            let name = name.trim();
            if !names.insert(name) {
                return Err(format!(
                    "--property {}: is there twice; leave one of them out",
                    comment(name)
                ));
            }
            if is_password(name) && !(value.starts_with("${env:") || value.starts_with("${file:")) {
                return Err(format!(
                    "--property {}: a secret is not written as it is; name where it is, e.g. '{}=${{file:/etc/penstock/kafka.pw}}' \
                     or '${{env:KAFKA_PASSWORD}}'",
                    comment(name),
                    comment(name)
                ));
            }
        }
        Ok(())
    }

    /// Tells something to who answers. Without a terminal nobody is told.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn say(&mut self, text: &str) -> Result<(), String> {
        match &mut self.terminal {
            Some((_, output)) => say(*output, &format!("  {}\n", comment(text))),
            None => Ok(()),
        }
    }

    /// What is settled so far, and what the options say. The rest has a value that does no harm.
    pub fn answers(&self) -> Answers {
        let mut settled = self.settled.clone();
        settled.extend(self.given.iter().map(|(what, given)| (*what, given.clone())));
        let is_key_proposed = self.is_key_proposed && !self.given.contains_key(&What::Key);
        answers(&settled, &self.properties, is_key_proposed)
    }
}

fn answers(settled: &BTreeMap<What, String>, properties: &[String], is_key_proposed: bool) -> Answers {
    let of = |what: What, default: &str| settled.get(&what).map_or(default, String::as_str).to_owned();
    let topic = of(What::Topic, "topic");
    let dead = format!("{topic}.dead");
    let group = group_of(&topic);
    let rejects = of(What::Reject, "dead_letter");
    Answers {
        brokers: of(What::Brokers, "127.0.0.1:9092"),
        group: of(What::Group, &group),
        hosts: of(What::Hosts, "127.0.0.1:3000"),
        namespace: of(What::Namespace, "test"),
        set: of(What::Set, "set"),
        key: settled.get(&What::Key).filter(|_| !is_key_proposed).cloned(),
        dead_letter_topic: (rejects == "dead_letter").then(|| of(What::DeadLetterTopic, &dead)),
        topic,
        properties: properties
            .iter()
            .map(|property| match property.split_once('=') {
                Some((name, value)) => (name.trim().to_owned(), value.to_owned()),
                None => (property.clone(), String::new()),
            })
            .collect(),
    }
}

/// The default of the group.
pub(super) fn group_of(topic: &str) -> String {
    let group = format!("penstock-{topic}");
    // A topic that is longer than this is no topic.
    group.get(..GROUP_BYTES_MAX).unwrap_or(&group).to_owned()
}

/// What is wrong with an answer, given those before it.
fn wrong(what: What, answer: &str, settled: &BTreeMap<What, String>) -> Option<String> {
    if what == What::Reject && !["dead_letter", "hold"].contains(&answer) {
        return Some("write dead_letter or hold".to_owned());
    }
    let mut settled = settled.clone();
    settled.insert(what, answer.to_owned());
    let faults = config::parse(&skeleton(&answers(&settled, &[], false)), "").err()?;
    let (_, _, key) = what.row();
    let of_it = |fault: &&Fault| fault.key.starts_with(key);
    let fault = faults.faults.iter().find(of_it)?;
    Some(format!("{}; {}", fault.problem, fault.cure))
}

/// The faults of a configuration that has only what the options say.
pub(super) fn told(faults: &Faults) -> String {
    let lines = faults.faults.iter().map(|fault| {
        let option = What::ALL
            .into_iter()
            .map(What::row)
            .find(|(_, _, key)| fault.key.starts_with(key));
        let option = match option {
            Some((option, ..)) => option.to_owned(),
            None => match fault.key.strip_prefix("kafka.properties.") {
                Some(name) => format!("--property {name}"),
                None => fault.key.clone(),
            },
        };
        let found = fault
            .found
            .as_ref()
            .map_or_else(String::new, |found| format!("; found {found}"));
        format!("{option}: {}{found}; {}", fault.problem, fault.cure)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the value of this property is a secret. (The name of a user and the path of a key file are none.)
fn is_password(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    (names_secret(&name) || name == "sasl.oauthbearer.config")
        && ![".location", ".url", ".file"].iter().any(|end| name.ends_with(end))
}

/// Asks on one line.
fn line(
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    question: &str,
    default: Option<&str>,
) -> Result<String, String> {
    // A default may come from a message.
    let default = default.map_or_else(String::new, |default| format!(" [{}]", comment(default)));
    say(output, &format!("{question}{default}: "))?;
    let mut answer = String::new();
    let read = std::io::Read::take(input, LINE_BYTES_MAX).read_line(&mut answer);
    match read {
        Ok(0) => Err("the answers ended; nothing was written".to_owned()),
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(format!("standard input: cannot be read: {error}")),
    }
}

fn say(output: &mut dyn Write, text: &str) -> Result<(), String> {
    let said = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    said.map_err(|error| format!("standard error: cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        init: Init,
    }

    fn options(words: &[&str]) -> Init {
        Line::parse_from([&["init"], words].concat()).init
    }

    /// What was answered, and what was on the terminal.
    fn asked(words: &[&str], typed: &str, asks: &[(What, Option<&str>)]) -> (Result<Vec<String>, String>, String) {
        let (mut input, mut output) = (typed.as_bytes(), Vec::new());
        let init = options(words);
        let mut asking = Asking::new(&init, Some((&mut input, &mut output)));
        let answers = asks.iter().map(|(what, default)| asking.ask(*what, *default)).collect();
        (answers, String::from_utf8(output).unwrap())
    }

    #[test]
    fn enter_takes_the_default_and_an_option_is_not_asked_for() {
        let asks = [
            (What::Brokers, Some("127.0.0.1:9092")),
            (What::Topic, None),
            (What::Namespace, Some("test")),
        ];
        let (answers, shown) = asked(&["--namespace", "prod"], "\n orders \n", &asks);
        assert_eq!(answers.unwrap(), ["127.0.0.1:9092", "orders", "prod"]);
        assert_eq!(
            shown,
            "Kafka brokers (host:port, comma-separated) [127.0.0.1:9092]: Topic to read: "
        );
    }

    #[test]
    fn a_wrong_answer_is_told_and_asked_again() {
        let (answers, shown) = asked(&[], "\na b\norders\n", &[(What::Topic, None)]);
        assert_eq!(answers.unwrap(), ["orders"]);
        assert_eq!(shown.matches("Topic to read: ").count(), 3, "{shown}");
        assert!(shown.contains("a space is not allowed in a topic name"), "{shown}");
        let asks = [(What::Topic, Some("a")), (What::DeadLetterTopic, Some("a.dead"))];
        let (answers, shown) = asked(&[], "\na\nb\n", &asks);
        assert_eq!(answers.unwrap(), ["a", "b"], "{shown}");
        for (what, wrong, right) in [
            (What::Brokers, "http://h", "h:9092"),
            (What::Hosts, "a;b", "a,b"),
            (What::Namespace, "a:b", "a"),
            (What::Set, "a;b", "a"),
            (What::Key, "user..id", "user.id"),
            (What::Reject, "drop", "hold"),
            (What::Group, "\u{1}", "g"),
        ] {
            let (answers, shown) = asked(&[], &format!("{wrong}\n{right}\n"), &[(what, Some("x"))]);
            assert_eq!(answers.unwrap(), [right], "{shown}");
        }
    }

    #[test]
    fn answers_that_end_or_stay_wrong_are_an_error() {
        let (answers, _) = asked(&[], "", &[(What::Topic, None)]);
        assert_eq!(answers.unwrap_err(), "the answers ended; nothing was written");
        let (answers, _) = asked(&[], &"a b\n".repeat(9), &[(What::Topic, None)]);
        assert_eq!(answers.unwrap_err(), "no answer that would do; --topic gives it, too");
    }

    #[test]
    fn a_default_of_a_message_does_not_write_on_the_terminal_what_it_wants() {
        let (_, shown) = asked(&[], "\n", &[(What::Topic, Some("a\u{1b}[2J"))]);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }

    #[test]
    fn a_secret_is_a_reference() {
        for (property, is_right) in [
            ("sasl.password=geheim", false),
            ("sasl.password=${file:kafka.pw}", true),
            ("sasl.password=${env:PW}", true),
            ("ssl.key.password=geheim", false),
            ("ssl.key.pem=geheim", false),
            ("ssl.key.location=/etc/key.pem", true),
            ("sasl.oauthbearer.client.secret=geheim", false),
            ("sasl.oauthbearer.config=principal=geheim", false),
            ("sasl.pasword=geheim", false),
            ("sasl.oauthbearer.assertion.private.key.file=/etc/key.pem", true),
            ("sasl.username=penstock", true),
            ("security.protocol=SSL", true),
            ("security.protocol", false),
        ] {
            let init = options(&["--property", property]);
            let asserted = Asking::new(&init, None).assert_options();
            assert_eq!(asserted.is_ok(), is_right, "{property}");
            assert!(!asserted.err().unwrap_or_default().contains("geheim"), "{property}");
        }
    }

    #[test]
    fn a_default_that_is_too_long_is_shortened() {
        assert_eq!(group_of("events"), "penstock-events");
        assert_eq!(group_of(&"x".repeat(249)).len(), GROUP_BYTES_MAX);
    }
}
