//! The unit `deploy/systemd/penstock@.service`: what it says, and what a real systemd does with it. The latter is in a
//! container: `make test-systemd`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use penstock::util::exit::Exit;
use serde_json::Value as Json;

use crate::support::process::{Exited, SimProgram, UNREACHED, run};
use crate::support::{Kafka, Setup, Stream, wait_until};

const UNIT: &str = include_str!("../../deploy/systemd/penstock@.service");

/// The value of a setting of the unit.
fn setting(name: &str) -> &'static str {
    let of_line = |line: &'static str| line.strip_prefix(name)?.strip_prefix('=');
    UNIT.lines()
        .find_map(of_line)
        .unwrap_or_else(|| panic!("no {name}= in the unit"))
}

/// The same, in seconds.
fn seconds(name: &str) -> u64 {
    setting(name).strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
fn the_unit_does_not_restart_after_codes_that_need_a_person() {
    let not_restarted: Vec<u8> = setting("RestartPreventExitStatus")
        .split(' ')
        .map(|code| code.parse().unwrap())
        .collect();
    // `run` does not end with 1.
    let need_a_person = [Exit::Usage, Exit::Rejected, Exit::Credentials, Exit::Configuration];
    assert_eq!(not_restarted, need_a_person.map(Exit::code));
    assert_eq!(setting("Restart"), "always");
    assert_eq!(setting("StartLimitIntervalSec"), "0");
}

#[test]
fn the_unit_waits_for_as_long_as_the_service_needs() {
    let grace = penstock::config::parse(UNREACHED, "unreached.toml")
        .unwrap()
        .run
        .shutdown_grace;
    assert!(Duration::from_secs(seconds("TimeoutStopSec")) > 2 * grace);
    // docs/reference/heartbeat.md
    assert!(seconds("WatchdogSec") >= 10);
}

// ---- under a real systemd

/// An instance of the unit on the machine of `scripts/with-systemd.sh`, with its configuration in /etc/penstock.
struct Unit {
    instance: &'static str,
}

fn systemctl(arguments: &[&str]) -> Exited {
    run(Command::new("systemctl").args(arguments))
}

/// Installs program, user and unit as the guide says.
fn install() {
    assert_eq!(
        std::env::var("WITH_SYSTEMD").as_deref(),
        Ok("yes"),
        "this test changes the machine: make test-systemd"
    );
    let done = |command: &str, arguments: &[&str]| {
        run(Command::new(command).args(arguments)).assert_code(0);
    };
    done(
        "install",
        &["-m", "755", env!("CARGO_BIN_EXE_penstock"), "/usr/local/bin/"],
    );
    let user = [
        "--system",
        "--user-group",
        "--home-dir",
        "/var/lib/penstock",
        "--shell",
        "/usr/sbin/nologin",
    ];
    done("useradd", &[&user[..], &["penstock"]].concat());
    done("install", &["-d", "-m", "750", "-g", "penstock", "/etc/penstock"]);
    let unit = UNIT.replace("@BINDIR@", "/usr/local/bin");
    // Where scripts/install.sh puts it. systemd reads that folder, too.
    fs::create_dir_all("/usr/local/lib/systemd/system").unwrap();
    fs::write("/usr/local/lib/systemd/system/penstock@.service", unit).unwrap();
}

impl Unit {
    /// With these settings of `[Service]` besides those of the unit.
    fn new(instance: &'static str, configuration: &str, settings: &str) -> Unit {
        let unit = Unit { instance };
        unit.configure(configuration);
        let folder = format!("/etc/systemd/system/{}.d", unit.name());
        fs::create_dir(&folder).unwrap();
        // A system call that the unit does not allow kills the service, instead of an error that it may overlook.
        let settings = format!("[Service]\nSystemCallErrorNumber=\n{settings}\n");
        fs::write(Path::new(&folder).join("test.conf"), settings).unwrap();
        systemctl(&["daemon-reload"]).assert_code(0);
        unit
    }

    fn name(&self) -> String {
        format!("penstock@{}.service", self.instance)
    }

    fn configure(&self, text: &str) {
        let file = format!("/etc/penstock/{}.toml", self.instance);
        fs::write(&file, text).unwrap();
        run(Command::new("chgrp").args(["penstock", &file])).assert_code(0);
        run(Command::new("chmod").args(["640", &file])).assert_code(0);
    }

    /// Runs `systemctl COMMAND… UNIT`.
    fn systemctl(&self, command: &[&str]) -> Exited {
        systemctl(&[command, &[&self.name()]].concat())
    }

    /// Runs `systemctl COMMAND UNIT`, and fails if it fails.
    fn must(&self, command: &str) {
        let exited = self.systemctl(&[command]);
        assert_eq!(exited.status.code(), Some(0), "{}\n{}", exited.output, self.text());
    }

    /// What systemd says of the unit.
    fn shown(&self) -> BTreeMap<String, String> {
        let output = self.systemctl(&["show"]).assert_code(0).output.clone();
        let pairs = output.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn show(&self, name: &str) -> String {
        self.shown().remove(name).unwrap_or_default()
    }

    /// `active (running)`, for example.
    fn state(&self) -> String {
        let shown = self.shown();
        format!("{} ({})", shown["ActiveState"], shown["SubState"])
    }

    fn pid(&self) -> u32 {
        self.show("MainPID").parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        run(Command::new("sh").args(["-c", &kill])).assert_code(0);
    }

    /// Waits until another process than this one runs.
    fn wait_another(&self, pid: u32) -> u32 {
        wait_until(
            &format!("another process of {}", self.name()),
            || (self.state(), self.pid()),
            |(state, now)| state == "active (running)" && *now != 0 && *now != pid,
        )
        .1
    }

    /// Its lines in the journal, systemd's own about it among them: priority, process, and text.
    fn journal(&self) -> Vec<(u8, u32, String)> {
        run(Command::new("journalctl").args(["--sync"])).assert_code(0);
        let name = self.name();
        let output = run(Command::new("journalctl").args(["--output=json", "--unit", &name]));
        let text = |line: &Json, field: &str| line[field].as_str().unwrap_or_default().to_owned();
        let entries = output.assert_code(0).output.lines().map(|line| {
            let line: Json = serde_json::from_str(line).unwrap();
            let [priority, pid] = ["PRIORITY", "_PID"].map(|field| text(&line, field));
            (priority.parse().unwrap(), pid.parse().unwrap(), text(&line, "MESSAGE"))
        });
        entries.collect()
    }

    /// The journal as text.
    fn text(&self) -> String {
        let lines = self.journal().into_iter();
        lines
            .map(|(priority, pid, text)| format!("<{priority}> {pid} {text}\n"))
            .collect()
    }

    /// The lines of one process.
    fn lines_of(&self, pid: u32) -> String {
        let lines = self.journal().into_iter().filter(|(_, of, _)| *of == pid);
        lines.map(|(_, _, text)| text + "\n").collect()
    }
}

/// Shows what was seen. The test is for people to read, too.
fn tell(unit: &Unit, what: &str) {
    let shown = unit.shown();
    println!(
        "{what}: {} ({}) pid={} restarts={} result={} status=\"{}\"",
        shown["ActiveState"],
        shown["SubState"],
        shown["MainPID"],
        shown["NRestarts"],
        shown["Result"],
        shown.get("StatusText").map_or("", String::as_str)
    );
}

#[test]
#[ignore = "needs a machine with systemd: make test-systemd"]
fn under_a_real_systemd_the_service_comes_back_and_nothing_is_lost() {
    install();
    waits_for_kafka_for_longer_than_the_time_out();
    is_not_started_again_with_a_broken_configuration();
    takes_a_password_as_a_credential();
    comes_back_and_loses_nothing();
    is_reloaded_with_a_held_message();
    ends_within_its_grace_though_the_time_out_is_shorter();
}

fn waits_for_kafka_for_longer_than_the_time_out() {
    let unit = Unit::new("away", UNREACHED, "TimeoutStartSec=3s");
    unit.systemctl(&["start", "--no-block"]).assert_code(0);
    let clock = || -> u64 {
        fs::read_to_string("/proc/uptime")
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let since = clock();
    wait_until("twelve seconds, four time-outs", clock, |now| *now >= since + 12);
    tell(&unit, "Kafka is away for four times TimeoutStartSec=");
    assert_eq!(unit.state(), "activating (start)");
    assert_eq!(unit.show("NRestarts"), "0");
    let status = unit.show("StatusText");
    assert!(status.starts_with("starting: Waiting for "), "{status}");
    let pid = unit.pid();
    // A reload waits with it, and a restart starts it anew.
    unit.systemctl(&["reload", "--no-block"]).assert_code(0);
    assert_eq!((unit.state().as_str(), unit.pid()), ("activating (start)", pid));
    unit.systemctl(&["restart", "--no-block"]).assert_code(0);
    let pid = wait_until("a restart", || unit.pid(), |now| *now != pid && *now != 0);
    wait_until(
        "its state",
        || unit.show("StatusText"),
        |text| text.starts_with("starting: "),
    );
    assert_eq!(unit.state(), "activating (start)");
    // It is not stopped because of the time-out either.
    unit.must("stop");
    tell(&unit, "stopped while it waits");
    assert_eq!(
        (unit.state().as_str(), unit.show("Result").as_str()),
        ("inactive (dead)", "success")
    );
    assert!(unit.lines_of(pid).contains("exit code=0"), "{}", unit.text());
    // The priorities of lines.
    for (priority, _, text) in unit.journal().into_iter().filter(|(_, of, _)| *of == pid) {
        let expected = match text.split([' ', '[']).nth(1) {
            Some("INFO") => 6,
            Some("WARN") => 4,
            Some("ERROR") => 3,
            other => panic!("{other:?} in {text}"),
        };
        assert_eq!(priority, expected, "{text}");
    }
}

fn is_not_started_again_with_a_broken_configuration() {
    let unit = Unit::new("broken", &format!("nonsense = 1\n{UNREACHED}"), "RestartSec=100ms");
    assert_ne!(unit.systemctl(&["start"]).status.code(), Some(0));
    tell(&unit, "a broken configuration");
    // Not `activating (auto-restart)`.
    assert_eq!(unit.state(), "failed (failed)");
    assert_eq!(unit.show("ExecMainStatus"), "78");
    assert_eq!(unit.show("NRestarts"), "0");
    let is_told = |(priority, _, text): &(u8, u32, String)| *priority == 3 && text.contains("nonsense");
    assert!(unit.journal().iter().any(is_told), "{}", unit.text());
}

fn takes_a_password_as_a_credential() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("credential", 1);
    let sim = SimProgram::start(&["--user", "penstock", "--password", "the word"]);
    fs::write("/root/aerospike-password", "the word\n").unwrap();
    fs::write("/etc/penstock/secret.env", format!("TOPIC={}\n", topic.name)).unwrap();
    // The service can read neither of these two files.
    for file in ["/root/aerospike-password", "/etc/penstock/secret.env"] {
        run(Command::new("chmod").args(["600", file])).assert_code(0);
    }
    let mut setup = Setup::new(&kafka, &topic, sim.addr).aerospike(
        "user = \"penstock\"\npassword = \"${file:/run/credentials/penstock@secret.service/aerospike-password}\"",
    );
    setup.topic = "${env:TOPIC}".to_owned();
    // The guide's recipe: systemd shows the credentials to ExecStart=, and hides them from ExecReload=.
    let guide = include_str!("../../docs/guide/running-under-systemd.md");
    let recipe = guide
        .split("LoadCredential=")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let (_, reload) = recipe.split_once('\n').unwrap();
    let settings = format!("LoadCredential=aerospike-password:/root/aerospike-password\n{reload}");
    // The resolver works in the sandbox, too.
    let text = setup.text().replace("127.0.0.1", "localhost");
    let unit = Unit::new("secret", &text, &settings);
    unit.must("start");
    tell(&unit, "with a credential");
    let pid = unit.pid();
    // The check has them, too.
    unit.must("reload");
    assert_ne!(unit.pid(), pid);
    unit.configure(&format!("nonsense = 1\n{text}"));
    let pid = unit.pid();
    assert_eq!(unit.systemctl(&["reload"]).status.code(), Some(1), "{}", unit.text());
    assert_eq!(unit.pid(), pid);
    unit.must("stop");
}

fn comes_back_and_loses_nothing() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("systemd", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr).consumer(
        "session.timeout.ms = 3000\nheartbeat.interval.ms = 300\n\"group.instance.id\" = \"${env:PENSTOCK_INSTANCE}\"",
    );
    let unit = Unit::new("events", &setup.text(), "WatchdogSec=10s\nRestartSec=500ms");
    let mut more = |what: &str| {
        stream.produce(200);
        topic.wait_committed(&setup.group, &stream.ends());
        tell(&unit, what);
    };
    unit.must("start");
    assert_eq!(unit.state(), "active (running)");
    more("started");
    wait_until("the state", || unit.show("StatusText"), |text| text.starts_with("ok: "));
    let status = unit.systemctl(&["status", "--no-pager", "--lines=0", "--full"]);
    println!("{}", status.assert_code(0).output);
    assert!(status.output.contains("Status: \"ok: "), "{}", status.output);
    let first = unit.pid();
    is_hardened(first);
    let instance = environment(first, "PENSTOCK_INSTANCE");
    assert!(
        instance.ends_with("-events") && instance.len() > "-events".len(),
        "{instance}"
    );

    unit.signal("KILL");
    let second = unit.wait_another(first);
    more("killed");
    assert_eq!(unit.show("NRestarts"), "1");

    unit.signal("TERM");
    let third = unit.wait_another(second);
    more("ended by a signal that systemd did not send");
    assert_eq!(unit.show("NRestarts"), "2");

    unit.signal("STOP");
    let fourth = unit.wait_another(third);
    more("hung");
    assert_eq!(unit.show("NRestarts"), "3");
    assert!(unit.text().contains("Watchdog timeout"), "{}", unit.text());

    unit.configure(&format!("nonsense = 1\n{}", setup.text()));
    let refused = unit.systemctl(&["reload"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.output);
    more("a reload with a broken file");
    assert_eq!((unit.state().as_str(), unit.pid()), ("active (running)", fourth));
    let is_told = |(priority, _, text): &(u8, u32, String)| *priority == 3 && text.contains("nonsense");
    assert!(unit.journal().iter().any(is_told), "{}", unit.text());

    unit.configure(&format!("# New.\n{}", setup.text()));
    unit.must("reload");
    // The caller gets its answer when the new process runs.
    assert_eq!(unit.state(), "active (running)");
    let fifth = unit.pid();
    assert_ne!(fifth, fourth);
    more("a reload with a good file");
    assert!(
        unit.lines_of(fourth).contains("exit code=0 meaning=Stopped"),
        "{}",
        unit.text()
    );
    assert_eq!(unit.show("NRestarts"), "0", "it was no failure");
    // Neither was it for OnFailure=. (The one failure is the process that was killed.)
    let text = unit.text();
    assert_eq!(text.matches("Failed with result 'signal'").count(), 1, "{text}");

    unit.must("stop");
    tell(&unit, "stopped");
    assert_eq!(
        (unit.state().as_str(), unit.show("Result").as_str()),
        ("inactive (dead)", "success")
    );
    assert!(
        unit.lines_of(fifth).contains("exit code=0 meaning=Stopped"),
        "{}",
        unit.text()
    );
    stream.assert_ledger(&sim);
    // The sandbox denied nothing, and nobody was told of anything that it may not have.
    for word in ["denied", "not permitted", "SIGSYS", "status=31/SYS", "memory: cannot"] {
        assert!(!unit.text().contains(word), "{word}: {}", unit.text());
    }
}

/// A variable of a process's environment.
fn environment(pid: u32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let value = text
        .split('\0')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// The settings have reached the process.
fn is_hardened(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in [
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "Umask:\t0077",
    ] {
        assert!(status.lines().any(|is| is == line), "no {line} in {status}");
    }
    assert!(!status.contains("Uid:\t0\t"), "{status}");
    let limit = |pid: u32, name: &str| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(limit(pid, "Max core file size"), "0");
    // Where systemd itself may not have more, it cannot give more.
    let open = limit(pid, "Max open files");
    assert!(open == "65536" || open == limit(1, "Max open files"), "{open}");
    // As the service sees the files.
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let is_read_only = |folder: &str| {
        let mut mount = mounts.lines().filter(|line| line.split(' ').nth(4) == Some(folder));
        mount
            .next_back()
            .is_some_and(|line| line.split(' ').nth(5).unwrap().starts_with("ro"))
    };
    assert!(is_read_only("/"), "{mounts}");
    assert!(is_read_only("/proc/sys"), "{mounts}");
    assert!(fs::metadata(format!("/proc/{pid}/root/proc/meminfo")).is_ok());
}

fn is_reloaded_with_a_held_message() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("held", 2);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let unit = Unit::new("held", &setup.text(), "");
    unit.must("start");
    stream.produce_bad(0, "no JSON");
    wait_until(
        "a held message",
        || unit.text(),
        |text| text.contains("message rejected"),
    );
    let pid = unit.pid();
    // The process ends with 65, which is not restarted. A reload is.
    unit.must("reload");
    tell(&unit, "a reload with a held message");
    assert_eq!(unit.state(), "active (running)");
    assert!(unit.lines_of(pid).contains("exit code=65"), "{}", unit.text());
    wait_until(
        "it to be held again",
        || unit.lines_of(unit.pid()),
        |text| text.contains("message rejected"),
    );
    unit.must("stop");
    tell(&unit, "stopped with a held message");
    assert_eq!(unit.state(), "failed (failed)");
    assert_eq!(unit.show("ExecMainStatus"), "65");
}

fn ends_within_its_grace_though_the_time_out_is_shorter() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("slow", 1);
    let sim = SimProgram::start(&[]);
    let mut stream = Stream::new(&topic, 5);
    let setup = Setup::new(&kafka, &topic, sim.addr).run("write_timeout = \"5s\"\nshutdown_grace = \"20s\"");
    let unit = Unit::new("slow", &setup.text(), "TimeoutStopSec=3s");
    unit.must("start");
    stream.produce(10);
    topic.wait_committed(&setup.group, &stream.ends());
    // The call under way takes until its time-out.
    sim.say("stall applied");
    let before = sim.stat("batches");
    stream.produce(10);
    wait_until("a call", || sim.stat("batches"), |now| *now > before);
    let since = Instant::now();
    unit.must("stop");
    let took = since.elapsed();
    tell(&unit, &format!("stopped after {took:.1?}, with TimeoutStopSec=3s"));
    assert!(
        !["timeout", "signal"].contains(&unit.show("Result").as_str()),
        "{}",
        unit.text()
    );
    assert!(unit.text().contains("exit code="), "{}", unit.text());
    assert!(
        took > Duration::from_secs(3),
        "too short to tell: {took:?}\n{}",
        unit.text()
    );
}
