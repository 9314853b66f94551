//! Installation: the archive of scripts/dist.sh, what scripts/install.sh makes of it, and what it leaves behind. The
//! program in the archive is that of the tests. Most tests of install.sh itself install a small script in its place.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Everything below a folder, folders with a `/` at the end.
fn tree(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, top: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                walk(&path, top, found);
                found.insert(name + "/");
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

fn files(folder: &Path) -> BTreeSet<String> {
    tree(folder).into_iter().filter(|name| !name.ends_with('/')).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs it with an empty environment.
fn run(command: &mut Command) -> Output {
    command.env_clear().stdin(Stdio::null()).output().unwrap()
}

/// # Panics
/// Unless it succeeds. Returns its standard output.
fn succeed(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The standard error of a command that fails with 1.
fn refused(command: &mut Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(1), "{command:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn write(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

// ---- the archive

/// Makes the archive with the tests' program. Returns its path.
fn archive(folder: &Path) -> PathBuf {
    let mut dist = Command::new(root().join("scripts/dist.sh"));
    dist.args(["--system-openssl", "--binary", env!("CARGO_BIN_EXE_penstock"), "--out"]);
    // It asks Cargo for the licences, so it keeps the environment.
    let output = dist.arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let made: PathBuf = text(&output.stdout).trim_end().into();
    assert!(made.exists(), "{}", made.display());
    made
}

#[test]
fn the_archive_works_where_it_is_unpacked_and_where_it_is_installed() {
    let folder = TempDir::new().unwrap();
    let archive = archive(folder.path());
    let name = archive.file_name().unwrap().to_str().unwrap();
    let name = name.strip_suffix(".tar.gz").unwrap();
    let start = format!(
        "penstock-{}-{}-linux-gnu-glibc2.",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    assert!(name.starts_with(&start), "{name}");
    succeed(
        Command::new("sha256sum")
            .args(["--check", "SHA256SUMS"])
            .current_dir(folder.path()),
    );

    let empty = TempDir::new().unwrap();
    succeed(Command::new("tar").arg("-xzf").arg(&archive).current_dir(empty.path()));
    let unpacked = empty.path().join(name);
    let version = format!("penstock {}\n", penstock::util::version::LONG);
    assert_eq!(
        succeed(Command::new(unpacked.join("bin/penstock")).arg("--version")),
        version
    );

    // What it needs, and what is in it.
    let doc = unpacked.join("share/doc/penstock");
    let needs = fs::read_to_string(doc.join("REQUIREMENTS")).unwrap();
    let (_, glibc) = name.split_once("glibc").unwrap();
    let glibc = glibc.split('-').next().unwrap();
    assert!(needs.contains(&format!("glibc {glibc} or newer")), "{needs}");
    assert_eq!(
        name.ends_with("-system-openssl"),
        needs.contains("Not a release"),
        "{needs}"
    );
    let notices = fs::read_to_string(doc.join("THIRD-PARTY-NOTICES")).unwrap();
    for part in [
        "librdkafka (in rdkafka-sys ",
        "zstd (in ",
        "  serde_json v",
        "Permission is hereby granted",
    ] {
        assert!(notices.contains(part), "{part} is not in the notices");
    }

    // Installed elsewhere. A program that runs goes on while it is replaced.
    let target = TempDir::new().unwrap();
    let install = || {
        let mut install = Command::new(unpacked.join("install.sh"));
        succeed_with(&mut install, &[("DESTDIR", target.path().to_str().unwrap())])
    };
    let said = install();
    assert!(said.contains(version.trim_end()), "{said}");
    let prefix = target.path().join("usr/local");
    let installed = files(&prefix);
    for file in [
        "bin/penstock",
        "bin/penstock-cron",
        "bin/.debug/penstock.debug",
        "share/man/man1/penstock.1",
        "share/man/man1/penstock-run.1",
        "share/man/man1/penstock-cron.1",
        "share/bash-completion/completions/penstock",
        "share/zsh/site-functions/_penstock",
        "share/fish/vendor_completions.d/penstock.fish",
        "share/penstock/penstock.schema.json",
        "share/penstock/examples/events.toml",
        "share/penstock/examples/events.fixtures.json",
        "share/penstock/cron.conf",
        "share/penstock/install.sh",
        "share/penstock/installed-files",
        "share/doc/penstock/LICENSE",
        "share/doc/penstock/README.md",
        "share/doc/penstock/docs/guide/installing.md",
        "share/doc/penstock/CHANGELOG.md",
        "share/doc/penstock/THIRD-PARTY-NOTICES",
    ] {
        assert!(installed.contains(file), "{file} is not in {installed:?}");
    }
    let program = prefix.join("bin/penstock");
    assert_eq!(mode(&program), 0o755);
    assert_eq!(mode(&prefix.join("share/man/man1/penstock.1")), 0o644);

    let example = prefix.join("share/penstock/examples/events.toml");
    let nowhere = TempDir::new().unwrap();
    let mut try_ = Command::new(&program);
    try_.arg("try").arg(&example).current_dir(nowhere.path()).env_clear();
    let mut running = try_.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    install();
    let mut input = running.stdin.take().unwrap();
    input
        .write_all(b"{\"id\": \"e1\", \"user\": {\"id\": \"u1\"}}\n")
        .unwrap();
    drop(input);
    let output = running.wait_with_output().unwrap();
    assert!(
        output.status.success() && text(&output.stdout).contains("u1"),
        "{output:?}"
    );
    succeed(
        Command::new(&program)
            .arg("test")
            .arg(&example)
            .current_dir(nowhere.path()),
    );

    fs::copy(&example, nowhere.path().join("events.toml")).unwrap();
    let mut check = Command::new(prefix.join("bin/penstock-cron"));
    succeed(check.arg("-d").arg(nowhere.path()).args(["check", "events"]));

    // The copy that was installed knows its prefix.
    succeed(Command::new(prefix.join("share/penstock/install.sh")).arg("--uninstall"));
    assert_eq!(tree(&prefix), BTreeSet::new());
}

/// In the sources tests/it/repository.rs checks them. Installed, the examples are elsewhere, and there are no sources.
#[test]
fn each_link_of_the_installed_documents_leads_somewhere() {
    let stage = TempDir::new().unwrap();
    let script = root().join("scripts/stage.sh");
    succeed(
        Command::new(script)
            .arg(env!("CARGO_BIN_EXE_penstock"))
            .arg(stage.path()),
    );
    let documents = stage.path().join("share/doc/penstock");
    let (mut checked, mut dead) = (0, Vec::new());
    for name in files(&documents).into_iter().filter(|name| name.ends_with(".md")) {
        let document = documents.join(&name);
        let content = fs::read_to_string(&document).unwrap();
        let prose = content.split("\n```").step_by(2);
        let links = prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
        for link in links.filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            checked += 1;
            if !file.is_empty() && !document.parent().unwrap().join(file).exists() {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(checked > 100, "{checked} links");
    assert!(dead.is_empty(), "{dead:#?}");
}

fn succeed_with(command: &mut Command, variables: &[(&str, &str)]) -> String {
    let output = command.env_clear().envs(variables.iter().copied()).output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Each setting of penstock-cron is in the sample, with its default.
#[test]
fn the_sample_of_cron_conf_has_every_setting() {
    let script = fs::read_to_string(root().join("scripts/penstock-cron")).unwrap();
    let (_, settings) = script.split_once("\nsettings() {").unwrap();
    let (settings, _) = settings.split_once("\n}").unwrap();
    let sample = fs::read_to_string(root().join("deploy/cron/cron.conf")).unwrap();
    let mut checked = 0;
    for line in settings.lines().map(str::trim) {
        let Some((name, value)) = line
            .split_once('=')
            .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        else {
            continue;
        };
        if value.chars().all(|c| c.is_ascii_digit()) && !value.is_empty() {
            checked += 1;
            assert!(sample.contains(&format!("\n#{name}={value}\n")), "{name}={value}");
        } else {
            assert!(
                name == "CONFIG_DIR" || sample.contains(&format!("\n#{name}=")),
                "{name}"
            );
        }
    }
    assert!(checked >= 6, "{settings}");
    let set: Vec<&str> = sample
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    assert!(set.is_empty(), "not commented out: {set:?}");
}

// ---- install.sh

/// An unpacked archive with a small script as the program, and a folder to install into.
struct Scene {
    stage: TempDir,
    target: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let stage = TempDir::new().unwrap();
        let script = fs::read_to_string(root().join("scripts/install.sh")).unwrap();
        write(&stage.path().join("install.sh"), &script, 0o755);
        write(
            &stage.path().join("bin/penstock"),
            "#!/bin/sh\necho penstock 1.2.3\n",
            0o755,
        );
        write(
            &stage.path().join("share/penstock/examples/events.toml"),
            "# example\n",
            0o600,
        );
        let unit = "[Service]\nExecStart=@BINDIR@/penstock run %I\n";
        write(&stage.path().join("lib/systemd/system/penstock@.service"), unit, 0o644);
        Scene {
            stage,
            target: TempDir::new().unwrap(),
        }
    }

    /// With a space, and with characters that sed knows.
    const PREFIX: &str = "/opt/a & b|c";

    fn prefix(&self) -> PathBuf {
        self.target.path().join(&Scene::PREFIX[1..])
    }

    fn script(&self) -> Command {
        Command::new(self.stage.path().join("install.sh"))
    }

    fn install(&self) -> String {
        self.install_into(Scene::PREFIX)
    }

    fn install_into(&self, prefix: &str) -> String {
        let target = self.target.path().to_str().unwrap();
        succeed_with(&mut self.script(), &[("DESTDIR", target), ("PREFIX", prefix)])
    }

    fn uninstall(&self) {
        succeed_with(
            self.script().arg("--uninstall"),
            &[
                ("DESTDIR", self.target.path().to_str().unwrap()),
                ("PREFIX", Scene::PREFIX),
            ],
        );
    }
}

#[test]
fn an_uninstallation_removes_what_was_installed_and_nothing_else() {
    let scene = Scene::new();
    let foreign = ["bin/other", "share/penstock/mine.toml", "share/man/man1/other.1"];
    write(&scene.prefix().join(foreign[0]), "", 0o644);
    scene.install();
    for file in &foreign[1..] {
        write(&scene.prefix().join(file), "", 0o644);
    }
    let unit = fs::read_to_string(scene.prefix().join("lib/systemd/system/penstock@.service")).unwrap();
    assert!(
        unit.contains("\nExecStart=/opt/a & b|c/bin/penstock run %I\n"),
        "{unit}"
    );
    assert_eq!(mode(&scene.prefix().join("share/penstock/examples/events.toml")), 0o644);
    // A second installation remembers which folders the first one made.
    scene.install();
    scene.uninstall();
    assert_eq!(files(&scene.prefix()), foreign.map(str::to_owned).into());
    assert!(!scene.prefix().join("share/penstock/examples").exists());
    assert!(!scene.prefix().join("lib").exists());
}

/// systemd reads /usr and /usr/local. Its sandbox hides home directories, also from the program itself.
#[test]
fn the_unit_is_installed_where_systemd_can_use_it() {
    let unit = |scene: &Scene, prefix: &str| {
        let said = scene.install_into(prefix);
        let file = format!("{prefix}/lib/systemd/system/penstock@.service");
        (
            scene.target.path().join(&file[1..]).exists(),
            said.contains(&format!("systemctl link '{file}'")),
        )
    };
    let scene = Scene::new();
    assert_eq!(unit(&scene, "/usr"), (true, false));
    assert_eq!(unit(&scene, "/usr/local"), (true, false));
    assert_eq!(unit(&scene, "/opt/penstock"), (true, true));
    assert_eq!(unit(&scene, "/home/ann/.local"), (false, false));
    assert_eq!(unit(&scene, "/root/.local"), (false, false));
}

/// The placeholder is replaced everywhere, so a comment must not explain it.
#[test]
fn the_unit_names_its_placeholder_in_commands_only() {
    let unit = fs::read_to_string(root().join("deploy/systemd/penstock@.service")).unwrap();
    let named: Vec<&str> = unit.lines().filter(|line| line.contains("@BINDIR@")).collect();
    assert!(!named.is_empty());
    assert!(named.iter().all(|line| line.starts_with("Exec")), "{named:?}");
}

#[test]
fn an_upgrade_removes_what_the_new_version_does_not_have() {
    let scene = Scene::new();
    let old = scene.stage.path().join("share/penstock/old.txt");
    write(&old, "", 0o644);
    scene.install();
    assert!(scene.prefix().join("share/penstock/old.txt").exists());
    fs::remove_file(old).unwrap();
    write(&scene.stage.path().join("share/penstock/new.txt"), "", 0o644);
    scene.install();
    assert!(!scene.prefix().join("share/penstock/old.txt").exists());
    assert!(scene.prefix().join("share/penstock/new.txt").exists());
    scene.uninstall();
    assert_eq!(tree(&scene.prefix()), BTreeSet::new());
}

/// The list is there before the first file, so what an interrupted installation leaves can be removed.
#[test]
fn what_an_interrupted_installation_leaves_is_removed() {
    let scene = Scene::new();
    // A file stands where a folder is to be.
    let in_the_way = scene.prefix().join("share/penstock/examples");
    write(&in_the_way, "", 0o644);
    let mut install = scene.script();
    let variables = [
        ("DESTDIR", scene.target.path().to_str().unwrap()),
        ("PREFIX", Scene::PREFIX),
    ];
    let output = install.env_clear().envs(variables).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(scene.prefix().join("bin/penstock").exists(), "{output:?}");
    scene.uninstall();
    assert_eq!(files(&scene.prefix()), ["share/penstock/examples".to_owned()].into());
}

#[test]
fn what_cannot_be_installed_is_refused_before_anything_is_written() {
    let scene = Scene::new();
    let said = refused(scene.script().arg("--uninstall"));
    assert!(said.contains("nothing of Penstock is installed"), "{said}");
    let mut relative = scene.script();
    let output = relative.env_clear().env("PREFIX", "local").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("PREFIX is local"), "{output:?}");
    assert_eq!(run(scene.script().arg("--help")).status.code(), Some(64));

    // For instance a glibc that is too old.
    write(
        &scene.stage.path().join("bin/penstock"),
        "#!/bin/sh\necho GLIBC_2.99 >&2\nexit 1\n",
        0o755,
    );
    let prefix = scene.target.path().join("p");
    let output = scene.script().env_clear().env("PREFIX", &prefix).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("cannot run the program") && said.contains("GLIBC_2.99"),
        "{said}"
    );
    assert!(!prefix.exists());
}

/// No file of a configuration, of the state or of a log is named by the script.
#[test]
fn nothing_is_installed_outside_of_the_prefix() {
    let scene = Scene::new();
    scene.install();
    let outside: Vec<String> = files(scene.target.path())
        .into_iter()
        .filter(|name| !name.starts_with(&Scene::PREFIX[1..]))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}
