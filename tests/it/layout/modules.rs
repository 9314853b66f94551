//! Which module of a source tree uses which. Found in the text of the files.
//!
//! A module is a file. It uses another module if it names it in a `use` line, or by a path in its code
//! (`crate::kafka::log::Line`, `super::Rule`, `walk::check` of its own `mod walk`). A name that the other module only
//! re-exports counts for the module that defines it. Comments, strings, attributes and items under `#[cfg(test)]` do
//! not count. Method calls do not name a module.

use std::collections::{BTreeMap, BTreeSet};

/// From each module to the modules that it uses, with the names. A module that uses none also has an entry.
pub type Arrows = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What matters of one file.
#[derive(Default)]
struct Source {
    imports: Vec<Import>,
    /// Paths in the code, each with the inline modules around it.
    paths: Vec<(Vec<String>, Vec<String>)>,
    /// Declared under `#[cfg(test)]`.
    test_modules: Vec<String>,
}

struct Import {
    /// Its name in this file.
    name: String,
    path: Vec<String>,
    /// The inline modules around it.
    inside: Vec<String>,
    /// `pub use`.
    passes_on: bool,
}

/// The module of the file at `path` in a source folder: `kafka/admin/mod.rs` is `kafka::admin`.
pub fn module_of(path: &str) -> String {
    let path = path.trim_end_matches(".rs");
    path.trim_end_matches("/mod").replace('/', "::")
}

/// Which modules the files use. `files`: texts by module, see [`module_of`].
pub fn arrows(files: &BTreeMap<String, String>) -> Arrows {
    let read = files.iter().map(|(module, text)| (module.as_str(), Source::read(text)));
    let mut sources: BTreeMap<&str, Source> = read.collect();
    let tests: Vec<String> = sources
        .iter()
        .flat_map(|(module, source)| source.test_modules.iter().map(move |name| join(module, name)))
        .collect();
    sources.retain(|module, _| tests.iter().all(|test| module != test && !is_inside(module, test)));
    let tree = Tree { sources };
    let mut arrows = Arrows::new();
    for (module, source) in &tree.sources {
        let uses = arrows.entry((*module).to_owned()).or_default();
        let mut name = |path: &[String], inside: &[String], passes_on: bool| {
            let Some((to, name)) = tree
                .absolute(module, inside, path)
                .and_then(|path| tree.defined(&path, 0))
            else {
                return;
            };
            // A module that re-exports names of its own parts does not use them.
            if to != *module && !(passes_on && is_inside(&to, module)) {
                uses.entry(to).or_default().insert(name);
            }
        };
        for import in &source.imports {
            name(&import.path, &import.inside, import.passes_on);
        }
        for (path, inside) in &source.paths {
            name(path, inside, false);
        }
    }
    arrows
}

/// Whether `module` is a part of `of`, at any depth.
pub fn is_inside(module: &str, of: &str) -> bool {
    module.strip_prefix(of).is_some_and(|rest| rest.starts_with("::"))
}

fn join(module: &str, name: &str) -> String {
    format!("{module}::{name}")
}

struct Tree<'t> {
    sources: BTreeMap<&'t str, Source>,
}

impl Tree<'_> {
    /// `path` as an absolute path, as used in `module`. `None` if it leads out of the tree.
    fn absolute(&self, module: &str, inside: &[String], path: &[String]) -> Option<Vec<String>> {
        let own = || module.split("::").map(str::to_owned);
        let mut here: Vec<String> = own().chain(inside.iter().cloned()).collect();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                here.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let [first, others @ ..] = rest
                    && first == "super"
                {
                    here.pop()?;
                    rest = others;
                }
            }
            first if self.sources.contains_key(join(module, first).as_str()) => here = own().collect(),
            first => {
                let import = self.import(module, first)?;
                // A crate with the same name as the imported item: `use cel::cel`.
                if import.path.first()? == first {
                    return None;
                }
                here = self.absolute(module, &import.inside, &import.path)?;
                rest = &path[1..];
            }
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    fn import(&self, module: &str, name: &str) -> Option<&Import> {
        self.sources
            .get(module)?
            .imports
            .iter()
            .find(|import| import.name == name)
    }

    /// The module that defines the item at `path`, and the item's name there.
    fn defined(&self, path: &[String], passed_on: usize) -> Option<(String, String)> {
        let known = |end: &usize| self.sources.contains_key(path[..*end].join("::").as_str());
        let end = (1..=path.len()).rev().find(known)?;
        let module = path[..end].join("::");
        let Some(name) = path.get(end) else {
            return Some((module, path[end - 1].clone()));
        };
        match self.import(&module, name) {
            Some(import) if passed_on < 8 => {
                let mut further = self.absolute(&module, &import.inside, &import.path)?;
                further.extend(path[end + 1..].iter().cloned());
                self.defined(&further, passed_on + 1)
            }
            _ => Some((module, name.clone())),
        }
    }
}

impl Source {
    fn read(text: &str) -> Source {
        let tokens = tokens(text);
        let token = |at: usize| tokens.get(at).map_or("", String::as_str);
        let mut source = Source::default();
        let mut at = 0;
        let mut depth = 0;
        // Inline modules, each with its depth.
        let mut inline: Vec<(String, usize)> = Vec::new();
        while at < tokens.len() {
            let inside = || inline.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            match token(at) {
                "#" => {
                    let opens = if token(at + 1) == "!" { at + 2 } else { at + 1 };
                    let end = closing(&tokens, opens);
                    let is_test = tokens[opens..end].concat() == "[cfg(test)]";
                    at = if is_test { source.skip_item(&tokens, end) } else { end };
                }
                "pub" => {
                    let end = if token(at + 1) == "(" {
                        closing(&tokens, at + 1)
                    } else {
                        at + 1
                    };
                    if token(end) == "use" {
                        at = source.read_use(&tokens, end + 1, &[], &inside(), true);
                    } else {
                        at = end;
                    }
                }
                "use" => at = source.read_use(&tokens, at + 1, &[], &inside(), false),
                "mod" if token(at + 2) == "{" => {
                    inline.push((tokens[at + 1].clone(), depth));
                    at += 2;
                }
                "{" => {
                    depth += 1;
                    at += 1;
                }
                "}" => {
                    depth -= 1;
                    inline.retain(|(_, of)| *of < depth);
                    at += 1;
                }
                // Belongs to another crate, or follows generic arguments.
                "::" => at = read_path(&tokens, at).1,
                first if is_name(first) && token(at + 1) == "::" && (at == 0 || token(at - 1) != ".") => {
                    let (mut path, end) = read_path(&tokens, at + 1);
                    path.insert(0, first.to_owned());
                    source.paths.push((path, inside()));
                    at = end;
                }
                _ => at += 1,
            }
        }
        source
    }

    /// Reads the tree of a `use` at `at`; returns the place behind it.
    fn read_use(
        &mut self,
        tokens: &[String],
        mut at: usize,
        before: &[String],
        inside: &[String],
        pub_: bool,
    ) -> usize {
        let mut path = before.to_vec();
        loop {
            match tokens[at].as_str() {
                "::" => {
                    // Belongs to another crate.
                    if path.is_empty() {
                        path.push(String::new());
                    }
                    at += 1;
                }
                "{" => {
                    while tokens[at] != "}" {
                        at = self.read_use(tokens, at + 1, &path, inside, pub_);
                    }
                    return at + 1;
                }
                // Follows `{ … }`, or ends a list with a comma after its last name.
                "}" | "," | ";" => return at,
                name => {
                    let is_self = name == "self" && !path.is_empty();
                    if !is_self {
                        path.push(name.to_owned());
                    }
                    at += 1;
                    if tokens[at] == "::" {
                        continue;
                    }
                    let mut name = path.last().unwrap().clone();
                    if tokens[at] == "as" {
                        name.clone_from(&tokens[at + 1]);
                        at += 2;
                    }
                    self.imports.push(Import {
                        name,
                        path,
                        inside: inside.to_vec(),
                        passes_on: pub_,
                    });
                    return at;
                }
            }
        }
    }

    /// The place behind the item at `at`, which is only for tests.
    fn skip_item(&mut self, tokens: &[String], mut at: usize) -> usize {
        while tokens[at] == "#" {
            at = closing(tokens, at + 1);
        }
        loop {
            match tokens[at].as_str() {
                "mod" if tokens[at + 2] == ";" => {
                    self.test_modules.push(tokens[at + 1].clone());
                    return at + 3;
                }
                "{" => return closing(tokens, at),
                "(" | "[" => at = closing(tokens, at),
                ";" => return at + 1,
                // A field, or the last item of a block.
                "}" => return at,
                _ => at += 1,
            }
        }
    }
}

/// The names joined by `::` from `at` on, and the place behind them. Generic arguments end the path; their content is
/// read next.
fn read_path(tokens: &[String], mut at: usize) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    while tokens.get(at).is_some_and(|token| token == "::") {
        at += 1;
        let Some(name) = tokens.get(at).filter(|token| is_name(token)) else {
            break;
        };
        path.push(name.clone());
        at += 1;
    }
    (path, at)
}

/// The place behind the bracket that closes the one at `opens`.
fn closing(tokens: &[String], opens: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(opens) {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("a bracket is not closed");
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and other characters one by one. Without comments, white space, lifetimes and the content of strings.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let char = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        match char(at) {
            '/' if char(at + 1) == '/' => {
                while at < chars.len() && char(at) != '\n' {
                    at += 1;
                }
            }
            '/' if char(at + 1) == '*' => {
                let mut depth = 0;
                loop {
                    match (char(at), char(at + 1)) {
                        ('/', '*') => depth += 1,
                        ('*', '/') => depth -= 1,
                        _ => {
                            at += 1;
                            continue;
                        }
                    }
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => at = behind_string(&chars, at),
            '\'' if char(at + 1) == '\\' || char(at + 2) == '\'' => {
                at += if char(at + 1) == '\\' { 3 } else { 2 };
                while char(at) != '\'' {
                    at += 1;
                }
                at += 1;
            }
            // A lifetime.
            '\'' => {
                at += 1;
                while is_part(char(at)) {
                    at += 1;
                }
            }
            ':' if char(at + 1) == ':' => {
                tokens.push("::".to_owned());
                at += 2;
            }
            c if is_part(c) => {
                while is_part(char(at)) {
                    at += 1;
                }
                let word: String = chars[start..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && char(at + hashes) == '"' {
                    let end = format!("\"{}", "#".repeat(hashes));
                    let rest: String = chars[at + hashes + 1..].iter().collect();
                    let inside = rest.find(&end).expect("a raw string ends");
                    at += hashes + 1 + rest[..inside].chars().count() + end.len();
                } else {
                    tokens.push(word);
                }
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                at += 1;
            }
        }
    }
    tokens
}

/// The place behind the string whose quote is at `at`.
fn behind_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}
