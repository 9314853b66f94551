//! `scripts/penstock-cron`, as cron calls it: with a bare environment, again and again. And under a real cron daemon, as
//! another user, with a real broker: `make test-cron`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::support::process::{Exited, Program, SimProgram, run, signal};
use crate::support::{Kafka, Setup, Stream, sent, wait_until, wait_within};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/penstock-cron");

/// A folder with configurations, settings, state and logs.
struct Cron {
    folder: TempDir,
    /// Whose it is, if not this process's user.
    user: Option<&'static str>,
}

impl Cron {
    /// With these settings besides the program's path.
    fn new(settings: &str) -> Cron {
        let folder = tempfile::tempdir().unwrap();
        let cron = Cron { folder, user: None };
        let program = env!("CARGO_BIN_EXE_penstock");
        fs::write(cron.path("cron.conf"), format!("PENSTOCK={program}\n{settings}\n")).unwrap();
        cron
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn configure(&self, setup: &Setup) {
        fs::write(self.path("events.toml"), setup.text()).unwrap();
    }

    /// Puts a shell script in the place of the service's program. Every configuration passes its check.
    fn replace_program(&self, run: &str) {
        let program = self.path("program");
        fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = run ] || exit 0\n{run}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let conf = fs::read_to_string(self.path("cron.conf")).unwrap();
        fs::write(
            self.path("cron.conf"),
            format!("{conf}PENSTOCK={}\n", program.display()),
        )
        .unwrap();
    }

    /// The script with these arguments, in cron's environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.user {
            None => Command::new(SCRIPT),
            Some(user) => {
                let mut command = Command::new("/usr/bin/setpriv");
                command.args([&format!("--reuid={user}"), "--regid=nogroup", "--clear-groups", SCRIPT]);
                command
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .arg("-d")
            .arg(self.folder.path())
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Exited {
        run(&mut self.command(arguments))
    }

    /// Runs it and expects code 0. What it prints.
    fn says(&self, arguments: &[&str]) -> String {
        let exited = self.run(arguments);
        exited.assert_code(0);
        exited.output
    }

    /// One minute's call.
    fn ensure(&self) -> String {
        self.says(&["ensure", "events"])
    }

    /// The process of the service, by its heartbeat.
    fn pid(&self) -> Option<u32> {
        self.pid_of("events")
    }

    fn pid_of(&self, instance: &str) -> Option<u32> {
        let text = fs::read_to_string(self.path(&format!("state/{instance}/heartbeat"))).ok()?;
        let pid: u32 = text.strip_prefix("pid=")?.lines().next()?.parse().ok()?;
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        program.ends_with("penstock").then_some(pid)
    }

    fn signal(&self, name: &str) {
        assert!(signal(self.pid().expect("a service"), name));
    }

    /// Kills the service, and waits until its shell has written that down.
    fn kill(&self) {
        self.signal("KILL");
        self.wait_ended();
    }

    /// Waits until the service and its shells have ended, and the log is complete.
    fn wait_ended(&self) {
        self.wait_ended_of("events");
    }

    fn wait_ended_of(&self, instance: &str) {
        let mut command = Command::new("flock");
        command
            .args(["-w", "60"])
            .arg(self.path(&format!("state/{instance}/lock")))
            .arg("true");
        assert!(command.status().unwrap().success(), "{instance} has not ended");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log/events.log")).unwrap_or_default()
    }

    /// How many lines of the log have this.
    fn logged(&self, part: &str) -> usize {
        self.log().lines().filter(|line| line.contains(part)).count()
    }

    /// Sets the time of the heartbeat back, as if it had stood still for so long.
    fn wait_heartbeat_older_than(&self, age: Duration) {
        let beat = || {
            fs::metadata(self.path("state/events/heartbeat"))
                .unwrap()
                .modified()
                .unwrap()
        };
        wait_until(
            "an old heartbeat",
            || SystemTime::now().duration_since(beat()).unwrap_or_default(),
            |is| *is > age,
        );
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        for instance in fs::read_dir(self.path("state")).into_iter().flatten().flatten() {
            let name = instance.file_name().into_string().unwrap();
            let _ = self.command(&["stop", &name]).output();
        }
    }
}

/// A configuration that reaches nobody: the service starts and waits.
fn waiting() -> String {
    "[kafka]\nbrokers = \"127.0.0.1:1\"\ntopics = [\"events\"]\n[aerospike]\nhosts = \"127.0.0.1:1\"\nnamespace = \"test\"\n\
     [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"n\"]\n"
        .to_owned()
}

fn waiting_cron(settings: &str) -> Cron {
    let cron = Cron::new(settings);
    fs::write(cron.path("events.toml"), waiting()).unwrap();
    cron
}

/// Files of a process that is long gone, as after a power failure.
fn leave_behind(cron: &Cron) {
    fs::create_dir_all(cron.path("state/events")).unwrap();
    for (name, text) in [
        ("lock", ""),
        ("control", ""),
        ("heartbeat", "pid=1\nstate=ok\n"),
        ("state", "1700000000.77 1-2 - 0 0 - 1-2\n"),
    ] {
        fs::write(cron.path("state/events").join(name), text).unwrap();
    }
}

#[test]
fn a_service_is_started_once_however_many_ask_at_once_and_whatever_a_reboot_left_behind() {
    let cron = waiting_cron("");
    leave_behind(&cron);
    let mut asking: Vec<Program> = (0..8)
        .map(|_| Program::start(&mut cron.command(&["ensure", "events"])))
        .collect();
    let said: Vec<String> = asking
        .iter_mut()
        .map(|each| each.end().assert_code(0).output.clone())
        .collect();
    let told: Vec<&String> = said.iter().filter(|said| !said.is_empty()).collect();
    assert_eq!(told.len(), 1, "{said:?}");
    assert!(
        told[0].starts_with(
            "penstock-cron: events: ended without a word (killed, or the machine was restarted); started pid="
        ),
        "{told:?}"
    );
    assert_eq!(cron.ensure(), "");
    assert_eq!(cron.logged("penstock version="), 1, "{}", cron.log());
    assert!(cron.says(&["start", "events"]).contains("runs already pid="));
    let status = cron.says(&["status"]);
    assert!(
        status.contains("events: runs pid=") && status.contains(" state=starting "),
        "{status}"
    );
}

#[test]
fn a_killed_service_is_back_at_the_next_minute_and_nothing_is_lost_or_doubled() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("cron", 3);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    stream.produce(200);
    let cron = Cron::new("");
    let setup = Setup::new(&kafka, &topic, sim.addr);
    cron.configure(&setup);
    cron.ensure();
    topic.wait_committed(&setup.group, &stream.ends());
    let first = cron.pid();
    cron.kill();
    assert_eq!(cron.run(&["status", "events"]).status.code(), Some(3));
    let said = cron.ensure();
    assert!(
        said.contains("events: was killed after ") && said.contains("; started pid="),
        "{said}"
    );
    assert!(cron.pid().is_some() && cron.pid() != first);
    stream.produce(200);
    topic.wait_committed(&setup.group, &stream.ends());
    assert!(cron.says(&["stop", "events"]).contains("stopped; it stays so until"));
    stream.assert_ledger(&sim);
    assert_eq!(sim.stat("duplicate_rows"), 0);
}

#[test]
fn a_service_whose_heartbeat_stands_still_is_restarted() {
    let cron = waiting_cron("HEARTBEAT_SECONDS=2\nSTOP_SECONDS=20");
    cron.ensure();
    assert_eq!(cron.ensure(), "");
    let first = cron.pid();
    cron.signal("STOP");
    cron.wait_heartbeat_older_than(Duration::from_secs(4));
    let status = cron.run(&["status", "events"]);
    status.assert_code(1);
    assert!(
        status.output.contains("hangs, ensure will restart it"),
        "{}",
        status.output
    );
    let said = cron.ensure();
    assert!(
        said.contains("events: the heartbeat stood still for ") && said.contains(": stopped and started again pid="),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(cron.pid().is_some() && cron.pid() != first);
    // It continued, and ended in order.
    assert_eq!(cron.logged("exit code=0"), 1, "{}", cron.log());
}

#[test]
fn a_process_that_ignores_its_end_is_killed() {
    let cron = waiting_cron("HEARTBEAT_SECONDS=2\nSTOP_SECONDS=1");
    // It beats once, and leaves no signal but one to act.
    let fifo = cron.path("never");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    cron.replace_program(&format!(
        "trap '' TERM\necho \"pid=$$\" >\"$PENSTOCK_HEARTBEAT_FILE\"\nwhile :; do read -r line <{}; done",
        fifo.display()
    ));
    cron.ensure();
    cron.wait_heartbeat_older_than(Duration::from_secs(4));
    let said = cron.ensure();
    assert!(said.contains(": stopped and started again pid="), "{said}");
    assert_eq!(cron.logged("did not end within 1 s: killed"), 1, "{}", cron.log());
}

#[test]
fn after_a_code_that_needs_a_person_nothing_is_started_until_the_configuration_changes() {
    let cron = waiting_cron("");
    // The check does not find it: an address that another program has.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!("{}[http]\nlisten = \"{}\"\n", waiting(), taken.local_addr().unwrap());
    fs::write(cron.path("events.toml"), &text).unwrap();
    cron.ensure();
    cron.wait_ended();
    let said = cron.ensure();
    assert!(said.contains("events: ended with code 78 after "), "{said}");
    assert!(said.contains("http: cannot listen at "), "the reason: {said}");
    assert!(
        said.contains("not started again until ") && said.contains("events.toml changes"),
        "{said}"
    );
    for _ in 0..3 {
        assert_eq!(cron.ensure(), "");
    }
    assert_eq!(cron.logged("penstock version="), 1, "{}", cron.log());
    let status = cron.run(&["status", "events"]);
    status.assert_code(3);
    assert!(
        status.output.contains("ended with code 78 at ") && status.output.contains("not started until"),
        "{}",
        status.output
    );
    fs::write(cron.path("events.toml"), waiting()).unwrap();
    let said = cron.ensure();
    assert!(said.contains("events: started pid="), "{said}");
}

#[test]
fn each_exit_code_is_restarted_or_held_as_its_page_says() {
    for (code, is_held) in [
        (0, false),
        (64, true),
        (65, true),
        (69, false),
        (70, false),
        (75, false),
        (77, true),
        (78, true),
        (130, false),
    ] {
        let cron = waiting_cron("");
        cron.replace_program(&format!("echo 'ERROR the reason'; exit {code}"));
        cron.ensure();
        cron.wait_ended();
        let said = cron.ensure();
        assert!(said.contains(&format!("ended with code {code} after ")), "{said}");
        cron.wait_ended();
        let runs = || cron.log().lines().filter(|line| *line == "ERROR the reason").count();
        assert_eq!(runs(), if is_held { 1 } else { 2 }, "{code}: {said}");
        if is_held {
            assert!(said.contains(": ERROR the reason\n"), "{said}");
            assert_eq!(cron.ensure(), "");
            // The file's time is enough: a person has looked at it.
            let file = fs::File::options().write(true).open(cron.path("events.toml")).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            cron.ensure();
            cron.wait_ended();
            assert_eq!(runs(), 2, "{code}");
        }
    }
}

#[test]
fn a_broken_configuration_is_told_once_and_never_takes_a_running_service_down() {
    let cron = waiting_cron("HEARTBEAT_SECONDS=2");
    cron.ensure();
    let first = cron.pid();
    fs::write(cron.path("events.toml"), format!("nonsense = 1\n{}", waiting())).unwrap();
    let said = cron.ensure();
    assert!(
        said.contains("the configuration has changed and is refused: ")
            && said.contains("nonsense: unknown key")
            && said.contains("the running service keeps the old one"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(cron.ensure(), "");
    for command in ["restart", "check"] {
        let exited = cron.run(&[command, "events"]);
        exited.assert_code(78);
        assert!(exited.output.contains("nonsense: unknown key"), "{}", exited.output);
    }
    assert_eq!(cron.pid(), first);
    // A service that hangs could not be started again. It may recover.
    cron.signal("STOP");
    cron.wait_heartbeat_older_than(Duration::from_secs(4));
    let said = cron.ensure();
    assert!(said.contains("not restarted, the configuration is refused"), "{said}");
    assert_eq!(cron.ensure(), "");
    cron.signal("CONT");
    // Whatever ends it now, no process is started with that file.
    cron.kill();
    let said = cron.ensure();
    assert!(
        said.contains("not running, it was killed after ") && said.contains("nonsense: unknown key"),
        "{said}"
    );
    for _ in 0..3 {
        assert_eq!(cron.ensure(), "");
    }
    fs::write(cron.path("events.toml"), waiting()).unwrap();
    let said = cron.ensure();
    assert!(said.contains("events: started pid="), "{said}");
    assert_eq!(cron.logged("penstock version="), 2, "{}", cron.log());
    // Now it can be restarted by hand.
    let second = cron.pid();
    assert!(cron.says(&["restart", "events"]).contains("started pid="));
    assert!(cron.pid().is_some() && cron.pid() != second);
}

#[test]
fn the_pause_grows_with_each_failure_in_a_row() {
    let cron = waiting_cron("");
    cron.ensure();
    cron.kill();
    assert!(
        cron.ensure().contains("; started pid="),
        "the first one is not waited for"
    );
    for failures in [2, 3] {
        cron.kill();
        let said = cron.ensure();
        assert!(
            said.contains(&format!("; failure {failures} in a row, not started before ")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(cron.ensure(), "");
        // As if the pause was over: its end is the fifth word.
        let state = fs::read_to_string(cron.path("state/events/state")).unwrap();
        let mut words: Vec<&str> = state.split_whitespace().collect();
        let next: u64 = words[4].parse().unwrap();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let pause = next - now;
        let expected = 60 * (failures - 1);
        assert!(
            (expected / 2..=expected).contains(&pause),
            "failure {failures}: {pause} s"
        );
        words[4] = "1";
        fs::write(cron.path("state/events/state"), words.join(" ")).unwrap();
        assert!(cron.ensure().contains("events: started pid="));
    }
}

#[test]
fn a_stopped_instance_stays_stopped_until_it_is_started() {
    let cron = waiting_cron("");
    cron.ensure();
    assert!(
        cron.says(&["stop", "events"])
            .contains("stopped; it stays so until: penstock-cron start events")
    );
    assert_eq!(cron.ensure(), "");
    let status = cron.run(&["status", "events"]);
    status.assert_code(3);
    assert!(
        status.output.contains("ended with code 0 at ") && status.output.contains("; stopped until: "),
        "{}",
        status.output
    );
    assert!(cron.says(&["start", "events"]).contains("started pid="));
    cron.kill();
    assert!(cron.ensure().contains("; started pid="));
}

#[test]
fn two_instances_are_two_members_with_names_of_their_own() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("cron", 2);
    let sim = SimProgram::start(&[]);
    let cron = Cron::new("");
    let setup = Setup::new(&kafka, &topic, sim.addr).consumer(
        "session.timeout.ms = 6000\nheartbeat.interval.ms = 300\n\"group.instance.id\" = \"${env:PENSTOCK_INSTANCE}\"",
    );
    cron.configure(&setup);
    let said = cron.says(&["ensure", "events@1", "events@2"]);
    assert_eq!(said.lines().count(), 2, "{said}");
    // Each has one of the two partitions. The instances' names show in the status.
    for instance in ["events@1", "events@2"] {
        let log = cron.path(&format!("log/{instance}.log"));
        wait_until(
            "a partition for each",
            || fs::read_to_string(&log).unwrap(),
            |log| {
                log.lines()
                    .any(|line| line.contains("progress") || line.contains("kafka: assigned"))
            },
        );
        let status = cron.says(&["status", instance]);
        let member = format!("-{} ", instance.replace('@', "-"));
        assert!(status.contains("member=") && status.contains(&member), "{status}");
        let log = fs::read_to_string(&log).unwrap();
        let joining = log.lines().find(|line| line.contains("kafka: joining ")).unwrap();
        assert!(
            joining.contains(" member=") && joining.ends_with(member.trim_end()),
            "{joining}"
        );
    }
    let mut stream = Stream::new(&topic, 5);
    stream.produce(100);
    topic.wait_committed(&setup.group, &stream.ends());
    stream.assert_ledger(&sim);
    let (one, two) = (cron.pid_of("events@1").unwrap(), cron.pid_of("events@2").unwrap());
    assert_ne!(one, two);
    // One is killed, and only that one is started again.
    assert!(signal(one, "KILL"));
    cron.wait_ended_of("events@1");
    let said = cron.says(&["ensure", "events@1", "events@2"]);
    assert!(
        said.contains("events@1: was killed") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(cron.pid_of("events@2"), Some(two));
}

/// A program in the service's place that logs `lines` lines, and ends.
fn talker(cron: &Cron, lines: u32) {
    cron.replace_program(&format!(
        "n=0\nwhile [ $n -lt {lines} ]; do n=$((n + 1)); echo \"line $n\"; done"
    ));
}

/// The lines of a file that the talker wrote.
fn talked(path: &Path) -> Vec<u32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("line ")?.parse().ok())
        .collect()
}

#[test]
fn the_log_is_rotated_without_a_line_lost() {
    let cron = waiting_cron("LOG_BYTES_MAX=1000\nLOG_FILES=100");
    talker(&cron, 2000);
    cron.ensure();
    cron.wait_ended();
    let mut lines = Vec::new();
    for number in (1..=100).rev() {
        let path = cron.path(&format!("log/events.log.{number}"));
        let size = fs::metadata(&path).map_or(0, |file| file.len());
        // The line of the start comes from elsewhere.
        assert!(size < 1200, "{}: {size} bytes", path.display());
        lines.extend(talked(&path));
    }
    lines.extend(talked(&cron.path("log/events.log")));
    assert!(lines.iter().copied().eq(1..=2000), "{} lines", lines.len());
}

#[test]
fn old_logs_are_removed() {
    let cron = waiting_cron("LOG_BYTES_MAX=1000\nLOG_FILES=2");
    talker(&cron, 2000);
    cron.ensure();
    cron.wait_ended();
    let mut names: Vec<_> = fs::read_dir(cron.path("log"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["events.log", "events.log.1", "events.log.2"]);
    assert_eq!(talked(&cron.path("log/events.log")).last(), Some(&2000));
    let tail = cron.says(&["logs", "-n", "150", "events"]);
    assert!(
        tail.lines().any(|line| line == "line 1900"),
        "the older file, too: {tail}"
    );
}

#[test]
fn a_full_disk_for_the_log_does_not_stop_the_service_and_lost_lines_are_counted() {
    let cron = waiting_cron("");
    fs::create_dir_all(cron.path("log")).unwrap();
    std::os::unix::fs::symlink("/dev/full", cron.path("log/events.log")).unwrap();
    cron.ensure();
    let first = cron.pid();
    assert!(first.is_some());
    // More than a pipe holds: the service would stand still if nobody read its lines.
    assert_eq!(cron.ensure(), "");
    // Room again.
    fs::remove_file(cron.path("log/events.log")).unwrap();
    wait_until(
        "the log",
        || cron.log(),
        |log| log.contains("lines, which are missing here"),
    );
    assert_eq!(cron.pid(), first);
    assert_eq!(cron.ensure(), "");
}

#[test]
fn whoever_asks_for_what_is_not_there_is_told() {
    let cron = waiting_cron("");
    for arguments in [
        &["start"] as &[&str],
        &["frobnicate", "events"],
        &[],
        &["start", "a", "b"],
        &["start", "../events"],
    ] {
        cron.run(arguments).assert_code(64);
    }
    let exited = cron.run(&["start", "evnets"]);
    exited.assert_code(1);
    assert!(
        exited.output.contains("there is no ") && exited.output.contains("evnets.toml"),
        "{}",
        exited.output
    );
    assert!(!cron.path("state").exists());
    cron.run(&["status", "events"]).assert_code(3);
    assert!(cron.says(&["status"]).contains("no instance was ever started"));
}

#[test]
fn a_service_that_holds_a_message_and_is_told_to_stop_is_started_again_and_one_that_stops_itself_is_not() {
    let kafka = Kafka::mock();
    let sim = SimProgram::start(&[]);
    // Also where the log has no INFO lines.
    for (action, conf) in [
        ("hold", ""),
        ("hold", "export PENSTOCK_LOG=error"),
        ("hold", "export RUST_LOG=penstock=warn"),
        ("stop", ""),
    ] {
        let topic = kafka.topic("cron", 2);
        topic.produce(1, &[sent("k", "no JSON")]);
        let cron = Cron::new(conf);
        let mut setup = Setup::new(&kafka, &topic, sim.addr);
        setup.routes += &format!("\n[reject]\naction = \"{action}\"\n");
        cron.configure(&setup);
        cron.ensure();
        if action == "hold" {
            wait_until(
                "a held message",
                || cron.log(),
                |log| log.contains("its partition is held"),
            );
            cron.signal("TERM");
        }
        cron.wait_ended();
        let status = cron.run(&["status", "events"]);
        let said = cron.ensure();
        status.assert_code(3);
        let status = status.output;
        assert!(said.contains("ended with code 65 after "), "{conf}: {said}");
        if action == "hold" {
            assert!(
                said.contains(", since a signal told it to stop; started pid="),
                "{conf}: {said}"
            );
            assert!(status.ends_with("; the next ensure starts it"), "{conf}: {status}");
            // The user's own stop holds.
            wait_until(
                "a held message",
                || cron.logged("its partition is held"),
                |held| *held == 2,
            );
            cron.says(&["stop", "events"]);
            assert_eq!(cron.ensure(), "");
            assert!(cron.pid().is_none());
        } else {
            assert!(said.contains("not started again until "), "{said}");
            assert!(status.contains("; not started until "), "before the ensure: {status}");
            assert_eq!(cron.ensure(), "");
        }
    }
}

#[test]
fn what_is_held_is_tried_once_after_each_boot() {
    for (code, is_told) in [(64, true), (65, true), (65, false), (77, true), (78, false)] {
        let cron = waiting_cron("");
        cron.replace_program(&format!("echo 'ERROR the reason'; exit {code}"));
        let runs = || cron.log().lines().filter(|line| *line == "ERROR the reason").count();
        cron.ensure();
        cron.wait_ended();
        if is_told {
            assert!(cron.ensure().contains("not started again until "), "{code}");
        }
        // As if the machine was restarted: its boot is the eighth word.
        let state = fs::read_to_string(cron.path("state/events/state")).unwrap();
        let mut words: Vec<&str> = state.split_whitespace().collect();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(words[7], boot.trim());
        words[7] = "0f2c";
        fs::write(cron.path("state/events/state"), words.join(" ")).unwrap();
        let status = cron.run(&["status", "events"]);
        status.assert_code(3);
        assert!(
            status.output.ends_with("; the next ensure starts it"),
            "{code}: {}",
            status.output
        );
        let said = cron.ensure();
        assert_eq!(
            said.contains(", before the machine was restarted; "),
            !is_told,
            "{said}"
        );
        cron.wait_ended();
        assert_eq!(runs(), 2, "{code}");
        assert!(cron.ensure().contains("not started again until "), "{code}");
        assert_eq!(cron.ensure(), "");
        assert_eq!(runs(), 2, "{code}");
    }
}

#[test]
fn the_status_says_what_the_next_ensure_does() {
    let cron = waiting_cron("");
    let status = |code| {
        let exited = cron.run(&["status", "events"]);
        exited.assert_code(code);
        assert_eq!(exited.output.lines().count(), 1, "{}", exited.output);
        exited.output
    };
    cron.ensure();
    assert!(!status(0).contains("refused"));
    let broken = format!("nonsense = 1\n{}", waiting());
    fs::write(cron.path("events.toml"), &broken).unwrap();
    let said = status(0);
    assert!(
        said.contains("events: runs pid=")
            && said.contains("; the service goes on as it was started, and the configuration is refused: ")
            && said.contains("nonsense: unknown key"),
        "{said}"
    );
    fs::write(cron.path("events.toml"), format!("{}\n", waiting())).unwrap();
    let said = status(0);
    assert!(said.ends_with("is newer: penstock-cron restart events"), "{said}");

    fs::write(cron.path("events.toml"), &broken).unwrap();
    cron.kill();
    for _ in 0..2 {
        let said = status(3);
        assert!(
            said.contains("does not run, ended with code 137 at ")
                && said.contains("; not started, the configuration is refused: ")
                && said.contains("nonsense: unknown key"),
            "{said}"
        );
        cron.ensure();
    }
    fs::write(cron.path("events.toml"), waiting()).unwrap();
    assert!(status(3).ends_with("; the next ensure starts it"));
    cron.ensure();
    // The second failure: there will be a pause, which nobody has told yet.
    cron.kill();
    assert!(status(3).contains("; failures=2, not started before "));
    fs::remove_file(cron.path("events.toml")).unwrap();
    let said = status(3);
    assert!(
        said.contains("; not started, there is no ") && said.contains("events.toml. ") && said.contains("rm -r "),
        "{said}"
    );
    assert!(
        cron.run(&["status", "nosuch"])
            .output
            .contains("never started, and there is no ")
    );
}

#[test]
fn a_long_line_is_told_with_its_cure() {
    let cron = waiting_cron("");
    let long = "x".repeat(900);
    cron.replace_program(&format!("echo 'ERROR {long} cure=here'; exit 65"));
    cron.ensure();
    cron.wait_ended();
    assert!(cron.ensure().contains(&format!("{long} cure=here\n")));
    let longer = "x".repeat(2000);
    cron.replace_program(&format!("echo 'ERROR {longer}'; exit 65"));
    cron.ensure();
    cron.wait_ended();
    let said = cron.ensure();
    let log = cron.path("log/events.log");
    assert!(
        said.contains(&format!("xx... (the whole line: {})\n", log.display())),
        "{said}"
    );
    // A fault of the file.
    let program = cron.path("program");
    fs::write(
        &program,
        format!("#!/bin/sh\necho 'kafka: {long} cure=here' >&2; exit 78\n"),
    )
    .unwrap();
    let said = cron.ensure();
    assert!(
        said.contains("is refused: kafka: ") && said.ends_with(" cure=here"),
        "{said}"
    );
}

#[test]
fn a_number_in_cron_conf_that_is_none_has_its_default_and_is_told_once() {
    let cron = waiting_cron("");
    cron.ensure();
    let first = cron.pid();
    let conf = fs::read_to_string(cron.path("cron.conf")).unwrap();
    fs::write(
        cron.path("cron.conf"),
        format!("{conf}HEARTBEAT_SECONDS=5s\nLOG_FILES=05\n"),
    )
    .unwrap();
    let complaint = format!(
        "{}: HEARTBEAT_SECONDS=5s is no whole number above 0; write HEARTBEAT_SECONDS=60, which holds until then; \
         LOG_FILES=05 is ",
        cron.path("cron.conf").display()
    );
    let said = cron.ensure();
    assert!(said.contains(&complaint) && said.lines().count() == 1, "{said}");
    assert_eq!(cron.ensure(), "");
    let said = cron.says(&["status", "events"]);
    assert!(said.contains(&complaint) && !said.contains("Illegal"), "{said}");
    assert_eq!(cron.pid(), first);
    // It is still looked after.
    cron.signal("STOP");
    let beat = fs::File::options()
        .write(true)
        .open(cron.path("state/events/heartbeat"))
        .unwrap();
    beat.set_modified(SystemTime::now() - Duration::from_secs(90)).unwrap();
    let said = cron.ensure();
    assert!(said.contains(": stopped and started again pid="), "{said}");
    assert!(cron.pid().is_some() && cron.pid() != first);
}

#[test]
fn a_cron_conf_that_no_shell_can_read_is_told_in_one_line_and_the_service_goes_on() {
    let cron = waiting_cron("");
    cron.ensure();
    let first = cron.pid();
    let conf = fs::read_to_string(cron.path("cron.conf")).unwrap();
    for (line, part) in [
        ("KAFKA_PASSWORD=\"abc\n", "nterminated quoted string"),
        ("exit 0\n", "it ends the shell that reads it"),
        ("STATE_DIR=state\n", "STATE_DIR=state is no absolute path"),
    ] {
        fs::write(cron.path("cron.conf"), format!("{conf}{line}")).unwrap();
        for command in ["ensure", "status", "restart"] {
            let exited = cron.run(&[command, "events"]);
            exited.assert_code(78);
            let said = exited.output;
            assert!(
                said.starts_with(&format!("penstock-cron: {}: ", cron.path("cron.conf").display()))
                    && said.contains(part)
                    && said.contains("running services go on")
                    && said.lines().count() == 1,
                "{said}"
            );
        }
    }
    // An unset variable is no fault.
    fs::write(cron.path("cron.conf"), format!("{conf}export A=$NOT_SET\n")).unwrap();
    assert_eq!(cron.ensure(), "");
    assert_eq!(cron.pid(), first);
}

#[test]
fn a_wrong_path_of_the_program_is_told_as_that() {
    let cron = waiting_cron("");
    cron.ensure();
    let first = cron.pid();
    let conf = fs::read_to_string(cron.path("cron.conf")).unwrap();
    fs::write(cron.path("cron.conf"), format!("{conf}PENSTOCK=/no/penstock\n")).unwrap();
    let told = format!(
        "events: {}: PENSTOCK=/no/penstock is no program; write the whole path of penstock",
        cron.path("cron.conf").display()
    );
    let said = cron.ensure();
    assert!(
        said.contains(&told) && said.ends_with("; the running service goes on") && !said.contains("refused"),
        "{said}"
    );
    assert_eq!(cron.ensure(), "");
    assert_eq!(cron.pid(), first);
    for command in ["restart", "check"] {
        let exited = cron.run(&[command, "events"]);
        exited.assert_code(78);
        assert!(
            exited.output.contains(&told) && exited.output.lines().count() == 1,
            "{}",
            exited.output
        );
    }
    cron.kill();
    let said = cron.ensure();
    assert!(
        said.contains("; not started, ") && said.contains("PENSTOCK=/no/penstock is no program"),
        "{said}"
    );
    assert!(!said.contains("refused"), "{said}");
    cron.run(&["start", "events"]).assert_code(78);
}

#[test]
fn a_mistyped_instance_is_told_once_and_leaves_nothing_and_the_others_run() {
    let cron = waiting_cron("");
    let said = cron.says(&["ensure", "nosuch", "events"]);
    assert!(
        said.contains("nosuch: there is no ") && said.contains("nosuch.toml") && said.contains("events: started pid="),
        "{said}"
    );
    assert_eq!(cron.says(&["ensure", "nosuch", "events"]), "");
    assert!(!cron.path("state/nosuch").exists() && !cron.path("log/nosuch.log").exists());
    let status = cron.says(&["status"]);
    assert!(!status.contains("nosuch"), "{status}");
    for command in ["stop", "start", "restart"] {
        cron.run(&[command, "nosuch"]).assert_code(1);
    }
    assert!(!cron.path("state/nosuch").exists());
    // A name that is none: the others are looked after all the same.
    cron.kill();
    let exited = cron.run(&["ensure", "a b", "events"]);
    exited.assert_code(64);
    assert!(
        exited.output.contains("\"a b\" is no instance") && exited.output.contains("events: was killed after "),
        "{}",
        exited.output
    );
    // It gets its file, and is removed again as the guide says.
    fs::write(cron.path("nosuch.toml"), waiting()).unwrap();
    let said = cron.says(&["ensure", "nosuch", "events"]);
    assert!(
        said.contains("nosuch: started pid=") && said.lines().count() == 1,
        "{said}"
    );
    cron.says(&["stop", "nosuch"]);
    fs::remove_file(cron.path("nosuch.toml")).unwrap();
    fs::remove_dir_all(cron.path("state/nosuch")).unwrap();
    fs::remove_file(cron.path("log/nosuch.log")).unwrap();
    cron.says(&["status"]);
    assert!(cron.says(&["ensure", "nosuch"]).contains("nosuch: there is no "));
    assert!(!cron.path("state/nosuch").exists());
}

#[test]
fn lines_that_need_a_person_are_errors_in_the_log_and_restarts_are_warnings() {
    let cron = waiting_cron("");
    cron.ensure();
    cron.kill();
    cron.ensure();
    fs::write(cron.path("events.toml"), format!("nonsense = 1\n{}", waiting())).unwrap();
    cron.ensure();
    cron.says(&["stop", "events"]);
    fs::write(cron.path("events.toml"), waiting()).unwrap();
    cron.replace_program("echo 'ERROR the reason'; exit 77");
    cron.run(&["start", "events"]).assert_code(1);
    // Its shell holds the lock a moment longer than it takes to write how the service ended.
    cron.wait_ended();
    fs::write(cron.path("events.toml"), format!("{}\n", waiting())).unwrap();
    cron.ensure();
    cron.wait_ended();
    cron.ensure();
    for (level, part) in [
        ("INFO ", "] started pid="),
        ("WARN ", "; started pid="),
        ("ERROR", "has changed and is refused: "),
        ("INFO ", "] stopped; "),
        ("ERROR", "ended with code 77 after "),
    ] {
        let log = cron.log();
        let line = log
            .lines()
            .find(|line| line.contains(" penstock-cron] ") && line.contains(part))
            .unwrap_or_else(|| panic!("{part}: {log}"));
        assert!(line.contains(&format!("Z {level} penstock-cron] ")), "{line}");
    }
    // The reason is the service's, not the script's.
    let status = cron.run(&["status", "events"]).output;
    assert!(status.contains(": ERROR the reason; not started until "), "{status}");
}

/// The user of the jobs under a real cron. It may do nothing but what is given to it.
const USER: &str = "nobody";

/// Longer than a minute of cron's, and what its job does then.
const MINUTES: Duration = Duration::from_secs(240);

impl Cron {
    /// Gives everything to [`USER`].
    fn give_away(mut self) -> Cron {
        self.user = Some(USER);
        let status = Command::new("chown")
            .args(["-R", USER])
            .arg(self.folder.path())
            .status();
        assert!(status.unwrap().success());
        self
    }

    /// The line of the crontab. What cron would mail is in a file.
    fn line(&self, instances: &str) -> String {
        let folder = self.folder.path().display();
        format!("* * * * * {SCRIPT} -d {folder} ensure {instances} >>{folder}/mail 2>&1\n")
    }

    fn mail(&self) -> String {
        fs::read_to_string(self.path("mail")).unwrap_or_default()
    }

    /// Waits until cron has mailed a line with this.
    fn wait_mail(&self, part: &str) -> String {
        let mail = wait_within(MINUTES, part, || self.mail(), |mail| mail.contains(part));
        mail.lines().find(|line| line.contains(part)).unwrap().to_owned()
    }
}

/// A configuration as the guide has it: a member with a name of its own. And a session as long as Kafka's default.
fn named(kafka: &Kafka, topic: &crate::support::Topic, sim: &SimProgram) -> Setup {
    Setup::new(kafka, topic, sim.addr)
        .consumer("session.timeout.ms = 45000\n\"group.instance.id\" = \"${env:PENSTOCK_INSTANCE}\"")
}

#[test]
#[ignore = "needs root, cron and a Kafka broker: make test-cron"]
fn under_a_real_cron_services_come_back_and_nothing_is_lost() {
    let kafka = Kafka::real();
    let topics = ["kill", "two"].map(|name| kafka.topic(name, 2));
    let sims = [(); 2].map(|()| SimProgram::start(&[]));
    let mut streams = topics.each_ref().map(|topic| Stream::new(topic, 5));
    let setups = [0, 1].map(|n| named(&kafka, &topics[n], &sims[n]));

    let killed = Cron::new("");
    killed.configure(&setups[0]);
    let killed = killed.give_away();
    let two = Cron::new("");
    two.configure(&setups[1]);
    let two = two.give_away();
    let hung = waiting_cron("HEARTBEAT_SECONDS=20").give_away();
    let broken = waiting_cron("").give_away();
    let rebooted = waiting_cron("");
    leave_behind(&rebooted);
    let rebooted = rebooted.give_away();
    // A disk of its own, which can be full.
    let full = waiting_cron("HEARTBEAT_SECONDS=20");
    for name in ["state", "log"] {
        fs::create_dir(full.path(name)).unwrap();
    }
    let mounted = MountedDisk::new(full.path("state"), full.path("log"));
    let full = full.give_away();

    let all = [&killed, &hung, &broken, &rebooted, &full];
    let mut crontab: String = all.iter().map(|cron| cron.line("events")).collect();
    crontab += &two.line("events@1 events@2");
    let ticks = killed.path("ticks");
    crontab += &format!("* * * * * echo tick >>{}\n", ticks.display());
    let file = Path::new(&std::env::var("CRONTABS").expect("CRONTABS: make test-cron")).join(USER);
    fs::write(&file, crontab).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Command::new("chown").arg(USER).arg(&file).status().unwrap().success());
    let minutes = || fs::read_to_string(&ticks).unwrap_or_default().lines().count();

    for cron in all {
        println!("{}", cron.wait_mail("started pid="));
    }
    for instance in ["events@1: ", "events@2: "] {
        println!("{}", two.wait_mail(&format!("{instance}started pid=")));
    }
    let pid = hung.pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("\nUid:\t65534\t"), "{status}");
    // Root does not work on another user's instance, but may look.
    let as_root = |command| {
        run(Command::new(SCRIPT)
            .arg("-d")
            .arg(hung.folder.path())
            .args([command, "events"]))
    };
    let refused = as_root("restart");
    refused.assert_code(1);
    assert!(
        refused.output.contains("belongs to the user nobody"),
        "{}",
        refused.output
    );
    as_root("status").assert_code(0);
    for (n, stream) in streams.iter_mut().enumerate() {
        stream.produce(300);
        topics[n].wait_committed(&setups[n].group, &stream.ends());
    }

    // All of it happens in the same minute.
    let killed_pid = killed.pid();
    killed.signal("KILL");
    let killed_at = SystemTime::now();
    assert!(signal(two.pid_of("events@1").unwrap(), "KILL"));
    let of_two = two.pid_of("events@2");
    let hung_pid = hung.pid();
    hung.signal("STOP");
    let broken_pid = broken.pid();
    fs::write(broken.path("events.toml"), format!("nonsense = 1\n{}", waiting())).unwrap();
    mounted.fill();
    let full_pid = full.pid();
    for stream in &mut streams {
        stream.produce(300);
    }
    let before = minutes();

    println!("{}", killed.wait_mail("was killed after "));
    topics[0].wait_committed(&setups[0].group, &streams[0].ends());
    let took = SystemTime::now().duration_since(killed_at).unwrap();
    println!("killed; everything committed after {took:.1?}");
    println!("{}", two.wait_mail("events@1: was killed after "));
    topics[1].wait_committed(&setups[1].group, &streams[1].ends());
    println!("{}", hung.wait_mail("stopped and started again pid="));
    println!("{}", broken.wait_mail("is refused"));
    // Three more minutes, in which nothing happens twice.
    wait_within(MINUTES, "minutes", minutes, |now| *now >= before + 4);

    assert_eq!(killed.mail().lines().count(), 2, "{}", killed.mail());
    assert!(killed.pid().is_some() && killed.pid() != killed_pid);
    assert_eq!(two.mail().lines().count(), 3, "{}", two.mail());
    assert_eq!(two.pid_of("events@2"), of_two);
    assert_eq!(hung.mail().lines().count(), 2, "{}", hung.mail());
    assert!(hung.pid().is_some() && hung.pid() != hung_pid);
    assert_eq!(broken.mail().lines().count(), 2, "{}", broken.mail());
    assert!(
        broken.mail().contains("the running service keeps the old one"),
        "{}",
        broken.mail()
    );
    assert_eq!(broken.pid(), broken_pid);
    assert_eq!(rebooted.mail().lines().count(), 1, "{}", rebooted.mail());
    assert_eq!(rebooted.logged("penstock version="), 1, "{}", rebooted.log());
    assert_eq!(full.mail().lines().count(), 1, "{}", full.mail());
    assert_eq!(full.pid(), full_pid);
    mounted.empty();
    wait_until(
        "the log",
        || full.log(),
        |log| log.contains("lines, which are missing here"),
    );
    for (stream, sim) in streams.iter().zip(&sims) {
        stream.assert_ledger(sim);
        assert_eq!(sim.stat("duplicate_rows"), 0);
    }
    // The new process has the partitions of the old one, without the end of the old one's session.
    let log = killed.log();
    let second = log.rfind("penstock version=").unwrap();
    for line in log[second..].lines().filter(|line| line.contains("kafka: ")) {
        println!("{line}");
    }
    assert!(log[second..].contains("kafka: assigned"), "{log}");
    fs::remove_file(&file).unwrap();
    for cron in all {
        assert!(cron.says(&["stop", "events"]).contains("stopped; it stays so until"));
    }
}

/// A small disk at two folders.
struct MountedDisk {
    state: PathBuf,
    log: PathBuf,
}

impl MountedDisk {
    fn new(state: PathBuf, log: PathBuf) -> MountedDisk {
        let mount = |arguments: &[&str], folder: &Path| {
            let status = Command::new("mount").args(arguments).arg(folder).status();
            assert!(status.unwrap().success(), "mount {arguments:?}");
        };
        mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"], &state);
        // The log is on the same disk.
        fs::create_dir(state.join("of-log")).unwrap();
        mount(&["--bind", state.join("of-log").to_str().unwrap()], &log);
        MountedDisk { state, log }
    }

    fn fill(&self) {
        // It ends with an error: there is no room for all of it.
        let _ = fs::write(self.state.join("filler"), vec![b'x'; 1024 * 1024]);
        assert!(fs::write(self.state.join("more"), vec![b'x'; 8192]).is_err());
    }

    fn empty(&self) {
        fs::remove_file(self.state.join("filler")).unwrap();
        let _ = fs::remove_file(self.state.join("more"));
    }
}

impl Drop for MountedDisk {
    fn drop(&mut self) {
        for folder in [&self.log, &self.state] {
            let _ = Command::new("umount").arg("--lazy").arg(folder).status();
        }
    }
}
