//! Any bytes as an HTTP request: it is read, refused, or more is waited for. Each answer is one that a client can read, and
//! repeats nothing of the request.

use std::sync::LazyLock;

use penstock::config;
use penstock::observe::seen::Seen;
use penstock::web::about::about;
use penstock::web::routes::Routes;
use penstock::web::server::{Answer, Head, Status, read};

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let text = include_str!("../rules/everything.toml");
    let config = config::parse(text, "everything.toml").unwrap_or_else(|faults| panic!("{faults}"));
    Routes::new(Seen::new(about(&config)))
});

/// The first byte: whether the buffer is full, and where the request is cut for the first look.
pub fn run(input: &[u8]) {
    let Some((by, request)) = input.split_first() else {
        return;
    };
    let is_full = by % 2 == 1;
    let first = &request[..usize::from(by / 2).min(request.len())];
    let early = read(first, false);
    let head = read(request, is_full);
    // What is decided stays decided: more bytes change nothing.
    if early != Head::Partial {
        assert_eq!(early, head, "more bytes changed the answer");
    }
    let (answer, has_body) = match head {
        Head::Partial => return assert!(!is_full, "waits for more, and there is no room"),
        Head::Refused(answer) => {
            assert_ne!(answer.status, Status::Ok);
            (answer, true)
        }
        Head::Whole(asked, has_body) => {
            assert!(asked.path.starts_with('/'), "{:?}", asked.path);
            (ROUTES.answer(&asked), has_body)
        }
    };
    readable(&answer, has_body);
}

fn readable(answer: &Answer, has_body: bool) {
    let bytes = answer.encoded(has_body);
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let at = match response.parse(&bytes) {
        Ok(httparse::Status::Complete(at)) => at,
        other => panic!("an answer that no client reads: {other:?}"),
    };
    let code = response.code.unwrap_or(0);
    assert!([200, 400, 404, 405, 431, 503].contains(&code), "status {code}");
    let body = &bytes[at..];
    assert_eq!(body, if has_body { answer.body.as_bytes() } else { b"" });
    let length = response.headers.iter().find(|header| header.name == "Content-Length");
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    assert_eq!(length, Some(answer.body.len()));
}
