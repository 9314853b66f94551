//! Which dead letters a command takes, for `penstock dead`.

// Which letters are selected.
pub mod selection;
