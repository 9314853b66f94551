//! The heartbeat of a running process: the file, and systemd's notifications.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process;
use std::time::{Duration, SystemTime};

use crate::support::process::{Program, SimProgram, penstock, run_service};
use crate::support::{Kafka, Setup, wait_until};

/// When the file was last written. `None`: there is none.
fn beat(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Waits until the file's time has moved twice: the first time, the beat may have been under way.
fn wait_beats(path: &Path) {
    for _ in 0..2 {
        let before = beat(path);
        wait_until("a beat", || beat(path), |now| now.is_some() && *now > before);
    }
}

#[test]
fn the_file_moves_while_the_process_runs_and_is_gone_at_its_end() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("heartbeat", 1);
    let sim = SimProgram::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heartbeat");
    let setup = Setup::new(&kafka, &topic, sim.addr).run(&format!("heartbeat_file = \"{}\"", path.display()));
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["kafka: assigned"]);
    wait_beats(&path);
    let text = wait_until(
        "a running service",
        || fs::read_to_string(&path).unwrap(),
        |text| !text.contains("state=starting"),
    );
    assert!(text.starts_with(&format!("pid={}\n", service.id())), "{text}");
    assert!(
        text.contains(&format!("\nconfig={}\n", file.path().display())),
        "{text}"
    );
    // A process that is stopped does not beat.
    service.signal("STOP");
    let stat = format!("/proc/{}/stat", service.id());
    wait_until(
        "the process to be stopped",
        || fs::read_to_string(&stat).unwrap(),
        |stat| stat.contains(") T "),
    );
    let stopped = beat(&path);
    service.signal("CONT");
    wait_until("a beat", || beat(&path), |now| *now > stopped);
    service.signal("TERM");
    service.end().assert_code(0);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_command_line_names_another_file_than_the_configuration() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("heartbeat", 1);
    let sim = SimProgram::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let [of_file, of_option] = ["of-file", "of-option"].map(|name| folder.path().join(name));
    let setup = Setup::new(&kafka, &topic, sim.addr).run(&format!("heartbeat_file = \"{}\"", of_file.display()));
    let file = setup.file();
    let mut command = penstock();
    command.env("PENSTOCK_HEARTBEAT_FILE", &of_option);
    let mut service = Program::start(command.arg("run").arg(file.path()));
    service.wait_for_line(&["settings: run ", &format!("heartbeat_file={}", of_option.display())]);
    wait_beats(&of_option);
    assert!(!of_file.exists());
    service.signal("TERM");
    service.end().assert_code(0);
}

#[test]
fn systemd_is_told_of_the_start_the_beats_and_the_end() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("heartbeat", 1);
    let sim = SimProgram::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut told = Vec::new();
    let mut wait_for = |line: &str| {
        while !told.iter().any(|told: &String| told.starts_with(line)) {
            let mut bytes = [0; 4096];
            let length = manager
                .recv(&mut bytes)
                .unwrap_or_else(|error| panic!("{error}: no {line} in {told:?}"));
            told.extend(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned));
        }
        told.clone()
    };
    let setup = Setup::new(&kafka, &topic, sim.addr);
    let file = setup.file();
    let mut command = penstock();
    command.env("NOTIFY_SOCKET", &path);
    let mut service = Program::start(command.arg("run").arg(file.path()));
    wait_for("STATUS=starting");
    let until_ready = wait_for("READY=1");
    assert!(until_ready.contains(&"WATCHDOG=1".to_owned()), "{until_ready:?}");
    assert!(!until_ready.contains(&"STOPPING=1".to_owned()), "{until_ready:?}");
    service.signal("TERM");
    wait_for("STOPPING=1");
    service.end().assert_code(0);
}

#[test]
fn a_heartbeat_that_cannot_be_written_is_told_once_and_the_service_goes_on() {
    let kafka = Kafka::mock();
    let topic = kafka.topic("heartbeat", 1);
    let sim = SimProgram::start(&[]);
    let path = format!("/nowhere-{}/heartbeat", process::id());
    let setup = Setup::new(&kafka, &topic, sim.addr).run(&format!("heartbeat_file = \"{path}\""));
    let file = setup.file();
    let mut service = run_service(file.path());
    service.wait_for_line(&["kafka: assigned"]);
    service.signal("TERM");
    let ended = service.end();
    ended.assert_code(0);
    let lines = ended
        .output
        .lines()
        .filter(|line| line.contains("heartbeat: the file cannot be written"));
    assert_eq!(lines.count(), 1, "{}", ended.output);
}
