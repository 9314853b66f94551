//! The log of `penstock run` as others see it: a pipe, a terminal, the journal, a collector of JSON. None of these needs
//! a service: nobody answers, and it says so.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::process::{Exited, Program, UNREACHED, file, penstock, run, signal};
use crate::support::wait_until;

/// What erases the line that renews itself.
const ERASE: &str = "\r\u{1b}[2K";

/// Runs it until it waits for Kafka, and stops it.
fn waited(command: &mut Command) -> Exited {
    stop(Program::start(command), "TERM")
}

fn stop(mut service: Program, signal: &str) -> Exited {
    service.wait_for_line(&["kafka: waiting"]);
    service.signal(signal);
    service.end()
}

/// The lines, each of which is an object.
fn objects(output: &str) -> Vec<Value> {
    let objects = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    objects.collect()
}

fn assert_fields(line: &Value) {
    for field in ["time", "level", "target", "message"] {
        assert!(line[field].is_string(), "no {field} in {line}");
    }
    let time: Result<jiff::Timestamp, _> = line["time"].as_str().unwrap().parse();
    assert!(time.is_ok(), "{line}");
    let words = line["message"].as_str().unwrap();
    assert!(
        !words.contains("=\"") && !words.contains(" topic="),
        "a pair is left in {line}"
    );
}

fn with<'l>(lines: &'l [Value], message: &str) -> &'l Value {
    let found = lines
        .iter()
        .find(|line| line["message"].as_str().unwrap().starts_with(message));
    found.unwrap_or_else(|| panic!("no {message:?} in {lines:#?}"))
}

#[test]
fn json_is_one_object_a_line_by_the_key_the_option_and_the_variable() {
    let by_key = file(&format!("{UNREACHED}\n[log]\nformat = \"json\"\n"));
    let text = file(UNREACHED);
    let commands: [(&str, Command); 3] = [
        ("the key", {
            let mut command = penstock();
            command.arg("run").arg(by_key.path());
            command
        }),
        ("the option", {
            let mut command = penstock();
            command.args(["run", "--log-format", "json"]).arg(text.path());
            command
        }),
        ("the variable", {
            let mut command = penstock();
            command.env("PENSTOCK_LOG_FORMAT", "json").arg("run").arg(text.path());
            command
        }),
    ];
    for (how, mut command) in commands {
        let exited = waited(&mut command);
        exited.assert_code(0);
        let lines = objects(&exited.output);
        lines.iter().for_each(assert_fields);
        let first = with(&lines, "penstock");
        assert_eq!(first["version"], env!("CARGO_PKG_VERSION"), "{how}");
        assert!(first["pid"].is_u64(), "{how}: {first}");
        let settings = with(&lines, "settings: kafka");
        assert_eq!(
            (&settings["group"], &settings["level"]),
            (&"my group".into(), &"INFO".into()),
            "{how}"
        );
        let waiting = with(&lines, "kafka: waiting");
        assert_eq!(waiting["level"], "WARN", "{how}");
        assert!(
            waiting["reason"].as_str().unwrap().contains("127.0.0.1:1"),
            "{how}: {waiting}"
        );
        assert_eq!(with(&lines, "stop: finishing")["level"], "INFO", "{how}");
        assert_eq!(with(&lines, "exit")["code"], 0, "{how}");
    }
}

#[test]
fn the_option_goes_before_the_key() {
    let by_key = file(&format!("{UNREACHED}\n[log]\nformat = \"json\"\n"));
    let exited = waited(penstock().args(["run", "--log-format", "text"]).arg(by_key.path()));
    assert!(exited.output.contains(" INFO  penstock::"), "{}", exited.output);
    assert!(!exited.output.contains('{'), "{}", exited.output);
}

#[test]
fn faults_of_the_file_are_one_object_where_json_is_asked_for() {
    let bad = file(&UNREACHED.replace("topics = [\"events\"]", "topics = []\ngrup = \"x\""));
    let exited = run(penstock().args(["run", "--log-format", "json"]).arg(bad.path()));
    exited.assert_code(78);
    let lines = objects(&exited.output);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let told = lines[0]["message"].as_str().unwrap();
    assert!(told.contains("kafka.topics") && told.contains("kafka.grup"), "{told}");
    run(penstock().args(["run", "--log-format", "xml"]).arg(bad.path())).assert_code(64);
}

#[test]
fn a_filter_says_what_is_logged_and_one_that_is_none_is_told() {
    let silent = file(UNREACHED);
    let exited = waited(
        penstock()
            .env("PENSTOCK_LOG", "warn")
            .env("RUST_LOG", "trace")
            .arg("run")
            .arg(silent.path()),
    );
    let own = |exited: &Exited, level: &str| {
        let is_own = |line: &&str| line.contains(&format!(" {level} penstock::"));
        exited.output.lines().filter(is_own).count()
    };
    assert!(
        own(&exited, "WARN ") > 0 && own(&exited, "INFO ") == 0,
        "{}",
        exited.output
    );

    let exited = waited(
        penstock()
            .env("RUST_LOG", "penstock=loud")
            .arg("run")
            .arg(silent.path()),
    );
    let told: Vec<&str> = exited.output.lines().filter(|line| line.contains("loud")).collect();
    assert_eq!(told.len(), 1, "{}", exited.output);
    assert!(
        told[0].contains("WARN ") && told[0].contains("log: RUST_LOG is not a filter"),
        "{told:?}"
    );
    assert!(own(&exited, "INFO ") > 0, "the default is used:\n{}", exited.output);

    let mut verbose = Program::start(penstock().env("PENSTOCK_LOG", "verbose").arg("run").arg(silent.path()));
    verbose.wait_for_line(&["WARN ", "log: PENSTOCK_LOG shows no line of penstock itself", "verbose"]);
}

#[test]
fn a_pipe_gets_no_colours_and_no_line_that_renews_itself() {
    let silent = file(UNREACHED);
    let exited = waited(penstock().env("TERM", "xterm").arg("run").arg(silent.path()));
    assert!(!exited.output.contains(['\u{1b}', '\r']), "{:?}", exited.output);
    assert!(exited.output.starts_with("[20"), "{}", exited.output);
}

/// Runs it with its lines in a file, which a journal with this device and inode stands behind.
fn into_file(silent: &Path, journal: impl FnOnce(u64, u64) -> String) -> String {
    let lines = NamedTempFile::new().unwrap();
    let out = File::options().append(true).open(lines.path()).unwrap();
    let found = out.metadata().unwrap();
    let mut child = penstock()
        .env("JOURNAL_STREAM", journal(found.dev(), found.ino()))
        .arg("run")
        .arg(silent)
        .stdin(Stdio::null())
        .stderr(out)
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(lines.path()).unwrap();
    wait_until("a line about Kafka", read, |text| text.contains("kafka: waiting"));
    child.kill().unwrap();
    child.wait().unwrap();
    read()
}

#[test]
fn the_journal_gets_priorities_and_no_times_and_only_if_it_is_the_journal() {
    let silent = file(UNREACHED);
    let lines = into_file(silent.path(), |device, inode| format!("{device}:{inode}"));
    assert!(
        lines.starts_with("<6>[INFO  penstock::cli::run] penstock version="),
        "{lines}"
    );
    assert!(lines.contains("\n<4>[WARN  penstock::"), "{lines}");
    let other = into_file(silent.path(), |device, inode| format!("{device}:{}", inode + 1));
    assert!(other.starts_with("[20"), "{other}");
}

#[test]
fn each_line_of_a_refused_configuration_is_an_error_in_the_journal() {
    let refused = file("nonsense = 1\n[kafka]\n");
    let lines = NamedTempFile::new().unwrap();
    let out = File::options().append(true).open(lines.path()).unwrap();
    let found = out.metadata().unwrap();
    let mut command = penstock();
    command
        .env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()))
        .arg("run")
        .arg(refused.path());
    let status = command.stdin(Stdio::null()).stderr(out).status().unwrap();
    assert_eq!(status.code(), Some(78));
    let text = std::fs::read_to_string(lines.path()).unwrap();
    assert!(text.lines().count() > 2 && text.contains("nonsense"), "{text}");
    assert!(text.lines().all(|line| line.starts_with("<3>")), "{text}");
}

// ---- a terminal

/// The command on a terminal of its own. What it writes comes out of a pipe.
fn on_terminal(arguments: &str, silent: &Path, variables: &[(&str, &str)]) -> Exited {
    let mut command = Command::new("script");
    let program = penstock();
    let run = format!(
        "exec {} run {arguments} {}",
        program.get_program().display(),
        silent.display()
    );
    command.args(["--quiet", "--return", "--command", &run, "/dev/null"]);
    for variable in ["PENSTOCK_LOG", "PENSTOCK_LOG_FORMAT", "RUST_LOG", "NO_COLOR"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let mut terminal = Program::start(&mut command);
    let line = terminal.wait_for_line(&["penstock version=", "pid="]);
    terminal.wait_for_line(&["kafka: waiting"]);
    let pid: String = line
        .rsplit_once("pid=")
        .unwrap()
        .1
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    assert!(signal(pid.parse().unwrap(), "TERM"), "kill {pid}");
    terminal.end()
}

/// What is left on the screen: of each line what stands behind the last erasing.
fn screen(output: &str) -> Vec<String> {
    let shown = output.replace("\u{1b}[?7l", "").replace("\u{1b}[?7h", "");
    let lines = shown
        .split('\n')
        .map(|line| line.rsplit(ERASE).next().unwrap().trim_end_matches('\r'));
    lines.map(str::to_owned).collect()
}

const STATUS: &str = "starting | Waiting for Kafka at ";

#[test]
fn a_terminal_shows_a_line_that_renews_itself_and_nothing_of_it_is_left() {
    let silent = file(UNREACHED);
    let exited = on_terminal("", silent.path(), &[]);
    exited.assert_code(0);
    assert!(
        exited.output.contains(&format!("{ERASE}\u{1b}[?7l{STATUS}")),
        "{:?}",
        exited.output
    );
    let screen = screen(&exited.output);
    let left: Vec<&String> = screen.iter().filter(|line| line.contains(STATUS)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(screen.iter().any(|line| line.contains("exit code=0")), "{screen:#?}");
    assert!(
        exited.output.contains("\u{1b}[33mWARN "),
        "colours: {:?}",
        exited.output
    );
}

#[test]
fn quiet_and_a_terminal_that_cannot_erase_have_no_line_that_renews_itself() {
    let silent = file(UNREACHED);
    for (arguments, variables) in [
        ("--quiet", [("TERM", "xterm")]),
        ("-q", [("TERM", "xterm")]),
        ("", [("TERM", "dumb")]),
    ] {
        let exited = on_terminal(arguments, silent.path(), &variables);
        assert!(
            !exited.output.contains(ERASE),
            "{arguments} {variables:?}: {:?}",
            exited.output
        );
        assert!(
            !exited.output.contains(STATUS),
            "{arguments} {variables:?}: {:?}",
            exited.output
        );
    }
}

#[test]
fn no_color_leaves_the_line_and_takes_the_colours() {
    let silent = file(UNREACHED);
    let exited = on_terminal("", silent.path(), &[("NO_COLOR", "1")]);
    assert!(exited.output.contains(STATUS), "{:?}", exited.output);
    assert!(!exited.output.contains("\u{1b}[33m"), "{:?}", exited.output);
}
