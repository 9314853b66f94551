//! Names of bins: the last name of a field's path where it is free, and at most 15 bytes. An id has the name of the
//! object in front whose id it is.

use std::collections::BTreeSet;

use crate::config::names::{self, BIN_BYTES_MAX};

/// Names, in lower case, that say nothing without the name in front.
const IDS: [&str; 5] = ["id", "_id", "uuid", "guid", "key"];

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct BinNames {
    taken: BTreeSet<String>,
}

impl BinNames {
    /// Takes a name for the field with this path. The second value is whether it had to be shortened.
    pub fn of(&mut self, path: &[&str]) -> (String, bool) {
        let last = path.last().copied().unwrap_or("value");
        // A bin `id` would read as the id of the record.
        let is_id = path.len() > 1 && IDS.contains(&last.to_ascii_lowercase().as_str());
        // With the names before it, until it is a name that no other field has.
        let ends = (0..path.len() - usize::from(is_id))
            .rev()
            .filter_map(|from| path.get(from..))
            .map(|end| end.join("_"));
        let free = ends.into_iter().find(|name| self.is_free(name));
        let is_shortened = free.is_none();
        let name = free.unwrap_or_else(|| match path {
            [.., before, last] if is_id => self.shortened_before(before, &format!("_{last}")),
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
        self.shortened_before(name, "")
    }

    /// The beginning of the name and this end, with a number between them if that is taken.
    fn shortened_before(&self, name: &str, end: &str) -> String {
        // What begins with a tilde could be the name of a guard.
        let name = name.trim_start_matches('~');
        let beginning = |bytes: usize| {
            let end = (0..=bytes.min(name.len())).rev().find(|at| name.is_char_boundary(*at));
            name.get(..end.unwrap_or(0)).unwrap_or_default()
        };
        let room = BIN_BYTES_MAX - end.len();
        let numbered = (2..).map(|number: u32| {
            let number = format!("_{number}");
            format!("{}{number}{end}", beginning(room.saturating_sub(number.len())))
        });
        [format!("{}{end}", beginning(room))]
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
        let cases: [(&[&str], &str, bool); 12] = [
            (&["id"], "id", false),
            (&["user", "id"], "user_id", false),
            (&["user", "country"], "country", false),
            (&["shipping", "country"], "shipping_countr", true),
            (&["country_of_residence"], "country_of_resi", true),
            (&["country_of_residency"], "country_of_re_2", true),
            (&["größe_des_schuhs"], "größe_des_sch", true),
            (&["a", "user", "id"], "a_user_id", false),
            (&["data", "customer", "id"], "customer_id", false),
            // Not the id of the record, also where that name is free.
            (&["seller", "uuid"], "seller_uuid", false),
            (&["shipping_address", "id"], "shipping_add_id", true),
            (&["shipping_addresses", "id"], "shipping_a_2_id", true),
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
