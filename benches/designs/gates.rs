//! The gates: what the service must reach beside the other designs. Ratios of one run only.

use crate::design::{CLOJURE, DESIGNS, SERVICE};
use crate::outcome::Outcomes;
use crate::work::Form;

/// What the service must reach.
const SINGLE_RATIO_MIN: f64 = 4.5;
const CLOJURE_RATIO_MIN: f64 = 5.0;
const CLOJURE_CPU_RATIO_MIN: f64 = 9.0;

/// What was asked for, what was found, and whether it is enough.
#[derive(Debug)]
pub struct Gate {
    pub name: String,
    pub found: String,
    pub holds: bool,
}

impl Gate {
    fn new(name: impl Into<String>, found: String, holds: bool) -> Gate {
        Gate {
            name: name.into(),
            found,
            holds,
        }
    }
}

impl Outcomes {
    /// All gates. Those whose figures are missing are left out.
    pub fn gates(&self) -> Vec<Gate> {
        let mut gates = Vec::new();
        let Some(service) = self.of(SERVICE, Form::Native) else {
            return gates;
        };
        let (rate, cpu_us) = (service.rate.median(), service.cpu_us.median());
        for form in [Form::Single, Form::Batch, Form::Native] {
            let others = self
                .figures
                .iter()
                .filter(|((place, of), _)| DESIGNS[*place].is_other() && *of == form);
            let best = others.max_by(|one, other| one.1.rate.median().total_cmp(&other.1.rate.median()));
            let Some(((place, _), best)) = best.filter(|_| rate.is_finite()) else {
                continue;
            };
            let ratio = rate / best.rate.median();
            // Only the first one is a gate; the others are told as they are.
            let (limit, holds) = match form {
                Form::Single => (format!("at least {SINGLE_RATIO_MIN}"), ratio >= SINGLE_RATIO_MIN),
                _ => ("reported".to_owned(), true),
            };
            let name = format!("rate against the best of 1 to 6, {} ({limit})", form.name());
            gates.push(Gate::new(
                name,
                format!("{ratio:.2} × design {}", DESIGNS[*place].id),
                holds,
            ));
        }
        if let Some(clojure) = self.of(CLOJURE, Form::Single).filter(|_| rate.is_finite()) {
            let (times, less) = (rate / clojure.rate.median(), clojure.cpu_us.median() / cpu_us);
            let name = |what: &str, limit: f64| format!("{what} against the Clojure service (at least {limit})");
            gates.push(Gate::new(
                name("rate", CLOJURE_RATIO_MIN),
                format!("{times:.2} ×"),
                times >= CLOJURE_RATIO_MIN,
            ));
            let found = format!("1/{less:.1} of the CPU");
            gates.push(Gate::new(
                name("CPU, 1/n", CLOJURE_CPU_RATIO_MIN),
                found,
                less >= CLOJURE_CPU_RATIO_MIN,
            ));
        }
        if let Some(own) = service.silence {
            let others = self
                .figures
                .iter()
                .filter(|((place, _), _)| DESIGNS[*place].id != SERVICE);
            let peaks =
                others.filter_map(|((place, form), figures)| Some((figures.silence?.memory_peak_mib, *place, *form)));
            if let Some((peak, place, form)) = peaks.min_by(|one, other| one.0.total_cmp(&other.0)) {
                let found = format!(
                    "{:.0} MiB; the lowest of the others, design {} {}: {peak:.0} MiB",
                    own.memory_peak_mib,
                    DESIGNS[place].id,
                    form.name()
                );
                gates.push(Gate::new(
                    "memory with the database silent (the lowest)".to_owned(),
                    found,
                    own.memory_peak_mib <= peak,
                ));
            }
        }
        let kept = service.silence.is_none_or(|silence| silence.lost == 0)
            && service.out_of_order.is_none_or(|wrong| wrong == 0);
        gates.push(Gate::new(
            "the service loses nothing and keeps the order".to_owned(),
            kept.to_string(),
            kept,
        ));
        gates
    }
}
