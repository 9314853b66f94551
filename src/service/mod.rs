//! The main thread: it starts, polls, gives partitions to workers, and ends in order.

// Start, poll, tell, end.
pub mod supervisor;
// Who owns which partition.
pub mod assignment;
// Partitions that are begun once more.
pub mod restarts;
// Whether the first assignment comes in time.
pub mod beginning;
// What makes no progress though nothing excuses it.
pub mod watchdog;
// Partitions that wait until a person acts, told each minute.
pub mod holds;
