//! A login in an address: the fault is reported, but no part of the login is shown.

use super::{AEROSPIKE, KAFKA};
use penstock::config;

#[test]
fn a_login_in_an_address_is_told_and_nothing_of_it_is_shown() {
    let kafka = |brokers: &str| format!("[kafka]\nbrokers = {brokers}\ntopics = [\"events\"]\n{AEROSPIKE}");
    let aerospike = |hosts: &str| format!("{KAFKA}[aerospike]\nhosts = {hosts}\nnamespace = \"test\"\n");
    for address in [
        "\"u:hunter2@h:9092\"",
        "\"hunter2@h:9092\"",
        "\"sasl_ssl://u:hunter2@h:9092\"",
        "\"a:9092,SASL_SSL://u:hun,hunter2@h:9092\"",
        "\"h:9092?password=hunter2\"",
        "\"h:9092;user=u;password=hunter2\"",
        "\"http://u:hunter2@h:9092/x\"",
        "[\"u:hunter2@h:9092\"]",
        "[\"a:9092\", \"h:9092?sasl.password=hunter2\"]",
    ] {
        for (text, cure) in [
            (kafka(address), "sasl.username and sasl.password"),
            (aerospike(address), "aerospike.user and aerospike.password"),
        ] {
            let said = config::parse(&text, "penstock.toml").unwrap_err().to_string();
            assert!(!said.contains("hunter2"), "{text}\n{said}");
            assert!(said.contains("a login does not belong in an address"), "{text}\n{said}");
            assert!(said.contains(cure), "{text}\n{said}");
        }
    }
    // A login at another key is not shown either.
    for topics in ["\"kafka://u:hunter2@h:9092/events\"", "[\"u:hunter2@h:9092\"]"] {
        let text = format!("[kafka]\nbrokers = \"k\"\ntopics = {topics}\n{AEROSPIKE}");
        let said = config::parse(&text, "penstock.toml").unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{text}\n{said}");
    }
}
