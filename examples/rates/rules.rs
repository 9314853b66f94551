//! The cost of guards and the gain of merging: the same messages with different rules. Messages on 100 keys must be
//! consumed at least 1.5 times as fast as messages on distinct keys.

use std::error::Error;

use crate::common::messages;
use crate::common::turns::{self, Service, Work};

const HOT_RATIO_MIN: f64 = 1.5;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The sets of rules: a name, and the write.
const RULES: [(&str, &str); 5] = [
    (
        "distinct keys",
        "key = \"id\"\nbins = { a = \"a\", b = \"b\", c = \"c\", d = \"d\", seen = \"seen\" }",
    ),
    (
        "100 keys",
        "key = \"hot\"\nbins = { a = \"a\", b = \"b\", c = \"c\", d = \"d\", seen = \"seen\" }",
    ),
    (
        "distinct keys, add, no guard",
        "key = \"id\"\nguard = false\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
    (
        "distinct keys, add, guarded",
        "key = \"id\"\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
    (
        "100 keys, add, guarded",
        "key = \"hot\"\nadd = { n = 1, sum = { path = \"b\", as = \"integer\" } }",
    ),
];

/// The sums over all rounds.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    messages_per_second: f64,
    cpu_us: f64,
}

/// Prints the comparison. Returns whether merging gains as much as it must.
pub fn compare(brokers: &str, count: u64, rounds: u32) -> Result<bool, Box<dyn Error>> {
    let topic = format!("rates-{:x}", std::process::id());
    messages::create_topic(brokers, &topic, messages::PARTITIONS, MESSAGE_BYTES_MAX)?;
    messages::produce(brokers, &topic, count, MESSAGE_BYTES_MAX, |id| {
        Some(messages::payload(id).into_bytes())
    })?;
    let mut sums = [Sum::default(); RULES.len()];
    println!(
        "{:<30} {:>12} {:>18} {:>14}",
        "", "messages/s", "CPU µs a message", "rows sent"
    );
    for round in 0..rounds {
        for (number, (name, rules)) in RULES.iter().enumerate() {
            let group = format!("{topic}-{round}-{number}");
            let rest = format!("[[route]]\n[[route.write]]\nset = \"s\"\n{rules}");
            let service = Service::start(&Work {
                brokers,
                topic: &topic,
                group: &group,
                messages: count,
                rest: &rest,
                ..Work::default()
            })?;
            let run = turns::by_turns(vec![service])?.remove(0);
            let (sent, written) = (run.totals.get("sent")?, run.totals.get("rows")?);
            println!(
                "{name:<30} {:>12.0} {:>18.2} {sent:>14}",
                run.messages_per_second, run.cpu_us
            );
            if number == 1 && sent >= written {
                return Err("rows on 100 keys were not merged".into());
            }
            let sum = &mut sums[number];
            sum.messages_per_second += run.messages_per_second;
            sum.cpu_us += run.cpu_us;
        }
    }
    let rate = |over: usize, under: usize| sums[over].messages_per_second / sums[under].messages_per_second;
    let cpu = |over: usize, under: usize| sums[over].cpu_us / sums[under].cpu_us;
    println!(
        "\n100 keys against distinct keys:   {:.2} times the rate (at least {HOT_RATIO_MIN})",
        rate(1, 0)
    );
    println!(
        "guarded against not, distinct:    {:.2} times the rate, {:.2} times the CPU",
        rate(3, 2),
        cpu(3, 2)
    );
    println!("guarded, 100 keys against distinct: {:.2} times the rate", rate(4, 3));
    Ok(rate(1, 0) >= HOT_RATIO_MIN)
}
