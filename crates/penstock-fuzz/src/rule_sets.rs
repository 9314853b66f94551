//! Configurations whose rules take messages: the examples of the project, and one with everything.

use std::sync::LazyLock;

use penstock::config;
use penstock::rules::mapping::{Mapping, TopicMapping};

const FILES: [(&str, &str); 9] = [
    ("everything", include_str!("../rules/everything.toml")),
    ("registry", include_str!("../rules/registry.toml")),
    ("events", include_str!("../../../examples/events.toml")),
    ("profile", include_str!("../../../examples/profile.toml")),
    ("frequency", include_str!("../../../examples/frequency.toml")),
    ("sessions", include_str!("../../../examples/sessions.toml")),
    ("orders", include_str!("../../../examples/orders.toml")),
    ("debezium", include_str!("../../../examples/debezium.toml")),
    ("timeseries", include_str!("../../../examples/timeseries.toml")),
];

static MAPPINGS: LazyLock<Vec<(Mapping, String)>> = LazyLock::new(|| {
    let compiled = FILES.iter().map(|(name, text)| {
        let config = config::parse(text, name).unwrap_or_else(|faults| panic!("{faults}"));
        let mapping = Mapping::compile(&config).unwrap_or_else(|error| panic!("{name}: {error}"));
        (mapping, config.kafka.topics[0].clone())
    });
    compiled.collect()
});

/// The rules that a byte chooses, and their topic.
pub fn chosen(by: u8) -> (&'static TopicMapping, &'static str) {
    let (mapping, topic) = &MAPPINGS[usize::from(by) % FILES.len()];
    let rules = mapping.topic(topic).unwrap_or_else(|| panic!("no rules for {topic}"));
    (rules, topic)
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static TopicMapping> {
    (0..).take(FILES.len()).map(|by| chosen(by).0)
}
