//! Refuses keys that a section does not know, and names the key that was meant.

use toml::de::DeValue;

use crate::config::file::reader::{ALL, Node, Table};
use crate::config::file::synonyms::{self, Meant};
use crate::config::kafka::settable;
use crate::config::keys::{self, Key, Kind, Section};

impl<'a> Node<'a> {
    /// The table at this place. Refuses its unknown keys.
    pub fn table(&self, section: &'static Section) -> Option<Table<'a>> {
        let table = self.open_table(section)?;
        table.refuse_unknown();
        Some(table)
    }
}

impl<'a> Table<'a> {
    /// Notes a fault for every key that the section does not know.
    pub fn refuse_unknown(&self) {
        for (name, node) in &self.nodes {
            match self.section.keys.iter().find(|key| key.name == *name) {
                Some(key) => self.refuse_dots(key, node),
                None if self.section.later.contains(name) => {
                    node.fault_unshown(format!("`{name}` is not known to this version"), "remove it".to_owned());
                }
                None => self.refuse(name, node),
            }
        }
    }

    fn refuse(&self, name: &str, node: &Node<'a>) {
        if self.refuse_parts(name, node) {
            return;
        }
        let title = self.section.title;
        let problem = format!("unknown key in {title}");
        if let Some((section, key)) = self.path_in_quotes(name) {
            self.is_found(section, key);
            node.fault_unshown(problem, format!("write {}, without quotes", header(section, key)));
            return;
        }
        if title == keys::KAFKA.title
            && synonyms::named(self.section, name).is_none()
            && let Some((problem, cure)) = settable::misplaced(name)
        {
            node.fault_unshown(problem, cure);
            return;
        }
        let known: Vec<&str> = self.section.keys.iter().map(|key| key.name).collect();
        let cure = match synonyms::meant(self.section, name) {
            Some(Meant::Key(key)) => {
                self.is_found(self.section, key);
                format!("did you mean `{key}`?")
            }
            // `[server]` is a section; no key of that name is meant.
            Some(Meant::Below(_, key))
                if title == keys::TOP.title
                    && key != name
                    && matches!(node.value(), DeValue::Table(_))
                    && !is_header(key) =>
            {
                format!("known keys: {}", known.join(", "))
            }
            Some(Meant::Below(section, key)) => {
                self.is_found(section, key);
                if is_header(key) && title == keys::TOP.title {
                    format!("write {}", header(section, key))
                } else if key == name {
                    format!("write it below {}", section.title)
                } else {
                    format!("did you mean `{key}`, below {}?", section.title)
                }
            }
            Some(Meant::Nothing(cure)) => cure.to_owned(),
            None => format!("known keys: {}", known.join(", ")),
        };
        node.fault_unshown(problem, cure);
    }

    /// Refuses a table that is only a part of a key's name. TOML reads `bootstrap.servers` as a table in a table, but
    /// the author means one name. And `kafka.topics` below `[kafka]` names the section a second time. Returns whether
    /// this is such a case, and was reported.
    fn refuse_parts(&self, name: &str, node: &Node<'a>) -> bool {
        if self.section.title == keys::TOP.title || !matches!(node.value(), DeValue::Table(_)) {
            return false;
        }
        let own = self.key.rsplit('.').next().unwrap_or_default();
        let own = own.split('[').next().unwrap_or_default();
        if name == own {
            for (inner, leaf) in node.open_table(self.section).iter().flat_map(|table| &table.nodes) {
                let known = self.section.keys.iter().find(|key| key.name == *inner);
                if let Some(key) = known {
                    self.is_found(self.section, key.name);
                }
                leaf.fault_unshown(
                    format!("`{own}` stands in front once more, below {}", self.section.title),
                    format!("write {inner} = …"),
                );
            }
            return true;
        }
        let mut leaves = Vec::new();
        leaves_of(name, node, self.section, &mut leaves);
        let mut meant = Vec::new();
        for (dotted, leaf) in leaves {
            let problem = format!("unknown key in {}", self.section.title);
            if let Some(key) = synonyms::named(self.section, &dotted) {
                self.is_found(self.section, key);
                meant.push((leaf, problem, format!("did you mean `{key}`?")));
            } else if self.section.title == keys::KAFKA.title
                && let Some((problem, cure)) = settable::misplaced(&dotted)
            {
                meant.push((leaf, problem, cure));
            } else {
                return false;
            }
        }
        for (leaf, problem, cure) in &meant {
            leaf.fault_unshown(problem, cure);
        }
        !meant.is_empty()
    }

    /// Refuses `group.id = "g"`, where `group` is a string.
    fn refuse_dots(&self, key: &Key, node: &Node<'a>) {
        let is_plain = !matches!(key.kind, Kind::Table | Kind::Tables | Kind::Value);
        let is_dotted = matches!(node.value(), DeValue::Table(_)) && !node.is_in_braces();
        if !is_plain || !is_dotted {
            return;
        }
        let mut leaves = Vec::new();
        leaves_of(key.name, node, self.section, &mut leaves);
        let Some((dotted, leaf)) = leaves.first() else {
            return;
        };
        if self.section.title == keys::KAFKA.title
            && synonyms::named(self.section, dotted).is_none()
            && let Some((problem, cure)) = settable::misplaced(dotted)
        {
            node.fault_unshown(problem, cure);
            return;
        }
        let problem = format!("`{dotted}` makes a table of `{}`, which holds a value", key.name);
        let cure = match leaf.as_written_at(key.name, matches!(key.kind, Kind::List)) {
            Some(right) if key.name != "password" => format!("write {right}"),
            _ => format!("write {} = …", key.name),
        };
        node.fault_unshown(problem, cure);
    }

    /// The key meant by `["route.write"]` or `"kafka.topics" = …`: the quotes make one name of a path.
    fn path_in_quotes(&self, name: &str) -> Option<(&'static Section, &'static str)> {
        if self.section.title != keys::TOP.title {
            return None;
        }
        let (section, key) = name.split_once('.')?;
        let section = section_of(section)?;
        let key = section.keys.iter().find(|each| each.name == key)?;
        Some((section, key.name))
    }

    /// Notes that the key is in the file under another name or in another place. So it is not missing, nor is its
    /// section.
    fn is_found(&self, section: &'static Section, key: &'static str) {
        let context = self.context;
        context.found([(section.title, key)]);
        // What it contains is not checked, so nothing in it is reported as missing.
        let inside = match section.title {
            "the file" => section_of(key),
            "[[route]]" if key == "write" => Some(&keys::WRITE),
            "[[route]]" if key == "publish" => Some(&keys::PUBLISH),
            "[aerospike]" if key == "tls" => Some(&keys::AEROSPIKE_TLS),
            _ => None,
        };
        context.found(inside.map(|section| (section.title, ALL)));
        if section.title == self.section.title {
            return;
        }
        match section.title {
            "[[route.write]]" | "[[route.publish]]" => {
                context.found([(keys::ROUTE.title, "write"), (keys::TOP.title, "route")]);
            }
            "[[route]]" => context.found([(keys::ROUTE.title, "write"), (keys::TOP.title, "route")]),
            "[kafka]" => context.found([(keys::TOP.title, "kafka")]),
            "[aerospike]" => context.found([(keys::TOP.title, "aerospike")]),
            _ => {}
        }
    }
}

/// The section at a key of the top level.
fn section_of(key: &str) -> Option<&'static Section> {
    Some(match key {
        "run" => &keys::RUN,
        "kafka" => &keys::KAFKA,
        "aerospike" => &keys::AEROSPIKE,
        "route" => &keys::ROUTE,
        "reject" => &keys::REJECT,
        "http" => &keys::HTTP,
        _ => return None,
    })
}

/// Whether a key is written as a header of its own.
fn is_header(key: &str) -> bool {
    matches!(
        key,
        "write" | "publish" | "properties" | "consumer" | "producer" | "tls"
    )
}

/// How to write a section that is inside another one.
fn header(section: &Section, key: &str) -> String {
    match (section.title, key) {
        ("[[route]]", "write" | "publish") => format!("[[route.{key}]], below its [[route]]"),
        (title, "properties" | "consumer" | "producer" | "tls") => format!("{}.{key}]", title.trim_end_matches(']')),
        (title, _) => format!("{key} = … below {title}"),
    }
}

/// Collects the values in the tables at `node`, with their full names.
fn leaves_of<'a>(name: &str, node: &Node<'a>, section: &'static Section, leaves: &mut Vec<(String, Node<'a>)>) {
    match node.value() {
        DeValue::Table(_) => {
            for (inner, node) in node.open_table(section).iter().flat_map(|table| &table.nodes) {
                leaves_of(&format!("{name}.{inner}"), node, section, leaves);
            }
        }
        _ => leaves.push((name.to_owned(), node.clone())),
    }
}
