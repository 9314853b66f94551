//! The layout of `src`: which module may use which. So a reader can change a module without knowing those above it, and
//! can change a file without knowing a whole circle of files.

mod modules;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;

use modules::{Arrows, arrows, is_inside, module_of};

/// The folders of `src` from the top down. Each may use only those in the lines below its own.
const LAYERS: [&[&str]; 13] = [
    &["cli"],
    &["web"],
    &["service"],
    // Beside the service: dead letters once more, and measuring.
    &["replay", "bench"],
    &["partition"],
    // The outside world. Neither knows who reads partitions, and they do not know each other.
    &["kafka", "aerospike"],
    &["delivery"],
    &["rules"],
    &["processor"],
    &["output"],
    &["config"],
    &["message"],
    // Everybody may count and log.
    &["observe", "util"],
];

/// The program, and the crate's own page. They are above everything.
const ROOTS: [&str; 2] = ["lib", "main"];

/// The files of `src` by module name, without the roots.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, top: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, top, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module_of(path.strip_prefix(top).unwrap().to_str().unwrap());
                found.insert(module, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&top, &top, &mut found);
    found.retain(|module, _| !ROOTS.contains(&module.as_str()));
    found
}

/// The folder of `src` that contains a module.
fn folder(module: &str) -> &str {
    module.split("::").next().unwrap()
}

/// Which folder uses which folders.
fn between_folders(arrows: &Arrows) -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, to) in arrows {
        let to = to.keys().map(|to| folder(to).to_owned());
        uses.entry(folder(from).to_owned()).or_default().extend(to);
    }
    uses
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Violations of the order: `from` uses `to`, which is not below it.
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

/// The modules of `these` that `from` uses, directly or through others of them.
fn reached<'a>(arrows: &'a Arrows, these: &BTreeSet<&str>, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        let next = arrows.get(module).into_iter().flat_map(BTreeMap::keys);
        open.extend(
            next.map(String::as_str)
                .filter(|to| these.contains(to) && reached.insert(*to)),
        );
    }
    reached
}

/// The modules of `these` that use each other, directly or through others of them.
///
/// A folder's own file and its parts may use each other: the file declares and calls the parts, and they use its types.
/// To a reader they are one thing. But the parts must not use each other in a circle, nor may a part and a module
/// elsewhere.
fn circles(arrows: &Arrows, these: &BTreeSet<&str>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        these.iter().map(|from| (*from, reached(arrows, these, from))).collect();
    let mut circles = Vec::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (from, to) in &reached {
        let circle: BTreeSet<&str> = to
            .iter()
            .copied()
            .filter(|other| reached[other].contains(from))
            .collect();
        if circle.is_empty() || !seen.insert(from) {
            continue;
        }
        seen.extend(&circle);
        let whole = circle
            .iter()
            .find(|whole| circle.iter().all(|part| part == *whole || is_inside(part, whole)));
        match whole {
            Some(whole) => {
                let parts = circle.iter().copied().filter(|part| part != whole).collect();
                circles.extend(self::circles(arrows, &parts));
            }
            None => circles.push(circle.into_iter().map(str::to_owned).collect()),
        }
    }
    circles
}

/// The shortest way from `start` back to it through its circle.
fn around<'a>(arrows: &'a Arrows, circle: &[String], start: &'a String) -> Vec<&'a String> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for to in arrows[*way.last().unwrap()].keys().filter(|to| circle.contains(to)) {
            let longer: Vec<&String> = way.iter().copied().chain([to]).collect();
            if to == start {
                return longer;
            }
            if seen.insert(to) {
                ways.push_back(longer);
            }
        }
    }
    panic!("{start} is in no circle of {circle:?}");
}

/// The shortest way around the circle, with the names that each module uses of the next.
fn way_around(arrows: &Arrows, circle: &[String]) -> String {
    let shortest = circle
        .iter()
        .map(|start| around(arrows, circle, start))
        .min_by_key(Vec::len)
        .unwrap();
    let mut told = shortest[0].clone();
    for pair in shortest.windows(2) {
        let names: Vec<&str> = arrows[pair[0]][pair[1]].iter().map(String::as_str).collect();
        told.push_str(&format!("\n    -> {} ({})", pair[1], names.join(", ")));
    }
    told
}

/// A line for each circle.
fn circle_faults(arrows: &Arrows) -> Vec<String> {
    let all = arrows.keys().map(String::as_str).collect();
    let tell = |circle: &Vec<String>| {
        format!(
            "these modules use each other: {}\n  {}\n  move what two of them need into a file below both",
            circle.join(", "),
            way_around(arrows, circle)
        )
    };
    circles(arrows, &all).iter().map(tell).collect()
}

#[test]
fn a_module_uses_only_those_below_it() {
    let uses = between_folders(&arrows(&sources()));
    let all: usize = LAYERS.iter().map(|layer| layer.len()).sum();
    assert_eq!(uses.len(), all, "modules of src: {:?}", uses.keys());
    let arrows: usize = uses.values().map(BTreeSet::len).sum();
    assert!(arrows > 2 * all, "not the arrows of the sources: {uses:?}");
    let faults = faults(&uses);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_two_modules_use_each_other() {
    let arrows = arrows(&sources());
    let count: usize = arrows.values().map(BTreeMap::len).sum();
    assert!(count > 3 * arrows.len(), "not the arrows of the sources: {arrows:?}");
    let faults = circle_faults(&arrows);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A tree of made-up files, each with its text.
fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let files = files.iter().map(|(path, text)| (module_of(path), (*text).to_owned()));
    files.collect()
}

/// `from -> to (names)`, one per line.
fn told(arrows: &Arrows) -> Vec<String> {
    let each = arrows.iter().flat_map(|(from, uses)| {
        uses.iter().map(move |(to, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{from} -> {to} ({})", names.join(", "))
        })
    });
    each.collect()
}

#[test]
fn an_arrow_that_points_up_is_found() {
    let files = tree(&[
        (
            "partition.rs",
            "use crate::util::stop::Stop;\n// crate::cli\nuse crate::{service::x, kafka};\nlet a = crate::delivery::b();",
        ),
        ("util/stop.rs", ""),
        ("service.rs", ""),
        ("kafka.rs", ""),
        ("delivery.rs", ""),
        ("cli.rs", ""),
        ("elsewhere.rs", ""),
    ]);
    let uses = between_folders(&arrows(&files));
    let expected = ["delivery", "kafka", "service", "util"];
    assert_eq!(uses["partition"], expected.map(str::to_owned).into());
    assert_eq!(
        faults(&uses),
        [
            "elsewhere: no layer has it; give it one, in tests/it/layout.rs",
            "partition uses service, which does not stand below it",
        ]
    );
}

#[test]
fn names_are_found_in_use_lines_and_in_the_code() {
    let files = tree(&[
        (
            "a/mod.rs",
            "mod part;\nmod deep;\npub use part::Part;\npub use crate::b::Passed as Other;\n\
             #[derive(Debug)]\nfn f() -> part::Size { part::of::<crate::c::Kind>(1) }\n",
        ),
        (
            "a/part.rs",
            "use super::Shape;\nuse super::super::b::{self, x::{One, Two as Three,}, y};\n",
        ),
        (
            "a/deep/mod.rs",
            "use crate::a::Part;\npub(in crate::d) fn f() { use crate::d; b::f(); d::inner::call('{', \"crate::e\") }\n\
             mod inline { use super::super::Shape; fn g() -> super::Own { x.b::<u8>() } }\n",
        ),
        ("b/mod.rs", "use crate::a::Other;\nfn f(text: &'static str) {}\n"),
        ("b/x.rs", ""),
        (
            "b/y.rs",
            "use std::fmt;\nuse ::c::Kind;\nfn f() -> Vec::<u8>::c { c::g() }\n",
        ),
        (
            "c.rs",
            "/* crate::b /* crate::a */ crate::b */ // crate::b\nconst A: &str = r#\"crate::b \"{\"#;\n\
             #[cfg(test)]\nuse crate::b;\n#[cfg(test)]\nmod tests { use crate::b::f; fn g() { crate::a::f() } }\n\
             #[cfg(test)]\n#[path = \"x\"]\nmod fixtures;\nuse crate::d::inner::{\n    Last,\n};\n",
        ),
        ("c/fixtures.rs", "use crate::a;\n"),
        ("d/mod.rs", ""),
        ("d/inner.rs", ""),
    ]);
    assert_eq!(
        told(&arrows(&files)),
        [
            "a -> a::part (Size, of)",
            "a -> b (Passed)",
            "a -> c (Kind)",
            "a::deep -> a (Shape)",
            "a::deep -> a::part (Part)",
            "a::deep -> d (d)",
            "a::deep -> d::inner (call)",
            "a::part -> a (Shape)",
            "a::part -> b (b)",
            "a::part -> b::x (One, Two)",
            "a::part -> b::y (y)",
            "c -> d::inner (Last)",
        ]
    );
}

#[test]
fn a_circle_is_told_with_the_names_that_make_it() {
    let files = tree(&[
        // A circle of three, and a longer one around it.
        ("a.rs", "use crate::b::{Two, One};\n"),
        ("b.rs", "use crate::c::f;\n"),
        ("c.rs", "use crate::a::X;\nuse crate::d;\n"),
        ("d.rs", "fn f() { crate::e::g() }\n"),
        ("e.rs", "use crate::a;\n"),
        // A folder's own file and its parts count as one. Two parts that use each other do not.
        ("fine/mod.rs", "mod part;\nfn f() { part::f() }\n"),
        ("fine/part.rs", "use super::Shape;\n"),
        ("parts/mod.rs", "mod one;\nmod other;\nfn f() { one::f() }\n"),
        ("parts/one.rs", "use super::Shape;\nuse super::other::Other;\n"),
        ("parts/other.rs", "use super::one::One;\n"),
        // A part and a module outside of the folder do not, either.
        ("outer/mod.rs", "use crate::outside::f;\n"),
        ("outer/part.rs", "use super::Shape;\n"),
        ("outside.rs", "use crate::outer::part;\n"),
    ]);
    let arrows = arrows(&files);
    assert_eq!(
        circle_faults(&arrows),
        [
            "these modules use each other: a, b, c, d, e\n  a\n    -> b (One, Two)\n    -> c (f)\n    -> a (X)\n  \
             move what two of them need into a file below both",
            "these modules use each other: outer, outer::part, outside\n  outer\n    -> outside (f)\n    \
             -> outer::part (part)\n    -> outer (Shape)\n  move what two of them need into a file below both",
            "these modules use each other: parts::one, parts::other\n  parts::one\n    -> parts::other (Other)\n    \
             -> parts::one (One)\n  move what two of them need into a file below both",
        ]
    );
}
