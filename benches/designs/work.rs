//! The work that all designs share, in the process of a design: decode a message, map it to a record, write the record.
//!
//! Decode and map are the library's rules, so no design parses faster than another. A write is one `put` a message with the
//! `aerospike` crate, one batch call with it, or one with the library's native writer. Each is repeated until the
//! database has taken it: what a design loses, it loses by its offsets.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aerospike::operations::put;
use aerospike::{
    BatchOperation, BatchPolicy, BatchWritePolicy, Bin, Client, ClientPolicy, Key, ResultCode, Value as ClientValue,
    WritePolicy,
};
use clap::ValueEnum;
use penstock::aerospike::{Store, StoreOptions};
use penstock::config::{self, Config};
use penstock::delivery::guard::{Guard, GuardIdentity};
use penstock::delivery::plan::Plan;
use penstock::delivery::pressure::Pressure;
use penstock::delivery::write::{Calls, Limits, write};
use penstock::kafka::view;
use penstock::message::Message;
use penstock::observe::counters::Counters;
use penstock::output::Output;
use penstock::output::row::{Op, RecordKey, Row, RowAction};
use penstock::output::value::Value;
use penstock::processor::Processor as _;
use penstock::rules::mapping::Mapping;
use penstock::util::stop::Stop;
use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfig;

use crate::common::workload::Workload;

/// Messages in a batch, and rows in a batch call.
pub const BATCH: usize = 200;
/// The pause before a write is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Form {
    /// One `put` of the crate's client for each message.
    Single,
    /// Batch calls of the crate's client.
    Batch,
    /// Batch calls of the library's native writer.
    Native,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Single => "single",
            Form::Batch => "batch",
            Form::Native => "native",
        }
    }
}

/// What a design is given.
#[derive(Debug, Clone)]
pub struct Setup {
    pub brokers: String,
    pub topic: String,
    pub group: String,
    pub hosts: String,
    pub form: Form,
}

impl Setup {
    /// A consumer of the topic. `more`: properties beside the usual ones.
    pub fn consumer<C: FromClientConfig + rdkafka::consumer::Consumer>(
        &self,
        more: &[(&str, &str)],
    ) -> Result<C, Box<dyn Error>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("auto.offset.reset", "earliest")
            // The successor of a killed process has to wait for so long.
            .set("session.timeout.ms", "6000");
        for (key, value) in more {
            config.set(*key, *value);
        }
        let consumer: C = config.create()?;
        consumer.subscribe(&[&self.topic])?;
        Ok(consumer)
    }

    /// How many threads or tasks write at once. A batch call does the work of many.
    pub fn workers(&self) -> usize {
        if self.form == Form::Single { 32 } else { 8 }
    }

    /// The configuration of the service for the same work.
    pub fn config(&self, keys: &str) -> String {
        format!(
            "[kafka]\nbrokers = \"{}\"\ntopics = [\"{}\"]\ngroup = \"{}\"\n\
             [kafka.consumer]\n\"session.timeout.ms\" = 6000\n[aerospike]\nhosts = \"{}\"\nnamespace = \"test\"\n{keys}\n{}",
            self.brokers,
            self.topic,
            self.group,
            self.hosts,
            Workload::A.rules("", "")
        )
    }
}

/// Rules and database. All threads share it.
pub struct Work {
    topic: String,
    mapping: Mapping,
    database: Database,
}

enum Database {
    Single(Client),
    Batch(Client),
    Native(Box<Native>),
}

struct Native {
    store: Store,
    pressure: Pressure,
    guard: Guard,
    stop: Stop,
}

impl Work {
    pub fn new(setup: &Setup) -> Result<Arc<Work>, Box<dyn Error>> {
        let config = config::parse(&setup.config(""), "designs.toml").map_err(|faults| faults.to_string())?;
        let client = || Client::new(&ClientPolicy::default(), &setup.hosts);
        let database = match setup.form {
            Form::Single => Database::Single(client()?),
            Form::Batch => Database::Batch(client()?),
            Form::Native => Database::Native(Box::new(Native::connect(&config, setup)?)),
        };
        Ok(Arc::new(Work {
            topic: setup.topic.clone(),
            mapping: Mapping::compile(&config)?,
            database,
        }))
    }

    /// Writes the record of one message.
    pub fn write_one(&self, message: &impl rdkafka::Message) {
        self.write(std::slice::from_ref(message));
    }

    /// Writes the records of these messages, in one call unless the form is single.
    pub fn write<'m>(&self, messages: impl IntoIterator<Item = &'m (impl rdkafka::Message + 'm)>) {
        let Some(rules) = self.mapping.topic(&self.topic) else {
            return;
        };
        let views: Vec<Message<'_>> = messages.into_iter().map(|message| view(message, false)).collect();
        let mut output = Output::default();
        for (place, message) in views.iter().enumerate() {
            output.begin(place);
            if rules.process(message, 0, &mut output).is_err() {
                output.take_back();
            }
        }
        match &self.database {
            Database::Single(client) => output.rows.iter().for_each(|row| put_row(client, row)),
            Database::Batch(client) => output.rows.chunks(BATCH).for_each(|rows| batch_rows(client, rows)),
            Database::Native(native) => native.write(output.rows),
        }
    }
}

// ---- with the crate's client

fn key(row: &Row<'_>) -> Key {
    let key = match &row.key {
        RecordKey::String(text) => ClientValue::from(text.as_ref()),
        RecordKey::Integer(number) => ClientValue::from(*number),
        RecordKey::Bytes(bytes) => ClientValue::from(bytes.to_vec()),
    };
    Key::new(&*row.target.namespace, &*row.target.set, key).expect("a string is a key")
}

fn bins(row: &Row<'_>) -> Vec<Bin> {
    let RowAction::Write(ops) = &row.action else {
        return Vec::new();
    };
    let bin = |op: &Op<'_>| match op {
        Op::Put { bin, value } => Some(Bin::new(&**bin, client_value(value))),
        _ => None,
    };
    ops.iter().filter_map(bin).collect()
}

fn client_value(value: &Value<'_>) -> ClientValue {
    match value {
        Value::Int(number) => ClientValue::from(*number),
        Value::Float(number) => ClientValue::from(*number),
        Value::Str(text) => ClientValue::from(text.as_ref()),
        _ => ClientValue::Nil,
    }
}

fn put_row(client: &Client, row: &Row<'_>) {
    let (key, bins) = (key(row), bins(row));
    while client.put(&WritePolicy::default(), &key, &bins).is_err() {
        thread::sleep(PAUSE);
    }
}

fn batch_rows(client: &Client, rows: &[Row<'_>]) {
    let mut open: Vec<usize> = (0..rows.len()).collect();
    while !open.is_empty() {
        // Built again for each call: a failed one may destroy its rows.
        let operation = |row: &usize| {
            let bins = bins(&rows[*row]);
            BatchOperation::write(
                &BatchWritePolicy::default(),
                key(&rows[*row]),
                bins.iter().map(put).collect::<Vec<_>>(),
            )
        };
        let mut operations: Vec<BatchOperation> = open.iter().map(operation).collect();
        // What it returns says nothing about the rows.
        let _ = client.batch(&BatchPolicy::write_default(), &mut operations);
        let mut done = operations
            .iter()
            .map(|operation| operation.batch_record().result_code() == Some(ResultCode::Ok));
        open.retain(|_| !done.next().unwrap_or(false));
        if !open.is_empty() {
            thread::sleep(PAUSE);
        }
    }
}

// ---- with the native writer

impl Native {
    fn connect(config: &Config, setup: &Setup) -> Result<Native, Box<dyn Error>> {
        let (counters, stop) = (Arc::new(Counters::new()), Stop::new());
        let options = StoreOptions {
            write_timeout: config.run.write_timeout,
            workers: setup.workers(),
            start_timeout: None,
            namespaces: vec!["test".to_owned()],
            whole: true,
        };
        Ok(Native {
            store: Store::connect(&config.aerospike, &options, counters.clone(), &stop)?,
            pressure: Pressure::new(config.run.rows_in_flight_max, None, counters),
            guard: Guard::new(&GuardIdentity {
                group: &setup.group,
                topic_id: [0; 16],
                topic: &setup.topic,
                partition: 0,
                epoch: 0,
            }),
            stop,
        })
    }

    /// The library's write loop repeats it. Rows on one record are merged or sent one after another.
    fn write(&self, rows: Vec<Row<'_>>) {
        let mut plan = Plan::with_capacity(rows.len());
        for row in rows {
            plan.push(row, 0);
        }
        let limits = Limits {
            rows: BATCH,
            bytes: 4 << 20,
            finish_max: Duration::ZERO,
        };
        let calls = Calls {
            writer: &self.store,
            pressure: &self.pressure,
            stop: &self.stop,
            meanwhile: &|| {},
        };
        write(&plan, &limits, &self.guard, &calls);
    }
}
