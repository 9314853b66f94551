//! Which program this is: version and commit. `build.rs` finds the commit.

/// The version: `0.1.0`.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit that this program was built from: `dc9d237f1a`, or `dc9d237f1a-modified` if its files had been changed.
/// `unknown` for developers' builds, and for sources without a repository.
pub const COMMIT: &str = env!("PENSTOCK_COMMIT");

/// Both for people: `0.1.0 (dc9d237f1a 2026-11-28)`.
pub const LONG: &str = env!("PENSTOCK_VERSION");

/// Whether the compiler has optimised our own code. If not, its CPU time is many times too high.
pub const IS_OPTIMISED: bool = matches!(env!("PENSTOCK_OPT_LEVEL").as_bytes(), b"2" | b"3");

/// The date of the commit, `2026-11-28`; empty if it is not known.
pub const DATE: &str = env!("PENSTOCK_DATE");
