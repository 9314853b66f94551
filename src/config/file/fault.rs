//! What is wrong with a configuration file: where, what was found, and what would be right.
//!
//! Contains only text. Code that creates a [`Fault`] keeps secrets out of it: values that came from the environment or
//! another file, passwords and `sasl.*` are never in `found`, `problem` or `cure`.

use std::fmt;

/// All faults of one file, in file order; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file's name, as the user gave it.
    pub file: String,
    /// In file order.
    pub faults: Vec<Fault>,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line number, from 1; 0 if the fault concerns the whole file.
    pub line: usize,
    /// The key with its place, such as `route[0].write[1].bins.country`; empty for a syntax error.
    pub key: String,
    /// The value as written, a string in its quotes. `None` if it is secret or there is none.
    pub found: Option<String>,
    /// What is wrong, in lower case.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}: ", self.line)?;
        } else {
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if let Some(found) = &self.found {
            write!(f, "; found {found}")?;
        }
        write!(f, "; {}", self.cure)
    }
}

/// One line per fault: `penstock.toml:14: run.memory: a size needs a unit; found integer 5; write "5MiB"`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{fault}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
