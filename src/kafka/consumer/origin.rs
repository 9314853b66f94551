//! Which topic a partition belongs to, and where its worker starts.
//!
//! Runs on the worker's thread before its first batch. A group's offset belongs to the topic that existed when it was
//! committed. If that topic was deleted and created again, the offset means nothing. So every commit carries the
//! topic's id (`offset_tag`), and a worker does not start at an offset that has another topic's id.

use std::time::{Duration, Instant};

use log::warn;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::Offset;

use crate::kafka::admin::topic_id::TopicId;
use crate::kafka::admin::topic_ids::{ReadError, TopicIds};
use crate::kafka::consumer::committed::Committed;
use crate::kafka::letters::bound::LettersFrom;
use crate::kafka::{Consumer, Partition};
use crate::util::retry::{AttemptError, Retry, RetryError};
use crate::util::seconds::Seconds;
use crate::util::stop::Stop;
use crate::util::throttle::LINES;

/// Time-out of each request.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between a failed request and the next one.
const PAUSE: Duration = Duration::from_millis(50);

/// Where fetching starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    Offset(i64),
    /// At the oldest message in the log.
    Oldest,
}

impl StartOffset {
    /// The offset in librdkafka's form.
    pub fn offset(self) -> Offset {
        match self {
            StartOffset::Offset(offset) => Offset::Offset(offset),
            StartOffset::Oldest => Offset::Beginning,
        }
    }
}

impl StartOffset {
    /// The offset, if it is a number.
    pub fn known(self) -> Option<i64> {
        match self {
            StartOffset::Offset(offset) => Some(offset),
            StartOffset::Oldest => None,
        }
    }
}

impl std::fmt::Display for StartOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartOffset::Offset(offset) => offset.fmt(f),
            StartOffset::Oldest => f.write_str("oldest"),
        }
    }
}

/// What is known about a partition when its worker starts.
#[derive(Debug, Clone)]
pub struct PartitionStart {
    pub from: StartOffset,
    /// Where it starts, if that differs from the group's offset. Committed before the first message.
    pub begin: Option<i64>,
    /// The metadata that was committed with the group's offset.
    pub tag: String,
    /// The leader epoch of the message before the group's offset, if it is known.
    pub epoch: Option<i32>,
    /// The topic's id as last read before anything was fetched for this worker.
    pub topic_id: Option<TopicId>,
    /// What tells from where on the letters of the messages from here on are.
    pub letters: LettersHint,
}

/// What tells from where on letters are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LettersHint {
    /// The metadata of a commit.
    Tag(String),
    /// The worker that had the partition before, in this process.
    Known(Vec<LettersFrom>),
}

impl PartitionStart {
    /// Starts at the group's offset; at the oldest message if the group has none.
    pub fn at(committed: Option<&Committed>, topic_id: Option<TopicId>) -> Self {
        PartitionStart {
            from: committed.map_or(StartOffset::Oldest, |committed| StartOffset::Offset(committed.offset)),
            begin: None,
            tag: committed.map_or_else(String::new, |committed| committed.tag.clone()),
            epoch: committed.and_then(|committed| committed.epoch),
            topic_id,
            letters: LettersHint::Tag(committed.map_or_else(String::new, |committed| committed.tag.clone())),
        }
    }

    /// Whether it starts at the group's offset.
    pub fn is_committed(&self) -> bool {
        matches!(self.from, StartOffset::Offset(_)) && self.begin.is_none()
    }

    /// Starts a second time, at another place than the group's offset.
    pub fn again(from: StartOffset, topic_id: Option<TopicId>, letters: LettersHint) -> Self {
        PartitionStart {
            from,
            begin: match from {
                StartOffset::Offset(offset) => Some(offset),
                StartOffset::Oldest => None,
            },
            tag: String::new(),
            epoch: None,
            topic_id,
            letters,
        }
    }
}

/// What the worker needs to know about its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub topic_id: TopicId,
    /// The metadata for each commit.
    pub tag: CommitTag,
    /// The leader epoch that was committed with the group's offset, if it belongs to this topic.
    pub epoch: Option<i32>,
    /// From where on the letters of messages are that have no committed offset. Empty: not known.
    pub letters: Vec<LettersFrom>,
}

/// The metadata of commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitTag {
    /// Without letters; empty if there is nothing to say.
    pub plain: String,
    /// What the words about letters are appended to. `None`: they cannot be written.
    pub before_letters: Option<String>,
}

impl CommitTag {
    fn new(topic_id: TopicId, cluster_id: Option<&str>) -> CommitTag {
        let plain = offset_tag(topic_id, cluster_id);
        let without_id = || cluster_id.map(|cluster_id| format!("{NAME} {CLUSTER}{cluster_id}"));
        CommitTag {
            before_letters: Some(plain.clone())
                .filter(|plain| !plain.is_empty())
                .or_else(without_id),
            plain,
        }
    }

    /// The metadata of a commit that says from where on letters are. `None`: it would be too long, or cannot be written.
    pub fn with_letters(&self, letters: &[LettersFrom]) -> Option<String> {
        let mut tag = self.before_letters.clone()?;
        for from in letters {
            tag.push_str(&format!(" {LETTERS}{from}"));
        }
        let without_epochs = tag.len();
        for epochs in letters.iter().filter_map(LettersFrom::epochs_text) {
            tag.push_str(&format!(" {EPOCHS}{epochs}"));
        }
        if tag.len() > TAG_BYTES_MAX {
            tag.truncate(without_epochs);
        }
        (tag.len() <= TAG_BYTES_MAX).then_some(tag)
    }
}

/// Why the worker does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoOrigin {
    Stopped,
    /// Kafka does not allow us to describe the topic.
    Refused(String),
    /// The group's offset belongs to a former topic of this name. This one is read from its oldest message.
    Former,
}

impl NoOrigin {
    /// Why a worker's wait ended. The wait has no deadline.
    pub(super) fn of_retry<E>(ended: RetryError<E, NoOrigin>) -> NoOrigin {
        match ended {
            RetryError::Final(why) => why,
            RetryError::Stopped | RetryError::TooLate(_) => NoOrigin::Stopped,
        }
    }
}

impl From<ReadError> for NoOrigin {
    fn from(error: ReadError) -> Self {
        match error {
            // A worker's wait has no limit of its own; the main thread watches it.
            ReadError::Stopped | ReadError::TooLate(_) => NoOrigin::Stopped,
            ReadError::Refused(why) => NoOrigin::Refused(why),
        }
    }
}

/// Finds out which topic this is. If the topic was created again since the consumer was created, nothing is read: the
/// worker waits for the stop flag.
///
/// Everything that is in the queue afterwards was fetched when the topic had this id or a later one, never an earlier
/// one. A guard with an old id can be recognised as invalid. A guard with an id that is too new would block the
/// messages to come.
///
/// # Errors
/// See [`NoOrigin`].
pub fn find(ids: &TopicIds, partition: &Partition, start: &PartitionStart, stop: &Stop) -> Result<Origin, NoOrigin> {
    let topic_id = ids.read(&partition.topic, Instant::now(), stop)?;
    if start
        .topic_id
        .is_some_and(|before| before != topic_id && !before.is_none() && !topic_id.is_none())
    {
        return Err(wait_for_stop(stop));
    }
    if !topic_id.is_none()
        && let Some(was) = tagged_topic(&start.tag, ids.cluster_id()).filter(|of| *of != topic_id)
    {
        warn!(
            "kafka: the group's offset is of a former topic of this name; reading this one from its beginning \
             {partition} offset={} id={topic_id} was={was}",
            start.from
        );
        return Err(NoOrigin::Former);
    }
    let letters = match &start.letters {
        LettersHint::Tag(tag) => tagged_letters(tag, ids.cluster_id()),
        LettersHint::Known(letters) => letters.clone(),
    };
    Ok(Origin {
        topic_id,
        tag: CommitTag::new(topic_id, ids.cluster_id()),
        epoch: start
            .epoch
            .filter(|_| is_own_epoch(&start.tag, topic_id, ids.cluster_id())),
        letters,
    })
}

/// Fails unless the topic still has this id. Otherwise what a broker says about the log may be about another topic.
///
/// # Errors
/// See [`NoOrigin`]; never `Former`.
pub fn confirm(ids: &TopicIds, partition: &Partition, topic_id: TopicId, stop: &Stop) -> Result<(), NoOrigin> {
    match ids.read(&partition.topic, Instant::now(), stop)? {
        now if now == topic_id => Ok(()),
        _ => Err(wait_for_stop(stop)),
    }
}

/// The service restarts when the main thread sees the topic's new id.
fn wait_for_stop(stop: &Stop) -> NoOrigin {
    while !stop.wait(LINES) {}
    NoOrigin::Stopped
}

/// The oldest offset of the partition's log, and its end.
///
/// # Errors
/// If the stop flag was raised.
pub fn log_ends(consumer: &Consumer, partition: &Partition, stop: &Stop) -> Result<(i64, i64), NoOrigin> {
    let ends = Retry::new(stop, PAUSE).quiet_for(LINES).run(
        || {
            // A worker that is stopped before it starts asks nothing.
            if stop.requested() {
                return Err(AttemptError::Final(NoOrigin::Stopped));
            }
            consumer
                .fetch_watermarks(&partition.topic, partition.number, TIMEOUT)
                .map_err(AttemptError::Passing)
        },
        |error, waited, repeated| {
            warn!(
                "kafka: waiting for the ends of the partition's log; nothing is read until then {partition} \
                 waited={waited} error=\"{error}\"{repeated}",
                waited = Seconds(waited)
            );
        },
    );
    ends.map_err(NoOrigin::of_retry)
}

// A stored format: later releases must understand offsets that were committed with it. Releases that know nothing of
// letters read the first three words and ignore the rest.

/// The first word of our metadata.
const NAME: &str = "penstock";
/// What the words about the cluster and about letters begin with. There can be several of the latter.
const CLUSTER: &str = "cluster=";
const LETTERS: &str = "dead=";
/// What the words about the leader epochs of those offsets begin with. They are words of their own, since releases that
/// know only the offsets must understand those.
const EPOCHS: &str = "dead_epochs=";

/// Brokers refuse longer metadata (`offset.metadata.max.bytes`, by default).
const TAG_BYTES_MAX: usize = 4096;

/// The metadata that is committed with an offset: `penstock topic=<id> cluster=<id>`, and perhaps `dead=…` and
/// `dead_epochs=…` ([`LettersFrom`]). It names the cluster because tools that copy a group's offsets to another cluster copy the
/// metadata too, and every topic has another id there. Where the topic has no id, it begins with `penstock cluster=<id>`
/// and is written only if there is something about letters.
pub(in crate::kafka) fn offset_tag(topic_id: TopicId, cluster_id: Option<&str>) -> String {
    match cluster_id {
        Some(cluster_id) if !topic_id.is_none() => format!("penstock topic={topic_id} cluster={cluster_id}"),
        _ => String::new(),
    }
}

/// The metadata of a commit that follows one with `before`. It keeps the words about letters: all letters of later
/// messages are at those offsets or above. `more`: the same for a topic that it may not have a word about.
pub(in crate::kafka) fn next_tag(
    before: &str,
    more: Option<LettersFrom>,
    topic_id: TopicId,
    cluster_id: Option<&str>,
) -> String {
    let tag = CommitTag::new(topic_id, cluster_id);
    let mut letters = tagged_letters(before, cluster_id);
    letters.extend(more.filter(|more| letters.iter().all(|from| from.topic != more.topic)));
    let with_letters = tag.with_letters(&letters).filter(|_| !letters.is_empty());
    with_letters.unwrap_or(tag.plain)
}

/// The topic that an offset of this cluster belongs to; `None` if the metadata does not say.
pub(in crate::kafka) fn tagged_topic(tag: &str, cluster_id: Option<&str>) -> Option<TopicId> {
    let mut words = tag.split(' ');
    let (name, topic, cluster) = (words.next()?, words.next()?, words.next()?);
    if name != "penstock" || cluster.strip_prefix("cluster=") != cluster_id {
        return None;
    }
    TopicId::parse(topic.strip_prefix("topic=")?)
}

/// From where on letters are, according to the metadata of an offset of this cluster. Empty if it does not say.
pub(in crate::kafka) fn tagged_letters(tag: &str, cluster_id: Option<&str>) -> Vec<LettersFrom> {
    if cluster_id.is_none() || tagged_cluster(tag) != cluster_id {
        return Vec::new();
    }
    let words = tag.split(' ').filter_map(|word| word.strip_prefix(LETTERS));
    let mut letters: Vec<LettersFrom> = words.filter_map(LettersFrom::parse).collect();
    for epochs in tag.split(' ').filter_map(|word| word.strip_prefix(EPOCHS)) {
        letters.iter_mut().for_each(|from| from.take_epochs(epochs));
    }
    letters
}

/// The cluster that our metadata names.
fn tagged_cluster(tag: &str) -> Option<&str> {
    let mut words = tag.split(' ');
    if words.next() != Some(NAME) {
        return None;
    }
    words.find_map(|word| word.strip_prefix(CLUSTER))
}

/// Whether a leader epoch that was committed with this tag is valid for this topic's log. Tools that copy offsets to
/// another cluster may copy the epoch too, but that cluster counts its leaders from the start.
fn is_own_epoch(tag: &str, topic_id: TopicId, cluster_id: Option<&str>) -> bool {
    let names_cluster_only = topic_id.is_none() && cluster_id.is_some() && tagged_cluster(tag) == cluster_id;
    tag.is_empty() || names_cluster_only || tagged_topic(tag, cluster_id) == Some(topic_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_of_another_clusters_log_is_not_believed() {
        let id = TopicId::new([7; 16]);
        let tag = offset_tag(id, Some("here"));
        assert!(is_own_epoch(&tag, id, Some("here")));
        assert!(!is_own_epoch(&tag, id, Some("there")));
        assert!(!is_own_epoch(&tag, TopicId::new([8; 16]), Some("here")));
        assert!(!is_own_epoch("a note of somebody's own", id, Some("here")));
        // Brokers that have no topic ids, or a program that uses Kafka's own client.
        assert!(is_own_epoch("", TopicId::NONE, None));
    }

    #[test]
    fn an_offsets_tag_is_the_stored_format_and_is_read_again() {
        let id = TopicId::new(*b"0123456789abcdef");
        let tag = offset_tag(id, Some("4L6g3nShT-eMCtK--X86sw"));
        assert_eq!(
            tag,
            "penstock topic=MDEyMzQ1Njc4OWFiY2RlZg cluster=4L6g3nShT-eMCtK--X86sw"
        );
        assert_eq!(tagged_topic(&tag, Some("4L6g3nShT-eMCtK--X86sw")), Some(id));
        // A later release may add more words.
        assert_eq!(
            tagged_topic(&(tag + " more=1"), Some("4L6g3nShT-eMCtK--X86sw")),
            Some(id)
        );
    }

    #[test]
    fn a_tag_says_from_where_on_letters_are_and_hides_nothing_from_older_versions() {
        let id = TopicId::new([7; 16]);
        let dead = LettersFrom {
            topic: "events.dead".to_owned(),
            id: TopicId::new([8; 16]),
            offsets: vec![5, 0, 77],
            epochs: Vec::new(),
        };
        let tag = CommitTag::new(id, Some("c"));
        assert_eq!(tag.plain, "penstock topic=BwcHBwcHBwcHBwcHBwcHBw cluster=c");
        let text = tag.with_letters(std::slice::from_ref(&dead)).unwrap();
        assert_eq!(
            text,
            format!("{} dead=events.dead:CAgICAgICAgICAgICAgICA:5,0,77", tag.plain)
        );
        assert_eq!(tagged_topic(&text, Some("c")), Some(id));
        assert_eq!(tagged_letters(&text, Some("c")), std::slice::from_ref(&dead));
        assert_eq!(tagged_letters(&text, Some("d")), []);
        assert_eq!(tagged_letters(&text, None), []);
        // Words of later versions in between, and a second topic.
        let later = format!(
            "{} more=1 dead=x:-:3 dead=malformed{}",
            tag.plain,
            &text[tag.plain.len()..]
        );
        let topics: Vec<String> = tagged_letters(&later, Some("c"))
            .into_iter()
            .map(|from| from.topic)
            .collect();
        assert_eq!(topics, ["x", "events.dead"]);
        // The epochs are behind the offsets, as words of their own: a release that does not know them ignores them.
        let with_epochs = LettersFrom {
            epochs: vec![Some(3), None, Some(12)],
            ..dead.clone()
        };
        let both = [LettersFrom::beginning("x", TopicId::NONE), with_epochs];
        let longer = tag.with_letters(&both).unwrap();
        assert_eq!(
            longer,
            format!(
                "{} dead=x:-: dead=events.dead:CAgICAgICAgICAgICAgICA:5,0,77 dead_epochs=events.dead:3,,12",
                tag.plain
            )
        );
        assert_eq!(tagged_letters(&longer, Some("c")), both);
        // Where they make the metadata too long, they are left out. The offsets are true without them.
        let long = LettersFrom {
            offsets: vec![123_456_789; 400],
            epochs: vec![Some(123); 400],
            ..dead.clone()
        };
        let text = tag.with_letters(std::slice::from_ref(&long)).unwrap();
        assert_eq!(text, format!("{} dead={long}", tag.plain));
        // Too many partitions for brokers.
        let many = LettersFrom {
            offsets: vec![123_456_789; 500],
            ..dead
        };
        assert_eq!(tag.with_letters(&[many]), None);
    }

    #[test]
    fn the_tag_of_the_next_commit_keeps_the_words_about_letters() {
        let id = TopicId::new([7; 16]);
        let plain = CommitTag::new(id, Some("c")).plain;
        let (letters, epochs) = (
            format!("{plain} dead=x:-:3 dead=events.dead:CAgICAgICAgICAgICAgICA:5,0,77"),
            " dead_epochs=x:9",
        );
        let before = format!("{letters}{epochs}");
        assert_eq!(next_tag(&before, None, id, Some("c")), before);
        assert_eq!(next_tag(&plain, None, id, Some("c")), plain);
        assert_eq!(next_tag("", None, id, Some("c")), plain);
        // A topic that it has a word about already, and another one.
        let more = |topic| Some(LettersFrom::beginning(topic, TopicId::NONE));
        assert_eq!(next_tag(&before, more("x"), id, Some("c")), before);
        assert_eq!(
            next_tag(&before, more("y"), id, Some("c")),
            format!("{letters} dead=y:-:{epochs}")
        );
        assert_eq!(next_tag("", more("y"), id, Some("c")), format!("{plain} dead=y:-:"));
        // Offsets of another cluster's topic.
        let there = CommitTag::new(id, Some("d")).plain;
        assert_eq!(next_tag(&before, None, id, Some("d")), there);
        let without_id = "penstock cluster=c dead=x:-:3";
        assert_eq!(next_tag(without_id, None, TopicId::NONE, Some("c")), without_id);
        assert_eq!(next_tag("", None, TopicId::NONE, Some("c")), "");
    }

    #[test]
    fn without_topic_ids_a_tag_about_letters_names_no_topic() {
        let tag = CommitTag::new(TopicId::NONE, Some("c"));
        assert_eq!(tag.plain, "");
        let dead = LettersFrom::beginning("topic=x", TopicId::NONE);
        let text = tag.with_letters(std::slice::from_ref(&dead)).unwrap();
        assert_eq!(text, "penstock cluster=c dead=topic=x:-:");
        assert_eq!(tagged_topic(&text, Some("c")), None);
        assert_eq!(tagged_topic(&text, None), None);
        assert_eq!(tagged_letters(&text, Some("c")), [dead]);
        assert!(is_own_epoch(&text, TopicId::NONE, Some("c")));
        assert!(!is_own_epoch(&text, TopicId::NONE, Some("d")));
        assert!(!is_own_epoch(&text, TopicId::new([7; 16]), Some("c")));
        assert_eq!(CommitTag::new(TopicId::NONE, None), CommitTag::default());
        assert_eq!(CommitTag::default().with_letters(&[]), None);
    }

    #[test]
    fn an_offset_that_does_not_say_its_topic_is_believed() {
        let id = TopicId::new([7; 16]);
        assert_eq!(offset_tag(id, None), "");
        assert_eq!(offset_tag(TopicId::NONE, Some("c")), "");
        let tag = offset_tag(id, Some("c"));
        assert_eq!(tagged_topic(&tag, Some("d")), None);
        assert_eq!(tagged_topic(&tag, None), None);
        for tag in [
            "",
            "penstock",
            "penstock topic=x cluster=c",
            "other topic=BwcHBwcHBwcHBwcHBwcHBw cluster=c",
        ] {
            assert_eq!(tagged_topic(tag, Some("c")), None, "{tag}");
        }
    }
}
