//! The order of the measurements: topics, rounds of rates in turn, then silence and order, several designs at once.

use std::collections::VecDeque;
use std::error::Error;
use std::process::Command;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::Arguments;
use crate::common::messages::{self, PARTITIONS};
use crate::common::workload::{Maker, Workload};
use crate::design::{CLOJURE, DESIGNS};
use crate::order::Versions;
use crate::outcome::Outcomes;
use crate::process::{Case, script};
use crate::rate::{self, Amount, Span};
use crate::silence;
use crate::work::Setup;

const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    messages: u64,
    rounds: u32,
    span: Span,
    /// Messages of the topic with which the database falls silent. More bytes than the client's queue takes.
    silence_messages: u64,
    silence: Duration,
    order_messages: u64,
}

const FULL: Scale = Scale {
    messages: 2_000_000,
    rounds: 3,
    span: Span {
        warm: Duration::from_millis(1000),
        window: Duration::from_millis(3000),
    },
    silence_messages: 200_000,
    silence: Duration::from_secs(20),
    order_messages: 60_000,
};
const SHORT: Scale = Scale {
    messages: 400_000,
    rounds: 1,
    span: Span {
        warm: Duration::from_millis(200),
        window: Duration::from_millis(500),
    },
    silence_messages: 30_000,
    silence: Duration::from_secs(7),
    order_messages: 8_000,
};
/// How many designs are silent at once. They take no CPU then.
const SILENT_AT_ONCE: usize = 8;
const ORDERED_AT_ONCE: usize = 4;

/// Returns whether all gates hold.
pub fn compare(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let brokers = &arguments.kafka;
    if brokers.is_empty() {
        return Err("--kafka is needed: make bench-designs starts one".into());
    }
    let mut scale = if arguments.short { SHORT } else { FULL };
    scale.rounds = arguments.rounds.unwrap_or(scale.rounds);
    let cases = cases(arguments);
    let run = format!("designs-{:x}", std::process::id());
    let topic = |kind: &str| format!("{run}-{kind}");
    let setup = |kind: &str, name: &str| Setup {
        brokers: brokers.clone(),
        topic: topic(kind),
        group: format!("{run}-{kind}-{}", name.replace(' ', "-")),
        hosts: String::new(),
        form: crate::Form::Single,
    };

    println!(
        "{} messages for rates, {} for silence, {} for order",
        scale.messages, scale.silence_messages, scale.order_messages
    );
    let amount = |kind: &str, count: u64| -> Result<Amount, Box<dyn Error>> {
        messages::create_topic(brokers, &topic(kind), PARTITIONS, MESSAGE_BYTES_MAX)?;
        messages::send(
            brokers,
            &topic(kind),
            MESSAGE_BYTES_MAX,
            Maker::new(Workload::A, PARTITIONS).messages(count),
        )?;
        let rows = Workload::A.account(0..count).rows;
        Ok(Amount { messages: count, rows })
    };
    let rates = amount("rates", scale.messages)?;
    let silent = amount("silence", scale.silence_messages)?;
    let mut versions = Versions::new(scale.order_messages);
    messages::create_topic(brokers, &topic("order"), PARTITIONS, MESSAGE_BYTES_MAX)?;
    messages::send(
        brokers,
        &topic("order"),
        MESSAGE_BYTES_MAX,
        std::mem::take(&mut versions.messages),
    )?;

    let outcomes = Mutex::new(Outcomes::new(silent.rows, versions.records() as u64));
    for round in 0..scale.rounds {
        // The machine may become slower meanwhile: each round begins with another design.
        for number in 0..cases.len() {
            let case = cases[(number + round as usize * 7) % cases.len()];
            let setup = Setup {
                form: case.form,
                ..setup("rates", &format!("{} {round}", case.name()))
            };
            let measured = rate::measure(case, &setup, rates, scale.span).map_err(|error| error.to_string());
            outcomes.lock().rate(case, measured);
        }
    }
    at_once(&cases, SILENT_AT_ONCE, |case| {
        let setup = Setup {
            form: case.form,
            ..setup("silence", &case.name())
        };
        let measured = silence::measure(case, &setup, silent.rows, scale.silence).map_err(|error| error.to_string());
        outcomes.lock().silence(case, measured);
    });
    at_once(&cases, ORDERED_AT_ONCE, |case| {
        let setup = Setup {
            form: case.form,
            ..setup("order", &case.name())
        };
        let measured = versions.measure(case, &setup).map_err(|error| error.to_string());
        outcomes.lock().order(case, measured);
    });
    outcomes.into_inner().report(arguments, &setup("rates", ""))
}

/// What is measured, the one in Clojure only if its jars are there.
fn cases(arguments: &Arguments) -> Vec<Case> {
    let mut cases = Vec::new();
    // Clojure first: its group waits longest for a killed member, and the others go on meanwhile.
    for design in DESIGNS.iter().rev().filter(|design| design.is_in(&arguments.only)) {
        if design.id == CLOJURE && !has_clojure() {
            println!("Design 8 is left out: it needs Java and Maven. `scripts/setup.sh kafka` installs them.");
            continue;
        }
        cases.extend(design.forms.iter().map(|form| Case { design, form: *form }));
    }
    cases
}

fn has_clojure() -> bool {
    let fetched = Command::new(script()).arg("--fetch").status();
    fetched.is_ok_and(|status| status.success())
}

/// Measures the cases, in this order, `width` of them at once.
fn at_once(cases: &[Case], width: usize, measure: impl Fn(Case) + Sync) {
    let open: Mutex<VecDeque<Case>> = Mutex::new(cases.iter().copied().collect());
    thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                loop {
                    // The lock is given back before the case is measured.
                    let next = open.lock().pop_front();
                    let Some(case) = next else { break };
                    measure(case);
                }
            });
        }
    });
}
