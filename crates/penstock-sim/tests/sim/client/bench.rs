//! One record's operations sent as a row of a batch and as a command of their own, for tests that do the same both ways.

use super::*;
use aerospike::expressions::Expression;
use aerospike::operations::Operation;
use std::collections::BTreeMap;

pub const KEY_NOT_FOUND: u8 = 2;
pub const PARAMETER: u8 = 4;
pub const EXISTS: u8 = 5;
pub const TYPE: u8 = 12;
pub const FILTERED: u8 = 27;

/// How a row is written, whichever way it goes.
#[derive(Clone)]
pub struct Rule {
    pub mode: RecordExistsAction,
    pub filter: Option<Expression>,
    pub ttl: Expiration,
    pub generation: Option<u32>,
}

impl Default for Rule {
    fn default() -> Self {
        Rule {
            mode: RecordExistsAction::Update,
            filter: None,
            ttl: Expiration::NamespaceDefault,
            generation: None,
        }
    }
}

impl Rule {
    pub fn mode(mode: RecordExistsAction) -> Self {
        Rule {
            mode,
            ..Rule::default()
        }
    }

    pub fn filter(filter: Expression) -> Self {
        Rule {
            filter: Some(filter),
            ..Rule::default()
        }
    }

    pub fn ttl(ttl: Expiration) -> Self {
        Rule { ttl, ..Rule::default() }
    }

    pub fn generation_policy(&self) -> GenerationPolicy {
        match self.generation {
            Some(_) => GenerationPolicy::ExpectGenEqual,
            None => GenerationPolicy::None,
        }
    }
}

/// A simulator, a client, and one of the two ways.
pub struct Bench {
    pub simulator: Simulator,
    pub client: Client,
    pub in_batch: bool,
}

impl Bench {
    /// The result code of these operations on one record.
    pub fn send(&self, rule: &Rule, id: i64, ops: Vec<Operation>) -> u8 {
        if self.in_batch {
            let policy = BatchWritePolicy {
                record_exists_action: rule.mode,
                filter_expression: rule.filter.clone(),
                expiration: rule.ttl,
                generation: rule.generation.unwrap_or(0),
                generation_policy: rule.generation_policy(),
                ..BatchWritePolicy::default()
            };
            return self.batch(BatchOperation::write(&policy, key(id), ops));
        }
        let mut policy = WritePolicy {
            record_exists_action: rule.mode,
            expiration: rule.ttl,
            generation: rule.generation.unwrap_or(0),
            generation_policy: rule.generation_policy(),
            ..write_policy(LONG_MS)
        };
        policy.base_policy.filter_expression = rule.filter.clone();
        code(self.client.operate(&policy, &key(id), &ops))
    }

    pub fn delete(&self, filter: Option<Expression>, id: i64) -> u8 {
        if self.in_batch {
            let policy = BatchDeletePolicy {
                filter_expression: filter,
                ..BatchDeletePolicy::default()
            };
            return self.batch(BatchOperation::delete(&policy, key(id)));
        }
        let mut policy = write_policy(LONG_MS);
        policy.base_policy.filter_expression = filter;
        match self.client.delete(&policy, &key(id)) {
            Ok(false) => KEY_NOT_FOUND,
            result => code(result),
        }
    }

    pub fn batch(&self, row: BatchOperation) -> u8 {
        // Two rows: a row alone on its node would go as a single message.
        let other = BatchOperation::read(&BatchReadPolicy::default(), key(-1), Bins::None);
        let mut rows = vec![row, other];
        self.client.batch(&batch_policy(LONG_MS), &mut rows).unwrap();
        assert_eq!(rows[1].result_code(), Some(ResultCode::KeyNotFoundError));
        rows[0].result_code().unwrap().into()
    }

    pub fn plain(&self, id: i64, ops: Vec<Operation>) -> u8 {
        self.send(&Rule::default(), id, ops)
    }

    pub fn seed(&self, id: i64, bins: &[(&str, SimValue)]) {
        self.simulator.put("test", "s", id, bins).unwrap();
    }

    pub fn bins(&self, id: i64) -> Option<BTreeMap<String, SimValue>> {
        self.simulator.get("test", "s", id).map(|record| record.bins)
    }

    pub fn bin(&self, id: i64, name: &str) -> Option<SimValue> {
        self.bins(id)?.remove(name)
    }
}

pub fn code<T: std::fmt::Debug>(result: aerospike::Result<T>) -> u8 {
    match result {
        Ok(_) => 0,
        Err(error) => error.server_result_code().map_or_else(|| panic!("{error}"), u8::from),
    }
}

/// Runs `test` as a row of a batch, and as a command.
pub fn both_ways(test: impl Fn(&Bench)) {
    both_ways_with(SimConfig::default(), test);
}

pub fn both_ways_with(config: SimConfig, test: impl Fn(&Bench)) {
    for in_batch in [true, false] {
        // A failure is to say which way it went.
        #[allow(clippy::print_stdout)]
        {
            println!("in a batch: {in_batch}");
        }
        let (simulator, client) = start(config.clone());
        test(&Bench {
            simulator,
            client,
            in_batch,
        });
    }
}

pub fn put(name: &str, value: impl Into<Value>) -> Operation {
    operations::put(&Bin::new(name, value.into()))
}

pub fn put_null(name: &str) -> Operation {
    operations::put(&Bin::new(name, Value::Nil))
}

pub fn add(name: &str, value: impl Into<Value>) -> Operation {
    operations::add(&Bin::new(name, value.into()))
}

pub fn bins(expected: &[(&str, SimValue)]) -> Option<BTreeMap<String, SimValue>> {
    let owned = |(name, value): &(&str, SimValue)| ((*name).to_owned(), value.clone());
    Some(expected.iter().map(owned).collect())
}
