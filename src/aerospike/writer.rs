//! The store as the writer of the write loop: by which of the two ways rows go, and what is asked besides.

use aerospike::AdminPolicy;

use super::Store;
use crate::delivery::plan::OutgoingRow;
use crate::delivery::write::{Answer, RowWriter, Stored};

impl RowWriter for Store {
    fn write(&self, rows: &[OutgoingRow<'_>]) -> Vec<Answer> {
        match &self.native {
            Some(native) => self.write_natively(native, rows),
            None => self.write_by_client(rows),
        }
    }

    fn stored(&self, rows: &[OutgoingRow<'_>]) -> Vec<Option<Stored>> {
        self.read_conditions(rows)
    }

    fn rows_max(&self) -> usize {
        match &self.native {
            // Each node has its own limit, which the native writer keeps.
            Some(_) => usize::MAX,
            None => self.limit.rows(),
        }
    }

    fn codes_are_exact(&self) -> bool {
        self.native.is_some()
    }

    fn lacks_namespace(&self, namespace: &str) -> bool {
        let policy = AdminPolicy::default();
        match self.client().info(&policy, &["namespaces"]) {
            // Not reachable: the namespace may exist.
            Err(_) => false,
            Ok(answer) => answer
                .get("namespaces")
                .is_some_and(|present| !present.split(';').any(|name| name == namespace)),
        }
    }

    fn awaits_login(&self, code: u8) -> bool {
        self.refuses_rows(code)
    }
}
