//! The simulator as a program of its own, so that the service can be killed and the data stay: `penstock-sim` serves
//! until SIGTERM or SIGINT, `penstock-sim ctl` talks to the control port of one that serves.
//!
//! Only arguments and signals stand here; everything else is `penstock_sim`.

// A command line tool speaks to its user.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use penstock_sim::{NamespaceConfig, SimConfig, Simulator};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const EXAMPLES: &str = "\
Examples:
  penstock-sim --listen 127.0.0.1:3000 --control 127.0.0.1:3999
  penstock-sim --nodes 3
  penstock-sim --nodes 3 --announce B2=10.255.255.1:3000 --announce-alternate B2=127.0.0.1:3001
  penstock-sim --user penstock --password secret
  penstock-sim ctl 127.0.0.1:3999 rows 18 20%
  penstock-sim ctl 127.0.0.1:3999 at B2 stall
  penstock-sim ctl 127.0.0.1:3999 leave C3 lossy
  penstock-sim ctl 127.0.0.1:3999 login refuse 60
  penstock-sim ctl 127.0.0.1:3999 announce C3 db-int:3000
  penstock-sim ctl 127.0.0.1:3999 clear
  penstock-sim ctl 127.0.0.1:3999 help";

/// An Aerospike server in memory, for demos and tests, that fails on command.
#[derive(Parser)]
#[command(name = "penstock-sim", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Says one command to the control port of a running simulator, and prints its answer.
    Ctl {
        /// The control address it printed when it started.
        addr: SocketAddr,
        /// The command (`help` lists them).
        #[arg(required = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

#[derive(Args)]
struct Serve {
    /// Where clients connect, the first node's address; the others take the ports that follow. Port 0 takes free ones.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// How many nodes the cluster has, 1 to 3.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Where control commands are heard.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// The namespaces it has.
    #[arg(long, value_delimiter = ',', default_value = "test")]
    namespaces: Vec<String>,
    /// Rows of one batch on one key run in order instead of racing.
    #[arg(long)]
    inline: bool,
    /// Largest number of rows in a batch; 0: no limit.
    #[arg(long, default_value_t = 0)]
    batch_rows_max: u32,
    /// User that clients must log in as.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// That user's password.
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// What a login is answered without --user: 51 as by the community edition, 52 as by an enterprise edition without security.
    #[arg(long, default_value_t = 51, conflicts_with = "user")]
    security_off: u8,
    /// Where a node says it is, in place of where it listens: NODE=HOST:PORT, as B2=10.0.0.2:3000. Can be given again.
    #[arg(long, value_parser = announcement)]
    announce: Vec<(String, String)>,
    /// The same of a node's alternate address; by default it has none.
    #[arg(long, value_parser = announcement)]
    announce_alternate: Vec<(String, String)>,
    /// Where shares and races start from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn announcement(text: &str) -> Result<(String, String), String> {
    let (node, address) = text.split_once('=').ok_or("not of the form NODE=HOST:PORT")?;
    Ok((node.to_owned(), address.to_owned()))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Ctl { addr, words }) => ctl(addr, &words),
        None => serve(cli.serve).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("penstock-sim: {error}");
        ExitCode::FAILURE
    })
}

fn ctl(addr: SocketAddr, words: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    let answer = penstock_sim::control_command(addr, &words.join(" ")).map_err(|error| format!("{addr}: {error}"))?;
    println!("{answer}");
    Ok(if answer.starts_with("error:") {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn serve(serve: Serve) -> Result<(), Box<dyn Error>> {
    // Before anything listens: a signal that comes early must end it, too.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let config = SimConfig {
        listen: serve.listen,
        nodes: serve.nodes,
        control: Some(serve.control),
        namespaces: serve.namespaces.into_iter().map(NamespaceConfig::new).collect(),
        inline: serve.inline,
        batch_rows_max: serve.batch_rows_max,
        login: serve.user.zip(serve.password),
        security_off: serve.security_off,
        announce: serve.announce,
        announce_alternate: serve.announce_alternate,
        seed: serve.seed,
        ..SimConfig::default()
    };
    let simulator = Simulator::start(config).map_err(|error| format!("cannot listen on {}: {error}", serve.listen))?;
    let control = simulator
        .control_addr()
        .map_or_else(|| "none".to_owned(), |addr| addr.to_string());
    let addrs: Vec<String> = simulator.addrs().iter().map(ToString::to_string).collect();
    let nodes = match addrs.as_slice() {
        [_] => String::new(),
        addrs => format!(" nodes={}", addrs.join(",")),
    };
    let mut stdout = std::io::stdout();
    writeln!(
        stdout,
        "penstock-sim: listening on {} control={control}{nodes}",
        simulator.addr()
    )?;
    stdout.flush()?;
    signals.forever().next();
    drop(simulator);
    Ok(())
}
