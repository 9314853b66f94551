//! How other parsers read the fields that decode's benchmark asks for: each in the fastest way that fits.
//!
//! They do not all check the same. A contestant that checks less than decode is only shown for comparison
//! ([`Checks::Less`]).

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use simd_json::prelude::{ValueAsScalar as _, ValueIntoString as _};
use sonic_rs::{JsonContainerTrait as _, PointerTree};

use crate::PATHS;

/// What a contestant checks of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// As decode: the grammar, the escapes and the UTF-8 of everything, to the last byte.
    All,
    /// Less than that.
    Less,
}

/// A field as a parser gives it.
#[derive(Debug, Default)]
pub enum Field<'m> {
    #[default]
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'m, str>),
    Other,
}

impl Field<'_> {
    /// A number that depends on the value, so that each contestant must read it.
    pub fn weight(&self) -> u64 {
        match self {
            Field::Missing | Field::Null => 0,
            Field::Bool(flag) => u64::from(*flag),
            Field::Int(int) => *int as u64 & 0xff,
            Field::Float(float) => float.to_bits() & 0xff,
            Field::Str(text) => text.len() as u64,
            Field::Other => 1,
        }
    }
}

/// The asked paths as a tree: what is asked at a place, and what inside it.
#[derive(Debug, Default)]
struct Tree {
    number: Option<usize>,
    names: Vec<(&'static str, Tree)>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut tree = Tree::default();
    for (number, path) in PATHS.iter().enumerate() {
        let mut here = &mut tree;
        for name in *path {
            let place = here.names.iter().position(|(known, _)| known == name);
            let place = place.unwrap_or_else(|| {
                here.names.push((name, Tree::default()));
                here.names.len() - 1
            });
            here = &mut here.names[place].1;
        }
        here.number = Some(number);
    }
    tree
});

impl Tree {
    fn find(&self, name: &str) -> Option<&Tree> {
        self.names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, tree)| tree)
    }
}

/// The asked fields, read in one pass over any deserializer of serde.
#[derive(Debug, Default)]
pub struct Asked<'m>([Field<'m>; PATHS.len()]);

impl Asked<'_> {
    pub fn weight(&self) -> u64 {
        self.0.iter().map(Field::weight).sum()
    }
}

impl<'de> Deserialize<'de> for Asked<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut asked = Asked::default();
        let seed = Place {
            tree: &TREE,
            asked: &mut asked,
        };
        seed.deserialize(deserializer)?;
        Ok(asked)
    }
}

/// A place in the message where something is asked for.
struct Place<'a, 'de> {
    tree: &'static Tree,
    asked: &'a mut Asked<'de>,
}

impl<'de> DeserializeSeed<'de> for Place<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Place<'_, 'de> {
    fn set(self, field: Field<'de>) {
        if let Some(number) = self.tree.number {
            self.asked.0[number] = field;
        }
    }
}

impl<'de> Visitor<'de> for Place<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(Name(self.tree))? {
            match found {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(tree) => map.next_value_seed(Place {
                    tree,
                    asked: self.asked,
                })?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.set(Field::Other);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.set(Field::Null);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.set(Field::Bool(flag));
        Ok(())
    }

    fn visit_i64<E>(self, int: i64) -> Result<(), E> {
        self.set(Field::Int(int));
        Ok(())
    }

    fn visit_u64<E>(self, int: u64) -> Result<(), E> {
        self.set(Field::Int(int as i64));
        Ok(())
    }

    fn visit_f64<E>(self, float: f64) -> Result<(), E> {
        self.set(Field::Float(float));
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.set(Field::Str(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.set(Field::Str(Cow::Owned(text.to_owned())));
        Ok(())
    }
}

/// The name of a member: what is asked for inside it.
struct Name(&'static Tree);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Tree>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Tree>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.find(name))
    }
}

/// sonic-rs' own way to read several fields.
pub fn pointer_tree() -> PointerTree {
    let mut tree = PointerTree::new();
    for path in PATHS {
        tree.add_path(path);
    }
    tree
}

/// The sum over what sonic-rs found. Strings and numbers are parsed here, when they are read.
pub fn lazy_weight(found: &[Option<sonic_rs::LazyValue<'_>>]) -> u64 {
    found.iter().flatten().map(|value| sonic_field(value).weight()).sum()
}

/// The sum over the fields of a whole value.
pub fn value_weight(value: &sonic_rs::Value) -> u64 {
    let mut asked = Asked::default();
    read_value(value, &TREE, &mut asked);
    asked.weight()
}

fn read_value<'m>(value: &'m sonic_rs::Value, tree: &Tree, asked: &mut Asked<'m>) {
    if let Some(number) = tree.number {
        asked.0[number] = sonic_field(value);
    } else if let Some(object) = value.as_object() {
        for (name, member) in object {
            if let Some(tree) = tree.find(name) {
                read_value(member, tree, asked);
            }
        }
    }
}

fn sonic_field(value: &impl sonic_rs::JsonValueTrait) -> Field<'_> {
    if let Some(text) = value.as_str() {
        Field::Str(Cow::Borrowed(text))
    } else if let Some(int) = value.as_i64() {
        Field::Int(int)
    } else if let Some(float) = value.as_f64() {
        Field::Float(float)
    } else if let Some(flag) = value.as_bool() {
        Field::Bool(flag)
    } else {
        Field::Null
    }
}

/// Parses the payload with simd-json into a tape. It writes into what it parses, so it needs a copy.
pub fn tape_weight(payload: &[u8], copy: &mut Vec<u8>, buffers: &mut simd_json::Buffers) -> Option<u64> {
    copy.clear();
    copy.extend_from_slice(payload);
    let tape = simd_json::to_tape_with_buffers(copy, buffers).ok()?;
    let mut asked = Asked::default();
    read_tape(tape.as_value(), &TREE, &mut asked);
    Some(asked.weight())
}

fn read_tape<'m>(value: simd_json::tape::Value<'_, 'm>, tree: &Tree, asked: &mut Asked<'m>) {
    if let Some(number) = tree.number {
        asked.0[number] = if let Some(text) = value.into_string() {
            Field::Str(Cow::Borrowed(text))
        } else if let Some(int) = value.as_i64() {
            Field::Int(int)
        } else if let Some(float) = value.as_f64() {
            Field::Float(float)
        } else if let Some(flag) = value.as_bool() {
            Field::Bool(flag)
        } else {
            Field::Null
        };
    } else if let Some(object) = value.as_object() {
        for (name, member) in &object {
            if let Some(tree) = tree.find(name) {
                read_tape(member, tree, asked);
            }
        }
    }
}
