//! The cost of poison: compares messages of which one in a hundred cannot become a record with the same number of clean
//! ones, with the same rules. The poisoned ones become dead letters, which are acknowledged before their offset moves.
//! The others must reach at least 0.95 of the rate. Every message must be accounted for, and each dead letter must have
//! its reason.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::common::cpu::{self, CpuShares, standard_error};
use crate::common::messages::{self, PARTITIONS};
use crate::common::turns::{self, Run, Service, Work};

const RATIO_MIN: f64 = 0.95;
/// With fewer messages or pairs, the noise of the machine is larger than the limit.
const STRICT_FROM_MESSAGES: u64 = 600_000;
const STRICT_FROM_PAIRS: u32 = 4;
/// The limit also applies only to this share of poison.
const STRICT_POISONED_OF: u64 = 100;
/// In 600,000 messages, these make up a twentieth of the bytes.
const STRICT_HUGE: u64 = 3;
const HUGE_BYTES: usize = 5_000_000;
/// How many of them are sent before anything is counted.
const WARM_HUGE: u64 = 32;
/// The maximum message size of both topics.
const MESSAGE_BYTES_MAX: usize = 6 << 20;
/// Dead letters are few. With one partition, they go together in one request: the client makes one request per
/// partition, and a broker answers the requests of a connection one after another.
const DEAD_PARTITIONS: i32 = 1;
const TIMEOUT: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_secs(60);

const RULES: &str = "set = \"s\"\nkey = \"id\"\nbins = { a = \"a\", b = { path = \"b\", as = \"integer\" }, c = \"c\", d = \"d\", \
                     seen = \"seen\" }";

/// Which messages are poisoned.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    pub messages: u64,
    /// One message in this many is poisoned.
    pub poisoned_of: u64,
    /// How many of those, in the whole run, are very large. The clean topic has the same number of large messages.
    pub huge: u64,
}

impl Mix {
    /// What is wrong with a message, by its number.
    fn poison(self, id: u64) -> Option<Poison> {
        let (number, all) = (id / self.poisoned_of, self.messages / self.poisoned_of);
        // A different place in each hundred. Otherwise all of them would have one key and be in one partition.
        if id % self.poisoned_of != number * 37 % self.poisoned_of {
            return None;
        }
        // So that not all of them are in one partition.
        let is_huge = (1..=self.huge).any(|nth| number == all * nth / (self.huge + 1) + nth);
        Some(match is_huge {
            true => Poison::Huge,
            false => SMALL[(number % SMALL.len() as u64) as usize],
        })
    }

    fn poisoned(self, id: u64) -> Option<Vec<u8>> {
        match self.poison(id) {
            Some(poison) => poison.apply(id, messages::payload(id)),
            None => Some(self.clean(id)),
        }
    }

    /// As large as the poisoned one, if that is large: a large message is slow, poisoned or not. Here the bytes are in
    /// a field that is skipped.
    fn clean(self, id: u64) -> Vec<u8> {
        let clean = messages::payload(id);
        let clean = match self.poison(id) {
            Some(Poison::Huge) => clean.replacen(
                "padding\":\"",
                &format!("padding\":\"{}", messages::filler(id, HUGE_BYTES)),
                1,
            ),
            _ => clean,
        };
        clean.into_bytes()
    }

    /// The number of messages with each kind of poison.
    fn kinds(self) -> BTreeMap<Poison, u64> {
        let mut kinds = BTreeMap::new();
        for poison in (0..self.messages).filter_map(|id| self.poison(id)) {
            *kinds.entry(poison).or_default() += 1;
        }
        kinds
    }
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Poison {
    NotUtf8,
    CutOff,
    Deep,
    Empty,
    Tombstone,
    Null,
    LongNumber,
    KeyType,
    FieldType,
    Huge,
}

/// The kinds that are used in turn.
const SMALL: [Poison; 9] = [
    Poison::NotUtf8,
    Poison::CutOff,
    Poison::Deep,
    Poison::Empty,
    Poison::Tombstone,
    Poison::Null,
    Poison::LongNumber,
    Poison::KeyType,
    Poison::FieldType,
];

impl Poison {
    fn name(self) -> &'static str {
        match self {
            Poison::NotUtf8 => "bad UTF-8",
            Poison::CutOff => "truncated",
            Poison::Deep => "1,000 levels deep",
            Poison::Empty => "empty",
            Poison::Tombstone => "no payload",
            Poison::Null => "null",
            Poison::LongNumber => "a number of 400 digits",
            Poison::KeyType => "a key that is an object",
            Poison::FieldType => "a word for a number",
            Poison::Huge => "5 MB, in one bin",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Poison::NotUtf8 => "not_utf8",
            Poison::CutOff => "not_json",
            Poison::Deep => "too_deep",
            Poison::Empty => "empty_payload",
            Poison::Tombstone => "tombstone",
            Poison::Null => "key_missing",
            Poison::LongNumber => "integer_range",
            Poison::KeyType => "key_type",
            Poison::FieldType => "field_type",
            // Larger than a record may be; only the database can detect it.
            Poison::Huge => "database",
        }
    }

    fn apply(self, id: u64, clean: String) -> Option<Vec<u8>> {
        let own_id = format!("\"id\":\"m{id}\"");
        let own_number = format!("\"b\":{id},");
        let text = match self {
            Poison::NotUtf8 => {
                let mut bytes = clean.into_bytes();
                let at = bytes.len() - 10;
                bytes[at] = 0xff;
                return Some(bytes);
            }
            Poison::CutOff => clean[..clean.len() / 2].to_owned(),
            Poison::Deep => format!("{{{own_id},\"deep\":{}{}}}", "[".repeat(1000), "]".repeat(1000)),
            Poison::Empty => String::new(),
            Poison::Tombstone => return None,
            Poison::Null => "null".to_owned(),
            Poison::LongNumber => clean.replacen(&own_number, &format!("\"b\":{},", "7".repeat(400)), 1),
            Poison::KeyType => clean.replacen(&own_id, "\"id\":{\"n\":1}", 1),
            Poison::FieldType => clean.replacen(&own_number, "\"b\":\"seven\",", 1),
            Poison::Huge => clean.replacen("country", &messages::filler(id, HUGE_BYTES), 1),
        };
        Some(text.into_bytes())
    }
}

/// Prints the comparison. Returns whether poison costs no more than allowed. `pairs`: how often each topic is run, in
/// turns.
pub fn compare(brokers: &str, mix: Mix, pairs: u32) -> Result<bool, Box<dyn Error>> {
    let messages = mix.messages;
    // A thread's name has the first letters of its topic. They are the same for both topics.
    let topics = ["clean", "poisoned"].map(|name| format!("rates-{:08x}-{name}", std::process::id()));
    for topic in &topics {
        messages::create_topic(brokers, topic, PARTITIONS, MESSAGE_BYTES_MAX)?;
    }
    messages::produce(brokers, &topics[0], messages, MESSAGE_BYTES_MAX, |id| {
        Some(mix.clean(id))
    })?;
    messages::produce(brokers, &topics[1], messages, MESSAGE_BYTES_MAX, |id| mix.poisoned(id))?;

    let kinds = mix.kinds();
    let total: u64 = kinds.values().sum();
    println!("\nPoison: {total} of {messages} messages");
    for (poison, count) in &kinds {
        println!("  {:<24} {count:>6}   {}", poison.name(), poison.reason());
    }
    println!(
        "\n{:<12} {:>12} {:>18} {:>12} {:>14}",
        "", "messages/s", "CPU µs a message", "written", "dead-lettered"
    );
    let (mut seconds, mut cpu_us) = ([0.0; 2], [0.0; 2]);
    let mut cpu_shares = [CpuShares::new(), CpuShares::new()];
    let mut ratios = Vec::new();
    warm_up(brokers, messages)?;
    for pair in 0..pairs {
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        let dead = topics.each_ref().map(|topic| format!("{topic}-dead-{pair}"));
        let mut services = Vec::new();
        for which in order {
            messages::create_topic(brokers, &dead[which], DEAD_PARTITIONS, MESSAGE_BYTES_MAX)?;
            services.push(start(brokers, &topics[which], &dead[which], messages, "")?);
        }
        let mut rates = [0.0; 2];
        for (which, run) in order.into_iter().zip(turns::by_turns(services)?) {
            let expected = if which == 0 { BTreeMap::new() } else { reasons(&kinds) };
            account(&run, messages, &expected)?;
            letters(brokers, &dead[which], &topics[which], &expected)?;
            println!(
                "{:<12} {:>12.0} {:>18.2} {:>12} {:>14}",
                ["clean", "poisoned"][which],
                run.messages_per_second,
                run.cpu_us,
                run.totals.get("written")?,
                run.totals.get("dead_lettered")?,
            );
            seconds[which] += messages as f64 / run.messages_per_second;
            cpu_us[which] += run.cpu_us;
            for (name, share) in run.cpu_shares {
                *cpu_shares[which].entry(name).or_default() += share / f64::from(pairs);
            }
            rates[which] = run.messages_per_second;
        }
        ratios.push(rates[1] / rates[0]);
    }
    let (ratio, error) = (seconds[0] / seconds[1], standard_error(&ratios));
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("\nevery message is accounted for, and every dead letter is in its topic with its reason");
    println!(
        "poisoned against clean:  {ratio:.3} times the rate, give or take {error:.3} (of each pair: {}), {:.2} times the CPU",
        each.join(", "),
        cpu_us[1] / cpu_us[0]
    );
    cpu::tell(["clean", "poisoned"], &cpu_shares);
    let is_strict = messages >= STRICT_FROM_MESSAGES
        && pairs >= STRICT_FROM_PAIRS
        && (mix.poisoned_of, mix.huge) == (STRICT_POISONED_OF, STRICT_HUGE);
    if is_strict {
        println!("at least {RATIO_MIN} times the rate is asked for");
    } else {
        println!(
            "at least {RATIO_MIN} times the rate is asked for from {STRICT_FROM_MESSAGES} messages and {STRICT_FROM_PAIRS} \
             pairs on, where noise is smaller, with one of {STRICT_POISONED_OF} poisoned and {STRICT_HUGE} of 5 MB"
        );
    }
    Ok(!is_strict || ratio >= RATIO_MIN)
}

/// A run that is not counted. It lets the broker compile what it does often, lets each of its threads allocate memory
/// for the largest message, and lets it store dead letters. All messages are poisoned, so it stores many.
fn warm_up(brokers: &str, messages: u64) -> Result<(), Box<dyn Error>> {
    let [topic, dead] = ["warm", "warm-dead"].map(|name| format!("rates-{name}-{:x}", std::process::id()));
    messages::create_topic(brokers, &topic, PARTITIONS, MESSAGE_BYTES_MAX)?;
    messages::create_topic(brokers, &dead, DEAD_PARTITIONS, MESSAGE_BYTES_MAX)?;
    let messages = messages / 4;
    let each = (messages / WARM_HUGE).max(1);
    messages::produce(brokers, &topic, messages, MESSAGE_BYTES_MAX, |id| {
        let poison = match id % each {
            0 => Poison::Huge,
            _ => SMALL[(id % SMALL.len() as u64) as usize],
        };
        poison.apply(id, messages::payload(id))
    })?;
    // The limits of rejected messages would stop it.
    let limits = "percent_max = 0\nconsecutive_max = 0";
    turns::by_turns(vec![start(brokers, &topic, &dead, messages, limits)?])?;
    Ok(())
}

/// `limits`: settings of `[reject]` that differ from the defaults.
fn start(brokers: &str, topic: &str, dead: &str, messages: u64, limits: &str) -> Result<Service, Box<dyn Error>> {
    let rest = format!(
        "[[route]]\n[[route.write]]\n{RULES}\n[reject]\naction = \"dead_letter\"\ntopic = \"{dead}\"\n{limits}"
    );
    Service::start(&Work {
        brokers,
        topic,
        group: &format!("{dead}-group"),
        messages,
        rest: &rest,
        ..Work::default()
    })
}

fn reasons(kinds: &BTreeMap<Poison, u64>) -> BTreeMap<String, u64> {
    let reasons = kinds.iter().map(|(poison, count)| (poison.reason().to_owned(), *count));
    reasons.collect()
}

/// Fails unless every consumed message is accounted for.
fn account(run: &Run, messages: u64, expected: &BTreeMap<String, u64>) -> Result<(), Box<dyn Error>> {
    let dead: u64 = expected.values().sum();
    let totals = ["consumed", "written", "dead_lettered"].map(|name| run.totals.get(name));
    if totals != [messages, messages - dead, dead].map(Ok) {
        return Err(format!("the account does not come out: {:?}", run.totals).into());
    }
    Ok(())
}

/// Fails unless the topic of dead letters contains each expected one once, and nothing else.
fn letters(brokers: &str, dead: &str, source: &str, expected: &BTreeMap<String, u64>) -> Result<(), Box<dyn Error>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // librdkafka requires the name of a group to assign partitions; nobody joins this group.
        .set("group.id", format!("{dead}-reader"))
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    let mut open = 0;
    for partition in 0..DEAD_PARTITIONS {
        assignment.add_partition_offset(dead, partition, Offset::Beginning)?;
        let (begin, end) = consumer.fetch_watermarks(dead, partition, TIMEOUT)?;
        open += end - begin;
    }
    consumer.assign(&assignment)?;
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut places = HashSet::new();
    let deadline = Instant::now() + DEADLINE;
    while open > 0 {
        if Instant::now() > deadline {
            return Err(format!("{open} messages of {dead} are not read within {DEADLINE:?}").into());
        }
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            let message = message?;
            open -= 1;
            let header = |name| header(&message, name).unwrap_or_default();
            *found.entry(header("penstock.reason")).or_default() += 1;
            if header("penstock.topic") != source {
                return Err("a dead letter names another topic than it came from".into());
            }
            places.insert((header("penstock.partition"), header("penstock.offset")));
        }
    }
    if found != *expected || places.len() as u64 != expected.values().sum::<u64>() {
        return Err(format!(
            "dead letters: expected {expected:?}, found {found:?} of {} messages",
            places.len()
        )
        .into());
    }
    Ok(())
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    String::from_utf8(header.value?.to_vec()).ok()
}
