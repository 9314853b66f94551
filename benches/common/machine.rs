//! The machine and the versions that figures belong to: in the console, in the JSON, and on the page of figures.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use penstock::util::version;
use serde_json::{Value, json};

/// Names and values, in the order in which they are shown.
#[derive(Debug, Clone)]
pub struct Machine(Vec<(&'static str, String)>);

impl Machine {
    /// `database`: what was written to. `command`: how the figures can be measured again.
    pub fn here(database: &str, command: &str) -> Machine {
        Machine(vec![
            ("date", jiff::Timestamp::now().strftime("%d %B %Y").to_string()),
            ("command", command.to_owned()),
            ("commit", commit()),
            ("machine", format!("{} cores, {}, {}", cores(), processor(), memory())),
            ("system", system()),
            ("penstock", format!("{}, profile {}", version::NUMBER, profile())),
            ("librdkafka", rdkafka::util::get_rdkafka_version().1),
            ("broker", broker()),
            ("database", database.to_owned()),
        ])
    }

    pub fn text(&self) -> String {
        let lines = self.0.iter().map(|(name, value)| format!("{name:<12} {value}\n"));
        lines.collect()
    }

    /// A list for a page.
    pub fn markdown(&self) -> String {
        let lines = self.0.iter().map(|(name, value)| match *name {
            "command" => format!("- {name}: `{value}`\n"),
            _ => format!("- {name}: {value}\n"),
        });
        lines.collect()
    }

    pub fn json(&self) -> Value {
        let fields = self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        Value::Object(fields.collect())
    }
}

pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn processor() -> String {
    let all = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = all.lines().find(|line| line.starts_with("model name"));
    let name = name.and_then(|line| line.split_once(": "));
    name.map_or("unknown processor", |(_, name)| name).trim().to_owned()
}

fn memory() -> String {
    let all = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = all.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or("unknown memory".to_owned(), |kib| {
        format!("{} GiB", (kib + (1 << 19)) >> 20)
    })
}

fn system() -> String {
    let read = |name| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{} {}", read("ostype").trim(), read("osrelease").trim())
}

/// The commit of the sources here. A developer's build does not know its own.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        Some(commit) => match git(&["status", "--porcelain", "--untracked-files=no"]) {
            Some(changes) if changes.is_empty() => commit,
            _ => format!("{commit}, with changes"),
        },
        None => version::COMMIT.to_owned(),
    }
}

/// The Cargo profile: the folder in which this program is, or that of its `deps`.
fn profile() -> String {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.ancestors().skip(1).find(|folder| {
        let name = folder.file_name().unwrap_or_default();
        name != "deps" && name != "examples"
    });
    let name = folder.and_then(Path::file_name).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The version of the broker that `scripts/with-kafka.sh` starts.
fn broker() -> String {
    let pom = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka/pom.xml"));
    let pom = pom.unwrap_or_default();
    let version = pom
        .split_once("<kafka.version>")
        .and_then(|(_, rest)| rest.split('<').next());
    match (version, broker_process()) {
        (Some(version), Some(_)) => format!("Apache Kafka {version}, on this machine"),
        _ => "of unknown version".to_owned(),
    }
}

/// The process of the broker that `scripts/with-kafka.sh` has started.
pub fn broker_process() -> Option<u32> {
    let folder = std::env::var_os("KAFKA_DIR")?;
    let text = fs::read_to_string(Path::new(&folder).join("pid")).ok()?;
    text.trim().parse().ok()
}
