//! `penstock man`: the manual pages, for `man`. The installation and the archive contain them.
//!
//! `clap_mangen` renders the definition of the command line. The sections that it does not know come from here: the text
//! under a command's help, divided, and what applies to all commands.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Arguments, refuse};
use crate::util::exit::Exit;
use crate::util::stop::SECOND_SIGNAL;
use crate::util::version;

/// Prints the main page, or writes all pages into this folder.
pub(super) fn man(folder: Option<&Path>) -> Exit {
    let command = command();
    let Some(folder) = folder else {
        let _ = io::stdout().lock().write_all(&page(&command, true));
        return Exit::Stopped;
    };
    let subcommands = command.get_subcommands().map(|command| (command, false));
    let written = fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error));
    let written = written.and_then(|()| {
        [(&command, true)]
            .into_iter()
            .chain(subcommands)
            .try_for_each(|(command, is_main)| {
                let file = folder.join(Man::new(command.clone()).get_filename());
                fs::write(&file, page(command, is_main)).map_err(|error| (file, error))
            })
    });
    match written {
        Ok(()) => Exit::Stopped,
        Err((path, error)) => refuse(&format!(
            "{}: {error}; name a folder that you may write to",
            path.display()
        )),
    }
}

/// The command line, as the pages show it.
fn command() -> Command {
    // `penstock help` is what the pages are for.
    let mut command = Arguments::command()
        .disable_help_subcommand(true)
        .subcommand_help_heading("COMMANDS")
        .subcommand_value_name("COMMAND");
    // Gives the subcommands their full names.
    command.build();
    command
}

/// One page. Written to memory: a pipe that is closed early must not cause a panic.
fn page(command: &Command, is_main: bool) -> Vec<u8> {
    let man = Man::new(command.clone());
    // In place of `render_title`, which leaves out a date that is not known, and takes the next word for the date.
    let name = command.get_display_name().unwrap_or("penstock").to_uppercase();
    let title = format!(
        ".TH {name} 1 \"{}\" \"penstock {}\" Penstock\n",
        version::DATE,
        version::NUMBER
    );
    let mut page = title.into_bytes();
    let sections = [
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    // A write to memory does not fail.
    for render in sections {
        let _ = render(&man, &mut page);
    }
    if is_main {
        let _ = man.render_subcommands_section(&mut page);
    }
    let mut roff = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let parts = Parts::of(&help);
    section(&mut roff, "EXAMPLES", &parts.examples);
    section(&mut roff, "NOTES", &parts.notes);
    if is_main {
        exit_status(&mut roff);
        environment(&mut roff);
        files(&mut roff);
        see_also(&mut roff, command);
    } else {
        if parts.exit_codes.is_empty() {
            section(&mut roff, "EXIT STATUS", &["See penstock(1)."]);
        } else {
            section(&mut roff, "EXIT STATUS", &parts.exit_codes);
        }
        section(&mut roff, "SEE ALSO", &["penstock(1)"]);
    }
    let _ = roff.to_writer(&mut page);
    page
}

/// The text under a command's help, by section.
#[derive(Default)]
struct Parts<'t> {
    examples: Vec<&'t str>,
    notes: Vec<&'t str>,
    exit_codes: Vec<&'t str>,
}

impl<'t> Parts<'t> {
    fn of(help: &'t str) -> Parts<'t> {
        let mut parts = Parts::default();
        for paragraph in help.split("\n\n") {
            let mut lines = paragraph.lines().peekable();
            let part = match lines.peek() {
                Some(&("Example:" | "Examples:")) => &mut parts.examples,
                Some(&"Exit codes:") => &mut parts.exit_codes,
                _ => {
                    if !parts.notes.is_empty() {
                        parts.notes.push("");
                    }
                    parts.notes.extend(lines);
                    continue;
                }
            };
            part.extend(lines.skip(1));
        }
        parts
    }
}

/// A section of lines. Indented lines stay as they are, the others are filled, and an empty one begins a paragraph.
fn section(roff: &mut Roff, title: &str, lines: &[&str]) {
    if lines.is_empty() {
        return;
    }
    roff.control("SH", [title]);
    let mut is_literal = false;
    for line in lines {
        let indented = line.strip_prefix("  ");
        if indented.is_some() != is_literal {
            is_literal = !is_literal;
            roff.control(if is_literal { "nf" } else { "fi" }, []);
        }
        if line.is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(indented.unwrap_or(line))]);
        }
    }
    if is_literal {
        roff.control("fi", []);
    }
}

/// A term and what it means.
fn term(roff: &mut Roff, term: &str, text: &str) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    roff.text([roman(text)]);
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        term(roff, &exit.code().to_string(), exit.meaning());
    }
    term(roff, &SECOND_SIGNAL.to_string(), "a second signal");
    roff.control("PP", []);
    let person: Vec<String> = Exit::ALL
        .iter()
        .filter(|exit| exit.needs_person())
        .map(|exit| exit.code().to_string())
        .collect();
    let person = format!(
        "Do not start it again after {}: a person must act first.",
        person.join(", ")
    );
    roff.text([roman(person)]);
}

/// The variables that the program reads.
const ENVIRONMENT: [(&str, &str); 8] = [
    (
        "PENSTOCK_LOG",
        "What is logged: a level, or levels by module (info,penstock=debug). The default is info for run, and error for the \
         others.",
    ),
    ("RUST_LOG", "The same, where PENSTOCK_LOG is not set."),
    ("PENSTOCK_LOG_FORMAT", "text or json: as run --log-format."),
    ("PENSTOCK_HEARTBEAT_FILE", "As run --heartbeat-file."),
    ("NO_COLOR", "No colours on a terminal."),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "Set by systemd. The service says when it runs and ends, and that it progresses.",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Certificates of authorities, in place of the system's. ssl.ca.location in the configuration goes before them.",
    ),
    (
        "any other",
        "The configuration takes values from it where it says ${env:NAME}.",
    ),
];

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    for (name, text) in ENVIRONMENT {
        term(roff, name, text);
    }
}

/// The files of an installation: `scripts/install.sh` and `docs/guide/installing.md`.
const FILES: [(&str, &str); 4] = [
    (
        "/etc/penstock/NAME.toml",
        "The usual place of a configuration. Nothing is read that is not named.",
    ),
    (
        "PREFIX/share/penstock/examples",
        "Configurations to begin with, and their fixtures.",
    ),
    (
        "PREFIX/share/penstock/penstock.schema.json",
        "What penstock schema prints, for editors.",
    ),
    ("PREFIX/share/doc/penstock", "The documents, what is new, and licences."),
];

fn files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for (name, text) in FILES {
        roff.control("TP", []);
        roff.text([italic(name)]);
        roff.text([roman(text)]);
    }
    roff.control("PP", []);
    roff.text([roman("PREFIX is where Penstock is installed, for instance /usr/local.")]);
}

fn see_also(roff: &mut Roff, command: &Command) {
    let commands = command
        .get_subcommands()
        .map(|command| format!("penstock-{}(1)", command.get_name()));
    let pages: Vec<String> = commands.chain(["penstock-cron(1)".to_owned()]).collect();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
