//! The commands around the service, as a person or a script calls them: help, standard input, output, exit codes.

// A test may fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A call that has ended.
struct Called {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Called {
    /// # Panics
    /// Unless it ended with this code.
    fn assert_code(&self, code: i32) -> &Self {
        let Called { out, err, .. } = self;
        assert_eq!(self.code, Some(code), "standard output:\n{out}\nstandard error:\n{err}");
        // None of these is a terminal.
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "coloured:\n{out}\n{err}"
        );
        self
    }
}

/// `penstock` with these arguments, and this on its standard input.
fn call(arguments: &[&str], stdin: &str) -> Called {
    let mut child = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read it is none of our business.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Called {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The configurations in examples/, from the root of the project.
fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| Path::new("examples").join(path.file_name().unwrap()))
        .collect();
    examples.sort();
    assert!(!examples.is_empty(), "no example");
    examples
}

const COMMANDS: [&str; 4] = ["run", "check", "schema", "completions"];

#[test]
fn the_help_of_every_command_has_an_example() {
    let all = call(&["--help"], "");
    all.assert_code(0);
    for command in COMMANDS {
        assert!(
            all.out.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in:\n{}",
            all.out
        );
        let help = call(&[command, "--help"], "");
        help.assert_code(0);
        let (_, example) = help.out.split_once("Example").unwrap_or_else(|| panic!("{}", help.out));
        assert!(example.contains(&format!("penstock {command}")), "{}", help.out);
    }
    let listed = all.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty()).count();
    assert_eq!(listed, COMMANDS.len() + 1, "with `help`:\n{}", all.out);
}

#[test]
fn a_configuration_is_read_from_standard_input() {
    for example in examples() {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&example)).unwrap();
        let from_file = call(&["check", example.to_str().unwrap()], "");
        let from_input = call(&["check", "-"], &text);
        from_file.assert_code(0);
        from_input.assert_code(0);
        let (_, said) = from_file.out.split_once(": ").unwrap();
        assert_eq!(from_input.out, format!("standard input: {said}"));
    }
    for command in ["check", "run"] {
        let called = call(&[command, "-"], "[kafka]\nbrokers = \"k\"\n");
        called.assert_code(78);
        assert!(
            called.err.contains("standard input:1: kafka.topics: is missing"),
            "{}",
            called.err
        );
        call(&[command, "-"], "").assert_code(78);
    }
}

#[test]
fn the_schema_is_json() {
    let called = call(&["schema"], "");
    called.assert_code(0);
    assert_eq!(called.err, "");
    let schema: serde_json::Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(schema, penstock::config::schema::schema());
    call(&["schema", "extra"], "").assert_code(64);
}

#[test]
fn the_completions_are_those_of_the_shell_and_know_every_command() {
    for (shell, word) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef penstock"),
        ("fish", "complete -c penstock"),
    ] {
        let called = call(&["completions", shell], "");
        called.assert_code(0);
        assert!(called.out.contains(word), "{shell}:\n{}", called.out);
        for command in COMMANDS {
            assert!(called.out.contains(command), "{shell} does not know {command}");
        }
    }
    call(&["completions", "perl"], "").assert_code(64);
    call(&["completions"], "").assert_code(64);
}

/// A shell reads the script and completes with it.
#[test]
fn bash_completes_a_command() {
    let script = call(&["completions", "bash"], "").out;
    let ask = "COMP_WORDS=(penstock ch); COMP_CWORD=1; _penstock penstock ch penstock; echo \"found:${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", &format!("{script}\n{ask}")]).output();
    let Ok(output) = output else {
        eprintln!("skipped: no bash here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("found:check"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
