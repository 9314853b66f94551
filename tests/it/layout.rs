//! The layout of `src`: which module may use which, so that a reader need not know those above to change one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src` from the top down. Each may use those in the lines below its own, and nothing else.
const LAYERS: [&[&str]; 11] = [
    &["cli"],
    &["service"],
    &["partition"],
    // The outside world: neither knows who reads partitions, nor each other.
    &["kafka", "aerospike"],
    &["delivery"],
    &["rules"],
    &["processor"],
    &["output"],
    &["config"],
    &["message"],
    // Everybody counts.
    &["observe", "util"],
];

/// Programs and the crate's own page: they stand above everything.
const ROOTS: [&str; 2] = ["lib", "main"];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

/// Tests may look up: at what is made of what they test.
fn is_of_tests(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    stem == "tests" || stem.ends_with("_tests")
}

/// The module that a file belongs to: the first part of its path in `src`.
fn module(path: &Path) -> String {
    let inside = path
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a source names by `crate::`, in `use` lines and elsewhere. Comments do not count.
fn named(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let (group, rest) = match after.strip_prefix('{') {
            Some(rest) => (true, rest),
            None => (false, after),
        };
        let end = if group { rest.find('}').unwrap() } else { rest.len() };
        for item in rest[..end].split(',').take(if group { usize::MAX } else { 1 }) {
            let name: String = item
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            names.insert(name);
        }
    }
    names
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// What breaks the order: `from` names `to`, which does not stand below it.
fn faults(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (from, names) in uses {
        let Some(layer) = layer_of(from) else {
            faults.push(format!("{from}: no layer has it; give it one, in tests/it/layout.rs"));
            continue;
        };
        for to in names {
            match layer_of(to) {
                Some(below) if below > layer => {}
                Some(_) if to == from => {}
                Some(_) => faults.push(format!("{from} uses {to}, which does not stand below it")),
                None => {}
            }
        }
    }
    faults
}

#[test]
fn a_module_uses_only_those_below_it() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources() {
        let module = module(&path);
        if !ROOTS.contains(&module.as_str()) {
            let names = named(&fs::read_to_string(&path).unwrap());
            uses.entry(module).or_default().extend(names);
        }
    }
    let all: usize = LAYERS.iter().map(|layer| layer.len()).sum();
    assert_eq!(uses.len(), all, "modules of src: {:?}", uses.keys());
    let arrows: usize = uses.values().map(BTreeSet::len).sum();
    assert!(arrows > 2 * all, "not the arrows of the sources: {uses:?}");
    let faults = faults(&uses);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let names = named(
        "use crate::util::stop::Stop;\n// crate::cli\nuse crate::{service::x, kafka};\nlet a = crate::delivery::b();",
    );
    let expected = ["delivery", "kafka", "service", "util"];
    assert_eq!(names, expected.map(str::to_owned).into());
    let uses = [
        ("partition".to_owned(), names),
        ("elsewhere".to_owned(), BTreeSet::new()),
    ];
    assert_eq!(
        faults(&uses.into()),
        [
            "elsewhere: no layer has it; give it one, in tests/it/layout.rs",
            "partition uses service, which does not stand below it",
        ]
    );
}
