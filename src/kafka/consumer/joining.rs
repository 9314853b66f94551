//! Errors of joining the group that do not pass by themselves: how the service ends, and the cure.
//!
//! librdkafka retries every second, whatever the coordinator answers (`rdkafka_cgrp.c`,
//! `rd_kafka_cgrp_handle_JoinGroup`), so the service would wait for ever. Depends only on its argument.

use rdkafka::error::RDKafkaErrorCode;

use crate::util::exit::Exit;

/// How the service ends for this code, and the cure. `None`: the error passes, or has nothing to do with joining.
pub fn verdict(code: RDKafkaErrorCode) -> Option<(Exit, &'static str)> {
    use RDKafkaErrorCode as Code;
    const READ: &str = "grant the user READ on the topics and the group";
    let verdict = match code {
        Code::GroupAuthorizationFailed | Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
            (Exit::Credentials, READ)
        }
        Code::InvalidSessionTimeout => (
            Exit::Configuration,
            "set session.timeout.ms, in milliseconds, between the brokers' group.min.session.timeout.ms and \
             group.max.session.timeout.ms (6000 and 1800000 unless they say otherwise)",
        ),
        Code::InconsistentGroupProtocol => (
            Exit::Configuration,
            "the group's other members have no partition.assignment.strategy in common with this one, or another \
             group.protocol: set the same, or stop them first, or choose another kafka.group",
        ),
        // librdkafka's own code: the members agree on a strategy that this member does not have.
        Code::UnknownProtocol => (
            Exit::Configuration,
            "the group shares out by a partition.assignment.strategy that this member does not have: set the same as the \
             other members",
        ),
        Code::InvalidGroupId => (
            Exit::Configuration,
            "the brokers refuse the group's name: set another kafka.group",
        ),
        Code::UnsupportedAssignor => (
            Exit::Configuration,
            "the brokers do not have this group.remote.assignor: set one of their group.consumer.assignors, or remove it",
        ),
        Code::UnsupportedVersion | Code::UnsupportedFeature => (
            Exit::Configuration,
            "the brokers do not know this group.protocol, or are older than 0.10: set group.protocol = \"classic\", or \
             upgrade them",
        ),
        Code::InvalidRequest => (
            Exit::Configuration,
            "the brokers refuse how the group is joined: look at their log, and at group.instance.id and group.protocol",
        ),
        _ => return None,
    };
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_pass_ends_the_service_and_what_can_does_not() {
        use RDKafkaErrorCode as Code;
        for code in [
            Code::InvalidSessionTimeout,
            Code::InconsistentGroupProtocol,
            Code::InvalidGroupId,
            Code::UnsupportedAssignor,
            Code::UnsupportedVersion,
            Code::UnknownProtocol,
        ] {
            assert_eq!(verdict(code).map(|(exit, _)| exit), Some(Exit::Configuration), "{code}");
        }
        for code in [Code::GroupAuthorizationFailed, Code::TopicAuthorizationFailed] {
            assert_eq!(verdict(code).map(|(exit, _)| exit), Some(Exit::Credentials), "{code}");
        }
        for code in [
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::RebalanceInProgress,
            Code::UnknownMemberId,
            Code::MemberIdRequired,
            // Passes, since another member may leave.
            Code::GroupMaxSizeReached,
            Code::BrokerTransportFailure,
            Code::UnknownTopicOrPartition,
            Code::Authentication,
        ] {
            assert_eq!(verdict(code), None, "{code}");
        }
    }
}
