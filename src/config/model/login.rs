//! A login whose parts are in files.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::file::references;
use crate::config::model::secret::Secret;

/// The files that a user's name and password refer to (`${file:…}`): `sasl.username` and `sasl.password`, or
/// `aerospike.user` and `aerospike.password`. Their content may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginFiles {
    pub username: Option<PathBuf>,
    pub password: Option<PathBuf>,
}

impl LoginFiles {
    /// Whether a part of the login is in a file.
    pub fn any(&self) -> bool {
        self.username.is_some() || self.password.is_some()
    }

    /// The user and the password that are in the files now. What is in no file stays as it is in `current`.
    ///
    /// # Errors
    /// A file cannot be read, or is empty. Contains no content.
    pub fn read(&self, current: &(Secret, Secret)) -> Result<(Secret, Secret), String> {
        let part = |file: &Option<PathBuf>, current: &Secret| match file {
            None => Ok(current.clone()),
            Some(path) => match references::content(path) {
                Ok(text) if text.is_empty() => Err(format!("the file {} is empty", path.display())),
                Ok(text) => Ok(Secret(text)),
                Err(why) => Err(format!("the file {} {why}", path.display())),
            },
        };
        Ok((part(&self.username, &current.0)?, part(&self.password, &current.1)?))
    }
}

impl fmt::Display for LoginFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = [&self.username, &self.password]
            .into_iter()
            .flatten()
            .map(|path| Path::display(path).to_string())
            .collect();
        f.write_str(&names.join(" and "))
    }
}
