//! Names of bins: the last name of a field's path where it is free, and at most 15 bytes.

use std::collections::BTreeSet;

use crate::config::names::{self, BIN_BYTES_MAX};

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct BinNames {
    taken: BTreeSet<String>,
}

impl BinNames {
    /// Takes a name for the field with this path. The second value is whether it had to be shortened.
    pub fn of(&mut self, path: &[&str]) -> (String, bool) {
        let last = path.last().copied().unwrap_or("value");
        // With the names before it, until it is a name that no other field has.
        let ends = (0..path.len())
            .rev()
            .filter_map(|from| path.get(from..))
            .map(|end| end.join("_"));
        let free = ends.into_iter().find(|name| self.is_free(name));
        let is_shortened = free.is_none();
        let name = free.unwrap_or_else(|| match path {
            [.., before, last] if last.len() <= BIN_BYTES_MAX => self.shortened(&format!("{before}_{last}")),
            _ => self.shortened(last),
        });
        self.taken.insert(name.clone());
        (name, is_shortened)
    }

    fn is_free(&self, name: &str) -> bool {
        names::bin(name).is_ok() && !self.taken.contains(name)
    }

    /// The beginning of the name, with a number behind it if that is taken.
    fn shortened(&self, name: &str) -> String {
        // What begins with a tilde could be the name of a guard.
        let name = name.trim_start_matches('~');
        let beginning = |bytes: usize| {
            let end = (0..=bytes.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
            name.get(..end.unwrap_or(0)).unwrap_or_default()
        };
        let numbered = (2..).map(|number: u32| {
            let number = format!("_{number}");
            format!("{}{number}", beginning(BIN_BYTES_MAX - number.len()))
        });
        [beginning(BIN_BYTES_MAX).to_owned()]
            .into_iter()
            .chain(numbered)
            .find(|name| self.is_free(name))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bin_is_named_like_the_end_of_its_path() {
        let mut names = BinNames::default();
        let cases: [(&[&str], &str, bool); 9] = [
            (&["id"], "id", false),
            (&["user", "id"], "user_id", false),
            (&["user", "country"], "country", false),
            (&["shipping", "country"], "shipping_countr", true),
            (&["country_of_residence"], "country_of_resi", true),
            (&["country_of_residency"], "country_of_re_2", true),
            (&["größe_des_schuhs"], "größe_des_sch", true),
            (&["a", "user", "id"], "a_user_id", false),
            (&["data", "customer", "id"], "customer_id", false),
        ];
        for (path, expected, is_shortened) in cases {
            assert_eq!(names.of(path), (expected.to_owned(), is_shortened), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_a_bin_of_its_own(paths in proptest::collection::vec("[ab~]{1,20}|\\PC{1,20}", 1..60)) {
            let mut names = BinNames::default();
            let mut all = BTreeSet::new();
            for path in &paths {
                let (name, _) = names.of(&[path]);
                prop_assert_eq!(names::bin(&name), Ok(()));
                prop_assert!(all.insert(name.clone()), "{name} twice");
            }
        }
    }
}
