//! The one pass: follows the tree of paths through a payload, keeps what is asked for and skips the rest.
//!
//! It recurses into containers; each of them passes `Scanner::enter` and so counts against `DEPTH_MAX`. A value is
//! looked at twice only if a configuration asks for a value and for something inside it. There are three such cases: a
//! whole value is built first and its parts are copied out of it, an array that is asked for both by element and by
//! index is read twice, and so is a value that one route reads as it is and another as a string that holds JSON.
//!
//! The JSON text in a string is walked by the same code with a scanner of its own. What is kept of it is copied, because
//! the text does not live longer.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::fields::{BrokenText, EachFields, Fields, Found};
use super::scan::{HalfPair, RawString, Scanner};
use super::tree::{ItemTree, Node, Nodes, PathTree, Text, TextId};
use super::{BYTE_ORDER_MARK, DecodeError, DecodeErrorKind};
use crate::message::Syntax;
use crate::output::value::{Unheld, Value};

/// Reads a whole payload into `fields`.
pub(super) fn message<'m>(
    tree: &PathTree,
    text: &'m str,
    start: usize,
    fields: &mut Fields<'m>,
) -> Result<(), DecodeError> {
    let mut scanner = Scanner::new(text, start);
    let mut out = Out {
        nodes: &tree.main,
        items: &tree.each,
        slots: &mut fields.slots,
        each: &mut fields.each,
        broken: &mut fields.broken,
        element: None,
    };
    if tree.has_texts {
        out.walk::<Borrowed>(&mut scanner, tree.main.node(0), 0)?;
        fields.has_broken = !fields.broken.is_empty() || fields.each.iter().any(|each| !each.broken.is_empty());
    } else {
        out.walk::<Plain>(&mut scanner, tree.main.node(0), 0)?;
    }
    fields.has_unheld = scanner.has_unheld;
    end(&mut scanner)
}

/// Nothing but white space may follow the value.
fn end(scanner: &mut Scanner<'_>) -> Result<(), DecodeError> {
    scanner.peek_token();
    if scanner.pos < scanner.bytes.len() {
        return Err(scanner.error_at(DecodeErrorKind::TrailingBytes, scanner.pos));
    }
    Ok(())
}

/// How a kept value of a text (`'t`) gets into the fields of the message (`'m`).
trait Keep<'t, 'm> {
    /// Whether strings that hold JSON are looked for.
    const TEXTS: bool;

    fn build(scanner: &mut Scanner<'t>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError>;
}

/// The text is the payload: values borrow from it. No path leads through a string that holds JSON. Compiled by itself, so
/// that those who do not use such strings do not pay for them: one test more for each object cost a twentieth.
struct Plain;

/// The same, and some path leads through such a string.
struct Borrowed;

/// The text was made of a string of the payload, and is gone after it was read.
struct Owned;

impl<'m> Keep<'m, 'm> for Plain {
    const TEXTS: bool = false;

    #[inline(always)]
    fn build(scanner: &mut Scanner<'m>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
        build(scanner, depth, out)
    }
}

impl<'m> Keep<'m, 'm> for Borrowed {
    const TEXTS: bool = true;

    #[inline(always)]
    fn build(scanner: &mut Scanner<'m>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
        build(scanner, depth, out)
    }
}

impl<'t, 'm> Keep<'t, 'm> for Owned {
    const TEXTS: bool = true;

    fn build(scanner: &mut Scanner<'t>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
        let mut value = Value::Null;
        build(scanner, depth, &mut value)?;
        *out = value.into_owned();
        Ok(())
    }
}

/// Where found values go: the slots of the message, or those of one element of an array.
struct Out<'a, 'm> {
    nodes: &'a Nodes,
    /// What is asked of the elements of arrays. Empty inside an element.
    items: &'a [ItemTree],
    slots: &'a mut [Option<Value<'m>>],
    each: &'a mut [EachFields<'m>],
    /// Ordered by element.
    broken: &'a mut Vec<BrokenText>,
    /// The array and the number of the element, inside one.
    element: Option<(u32, usize)>,
}

impl<'m> Out<'_, 'm> {
    /// Reads the value for `node`, inside `depth` containers.
    fn walk<'t, K: Keep<'t, 'm>>(
        &mut self,
        scanner: &mut Scanner<'t>,
        node: &Node,
        depth: u32,
    ) -> Result<(), DecodeError> {
        let first = scanner.peek_token();
        if let Some(shape) = node.shape {
            // If the first byte does not begin a value, that is reported below.
            self.slots[shape as usize] = Some(match first {
                b'{' => Value::Map(Vec::new()),
                b'[' => Value::List(Vec::new()),
                _ => Value::Null,
            });
        }
        if let Some(slot) = node.slot {
            let place = self.slots[slot as usize].insert(Value::Null);
            K::build(scanner, depth, place)?;
            if node.each.is_some() || !node.is_leaf {
                self.copy_from(node, slot, depth);
                scanner.has_unheld |= self.has_texts(node);
            }
            return Ok(());
        }
        if let Some(each) = node.each {
            let start = scanner.pos;
            self.elements::<K>(scanner, each, depth)?;
            if node.is_leaf {
                return Ok(());
            }
            scanner.pos = start;
        }
        if K::TEXTS
            && let Some(text) = node.text
        {
            let start = scanner.pos;
            self.text::<K>(scanner, text, depth)?;
            if node.names.entries.is_empty() && node.indexes.is_empty() {
                return Ok(());
            }
            scanner.pos = start;
        }
        match first {
            b'{' if !node.names.entries.is_empty() => self.object::<K>(scanner, node, depth),
            b'[' if !node.indexes.is_empty() => self.array::<K>(scanner, node, depth),
            _ => scanner.skip(depth),
        }
    }

    fn object<'t, K: Keep<'t, 'm>>(
        &mut self,
        scanner: &mut Scanner<'t>,
        node: &Node,
        depth: u32,
    ) -> Result<(), DecodeError> {
        let depth = scanner.enter(depth)?;
        if scanner.peek_token() == b'}' {
            scanner.pos += 1;
            return Ok(());
        }
        // A bit for each name that was seen already. From the 64th name on they share one bit. Clearing a slot that was
        // never filled only costs time.
        let mut seen: u64 = 0;
        loop {
            let name = scanner.name()?;
            let found = if name.escaped {
                // A name that is not text matches no path.
                let name = scanner.unescaped(name).ok();
                name.and_then(|name| node.names.find(name.as_bytes(), 0, name.len()))
            } else {
                node.names.find(scanner.bytes, name.start, name.end)
            };
            match found {
                None => scanner.skip(depth)?,
                Some(number) => {
                    let child = self.nodes.node(node.names.entries[number].node);
                    let bit = 1 << number.min(63);
                    if seen & bit != 0 {
                        self.undo(child);
                    }
                    seen |= bit;
                    self.walk::<K>(scanner, child, depth)?;
                }
            }
            match scanner.peek_token() {
                b',' => scanner.pos += 1,
                b'}' => break,
                _ => return Err(scanner.unexpected()),
            }
        }
        scanner.pos += 1;
        Ok(())
    }

    fn array<'t, K: Keep<'t, 'm>>(
        &mut self,
        scanner: &mut Scanner<'t>,
        node: &Node,
        depth: u32,
    ) -> Result<(), DecodeError> {
        let depth = scanner.enter(depth)?;
        if scanner.peek_token() == b']' {
            scanner.pos += 1;
            return Ok(());
        }
        let mut wanted = node.indexes.iter().peekable();
        for index in 0.. {
            match wanted.next_if(|entry| entry.0 == index) {
                None => scanner.skip(depth)?,
                Some(entry) => self.walk::<K>(scanner, self.nodes.node(entry.1), depth)?,
            }
            match scanner.peek_token() {
                b',' => scanner.pos += 1,
                b']' => break,
                _ => return Err(scanner.unexpected()),
            }
        }
        scanner.pos += 1;
        Ok(())
    }

    /// Reads a value whose elements are asked for, if it is an array.
    fn elements<'t, K: Keep<'t, 'm>>(
        &mut self,
        scanner: &mut Scanner<'t>,
        each: u32,
        depth: u32,
    ) -> Result<(), DecodeError> {
        let tree = &self.items[each as usize];
        let out = &mut self.each[each as usize];
        out.clear();
        out.found = match scanner.peek_token() {
            b'[' => Found::Array { len: 0 },
            b'n' => Found::Null,
            b'{' => Found::Other("object"),
            b'"' => Found::Other("string"),
            b't' | b'f' => Found::Other("boolean"),
            b'-' | b'0'..=b'9' => {
                let number = scanner.clone().number()?;
                Found::Other(if number.float { "float" } else { "integer" })
            }
            _ => return Err(scanner.unexpected()),
        };
        if !matches!(out.found, Found::Array { .. }) {
            return scanner.skip(depth);
        }
        let depth = scanner.enter(depth)?;
        if scanner.peek_token() == b']' {
            scanner.pos += 1;
            return Ok(());
        }
        let mut len = 0;
        loop {
            if len < tree.limit {
                let mut item = out.element(tree, (each, len));
                item.walk::<K>(scanner, tree.nodes.node(0), depth)?;
            } else {
                scanner.skip(depth)?;
            }
            len += 1;
            match scanner.peek_token() {
                b',' => scanner.pos += 1,
                b']' => break,
                _ => return Err(scanner.unexpected()),
            }
        }
        scanner.pos += 1;
        out.found = Found::Array { len };
        Ok(())
    }

    /// Clears what an earlier value under the same name left: the last value counts.
    #[cold]
    fn undo(&mut self, node: &Node) {
        for slot in node.slot.iter().chain(&node.shape).chain(&node.below.slots) {
            self.slots[*slot as usize] = None;
        }
        for each in node.each.iter().chain(&node.below.each) {
            self.each[*each as usize].clear();
        }
        // They are ordered by element, so those of this element are the last: no more than there are texts in it.
        let (_, element) = parts(self.element);
        let own = self.broken.partition_point(|broken| broken.element < element);
        if own < self.broken.len() {
            let own = self.broken.split_off(own).into_iter();
            self.broken
                .extend(own.filter(|broken| !node.below.texts.contains(&broken.text.text)));
        }
    }

    /// Reads the value at a string that should hold JSON. If it is a string, it reads the JSON text in it; anything else
    /// as it is.
    #[cold]
    fn text<'t, K: Keep<'t, 'm>>(
        &mut self,
        scanner: &mut Scanner<'t>,
        text: Text,
        depth: u32,
    ) -> Result<(), DecodeError> {
        if scanner.peek_token() != b'"' {
            return self.walk::<K>(scanner, self.nodes.node(text.node), depth);
        }
        let raw = scanner.string()?;
        match scanner.unescaped(raw) {
            Ok(inner) => scanner.has_unheld |= self.inner(&inner, text, depth),
            Err(HalfPair) => self.breaks(text, HALF_PAIR),
        }
        Ok(())
    }

    /// Reads the JSON text in a string inside `depth` containers. Returns whether it has a value that no record can hold.
    fn inner(&mut self, inner: &str, text: Text, depth: u32) -> bool {
        let mut scanner = Scanner::new(inner, 0);
        if inner.as_bytes().starts_with(BYTE_ORDER_MARK) {
            scanner.pos = BYTE_ORDER_MARK.len();
        }
        let read = if inner.is_empty() {
            Err(scanner.error_at(DecodeErrorKind::Empty, 0))
        } else {
            let walked = self.walk::<Owned>(&mut scanner, self.nodes.node(text.node), depth);
            walked.and_then(|()| end(&mut scanner))
        };
        if let Err(error) = read {
            self.breaks(text, error);
        }
        scanner.has_unheld
    }

    /// Notes that a text is no JSON, and clears what was found in it.
    fn breaks(&mut self, text: Text, error: DecodeError) {
        let node = self.nodes.node(text.node);
        self.undo(node);
        if let Some(shape) = node.shape {
            self.slots[shape as usize] = Some(Value::Null);
        }
        let (each, element) = parts(self.element);
        let text = TextId {
            each,
            text: text.number,
        };
        self.broken.push(BrokenText { text, element, error });
    }

    /// Fills what is asked for inside the value in `slot`, if the whole value was asked for too.
    #[cold]
    fn copy_from(&mut self, node: &Node, slot: u32, depth: u32) {
        // The value leaves its slot meanwhile, so that the other slots can be filled from it.
        let Some(value) = self.slots[slot as usize].take() else {
            return;
        };
        if let Some(each) = node.each {
            self.copy_elements(each, &value, depth);
        }
        self.copy_parts(node, &value, depth);
        self.slots[slot as usize] = Some(value);
    }

    /// Whether the text in a string is read at `node` or below it.
    fn has_texts(&self, node: &Node) -> bool {
        let mut arrays = node.each.iter().chain(&node.below.each);
        let in_elements = |each: &u32| !self.items[*each as usize].nodes.texts.is_empty();
        !node.below.texts.is_empty() || arrays.any(in_elements)
    }

    fn copy_parts(&mut self, node: &Node, value: &Value<'m>, depth: u32) {
        if let Some(text) = node.text {
            match value {
                Value::Str(inner) => {
                    self.inner(inner, text, depth);
                }
                Value::Unheld {
                    what: Unheld::HalfPair, ..
                } => self.breaks(text, HALF_PAIR),
                _ => self.copy(text.node, value, depth),
            }
        }
        match value {
            Value::Map(members) => {
                for (name, value) in members {
                    if let Some(number) = node.names.find(name.as_bytes(), 0, name.len()) {
                        self.copy(node.names.entries[number].node, value, depth + 1);
                    }
                }
            }
            Value::List(elements) => {
                for (index, child) in &node.indexes {
                    if let Some(value) = elements.get(*index) {
                        self.copy(*child, value, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }

    fn copy(&mut self, child: u32, value: &Value<'m>, depth: u32) {
        let child = self.nodes.node(child);
        if let Some(shape) = child.shape {
            self.slots[shape as usize] = Some(match value {
                Value::Map(_) => Value::Map(Vec::new()),
                Value::List(_) => Value::List(Vec::new()),
                _ => Value::Null,
            });
        }
        if let Some(slot) = child.slot {
            self.slots[slot as usize] = Some(value.clone());
        }
        if let Some(each) = child.each {
            self.copy_elements(each, value, depth);
        }
        if !child.is_leaf {
            self.copy_parts(child, value, depth);
        }
    }

    fn copy_elements(&mut self, each: u32, value: &Value<'m>, depth: u32) {
        let tree = &self.items[each as usize];
        let out = &mut self.each[each as usize];
        out.clear();
        out.found = match value {
            Value::Null => Found::Null,
            Value::List(elements) => {
                for (number, element) in elements.iter().take(tree.limit).enumerate() {
                    let mut item = out.element(tree, (each, number));
                    item.copy(0, element, depth + 1);
                }
                Found::Array { len: elements.len() }
            }
            other => Found::Other(other.type_name()),
        };
    }
}

/// The array and the number of an element, as [`BrokenText`] has them.
fn parts(element: Option<(u32, usize)>) -> (Option<u32>, usize) {
    match element {
        None => (None, 0),
        Some((each, number)) => (Some(each), number),
    }
}

/// A string with half of a surrogate pair is no text, and so no JSON.
const HALF_PAIR: DecodeError = DecodeError {
    kind: DecodeErrorKind::NotJson(Syntax::LoneSurrogate),
    at: 0,
};

impl<'m> EachFields<'m> {
    /// Makes room for one more element: its array and its number.
    fn element<'a>(&'a mut self, tree: &'a ItemTree, element: (u32, usize)) -> Out<'a, 'm> {
        let start = self.items.len();
        self.items.resize_with(start + self.slots, || None);
        Out {
            nodes: &tree.nodes,
            items: &[],
            slots: &mut self.items[start..],
            each: &mut [],
            broken: &mut self.broken,
            element: Some(element),
        }
    }
}

/// Reads a value and keeps all of it in `out`.
///
/// It writes in place instead of returning the value. A `Result` would move 32 bytes, piece by piece when stored and
/// whole when read, and that stalls the processor: a seventh of all decoding time in the profile.
#[inline]
fn build<'m>(scanner: &mut Scanner<'m>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
    match scanner.peek_token() {
        b'"' => {
            let raw = scanner.string()?;
            *out = match scanner.unescaped(raw) {
                Ok(text) => Value::Str(text),
                Err(HalfPair) => half_pair(scanner, raw),
            };
            Ok(())
        }
        b'-' | b'0'..=b'9' => build_number(scanner, out),
        b'{' => build_map(scanner, depth, out),
        b'[' => build_list(scanner, depth, out),
        b't' => {
            *out = Value::Bool(true);
            scanner.literal("true")
        }
        b'f' => {
            *out = Value::Bool(false);
            scanner.literal("false")
        }
        b'n' => {
            *out = Value::Null;
            scanner.literal("null")
        }
        _ => Err(scanner.unexpected()),
    }
}

fn build_number<'m>(scanner: &mut Scanner<'m>, out: &mut Value<'m>) -> Result<(), DecodeError> {
    let number = scanner.number()?;
    *out = if number.float {
        // The standard library's parser rounds correctly. On a number that is valid JSON it cannot fail, only overflow.
        match number.text.parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => unheld(scanner, Unheld::Float, Cow::Borrowed(number.text)),
        }
    } else {
        match number.text.parse::<i64>() {
            Ok(int) => Value::Int(int),
            Err(_) => unheld(scanner, Unheld::Integer, Cow::Borrowed(number.text)),
        }
    };
    Ok(())
}

#[cold]
fn unheld<'m>(scanner: &mut Scanner<'m>, what: Unheld, text: Cow<'m, str>) -> Value<'m> {
    scanner.has_unheld = true;
    Value::Unheld { what, text }
}

#[cold]
fn half_pair<'m>(scanner: &mut Scanner<'m>, raw: RawString) -> Value<'m> {
    let text = scanner.raw(raw);
    unheld(scanner, Unheld::HalfPair, text)
}

fn build_list<'m>(scanner: &mut Scanner<'m>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
    let depth = scanner.enter(depth)?;
    let mut elements = Vec::new();
    if scanner.peek_token() != b']' {
        loop {
            elements.push(Value::Null);
            if let Some(element) = elements.last_mut() {
                build(scanner, depth, element)?;
            }
            match scanner.peek_token() {
                b',' => scanner.pos += 1,
                b']' => break,
                _ => return Err(scanner.unexpected()),
            }
        }
    }
    scanner.pos += 1;
    *out = Value::List(elements);
    Ok(())
}

fn build_map<'m>(scanner: &mut Scanner<'m>, depth: u32, out: &mut Value<'m>) -> Result<(), DecodeError> {
    let depth = scanner.enter(depth)?;
    let mut members: Vec<(Cow<'m, str>, Value<'m>)> = Vec::new();
    if scanner.peek_token() != b'}' {
        loop {
            let raw = scanner.name()?;
            let name = scanner.unescaped(raw);
            let is_text = name.is_ok();
            members.push((name.unwrap_or_else(|HalfPair| scanner.raw(raw)), Value::Null));
            if let Some((_, value)) = members.last_mut() {
                build(scanner, depth, value)?;
                if !is_text {
                    *value = half_pair(scanner, raw);
                }
            }
            match scanner.peek_token() {
                b',' => scanner.pos += 1,
                b'}' => break,
                _ => return Err(scanner.unexpected()),
            }
        }
    }
    scanner.pos += 1;
    if has_duplicates(&members) {
        members = without_duplicates(members);
    }
    *out = Value::Map(members);
    Ok(())
}

/// Up to this many members are compared pairwise. More are sorted, otherwise a message with 100,000 names would need
/// billions of comparisons.
const PAIRS_MAX: usize = 16;

fn has_duplicates(members: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    if members.len() <= PAIRS_MAX {
        let mut rest = members;
        while let Some(((name, _), after)) = rest.split_first() {
            if after.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = after;
        }
        return false;
    }
    let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// Keeps each name once: at its first place, with its last value.
#[cold]
fn without_duplicates<'m>(members: Vec<(Cow<'m, str>, Value<'m>)>) -> Vec<(Cow<'m, str>, Value<'m>)> {
    let mut places: HashMap<Cow<'m, str>, usize> = HashMap::with_capacity(members.len());
    let mut once: Vec<(Cow<'m, str>, Value<'m>)> = Vec::with_capacity(members.len());
    for (name, value) in members {
        match places.entry(name.clone()) {
            Entry::Occupied(place) => once[*place.get()].1 = value,
            Entry::Vacant(vacant) => {
                vacant.insert(once.len());
                once.push((name, value));
            }
        }
    }
    once
}
