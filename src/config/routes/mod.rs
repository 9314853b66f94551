//! `[[route]]` and its contents.

// `[[route]]`.
pub mod route;
// `payload_schema`: the JSON Schema of its payloads.
pub mod payload_schema;
// `root` and `json_strings`: where paths start, and which strings hold JSON.
pub mod json_strings;
// `[[route.write]]`: which record, how long it lives, and what is written.
pub mod write;
// `ttl`: how long a record lives.
pub mod ttl;
// `[[route.publish]]`: what is produced to another topic.
pub mod publish;
// `bins`: the values of a record's bins.
pub mod bins;
// `once`, `add`, `append` and the other operations on bins.
pub mod operations;
// Keys of a write that contradict each other.
pub mod contradictions;
