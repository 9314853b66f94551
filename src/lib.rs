//! Penstock leads Kafka topics into Aerospike: messages in, records out, offsets committed after the writes.
//!
//! The modules stand in the order in which a message meets them; [`worker`] is the one to read first.
//!
//! | to learn | read |
//! |---|---|
//! | what one message goes through | [`worker`], then [`pipeline`] stage by stage |
//! | who starts and stops what | [`supervisor`], [`rebalance`], [`shutdown`] |
//! | what a slow or failed database does to all of it | [`pressure`], [`watchdog`] |
//! | what may be configured | [`config`] |
//! | where Kafka and Aerospike are spoken to | [`broker`], [`store`] |

// What the file may say → checked values.
pub mod config;
// READ FIRST: one partition's loop.
pub mod worker;
// The stages: decode → map → plan → write → commit.
pub mod pipeline;
// What is done with a message: the rules of the file, or code of your own.
pub mod processor;
// The main thread: start, poll, tell, end.
pub mod supervisor;
// What makes no progress though nothing excuses it.
pub mod watchdog;
// Who owns which partition.
pub mod rebalance;
// Partitions that are begun once more.
pub mod restarts;
// How much the database is asked at once.
pub mod pressure;
// The stop flag and the signals.
pub mod shutdown;
// The database's side.
pub mod store;
// Kafka's side.
pub mod broker;
// Exit codes, counters, the memory bound.
pub mod ops;
// The command line.
pub mod cli;
// An Aerospike server in the process, for the demo and the tests.
#[cfg(feature = "sim")]
pub mod sim;
