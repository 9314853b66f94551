//! The build script: which commit this program is made of, for `penstock --version`, the log and the metrics.
//!
//! It sets variables for `src/util/version.rs`:
//!
//! - `PENSTOCK_COMMIT`: `dc9d237f1a`, `dc9d237f1a-modified` (files that are compiled in were changed), or `unknown`;
//! - `PENSTOCK_VERSION`: `0.1.0 (dc9d237f1a 2026-11-28)`, or without the date, or `0.1.0` alone where nothing is known;
//! - `PENSTOCK_DATE`: the date of the commit, or nothing.
//!
//! - `PENSTOCK_OPT_LEVEL`: how much the compiler optimises, `0` to `3`, `s` or `z`, for `penstock bench`.
//!
//! The profile `dev` and those that inherit it get `unknown` and `0.1.0 (dev build)`, and git is not asked: a developer's
//! build must not be made again after each commit.
//!
//! The commit comes from `PENSTOCK_BUILD_COMMIT` (for builds without a repository, in a container for instance), from git,
//! or from `.cargo_vcs_info.json` in a package that `cargo package` made. A folder without
//! both, or inside a repository of somebody else, is no error.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that the program is compiled from. (`src/config/pages.rs` includes the pages.)
const COMPILED: [&str; 6] = [
    "src",
    "docs/reference",
    "build.rs",
    "Cargo.toml",
    "Cargo.lock",
    ".cargo",
];

/// `cargo package` writes it: {"git": {"sha1": "…"}, …}.
const VCS_INFO: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let number = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // `debug` is the profile `dev` and all that inherit it. All others inherit `release`.
    let is_dev = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    // Cargo runs build scripts in the package's folder.
    let found = if is_dev {
        None
    } else {
        named().or_else(packaged).or_else(checked_out)
    };
    let version = match &found {
        Some((commit, date)) => format!("{number} ({})", format!("{commit} {date}").trim_end()),
        None if is_dev => format!("{number} (dev build)"),
        None => number,
    };
    let (commit, date) = found.unwrap_or_else(|| ("unknown".to_owned(), String::new()));
    println!("cargo::rustc-env=PENSTOCK_COMMIT={commit}");
    println!("cargo::rustc-env=PENSTOCK_DATE={date}");
    println!("cargo::rustc-env=PENSTOCK_VERSION={version}");
    let level = env::var("OPT_LEVEL").unwrap_or_default();
    println!("cargo::rustc-env=PENSTOCK_OPT_LEVEL={level}");
}

/// The commit that the caller names. Its date is not known.
fn named() -> Option<(String, String)> {
    const NAME: &str = "PENSTOCK_BUILD_COMMIT";
    println!("cargo::rerun-if-env-changed={NAME}");
    let commit: String = env::var(NAME).ok()?.chars().take(10).collect();
    if !commit.is_empty() && !is_commit(&commit) {
        println!("cargo::warning={NAME} is no commit (10 hexadecimal digits or more): it is not used");
    }
    is_commit(&commit).then_some((commit, String::new()))
}

/// The commit of a package from a registry. Its date is not known.
fn packaged() -> Option<(String, String)> {
    let text = fs::read_to_string(VCS_INFO).ok()?;
    println!("cargo::rerun-if-changed={VCS_INFO}");
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit: String = rest.split('"').nth(1)?.chars().take(10).collect();
    let modified = if text.contains("\"dirty\": true") {
        "-modified"
    } else {
        ""
    };
    is_commit(&commit).then(|| (format!("{commit}{modified}"), String::new()))
}

/// Whether this is the beginning of a commit's name, as it is shown.
fn is_commit(text: &str) -> bool {
    text.len() == 10 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The commit of a work tree, and its date.
fn checked_out() -> Option<(String, String)> {
    // Not empty: the sources lie in a folder of another project's repository.
    if !git(&["rev-parse", "--show-cdup"])?.is_empty() {
        return None;
    }
    watch();
    let shown = git(&["log", "-1", "--abbrev=10", "--format=%h %cs"])?;
    let (commit, date) = shown.split_once(' ')?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--"];
    status.extend(COMPILED);
    let modified = if git(&status)?.is_empty() { "" } else { "-modified" };
    Some((format!("{commit}{modified}"), date.to_owned()))
}

/// Has Cargo run this again when the commit changes, or a file that is compiled in.
fn watch() {
    let mut files: Vec<PathBuf> = COMPILED.iter().map(PathBuf::from).collect();
    // In a work tree of `git worktree` these are not in `.git`, which is a file there.
    let own = |name: &str| git(&["rev-parse", "--git-path", name]).map(PathBuf::from);
    // HEAD changes with the branch. The branch's file changes with each commit; it does not exist while the branch is
    // in `packed-refs`, and the next commit makes it, which changes its folder.
    files.extend(own("HEAD"));
    files.extend(own("packed-refs"));
    if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"]).and_then(|branch| own(&branch)) {
        files.extend(branch.ancestors().find(|path| path.exists()).map(Path::to_path_buf));
    }
    // Cargo takes a file that does not exist as one that has changed.
    for file in files.iter().filter(|file| file.exists()) {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

/// What git prints, without the line's end. `None`: there is no git, or no repository, or git refuses it.
fn git(arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    // A hook of git, for instance, names another repository with these.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"] {
        command.env_remove(name);
    }
    let output = command.args(arguments).output().ok()?;
    output.status.success().then_some(())?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}
