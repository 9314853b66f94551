//! `[[route]]` and what stands in it.

// `[[route]]`.
pub mod route;
// `[[route.write]]`: which record, its life, and what becomes of it.
pub mod write;
// `ttl`: how long a record lives.
pub mod ttl;
// `[[route.publish]]`: what goes to another topic.
pub mod publish;
// `bins`: what a record's bins are set to.
pub mod bins;
// `once`, `add`, `append` and the other operations on bins.
pub mod operations;
// Which words of a write contradict each other.
pub mod contradictions;
