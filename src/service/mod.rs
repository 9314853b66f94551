//! The main thread: it starts the service, polls Kafka, gives partitions to workers, and ends the service in order.

// The main loop: polls, logs, and ends the service.
pub mod supervisor;
// Connects to everything that the service needs, before it joins the group.
mod start;
// What an error of the Kafka client means for the service.
mod verdicts;
// The progress line, every 10 seconds.
mod lines;
// The snapshot for `/status`, the health answers and the metrics, every second.
mod snapshots;
// What the service waits for.
mod waits;
// Topics that do not exist.
mod absent;
// An assigned partition without a worker.
mod unread;
// Leaves the group.
mod leaving;
// Partitions that are restarted.
pub mod restarts;
// Partitions that wait until a person acts; logged every minute.
pub mod holds;
// Passes librdkafka's callbacks on to the workers.
mod readers;
// The workers: one thread per assigned partition.
pub mod assignment;
// Whether the first assignment comes in time.
pub mod beginning;
// Finds partitions that make no progress without a known reason.
pub mod watchdog;

#[cfg(test)]
mod tests;
