//! What the tests of `penstock replay` share, on a mock broker and on a real one: the rules, the configuration with a
//! topic of dead letters, and what an account says.

use super::process::Exited;
use super::{Setup, Topic};

/// Two rows for each message: one counts and sets, the other only counts.
pub const WRITES: &str = r#"
  [[route.write]]
  set = "mixed"
  key = "id"
  bins = { last = "n" }
  add = { count = 1 }

  [[route.write]]
  set = "counts"
  key = "id"
  add = { total = { path = "n", as = "integer" }, events = 1 }
"#;

/// The rules without a mistake.
pub fn mended() -> String {
    format!("[[route]]\n{WRITES}")
}

/// The configuration with these rules, and `dead` as the topic of dead letters. No number of rejections stops it.
pub fn with_letters(setup: &Setup, dead: &Topic, routes: &str) -> Setup {
    let dead = &dead.name;
    setup.clone().routes(&format!(
        "{routes}\n[reject]\naction = \"dead_letter\"\ntopic = \"{dead}\"\npercent_max = 0\nconsecutive_max = 0\n"
    ))
}

/// Fails unless the account has this line, apart from spaces before it.
#[track_caller]
pub fn assert_says(exited: &Exited, line: &str) {
    let has = exited.output.lines().any(|said| said.trim_start().starts_with(line));
    assert!(has, "no line {line:?} in:\n{}", exited.output);
}
