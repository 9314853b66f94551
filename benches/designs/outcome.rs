//! What came out: figures of each design and form, the table, the JSON and the charts.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use crate::Arguments;
use crate::common::charts::{self, Bar};
use crate::common::machine::Machine;
use crate::common::report::{Rounds, Table, decimals, thousands, write_between, write_json};
use crate::design::DESIGNS;
use crate::gates::Gate;
use crate::process::{Case, folder};
use crate::rate::Rate;
use crate::silence::Silence;
use crate::work::{Form, Setup};

/// The figures of one case.
#[derive(Debug, Default)]
pub struct Figures {
    pub rate: Rounds,
    pub cpu_us: Rounds,
    pub silence: Option<Silence>,
    pub out_of_order: Option<u64>,
}

/// The figures of all cases, by the place of their design and by form.
#[derive(Debug)]
pub struct Outcomes {
    pub figures: BTreeMap<(usize, Form), Figures>,
    failures: Vec<String>,
    /// Records of the topic with which the database falls silent, and of that for the order.
    records: [u64; 2],
}

impl Outcomes {
    pub fn new(silent: u64, ordered: u64) -> Outcomes {
        Outcomes {
            figures: BTreeMap::new(),
            failures: Vec::new(),
            records: [silent, ordered],
        }
    }

    fn take<T>(&mut self, case: Case, what: &str, measured: Result<T, String>) -> Option<(&mut Figures, T)> {
        let place = DESIGNS.iter().position(|design| design.id == case.design.id)?;
        let figures = self.figures.entry((place, case.form)).or_default();
        match measured {
            Ok(measured) => Some((figures, measured)),
            Err(error) => {
                println!("{:<12} {what}: failed: {error}", case.name());
                self.failures.push(format!("{}: {what}: {error}", case.name()));
                None
            }
        }
    }

    pub fn rate(&mut self, case: Case, measured: Result<Rate, String>) {
        if let Some((figures, rate)) = self.take(case, "rate", measured) {
            figures.rate.push(rate.messages_per_s);
            figures.cpu_us.push(rate.cpu_us);
            println!(
                "{:<12} {:>8.0} messages/s {:>7.2} µs",
                case.name(),
                rate.messages_per_s,
                rate.cpu_us
            );
        }
    }

    pub fn silence(&mut self, case: Case, measured: Result<Silence, String>) {
        if let Some((figures, silence)) = self.take(case, "silence", measured) {
            figures.silence = Some(silence);
            println!(
                "{:<12} {:>8.0} MiB {:>9} lost",
                case.name(),
                silence.memory_peak_mib,
                silence.lost
            );
        }
    }

    pub fn order(&mut self, case: Case, measured: Result<u64, String>) {
        if let Some((figures, wrong)) = self.take(case, "order", measured) {
            figures.out_of_order = Some(wrong);
            println!("{:<12} {wrong:>8} records out of order", case.name());
        }
    }

    // ---- at the end

    pub fn of(&self, id: &str, form: Form) -> Option<&Figures> {
        let found = self
            .figures
            .iter()
            .find(|((place, of), _)| DESIGNS[*place].id == id && *of == form);
        found.map(|(_, figures)| figures)
    }

    /// Prints and writes everything. Returns whether all gates hold.
    pub fn report(&self, arguments: &Arguments, setup: &Setup) -> Result<bool, Box<dyn Error>> {
        let machine = Machine::here(
            "the simulator (penstock-sim), one for each design",
            "make bench-designs",
        );
        let table = self.table(setup)?;
        println!("\n{}\n{}", machine.text(), table.text());
        println!(
            "lost: of {} records; out of order: of {} records",
            self.records[0], self.records[1]
        );
        let gates = self.gates();
        for Gate { name, found, holds } in &gates {
            println!("{} {name}: {found}", if *holds { "pass" } else { "FAIL" });
        }
        for failure in &self.failures {
            println!("FAIL {failure}");
        }
        write_json(&folder().join("designs.json"), &self.json(&machine, &gates))?;
        self.charts(&folder())?;
        if arguments.docs {
            let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/benchmarks");
            let gates: String = gates
                .iter()
                .map(|Gate { name, found, holds }| {
                    format!(
                        "- {name}: {found} ({})\n",
                        if *holds { "holds" } else { "does not hold" }
                    )
                })
                .collect();
            let page = format!("{}\n{}\n{gates}", machine.markdown(), table.markdown());
            write_between(&docs.join("designs.md"), "bench-designs", &page)?;
            self.charts(&docs.join("charts"))?;
        }
        let all_hold = gates.iter().all(|gate| gate.holds);
        Ok(self.failures.is_empty() && (all_hold || arguments.short))
    }

    fn table(&self, setup: &Setup) -> Result<Table, Box<dyn Error>> {
        let mut table = Table::new([
            "design",
            "form",
            "messages/s",
            "CPU µs a message",
            "MiB, silent",
            "lost",
            "out of order",
            "lines",
        ]);
        for ((place, form), figures) in &self.figures {
            let design = &DESIGNS[*place];
            let silence = figures.silence;
            let setup = Setup {
                form: *form,
                ..setup.clone()
            };
            let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
            table.row([
                format!("{} {}", design.id, design.name),
                form.name().to_owned(),
                figures.rate.text(thousands),
                figures.cpu_us.text(decimals(1)),
                decimals(0)(silence.map_or(f64::NAN, |silence| silence.memory_peak_mib)),
                count(silence.map(|silence| silence.lost)),
                count(figures.out_of_order),
                design.lines(&setup)?.to_string(),
            ]);
        }
        Ok(table)
    }

    fn json(&self, machine: &Machine, gates: &[Gate]) -> Value {
        let figures = self.figures.iter().map(|((place, form), figures)| {
            json!({
                "design": DESIGNS[*place].id,
                "name": DESIGNS[*place].name,
                "form": form.name(),
                "messages_per_s": figures.rate.json(),
                "cpu_us": figures.cpu_us.json(),
                "memory_peak_mib": figures.silence.map(|silence| silence.memory_peak_mib),
                "lost": figures.silence.map(|silence| silence.lost),
                "out_of_order": figures.out_of_order,
            })
        });
        let gates = gates
            .iter()
            .map(|Gate { name, found, holds }| json!({ "gate": name, "found": found, "holds": holds }));
        json!({
            "machine": machine.json(),
            "records": { "silence": self.records[0], "order": self.records[1] },
            "designs": figures.collect::<Vec<_>>(),
            "gates": gates.collect::<Vec<_>>(),
            "failures": self.failures,
        })
    }

    fn charts(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        std::fs::create_dir_all(folder)?;
        let bars = |of: &dyn Fn(&Figures) -> f64,
                    spread: &dyn Fn(&Figures) -> Option<(f64, f64)>,
                    label: &dyn Fn(f64) -> String| {
            let bar = |((place, form), figures): (&(usize, Form), &Figures)| Bar {
                name: format!(
                    "{} {}, {}",
                    DESIGNS[*place].id,
                    DESIGNS[*place].name.replace('`', ""),
                    form.name()
                ),
                parts: vec![of(figures)],
                spread: spread(figures),
                label: label(of(figures)),
            };
            let bars = self.figures.iter().map(bar).filter(|bar| bar.parts[0].is_finite());
            bars.collect::<Vec<_>>()
        };
        let rates = bars(&|of| of.rate.median(), &|of| Some(of.rate.spread()), &thousands);
        charts::bars(
            &folder.join("designs-rate.svg"),
            "Rate by design",
            "messages a second",
            &[],
            &rates,
        )?;
        let cpu = bars(&|of| of.cpu_us.median(), &|of| Some(of.cpu_us.spread()), &decimals(1));
        charts::bars(
            &folder.join("designs-cpu.svg"),
            "CPU by design",
            "µs a message",
            &[],
            &cpu,
        )?;
        let memory = bars(
            &|of| of.silence.map_or(f64::NAN, |of| of.memory_peak_mib),
            &|_| None,
            &decimals(0),
        );
        charts::bars(
            &folder.join("designs-memory.svg"),
            "Peak memory, database silent",
            "MiB",
            &[],
            &memory,
        )?;
        Ok(())
    }
}
