//! A process that is killed by a signal that dumps core leaves no core file: it would have the secrets in it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use crate::support::process::{Program, UNREACHED, penstock};

const SECRET: &str = "Dv7Kc2NqXw9Lt4Mz";
const SIGABRT: i32 = 6;

/// This command, with core files allowed, in this folder.
fn with_cores(command: &Command, folder: &Path) -> Command {
    let mut allowed = Command::new("sh");
    allowed.args(["-c", "ulimit -c \"$(ulimit -H -c)\" && exec \"$@\"", "sh"]);
    allowed
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(folder);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => allowed.env(name, value),
            None => allowed.env_remove(name),
        };
    }
    allowed
}

/// Kills a service that has read its secret, and says how it ended.
fn killed(folder: &Path, allow: Option<&str>) -> ExitStatus {
    let text = UNREACHED.replace(
        "namespace = \"test\"",
        &format!("namespace = \"test\"\nuser = \"penstock\"\npassword = \"{SECRET}\""),
    );
    let file = folder.join("penstock.toml");
    fs::write(&file, text).unwrap();
    let mut command = penstock();
    command.arg("run").arg(&file).env_remove("PENSTOCK_CORE_DUMPS");
    if let Some(allow) = allow {
        command.env("PENSTOCK_CORE_DUMPS", allow);
    }
    let mut service = Program::start(&mut with_cores(&command, folder));
    service.wait_for_line(&["settings: aerospike"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", service.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let soft = core.split_whitespace().nth(4).unwrap();
    let is_allowed = allow == Some("1");
    assert_eq!(!["0", "1"].contains(&soft), is_allowed, "{core}");
    service.signal("ABRT");
    let exited = service.end();
    exited.assert_signal(SIGABRT);
    assert_eq!(
        exited.output.contains("core dumps: allowed by PENSTOCK_CORE_DUMPS"),
        is_allowed,
        "{}",
        exited.output
    );
    exited.status
}

/// The files of the folder that hold the secret, but for the configuration.
fn files_with_secret(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| !path.ends_with("penstock.toml"))
        .filter(|path| {
            fs::read(path)
                .unwrap()
                .windows(SECRET.len())
                .any(|window| window == SECRET.as_bytes())
        })
        .map(|path| path.display().to_string())
        .collect()
}

/// Whether a core is dumped here at all: the hard limit and the kernel may be against it.
fn are_cores_dumped_here(folder: &Path) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -ABRT $$"]);
    let status = with_cores(&shell, folder).status().unwrap();
    assert_eq!(status.signal(), Some(SIGABRT), "{status}");
    status.core_dumped()
}

#[test]
fn a_killed_service_leaves_no_core_file_unless_a_variable_allows_it() {
    for allow in [None, Some(""), Some("0")] {
        let folder = tempfile::tempdir().unwrap();
        let status = killed(folder.path(), allow);
        assert!(!status.core_dumped(), "{allow:?}: {status}");
        assert_eq!(files_with_secret(folder.path()), Vec::<String>::new());
    }
    let folder = tempfile::tempdir().unwrap();
    if !are_cores_dumped_here(folder.path()) {
        println!("no core is dumped on this machine, by no program");
        return;
    }
    // The same with core dumps: the kernel writes one, and this test would find the secret in it.
    let folder = tempfile::tempdir().unwrap();
    let status = killed(folder.path(), Some("1"));
    assert!(status.core_dumped(), "{status}");
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if !pattern.starts_with(['|', '/', '@']) {
        assert_eq!(files_with_secret(folder.path()).len(), 1, "core_pattern is {pattern}");
    }
}
