//! What must hold: ratios of figures of one run. Absolute figures are only reported.

use serde_json::{Value, json};

use crate::common::machine::cores;
use crate::common::report::{Table, decimals};
use crate::common::workload::POISONED_OF;
use crate::results::Results;

/// A ratio, and the least that it must be.
#[derive(Debug)]
struct Gate {
    what: &'static str,
    ratio: f64,
    /// How far the ratio may be off.
    error: f64,
    least: f64,
    /// The figures that it comes from.
    of: String,
}

impl Gate {
    /// What is not known fails nothing: a broker or a database on another machine.
    fn verdict(&self) -> &'static str {
        match self.ratio {
            ratio if !ratio.is_finite() => "not measured",
            ratio if ratio + self.error >= self.least => "pass",
            _ => "FAIL",
        }
    }
}

/// All gates of a run.
#[derive(Debug)]
pub struct Gates(Vec<Gate>);

impl Gates {
    pub fn of(results: &Results) -> Gates {
        let median = |work: &str, figure: &str| results.median(work, figure);
        let rate = |work: &str| median(work, "messages_per_s");
        let of = |one: f64, other: f64| format!("{one:.0} and {other:.0} messages/s");
        let possible = cores() as f64 * 1e6 / median("A", "parts_cpu_us");
        let ratio = |what, one: f64, other: f64, least| Gate {
            what,
            ratio: one / other,
            error: 0.0,
            least,
            of: of(one, other),
        };
        let mut gates = vec![
            ratio("A against cores / CPU of its parts alone", rate("A"), possible, 0.9),
            ratio("C (Zipf keys) against A", rate("C"), rate("A"), 1.2),
            ratio("D (guarded counters) against A", rate("D"), rate("A"), 0.7),
            ratio("64 partitions against 8", rate("A64"), rate("A"), 0.9),
        ];
        gates.push(match results.overhead {
            Some(overhead) => Gate {
                what: "metrics asked once a second, against none",
                ratio: overhead.ratio,
                error: overhead.error,
                least: 0.98,
                of: format!("by turns, give or take {:.3}", overhead.error),
            },
            None => ratio("metrics asked once a second, against none", f64::NAN, f64::NAN, 0.98),
        });
        Gates(gates)
    }

    pub fn hold(&self) -> bool {
        self.0.iter().all(|gate| gate.verdict() != "FAIL")
    }

    pub fn table(&self) -> Table {
        let mut table = Table::new(["gate", "ratio", "at least", "verdict", "of"]);
        let is_known = |gate: &&Gate| gate.ratio.is_finite();
        for gate in self.0.iter().filter(is_known) {
            table.row([
                gate.what.to_owned(),
                decimals(3)(gate.ratio),
                decimals(2)(gate.least),
                gate.verdict().to_owned(),
                gate.of.clone(),
            ]);
        }
        table
    }

    pub fn json(&self) -> Value {
        let gates = self.0.iter().map(|gate| {
            json!({ "what": gate.what, "ratio": gate.ratio, "error": gate.error, "at_least": gate.least,
                    "verdict": gate.verdict() })
        });
        gates.collect()
    }
}

/// CPU per dead letter of service and broker: what F takes more than A, in microseconds.
pub fn dead_letter_us(results: &Results) -> [f64; 2] {
    ["service_cpu_us", "broker_cpu_us"]
        .map(|figure| (results.median("F", figure) - results.median("A", figure)) * POISONED_OF as f64)
}
