//! Where the configuration goes: standard output, or a file that is not there yet.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{is_stdin, shown};

/// The name in commands that are shown, where the text goes to standard output.
const NAME: &str = "penstock.toml";

pub(super) enum Target {
    StandardOutput,
    /// It must not exist.
    New(PathBuf),
    /// It is replaced in one step.
    Replaced(PathBuf),
}

impl Target {
    /// # Errors
    /// If the file cannot be written: before any question is asked.
    pub fn of(file: Option<&Path>, is_forced: bool) -> Result<Target, String> {
        let file = match file {
            Some(file) if !is_stdin(file) => file,
            _ if is_forced => return Err("--force is for a FILE, and there is none".to_owned()),
            _ => return Ok(Target::StandardOutput),
        };
        let name = shown(file);
        match fs::symlink_metadata(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = match file.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    _ => Path::new("."),
                };
                if folder.is_dir() {
                    Ok(Target::New(file.to_path_buf()))
                } else {
                    Err(format!(
                        "{name}: there is no folder {}; create it first",
                        folder.display()
                    ))
                }
            }
            Err(error) => Err(format!("{name}: cannot be written: {error}")),
            Ok(_) if !is_forced => Err(format!(
                "{name} is there already, and nothing is overwritten; name another file, or add --force to replace it"
            )),
            // The file behind a link is replaced, not the link.
            Ok(_) => match fs::canonicalize(file) {
                Ok(file) if file.is_file() => Ok(Target::Replaced(file)),
                Ok(_) => Err(format!("{name} is no file, and is not replaced; name a file")),
                Err(error) => Err(format!("{name}: cannot be replaced: {error}")),
            },
        }
    }

    /// # Errors
    /// With a text for the user. Then the file is as it was.
    pub fn write(&self, text: &str) -> Result<(), String> {
        match self {
            Target::StandardOutput => {
                let mut output = io::stdout().lock();
                let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
                written.map_err(|error| format!("standard output: cannot be written: {error}"))
            }
            Target::New(file) => {
                let told = |error: io::Error| match error.kind() {
                    io::ErrorKind::AlreadyExists => {
                        format!(
                            "{} is there now, and nothing is overwritten; name another file",
                            file.display()
                        )
                    }
                    _ => format!("{}: cannot be written: {error}", file.display()),
                };
                let mut opened = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(file)
                    .map_err(told)?;
                filled(&mut opened, text).map_err(|error| {
                    // Half a file would stand in the way of the next call. The error that is told is the first one.
                    let _ = fs::remove_file(file);
                    told(error)
                })
            }
            Target::Replaced(file) => {
                let mut beside = file.as_os_str().to_owned();
                beside.push(format!(".init-{}", std::process::id()));
                let beside = PathBuf::from(beside);
                let replaced = || -> io::Result<()> {
                    let mut opened = OpenOptions::new().write(true).create_new(true).open(&beside)?;
                    opened.set_permissions(fs::metadata(file)?.permissions())?;
                    filled(&mut opened, text)?;
                    fs::rename(&beside, file)
                };
                replaced().map_err(|error| {
                    if error.kind() != io::ErrorKind::AlreadyExists {
                        let _ = fs::remove_file(&beside);
                    }
                    format!("{}: cannot be replaced: {error}", file.display())
                })
            }
        }
    }

    /// Where its references start.
    pub fn folder(&self) -> PathBuf {
        match self {
            Target::StandardOutput => PathBuf::new(),
            Target::New(file) | Target::Replaced(file) => file.parent().unwrap_or(Path::new("")).to_path_buf(),
        }
    }

    /// In a sentence.
    pub fn shown(&self) -> String {
        match self {
            Target::StandardOutput => "the configuration to standard output".to_owned(),
            Target::New(file) | Target::Replaced(file) => file.display().to_string(),
        }
    }

    /// In a command, and in the file's own comments: text that a shell takes as one word, on one line.
    pub fn name(&self) -> String {
        let (Target::New(file) | Target::Replaced(file)) = self else {
            return NAME.to_owned();
        };
        let name = file.display().to_string();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/+@%".contains(c);
        if name.chars().all(is_plain) {
            name
        } else if name.chars().all(|c| !c.is_control() && c != '\'') {
            format!("'{name}'")
        } else {
            "FILE".to_owned()
        }
    }
}

fn filled(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_overwritten_and_is_replaced_only_when_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        let target = Target::of(Some(&file), false).unwrap();
        target.write("one").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        // Also if it appears between the question and the answer.
        assert!(target.write("two").unwrap_err().contains("nothing is overwritten"));
        assert!(Target::of(Some(&file), false).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        Target::of(Some(&file), true).unwrap().write("two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "something is left beside it"
        );
    }

    #[cfg(unix)]
    #[test]
    fn replacing_keeps_the_rights_and_a_link() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("a.toml"), folder.path().join("link.toml"));
        fs::write(&file, "one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        Target::of(Some(&link), true).unwrap().write("two").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_cannot_be_written_is_told_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let told = |file: &Path, force: bool| Target::of(Some(file), force).err().unwrap_or_default();
        assert!(told(&folder.path().join("none/a.toml"), false).contains("there is no folder"));
        assert!(told(folder.path(), true).contains("is no file"));
        assert!(told(Path::new("-"), true).contains("--force is for a FILE"));
    }
}
