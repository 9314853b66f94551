//! The results of a run, as tables, as JSON, as charts, and on the page of figures.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::charts::{Bar, Line, bars, lines};
use crate::common::machine::{Machine, cores};
use crate::common::report::{Rounds, Table, decimals, thousands, write_between, write_json};
use crate::gates::{Gates, dead_letter_us};
use crate::latency::Step;
use crate::overhead::Overhead;
use crate::whole::Figures;

pub const JSON_FILE: &str = "target/bench/service.json";
const CHARTS_FOLDER: &str = "target/bench";
const PAGE: &str = "docs/benchmarks/service.md";
const PROCESSES: [&str; 3] = ["service", "broker", "database"];

/// Everything that was measured.
#[derive(Debug)]
pub struct Results {
    pub machine: Machine,
    pub rounds: u32,
    /// Workloads, and A64, which is A on 64 partitions, with what they are.
    pub works: Vec<(String, String)>,
    pub figures: BTreeMap<String, Figures>,
    pub latencies: Vec<(String, Vec<Step>)>,
    pub overhead: Option<Overhead>,
}

impl Results {
    fn figure(&self, work: &str, figure: &str) -> Rounds {
        let figures = self.figures.get(work);
        figures
            .and_then(|figures| figures.get(figure))
            .cloned()
            .unwrap_or_default()
    }

    pub fn median(&self, work: &str, figure: &str) -> f64 {
        self.figure(work, figure).median()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.works.iter().map(|(name, _)| name.as_str())
    }

    /// Tables with their titles.
    fn tables(&self, gates: &Gates) -> Vec<(String, Table)> {
        let mut about = Table::new(["workload", "messages"]);
        for (name, what) in &self.works {
            about.row([name.clone(), what.clone()]);
        }
        let mut tables = vec![
            ("The workloads".to_owned(), about),
            (
                format!(
                    "The whole service: medians of {} rounds, with lowest and highest",
                    self.rounds
                ),
                self.whole(),
            ),
            ("CPU of a message, in µs".to_owned(), self.cpu()),
            (
                "The parts alone (messages, and µs of CPU a message)".to_owned(),
                self.parts(),
            ),
        ];
        if !self.latencies.is_empty() {
            let title = "Delivery latency, by share of the highest rate (with the producer on the same machine)";
            tables.push((title.to_owned(), self.latency()));
        }
        tables.push(("What must hold".to_owned(), gates.table()));
        tables
    }

    fn whole(&self) -> Table {
        let mut table = Table::new([
            "workload",
            "messages/s",
            "peak RSS, MiB",
            "bound, MiB",
            "rows a batch",
            "write p50, ms",
            "p99",
            "p99.9",
        ]);
        for name in self.names() {
            let short = |figure, places| decimals(places)(self.median(name, figure));
            let (_, rss) = self.figure(name, "rss_mib").spread();
            table.row([
                name.to_owned(),
                self.figure(name, "messages_per_s").text(thousands),
                decimals(0)(rss),
                short("bound_mib", 0),
                short("batch_rows", 0),
                short("write_p50_ms", 2),
                short("write_p99_ms", 2),
                short("write_p999_ms", 2),
            ]);
        }
        table
    }

    fn cpu(&self) -> Table {
        let mut table = Table::new(["workload", "service", "broker", "database", "all"]);
        for name in self.names() {
            let each = PROCESSES.map(|process| self.figure(name, &format!("{process}_cpu_us")));
            let all: f64 = each.iter().map(Rounds::median).sum();
            let cells = each.iter().map(|rounds| rounds.text(decimals(2)));
            table.row(std::iter::once(name.to_owned()).chain(cells).chain([decimals(2)(all)]));
        }
        table
    }

    fn parts(&self) -> Table {
        let mut table = Table::new([
            "workload",
            "read/s",
            "µs (broker)",
            "decode, µs",
            "write/s",
            "µs (database)",
            "sum, µs",
            "possible/s",
        ]);
        for name in self
            .names()
            .filter(|name| self.median(name, "decode_cpu_us").is_finite())
        {
            let us = |figure| decimals(2)(self.median(name, figure));
            let rate = |figure| thousands(self.median(name, figure));
            table.row([
                name.to_owned(),
                rate("consume_messages_per_s"),
                format!("{} ({})", us("consume_cpu_us"), us("consume_broker_cpu_us")),
                us("decode_cpu_us"),
                rate("write_messages_per_s"),
                format!("{} ({})", us("write_cpu_us"), us("write_database_cpu_us")),
                us("parts_cpu_us"),
                thousands(cores() as f64 * 1e6 / self.median(name, "parts_cpu_us")),
            ]);
        }
        table
    }

    fn latency(&self) -> Table {
        let mut table = Table::new([
            "workload",
            "load",
            "asked for, messages/s",
            "delivered",
            "p50, ms",
            "p99, ms",
        ]);
        for (name, steps) in &self.latencies {
            for step in steps {
                table.row([
                    name.clone(),
                    step.load.clone(),
                    format!("{:.0}", step.asked),
                    format!("{:.0}", step.delivered),
                    decimals(1)(step.p50_ms),
                    decimals(1)(step.p99_ms),
                ]);
            }
        }
        table
    }

    fn dead_letter(&self) -> String {
        let [service, broker] = dead_letter_us(self);
        match (service.is_finite(), broker.is_finite()) {
            (true, true) => {
                format!("CPU per dead letter (F less A): {service:.0} µs of the service, {broker:.0} of the broker.")
            }
            (true, false) => format!("CPU per dead letter (F less A): {service:.0} µs of the service."),
            _ => String::new(),
        }
    }

    pub fn text(&self, gates: &Gates) -> String {
        let tables = self.tables(gates).into_iter();
        let tables = tables.map(|(title, table)| format!("{title}\n\n{}\n", table.text()));
        tables.collect::<String>() + &self.dead_letter() + "\n"
    }

    fn json(&self, gates: &Gates) -> Value {
        let figures = self.figures.iter().map(|(work, figures)| {
            let figures = figures.iter().map(|(name, rounds)| ((*name).to_owned(), rounds.json()));
            (work.clone(), Value::Object(figures.collect()))
        });
        let latencies = self.latencies.iter().map(|(work, steps)| {
            let steps = steps.iter().map(|step| {
                json!({ "load": step.load, "asked": step.asked, "delivered": step.delivered, "p50_ms": step.p50_ms,
                        "p99_ms": step.p99_ms })
            });
            (work.clone(), steps.collect::<Value>())
        });
        json!({
            "machine": self.machine.json(),
            "cores": cores(),
            "rounds": self.rounds,
            "workloads": Value::Object(figures.collect()),
            "delivery_latency": Value::Object(latencies.collect()),
            "metrics_on_off": self.overhead.map(|overhead| json!({ "ratio": overhead.ratio, "error": overhead.error })),
            "dead_letter_cpu_us": dead_letter_us(self),
            "gates": gates.json(),
        })
    }

    /// Writes JSON and charts. `on_page`: also the page of figures, with its charts in `charts` beside it.
    pub fn write(&self, gates: &Gates, on_page: bool) -> Result<(), Box<dyn Error>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        write_json(&root.join(JSON_FILE), &self.json(gates))?;
        self.charts(&root.join(CHARTS_FOLDER))?;
        if on_page {
            let page = root.join(PAGE);
            let folder = page.parent().ok_or("the page has no folder")?;
            let charts = self.charts(&folder.join("charts"))?;
            let mut content = self.machine.markdown();
            for (title, table) in self.tables(gates) {
                content += &format!("\n### {title}\n\n{}", table.markdown());
            }
            content += &format!("\n{}\n\n### Charts\n", self.dead_letter());
            for (file, title) in charts {
                content += &format!("\n![{title}](charts/{file})\n");
            }
            write_between(&page, "make bench", &content)?;
        }
        Ok(())
    }

    /// Draws the charts into a folder. Returns their files and titles.
    fn charts(&self, folder: &Path) -> Result<Vec<(&'static str, &'static str)>, Box<dyn Error>> {
        let bar = |name: &str, parts: Vec<f64>, spread, label| Bar {
            name: name.to_owned(),
            parts,
            spread,
            label,
        };
        let rates = self.names().map(|name| {
            let rounds = self.figure(name, "messages_per_s");
            let median = rounds.median();
            bar(name, vec![median], Some(rounds.spread()), thousands(median))
        });
        let known = |figure: f64| if figure.is_finite() { figure } else { 0.0 };
        let cpu = self.names().map(|name| {
            let parts = PROCESSES.map(|process| known(self.median(name, &format!("{process}_cpu_us"))));
            let all: f64 = parts.iter().sum();
            bar(name, parts.to_vec(), None, format!("{all:.1}"))
        });
        let mut charts = vec![
            ("service-rate.svg", "Messages a second"),
            ("service-cpu.svg", "CPU of a message"),
        ];
        let file = |number: usize, charts: &[(&'static str, &'static str)]| folder.join(charts[number].0);
        bars(
            &file(0, &charts),
            charts[0].1,
            "messages/s",
            &[],
            &rates.collect::<Vec<_>>(),
        )?;
        bars(
            &file(1, &charts),
            charts[1].1,
            "µs",
            &PROCESSES,
            &cpu.collect::<Vec<_>>(),
        )?;
        let curves = self.latencies.iter().flat_map(|(name, steps)| {
            let mut steps = steps.clone();
            steps.sort_unstable_by(|one, other| one.asked.total_cmp(&other.asked));
            let line = |quantile: &str, of: fn(&Step) -> f64| Line {
                name: format!("{name}, {quantile}"),
                points: steps
                    .iter()
                    .map(|step| (step.delivered, of(step)))
                    .filter(|(_, ms)| ms.is_finite())
                    .collect(),
            };
            [line("p50", |step| step.p50_ms), line("p99", |step| step.p99_ms)]
        });
        let curves: Vec<Line> = curves.filter(|line| !line.points.is_empty()).collect();
        if !curves.is_empty() {
            charts.push(("service-latency.svg", "Delivery latency"));
            lines(&file(2, &charts), charts[2].1, ["messages/s", "ms"], &curves)?;
        }
        Ok(charts)
    }
}
