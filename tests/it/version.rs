//! The build script: which commit a program names, in all the places where a build may happen. The tests compile
//! `build.rs` and run it as Cargo does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The compiled build script.
fn script() -> &'static Path {
    static SCRIPT: OnceLock<PathBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        // The tests' own folder in target; each process writes its own file.
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("build-script-{}", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let status = rustc.args(["--edition", "2024", "-o"]).arg(&made).arg(source).status();
        assert!(status.unwrap().success());
        made
    })
}

/// What the build script told Cargo.
#[derive(Debug)]
struct Told {
    version: String,
    commit: String,
    date: String,
    watched: Vec<PathBuf>,
}

fn built(folder: &Path, profile: &str) -> Told {
    built_as(folder, profile, None)
}

/// `named`: `PENSTOCK_BUILD_COMMIT`.
fn built_as(folder: &Path, profile: &str, named: Option<&str>) -> Told {
    let mut command = Command::new(script());
    command
        .current_dir(folder)
        .env("CARGO_PKG_VERSION", "1.2.3")
        .env("PROFILE", profile)
        .env_remove("PENSTOCK_BUILD_COMMIT")
        .envs(named.map(|commit| ("PENSTOCK_BUILD_COMMIT", commit)));
    let output = without_git_variables(&mut command).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let variable = |name: &str| {
        let start = format!("cargo::rustc-env={name}=");
        text.lines()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("{text}"))
            .to_owned()
    };
    let watched = text
        .lines()
        .filter_map(|line| line.strip_prefix("cargo::rerun-if-changed="));
    Told {
        version: variable("PENSTOCK_VERSION"),
        commit: variable("PENSTOCK_COMMIT"),
        date: variable("PENSTOCK_DATE"),
        watched: watched.map(|path| folder.join(path)).collect(),
    }
}

/// A hook of git may run these tests.
fn without_git_variables(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments);
    let dates = [
        ("GIT_AUTHOR_DATE", "2026-03-04T12:00:00Z"),
        ("GIT_COMMITTER_DATE", "2026-03-04T12:00:00Z"),
    ];
    let output = without_git_variables(&mut command).envs(dates).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A repository with a commit. `None` on a machine without git: it has only archives of the sources.
fn repository() -> Option<TempDir> {
    if Command::new("git").arg("--version").output().is_err() {
        return None;
    }
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for name in ["src/main.rs", "build.rs", "notes.md"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    git(folder.path(), &["init", "--quiet", "--initial-branch", "main"]);
    commit(folder.path());
    Some(folder)
}

/// Commits all there is. Returns the commit as it is shown.
fn commit(folder: &Path) -> String {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", "m"]);
    shown(folder)
}

fn shown(folder: &Path) -> String {
    git(folder, &["rev-parse", "HEAD"])[..10].to_owned()
}

#[test]
fn a_release_says_the_commit_and_its_date() {
    let Some(folder) = repository() else { return };
    let commit = shown(folder.path());
    let told = built(folder.path(), "release");
    assert_eq!(told.version, format!("1.2.3 ({commit} 2026-03-04)"));
    assert_eq!((told.commit, told.date), (commit.clone(), "2026-03-04".to_owned()));

    // What is not compiled in does not count; what is new does.
    fs::write(folder.path().join("notes.md"), "changed").unwrap();
    assert_eq!(built(folder.path(), "release").commit, commit);
    fs::write(folder.path().join("src/new.rs"), "").unwrap();
    let told = built(folder.path(), "release");
    assert_eq!(told.commit, format!("{commit}-modified"));
    assert_eq!(told.version, format!("1.2.3 ({commit}-modified 2026-03-04)"));
}

/// Whether Cargo would run the script again: whether a watched file, or one in a watched folder, was written after
/// `script_ran`.
fn changed(watched: &[PathBuf], script_ran: &Path) -> bool {
    let ran = fs::metadata(script_ran).unwrap().modified().unwrap();
    let mut paths = watched.to_vec();
    while let Some(path) = paths.pop() {
        if fs::metadata(&path).unwrap().modified().unwrap() > ran {
            return true;
        }
        if path.is_dir() {
            paths.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    false
}

#[test]
fn each_commit_builds_a_release_again_and_nothing_else_does() {
    let Some(main) = repository() else { return };
    let elsewhere = TempDir::new().unwrap();
    let linked = elsewhere.path().join("linked");
    let worktree = ["worktree", "add", "--quiet", "-b", "a/b", linked.to_str().unwrap()];
    git(main.path(), &worktree);
    for folder in [main.path(), linked.as_path()] {
        for packed in [false, true] {
            if packed {
                git(folder, &["pack-refs", "--all"]);
            }
            let told = built(folder, "release");
            for path in &told.watched {
                // Cargo would run the script at each build.
                assert!(path.exists(), "{}", path.display());
            }
            // Its time is that of a script that ran now. A file system's clock has ticks.
            let marker = TempDir::new().unwrap();
            let ran = marker.path().join("ran");
            fs::write(&ran, "").unwrap();
            git(folder, &["status"]);
            assert!(!changed(&told.watched, &ran), "{told:?}");
            crate::support::wait_until(
                "a commit after the script's time",
                || {
                    let commit = commit(folder);
                    (changed(&told.watched, &ran), commit)
                },
                |(changed, _)| *changed,
            );
            assert_eq!(built(folder, "release").commit, shown(folder));
        }
    }
}

#[test]
fn a_developers_build_names_no_commit_and_is_not_built_again() {
    let Some(folder) = repository() else { return };
    let told = built(folder.path(), "debug");
    assert_eq!(told.version, "1.2.3 (dev build)");
    assert_eq!((told.commit.as_str(), told.date.as_str()), ("unknown", ""));
    assert_eq!(told.watched, [folder.path().join("build.rs")]);
    // The program of these tests. (With `--profile ci` it is a release.)
    let program = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("--version")
        .output()
        .unwrap();
    let said = String::from_utf8(program.stdout).unwrap();
    assert_eq!(said, format!("penstock {}\n", penstock::util::version::LONG));
}

#[test]
fn a_build_in_a_hook_of_another_repository_says_its_own_commit() {
    let (Some(own), Some(other)) = (repository(), repository()) else {
        return;
    };
    fs::write(other.path().join("src/more.rs"), "").unwrap();
    let others = commit(other.path());
    let mut command = Command::new(script());
    command
        .current_dir(own.path())
        .env("CARGO_PKG_VERSION", "1.2.3")
        .env("PROFILE", "release")
        .env_remove("PENSTOCK_BUILD_COMMIT");
    let output = without_git_variables(&mut command)
        .env("GIT_DIR", other.path().join(".git"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (is, is_not) = (shown(own.path()), others);
    assert_ne!(is, is_not);
    assert!(said.contains(&is) && !said.contains(&is_not), "{said}");
}

#[test]
fn a_build_without_a_repository_says_the_commit_that_it_is_told() {
    let folder = TempDir::new().unwrap();
    let named = |commit: &str| built_as(folder.path(), "release", Some(commit)).version;
    assert_eq!(named("0123456789abcdef0123456789abcdef01234567"), "1.2.3 (0123456789)");
    // What is no commit, such as the empty argument of a container's build, is not repeated.
    for other in ["", "main", "012345678$"] {
        assert_eq!(named(other), "1.2.3");
    }
    assert_eq!(
        built_as(folder.path(), "debug", Some("0123456789")).version,
        "1.2.3 (dev build)"
    );
}

#[test]
fn a_package_says_the_commit_that_it_was_made_of() {
    // Packages are unpacked in target, which is inside of a repository.
    let Some(folder) = repository() else { return };
    let package = folder.path().join("package");
    fs::create_dir(&package).unwrap();
    let info = |dirty: &str| {
        let text =
            format!("{{\n  \"git\": {{\n    \"sha1\": \"0123456789abcdef0123456789abcdef01234567\"{dirty}\n  }}\n}}");
        fs::write(package.join(".cargo_vcs_info.json"), text).unwrap();
        built(&package, "release").version
    };
    assert_eq!(info(""), "1.2.3 (0123456789)");
    assert_eq!(info(",\n    \"dirty\": true"), "1.2.3 (0123456789-modified)");
}

#[test]
fn sources_without_a_repository_of_their_own_say_only_the_version() {
    let alone = TempDir::new().unwrap();
    let told = built(alone.path(), "release");
    assert_eq!((told.version.as_str(), told.commit.as_str()), ("1.2.3", "unknown"));
    // Copied into another project.
    let Some(other) = repository() else { return };
    let told = built(&other.path().join("src"), "release");
    assert_eq!((told.version.as_str(), told.commit.as_str()), ("1.2.3", "unknown"));
}
