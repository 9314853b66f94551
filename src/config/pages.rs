//! The pages of `docs/reference` that describe the configuration, and their texts about each key.
//!
//! The [schema](super::schema) takes the meaning of the keys from here, and `tests/it/config_doc.rs` compares the pages
//! with [`super::keys`]. A section's heading has its title in backticks: "`[kafka]`". Below it, a table has one row for
//! each key: key, type, default, values, meaning. Text that is too long for a cell is below the table, as a list item
//! that begins with the key in bold: "- **`memory`**: …", "- **`memory`** is …". This code only knows the form of these
//! pages, not whether they are right.

use super::keys;

/// A page: its file name and its text.
pub type Page = (&'static str, &'static str);

/// The pages, in reading order.
pub const PAGES: &[Page] = &[
    (
        "configuration.md",
        include_str!("../../docs/reference/configuration.md"),
    ),
    ("run.md", include_str!("../../docs/reference/run.md")),
    (
        "kafka-properties.md",
        include_str!("../../docs/reference/kafka-properties.md"),
    ),
    ("offset-gone.md", include_str!("../../docs/reference/offset-gone.md")),
    ("routes.md", include_str!("../../docs/reference/routes.md")),
    ("writes.md", include_str!("../../docs/reference/writes.md")),
    ("operations.md", include_str!("../../docs/reference/operations.md")),
    ("lifetimes.md", include_str!("../../docs/reference/lifetimes.md")),
    ("values.md", include_str!("../../docs/reference/values.md")),
    (
        "payload-schemas.md",
        include_str!("../../docs/reference/payload-schemas.md"),
    ),
    ("conditions.md", include_str!("../../docs/reference/conditions.md")),
    ("guards.md", include_str!("../../docs/reference/guards.md")),
    ("dead-letters.md", include_str!("../../docs/reference/dead-letters.md")),
    ("logs.md", include_str!("../../docs/reference/logs.md")),
    ("http.md", include_str!("../../docs/reference/http.md")),
];

/// The texts of a page about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The kind of its value: `duration`.
    pub kind: String,
    /// The default as written in the file, in backticks; or `required`; or words.
    pub default: String,
    /// Limits or words.
    pub values: String,
    /// The meaning, in a few words.
    pub meaning: String,
    /// The list item below the table, as one line. Empty if there is none.
    pub more: String,
}

/// The text below the heading that contains this title. It ends at the next heading of the same or a higher level, or
/// at one that names another section.
pub fn part(title: &str) -> Option<&'static str> {
    PAGES.iter().find_map(|(_, text)| part_of(text, title))
}

fn part_of<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    let mut headings = headings(text).skip_while(|heading| !heading.names(title));
    let own = headings.next()?;
    let is_another = |heading: &Heading<'_>| {
        keys::ALL
            .iter()
            .any(|section| section.title != title && heading.names(section.title))
    };
    let end = headings.find(|heading| heading.level <= own.level || is_another(heading));
    text.get(own.end..end.map_or(text.len(), |heading| heading.start))
}

struct Heading<'a> {
    line: &'a str,
    level: usize,
    start: usize,
    end: usize,
}

impl Heading<'_> {
    fn names(&self, title: &str) -> bool {
        self.line.contains(&format!("`{title}`"))
    }
}

fn headings(text: &str) -> impl Iterator<Item = Heading<'_>> {
    let mut is_in_block = false;
    let mut end = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let start = end;
        end += line.len();
        is_in_block ^= line.trim_start().starts_with("```");
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        (level > 0 && !is_in_block).then_some(Heading {
            line,
            level,
            start,
            end,
        })
    })
}

/// The row and the list item of this key in a section's part.
pub fn row(part: &str, key: &str) -> Option<Row> {
    let begin = format!("| `{key}` |");
    let line = part.lines().find(|line| line.starts_with(&begin))?;
    let [_, kind, default, values, meaning] = cells(line)[..] else {
        return None;
    };
    let begin = format!("**`{key}`**");
    let more = items(part).into_iter().find_map(|item| {
        let rest = item.strip_prefix(&begin)?;
        let sentence = rest.strip_prefix(": ").map(str::to_owned);
        Some(sentence.unwrap_or_else(|| format!("`{key}`{rest}")))
    });
    Some(Row {
        kind: kind.to_owned(),
        default: default.to_owned(),
        values: values.to_owned(),
        meaning: meaning.to_owned(),
        more: more.unwrap_or_default(),
    })
}

/// The keys that have a row in one of the tables.
pub fn keys_of(part: &str) -> Vec<&str> {
    part.lines()
        .filter(|line| line.starts_with("| `") && cells(line).len() == 5)
        .filter_map(|line| line.split('`').nth(1))
        .collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The list items, each as one line. An item includes the indented lines below it.
pub fn items(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut is_in_item = false;
    for line in text.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            items.push(item.to_owned());
            is_in_item = true;
        } else if is_in_item && line.starts_with("  ") && !line.trim().is_empty() {
            if let Some(item) = items.last_mut() {
                item.push(' ');
                item.push_str(line.trim());
            }
        } else {
            is_in_item = false;
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# Page

## The process: `[run]`

| key | type | default | values | meaning |
|---|---|---|---|---|
| `memory` | size | `\"1\"` | many | the bound |
| `topics` | array | none | many | the topics |

- **`memory`**: it is
  long.
- **`topics`** are many.

```toml
# no heading
```

### Deeper

- other

## `[kafka]`

next
";

    #[test]
    fn a_part_ends_at_the_next_heading_of_its_level() {
        let run = part_of(TEXT, "[run]").unwrap();
        assert!(run.contains("# no heading") && run.contains("- other"), "{run}");
        assert!(!run.contains("`[kafka]`"), "{run}");
        assert_eq!(part_of(TEXT, "[kafka]"), Some("\nnext\n"));
        assert_eq!(part_of(TEXT, "[reject]"), None);
    }

    #[test]
    fn a_part_of_a_whole_page_ends_where_another_section_begins() {
        let text = "# Routes: `[[route]]`\n\na\n\n## Order\n\nb\n\n## Versions: `newer`\n\nc\n";
        assert_eq!(part_of(text, "[[route]]"), Some("\na\n\n## Order\n\nb\n\n"));
    }

    #[test]
    fn a_row_goes_on_in_the_item_below_the_table() {
        let run = part_of(TEXT, "[run]").unwrap();
        let row = row(run, "memory").unwrap();
        assert_eq!((row.kind.as_str(), row.default.as_str()), ("size", "`\"1\"`"));
        assert_eq!((row.values.as_str(), row.meaning.as_str()), ("many", "the bound"));
        assert_eq!(row.more, "it is long.");
        assert_eq!(super::row(run, "topics").unwrap().more, "`topics` are many.");
        assert_eq!(keys_of(run), ["memory", "topics"]);
        assert_eq!(
            items(run),
            ["**`memory`**: it is long.", "**`topics`** are many.", "other"]
        );
    }
}
