//! librdkafka's properties: which may be set, to what, and what they say together.

// Which librdkafka properties may be set, and why not the others.
pub mod settable;
// The properties that are set.
pub mod properties;
// What integers, booleans and names of librdkafka's properties are.
pub mod types;
// Names and addresses that are written as for Kafka's Java clients or its brokers.
pub mod foreign;
// What librdkafka's properties say together: TLS, login, and what it refuses to start with.
pub mod together;
// Whether the files of TLS are there, and what they ought to be.
pub mod tls_files;
