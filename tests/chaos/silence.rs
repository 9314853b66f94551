//! Scenario 4: the database is silent for four times `max.poll.interval.ms`, with a backlog that fills every queue.
