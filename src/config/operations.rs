//! The operations of a write on bins, in one table.
//!
//! An operation is a variant of [`OperationKind`] and a row of [`ALL`]. Everything that lists operations reads the
//! rows: the keys of a write, the reader of the file and its faults, the schema, the pages of `docs/reference`, guards,
//! advice, and the output of `try`. Each step of processing an operation is one exhaustive `match`: `output::row` (the
//! row), `rules::mapping::eval` (evaluation for a message), `aerospike::request` (the client's request) and
//! `aerospike::wire::operations` (the bytes). docs/architecture/extending.md lists the steps to add an operation.

use super::key::{Key, Kind, Section, key, with};

/// An operation on one bin. `V` is the type of its operands: from the file, or compiled.
#[derive(Debug, Clone)]
pub struct Operation<V> {
    /// 1 to 15 bytes.
    pub bin: String,
    /// What it does to the bin.
    pub what: OperationKind<V>,
}

/// What an operation does to a bin. If an operand is missing, the message is rejected; with `missing = "skip"` the
/// operation is left out. The same applies to null, except in [`OperationKind::Once`]: there, both leave the bin
/// unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind<V> {
    /// `once`: sets the bin if it does not exist.
    Once(V),
    /// `add`: adds an integer or a float; its `as` or its constant gives the type.
    Add(V),
    /// `append`: adds a string or bytes at the end of the bin's value.
    Append(V),
    /// `prepend`: adds a string or bytes at the start.
    Prepend(V),
    /// `list_append`: adds an element at the end of a list.
    ListAppend(V),
    /// `map_put`: sets an entry of a map.
    MapPut {
        /// A string or integer.
        key: V,
        /// Not null.
        value: V,
    },
    /// `map_add`: adds to an entry of a map; a new entry starts at 0.
    MapAdd {
        /// A string or integer.
        key: V,
        /// As in `Add`.
        by: V,
    },
    /// `keep_last`: keeps the last `count` elements of a list, or the `count` greatest keys of a map. Runs after the
    /// operation of the same write that adds to the bin.
    KeepLast {
        /// At least 1.
        count: u32,
        /// The bin is a map, not a list.
        map: bool,
    },
    /// `remove`: removes the bin.
    Remove,
}

/// The kind of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Anything that a bin can store.
    Value,
    /// An integer or a float. Its type must be given.
    Number,
    /// A string or bytes.
    Text,
    /// A string or an integer.
    MapKey,
}

/// One operand of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its key in the table beside the bin; empty if the operand itself is beside the bin.
    pub name: &'static str,
    /// Its kind.
    pub operand: Operand,
}

/// Everything about an operation that the rest of the code needs.
#[derive(Debug)]
pub struct Descriptor {
    /// Its key in `[[route.write]]`.
    pub word: &'static str,
    /// The variant of `output::row::Op`, the name that authors of processors use.
    pub in_code: &'static str,
    /// Names in other programs.
    pub other_names: &'static [&'static str],
    /// Its form in the file.
    pub form: Form,
    /// An example: a bin, and what the file has beside it.
    pub example: (&'static str, &'static str),
    /// Repeating it changes nothing. A write with an operation for which this is false is guarded by default.
    pub is_repeatable: bool,
    /// What `keep_last` can trim after it.
    pub keeps: Option<Container>,
    /// What to do against a growing bin, if this operation makes the bin grow with each message.
    pub growth_cure: Option<&'static str>,
    /// The row of docs/reference/operations.md.
    pub page: Page,
}

/// The form of an operation in the file.
#[derive(Debug)]
pub enum Form {
    /// A table of bins, each with its operand.
    Value(OperationKind<()>),
    /// A table of bins, each with a table of its operands.
    Entry(OperationKind<()>, Entry),
    /// A table of bins, each with a whole number from 1 to [`KEPT_MAX`].
    Count,
    /// An array of bins.
    Names,
}

/// The table beside a bin.
#[derive(Debug)]
pub struct Entry {
    /// Its keys, which are the names of the operands.
    pub section: Section,
    /// Keys that have other names in other programs, each with those names.
    pub other_names: &'static [(&'static str, &'static [&'static str])],
    /// The text of the fault if something else is in its place.
    pub needs: &'static str,
}

/// A bin's type that grows by elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A list.
    List,
    /// A map.
    Map,
}

/// The row of docs/reference/operations.md.
#[derive(Debug)]
pub struct Page {
    /// What happens if the bin does not exist.
    pub no_bin: &'static str,
    /// What happens if the message's field is missing or null.
    pub no_field: &'static str,
    /// What happens if the bin has another type.
    pub other_type: &'static str,
}

/// The largest value of `keep_last`.
pub const KEPT_MAX: i64 = 1_000_000;

/// All operations, in the order in which a write executes them.
pub const ALL: &[&Descriptor] = &[
    &ONCE,
    &ADD,
    &APPEND,
    &PREPEND,
    &LIST_APPEND,
    &MAP_PUT,
    &MAP_ADD,
    &KEEP_LAST,
    &REMOVE,
];

pub const ONCE: Descriptor = Descriptor {
    word: "once",
    in_code: "Once",
    other_names: &["set_once", "insert_once", "put_once"],
    form: Form::Value(OperationKind::Once(())),
    example: ("first_seen", "\"ts\""),
    is_repeatable: true,
    keeps: None,
    growth_cure: None,
    page: Page {
        no_bin: "it is set",
        no_field: "the bin stays as it is",
        other_type: "it stays, whatever it holds",
    },
};

pub const ADD: Descriptor = Descriptor {
    word: "add",
    in_code: "Add",
    other_names: &["increment", "incr", "inc", "counter", "counters", "count", "sum"],
    form: Form::Value(OperationKind::Add(())),
    example: ("events", "1"),
    is_repeatable: false,
    keeps: None,
    growth_cure: None,
    page: Page {
        no_bin: "it counts from 0",
        no_field: REJECTED,
        other_type: REJECTED,
    },
};

pub const APPEND: Descriptor = Descriptor {
    word: "append",
    in_code: "Append",
    other_names: &[],
    form: Form::Value(OperationKind::Append(())),
    example: ("log", "\"line\""),
    is_repeatable: false,
    keeps: None,
    growth_cure: Some("write a record for each day or hour, or a list with `keep_last`"),
    page: Page {
        no_bin: "it is created",
        no_field: REJECTED,
        other_type: REJECTED,
    },
};

pub const PREPEND: Descriptor = Descriptor {
    word: "prepend",
    in_code: "Prepend",
    form: Form::Value(OperationKind::Prepend(())),
    ..APPEND
};

pub const LIST_APPEND: Descriptor = Descriptor {
    word: "list_append",
    in_code: "ListAppend",
    other_names: &["list_push", "push", "append_list", "lists", "append_to_list"],
    form: Form::Value(OperationKind::ListAppend(())),
    example: ("readings", "\"value\""),
    is_repeatable: false,
    keeps: Some(Container::List),
    growth_cure: Some("add `keep_last`, or write a record for each day or hour"),
    page: Page {
        no_bin: "the list is created",
        no_field: REJECTED,
        other_type: REJECTED,
    },
};

pub const MAP_PUT: Descriptor = Descriptor {
    word: "map_put",
    in_code: "MapPut",
    other_names: &["put_map", "maps", "map_set", "set_map"],
    form: Form::Entry(
        OperationKind::MapPut { key: (), value: () },
        Entry {
            section: Section {
                title: "an entry of map_put",
                keys: &[key("key", Kind::Value), key("value", Kind::Value)],
                later: &[],
            },
            other_names: &[("key", &["k", "name", "field"]), ("value", &["v", "val", "path"])],
            needs: "an entry of a map has a `key`",
        },
    ),
    example: ("prefs", "{ key = \"pref.name\", value = \"pref.value\" }"),
    is_repeatable: true,
    keeps: Some(Container::Map),
    growth_cure: None,
    page: Page {
        no_bin: "the map is created",
        no_field: REJECTED,
        other_type: REJECTED,
    },
};

pub const MAP_ADD: Descriptor = Descriptor {
    word: "map_add",
    in_code: "MapAdd",
    other_names: &["map_increment", "map_incr", "map_inc", "increment_map"],
    form: Form::Entry(
        OperationKind::MapAdd { key: (), by: () },
        Entry {
            section: Section {
                title: "an entry of map_add",
                keys: &[key("key", Kind::Value), with("by", Kind::Value, "1")],
                later: &[],
            },
            other_names: &[
                ("key", &["k", "name", "field"]),
                ("by", &["v", "val", "value", "amount", "n", "add", "inc", "increment"]),
            ],
            needs: "an entry of a map has a `key`",
        },
    ),
    example: ("day", "{ key = \"{ts:%Y%m%d}\", by = 1 }"),
    is_repeatable: false,
    keeps: Some(Container::Map),
    growth_cure: None,
    page: Page {
        no_bin: "the map is created",
        no_field: REJECTED,
        other_type: REJECTED,
    },
};

pub const KEEP_LAST: Descriptor = Descriptor {
    word: "keep_last",
    in_code: "KeepLast",
    other_names: &["trim", "limit", "keep", "max_size"],
    form: Form::Count,
    example: ("readings", "1000"),
    is_repeatable: true,
    keeps: None,
    growth_cure: None,
    page: Page {
        no_bin: "nothing is done",
        no_field: "–",
        other_type: REJECTED,
    },
};

pub const REMOVE: Descriptor = Descriptor {
    word: "remove",
    in_code: "Put",
    other_names: &["unset", "delete_bins", "drop_bins", "drop", "remove_bins", "clear"],
    form: Form::Names,
    example: ("draft", ""),
    is_repeatable: true,
    keeps: None,
    growth_cure: None,
    page: Page {
        no_bin: "nothing is done",
        no_field: "–",
        other_type: "it is removed, whatever it holds",
    },
};

const REJECTED: &str = "the message is rejected";

impl<V> OperationKind<V> {
    /// Its row of the table.
    pub const fn descriptor(&self) -> &'static Descriptor {
        match self {
            OperationKind::Once(_) => &ONCE,
            OperationKind::Add(_) => &ADD,
            OperationKind::Append(_) => &APPEND,
            OperationKind::Prepend(_) => &PREPEND,
            OperationKind::ListAppend(_) => &LIST_APPEND,
            OperationKind::MapPut { .. } => &MAP_PUT,
            OperationKind::MapAdd { .. } => &MAP_ADD,
            OperationKind::KeepLast { .. } => &KEEP_LAST,
            OperationKind::Remove => &REMOVE,
        }
    }

    /// The same operation with converted operands. Calls `make` for each, in their order.
    ///
    /// # Errors
    /// The first error of `make`.
    pub fn try_map<'v, W, E>(
        &'v self,
        mut make: impl FnMut(Part, &'v V) -> Result<W, E>,
    ) -> Result<OperationKind<W>, E> {
        use Operand::{MapKey, Number, Text, Value};
        let mut make = |name, operand, value| make(Part { name, operand }, value);
        Ok(match self {
            OperationKind::Once(value) => OperationKind::Once(make("", Value, value)?),
            OperationKind::Add(by) => OperationKind::Add(make("", Number, by)?),
            OperationKind::Append(value) => OperationKind::Append(make("", Text, value)?),
            OperationKind::Prepend(value) => OperationKind::Prepend(make("", Text, value)?),
            OperationKind::ListAppend(value) => OperationKind::ListAppend(make("", Value, value)?),
            OperationKind::MapPut { key, value } => OperationKind::MapPut {
                key: make("key", MapKey, key)?,
                value: make("value", Value, value)?,
            },
            OperationKind::MapAdd { key, by } => OperationKind::MapAdd {
                key: make("key", MapKey, key)?,
                by: make("by", Number, by)?,
            },
            OperationKind::KeepLast { count, map } => OperationKind::KeepLast {
                count: *count,
                map: *map,
            },
            OperationKind::Remove => OperationKind::Remove,
        })
    }

    /// As [`OperationKind::try_map`], if nothing can fail.
    pub fn map<'v, W>(&'v self, mut make: impl FnMut(Part, &'v V) -> W) -> OperationKind<W> {
        let Ok(made) = self.try_map(|part, value| Ok::<W, std::convert::Infallible>(make(part, value)));
        made
    }

    /// Its operands, in their order.
    pub fn operands(&self) -> Vec<(Part, &V)> {
        let mut operands = Vec::new();
        self.map(|part, value| operands.push((part, value)));
        operands
    }
}

impl Descriptor {
    /// An example in the form of the file.
    pub fn example(&self) -> String {
        let (word, (bin, value)) = (self.word, self.example);
        match self.form {
            Form::Names => format!("{word} = [\"{bin}\"]"),
            Form::Value(_) | Form::Entry(..) | Form::Count => format!("{word} = {{ {bin} = {value} }}"),
        }
    }

    /// The operands that it needs; `None` if it has none.
    pub fn shape(&self) -> Option<&OperationKind<()>> {
        match &self.form {
            Form::Value(shape) | Form::Entry(shape, _) => Some(shape),
            Form::Count | Form::Names => None,
        }
    }

    const fn key(&self) -> Key {
        match self.form {
            Form::Names => key(self.word, Kind::List),
            Form::Value(_) | Form::Entry(..) | Form::Count => key(self.word, Kind::Table),
        }
    }

    const fn entry(&self) -> Option<&Entry> {
        match &self.form {
            Form::Entry(_, entry) => Some(entry),
            Form::Value(_) | Form::Count | Form::Names => None,
        }
    }
}

/// The keys of the operations in `[[route.write]]`.
pub const KEYS: [Key; ALL.len()] = {
    let mut keys = [ALL[0].key(); ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        keys[at] = ALL[at].key();
        at += 1;
    }
    keys
};

const SECTIONS_COUNT: usize = {
    let mut count = 0;
    let mut at = 0;
    while at < ALL.len() {
        count += ALL[at].entry().is_some() as usize;
        at += 1;
    }
    count
};

/// The tables that are allowed beside their bins.
pub const SECTIONS: [&Section; SECTIONS_COUNT] = {
    const NONE: &Section = &Section {
        title: "",
        keys: &[],
        later: &[],
    };
    let mut sections = [NONE; SECTIONS_COUNT];
    let (mut at, mut found) = (0, 0);
    while at < ALL.len() {
        if let Some(entry) = ALL[at].entry() {
            sections[found] = &entry.section;
            found += 1;
        }
        at += 1;
    }
    sections
};

/// The operation with this key.
pub fn named(word: &str) -> Option<&'static Descriptor> {
    ALL.iter().copied().find(|descriptor| descriptor.word == word)
}

/// The keys, in the order in which a write executes the operations.
pub fn words() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|descriptor| descriptor.word)
}

/// The table beside a bin that has the keys of this section.
pub fn entry(section: &Section) -> Option<&'static Entry> {
    let mut entries = ALL.iter().filter_map(|descriptor| descriptor.entry());
    entries.find(|entry| entry.section.title == section.title)
}

/// The kind of operand for a key of the table beside a bin.
pub fn operand_at(section: &Section, name: &str) -> Option<Operand> {
    let of_section = |descriptor: &&&Descriptor| {
        let entry = descriptor.entry();
        entry.is_some_and(|entry| entry.section.title == section.title)
    };
    let parts = ALL.iter().find(of_section)?.shape()?.operands();
    let part = parts.into_iter().find(|(part, ())| part.name == name);
    part.map(|(part, ())| part.operand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_row() {
        for descriptor in ALL {
            if let Some(shape) = descriptor.shape() {
                assert_eq!(shape.descriptor().word, descriptor.word);
            }
            let same = ALL.iter().filter(|other| other.word == descriptor.word);
            assert_eq!(same.count(), 1, "{}", descriptor.word);
        }
    }

    #[test]
    fn the_keys_of_a_table_beside_a_bin_are_the_operands() {
        for descriptor in ALL {
            let Some(shape) = descriptor.shape() else { continue };
            let operands: Vec<&str> = shape.operands().iter().map(|(part, ())| part.name).collect();
            let keys: Vec<&str> = match descriptor.entry() {
                Some(entry) => entry.section.keys.iter().map(|key| key.name).collect(),
                None => vec![""],
            };
            assert_eq!(operands, keys, "{}", descriptor.word);
        }
    }
}
