//! The fields that decode kept of one message.
//!
//! Created for every message: one allocation for all slots, none with the memory of an earlier message, and one more for
//! each array that is read element by element. Filled by `walk`; conditions and mapping read it.

use super::DecodeError;
use super::tree::{EachId, ItemShapeId, ItemSlotId, PathTree, ShapeId, SlotId, TextId};
use crate::output::value::Value;

/// The fields of one message, by slot. `'m` is the lifetime of its payload.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields<'m> {
    pub(super) slots: Vec<Option<Value<'m>>>,
    pub(super) each: Vec<EachFields<'m>>,
    pub(super) has_unheld: bool,
    /// Those outside of elements.
    pub(super) broken: Vec<BrokenText>,
    pub(super) has_broken: bool,
}

/// A string that should hold JSON and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenText {
    /// Which string.
    pub text: TextId,
    /// The number of the element, if the string is inside an array's elements; otherwise 0.
    pub element: usize,
    /// What is wrong, and where in the text: after its escapes were undone.
    pub error: DecodeError,
}

/// The type of the value at a path, if only its type is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A JSON object.
    Object,
    /// A JSON array.
    Array,
    /// Null, a boolean, a number or a string.
    Scalar,
}

impl Shape {
    fn of(value: &Value<'_>) -> Shape {
        match value {
            Value::Map(_) => Shape::Object,
            Value::List(_) => Shape::Array,
            _ => Shape::Scalar,
        }
    }
}

/// The elements of one array.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EachFields<'m> {
    pub found: Found,
    /// Ordered by element, then by slot.
    pub items: Vec<Option<Value<'m>>>,
    pub slots: usize,
    /// Ordered by element.
    pub broken: Vec<BrokenText>,
}

/// What was found where an array was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found {
    Missing,
    Null,
    Other(&'static str),
    Array { len: usize },
}

/// An array that is asked for element by element, as the message has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Elements<'f, 'm> {
    /// Not in the message, or the path does not lead there because a parent has another type.
    Missing,
    /// JSON null.
    Null,
    /// The name of its type, as in [`Value::type_name`].
    NotAnArray(&'static str),
    /// An array.
    Items(Items<'f, 'm>),
}

/// The elements of an array, numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Items<'f, 'm> {
    len: usize,
    fields: &'f EachFields<'m>,
    each: u32,
}

impl<'m> Fields<'m> {
    /// Fields of which none is found yet. `memory`: for the slots.
    pub(super) fn new(tree: &PathTree, memory: Vec<Option<Value<'m>>>) -> Fields<'m> {
        let mut slots = memory;
        slots.clear();
        slots.reserve_exact(tree.main.slots);
        slots.resize_with(tree.main.slots, || None);
        let each = tree.each.iter().map(|item| EachFields {
            found: Found::Missing,
            items: Vec::new(),
            slots: item.nodes.slots,
            broken: Vec::new(),
        });
        Fields {
            slots,
            each: each.collect(),
            has_unheld: false,
            broken: Vec::new(),
            has_broken: false,
        }
    }

    /// The memory of the slots, empty, for the next message.
    pub fn into_memory(self) -> Vec<Option<Value<'m>>> {
        let mut memory = self.slots;
        memory.clear();
        memory
    }

    /// Whether there may be a [`Value::Unheld`] among the fields. If not, nobody has to look for one.
    #[inline]
    pub fn has_unheld(&self) -> bool {
        self.has_unheld
    }

    /// Whether some string that should hold JSON does not, in an element or outside.
    #[inline]
    pub fn has_broken_texts(&self) -> bool {
        self.has_broken
    }

    /// The strings outside of elements that should hold JSON and do not. Nothing inside of them is found.
    pub fn broken_texts(&self) -> &[BrokenText] {
        &self.broken
    }

    /// `None`: missing. `Some(Value::Null)`: JSON null.
    #[inline]
    pub fn get(&self, slot: SlotId) -> Option<&Value<'m>> {
        self.slots[slot.0 as usize].as_ref()
    }

    /// `None`: missing.
    pub fn shape(&self, shape: ShapeId) -> Option<Shape> {
        self.slots[shape.0 as usize].as_ref().map(Shape::of)
    }

    /// Moves a value out; the slot is missing afterwards.
    #[inline]
    pub fn take(&mut self, slot: SlotId) -> Option<Value<'m>> {
        self.slots[slot.0 as usize].take()
    }

    /// The elements of an array that is asked for element by element, or what was found in its place.
    pub fn each(&self, each: EachId) -> Elements<'_, 'm> {
        let fields = &self.each[each.0 as usize];
        match fields.found {
            Found::Missing => Elements::Missing,
            Found::Null => Elements::Null,
            Found::Other(type_name) => Elements::NotAnArray(type_name),
            Found::Array { len } => Elements::Items(Items {
                len,
                fields,
                each: each.0,
            }),
        }
    }
}

impl EachFields<'_> {
    pub(super) fn clear(&mut self) {
        self.found = Found::Missing;
        self.items.clear();
        self.broken.clear();
    }
}

impl<'f, 'm> Items<'f, 'm> {
    /// The number of elements in the array, including those beyond the limit.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the array has no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value in element `index`. `None`: missing there, or an element beyond the array or its limit.
    pub fn get(&self, index: usize, slot: ItemSlotId) -> Option<&'f Value<'m>> {
        assert!(slot.each == self.each, "an item slot belongs to one array");
        let place = index.checked_mul(self.fields.slots)?.checked_add(slot.slot as usize)?;
        self.fields.items.get(place)?.as_ref()
    }

    /// The strings in element `index` that should hold JSON and do not.
    pub fn broken_texts(&self, index: usize) -> &'f [BrokenText] {
        let all = self.fields.broken.as_slice();
        let from = all.partition_point(|broken| broken.element < index);
        let (_, rest) = all.split_at(from);
        let (own, _) = rest.split_at(rest.partition_point(|broken| broken.element == index));
        own
    }

    /// The shape of the value in element `index`. `None`: missing there, or an element beyond the array or its limit.
    pub fn shape(&self, index: usize, shape: ItemShapeId) -> Option<Shape> {
        self.get(index, shape.0).map(Shape::of)
    }
}
