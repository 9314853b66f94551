//! The rules of the repository that a program can check: no async code of our own, every file says what it is, and
//! documents name only things that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use penstock::util::exit::Exit;
use penstock::util::stop::SECOND_SIGNAL;
use toml::de::DeTable;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files with this extension in a folder and its subfolders.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_none(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
}

// ---- the code

/// Crates that run futures or help to write them.
fn is_async_crate(name: &str) -> bool {
    [
        "tokio",
        "async-std",
        "async-executor",
        "async-global-executor",
        "smol",
        "monoio",
        "glommio",
        "actix-rt",
    ]
    .contains(&name)
        || name == "futures"
        || name.starts_with("futures-")
        || name.starts_with("tokio-")
}

#[test]
fn no_test_needs_the_program_kill_which_a_small_machine_lacks() {
    let call = format!("Command::new({:?})", "kill");
    let mut faults = Vec::new();
    for folder in ["src", "tests", "crates", "examples"] {
        for file in files(&root().join(folder), "rs") {
            if read(&file).contains(&call) {
                faults.push(format!("{}: use the shell's own", file.display()));
            }
        }
    }
    assert_none("files that call a program of another package", &faults);
}

#[test]
fn no_code_of_ours_is_async() {
    let mut faults = Vec::new();
    let mut sources = files(&root().join("src"), "rs");
    sources.extend(files(&root().join("crates"), "rs"));
    assert!(sources.len() > 30, "not the sources: {sources:?}");
    for path in sources {
        for (number, line) in (1..).zip(read(&path).lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if words.any(|word| ["async", "await", "tokio", "futures", "smol"].contains(&word)) {
                faults.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert_none("async code", &faults);
}

#[test]
fn no_direct_dependency_is_an_async_runtime() {
    let text = read(&root().join("Cargo.toml"));
    let manifest = DeTable::parse(&text).unwrap();
    let dependencies = manifest
        .get_ref()
        .get("dependencies")
        .unwrap()
        .get_ref()
        .as_table()
        .unwrap();
    assert!(
        dependencies.iter().count() > 5,
        "not the dependencies: {dependencies:?}"
    );
    let found: Vec<String> = dependencies
        .iter()
        .map(|(name, _)| name.get_ref().to_string())
        .filter(|name| is_async_crate(name))
        .collect();
    assert_none("async runtimes among the dependencies", &found);
}

/// `cargo run -- try …` works in a fresh clone, although there are two programs.
#[test]
fn cargo_run_runs_penstock() {
    let text = read(&root().join("Cargo.toml"));
    let manifest = DeTable::parse(&text).unwrap();
    let package = manifest.get_ref().get("package").unwrap().get_ref().as_table().unwrap();
    let default = package.get("default-run").and_then(|name| name.get_ref().as_str());
    assert_eq!(default, Some("penstock"));
    assert!(root().join("src/main.rs").exists());
}

/// With other features, or without the tests' dependencies, Cargo would compile the library and all its dependencies
/// again.
#[test]
fn release_builds_of_the_makefile_share_what_they_compile() {
    let makefile = read(&root().join("Makefile"));
    assert!(makefile.contains("SHARED := --locked\n"));
    let builds =
        |line: &&str| line.contains("$(CARGO) ") && ["--release", "$(FAST)"].iter().any(|how| line.contains(how));
    let lines: Vec<&str> = makefile.lines().filter(builds).collect();
    assert!(lines.len() > 8, "{lines:?}");
    let needs_what_tests_need = |line: &str| {
        ["--example ", "--test ", "--bench ", "--workspace "]
            .iter()
            .any(|kind| line.contains(kind))
    };
    let is_shared = |line: &str| line.contains(" $(SHARED) ") && needs_what_tests_need(line);
    let faults: Vec<String> = lines
        .iter()
        .filter(|line| !is_shared(line))
        .map(ToString::to_string)
        .collect();
    assert_none("builds that share nothing with the others", &faults);
}

#[test]
fn every_dependency_has_its_reason_on_the_line_above() {
    let text = read(&root().join("Cargo.toml"));
    let mut in_dependencies = false;
    let mut before = "";
    let mut faults = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if in_dependencies && line.contains('=') && !line.starts_with('#') && !before.starts_with('#') {
            faults.push(line.to_owned());
        }
        before = line;
    }
    assert_none("dependencies without a reason", &faults);
}

#[test]
fn every_file_opens_with_what_it_is() {
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "crates"] {
        let files = files(&root().join(folder), "rs");
        assert!(!files.is_empty(), "no file in {folder}");
        for path in files {
            if !read(&path).starts_with("//! ") {
                faults.push(path.display().to_string());
            }
        }
    }
    assert_none("files that do not open with //!", &faults);
}

// ---- the documents

/// A document: its path and its text.
struct Document {
    path: PathBuf,
    text: String,
}

fn documents() -> Vec<Document> {
    let mut paths = files(&root().join("docs"), "md");
    paths.extend(
        ["README.md", "CHANGELOG.md", "tests/README.md"]
            .map(|name| root().join(name))
            .into_iter()
            .filter(|path| path.exists()),
    );
    paths
        .into_iter()
        .map(|path| Document {
            text: read(&path),
            path,
        })
        .collect()
}

impl Document {
    fn name(&self) -> String {
        self.path.strip_prefix(root()).unwrap().display().to_string()
    }

    /// The lines of code blocks, and (one by one) the texts in backticks outside of them.
    fn code(&self) -> Vec<&str> {
        let mut code = Vec::new();
        let mut in_block = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if in_block {
                code.push(line);
            } else {
                code.extend(line.split('`').skip(1).step_by(2));
            }
        }
        code
    }

    /// The targets of its links.
    fn links(&self) -> Vec<&str> {
        let mut links = Vec::new();
        let mut in_block = false;
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block {
                links.extend(line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
            }
        }
        links
    }

    /// The names of its headings in links.
    fn anchors(&self) -> BTreeSet<String> {
        let mut in_block = false;
        let mut anchors = BTreeSet::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
            } else if !in_block && line.starts_with('#') {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title
                    .chars()
                    .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
            }
        }
        anchors
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for document in documents() {
        for link in document.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if file.is_empty() {
                document.path.clone()
            } else {
                document.path.parent().unwrap().join(file)
            };
            if !path.exists() {
                faults.push(format!("{}: {link}: no such file", document.name()));
            } else if !anchor.is_empty() {
                let anchors = Document {
                    text: read(&path),
                    path,
                }
                .anchors();
                if !anchors.contains(anchor) {
                    faults.push(format!(
                        "{}: {link}: no such heading among {anchors:?}",
                        document.name()
                    ));
                }
            }
        }
    }
    assert!(checked > 0, "no link in any document");
    assert_none("links to nowhere", &faults);
}

/// A letter has the time of its message, so a topic of letters without this loses those of old messages at once.
#[test]
fn every_printed_command_that_creates_a_topic_of_letters_lets_them_live() {
    let mut paths = files(&root().join("docs"), "md");
    paths.extend(files(&root().join("examples"), "toml"));
    paths.extend(["README.md", "src/cli/init/text.rs", "deploy/compose/compose.yaml"].map(|name| root().join(name)));
    let mut faults = Vec::new();
    let mut checked = 0;
    for path in paths {
        let text = read(&path);
        // A command goes on behind a backslash.
        for command in text.replace("\\\n", " ").lines() {
            let creates = command.contains("kafka-topics.sh") && command.contains("--create");
            let of_letters = !command.contains("--topic events --partitions");
            if (creates && of_letters) || command.contains("kafka.sh topic events.dead") {
                checked += 1;
                if !command.contains("message.timestamp.type=LogAppendTime") {
                    faults.push(format!("{}: {command}", path.display()));
                }
            }
        }
    }
    assert!(checked > 10, "{checked}");
    assert_none(
        "topics of letters whose letters go by the time of their messages",
        &faults,
    );
}

/// A page has one purpose; a longer page has two. A line must fit into a terminal beside another one.
#[test]
fn pages_and_their_lines_are_short() {
    const LINES_MAX: usize = 250;
    const README_LINES_MAX: usize = 200;
    const LINE_MAX: usize = 120;
    let mut faults = Vec::new();
    for document in documents() {
        let name = document.name();
        let lines_max = match name.as_str() {
            "README.md" => README_LINES_MAX,
            // It only grows.
            "CHANGELOG.md" => usize::MAX,
            _ => LINES_MAX,
        };
        let lines = document.text.lines().count();
        if lines > lines_max {
            faults.push(format!("{name}: {lines} lines, at most {lines_max}"));
        }
        for (number, line) in (1..).zip(document.text.lines()) {
            let characters = line.chars().count();
            if characters > LINE_MAX {
                faults.push(format!("{name}:{number}: {characters} characters, at most {LINE_MAX}"));
            }
        }
    }
    assert_none("long pages and lines", &faults);
}

/// If a document names a file in one of these folders, the file must exist.
const FOLDERS: [&str; 8] = [
    "src/",
    "tests/",
    "docs/",
    "examples/",
    "benches/",
    "scripts/",
    "crates/",
    "deploy/",
];

#[test]
fn every_file_that_a_document_names_exists() {
    let sources: Vec<PathBuf> = ["src", "tests", "examples", "benches", "crates"]
        .iter()
        .flat_map(|folder| files(&root().join(folder), "rs"))
        .collect();
    let mut faults = Vec::new();
    let mut checked = 0;
    for document in documents() {
        // A path from the root of the project, anywhere in the text.
        for word in document
            .text
            .split(|c: char| !c.is_ascii_alphanumeric() && !"_-./@".contains(c))
        {
            let path = word.trim_end_matches('.');
            if FOLDERS.iter().any(|folder| path.starts_with(folder)) {
                checked += 1;
                if !root().join(path).exists() {
                    faults.push(format!("{}: {path}", document.name()));
                }
            }
        }
        // A source file, named by the end of its path: `commit.rs`, `util/memory.rs`.
        for code in document.code() {
            if code.ends_with(".rs") && !code.contains(char::is_whitespace) {
                checked += 1;
                if !sources.iter().any(|source| source.ends_with(code)) {
                    faults.push(format!("{}: {code}", document.name()));
                }
            }
        }
    }
    assert!(checked > 0, "no document names a file");
    assert_none("files that do not exist", &faults);
}

#[test]
fn every_make_target_that_a_document_names_exists() {
    let makefile = read(&root().join("Makefile"));
    let targets: BTreeSet<&str> = makefile
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target)
        .collect();
    let mut faults = Vec::new();
    let mut checked = 0;
    for document in documents() {
        for code in document.code() {
            let mut words = code.split_whitespace();
            if words.next() != Some("make") {
                continue;
            }
            if let Some(target) = words
                .next()
                .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                checked += 1;
                if !targets.contains(target) {
                    faults.push(format!("{}: make {target}", document.name()));
                }
            }
        }
    }
    assert!(checked > 0, "no document names a target");
    assert_none("targets that the Makefile does not have", &faults);
}

#[test]
fn the_documented_exit_codes_are_those_of_the_program() {
    const PAGE: &str = "docs/reference/exit-codes.md";
    let known: BTreeSet<u8> = Exit::ALL
        .iter()
        .map(|exit| exit.code())
        .chain([SECOND_SIGNAL])
        .collect();
    let page = read(&root().join(PAGE));
    let documented: BTreeSet<u8> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .flat_map(|codes| codes.split(", "))
        .filter_map(|code| code.parse().ok())
        .collect();
    assert_eq!(documented, known, "the table of {PAGE}");
    // The manual page has the words of the table.
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        let person = if exit.needs_person() { " no: act first |" } else { " " };
        let line = page
            .lines()
            .map(|line| line.replace('`', ""))
            .find(|line| line.starts_with(&row));
        let line = line.unwrap_or_else(|| panic!("no line {row:?} in {PAGE}"));
        let is_said = line[row.len()..].starts_with(person);
        assert!(is_said || exit == Exit::Usage, "{line:?}");
        assert_eq!(
            line.contains("act first"),
            exit.needs_person() && exit != Exit::Usage,
            "{line:?}"
        );
    }
    for document in documents() {
        for after in document.text.to_lowercase().split("exit code ").skip(1) {
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(code) = digits.parse::<u8>() {
                assert!(known.contains(&code), "{}: exit code {code}", document.name());
            }
        }
    }
}
