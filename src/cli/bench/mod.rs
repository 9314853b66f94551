//! `penstock bench`: how fast a configuration is on the user's own services, which settings are enough, and what limits.
//!
//! What is written, and how much, is said first; it needs a yes. Progress goes to standard error, the result to standard
//! output.

// A curve on a terminal.
mod chart;
// All figures as JSON.
mod figures_json;

use std::cell::Cell;
use std::fs;
use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::RangedU64ValueParser;
use log::error;

use super::message::{Defaults, OwnedMessage, enveloped};
use super::visible::visible;
use super::{is_stdin, json, load_to_connect, refuse, shown};
use crate::bench::load::now_ms;
use crate::bench::run::{Failure, Options, Ready, Report, Source, Watch, clean, prepare, read_topics};
use crate::bench::scratch::{KEYS_MAX, SET, TTL_S};
use crate::bench::verdict::{grouped, recommended, words};
use crate::config::model::Config;
use crate::config::values::units;
use crate::rules::mapping::Mapping;
use crate::util::exit::Exit;
use crate::util::logging::as_error;
use crate::util::screen;
use crate::util::stop::{Stop, leave_now, stop_on_signals};

/// The arguments of `bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// The configuration, a TOML file; - is standard input.
    file: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Only this topic of the configuration.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Messages from a file, one per line, not from Kafka.
    #[arg(long, value_name = "PATH")]
    messages_from: Option<PathBuf>,
    /// Each line is an envelope {"key": …, "payload": …}.
    #[arg(long, requires = "messages_from")]
    envelope: bool,
    /// Threads, as if the topics had N partitions.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..=1024))]
    partitions: Option<u32>,
    /// Write at most N records, again and again (100000).
    #[arg(long, value_name = "N", default_value_t = 100_000, hide_default_value = true,
        value_parser = RangedU64ValueParser::<u32>::new().range(100..=u64::from(KEYS_MAX)))]
    keys: u32,
    /// How long a step lasts (2s); there are some 20.
    #[arg(long, value_name = "TIME", default_value = "2s", hide_default_value = true, value_parser = duration)]
    step: Duration,
    /// At most N rows per second.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    max_rate: Option<u32>,
    /// At most N threads (64).
    #[arg(long, value_name = "N", default_value_t = 64, hide_default_value = true,
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=1024))]
    max_threads: u32,
    /// Raise nothing if 1 % of calls take longer (100ms).
    #[arg(long, value_name = "TIME", default_value = "100ms", hide_default_value = true,
        value_parser = duration)]
    max_latency: Duration,
    /// Write all figures to this new file.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Only delete what a killed call has left.
    #[arg(long)]
    clean: bool,
    /// No progress.
    #[arg(short, long)]
    quiet: bool,
}

/// Steps are not shorter and not longer.
const STEP_MIN: Duration = Duration::from_millis(50);
const STEP_MAX: Duration = Duration::from_secs(600);

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text)
        .ok()
        .filter(|duration| (STEP_MIN..=STEP_MAX).contains(duration))
        .ok_or_else(|| "a number and a unit, from 50ms to 10m".to_owned())
}

/// Measures.
pub(super) fn bench(arguments: &Bench) -> Exit {
    let stop = Stop::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        error!("cannot install the signal handlers error=\"{error}\"");
        return Exit::Panic;
    }
    let may_ask = io::stdin().is_terminal() && io::stderr().is_terminal() && !is_stdin(&arguments.file);
    let Some(config) = load_to_connect(&arguments.file) else {
        return Exit::Configuration;
    };
    if let Some(topic) = &arguments.topic
        && !config.kafka.topics.contains(topic)
    {
        let topics = config.kafka.topics.join(", ");
        let topic = visible(topic);
        return refuse(&format!(
            "the configuration reads no topic \"{topic}\"; it reads: {topics}"
        ));
    }
    if let Some(path) = &arguments.json
        && path.exists()
    {
        return refuse(&format!("--json: {} is there already", shown(path)));
    }
    let mapping = match Mapping::compile(&config) {
        Ok(mapping) => mapping,
        Err(error) => {
            tell(&error.to_string());
            return Exit::Panic;
        }
    };
    let shown = Shown::new(arguments.quiet);
    let exit = match arguments.clean {
        true => clean_only(&config, &mapping, &stop, &shown),
        false => measure(arguments, may_ask, &config, &mapping, &stop, &shown),
    };
    let exit = exit.unwrap_or_else(|failure| {
        screen::erase();
        tell(&as_error(&failure.why));
        failure.exit
    });
    // Threads of the clients may still run. Exit handlers would remove data that these threads use.
    leave_now(exit)
}

fn clean_only(config: &Config, mapping: &Mapping, stop: &Stop, shown: &Shown) -> Result<Exit, Failure> {
    let found = clean(config, mapping, stop, shown)?;
    screen::erase();
    let text = match found {
        true => format!("deleted what was left in the set {SET}\n"),
        false => format!("nothing is left in the set {SET}\n"),
    };
    print(&text);
    Ok(Exit::Stopped)
}

fn measure(
    arguments: &Bench,
    may_ask: bool,
    config: &Config,
    mapping: &Mapping,
    stop: &Stop,
    shown: &Shown,
) -> Result<Exit, Failure> {
    let mut source = match &arguments.messages_from {
        Some(path) => from_file(path, arguments, config)?,
        None => read_topics(config, arguments.topic.as_deref(), stop)?,
    };
    if let Some(partitions) = arguments.partitions {
        source.partitions = size(partitions);
    }
    let options = Options {
        keys: arguments.keys,
        step: arguments.step,
        rows_per_s_max: arguments.max_rate,
        threads_max: size(arguments.max_threads),
        latency_max: arguments.max_latency,
    };
    let ready = prepare(config, mapping, &source, &options, stop)?;
    tell(&announcement(&ready, &source, &options));
    if !arguments.yes && !may_ask {
        return Err(Failure::new(
            Exit::Usage,
            "without a terminal it asks nobody: add --yes to write to the scratch set".to_owned(),
        ));
    }
    if !arguments.yes && !is_wanted()? {
        tell("nothing was written");
        return Ok(Exit::Found);
    }
    let report = ready.measure(stop, shown)?;
    screen::erase();
    print(&text(&report, &ready, &source));
    for line in report.stopped.iter().chain(&report.left).flat_map(|text| text.lines()) {
        tell(&as_error(chart::wrapped(line).trim_end()));
    }
    let mut exit = report.exit;
    if let Some(path) = &arguments.json {
        let text = json::lines(&figures_json::report(&report, &ready.made)) + "\n";
        if let Err(error) = write_new(path, &text) {
            tell(&as_error(&format!("{}: cannot be written: {error}", path.display())));
            exit = exit.or_worse(Exit::Usage);
        }
    }
    Ok(exit)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// How many partitions the topics are taken to have where Kafka is not asked.
const PARTITIONS: usize = 8;

/// The messages in a file, one per line.
fn from_file(path: &Path, arguments: &Bench, config: &Config) -> Result<Source, Failure> {
    let refused = |why: String| Failure::new(Exit::Usage, why);
    let file = fs::File::open(path).map_err(|error| refused(format!("{}: cannot be read: {error}", shown(path))))?;
    let mut source = Source {
        partitions: PARTITIONS,
        ..Source::default()
    };
    let mut defaults = Defaults::new(config, arguments.topic.as_deref(), now_ms());
    for (number, line) in (1..).zip(BufReader::new(file).split(b'\n')) {
        let at = |why: String| refused(format!("{}:{number}: {why}", shown(path)));
        let line = line.map_err(|error| at(format!("cannot be read: {error}")))?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if line.is_empty() {
            continue;
        }
        let message = if arguments.envelope {
            enveloped(line, &defaults)
        } else {
            OwnedMessage::bare(line, &defaults)
        };
        let message = message.map_err(at)?;
        if source.sample.add(&message.view()).is_break() {
            break;
        }
        defaults.offset += 1;
    }
    Ok(source)
}

/// What will be done, before anything is written.
fn announcement(ready: &Ready<'_>, source: &Source, options: &Options) -> String {
    let made = &ready.made;
    let mut lines = Vec::new();
    let topics: Vec<&str> = source.topics.iter().map(|(topic, _)| topic.as_str()).collect();
    match topics.as_slice() {
        [] => lines.push(format!("messages  {} from the file; Kafka is not asked", made.messages)),
        topics => {
            lines.push(format!(
                "reads     the newest messages of {} ({} taken),",
                topics.join(", "),
                made.messages
            ));
            lines.push("          outside of the group; commits nothing".to_owned());
            if !source.absent.is_empty() {
                lines.push(format!("          without {}: no such topic", source.absent.join(", ")));
            }
        }
    }
    for namespace in &ready.namespaces {
        let bytes = u64::from(options.keys) * made.record_bytes() * u64::from(namespace.copies);
        lines.push(format!(
            "writes    to the set {SET} of the namespace {}, and nothing else:",
            namespace.name
        ));
        lines.push(format!(
            "          at most {} records, about {} MB{},",
            grouped(f64::from(options.keys)),
            grouped((bytes as f64 / 1e6).ceil()),
            match namespace.copies {
                0 | 1 => String::new(),
                copies => format!(" with {copies} copies of each"),
            }
        ));
        lines.push(match namespace.has_ttl {
            true => format!("          with a ttl of {} minutes; deleted at the end", TTL_S / 60),
            false => "          without a ttl (nsup-period is 0); deleted at the end".to_owned(),
        });
    }
    lines.push(match ready.rows_per_s_max() {
        Some(max) => format!("load      up to {} rows per second,", grouped(f64::from(max))),
        None => "load      as fast as the database takes it (--max-rate limits it),".to_owned(),
    });
    lines.push(format!(
        "          by up to {} threads, for about {} s",
        ready.threads_max(),
        ready.lasts().as_secs().max(1)
    ));
    lines.push("stops     at the first sign that the database has enough, and at Ctrl-C".to_owned());
    lines.push("sends     nothing to Kafka: what the rules publish is made and dropped".to_owned());
    lines.join("\n")
}

fn is_wanted() -> Result<bool, Failure> {
    let _ = write!(io::stderr().lock(), "Go on? [y/N] ");
    let mut answer = String::new();
    if let Err(error) = io::stdin().lock().take(100).read_line(&mut answer) {
        return Err(Failure::new(
            Exit::Usage,
            format!("standard input: cannot be read: {error}"),
        ));
    }
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The result for a person.
fn text(report: &Report, ready: &Ready<'_>, source: &Source) -> String {
    let facts = &report.facts;
    let made = &ready.made;
    let mut text = format!(
        "{} messages of {} bytes: {:.2} rows per message, records of {} bytes,\n{} % filtered, {} % rejected\n",
        grouped(made.messages as f64),
        source.sample.message_bytes(),
        made.rows_per_message(),
        made.record_bytes(),
        percent(made.filtered, made.messages),
        percent(made.rejected(), made.messages),
    );
    if let Some(reading) = facts.reading {
        text.push_str(&format!(
            "reading from Kafka alone: {} messages/s, {:.0} MB/s, {:.2} µs of CPU per message\n",
            grouped(reading.messages_per_s),
            reading.bytes_per_s / 1e6,
            reading.cpu_us_per_message
        ));
    } else if facts.is_read {
        text.push_str("reading from Kafka alone: not measured, the topics have too few messages\n");
    }
    if facts.rules_cpu_us > 0.0 {
        text.push_str(&format!(
            "rules and plan alone: {:.2} µs of CPU per message\n",
            facts.rules_cpu_us
        ));
    }
    if let Some(now) = &facts.now {
        text.push_str(&format!(
            "as configured: {} messages/s, {:.2} µs of CPU per message\n",
            grouped(now.messages_per_s),
            now.cpu_us_per_message
        ));
    }
    let own = facts.configured;
    let to = recommended(facts);
    if !facts.batches.is_empty() {
        text.push('\n');
        text.push_str(&chart::table(
            &format!("Rows in a batch call (run.batch_rows_max), {} threads", own.threads),
            &facts.batches,
            |point| point.settings.batch_rows,
            own.batch_rows,
            None,
        ));
    }
    if !facts.threads.is_empty() {
        text.push('\n');
        text.push_str(&chart::table(
            &format!(
                "Threads, one per partition, {} rows in a batch call{}",
                to.batch_rows,
                if facts
                    .threads
                    .iter()
                    .any(|point| point.settings.threads > facts.partitions)
                {
                    " (* more than there are)"
                } else {
                    ""
                }
            ),
            &facts.threads,
            |point| point.settings.threads,
            own.threads,
            Some(facts.partitions),
        ));
    }
    if !facts.in_flight.is_empty() {
        text.push('\n');
        // More than all threads can have make no difference.
        let most = own.threads * to.batch_rows;
        text.push_str(&chart::table(
            &format!(
                "Rows in flight (run.rows_in_flight_max), {} threads, {} rows in a batch call{}",
                own.threads,
                to.batch_rows,
                if own.rows_in_flight > most {
                    format!(
                        "\n({} are configured, but these threads have at most {most})",
                        own.rows_in_flight
                    )
                } else {
                    String::new()
                }
            ),
            &facts.in_flight,
            |point| point.settings.rows_in_flight,
            own.rows_in_flight.min(most),
            None,
        ));
    }
    if !facts.batches.is_empty() {
        text.push('\n');
        text.push_str(LEGEND);
    }
    text.push('\n');
    for paragraph in words(facts) {
        text.push_str(&chart::wrapped(&paragraph));
    }
    text
}

/// What the marks in the tables mean.
const LEGEND: &str = "\
now: as configured. knee: the smallest value with 95 % of the best rate. p50,
p99: half of the batch calls, and 99 % of them, take no longer.
";

fn percent(part: u64, of: u64) -> u64 {
    (part * 100).div_ceil(of.max(1))
}

fn tell(line: &str) {
    screen::write(format!("{line}\n").as_bytes());
}

fn print(text: &str) {
    // Nobody reads it any more, if it cannot be written.
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// The progress for a person.
struct Shown {
    is_quiet: bool,
    last: Cell<Option<Instant>>,
}

/// How often a line is written where no line renews itself.
const WRITTEN: Duration = Duration::from_secs(5);

impl Shown {
    fn new(is_quiet: bool) -> Shown {
        Shown {
            is_quiet,
            last: Cell::new(None),
        }
    }
}

impl Watch for Shown {
    fn progress(&self, step: usize, of: usize, what: &str) {
        if self.is_quiet {
            return;
        }
        let line = match of {
            0 => format!("bench: {what}"),
            of => format!("bench: step {step} of {of}: {what}"),
        };
        if screen::has_status() {
            screen::show(&line);
            return;
        }
        if self.last.get().is_none_or(|last| last.elapsed() >= WRITTEN) {
            self.last.set(Some(Instant::now()));
            tell(&line);
        }
    }

    fn tell(&self, line: &str) {
        tell(line);
    }
}
