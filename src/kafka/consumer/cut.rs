//! Finds where a log was cut: the first offset at which it has other messages than those that were read.
//!
//! Runs on the worker's thread when the next offset is not in the log, or in `check`. The message that was read last
//! has a leader epoch. As far as the log has messages of that epoch or an earlier one, it is the log that was read,
//! since one epoch has one leader. A binary search that reads single messages finds that place. librdkafka also asks
//! the brokers for it (`OffsetForLeaderEpoch`), but does not pass the answer on.
//!
//! Reads by assignment, outside of the group: nothing is committed.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::model::Kafka;
use crate::kafka::admin::newest::{is_passing, reading_config};
use crate::kafka::client::LogContext;
use crate::kafka::consumer::epoch;
use crate::util::stop::Stop;

/// Short, since a stop waits for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Time-out for reading one message.
const READ_MAX: Duration = Duration::from_secs(10);

/// Where the log differs from what was read: everything below `next`, whose last message had the leader epoch `epoch`.
/// Returns `next` if the log was not cut, and `None` if the stop flag was raised.
///
/// # Errors
/// If a broker does not answer, or refuses.
pub fn find(
    kafka: &Kafka,
    topic: &str,
    partition: i32,
    next: i64,
    epoch: i32,
    stop: &Stop,
) -> KafkaResult<Option<i64>> {
    let mut config = reading_config(kafka);
    // Messages of aborted transactions are just as good for the comparison.
    config.set("isolation.level", "read_uncommitted");
    // Each fetch is made for one message, so it can be small.
    config.set("fetch.message.max.bytes", "65536");
    config.set("queued.max.messages.kbytes", "1024");
    config.set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer<LogContext> = config.create_with_context(LogContext::ErrorsAtDebug)?;
    let (oldest, end) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
    let first_at = |offset: i64| first_at(&consumer, topic, partition, offset, stop);
    search(oldest, end, next, epoch, first_at)
}

/// Whether a retry may succeed: a broker is not reachable, or does not lead the partition at the moment.
pub fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    error.rdkafka_error_code().is_some_and(|code| {
        let moves = matches!(
            code,
            Code::LeaderNotAvailable
                | Code::NotLeaderForPartition
                | Code::UnknownPartition
                | Code::UnknownTopicOrPartition
                | Code::RequestTimedOut
                | Code::NetworkException
        );
        moves || is_passing(code)
    })
}

/// The lowest offset from `oldest` to `end`, and at most `next`, from which on there is no message of `epoch` or an
/// earlier epoch. Returns `next` if the log goes on to there and has no message in between: a gap is not a cut.
///
/// `first_at` reads the first message at or behind an offset, and returns its offset and epoch. `Some(None)`: the end
/// of the log. `None`: the stop flag was raised.
fn search<E>(
    oldest: i64,
    end: i64,
    next: i64,
    epoch: i32,
    mut first_at: impl FnMut(i64) -> Result<Option<Option<First>>, E>,
) -> Result<Option<i64>, E> {
    // Below `same`, the log is the one that was read. At `other` and behind it, there is nothing more of that log.
    let (mut same, mut other) = (oldest, end.min(next).max(oldest));
    while same < other {
        let middle = same + (other - same) / 2;
        match first_at(middle)? {
            None => return Ok(None),
            // A message without an epoch is older than all messages that have one.
            Some(Some(first)) if first.offset < other && first.epoch.is_none_or(|of| of <= epoch) => {
                same = first.offset + 1;
            }
            Some(_) => other = middle,
        }
    }
    if same < next && next <= end {
        return Ok(match first_at(same)? {
            None => None,
            Some(Some(first)) if first.offset < next => Some(same),
            Some(_) => Some(next),
        });
    }
    Ok(Some(same))
}

/// The first message at or behind an offset.
#[derive(Debug, Clone, Copy)]
struct First {
    offset: i64,
    epoch: Option<i32>,
}

fn first_at(
    consumer: &BaseConsumer<LogContext>,
    topic: &str,
    partition: i32,
    offset: i64,
    stop: &Stop,
) -> KafkaResult<Option<Option<First>>> {
    let mut begin = TopicPartitionList::with_capacity(1);
    begin.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&begin)?;
    let begun = Instant::now();
    loop {
        if stop.requested() {
            return Ok(None);
        }
        match consumer.poll(POLL_WAIT) {
            // This message belongs to the previous assignment.
            Some(Ok(message)) if message.offset() < offset => {}
            Some(Ok(message)) => {
                return Ok(Some(Some(First {
                    offset: message.offset(),
                    epoch: epoch::of_message(&message),
                })));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Some(None)),
            Some(Err(KafkaError::MessageConsumption(code))) if is_passing(code) => {}
            Some(Err(error)) => return Err(error),
            None => {}
        }
        if begun.elapsed() >= READ_MAX {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the cut in a log, given as pairs of offset and epoch.
    fn cut(log: &[(i64, i32)], oldest: i64, end: i64, next: i64, epoch: i32) -> i64 {
        let first_at = |offset| {
            let first = log.iter().find(|(at, _)| *at >= offset);
            Ok::<_, ()>(Some(first.map(|(offset, epoch)| First {
                offset: *offset,
                epoch: Some(*epoch).filter(|epoch| *epoch >= 0),
            })))
        };
        search(oldest, end, next, epoch, first_at).unwrap().unwrap()
    }

    fn log(parts: &[(std::ops::Range<i64>, i32)]) -> Vec<(i64, i32)> {
        let of =
            |(offsets, epoch): &(std::ops::Range<i64>, i32)| offsets.clone().map(|at| (at, *epoch)).collect::<Vec<_>>();
        parts.iter().flat_map(of).collect()
    }

    #[test]
    fn the_place_is_found_from_which_on_the_log_is_another() {
        let two = log(&[(0..10, 3), (10..40, 5)]);
        for (epoch, expected) in [(3, 10), (4, 10), (5, 40), (2, 0)] {
            assert_eq!(cut(&two, 0, 40, 40, epoch), expected, "epoch {epoch}");
        }
        // The result is limited by what was read and by the end of the log. What is below the oldest message was read
        // or is gone.
        assert_eq!(cut(&two, 0, 40, 7, 3), 7);
        assert_eq!(cut(&two[..7], 0, 7, 40, 3), 7);
        assert_eq!(cut(&two[20..], 20, 40, 40, 3), 20);
        assert_eq!(cut(&[], 12, 12, 40, 3), 12);
        assert_eq!(cut(&[], 12, 12, 5, 3), 12);
    }

    #[test]
    fn gaps_are_no_place_where_a_log_was_cut() {
        // Compaction and transaction markers leave gaps. The place behind the last message is as good as the next
        // message's.
        let gaps = [(2, 1), (7, 1), (30, 2), (44, 2)];
        assert_eq!(cut(&gaps, 0, 50, 50, 1), 8);
        // Up to the next offset there is no other message.
        assert_eq!(cut(&gaps, 0, 50, 50, 2), 50);
        assert_eq!(cut(&gaps, 0, 50, 48, 2), 48);
        assert_eq!(cut(&gaps, 0, 50, 30, 1), 30);
        assert_eq!(cut(&gaps, 0, 50, 31, 1), 8);
        assert_eq!(cut(&gaps, 0, 50, 51, 2), 45, "the log ends before it");
        assert_eq!(cut(&[(0, 1), (50, 1)], 0, 60, 30, 1), 30);
        // Messages in formats that have no epoch.
        assert_eq!(cut(&[(0, -1), (1, -1), (2, 4)], 0, 3, 3, 0), 2);
    }

    #[test]
    fn every_place_is_found_in_every_log() {
        for end in 0..24 {
            for at in 0..=end {
                let log = log(&[(0..at, 0), (at..end, 1)]);
                assert_eq!(cut(&log, 0, end, end, 0), at, "{at} of {end}");
            }
        }
    }

    #[test]
    fn a_broker_that_is_away_is_waited_for_and_a_log_that_cannot_be_read_is_not() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::OperationTimedOut,
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::LeaderNotAvailable,
            Code::UnknownPartition,
        ] {
            assert!(passes(&KafkaError::MetadataFetch(code)), "{code}");
            assert!(passes(&KafkaError::MessageConsumption(code)), "{code}");
        }
        for code in [Code::BadMessage, Code::NotImplemented, Code::TopicAuthorizationFailed] {
            assert!(!passes(&KafkaError::MessageConsumption(code)), "{code}");
        }
        assert!(!passes(&KafkaError::PartitionEOF(0)));
    }

    #[test]
    fn a_stop_ends_the_search() {
        let mut reads = 0;
        let stopped = search::<()>(0, 100, 100, 0, |_| {
            reads += 1;
            Ok(None)
        });
        assert_eq!((stopped, reads), (Ok(None), 1));
        assert_eq!(search(0, 100, 100, 0, |_| Err("refused")), Err("refused"));
    }
}
