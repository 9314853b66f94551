//! The main thread: it starts, polls, gives partitions to workers, and ends in order.

// Poll, tell, end.
pub mod supervisor;
// What is reached and made before the group is joined.
mod start;
// What an error of the client means for the service.
mod verdicts;
// The line each 10 seconds.
mod lines;
// What is shown of the service, each second.
mod snapshots;
// What it waits for.
mod waits;
// Topics that are not there.
mod absent;
// A partition that nobody reads.
mod unread;
// The group is left.
mod leaving;
// Partitions that are begun once more.
pub mod restarts;
// Partitions that wait until a person acts, told each minute.
pub mod holds;
// What the callbacks say of partitions.
mod readers;
// Who owns which partition.
pub mod assignment;
// Whether the first assignment comes in time.
pub mod beginning;
// What makes no progress though nothing excuses it.
pub mod watchdog;

#[cfg(test)]
mod tests;
