//! The consumer group of `penstock skip`: which offset is its next one, and who is in the way of a commit.

use std::fmt::Write as _;

use super::{Place, failed, refused, tell};
use crate::cli::visible::visible;
use crate::config::model::{Config, Start};
use crate::kafka::admin::skipping::{Skipping, SkippingError, Standing};
use crate::util::exit::Exit;

/// The group's next offset.
pub(super) fn next(standing: &Standing, start: Start, place: &Place) -> Result<i64, String> {
    let (oldest, end) = standing.log;
    let next = match &standing.committed {
        Some(committed) if !standing.is_of_former => committed.offset,
        Some(_) => oldest,
        None if start == Start::Earliest => oldest,
        None => {
            return Err(
                "the group has no offset of this partition, and kafka.start is latest: start the service once"
                    .to_owned(),
            );
        }
    };
    if next < oldest {
        return Err(format!(
            "the group's next offset {next} is not in the log any more, whose oldest is {oldest}: there is nothing to \
             skip; start the service, and kafka.offset_gone says what it does"
        ));
    }
    if next > end {
        return Err(format!(
            "the group's next offset {next} is beyond the end of the log, {end}: the log was cut, or the offset was set \
             by hand; see kafka.offset_gone"
        ));
    }
    if place.offset < next {
        return Err(format!(
            "the group is past offset {}: its next offset is {next}",
            place.offset
        ));
    }
    if next == end {
        return Err(format!(
            "the group has read the partition to its end, {end}: there is nothing to skip"
        ));
    }
    Ok(next)
}

/// The end of a commit. `told`: what has been done before it.
pub(super) fn committing(
    committed: Result<(), SkippingError>,
    skipping: &Skipping<'_>,
    config: &Config,
    told: &str,
) -> Result<(), Exit> {
    let Err(error) = committed else {
        return Ok(());
    };
    if matches!(error, SkippingError::Members(_)) {
        refuse_members(skipping, config, told)?;
        return Err(refused(&members_told(&[], config, told)));
    }
    let exit = failed(&error);
    if !told.is_empty() {
        tell("the message is kept; call again, which says so if the offset was set all the same");
    }
    Err(exit)
}

/// Fails if the group has members, as far as the brokers tell.
pub(super) fn refuse_members(skipping: &Skipping<'_>, config: &Config, told: &str) -> Result<(), Exit> {
    match skipping.members().as_deref() {
        None | Some([]) => Ok(()),
        Some(members) => {
            let members: Vec<String> = members.iter().map(|member| visible(&member.to_string())).collect();
            Err(refused(&members_told(&members, config, told)))
        }
    }
}

/// Who the members are, and what to do. Empty: the brokers do not tell.
fn members_told(members: &[String], config: &Config, told: &str) -> String {
    let mut text = format!(
        "the group {} has members; its offset can be set only while it has none. Members now: ",
        config.kafka.group
    );
    if members.is_empty() {
        text.push_str("the brokers do not say which");
    } else {
        text.push_str(&members.join(", "));
    }
    let property = |name: &str| config.kafka.consumer_property(name);
    let is_next = property("group.protocol").is_some_and(|name| name.eq_ignore_ascii_case("consumer"));
    let session = match (is_next, property("session.timeout.ms")) {
        (true, _) => "group.consumer.session.timeout.ms of the brokers, 45 s unless set there".to_owned(),
        (false, Some(ms)) => format!("session.timeout.ms, {ms} ms"),
        (false, None) => "session.timeout.ms, 45 s".to_owned(),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{told}\nstop every process of the group, and call again. A process that was killed, or that has a \
         group.instance.id, stays a member for its session ({session}): then wait for so long"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::skip::tests::at;
    use crate::kafka::consumer::committed::Committed;

    #[test]
    fn the_next_offset_is_the_groups_or_where_the_service_would_start() {
        let standing = |offset: Option<i64>, is_of_former: bool| Standing {
            committed: offset.map(|offset| Committed {
                offset,
                tag: String::new(),
                epoch: None,
            }),
            is_of_former,
            log: (10, 20),
        };
        let next = |offset, is_of_former, start, of| super::next(&standing(offset, is_of_former), start, &at(of));
        assert_eq!(next(Some(12), false, Start::Latest, 12), Ok(12));
        // Which message is next, the log says.
        assert_eq!(next(Some(12), false, Start::Latest, 14), Ok(12));
        assert_eq!(next(Some(15), true, Start::Latest, 10), Ok(10));
        assert_eq!(next(None, false, Start::Earliest, 10), Ok(10));
        for (offset, is_of_former, start, of, told) in [
            (None, false, Start::Latest, 12, "kafka.start is latest"),
            (
                Some(9),
                false,
                Start::Earliest,
                9,
                "not in the log any more, whose oldest is 10",
            ),
            (Some(21), false, Start::Earliest, 21, "beyond the end of the log, 20"),
            (Some(12), false, Start::Earliest, 11, "its next offset is 12"),
            (Some(20), false, Start::Earliest, 20, "nothing to skip"),
        ] {
            let refused = next(offset, is_of_former, start, of).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn who_is_in_the_way_is_told_and_for_how_long() {
        let told = |consumer: &str, members: &[String]| {
            let text = format!(
                "[kafka]\nbrokers = \"localhost:1\"\ntopics = [\"events\"]\ngroup = \"counts\"\n[kafka.consumer]\n{consumer}\n\
                 [aerospike]\nhosts = \"localhost:2\"\nnamespace = \"test\"\n\
                 [[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nbins = [\"n\"]\n"
            );
            let config = crate::config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"));
            members_told(members, &config, "")
        };
        let one = ["penstock at /10.0.0.1 (group.instance.id a)".to_owned()];
        let classic = told("", &one);
        for word in [
            "only while it has none. Members now: penstock at",
            &one[0],
            "(session.timeout.ms, 45 s)",
        ] {
            assert!(classic.contains(word), "{word:?} is not in {classic}");
        }
        assert!(told("\"session.timeout.ms\" = 20000", &one).contains("(session.timeout.ms, 20000 ms)"));
        let next = told("\"group.protocol\" = \"consumer\"", &[]);
        for word in ["do not say which", "(group.consumer.session.timeout.ms of the brokers"] {
            assert!(next.contains(word), "{word:?} is not in {next}");
        }
    }
}
