//! Which path gets which answer. A new endpoint is a row of [`PATHS`] and an arm of [`Routes::answer`].
//!
//! Called on the thread `http`. Takes the last snapshot from the board, and holds no lock while it makes an answer.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::health::{self, Check};
use super::metrics::Format;
use super::server::{Answer, Request, Status};
use super::{metrics, status};
use crate::observe::seen::Seen;

/// Every path, and what it serves.
pub const PATHS: [(&str, &str); 5] = [
    ("/", "the status page, for people"),
    ("/metrics", "metrics, for Prometheus"),
    (
        "/livez",
        "200 as long as the process is alive, otherwise 503 with the reason",
    ),
    ("/readyz", "200 while it does its work, otherwise 503 with the reason"),
    ("/status", "all that the page shows, as JSON"),
];

/// The page for people. It loads no other files.
const PAGE: &str = include_str!("page/index.html");

/// The data for the answers.
#[derive(Debug)]
pub struct Routes {
    seen: Seen,
    /// About when the process started.
    started: Instant,
    page_policy: String,
}

impl Routes {
    pub fn new(seen: Seen) -> Routes {
        seen.board.watch();
        Routes {
            seen,
            started: Instant::now(),
            page_policy: policy(PAGE),
        }
    }

    pub fn answer(&self, request: &Request) -> Answer {
        let Seen { board, counters } = &self.seen;
        let snapshot = board.last();
        let now = Instant::now();
        match request.path.as_str() {
            "/" => Answer::new(Status::Ok, "text/html; charset=utf-8", PAGE)
                .with("Content-Security-Policy", self.page_policy.as_str())
                .with("Referrer-Policy", "no-referrer"),
            "/metrics" => {
                let format = Format::of(Some(&request.accept));
                let text = metrics::text(counters, board, format);
                Answer::new(Status::Ok, format.content_type(), text)
            }
            "/livez" => checked(&health::live(&snapshot, now)),
            "/readyz" => checked(&health::ready(&snapshot, now)),
            "/status" => json(
                Status::Ok,
                &status::json(&board.about, &snapshot, counters, self.started, now),
            ),
            _ => Answer::text(Status::NotFound, paths()),
        }
    }
}

fn json(status: Status, value: &Value) -> Answer {
    Answer::new(status, "application/json", format!("{value}\n"))
}

fn checked(checks: &[Check]) -> Answer {
    let status = if checks.iter().all(|check| check.is_ok) {
        Status::Ok
    } else {
        Status::Unavailable
    };
    json(status, &health::json(checks))
}

/// The answer to an unknown path: the list of paths.
fn paths() -> String {
    let mut text = "this path is none of:\n".to_owned();
    for (path, what) in PATHS {
        text.push_str(&format!("{path:<10}{what}\n"));
    }
    text
}

/// The page's Content-Security-Policy. It allows the page's own style and script, by their hashes, and requests to this
/// server.
fn policy(page: &str) -> String {
    let source = |tag: &str| {
        let hashes: Vec<String> = blocks(page, tag)
            .into_iter()
            .map(|block| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(block))))
            .collect();
        if hashes.is_empty() {
            "'none'".to_owned()
        } else {
            hashes.join(" ")
        }
    };
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source("style"),
        source("script")
    )
}

/// The texts between `<tag …>` and `</tag>`.
fn blocks<'a>(page: &'a str, tag: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{tag}"), format!("</{tag}>"));
    let parts = page.split(begin.as_str()).skip(1);
    let block = |part: &'a str| part.split_once('>')?.1.split(end.as_str()).next();
    parts.filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::super::about;
    use super::*;

    fn routes() -> Routes {
        Routes::new(Seen::new(about::example()))
    }

    fn get(path: &str) -> Answer {
        routes().answer(&Request {
            path: path.to_owned(),
            accept: String::new(),
        })
    }

    #[test]
    fn every_path_has_an_answer_of_its_own() {
        for (path, _) in PATHS {
            let answer = get(path);
            let expected = if path == "/readyz" {
                Status::Unavailable
            } else {
                Status::Ok
            };
            assert_eq!(answer.status, expected, "{path}");
            assert!(!answer.body.is_empty(), "{path}");
        }
    }

    #[test]
    fn another_path_gets_the_list_and_is_not_repeated() {
        for path in [
            "/nonsense",
            "/metrics/",
            "/../etc/passwd",
            "/Status",
            "//",
            "/%6detrics",
        ] {
            let answer = get(path);
            assert_eq!(answer.status, Status::NotFound, "{path}");
            assert!(PATHS.iter().all(|(known, _)| answer.body.contains(known)), "{path}");
            assert!(
                !answer.body.contains("nonsense") && !answer.body.contains("passwd"),
                "{path}"
            );
        }
    }

    #[test]
    fn the_page_may_use_its_own_style_and_script_and_nothing_else() {
        // The first is the example of the standard (CSP level 3, "hash-source").
        let page = "<script>alert('Hello, world.');</script><style media=\"print\">a</style>\n<style>b</style>";
        let policy = policy(page);
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src {} {}; script-src 'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='; \
                 connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
                hash("a"),
                hash("b")
            )
        );
        let answer = get("/");
        let (_, sent) = &answer.headers[0];
        assert!(
            answer.headers[0].0 == "Content-Security-Policy" && !sent.contains("unsafe"),
            "{sent}"
        );
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for part in [
            "src=\"http",
            "src=\"//",
            "<link rel=\"stylesheet",
            "@import",
            "url(http",
            " style=\"",
            " onclick=",
        ] {
            assert!(!PAGE.contains(part), "{part}");
        }
    }
}
