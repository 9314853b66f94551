//! What metrics cost: the service with its endpoints, asked once a second, and without them, by turns.

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::cpu::standard_error;
use crate::common::turns::{self, Service, Work};
use crate::metrics::Metrics;
use crate::program::Place;
use crate::whole::Work as Topic;

const INTERVAL: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(50);

/// The rate with metrics as a share of the rate without.
#[derive(Debug, Clone, Copy)]
pub struct Overhead {
    pub ratio: f64,
    /// The standard error of it.
    pub error: f64,
}

pub fn measure(place: &Place, work: &Topic, pairs: u32) -> Result<Overhead, Box<dyn Error>> {
    let (mut seconds, mut ratios) = ([0.0; 2], Vec::new());
    for pair in 0..pairs {
        // Free at this moment.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut services = Vec::new();
        for which in order {
            let endpoints = match which {
                0 => String::new(),
                _ => format!("[http]\nlisten = \"{address}\"\n"),
            };
            services.push(Service::start(&Work {
                brokers: &place.brokers,
                topic: &work.topic,
                group: &format!("{}-overhead-{pair}-{which}", place.name),
                messages: work.messages,
                hosts: place.hosts.as_deref(),
                aerospike: "",
                rest: &(endpoints + &work.workload.rules("", "")),
            })?);
        }
        let is_over = AtomicBool::new(false);
        let runs = thread::scope(|scope| {
            scope.spawn(|| ask(address, &is_over));
            let runs = turns::by_turns(services).map_err(|error| error.to_string());
            is_over.store(true, Relaxed);
            runs
        })?;
        let mut rates = [0.0; 2];
        for (which, run) in order.into_iter().zip(runs) {
            let totals = ["consumed", "written", "filtered", "rows"].map(|name| run.totals.get(name));
            let expected = work.expected;
            if totals
                != [
                    Ok(expected.consumed),
                    Ok(expected.written),
                    Ok(expected.filtered),
                    Ok(expected.rows),
                ]
            {
                return Err(format!("the account does not come out: {:?}", run.totals).into());
            }
            rates[which] = run.messages_per_second;
            seconds[which] += 1.0 / run.messages_per_second;
        }
        ratios.push(rates[1] / rates[0]);
    }
    Ok(Overhead {
        ratio: seconds[0] / seconds[1],
        error: standard_error(&ratios),
    })
}

/// Asks once a second, as Prometheus would every few seconds. It has no answer while it is the other one's turn.
fn ask(address: SocketAddr, is_over: &AtomicBool) {
    let mut next = Instant::now();
    while !is_over.load(Relaxed) {
        if Instant::now() >= next {
            let _ = Metrics::ask(address);
            next = Instant::now() + INTERVAL;
        }
        thread::sleep(GLANCE); // pacing
    }
}
