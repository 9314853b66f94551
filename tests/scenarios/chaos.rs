//! Nothing is lost, and every key ends with its last message, whatever happens to the service, to its database and to
//! its brokers: `make test-chaos`. A real broker, the service as processes, the simulator as a process of its own.
//!
//! Every message has an id and a number among those of its key ([`load`]); at the end of each scenario all records are
//! read and held against what was sent, and what was counted is printed.
//!
//! | scenario | file |
//! |---|---|
//! | SIGKILL at random moments under load | [`kills`] |
//! | members join, leave, are killed and rolled, with each way to share out partitions | [`members`] |
//! | a member frozen past its session with a batch in hand, and woken behind its successor | [`frozen`] |
//! | the database silent for several `max.poll.interval.ms` | [`silence`] |
//! | each other state of the database | [`database`] |
//! | the states of the brokers | [`broker`] |
//! | 256 partitions on one process | [`partitions`] |
//!
//! Moments are found by what can be seen from outside, never by the clock; figures are ratios of one run. Everything
//! random is drawn from `SEED`; `KILLS`, `MESSAGES`, `MEMBERS_S`, `MAX_POLL_S`, `OUTAGE_S`, `AWAY_S` (what stands for ten
//! minutes) and `ROUNDS` scale the scenarios.

// Messages with numbers, and the ledger that holds the records against them.
mod load;
// Members of one group, as programs.
mod fleet;
// One service with a backlog, and how long a state lasts.
mod scenario;
// The scenarios.
mod kills;
mod members;
mod frozen;
mod silence;
mod partitions;
mod database;
mod broker;
