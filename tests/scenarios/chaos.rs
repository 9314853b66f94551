//! Nothing is lost, and every key ends with its last message, whatever happens to the service, its database and its
//! brokers: `make test-chaos`. A real broker, the service as processes, and the simulator as a separate process.
//!
//! Every message has an id and a number within its key ([`load`]). At the end of each scenario all records are read and
//! compared with what was sent, and the counts are printed.
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
//! The tests find the right moments by what is visible from outside, never by the clock. Measured figures are ratios
//! within one run. Everything random comes from `SEED`. `KILLS`, `MESSAGES`, `MEMBERS_S`, `MAX_POLL_S`, `OUTAGE_S`,
//! `AWAY_S` (used in place of ten minutes) and `ROUNDS` scale the scenarios.

// Messages with numbers, and the ledger that compares the records with them.
mod load;
// Members of one group, as programs.
mod fleet;
// One service with a backlog, and how long a fault lasts.
mod scenario;
// The scenarios.
mod kills;
mod members;
mod frozen;
mod silence;
mod partitions;
mod database;
mod broker;
