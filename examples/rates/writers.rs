//! The two writers: the same service over the same messages, with `aerospike.writer = "client"` and with `"native"`, in
//! turns. The native one must take at most 0.6 of the client's CPU time per message.
//!
//! The workload: events of some 560 bytes, of which one in five is filtered; each of the others becomes one record of
//! five bins. The simulator takes part of the CPU of the same machine, so the rates are only printed. With
//! `AEROSPIKE_HOSTS`, both write to that cluster.

use std::cell::RefCell;
use std::error::Error;

use crate::common::cpu::{self, CpuShares, standard_error};
use crate::common::events::EventGenerator;
use crate::common::messages;
use crate::common::turns::{self, Service, Work};

const CPU_RATIO_MAX: f64 = 0.6;
/// The limit applies from this number of pairs on. A short run, or code that is not optimised, shows something else.
const STRICT_FROM_PAIRS: u32 = 4;
const MESSAGE_BYTES_MAX: usize = 1 << 20;
const SEED: u64 = 1;
const WRITERS: [&str; 2] = ["client", "native"];

pub const RULES: &str = "[[route]]\nwhen = \"type != 'heartbeat'\"\n[[route.write]]\nset = \"events\"\nkey = \"id\"\n\
                     bins = { type = \"type\", user = \"user.id\", country = \"user.country\", ts = \"ts\", \
                     amount = { path = \"amount\", as = \"float\" } }";

/// Prints the comparison. Returns whether the native writer takes as little as it must. `pairs`: how often each writer
/// is run.
pub fn compare(brokers: &str, count: u64, pairs: u32) -> Result<bool, Box<dyn Error>> {
    let hosts = std::env::var("AEROSPIKE_HOSTS").ok();
    let topic = format!("writers-{:x}", std::process::id());
    messages::create_topic(brokers, &topic, messages::PARTITIONS, MESSAGE_BYTES_MAX)?;
    let filtered = produce(brokers, &topic, count)?;
    println!(
        "\nWriters: {count} events, {filtered} of them filtered, on {}\n\n{:<12} {:>12} {:>18} {:>14}",
        hosts.as_deref().unwrap_or("a simulator"),
        "",
        "messages/s",
        "CPU µs a message",
        "rows sent"
    );
    let (mut cpu_us, mut seconds) = ([0.0; 2], [0.0; 2]);
    let mut cpu_shares = [CpuShares::new(), CpuShares::new()];
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut services = Vec::new();
        for which in order {
            services.push(Service::start(&Work {
                brokers,
                topic: &topic,
                group: &format!("{topic}-{pair}-{which}"),
                messages: count,
                hosts: hosts.as_deref(),
                aerospike: &format!("writer = \"{}\"", WRITERS[which]),
                rest: RULES,
            })?);
        }
        let mut cpu = [0.0; 2];
        for (which, run) in order.into_iter().zip(turns::by_turns(services)?) {
            let totals = ["consumed", "written", "filtered"].map(|name| run.totals.get(name));
            if totals != [count, count - filtered, filtered].map(Ok) {
                return Err(format!("the account does not come out: {:?}", run.totals).into());
            }
            println!(
                "{:<12} {:>12.0} {:>18.2} {:>14}",
                WRITERS[which],
                run.messages_per_second,
                run.cpu_us,
                run.totals.get("sent")?
            );
            cpu[which] = run.cpu_us;
            cpu_us[which] += run.cpu_us;
            seconds[which] += count as f64 / run.messages_per_second;
            for (name, share) in run.cpu_shares {
                *cpu_shares[which].entry(name).or_default() += share / f64::from(pairs);
            }
        }
        ratios.push(cpu[1] / cpu[0]);
    }
    let ratio = cpu_us[1] / cpu_us[0];
    println!(
        "\nnative against client: {ratio:.2} times the CPU, give or take {:.2} (at most {CPU_RATIO_MAX} from {STRICT_FROM_PAIRS} pairs on), {:.2} times the rate",
        standard_error(&ratios),
        seconds[0] / seconds[1]
    );
    cpu::tell(WRITERS, &cpu_shares);
    Ok(pairs < STRICT_FROM_PAIRS || ratio <= CPU_RATIO_MAX)
}

/// Produces the events. Returns how many of them the rules filter.
fn produce(brokers: &str, topic: &str, count: u64) -> Result<u64, Box<dyn Error>> {
    let state = RefCell::new((EventGenerator::new(SEED), 0));
    messages::produce(brokers, topic, count, MESSAGE_BYTES_MAX, |id| {
        let (generator, filtered) = &mut *state.borrow_mut();
        let mut event = Vec::new();
        let facts = generator.event(id, &mut event);
        *filtered += u64::from(facts.event_type.name() == "heartbeat");
        Some(event)
    })?;
    Ok(state.into_inner().1)
}
