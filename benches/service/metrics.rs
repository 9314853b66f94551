//! The figures that the service tells at `/metrics`: counters, gauges and histograms.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What `/metrics` has said at one moment: names with their labels, and values.
#[derive(Debug, Clone, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks the service.
    pub fn ask(address: SocketAddr) -> io::Result<Metrics> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let answer = io::read_to_string(&mut stream)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        if !head.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("/metrics answers {head:?}")));
        }
        Ok(Metrics::read(body))
    }

    fn read(body: &str) -> Metrics {
        let samples = body.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Metrics(samples.collect())
    }

    /// A counter or gauge of Penstock's. What has no sample is 0.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(&format!("penstock_{name}")).copied().unwrap_or(0.0)
    }

    pub fn count(&self, name: &str) -> u64 {
        self.get(name) as u64
    }

    /// Messages that are finished, whatever became of them.
    pub fn done(&self) -> u64 {
        ["written", "filtered", "dead_lettered"]
            .iter()
            .map(|end| self.count(&format!("messages_{end}_total")))
            .sum()
    }

    pub fn histogram(&self, name: &str) -> Histogram {
        let begin = format!("penstock_{name}_bucket{{le=\"");
        let buckets = self.0.range(begin.clone()..);
        let buckets = buckets.take_while(|(key, _)| key.starts_with(&begin));
        let buckets = buckets.filter_map(|(key, count)| {
            let bound = key[begin.len()..].split('"').next()?;
            Some((bound.parse().ok()?, *count))
        });
        let mut buckets: Vec<(f64, f64)> = buckets.collect();
        buckets.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        Histogram {
            buckets,
            sum: self.get(&format!("{name}_sum")),
        }
    }
}

/// Upper bounds, and how many values are at most so large.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<(f64, f64)>,
    sum: f64,
}

impl Histogram {
    fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    pub fn mean(&self) -> f64 {
        self.sum / self.count()
    }

    /// The values since an earlier moment.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let pairs = self.buckets.iter().zip(&earlier.buckets);
        Histogram {
            buckets: pairs.map(|(now, then)| (now.0, now.1 - then.1)).collect(),
            sum: self.sum - earlier.sum,
        }
    }

    /// A quantile, interpolated within its bucket as Prometheus does. NaN: there are no values.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = share * self.count();
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.buckets {
            if *count >= rank && *count > below {
                return match bound.is_finite() {
                    true => low + (bound - low) * (rank - below) / (count - below),
                    false => low,
                };
            }
            (low, below) = (*bound, *count);
        }
        f64::NAN
    }
}
