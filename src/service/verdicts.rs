//! What an error of the Kafka client means for the service: whether it ends, with which exit code, and what is logged.

use log::{debug, error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::kafka::consumer::joining;
use crate::util::exit::Exit;

/// The exit code for an error of a poll. `None`: the service goes on.
pub(super) fn of_poll(error: &KafkaError) -> Option<Exit> {
    match (error, error.rdkafka_error_code()) {
        (KafkaError::MessageConsumptionFatal(_), _) => {
            error!("kafka: the client cannot go on error=\"{error}\"");
            Some(Exit::Restart)
        }
        (_, Some(code)) if let Some((exit, cure)) = joining::verdict(code) => {
            cannot_join(exit, &error.to_string(), cure);
            Some(exit)
        }
        // The error callback logs this with its reason. librdkafka recovers by itself.
        _ => {
            debug!("kafka: {error}");
            None
        }
    }
}

fn cannot_join(exit: Exit, error: &str, cure: &str) {
    let what = match exit {
        Exit::Credentials => "access is refused",
        _ => "the group cannot be joined",
    };
    error!("kafka: {what} error=\"{error}\" cure=\"{cure}\"");
}

/// The exit code for an error from which librdkafka cannot recover.
pub(super) fn fatal(code: RDKafkaErrorCode, why: &str) -> Exit {
    match code {
        // Kafka tells this to the old member: the new member has its partitions.
        RDKafkaErrorCode::FencedInstanceId => {
            error!(
                "kafka: another process has joined the group with this one's group.instance.id, and has its partitions; \
                 nothing more is committed here error=\"{why}\" cure=\"give each process its own group.instance.id\""
            );
            Exit::Configuration
        }
        // Kafka tells this to the new member, if the brokers assign the partitions.
        RDKafkaErrorCode::UnreleasedInstanceId => {
            error!(
                "kafka: a member with this group.instance.id is still in the group: a former process, until its session \
                 ends, or one that runs error=\"{why}\" cure=\"give each process its own group.instance.id, or start \
                 this one again later\""
            );
            Exit::Restart
        }
        _ => match joining::verdict(code) {
            Some((exit, cure)) => {
                cannot_join(exit, why, cure);
                exit
            }
            None => {
                error!("kafka: the client cannot go on error=\"{why}\"");
                Exit::Restart
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_another_one_has_replaced_is_not_restarted() {
        assert_eq!(fatal(RDKafkaErrorCode::FencedInstanceId, "fenced"), Exit::Configuration);
        // A former process of the same instance disappears when its session ends, so a later start succeeds.
        assert_eq!(
            fatal(RDKafkaErrorCode::UnreleasedInstanceId, "unreleased"),
            Exit::Restart
        );
        assert_eq!(fatal(RDKafkaErrorCode::Fatal, "?"), Exit::Restart);
    }

    #[test]
    fn of_the_errors_of_a_poll_only_those_end_the_service_that_do_not_pass() {
        let of = |code| of_poll(&KafkaError::MessageConsumption(code));
        assert_eq!(of(RDKafkaErrorCode::BrokerTransportFailure), None);
        assert_eq!(of(RDKafkaErrorCode::GroupAuthorizationFailed), Some(Exit::Credentials));
        assert_eq!(
            of(RDKafkaErrorCode::InconsistentGroupProtocol),
            Some(Exit::Configuration)
        );
        let fatal = KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::Fatal);
        assert_eq!(of_poll(&fatal), Some(Exit::Restart));
    }
}
