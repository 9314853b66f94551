//! The simulator as a program of its own, so that the service can be killed while the data stays. `penstock-sim` serves
//! until SIGTERM or SIGINT; `penstock-sim ctl` talks to the control port of a running one.
//!
//! This file has only arguments and signals; everything else is in `penstock_sim`.

// A command line tool prints to its user.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::{Args, Parser, Subcommand};
use penstock_sim::{NamespaceConfig, SimConfig, SimTls, Simulator};

const EXAMPLES: &str = "\
Examples:
  penstock-sim --listen 127.0.0.1:3000 --control 127.0.0.1:3999
  penstock-sim --nodes 3
  penstock-sim --nodes 3 --announce B2=10.255.255.1:3000 --announce-alternate B2=127.0.0.1:3001
  penstock-sim --user penstock --password secret
  penstock-sim ctl 127.0.0.1:3999 get test users u1
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
    /// Send one command to the control port of a running simulator, and print the answer.
    Ctl {
        /// The control address that the simulator printed at its start.
        addr: SocketAddr,
        /// The command (`help` lists them).
        #[arg(required = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

#[derive(Args)]
struct Serve {
    /// Address of the first node; the others use the ports that follow. Port 0 chooses free ports.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Number of nodes in the cluster, 1 to 3.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Address of the control port.
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Names of the namespaces.
    #[arg(long, value_delimiter = ',', default_value = "test")]
    namespaces: Vec<String>,
    /// Run the rows of one batch on one key in order instead of letting them race.
    #[arg(long)]
    inline: bool,
    /// Maximum number of rows in a batch; 0: no limit.
    #[arg(long, default_value_t = 0)]
    batch_rows_max: u32,
    /// User that clients must log in as.
    #[arg(long, requires = "password")]
    user: Option<String>,
    /// That user's password.
    #[arg(long, requires = "user")]
    password: Option<String>,
    /// Answer to a login without --user: 51 like the community edition, 52 like an enterprise edition without security.
    #[arg(long, default_value_t = 51, conflicts_with = "user")]
    security_off: u8,
    /// Address that a node announces instead of its own: NODE=HOST:PORT, e.g. B2=10.0.0.2:3000. May be repeated.
    #[arg(long, value_parser = announcement)]
    announce: Vec<(String, String)>,
    /// The same for a node's alternate address; by default it has none.
    #[arg(long, value_parser = announcement)]
    announce_alternate: Vec<(String, String)>,
    /// PEM file with the nodes' certificate: all their ports have TLS.
    #[arg(long, requires_all = ["tls_key", "tls_name"])]
    tls_certificate: Option<PathBuf>,
    /// PEM file with that certificate's key.
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The name in the certificate, which the nodes say of each other.
    #[arg(long, requires = "tls_certificate")]
    tls_name: Option<String>,
    /// PEM file with the authority of the clients' certificates; without it clients need none.
    #[arg(long, requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,
    /// Seed of shares and races.
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
    // Before anything listens, so that an early signal ends it too.
    let (signal, signalled) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Nobody waits for the second one.
        let _ = signal.send(());
    })?;
    let tls = match (serve.tls_certificate, serve.tls_key, serve.tls_name) {
        (Some(certificate), Some(key), Some(name)) => Some(SimTls {
            name,
            certificate,
            key,
            client_ca: serve.tls_client_ca,
        }),
        _ => None,
    };
    let config = SimConfig {
        listen: serve.listen,
        nodes: serve.nodes,
        control: Some(serve.control),
        namespaces: serve.namespaces.into_iter().map(NamespaceConfig::new).collect(),
        inline: serve.inline,
        batch_rows_max: serve.batch_rows_max,
        login: serve.user.zip(serve.password),
        security_off: serve.security_off,
        tls,
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
    signalled.recv()?;
    drop(simulator);
    Ok(())
}
