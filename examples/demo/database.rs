//! Aerospike for the demo: either a real cluster, to which no fault is applied, or the simulator. The simulator runs in
//! its own process, so that its records are not counted as the service's memory.

use std::error::Error;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use penstock_sim::{SimConfig, Simulator, control_command};

/// The argument with which this program runs as the simulator.
pub const SIMULATOR_ARGUMENT: &str = "--simulator";

pub enum Database {
    Real {
        hosts: String,
    },
    Simulated {
        child: Child,
        addr: String,
        control: SocketAddr,
    },
}

impl Database {
    pub fn start(real: Option<&str>) -> Result<Self, Box<dyn Error>> {
        if let Some(hosts) = real {
            return Ok(Database::Real {
                hosts: hosts.to_string(),
            });
        }
        let mut child = Command::new(std::env::current_exe()?)
            .arg(SIMULATOR_ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some(addr), Some(control)) => Ok(Database::Simulated {
                addr: addr.to_string(),
                control: control.parse()?,
                child,
            }),
            _ => Err("the simulator did not start".into()),
        }
    }

    pub fn hosts(&self) -> &str {
        match self {
            Database::Real { hosts } => hosts,
            Database::Simulated { addr, .. } => addr,
        }
    }

    pub fn is_simulated(&self) -> bool {
        matches!(self, Database::Simulated { .. })
    }

    /// Accepts and reads, but answers nothing until [`Self::speak`].
    pub fn fall_silent(&self) -> io::Result<()> {
        self.tell("stall")
    }

    pub fn speak(&self) -> io::Result<()> {
        self.tell("unstall")
    }

    fn tell(&self, command: &str) -> io::Result<()> {
        match self {
            Database::Real { .. } => Ok(()),
            Database::Simulated { control, .. } => match control_command(*control, command)?.trim() {
                "ok" => Ok(()),
                answer => Err(io::Error::other(format!("the simulator answers {answer} to {command}"))),
            },
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Database::Simulated { child, .. } = self {
            // The simulator ends with its standard input; that ends with this process at the latest.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Runs this process as the simulator. Prints its addresses, and ends when its standard input ends.
pub fn run_simulator() -> io::Result<()> {
    let simulator = Simulator::start(SimConfig {
        control: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..SimConfig::default()
    })?;
    let control = simulator
        .control_addr()
        .ok_or_else(|| io::Error::other("no control port"))?;
    println!("{} {control}", simulator.addr());
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}
