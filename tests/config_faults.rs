//! What a configuration file may say, and what is said of one that is wrong.
use penstock::config::{self, Outside};

struct NoOutside;
impl Outside for NoOutside {
    fn env(&self, _: &str) -> Result<String, String> {
        Err("is not set".to_owned())
    }
    fn file(&self, _: &str) -> Result<String, String> {
        Err("cannot be read: no such file".to_owned())
    }
}

const WHOLE: &str = r#"
[run]
memory = "512MiB"
start_timeout = "0"
[kafka]
brokers = "127.0.0.1"
topics  = ["events"]
[aerospike]
hosts = "127.0.0.1"
namespace = "test"
[[route]]
root = "payload"
  [[route.write]]
  set  = "users"
  key  = "user.id"
  bins = { country = "user.country", seen = "ts", source = { value = "web" } }
  ttl  = "30d"
  [[route.write]]
  each = "items"
  set  = "lines"
  key  = "{order_id}:{@item.line}"
  bins = ["@item.sku", "@item.qty"]
[reject]
action = "hold"
"#;

#[test]
fn a_valid_file_is_read() {
    let config = config::parse_with(WHOLE, "penstock.toml", &NoOutside);
    match config {
        Ok(c) => println!("{c:#?}"),
        Err(f) => panic!("{f}"),
    }
}
