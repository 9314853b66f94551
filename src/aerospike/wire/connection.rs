//! A blocking socket on which each call has one deadline.
