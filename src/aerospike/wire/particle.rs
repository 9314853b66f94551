//! The types of values (`particle.h` of the server).

pub(super) const NULL: u8 = 0;
pub(super) const INTEGER: u8 = 1;
pub(super) const FLOAT: u8 = 2;
pub(super) const STRING: u8 = 3;
pub(super) const BLOB: u8 = 4;
pub(super) const BOOL: u8 = 17;
pub(super) const MAP: u8 = 19;
pub(super) const LIST: u8 = 20;
