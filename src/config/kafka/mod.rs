//! librdkafka's properties: which may be set, to which values, and in which combinations.

// Which librdkafka properties may be set, and why not the others.
pub mod settable;
// The properties that the file sets.
pub mod properties;
// Types of librdkafka's properties: integers, booleans and names.
pub mod types;
// Names and addresses in the style of Kafka's Java clients or brokers.
pub mod foreign;
// Combinations of librdkafka's properties: TLS, login, and what it refuses to start with.
pub mod together;
// Whether the files for TLS exist and have the right content.
pub mod tls_files;
