//! Installation: the archive of scripts/dist.sh, what scripts/install.sh makes of it, and what it leaves behind. The
//! program in the archive is that of the tests. Most tests of install.sh itself install a small script in its place.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
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

const UNIT: &str = "lib/systemd/system/penstock@.service";
const LIST: &str = "share/penstock/installed-files";

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
        let unit = fs::read_to_string(root().join("deploy/systemd/penstock@.service")).unwrap();
        write(&stage.path().join(UNIT), &unit, 0o644);
        Scene {
            stage,
            target: TempDir::new().unwrap(),
        }
    }

    /// With a space, and with characters that sed and systemd know.
    const PREFIX: &str = "/opt/a & b|c%h";

    fn prefix(&self) -> PathBuf {
        self.target.path().join(&Scene::PREFIX[1..])
    }

    fn script(&self) -> Command {
        Command::new(self.stage.path().join("install.sh"))
    }

    fn variables(&self) -> [(&'static str, &str); 2] {
        [
            ("DESTDIR", self.target.path().to_str().unwrap()),
            ("PREFIX", Scene::PREFIX),
        ]
    }

    fn install(&self) -> String {
        self.install_into(Scene::PREFIX)
    }

    fn install_into(&self, prefix: &str) -> String {
        let target = self.target.path().to_str().unwrap();
        succeed_with(&mut self.script(), &[("DESTDIR", target), ("PREFIX", prefix)])
    }

    fn uninstall(&self) {
        succeed_with(self.script().arg("--uninstall"), &self.variables());
    }

    /// Installs with these programs before all others. Returns the exit code, if it ended by itself, and what it said.
    /// Its processes are a group.
    fn install_with(&self, programs: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = TempDir::new().unwrap();
        let mut install = self.script();
        install.env_clear().envs(self.variables()).process_group(0);
        let output = install
            .env("PATH", path_with(folder.path(), programs))
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// Adds a file to the archive.
    fn add(&self, name: &str) {
        write(&self.stage.path().join(name), "some text\n", 0o644);
    }

    /// What is below the prefix, and what it should be: the list names all of it.
    fn assert_list_is_whole(&self) {
        let list = fs::read_to_string(self.prefix().join(LIST)).unwrap();
        assert_eq!(tree(&self.prefix()), list.lines().map(str::to_owned).collect());
    }
}

/// A `PATH` on which these scripts of sh go before all other programs.
fn path_with(folder: &Path, programs: &[(&str, &str)]) -> String {
    for (name, script) in programs {
        write(&folder.join(name), &format!("#!/bin/sh\n{script}\n"), 0o755);
    }
    format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display())
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
    let unit = fs::read_to_string(scene.prefix().join(UNIT)).unwrap();
    let start = "\nExecStart=\"/opt/a & b|c%%h/bin/penstock\" run /etc/penstock/%i.toml\n";
    assert!(unit.contains(start), "{unit}");
    assert_eq!(unit.matches("/opt/a").count(), 2, "a comment has the path: {unit}");
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
            said.contains(&format!("systemctl link \"{file}\"")),
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

/// systemd reads what was installed, and finds the program.
#[test]
fn systemd_takes_the_unit_of_a_prefix_with_special_characters() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let scene = Scene::new();
    let programs = TempDir::new().unwrap();
    let path = path_with(programs.path(), &[("id", "echo 0")]);
    let prefix = scene.target.path().join("a & b|c %h%%i;d");
    let prefix = prefix.to_str().unwrap();
    let said = succeed_with(&mut scene.script(), &[("PATH", &path), ("PREFIX", prefix)]);
    // Root can use it where systemd does not look.
    assert!(
        said.contains(&format!("systemctl link \"{prefix}/{UNIT}\"")) && said.contains("useradd --system"),
        "{said}"
    );
    let instance = scene.target.path().join("penstock@events.service");
    fs::copy(Path::new(prefix).join(UNIT), &instance).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&instance)
        .output()
        .unwrap();
    let said = text(&verified.stderr);
    assert!(verified.status.success() && !said.contains("penstock@"), "{said}");
}

#[test]
fn its_last_words_say_what_systemd_still_needs() {
    let scene = Scene::new();
    // As the guide does it.
    let user = "useradd --system --user-group --home-dir /var/lib/penstock --shell /usr/sbin/nologin penstock";
    let guide = fs::read_to_string(root().join("docs/guide/running-under-systemd.md")).unwrap();
    assert!(guide.contains(&format!("\n{user}\n")));
    for prefix in ["/usr/local", "/usr", "/"] {
        let target = TempDir::new().unwrap();
        let destination = target.path().to_str().unwrap();
        let said = succeed_with(&mut scene.script(), &[("DESTDIR", destination), ("PREFIX", prefix)]);
        assert!(said.contains(user) && !said.contains("systemctl link"), "{said}");
        assert!(target.path().join(&prefix[1..]).join(UNIT).exists());
    }

    // Without root, and for paths that systemd refuses: no unit.
    let programs = TempDir::new().unwrap();
    for (id, prefix, reason) in [
        ("1000", "mine", "below /usr/local and /usr only"),
        ("0", "a'b", "a quote or a backslash"),
        ("0", "a\"b", "a quote or a backslash"),
        ("0", "a\\b", "a quote or a backslash"),
    ] {
        let path = path_with(programs.path(), &[("id", &format!("echo {id}"))]);
        let prefix = scene.target.path().join(prefix);
        let variables = [("PATH", path.as_str()), ("PREFIX", prefix.to_str().unwrap())];
        let said = succeed_with(&mut scene.script(), &variables);
        assert!(said.contains("was not installed") && said.contains(reason), "{said}");
        assert!(prefix.join("bin/penstock").exists() && !prefix.join("lib").exists());
        succeed_with(scene.script().arg("--uninstall"), &variables);
        assert_eq!(tree(&prefix), BTreeSet::new());
    }
}

#[test]
fn files_become_folders_and_folders_become_files() {
    let scene = Scene::new();
    scene.add("share/penstock/x");
    scene.add("share/penstock/y/z");
    scene.install();
    scene.assert_list_is_whole();
    fs::remove_file(scene.stage.path().join("share/penstock/x")).unwrap();
    fs::remove_dir_all(scene.stage.path().join("share/penstock/y")).unwrap();
    scene.add("share/penstock/x/z");
    scene.add("share/penstock/y");
    scene.install();
    assert!(scene.prefix().join("share/penstock/x/z").is_file());
    assert!(scene.prefix().join("share/penstock/y").is_file());
    scene.assert_list_is_whole();
    scene.uninstall();
    assert_eq!(tree(&scene.prefix()), BTreeSet::new());
}

/// The list is there before the first file, and names all folders.
#[test]
fn what_a_killed_installation_leaves_is_removed() {
    for (program, script) in [
        // While the file is copied: half of it is there.
        (
            "cp",
            "for to; do :; done; case $to in */.big.new) echo half >\"$to\"; kill -KILL 0 ;; esac",
        ),
        // While files are renamed.
        ("mv", "for to; do :; done; case $to in */big) kill -KILL 0 ;; esac"),
        // While folders are made.
        ("mkdir", "for to; do :; done; case $to in */man) kill -KILL 0 ;; esac"),
    ] {
        let scene = Scene::new();
        scene.add("share/man/big");
        let script = format!("{script}\nexec /bin/{program} \"$@\"");
        let (code, said) = scene.install_with(&[(program, &script)]);
        assert_eq!(code, None, "{program}: {said}");
        assert!(scene.prefix().join(LIST).exists(), "{program}");
        scene.uninstall();
        assert_eq!(tree(&scene.prefix()), BTreeSet::new(), "{program}");

        // Or the next one goes on.
        let (code, said) = scene.install_with(&[(program, &script)]);
        assert_eq!(code, None, "{program}: {said}");
        scene.install();
        scene.assert_list_is_whole();
    }
}

/// The files that are there stay whole, and none is left half written.
#[test]
fn a_full_disk_leaves_no_half_file_and_is_named() {
    let scene = Scene::new();
    scene.install();
    let before = tree(&scene.prefix());
    scene.add("share/penstock/big");
    let full = "echo half >\"$to\"; echo \"cp: error writing '$to': No space left on device\" >&2; exit 1";
    let cp = format!("for to; do :; done; case $to in */.big.new) {full} ;; esac\nexec /bin/cp \"$@\"");
    let (code, said) = scene.install_with(&[("cp", &cp)]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("share/penstock/big: ") && said.contains("No space left on device"),
        "{said}"
    );
    assert!(!said.contains("without root"), "{said}");
    assert_eq!(tree(&scene.prefix()), before);
    scene.uninstall();
    assert_eq!(tree(&scene.prefix()), BTreeSet::new());

    // Not even the list can be written: nothing is left.
    let mv = "echo 'mv: No space left on device' >&2; exit 1";
    let (code, said) = scene.install_with(&[("mv", mv)]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(tree(&scene.prefix()), BTreeSet::new());
}

/// A file stands where a folder is to be, and the other way round.
#[test]
fn what_is_in_the_way_is_named_and_stays() {
    for (foreign, part) in [
        ("share/penstock/examples", "share/penstock/examples"),
        ("bin/penstock/mine", "bin/penstock is a folder"),
    ] {
        let scene = Scene::new();
        write(&scene.prefix().join(foreign), "", 0o644);
        let before = tree(&scene.prefix());
        let (code, said) = scene.install_with(&[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(part), "{said}");
        scene.uninstall();
        let after = tree(&scene.prefix());
        // Folders that were there before stay.
        assert_eq!(after, before);
    }
}

#[test]
fn a_list_that_was_changed_removes_nothing_foreign() {
    let scene = Scene::new();
    scene.install();
    let outside = scene.prefix().parent().unwrap().join("foreign/empty");
    fs::create_dir_all(&outside).unwrap();
    let list = scene.prefix().join(LIST);
    let good = fs::read_to_string(&list).unwrap();

    // Lines that lead elsewhere, and a folder in the place of a file.
    let absolute = outside.display();
    let bad = format!("../foreign/empty/\nbin/../../foreign/empty/\n{absolute}/\nbin\n..\n.\n\n{good}");
    fs::write(&list, bad).unwrap();
    scene.uninstall();
    assert!(outside.exists());
    assert_eq!(tree(&scene.prefix()), BTreeSet::new());

    // A list that is none: nothing is removed, and an installation repairs it.
    scene.install();
    let before = tree(&scene.prefix());
    for content in ["", "\n", "bin/penstock\n"] {
        fs::write(&list, content).unwrap();
        let mut uninstall = scene.script();
        uninstall.arg("--uninstall").env_clear().envs(scene.variables());
        let output = uninstall.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output.stderr).contains("is damaged"), "{output:?}");
        assert_eq!(tree(&scene.prefix()), before);
    }
    scene.install();
    scene.uninstall();
    assert_eq!(files(&scene.prefix()), BTreeSet::new());
}

/// With flock, and with the folder that is the lock where there is no flock.
#[test]
fn installations_at_the_same_time_wait_for_each_other() {
    let scene = Scene::new();
    for n in 0..20 {
        scene.add(&format!("share/penstock/{n}"));
    }
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut install = scene.script();
        install.env_clear().envs(scene.variables());
        running.push(install.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    }
    for install in running {
        let output = install.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    scene.assert_list_is_whole();

    // Of a flock that fails, as on some network file systems.
    let lock = scene.prefix().join(".penstock-install.lock");
    fs::create_dir(&lock).unwrap();
    let (code, said) = scene.install_with(&[("flock", "exit 65")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("another install.sh runs") && said.contains("rmdir"),
        "{said}"
    );
    assert!(lock.exists());
    fs::remove_dir(&lock).unwrap();
    let (code, said) = scene.install_with(&[("flock", "exit 65")]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!lock.exists());
    scene.assert_list_is_whole();
}

/// `/` as the prefix, in a tree of its own: a real `/` has no DESTDIR.
#[test]
fn the_prefix_may_be_the_root_of_the_system() {
    let scene = Scene::new();
    let tree_of = scene.target.path();
    fs::create_dir_all(tree_of.join("usr")).unwrap();
    fs::create_dir_all(tree_of.join("stage")).unwrap();
    write(&tree_of.join("dev/null"), "", 0o666);
    std::os::unix::fs::symlink("usr/lib64", tree_of.join("lib64")).unwrap();
    std::os::unix::fs::symlink("usr/lib", tree_of.join("lib")).unwrap();
    write(
        &scene.stage.path().join("bin/penstock"),
        "#!/usr/bin/sh\necho penstock 1.2.3\n",
        0o755,
    );
    // The system's own folder of libraries must not get a unit.
    fs::remove_dir_all(scene.stage.path().join("lib")).unwrap();
    let script = r#"mount --rbind /usr "$0/usr" && mount --bind "$1" "$0/stage" && mount -o remount,bind,ro "$0/stage" &&
        PREFIX=/ exec chroot "$0" /usr/bin/sh /stage/install.sh $2"#;
    let run_there = |argument: &str, script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        unshare.arg(tree_of).arg(scene.stage.path()).arg(argument);
        unshare.output().unwrap()
    };
    let possible = run_there("", r#"mount --rbind /usr "$0/usr" && chroot "$0" /usr/bin/sh -c true"#);
    if !possible.status.success() {
        eprintln!("skipped: this machine allows no such tree: {}", text(&possible.stderr));
        return;
    }
    let before = tree(tree_of);
    let output = run_there("", script);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("installed penstock 1.2.3 in /. Next"));
    assert!(tree_of.join("bin/penstock").exists());
    let output = run_there("--uninstall", script);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(tree(tree_of), before);
}

#[test]
fn cdpath_leads_nowhere_else() {
    let scene = Scene::new();
    let elsewhere = TempDir::new().unwrap();
    fs::create_dir_all(elsewhere.path().join("here")).unwrap();
    let above = scene.stage.path().parent().unwrap();
    let name = scene.stage.path().file_name().unwrap();
    fs::create_dir_all(elsewhere.path().join(name)).unwrap();
    let mut install = Command::new("sh");
    install.arg(Path::new(name).join("install.sh")).current_dir(above);
    let mut variables = scene.variables().to_vec();
    let cdpath = elsewhere.path().to_str().unwrap();
    variables.push(("CDPATH", cdpath));
    succeed_with(&mut install, &variables);
    scene.assert_list_is_whole();
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
    let output = scene.script().env_clear().env("PREFIX", "~/.local").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("write $HOME"), "{output:?}");
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

// ---- make install

/// Root builds in its own tree only. Elsewhere it installs what the tree's user built, where that was built.
#[test]
fn root_builds_nothing_in_the_tree_of_another_user() {
    let tree = TempDir::new().unwrap();
    let path = |name: &str| tree.path().join(name);
    let script = fs::read_to_string(root().join("scripts/build-and-install.sh")).unwrap();
    write(&path("scripts/build-and-install.sh"), &script, 0o755);
    let stage =
        "#!/bin/sh\nprintf '#!/bin/sh\\ncat %s\\n' \"$PWD/$1\" >\"$2/install.sh\"\nchmod 755 \"$2/install.sh\"\n";
    write(&path("scripts/stage.sh"), stage, 0o755);
    let make = "#!/bin/sh\nmkdir -p target/release\necho built >target/release/penstock\n";
    write(&path("make"), make, 0o755);
    for source in [
        "src/main.rs",
        "docs/reference/a.md",
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        write(&path(source), "", 0o644);
    }
    write(&path("elsewhere/release/penstock"), "of the user\n", 0o755);

    let programs = TempDir::new().unwrap();
    let install = |id: &str, owner: &str, variables: &[(&str, &str)]| {
        // stat -c %u or %U.
        let stat = format!("case $2 in %u) echo {owner} ;; *) echo somebody ;; esac");
        let found = path_with(programs.path(), &[("id", &format!("echo {id}")), ("stat", &stat)]);
        let mut install = Command::new(path("scripts/build-and-install.sh"));
        install.env_clear().env("PATH", found).env("MAKE", path("make"));
        let output = install.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };

    let (code, said) = install("0", "1000", &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("as somebody: make build"), "{said}");
    assert!(!path("target").exists(), "it was built");
    let (code, said) = install("0", "1000", &[("CARGO_TARGET_DIR", "elsewhere")]);
    assert_eq!((code, said.as_str()), (Some(0), "of the user\n"));
    for (id, owner) in [("0", "0"), ("1000", "1000")] {
        let (code, said) = install(id, owner, &[]);
        assert_eq!((code, said.as_str()), (Some(0), "built\n"));
        fs::remove_dir_all(path("target")).unwrap();
    }
}

// ---- scripts/with-debian.sh

/// A copy of it with a tree that was "made" before: it has nothing but folders. `None` where it cannot run.
fn with_debian() -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    let ours = fs::metadata(folder.path()).unwrap().uid() == 0;
    let namespaces = || {
        Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "true"])
            .status()
    };
    if !ours || !namespaces().is_ok_and(|status| status.success()) {
        return None;
    }
    for name in ["with-debian.sh", "lib.sh"] {
        let script = fs::read_to_string(root().join("scripts").join(name)).unwrap();
        write(&folder.path().join("scripts").join(name), &script, 0o755);
    }
    let cache = folder.path().join(".cache/debian");
    write(
        &cache.join("debootstrap/usr/sbin/debootstrap"),
        "#!/bin/sh\nexit 1\n",
        0o755,
    );
    let made = folder.path().join("made");
    for name in ["dev", "sys", "proc", "etc"] {
        fs::create_dir_all(made.join(name)).unwrap();
    }
    let mut tar = Command::new("tar");
    tar.arg("-cf")
        .arg(cache.join("bookworm-cron.tar"))
        .arg("-C")
        .arg(made)
        .arg(".");
    succeed(&mut tar);
    Some(folder)
}

#[test]
fn no_variable_makes_with_debian_mount_on_the_machine() {
    let Some(folder) = with_debian() else {
        eprintln!("skipped: with-debian.sh needs root, who may make namespaces");
        return;
    };
    let ours = fs::read_link("/proc/self/ns/mnt").unwrap();
    let mut script = Command::new(folder.path().join("scripts/with-debian.sh"));
    script.args(["sh", "-c", "readlink /proc/self/ns/mnt; echo $DEBIAN_ROOT"]);
    let output = script
        .envs([("WITH_DEBIAN", "yes"), ("DEBIAN_ROOT", "/nowhere")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = text(&output.stdout);
    assert!(
        said.contains("mnt:[") && !said.contains(ours.to_str().unwrap()),
        "{said}"
    );
    assert!(!said.contains("/nowhere"), "{said}");

    // Nor does its own argument.
    let mut script = Command::new(folder.path().join("scripts/with-debian.sh"));
    let output = script.arg("--from-mounts").arg(&ours).arg("true").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(folder.path().to_str().unwrap()), "{mounts}");
}

/// The command ends in order if it can, and is killed otherwise. No process is left, also after SIGKILL.
#[test]
fn with_debian_ends_on_signals() {
    let Some(folder) = with_debian() else {
        eprintln!("skipped: with-debian.sh needs root, who may make namespaces");
        return;
    };
    for (signal, code, command, last) in [
        (
            "TERM",
            Some(143),
            "trap 'echo in order; exit 3' TERM; echo started",
            "in order\n",
        ),
        (
            "INT",
            Some(130),
            "trap 'echo in order; exit 3' TERM; echo started",
            "in order\n",
        ),
        ("TERM", Some(143), "trap '' TERM; echo started", ""),
        ("KILL", None, "trap '' TERM; echo started", ""),
    ] {
        let mut script = Command::new(folder.path().join("scripts/with-debian.sh"));
        script.args(["sh", "-c", &format!("{command}; while :; do /bin/sleep 0.1; done")]);
        script.env("END_S", if last.is_empty() { "1" } else { "60" });
        let mut running = script.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let kill = Command::new("sh")
            .args(["-c", "kill -s $0 $1", signal, &running.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let status = running.wait().unwrap();
        assert_eq!(status.code(), code, "{signal}: {status} {:?}", status.signal());
        // The pipe ends with the last process that has it.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, last, "{signal}");
    }
}
