//! The stages of a message's way, in its order.
pub mod value;
pub mod decode;
