//! Advice: settings that are valid but probably not what the author wants, found without asking a server. `penstock
//! check` prints it, with and without `--connect`.

use crate::config::model::{
    Action, Bin, Config, Constant, Expr, Name, OperationKind, Part, Path, Publish, Route, Segment, Source, Ttl, Typed,
    What, Write,
};
use crate::config::operations::Operand;
use crate::rules::mapping::{Mapping, display_path};

/// One piece of advice: the thing it is about, what was found, and the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub thing: String,
    pub found: String,
    pub cure: String,
}

/// All advice, in the order of the file. Advice that several writes share is given once.
pub(super) fn advice(config: &Config, mapping: &Mapping) -> Vec<Advice> {
    let mut found: Vec<(Vec<usize>, String, String)> = Vec::new();
    let writes = config
        .routes
        .iter()
        .flat_map(|route| route.writes.iter().map(move |write| (route, write)));
    for (route, write) in writes {
        let of_fields = names_of_no_field(write).into_iter();
        let of_paths = misread_paths(route, write.each.iter().map(|each| &each.path), &values(write)).into_iter();
        let of_braces = in_braces(&kept(write));
        let of_records = shared_records(write, mapping).into_iter().chain(growing_bins(write));
        for (what, cure) in of_records.chain(of_fields).chain(of_paths).chain(of_braces) {
            match found.iter_mut().find(|(_, same, _)| *same == what) {
                Some((lines, ..)) => lines.push(write.line),
                None => found.push((vec![write.line], what, cure)),
            }
        }
    }
    let advice = found.into_iter().map(|(lines, found, cure)| Advice {
        thing: the_writes(&lines),
        found,
        cure,
    });
    let mut advice: Vec<Advice> = advice.collect();
    for route in &config.routes {
        for publish in &route.publishes {
            let mut found = misread_paths(route, [].into_iter(), &published(publish));
            found.extend(in_braces(&publish.payload.iter().collect::<Vec<_>>()));
            advice.extend(found.into_iter().map(|(found, cure)| Advice {
                thing: format!("the publish at line {}", publish.line),
                found,
                cure,
            }));
        }
    }
    advice
}

fn the_writes(lines: &[usize]) -> String {
    match lines {
        [line] => format!("the write at line {line}"),
        lines => {
            let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
            format!("the writes at lines {}", lines.join(", "))
        }
    }
}

/// Two partitions may write the same record.
fn shared_records(write: &Write, mapping: &Mapping) -> Option<(String, String)> {
    let is_guarded = mapping
        .topics()
        .iter()
        .flat_map(|(_, rules)| rules.guards())
        .any(|guard| guard.line == write.line && guard.reason.is_some());
    if (!is_guarded && write.newer.is_none()) || comes_of_one_partition(&write.key) {
        return None;
    }
    let key = &write.key.written;
    let what = if write.newer.is_none() {
        "two partitions can write one guarded record, in any order"
    } else {
        "two partitions can write one record, and of two with the same `newer` version the second is skipped"
    };
    Some((
        format!("the record's key ({key}) is not the message's key: {what}"),
        format!("give the messages the key {key} in Kafka, or set key = \"@key\"; ignore this if they have it already"),
    ))
}

/// Bins that grow until the record is too big.
fn growing_bins(write: &Write) -> Vec<(String, String)> {
    let Action::Write { operations, .. } = &write.action else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (number, operation) in operations.iter().enumerate() {
        let descriptor = operation.what.descriptor();
        let (word, Some(cure)) = (descriptor.word, descriptor.growth_cure) else {
            continue;
        };
        let is_trimmed = operations
            .get(number + 1)
            .is_some_and(|next| next.bin == operation.bin && matches!(next.what, OperationKind::KeepLast { .. }));
        if !is_trimmed {
            let bin = &operation.bin;
            let what = format!(
                "`{word}` makes the bin {bin} grow with each message; at max-record-size the record's messages are rejected (13)"
            );
            found.push((what, cure.to_owned()));
        }
    }
    found
}

/// `except` and `rename` name fields of one object. A name that looks like a path or a pattern is a valid but unusual
/// field name.
fn names_of_no_field(write: &Write) -> Vec<(String, String)> {
    let Action::Write { bins, .. } = &write.action else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for bin in bins {
        let Bin::All { except, rename, .. } = bin else {
            continue;
        };
        let except = except.iter().map(|field| ("except", field));
        let rename = rename.iter().map(|(field, _)| ("rename", field));
        for (word, field) in except
            .chain(rename)
            .filter(|(_, field)| field.contains(['.', '*', '[', '{']))
        {
            let bare = field.trim_start_matches(['$', '{']).trim_end_matches('}').trim();
            let cure = match field.split(['.', '[']).next() {
                _ if field.contains('{') && !bare.is_empty() && !bare.contains(['.', '*', '[', '{', '}']) => {
                    format!("write {bare:?}; ignore this if a field is called {field:?}")
                }
                Some(top) if !top.is_empty() && !top.contains('*') => {
                    format!(
                        "name the whole field {top}, or the bins one by one; ignore this if a field is called {field:?}"
                    )
                }
                _ => format!("name each field; ignore this if one is called {field:?}"),
            };
            let what = format!(
                "`{word}` takes names of fields at the top of what `*` takes, no paths and no patterns: {field:?} is one name"
            );
            found.push((what, cure));
        }
    }
    found
}

/// The values of a write that keep the type of the field.
fn kept(write: &Write) -> Vec<&Typed> {
    let Action::Write { bins, operations } = &write.action else {
        return Vec::new();
    };
    let bins = bins.iter().filter_map(|bin| match bin {
        Bin::One { value, .. } => Some(value),
        Bin::All { .. } => None,
    });
    let operands = operations.iter().flat_map(|operation| operation.what.operands());
    let kept = operands.filter(|(part, _)| part.operand == Operand::Value);
    bins.chain(kept.map(|(_, value)| value)).collect()
}

/// Fields in braces. A template turns the field into a string, and two braces are text.
fn in_braces(values: &[&Typed]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for value in values {
        match &value.expr {
            Expr::Object(members) => {
                let members: Vec<&Typed> = members.iter().map(|(_, value)| value).collect();
                found.extend(in_braces(&members));
            }
            Expr::Template(parts) if value.cast.is_none() => {
                // As written in the file, also inside a table: `{ path = "{user.id}" }`.
                let written = &value.written;
                let from = written
                    .find("\"{")
                    .or_else(|| written.find("'{"))
                    .map_or(0, |at| at + 1);
                let template = written.get(from..).unwrap_or_default();
                let field = template.split_once('}').and_then(|(field, _)| field.strip_prefix('{'));
                if let ([Part::Source(_)], Some(field)) = (parts.as_slice(), field) {
                    found.push((
                        format!("in braces, \"{{{field}}}\" is a template, and makes a string of what it finds: of 5 it makes \"5\""),
                        format!(
                            "write \"{field}\" for the field as it is, or {{ path = \"{field}\", as = \"string\" }} if a string is meant"
                        ),
                    ));
                }
            }
            Expr::Constant(Constant::String(text)) => {
                let meant = text
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'))
                    .map(str::trim);
                let is_path = |path: &&str| {
                    path.starts_with(|c: char| c.is_alphabetic() || c == '@')
                        && path
                            .chars()
                            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@' | '[' | ']'))
                };
                if let Some(meant) = meant.filter(is_path)
                    && value.written.contains("{{")
                {
                    found.push((
                        format!(
                            "\"{{{text}}}\" is the text {text}, the same for every message: `{{{{` is a literal brace"
                        ),
                        format!("write \"{meant}\" for the field, or {{ value = \"{text}\" }} for the text"),
                    ));
                }
            }
            _ => {}
        }
    }
    let mut told: Vec<(String, String)> = Vec::new();
    for each in found {
        if !told.contains(&each) {
            told.push(each);
        }
    }
    told
}

/// All values of a write that may contain a path.
fn values(write: &Write) -> Vec<&Typed> {
    let mut values = vec![&write.key];
    for name in [&write.namespace, &write.set] {
        if let Name::FromMessage { value, .. } = name {
            values.push(value);
        }
    }
    values.extend(write.newer.iter().map(|newer| &newer.value));
    if let Ttl::Field(value) = &write.ttl {
        values.push(value);
    }
    if let Action::Write { bins, operations } = &write.action {
        values.extend(bins.iter().filter_map(|bin| match bin {
            Bin::One { value, .. } => Some(value),
            Bin::All { .. } => None,
        }));
        let operands = operations.iter().flat_map(|operation| operation.what.operands());
        values.extend(operands.map(|(_, value)| value));
    }
    values
}

fn published(publish: &Publish) -> Vec<&Typed> {
    let headers = publish.headers.iter().map(|(_, value)| value);
    publish.key.iter().chain(&publish.payload).chain(headers).collect()
}

/// Paths written in the syntax of another language, which are names of fields here.
fn misread_paths<'a>(
    route: &Route,
    arrays: impl Iterator<Item = &'a Path>,
    values: &[&Typed],
) -> Vec<(String, String)> {
    // Reported once, for the root: it is the prefix of all others.
    if let Some(found) = misread(&route.root, "", "") {
        return vec![found];
    }
    let mut found: Vec<(String, String)> = arrays.filter_map(|path| misread(path, "", "")).collect();
    for value in values {
        in_value(value, &mut found);
    }
    found.dedup();
    found
}

fn in_value(value: &Typed, found: &mut Vec<(String, String)>) {
    let mut of = |source: &Source| {
        let (path, prefix) = match source {
            Source::Path(path) => (path, ""),
            Source::Item(path) => (path, "@item."),
            Source::KeyPath(path) => (path, "@key."),
            _ => return,
        };
        found.extend(misread(path, prefix, &value.written));
    };
    match &value.expr {
        Expr::Source(source) => of(source),
        Expr::Template(parts) => parts.iter().for_each(|part| match part {
            Part::Source(source) | Part::Time { source, .. } => of(source),
            Part::Literal(_) => {}
        }),
        Expr::Object(members) => members.iter().for_each(|(_, value)| in_value(value, found)),
        Expr::Cel(_) | Expr::Constant(_) => {}
    }
}

/// `written`: the text in the file. If a name is quoted there, the author means it as a name.
fn misread(path: &Path, prefix: &str, written: &str) -> Option<(String, String)> {
    let is_meant = |name: &str| written.contains(&format!("\"{name}\""));
    // A longer number is a year or an id.
    let index = |name: &str| {
        name.parse::<usize>()
            .ok()
            .filter(|_| name.len() <= 2 && !is_meant(name))
    };
    let root = matches!(path.first(), Some(Segment::Name(name)) if name == "$" && path.len() > 1 && !is_meant(name));
    let number = path
        .iter()
        .position(|step| matches!(step, Segment::Name(name) if index(name).is_some()));
    let whole = format!("{prefix}{}", display_path(path));
    let steps = path.iter().skip(usize::from(root)).cloned();
    let right: Path = steps
        .map(|step| match &step {
            Segment::Name(name) => index(name).map_or(step, Segment::Index),
            Segment::Index(_) | Segment::Json => step,
        })
        .collect();
    let right = display_path(&right);
    let right = match right.starts_with('[') {
        true => format!("{}{right}", prefix.trim_end_matches('.')),
        false => format!("{prefix}{right}"),
    };
    if root {
        return Some((
            format!("the path {whole} begins with `$`, as in JSONPath: here it is a field of the name $"),
            format!("write {right}; ignore this if there is a field $"),
        ));
    }
    let number = path.get(number?)?;
    let Segment::Name(name) = number else {
        return None;
    };
    Some((
        format!("the path {whole} takes a field of the name {name}, not the element of an array"),
        format!("write {right} for an element of an array; ignore this if it is a field"),
    ))
}

/// Whether all messages for one record come from one partition: the record's key is the message's key, or contains the
/// partition.
fn comes_of_one_partition(key: &Typed) -> bool {
    // If it is used unchanged, it identifies the partition, whatever else is in the key.
    let tells = |source: &Source| matches!(source, Source::Partition | Source::Key | Source::KeyPath(_));
    match &key.expr {
        Expr::Source(source) => tells(source),
        Expr::Template(parts) => parts
            .iter()
            .any(|part| matches!(part, Part::Source(source) if tells(source))),
        // A computed value may be the same for several partitions. But if it reads nothing else, it is accepted.
        Expr::Cel(cel) => {
            let reads = &cel.program.reads;
            !reads.is_empty()
                && reads.iter().all(|read| match &read.what {
                    What::Value(source) | What::Has(source) => tells(source),
                    What::Headers | What::HasHeader(_) => false,
                })
        }
        Expr::Constant(_) | Expr::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// Whether the messages for the key of a write come from one partition.
    fn of_one_partition(key: &str) -> bool {
        let text = format!(
            "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"n\"\n[[route]]\n\
             [[route.write]]\nkey = {key}\nadd = {{ n = 1 }}\n"
        );
        let config = config::parse(&text, "penstock.toml").unwrap();
        comes_of_one_partition(&config.routes[0].writes[0].key)
    }

    /// The advice for a configuration with these lines in its route.
    fn told(lines: &str) -> Vec<String> {
        let text = format!(
            "[kafka]\nbrokers = \"k\"\ntopics = [\"t\"]\n[aerospike]\nhosts = \"a\"\nnamespace = \"n\"\n[[route]]\n\
             {lines}\n"
        );
        let config = config::parse(&text, "penstock.toml").unwrap();
        let mapping = Mapping::compile(&config).unwrap();
        let told = advice(&config, &mapping).into_iter();
        told.map(|Advice { thing, found, cure }| format!("{thing}: {found}; {cure}"))
            .collect()
    }

    #[test]
    fn a_name_in_except_or_rename_that_looks_like_a_path_or_a_pattern_is_told() {
        let write = |rules: &str| {
            told(&format!(
                "[[route.write]]\nkey = \"id\"\nbins = {{ path = \"*\", {rules} }}"
            ))
        };
        for (rules, expected) in [
            ("except = [\"a.b\"]", "\"a.b\" is one name; name the whole field a, or"),
            ("except = [\"a.*\"]", "\"a.*\" is one name; name the whole field a, or"),
            ("except = [\"x\", \"tmp_*\"]", "\"tmp_*\" is one name; name each field"),
            ("rename = { \"a.b\" = \"c\" }", "`rename` takes names of fields"),
        ] {
            let told = write(rules);
            assert!(told.len() == 1 && told[0].contains(expected), "{told:?}\n{expected}");
        }
        assert_eq!(write("except = [\"a\"], rename = { \"odd name\" = \"c\" }"), [""; 0]);
    }

    #[test]
    fn a_field_in_braces_is_told_with_what_to_write() {
        let write = |rules: &str| told(&format!("[[route.write]]\nkey = \"id\"\n{rules}"));
        let plain = "write \"user.name\" for the field as it is, or { path = \"user.name\", as = \"string\" }";
        for (rules, cure) in [
            ("bins = { n = \"{user.name}\" }", plain),
            ("bins = { n = { path = \"{user.name}\" } }", plain),
            ("bins = { n = \"{user.name}\", m = \"{user.name}\" }", plain),
            ("bins = { n = { path = \"{user.name}\", missing = \"skip\" } }", plain),
            ("bins = { n = { object = { a = \"{user.name}\" } } }", plain),
            ("once = { n = \"{user.name}\" }", plain),
            ("list_append = { n = \"{user.name}\" }\nkeep_last = { n = 5 }", plain),
            (
                "map_put = { n = { key = \"{user.id}\", value = \"{user.name}\" } }",
                plain,
            ),
            (
                "bins = { n = \"{{user.name}}\" }",
                "write \"user.name\" for the field, or { value = \"{user.name}\" }",
            ),
            (
                "bins = { n = \"{{ user.name }}\" }",
                "write \"user.name\" for the field, or { value = \"{ user.name }\" }",
            ),
            (
                "bins = { path = \"*\", except = [\"{trace}\"] }",
                "write \"trace\"; ignore this if",
            ),
        ] {
            let told: Vec<String> = write(rules)
                .into_iter()
                .filter(|line| !line.contains("two partitions"))
                .collect();
            assert!(told.len() == 1 && told[0].contains(cure), "{told:?}\n{cure}");
        }
        for rules in [
            "bins = { n = { path = \"{user.name}\", as = \"string\" }, m = { value = \"{user.name}\" } }",
            "bins = { a = \"{b}:{c}\", d = \"{ts:%Y}\", e = \"u{f}\", g = \"{{literal}} {h}\" }",
            "set = \"{kind}\"\nsets_allowed = [\"a\"]\nbins = [\"b\"]",
        ] {
            assert_eq!(write(rules), [""; 0], "{rules}");
        }
        let publish = told("[[route.publish]]\ntopic = \"o\"\nkey = \"{id}\"\npayload = \"{user}\"");
        assert!(
            publish.len() == 1 && publish[0].contains("write \"user\" for the field"),
            "{publish:?}"
        );
    }

    #[test]
    fn a_path_of_another_language_is_told_with_the_right_one() {
        let write = |rules: &str| told(&format!("[[route.write]]\n{rules}"));
        for (rules, right) in [
            ("key = \"id\"\nbins = { a = \"$.user.id\" }", "write user.id;"),
            ("key = \"$.user.id\"\nbins = [\"n\"]", "write user.id;"),
            ("key = \"s:{$.user.id}\"\nbins = [\"n\"]", "write user.id;"),
            ("key = \"@key.$.id\"\nbins = [\"n\"]", "write @key.id;"),
            ("key = \"id\"\nbins = { a = \"user.0.id\" }", "write user[0].id for"),
            (
                "key = \"id\"\nbins = { a = { object = { b = \"$.l.0\" } } }",
                "write l[0];",
            ),
            (
                "key = \"id\"\neach = \"$.items\"\nbins = { a = \"@item.x\" }",
                "write items;",
            ),
        ] {
            let told = write(rules);
            assert!(told.len() == 1 && told[0].contains(right), "{told:?}\n{right}");
        }
        for rules in [
            "key = \"id\"\nbins = { a = '\"$\".id', b = 'user.\"0\".id', c = \"user[0].id\", d = \"x.$oid\", e = \"by_year.2024.n\" }",
            "key = \"id\"\nbins = { a = \"a.$.b\" }",
        ] {
            assert_eq!(write(rules), [""; 0], "{rules}");
        }
        let root = "root = \"$.after\"\n[[route.write]]\nkey = \"id\"\nbins = [\"n\", \"m\"]";
        let of_root = told(root);
        assert!(of_root.len() == 1 && of_root[0].contains("write after;"), "{of_root:?}");
        let publish = told("[[route.publish]]\ntopic = \"o\"\nkey = \"$.id\"");
        assert!(
            publish.len() == 1 && publish[0].starts_with("the publish at line 8: the path $.id"),
            "{publish:?}"
        );
    }

    #[test]
    fn a_records_messages_are_of_one_partition_where_its_key_is_theirs() {
        for key in [
            "\"@key\"",
            "\"@key.id\"",
            "\"user:{@key}\"",
            "\"{@topic}:{@key.id}\"",
            "\"{@partition}:{id}\"",
            "\"{@key}:{ts:%Y%m%d}\"",
            "{ expr = \"meta.key + '!'\" }",
        ] {
            assert!(of_one_partition(key), "{key}");
        }
        for key in [
            "\"id\"",
            "{ expr = \"meta.key + id\" }",
            "\"{@topic}:{id}\"",
            "\"@header.id\"",
            "\"{@offset}\"",
        ] {
            assert!(!of_one_partition(key), "{key}");
        }
    }
}
