//! The file: what is on, what is off, and why.
//!
//! A line that begins with `#` and no space is a setting that is off: without the `#` it is right. (Lines of prose have
//! a space.) A table that is off is off with all its lines.

use super::line::Line;
use super::proposal::{Bins, Proposal, is_time_name, time, words};
use super::sampling::Samples;
use super::shape::{Envelope, Field, Shape, Step};
use super::skeleton::{Answers, reject, sections};
use super::target::Target;
use super::written::{comment, path, prose, string};

/// A wider path is shown in a line of its own.
const PATH_COLUMNS_MAX: usize = 40;
/// The file.
pub(super) fn text(
    answers: &Answers,
    proposal: &Proposal,
    samples: Option<&Samples>,
    shape: Option<&Shape>,
    target: &Target,
) -> String {
    let mut text = String::new();
    if shape.is_some_and(Shape::is_useless) {
        text.push_str(&prose(
            "",
            "WARNING: Penstock cannot use these messages. It reads JSON only, and none of the samples is JSON. This \
             configuration can only reject them. Have the producer write JSON first.",
        ));
        text.push_str("#\n");
    }
    head(&mut text, answers, samples, target);
    sections(&mut text, answers, true, &kafka_lines(proposal));
    if let Some(shape) = shape.filter(|shape| shape.messages > 0) {
        table(&mut text, shape, samples);
    }
    text.push_str("\n[[route]]\n");
    if let Some(root) = proposal.root {
        Line {
            is_on: true,
            name: "root".to_owned(),
            value: string(root),
            note: "Kafka Connect's JSON with a schema: paths start in its payload".to_owned(),
        }
        .write(&mut text, "");
    }
    for each in &proposal.route {
        each.write(&mut text, "");
    }
    if proposal.is_debezium {
        change(&mut text, answers, proposal);
    } else {
        write(&mut text, answers, proposal);
    }
    reject_told(&mut text, answers);
    tail(&mut text);
    text
}

fn head(text: &mut String, answers: &Answers, samples: Option<&Samples>, target: &Target) {
    let of = match samples {
        Some(samples) if !samples.messages.is_empty() => format!(
            "from {} sample message(s) {}",
            samples.messages.len(),
            comment(&samples.origin)
        ),
        _ => "without sample messages (--from-topic and --from look at some)".to_owned(),
    };
    text.push_str(&prose(
        "",
        &format!(
            "Penstock: messages of the topic {} become records in Aerospike. Written by `penstock init`, {of}.",
            comment(&answers.topic)
        ),
    ));
    for left_out in samples.map(|samples| samples.left_out.as_slice()).unwrap_or_default() {
        text.push_str(&prose("", &format!("Not looked at: {}.", comment(left_out))));
    }
    let file = target.name();
    text.push_str("#\n# Read it, change it, and then:\n");
    text.push_str(&format!(
        "#   penstock check {file} --connect       what Kafka and Aerospike say to it\n"
    ));
    text.push_str(&format!(
        "#   penstock try {file} --from-topic 10   what messages would cause; writes nothing\n"
    ));
    text.push_str(&format!("#   penstock run {file}                   the service\n#\n"));
    text.push_str("# A line that begins with # and no space is a setting that is off. Remove the # to use it. Where two lines\n# have the same name, only one of them can be on.\n\n");
}

fn kafka_lines(proposal: &Proposal) -> Vec<Line> {
    let mut lines = Vec::new();
    if proposal.has_registry_prefix {
        lines.push(Line {
            is_on: true,
            name: "format".to_owned(),
            value: string("json_sr"),
            note: "JSON behind the five bytes of a schema registry".to_owned(),
        });
    }
    lines
}

fn write(text: &mut String, answers: &Answers, proposal: &Proposal) {
    text.push_str("\n  [[route.write]]\n");
    text.push_str(&format!("  set = {}\n", string(&answers.set)));
    record_key(text, proposal);
    for each in &proposal.write {
        each.write(text, "  ");
    }
    match &proposal.bins {
        Bins::All(value, note) => Line {
            is_on: true,
            name: "bins".to_owned(),
            value: value.clone(),
            note: note.clone(),
        }
        .write(text, "  "),
        Bins::Each(lines) => {
            text.push_str(
                "  # Bin = where it comes from. A missing field leaves its bin as it is; null removes the bin.\n",
            );
            text.push_str("  [route.write.bins]\n");
            for each in lines {
                each.write(text, "  ");
            }
        }
    }
    for (array, note) in &proposal.arrays {
        let set = format!(
            "{}_{}",
            answers.set,
            array.rsplit('.').next().unwrap_or_default().trim_matches('"')
        );
        let set = if crate::config::names::set(&set).is_ok() && !set.contains(['{', '}', '@']) {
            set
        } else {
            "elements".to_owned()
        };
        text.push_str(&format!("\n{}", prose("  ", &format!("And {note}:"))));
        text.push_str(&format!(
            "  #[[route.write]]\n  #each = {}\n  #set = {}\n  #key = \"{{@partition}}:{{@offset}}:{{@index}}\"\n  #bins = \"@item.*\"\n",
            string(array),
            string(&set)
        ));
    }
}

fn record_key(text: &mut String, proposal: &Proposal) {
    for reason in &proposal.key.reasons {
        text.push_str(&prose("  ", reason));
    }
    text.push_str(&format!("  key = {}\n", proposal.key.written));
    for (other, why) in &proposal.key.others {
        Line {
            is_on: false,
            name: "key".to_owned(),
            value: other.clone(),
            note: why.clone(),
        }
        .write(text, "  ");
    }
}

/// The two writes of a change of Debezium.
fn change(text: &mut String, answers: &Answers, proposal: &Proposal) {
    let newer = match proposal.positions {
        Some((_, true)) => "  newer = { path = \"source.lsn\", bin = \"_lsn\" }\n",
        Some((_, false)) => "  #newer = { path = \"source.lsn\", bin = \"_lsn\" }\n",
        None => "",
    };
    let of_key = proposal.key.is_metadata();
    let Bins::All(bins, note) = &proposal.bins else { return };
    text.push_str("\n  # Created, updated, or read by a snapshot: the row as it is now.\n  [[route.write]]\n");
    text.push_str("  when = \"op in ['c', 'u', 'r']\"\n");
    text.push_str(&format!("  set = {}\n", string(&answers.set)));
    record_key(text, proposal);
    text.push_str(&prose("  ", &format!("{}:", comment(note))));
    text.push_str(&format!("  bins = {bins}\n"));
    match proposal.positions {
        Some((_, true)) => text.push_str("  # The log's position: a change that comes again or late does no harm.\n"),
        Some((count, false)) => text.push_str(&format!(
            "  # The log's position is in {count} of the samples only. A change without it would be rejected.\n"
        )),
        None => text.push_str(
            "  # The samples have no source.lsn, which only ever grows. The order is that of Kafka, by the message's key.\n",
        ),
    }
    text.push_str(newer);
    text.push_str("  tombstone = \"ignore\"\n");
    text.push_str("\n  # Deleted; then comes a tombstone, a message without payload.\n  [[route.write]]\n");
    text.push_str("  when = \"op == 'd'\"\n");
    text.push_str(&format!(
        "  set = {}\n  key = {}\n  delete = true\n{newer}",
        string(&answers.set),
        proposal.key.written
    ));
    text.push_str(if of_key {
        "  tombstone = \"delete\"\n"
    } else {
        "  tombstone = \"ignore\"                        # \"delete\" needs a key of metadata, such as @key\n"
    });
}

fn reject_told(text: &mut String, answers: &Answers) {
    text.push('\n');
    match &answers.dead_letter_topic {
        Some(topic) => {
            let broker = answers.brokers.split(',').next().unwrap_or_default();
            text.push_str("# A message that cannot become records goes to a topic, and the others go on. Create it first:\n");
            text.push_str(&format!(
                "#   kafka-topics.sh --bootstrap-server {} --create --topic {} --config message.timestamp.type=LogAppendTime\n",
                comment(broker),
                comment(topic)
            ));
        }
        None => text.push_str(
            "# A message that cannot become records holds its partition until a person acts. (\"dead_letter\" goes on.)\n",
        ),
    }
    reject(text, answers);
}

fn tail(text: &mut String) {
    text.push_str(
        "\n# Metrics, health and a status page, for those who can reach this address:\n\
         #[http]\n\
         #listen = \"127.0.0.1:7367\"\n\
         \n\
         #[run]\n\
         #memory = \"512MiB\"                              # the limit on the memory of the process\n\
         #heartbeat_file = \"/run/penstock/heartbeat\"     # moves while the service is well, for a supervisor\n",
    );
}

/// What was seen.
fn table(text: &mut String, shape: &Shape, samples: Option<&Samples>) {
    let n = shape.messages;
    let are_shown = shape.fields.iter().any(|field| field.seen.few_values().is_some());
    text.push_str(match are_shown {
        false => "\n# What the samples hold. Types and sizes only: no value of a message is in this file.\n#\n",
        true => "\n# What the samples hold: types, sizes, and (--show-values) the values of fields that have only a few.\n#\n",
    });
    let mut say = |what: String| text.push_str(&prose("", &what));
    if shape.objects < n {
        say(format!("JSON objects: {} of {n}.", shape.objects));
    }
    for (what, count) in &shape.others {
        say(format!(
            "Other JSON, of the type {what}: {count} of {n}. It has no fields."
        ));
    }
    for (what, count) in &shape.unread {
        say(format!(
            "WARNING: no JSON: {count} of {n}. It looks like {what}. Penstock reads JSON only, and rejects such messages."
        ));
    }
    if shape.tombstones > 0 {
        say(format!("Without payload (tombstones): {} of {n}.", shape.tombstones));
    }
    if shape.envelope == Envelope::Connect {
        say("All are Kafka Connect's JSON with a schema; the fields below are those of its payload.".to_owned());
    }
    if shape.is_debezium {
        say("They are changes of Debezium: `after` is the row.".to_owned());
    }
    match (&shape.keys, samples) {
        (_, Some(samples)) if samples.are_bare => {
            say("Kafka keys: not known, since these samples are payloads alone.".to_owned());
        }
        (keys, _) => {
            let form = match keys {
                keys if keys.not_utf8 > 0 => format!("; bytes, not text: {}", keys.not_utf8),
                keys if keys.objects > 0 => format!("; JSON objects: {}", keys.objects),
                keys if keys.quoted > 0 => format!("; strings in JSON's quotes: {}", keys.quoted),
                _ => String::new(),
            };
            say(format!(
                "Kafka keys: in {} of {n}, {} different{form}.",
                keys.there,
                keys.distinct()
            ));
        }
    }
    rows(text, shape);
    for left_out in &shape.left_out {
        text.push_str(&prose("", &format!("Fields left out: {}.", comment(left_out))));
    }
}

fn rows(text: &mut String, shape: &Shape) {
    if shape.fields.is_empty() {
        return;
    }
    let shown: Vec<[String; 3]> = shape.fields.iter().map(row).collect();
    let width = |column: usize, head: &str| {
        let widths = shown
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        widths
            .filter(|width| *width <= PATH_COLUMNS_MAX)
            .max()
            .unwrap_or(0)
            .max(head.len())
    };
    let (path_width, times_width) = (width(0, "field"), width(1, "times"));
    text.push_str("#\n");
    text.push_str(&format!(
        "#   {:path_width$}  {:>times_width$}  types\n",
        "field", "times"
    ));
    for [path, times, types] in &shown {
        text.push_str(format!("#   {path:path_width$}  {times:>times_width$}  {types}").trim_end());
        text.push('\n');
    }
    text.push_str("#\n");
}

fn row(field: &Field) -> [String; 3] {
    let seen = &field.seen;
    let mut types = Vec::new();
    for name in seen.types() {
        types.push(match name {
            "string" => match seen.lengths {
                Some((shortest, longest)) if shortest == longest => format!("string of {longest}"),
                Some((shortest, longest)) => format!("string of {shortest} to {longest}"),
                None => "string".to_owned(),
            },
            "integer" => match seen.integer_range {
                Some((min, max)) => {
                    let digits = |number: i64| number.unsigned_abs().to_string().len();
                    let most = digits(min).max(digits(max));
                    let sign = if min < 0 { ", some negative" } else { "" };
                    format!(
                        "integer of up to {most} digit{}{sign}",
                        if most == 1 { "" } else { "s" }
                    )
                }
                None => "integer".to_owned(),
            },
            "array" => match seen.elements {
                Some((fewest, most)) if fewest == most => format!("array of {most}"),
                Some((fewest, most)) => format!("array of {fewest} to {most}"),
                None => "array".to_owned(),
            },
            other => other.to_owned(),
        });
    }
    if seen.nulls > 0 {
        types.push(format!("null ({})", seen.nulls));
    }
    let mut told = types.join(", ");
    let mut more = Vec::new();
    let name = match field.path.last() {
        Some(Step::Name(name)) => name.to_ascii_lowercase(),
        _ => String::new(),
    };
    match (seen.looks.common(), time(seen)) {
        (Some(look), _) if seen.strings > 0 => more.push(look.as_str().to_owned()),
        (_, Some(unit)) if is_time_name(&name) => more.push(words(unit).to_owned()),
        _ => {}
    }
    if seen.unheld > 0 {
        more.push(format!("no bin holds {} of them as they are", seen.unheld));
    }
    let scalars = seen.strings + seen.integers;
    let distinct = seen.distinct().filter(|_| scalars > 1 && seen.floats == 0);
    more.extend(distinct.map(|distinct| match distinct as u64 == scalars {
        true => "all different".to_owned(),
        false if distinct == 1 => "always the same".to_owned(),
        false => format!("{distinct} different"),
    }));
    if let Some(values) = seen.few_values() {
        let values: Vec<String> = values.iter().map(|value| string(value)).collect();
        more.push(format!("values: {}", values.join(", ")));
    }
    if !more.is_empty() {
        told.push_str(&format!("; {}", comment(&more.join("; "))));
    }
    [shown(&field.path), seen.times.to_string(), told]
}

/// A path as the configuration writes it, with `[]` for any element.
fn shown(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Element => text.push_str("[]"),
            Step::Name(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&comment(&path(&[name])));
            }
        }
    }
    text
}
