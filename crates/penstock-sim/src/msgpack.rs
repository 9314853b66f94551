//! The values inside lists and maps. They are in Aerospike's dialect of msgpack. This module reads them into a tree and
//! writes them in the canonical form that the server stores (map entries in key order).
//!
//! The first byte of every string is its particle type. Operations are in `cdt`.

use std::cmp::Ordering;

use super::wire::Reader;

/// Deeper nesting is refused, so that a hostile message cannot exhaust a thread's stack.
pub const DEPTH_MAX: usize = 64;

const PARTICLE_STRING: u8 = 3;
const PARTICLE_BLOB: u8 = 4;

/// A value, as tests see it, and as an element of lists and maps.
#[derive(Debug, Clone)]
pub enum Value {
    /// No value; only inside lists and maps.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An eight-byte float.
    Float(f64),
    /// A string.
    Str(String),
    /// Bytes.
    Blob(Vec<u8>),
    /// A list, in the order of its items.
    List(Vec<Value>),
    /// A map without an order attribute. The server still keeps it in key order.
    Map(Vec<(Value, Value)>),
    /// A list that the server keeps sorted, with its order flags.
    OrderedList(u8, Vec<Value>),
    /// A map with an order attribute (1 by key, 3 by key and value), in key order.
    OrderedMap(u8, Vec<(Value, Value)>),
    /// A four-byte float. It occurs only inside a list or map.
    Float32(f32),
    /// Any other particle (GeoJSON, HyperLogLog, a string that is not UTF-8), by its type.
    Particle(u8, Vec<u8>),
    /// A msgpack extension: wildcard and infinity. Only as operands.
    Extension(u8, Vec<u8>),
}

impl Value {
    /// The items of a list, ordered or not.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::OrderedList(_, items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a map, ordered or not, in key order.
    pub fn as_map(&self) -> Option<&[(Value, Value)]> {
        match self {
            Value::Map(entries) | Value::OrderedMap(_, entries) => Some(entries),
            _ => None,
        }
    }

    /// The integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the server accepts it in a bin: no wildcard or infinity, and map keys must be integers, strings or blobs
    /// (`cdt_untrusted_get_size`, `map_is_key`).
    pub(super) fn is_storable(&self) -> bool {
        match self {
            Value::Extension(..) => false,
            Value::List(items) | Value::OrderedList(_, items) => items.iter().all(Value::is_storable),
            Value::Map(entries) | Value::OrderedMap(_, entries) => {
                entries.iter().all(|(key, value)| key.is_key() && value.is_storable())
            }
            _ => true,
        }
    }

    pub(super) fn is_key(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Str(_) | Value::Blob(_))
    }

    /// The server's order of types, lowest first (documented as "ordering of mixed types" of lists and maps).
    fn rank(&self) -> u8 {
        match self {
            Value::Nil => 0,
            Value::Bool(_) => 1,
            Value::Int(_) => 2,
            Value::Str(_) => 3,
            Value::List(_) | Value::OrderedList(..) => 4,
            Value::Map(_) | Value::OrderedMap(..) => 5,
            Value::Blob(_) => 6,
            Value::Float(_) | Value::Float32(_) => 7,
            Value::Particle(..) => 8,
            Value::Extension(..) => 9,
        }
    }

    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            Value::Float32(value) => Some(f64::from(*value)),
            _ => None,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.as_list(), other.as_list()) {
            return a.cmp(b);
        }
        if let (Some(a), Some(b)) = (self.as_map(), other.as_map()) {
            return a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        }
        if let (Some(a), Some(b)) = (self.as_float(), other.as_float()) {
            return a.total_cmp(&b);
        }
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Str(a), Value::Str(b)) => a.cmp(b),
            (Value::Blob(a), Value::Blob(b)) => a.cmp(b),
            (Value::Particle(kind_a, a), Value::Particle(kind_b, b))
            | (Value::Extension(kind_a, a), Value::Extension(kind_b, b)) => kind_a.cmp(kind_b).then_with(|| a.cmp(b)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Value {}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Str(value.to_owned())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Value::Blob(value.to_vec())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Value::List(value)
    }
}

/// The value of a particle's bytes: a string or blob, by its type.
pub fn from_particle(kind: u8, bytes: &[u8]) -> Value {
    match kind {
        PARTICLE_STRING => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Str(text.to_owned()),
            Err(_) => Value::Particle(kind, bytes.to_vec()),
        },
        PARTICLE_BLOB => Value::Blob(bytes.to_vec()),
        _ => Value::Particle(kind, bytes.to_vec()),
    }
}

/// Reads one value. `None` if the bytes are not a value.
pub fn read(reader: &mut Reader<'_>) -> Option<Value> {
    read_nested(reader, DEPTH_MAX)
}

/// Reads a value that must use all of `bytes`.
pub fn read_all(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.is_empty().then_some(value)
}

fn read_nested(reader: &mut Reader<'_>, depth: usize) -> Option<Value> {
    let marker = reader.u8()?;
    Some(match marker {
        0x00..=0x7f => Value::Int(i64::from(marker)),
        0xe0..=0xff => Value::Int(i64::from(marker as i8)),
        0x80..=0x8f => return read_map(reader, usize::from(marker & 0x0f), depth),
        0x90..=0x9f => return read_list(reader, usize::from(marker & 0x0f), depth),
        0xa0..=0xbf => return read_string(reader, usize::from(marker & 0x1f)),
        0xc0 => Value::Nil,
        0xc2 => Value::Bool(false),
        0xc3 => Value::Bool(true),
        0xc4 | 0xd9 => {
            let len = reader.u8()?;
            return read_string(reader, usize::from(len));
        }
        0xc5 | 0xda => {
            let len = reader.u16()?;
            return read_string(reader, usize::from(len));
        }
        0xc6 | 0xdb => {
            let len = reader.u32()?;
            return read_string(reader, len as usize);
        }
        0xc7 => {
            let len = reader.u8()?;
            return read_extension(reader, usize::from(len));
        }
        0xc8 => {
            let len = reader.u16()?;
            return read_extension(reader, usize::from(len));
        }
        0xc9 => {
            let len = reader.u32()?;
            return read_extension(reader, len as usize);
        }
        0xd4..=0xd8 => return read_extension(reader, 1 << (marker - 0xd4)),
        0xca => Value::Float32(f32::from_be_bytes(reader.array()?)),
        0xcb => Value::Float(f64::from_be_bytes(reader.array()?)),
        0xcc => Value::Int(i64::from(reader.u8()?)),
        0xcd => Value::Int(i64::from(reader.u16()?)),
        0xce => Value::Int(i64::from(reader.u32()?)),
        // Beyond i64, the server's integers wrap.
        0xcf => Value::Int(reader.u64()? as i64),
        0xd0 => Value::Int(i64::from(reader.u8()? as i8)),
        0xd1 => Value::Int(i64::from(reader.u16()? as i16)),
        0xd2 => Value::Int(i64::from(reader.u32()? as i32)),
        0xd3 => Value::Int(reader.u64()? as i64),
        0xdc => {
            let len = reader.u16()?;
            return read_list(reader, usize::from(len), depth);
        }
        0xdd => {
            let len = reader.u32()?;
            return read_list(reader, len as usize, depth);
        }
        0xde => {
            let len = reader.u16()?;
            return read_map(reader, usize::from(len), depth);
        }
        0xdf => {
            let len = reader.u32()?;
            return read_map(reader, len as usize, depth);
        }
        0xc1 => return None,
    })
}

fn read_string(reader: &mut Reader<'_>, len: usize) -> Option<Value> {
    let bytes = reader.take(len)?;
    Some(match bytes.split_first() {
        Some((&kind, rest)) => from_particle(kind, rest),
        None => Value::Particle(0, Vec::new()),
    })
}

fn read_extension(reader: &mut Reader<'_>, len: usize) -> Option<Value> {
    let kind = reader.u8()?;
    Some(Value::Extension(kind, reader.take(len)?.to_vec()))
}

fn read_list(reader: &mut Reader<'_>, len: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    // Each item takes at least one byte, so a false length cannot cause a large allocation.
    let mut items = Vec::with_capacity(len.min(reader.rest().len()));
    let mut order = None;
    for at in 0..len {
        match read_nested(reader, depth)? {
            Value::Extension(flags, _) if at == 0 => order = Some(flags),
            item => items.push(item),
        }
    }
    Some(match order.map(|flags| flags & 1) {
        Some(flags @ 1) => {
            items.sort();
            Value::OrderedList(flags, items)
        }
        _ => Value::List(items),
    })
}

fn read_map(reader: &mut Reader<'_>, len: usize, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let mut entries = Vec::with_capacity(len.min(reader.rest().len() / 2));
    let mut order = 0;
    for at in 0..len {
        let key = read_nested(reader, depth)?;
        let value = read_nested(reader, depth)?;
        match key {
            Value::Extension(flags, _) if at == 0 => order = flags & 3,
            key => entries.push((key, value)),
        }
    }
    canonical(&mut entries);
    Some(if order == 0 {
        Value::Map(entries)
    } else {
        Value::OrderedMap(order, entries)
    })
}

/// Sorts by key and keeps the last entry of each key. The server keeps every map so, whatever its order attribute.
fn canonical(entries: &mut Vec<(Value, Value)>) {
    if entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return;
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
}

pub fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => out.push(0xc0),
        Value::Bool(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Int(value) => write_int(out, *value),
        Value::Float(value) => {
            out.push(0xcb);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Float32(value) => {
            out.push(0xca);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Value::Str(text) => write_string(out, PARTICLE_STRING, text.as_bytes()),
        Value::Blob(bytes) => write_string(out, PARTICLE_BLOB, bytes),
        Value::Particle(kind, bytes) => write_string(out, *kind, bytes),
        Value::Extension(kind, bytes) => {
            out.push(0xc9);
            out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            out.push(*kind);
            out.extend_from_slice(bytes);
        }
        Value::List(items) => {
            write_length(out, items.len(), 0x90, 0xdc);
            items.iter().for_each(|item| write(out, item));
        }
        Value::OrderedList(flags, items) => {
            write_length(out, items.len() + 1, 0x90, 0xdc);
            out.extend_from_slice(&[0xc7, 0, *flags]);
            items.iter().for_each(|item| write(out, item));
        }
        Value::Map(entries) => {
            write_length(out, entries.len(), 0x80, 0xde);
            write_entries(out, entries);
        }
        Value::OrderedMap(flags, entries) => {
            write_length(out, entries.len() + 1, 0x80, 0xde);
            out.extend_from_slice(&[0xc7, 0, *flags, 0xc0]);
            write_entries(out, entries);
        }
    }
}

fn write_entries(out: &mut Vec<u8>, entries: &[(Value, Value)]) {
    for (key, value) in entries {
        write(out, key);
        write(out, value);
    }
}

/// `small`: the marker that contains lengths up to 15. `wide`: the marker with two length bytes; the next one has four.
fn write_length(out: &mut Vec<u8>, len: usize, small: u8, wide: u8) {
    if len < 16 {
        out.push(small | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(wide);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(wide + 1);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
}

fn write_string(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    let len = bytes.len() + 1;
    if len < 32 {
        out.push(0xa0 | len as u8);
    } else if let Ok(len) = u8::try_from(len) {
        out.extend_from_slice(&[0xd9, len]);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(0xda);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(0xdb);
        out.extend_from_slice(&(len as u32).to_be_bytes());
    }
    out.push(kind);
    out.extend_from_slice(bytes);
}

fn write_int(out: &mut Vec<u8>, value: i64) {
    match value {
        0..=0x7f => out.push(value as u8),
        -32..=-1 => out.push(value as i8 as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, value as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&value.to_be_bytes());
        }
        -0x80..=-33 => out.extend_from_slice(&[0xd0, value as i8 as u8]),
        -0x8000..=-0x81 => {
            out.push(0xd1);
            out.extend_from_slice(&(value as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&(value as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(value: &Value) -> Value {
        let mut out = Vec::new();
        write(&mut out, value);
        read_all(&out).unwrap_or_else(|| panic!("{value:?} does not read back from {out:02x?}"))
    }

    #[test]
    fn values_read_back_as_written() {
        let values = [
            Value::Nil,
            Value::Bool(true),
            Value::Float(-2.5),
            Value::Float32(0.5),
            Value::from("x".repeat(300).as_str()),
            Value::from(&[1, 2, 3][..]),
            Value::List((0..40).map(Value::Int).collect()),
            Value::OrderedList(1, vec![Value::Int(1), Value::Int(2)]),
            Value::Map(vec![
                (Value::Int(1), Value::Nil),
                (Value::from("k"), Value::List(vec![])),
            ]),
            Value::OrderedMap(1, vec![(Value::from("a"), Value::Int(1))]),
        ];
        for value in &values {
            assert_eq!(&round_trip(value), value);
        }
        for value in [
            0,
            127,
            128,
            255,
            256,
            65_535,
            65_536,
            1 << 32,
            i64::MAX,
            -1,
            -32,
            -33,
            -129,
            -40_000,
            i64::MIN,
        ] {
            assert_eq!(round_trip(&Value::Int(value)), Value::Int(value));
        }
    }

    #[test]
    fn map_entries_come_in_key_order_and_the_last_of_a_key_counts() {
        let bytes = [0x83, 0xa2, 3, b'k', 1, 2, 3, 2, 4];
        let expected = Value::Map(vec![(Value::Int(2), Value::Int(4)), (Value::from("k"), Value::Int(1))]);
        assert_eq!(read_all(&bytes), Some(expected));
    }

    #[test]
    fn nesting_has_a_bound_and_a_lying_length_allocates_nothing() {
        assert_eq!(read_all(&[0x91; 200]), None);
        assert_eq!(read_all(&[0xdd, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read_all(&[0xdf, 0xff, 0xff, 0xff, 0xff, 1]), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(value) = read_all(&bytes) {
                prop_assert_eq!(round_trip(&value), value);
            }
        }
    }
}
