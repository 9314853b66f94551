//! Programs as processes: their output lines, signals, their exit; and the simulator's program with its control port.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use aerospike::{Client, ClientPolicy};
use penstock_sim::control_command;
use tempfile::NamedTempFile;

use super::database::{int_n, read_records};
use super::{Records, wait_until};

/// A running program, killed when dropped.
pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    pub fn start(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let readers = vec![collect(out, lines.clone()), collect(err, lines.clone())];
        Program { child, lines, readers }
    }

    /// Its whole output so far, of both streams.
    pub fn output(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits for a line that contains all of `parts`, and returns it.
    pub fn wait_for_line(&mut self, parts: &[&str]) -> String {
        let find = |lines: &[String]| {
            lines
                .iter()
                .find(|line| parts.iter().all(|part| line.contains(part)))
                .cloned()
        };
        let mut ended = false;
        wait_until(
            &format!("a line with {parts:?}"),
            || {
                // Check in this order: when its pipes are closed, everything that a program wrote before its end is
                // there.
                ended = ended || self.readers.iter().all(JoinHandle::is_finished);
                let lines = self.lines.lock().unwrap();
                let found = find(&lines);
                assert!(
                    found.is_some() || !ended,
                    "the program ended; no line with {parts:?}:\n{}",
                    lines.join("\n")
                );
                found.ok_or_else(|| lines.join("\n"))
            },
            Result::is_ok,
        )
        .unwrap()
    }

    /// Sends a signal, given by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        assert!(signal(self.id(), name), "kill -{name}; it said:\n{}", self.output());
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn end(&mut self) -> Exited {
        let status = {
            let (child, lines) = (&mut self.child, &self.lines);
            let observe = || {
                child
                    .try_wait()
                    .unwrap()
                    .ok_or_else(|| lines.lock().unwrap().join("\n"))
            };
            wait_until("the program to end", observe, Result::is_ok).unwrap()
        };
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Exited {
            status,
            output: self.output(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal, given by its name without `SIG`, and whether that was possible. By the shell's own `kill`: not every
/// machine has a program of that name.
pub fn signal(pid: u32, name: &str) -> bool {
    let kill = format!("kill -{name} {pid}");
    Command::new("sh").args(["-c", &kill]).status().unwrap().success()
}

fn collect(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().unwrap().push(line);
        }
    })
}

/// How a program ended, and its whole output.
pub struct Exited {
    pub status: ExitStatus,
    pub output: String,
}

impl Exited {
    /// Fails unless it exited with this code.
    pub fn assert_code(&self, code: i32) -> &Exited {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}; it said:\n{}",
            self.status,
            self.output
        );
        self
    }

    /// Fails unless this signal ended it.
    pub fn assert_signal(&self, signal: i32) -> &Exited {
        assert_eq!(
            self.status.signal(),
            Some(signal),
            "{}; it said:\n{}",
            self.status,
            self.output
        );
        self
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Exited {
    Program::start(command).end()
}

/// A call that has ended: what it wrote to its two streams, which were no terminals.
pub struct Called {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Called {
    /// Fails unless it ended with this code, and wrote no colours.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Called {
        let Called { out, err, .. } = self;
        assert_eq!(self.code, Some(code), "standard output:\n{out}\nstandard error:\n{err}");
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "coloured:\n{out}\n{err}"
        );
        self
    }

    /// What it wrote to both streams, one behind the other.
    pub fn told(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a program to its end, with this standard input. It need not read it.
pub fn call(command: &mut Command, stdin: impl AsRef<[u8]>) -> Called {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_ref());
    let output = child.wait_with_output().unwrap();
    Called {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The service's program; the caller adds arguments.
pub fn penstock() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    for variable in ["PENSTOCK_LOG", "PENSTOCK_LOG_FORMAT", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// A whole configuration of a service that reaches neither Kafka nor Aerospike.
pub const UNREACHED: &str = r#"
[kafka]
brokers = "127.0.0.1:1"
topics = ["events"]
group = "my group"
[aerospike]
hosts = "127.0.0.1:2"
namespace = "test"
[[route]]
  [[route.write]]
  set = "users"
  key = "user.id"
  bins = ["user.name"]
"#;

/// The configuration in a file, which is deleted when this is dropped.
pub fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The service's program, running with the configuration in this file.
pub fn run_service(file: &Path) -> Program {
    Program::start(penstock().arg("run").arg(file))
}

/// The simulator's program.
pub struct SimProgram {
    _program: Program,
    /// The first node's address.
    pub addr: SocketAddr,
    /// All nodes' addresses.
    pub addrs: Vec<SocketAddr>,
    control: SocketAddr,
}

/// The path of the simulator's program. It belongs to another crate, and is beside the program that Cargo has built for
/// this test.
fn sim_program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_penstock")).with_file_name("penstock-sim");
    assert!(
        program.exists(),
        "there is no {}: cargo build --locked --workspace --bins, with the profile of this test",
        program.display()
    );
    program
}

impl SimProgram {
    pub fn start(arguments: &[&str]) -> SimProgram {
        let mut command = Command::new(sim_program());
        let mut program = Program::start(command.args(["--listen", "127.0.0.1:0"]).args(arguments));
        let line = program.wait_for_line(&["listening on", "control="]);
        let (addr, control) = line
            .split_once("listening on ")
            .unwrap()
            .1
            .split_once(" control=")
            .unwrap();
        // A single node is not listed again.
        let (control, nodes) = control.split_once(" nodes=").unwrap_or((control, addr));
        SimProgram {
            addr: addr.parse().unwrap(),
            addrs: nodes.split(',').map(|addr| addr.parse().unwrap()).collect(),
            control: control.parse().unwrap(),
            _program: program,
        }
    }

    /// Sends one command to the control port.
    pub fn say(&self, command: &str) -> String {
        let answer = control_command(self.control, command).unwrap();
        assert!(!answer.starts_with("error:"), "{command}: {answer}");
        answer
    }

    /// One of the counters of `stats`.
    pub fn stat(&self, name: &str) -> u64 {
        let stats = self.say("stats");
        let value = stats
            .split(' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {stats}")).parse().unwrap()
    }
}

/// Reads records with the client that users have.
impl Records for SimProgram {
    fn ints(&self, set: &str, keys: &[&str]) -> Vec<Option<i64>> {
        let client = Client::new(&ClientPolicy::default(), &self.addr.to_string()).unwrap();
        let found = read_records(&client, "test", set, keys, int_n);
        client.close().unwrap();
        found.into_iter().map(Option::flatten).collect()
    }

    fn count(&self, set: &str) -> u64 {
        self.say(&format!("count test {set}")).parse().unwrap()
    }
}
