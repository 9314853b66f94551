//! The tree of all paths that the configuration asks for. Built once at start and shared by all workers.
//!
//! Every path has a number, so later stages look up nothing by name. The tree knows nothing of payloads; `walk` follows
//! it while it reads.

use std::collections::HashMap;

use crate::config::model::{Path, Segment};

/// The number of a path in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(pub(super) u32);

/// The number of a path for which only the shape is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShapeId(pub(super) u32);

/// The number of a path inside each element of an array, for which only the shape is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemShapeId(pub(super) ItemSlotId);

/// The number of an array whose elements are read one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EachId(pub(super) u32);

/// The number of a string whose JSON text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextId {
    /// The array, if the string is inside its elements.
    pub(super) each: Option<u32>,
    pub(super) text: u32,
}

impl TextId {
    /// The array, if the string is inside its elements.
    pub fn each(self) -> Option<EachId> {
        self.each.map(EachId)
    }
}

/// The number of a path inside each element of such an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemSlotId {
    pub(super) each: u32,
    pub(super) slot: u32,
}

/// Everything that is asked of a message. Immutable; it has no state per message.
#[derive(Debug)]
pub struct PathTree {
    pub(super) main: Nodes,
    /// By `EachId`.
    pub(super) each: Vec<ItemTree>,
    pub(super) refuses_mark: bool,
    /// Some path leads through a string that holds JSON.
    pub(super) has_texts: bool,
}

impl PathTree {
    /// Whether it asks for fields by name at the top level. If so, the message should be an object.
    pub fn asks_for_an_object(&self) -> bool {
        let top = self.main.node(0);
        !top.names.entries.is_empty() && top.indexes.is_empty() && top.each.is_none()
    }
}

impl PathTree {
    /// The path of a string whose JSON text is read: in the message, or in each element of its array.
    pub fn text_path(&self, text: TextId) -> &[Segment] {
        let nodes = match text.each {
            None => Some(&self.main),
            Some(each) => self.each.get(each as usize).map(|items| &items.nodes),
        };
        nodes
            .and_then(|nodes| nodes.texts.get(text.text as usize))
            .map_or(&[], Vec::as_slice)
    }

    /// The path of an array whose elements are read one by one.
    pub fn each_path(&self, each: EachId) -> &[Segment] {
        self.each
            .get(each.0 as usize)
            .map_or(&[], |items| items.path.as_slice())
    }
}

/// What is asked of each element of one array.
#[derive(Debug)]
pub(super) struct ItemTree {
    pub path: Path,
    pub nodes: Nodes,
    /// Elements beyond this number are validated and counted, but not kept.
    pub limit: usize,
}

/// A tree of nodes in one vector: the root is first, and each parent comes before its children.
#[derive(Debug)]
pub(super) struct Nodes {
    pub nodes: Vec<Node>,
    pub slots: usize,
    /// The path of each string whose JSON text is read.
    pub texts: Vec<Path>,
    /// The texts through which paths lead that were asked for since [`PathTreeBuilder::take_texts`].
    passed: Vec<u32>,
}

/// What is asked of the JSON text in a string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// The place of the text's value.
    pub node: u32,
    /// Its number in `Nodes::texts`.
    pub number: u32,
}

/// One place in the message.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The whole value is asked for.
    pub slot: Option<u32>,
    /// Whether the value is present and whether it is an object are asked for. The answer is kept in a separate slot,
    /// as a value without content.
    pub shape: Option<u32>,
    /// Its elements are asked for one by one.
    pub each: Option<u32>,
    /// What is asked for inside it, if it is an object.
    pub names: Names,
    /// What is asked for inside it, if it is an array: (index, node), ascending.
    pub indexes: Vec<(usize, u32)>,
    /// If the value is a string, the JSON text in it is read for this. Any other value is read for it as it is.
    pub text: Option<Text>,
    /// Whether nothing is asked for inside it. Set at the end.
    pub is_leaf: bool,
    /// Boxed, because only equal names need it: a node stays small.
    pub below: Box<Below>,
}

/// All slots, arrays and texts below a node, without its own slots and array. They are cleared when a second value under
/// the same name comes.
#[derive(Debug, Default)]
pub(super) struct Below {
    pub slots: Vec<u32>,
    pub each: Vec<u32>,
    pub texts: Vec<u32>,
}

/// The names asked for inside one object.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub entries: Vec<Name>,
    /// A hash table with open addressing over `entries` (number + 1; 0 is free). Empty while scanning the entries is
    /// faster.
    table: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Name {
    key: NameKey,
    text: Box<str>,
    pub node: u32,
}

/// Compares names without a call to memcmp. For a name of at most 16 bytes it is the name itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameKey {
    len: usize,
    /// The first 8 bytes, padded with zeros.
    head: u64,
    /// The last 8 bytes of a name longer than 8 bytes, otherwise 0.
    tail: u64,
}

/// Up to this many names in one object, a scan over their keys is faster than the table.
const SCAN_MAX: usize = 12;

impl NameKey {
    /// The key of `bytes[start..end]`.
    #[inline]
    pub fn new(bytes: &[u8], start: usize, end: usize) -> NameKey {
        let len = end - start;
        // Reads beyond the name, but not beyond the payload: one load and a mask instead of a loop.
        let head = match bytes.get(start..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => short_head(&bytes[start..end]),
        };
        if len > 8 {
            let tail = bytes[..end]
                .last_chunk::<8>()
                .map_or(0, |chunk| u64::from_le_bytes(*chunk));
            NameKey { len, head, tail }
        } else if len == 8 {
            NameKey { len, head, tail: 0 }
        } else {
            NameKey {
                len,
                head: head & ((1 << (8 * len)) - 1),
                tail: 0,
            }
        }
    }

    #[inline]
    fn hash(&self) -> usize {
        let mixed = (self.head ^ self.tail.rotate_left(29) ^ self.len as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize
    }
}

/// The head of a name that lies in the last 8 bytes of a payload.
#[cold]
fn short_head(name: &[u8]) -> u64 {
    name.iter()
        .take(8)
        .rev()
        .fold(0, |head, byte| head << 8 | u64::from(*byte))
}

impl Names {
    /// The number of the entry with the name `bytes[start..end]` (unescaped text).
    #[inline]
    pub fn find(&self, bytes: &[u8], start: usize, end: usize) -> Option<usize> {
        let key = NameKey::new(bytes, start, end);
        if self.table.is_empty() {
            self.entries.iter().position(|entry| entry.is(&key, bytes, start, end))
        } else {
            let mask = self.table.len() - 1;
            let mut place = key.hash() & mask;
            loop {
                let number = (self.table[place] as usize).checked_sub(1)?;
                if self.entries[number].is(&key, bytes, start, end) {
                    return Some(number);
                }
                place = (place + 1) & mask;
            }
        }
    }

    fn push(&mut self, name: &str, node: u32) {
        let key = NameKey::new(name.as_bytes(), 0, name.len());
        self.entries.push(Name {
            key,
            text: name.into(),
            node,
        });
    }

    fn build_table(&mut self) {
        if self.entries.len() <= SCAN_MAX {
            return;
        }
        // At most a quarter full. So a lookup of a name that is not asked for, the usual case, ends at the first probe.
        let mask = (self.entries.len() * 4).next_power_of_two() - 1;
        self.table = vec![0; mask + 1];
        for (number, entry) in self.entries.iter().enumerate() {
            let mut place = entry.key.hash() & mask;
            while self.table[place] != 0 {
                place = (place + 1) & mask;
            }
            self.table[place] = number_u32(number) + 1;
        }
    }
}

impl Name {
    #[inline]
    fn is(&self, key: &NameKey, bytes: &[u8], start: usize, end: usize) -> bool {
        self.key == *key && (key.len <= 16 || self.text.as_bytes() == &bytes[start..end])
    }
}

impl Nodes {
    fn new() -> Nodes {
        Nodes {
            nodes: vec![Node::default()],
            slots: 0,
            texts: Vec::new(),
            passed: Vec::new(),
        }
    }

    #[inline]
    pub fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    /// The node at `path`. Creates it if it is new.
    fn at(&mut self, path: &[Segment]) -> &mut Node {
        let mut here = 0;
        for (at, segment) in path.iter().enumerate() {
            let new = number_u32(self.nodes.len());
            let node = &mut self.nodes[here];
            let next = match segment {
                Segment::Name(name) => match node.names.entries.iter().find(|entry| *entry.text == **name) {
                    Some(entry) => entry.node,
                    None => {
                        node.names.push(name, new);
                        new
                    }
                },
                Segment::Index(index) => match node.indexes.binary_search_by_key(index, |entry| entry.0) {
                    Ok(found) => node.indexes[found].1,
                    Err(place) => {
                        node.indexes.insert(place, (*index, new));
                        new
                    }
                },
                Segment::Json => {
                    let text = *node.text.get_or_insert(Text {
                        node: new,
                        number: number_u32(self.texts.len()),
                    });
                    if text.node == new {
                        self.texts.push(path.iter().take(at).cloned().collect());
                    }
                    if !self.passed.contains(&text.number) {
                        self.passed.push(text.number);
                    }
                    text.node
                }
            };
            if next == new {
                self.nodes.push(Node::default());
            }
            here = next as usize;
        }
        &mut self.nodes[here]
    }

    fn slot(&mut self, path: &[Segment]) -> u32 {
        self.numbered(path, |node| &mut node.slot)
    }

    fn shape(&mut self, path: &[Segment]) -> u32 {
        self.numbered(path, |node| &mut node.shape)
    }

    /// The slot of a node of that kind, a new one if it has none.
    fn numbered(&mut self, path: &[Segment], kind: impl FnOnce(&mut Node) -> &mut Option<u32>) -> u32 {
        let new = number_u32(self.slots);
        let slot = *kind(self.at(path)).get_or_insert(new);
        if slot == new {
            self.slots += 1;
        }
        slot
    }

    /// Builds the tables and the lists of what is below each node. Goes backwards, because children come after their
    /// parent.
    fn finish(&mut self) {
        for number in (0..self.nodes.len()).rev() {
            let mut below = Below::default();
            let node = &self.nodes[number];
            below.texts.extend(node.text.map(|text| text.number));
            let children = node.names.entries.iter().map(|entry| entry.node);
            let children = children.chain(node.indexes.iter().map(|entry| entry.1));
            for child in children.chain(node.text.map(|text| text.node)) {
                let child = &self.nodes[child as usize];
                below
                    .slots
                    .extend(child.slot.iter().chain(&child.shape).chain(&child.below.slots));
                below.each.extend(child.each.iter().chain(&child.below.each));
                below.texts.extend(&child.below.texts);
            }
            let node = &mut self.nodes[number];
            *node.below = below;
            node.is_leaf = node.names.entries.is_empty() && node.indexes.is_empty() && node.text.is_none();
            node.names.build_table();
        }
    }
}

/// Collects the paths. The same path always has the same number.
#[derive(Debug)]
pub struct PathTreeBuilder {
    main: Nodes,
    each: Vec<Nodes>,
    each_numbers: HashMap<Path, u32>,
    limits: Vec<Option<usize>>,
    refuses_mark: bool,
}

impl Default for PathTreeBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PathTreeBuilder {
    /// A builder that asks for nothing yet.
    pub fn new() -> PathTreeBuilder {
        PathTreeBuilder {
            main: Nodes::new(),
            each: Vec::new(),
            each_numbers: HashMap::new(),
            limits: Vec::new(),
            refuses_mark: false,
        }
    }

    /// Refuses a payload that begins with a byte order mark. Without this call, the mark is skipped.
    pub fn refuse_byte_order_mark(&mut self) {
        self.refuses_mark = true;
    }

    /// Asks for the value at `path`; the empty path is the whole message.
    pub fn slot(&mut self, path: &[Segment]) -> SlotId {
        SlotId(self.main.slot(path))
    }

    /// Asks whether there is a value at `path`, and of which shape, without keeping it.
    pub fn shape(&mut self, path: &[Segment]) -> ShapeId {
        ShapeId(self.main.shape(path))
    }

    /// Asks for the elements of the array at `path`, one by one.
    pub fn each(&mut self, path: &[Segment]) -> EachId {
        if let Some(number) = self.each_numbers.get(path) {
            return EachId(*number);
        }
        let number = number_u32(self.each.len());
        self.main.at(path).each = Some(number);
        self.each.push(Nodes::new());
        self.limits.push(None);
        self.each_numbers.insert(path.to_vec(), number);
        EachId(number)
    }

    /// Keeps at most `elements` of the array, so that one message cannot use unlimited memory. The others are only
    /// validated and counted. If several limits are given for an array, the highest one applies; without any, there is
    /// no limit.
    pub fn each_limit(&mut self, each: EachId, elements: usize) {
        let limit = &mut self.limits[each.0 as usize];
        *limit = Some(limit.map_or(elements, |before| before.max(elements)));
    }

    /// Asks for the value at `path` inside each element; the empty path is the whole element.
    pub fn item_slot(&mut self, each: EachId, path: &[Segment]) -> ItemSlotId {
        ItemSlotId {
            each: each.0,
            slot: self.each[each.0 as usize].slot(path),
        }
    }

    /// Asks whether there is a value at `path` inside each element, and of which shape.
    pub fn item_shape(&mut self, each: EachId, path: &[Segment]) -> ItemShapeId {
        ItemShapeId(ItemSlotId {
            each: each.0,
            slot: self.each[each.0 as usize].shape(path),
        })
    }

    /// The strings whose JSON texts are on the paths that were asked for since the last call.
    pub fn take_texts(&mut self) -> Vec<TextId> {
        let main = std::mem::take(&mut self.main.passed).into_iter();
        let mut texts: Vec<TextId> = main.map(|text| TextId { each: None, text }).collect();
        for (number, nodes) in self.each.iter_mut().enumerate() {
            let each = Some(number_u32(number));
            texts.extend(nodes.passed.drain(..).map(|text| TextId { each, text }));
        }
        texts
    }

    /// Builds the tree of everything that was asked for. The numbers handed out stay valid.
    pub fn build(mut self) -> PathTree {
        self.main.finish();
        let mut paths = vec![Path::new(); self.each.len()];
        for (path, number) in self.each_numbers {
            if let Some(place) = paths.get_mut(number as usize) {
                *place = path;
            }
        }
        let trees = self.each.into_iter().zip(self.limits).zip(paths);
        let each: Vec<ItemTree> = trees
            .map(|((mut nodes, limit), path)| {
                nodes.finish();
                ItemTree {
                    path,
                    nodes,
                    limit: limit.unwrap_or(usize::MAX),
                }
            })
            .collect();
        let of_elements = each.iter().any(|items| !items.nodes.texts.is_empty());
        PathTree {
            has_texts: of_elements || !self.main.texts.is_empty(),
            main: self.main,
            each,
            refuses_mark: self.refuses_mark,
        }
    }
}

/// Converts a number of a node or slot. A configuration with 4 billion paths would be a bug of ours.
#[allow(clippy::expect_used, reason = "runs at start, over the configuration")]
fn number_u32(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 paths")
}
