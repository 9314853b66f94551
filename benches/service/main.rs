//! x
#[path = "../common/mod.rs"]
mod common;
fn main() {
    use common::{charts::*, machine::Machine, report::Table};
    let m = Machine::here("simulator", "make bench");
    println!("{}", m.text());
    let mut t = Table::new(["a", "messages/s"]);
    t.row(["x".into(), "12".into()]);
    println!("{}{}", t.text(), t.markdown());
    let b = |n: &str, p: Vec<f64>| Bar {
        name: n.into(),
        spread: Some((p[0] * 0.8, p[0] * 1.1)),
        parts: p,
        label: "187 K".into(),
    };
    bars(
        "/tmp/bars.svg".as_ref(),
        "Messages a second",
        "messages/s",
        &[],
        &[b("A", vec![187e3]), b("B: two records", vec![120e3])],
    )
    .unwrap();
    let b = |n: &str, p: Vec<f64>| Bar {
        name: n.into(),
        spread: None,
        parts: p,
        label: "12.3".into(),
    };
    bars(
        "/tmp/stack.svg".as_ref(),
        "CPU",
        "µs",
        &["service", "broker"],
        &[b("A", vec![2.0, 3.0]), b("B: two records", vec![3.0, 4.0])],
    )
    .unwrap();
    lines(
        "/tmp/lines.svg".as_ref(),
        "Latency",
        ["messages/s", "ms"],
        &[
            Line {
                name: "p50".into(),
                points: vec![(1.0, 2.0), (20e3, 3.0), (100e3, 8.0)],
            },
            Line {
                name: "p99".into(),
                points: vec![(1.0, 4.0), (20e3, 13.0), (100e3, 80.0)],
            },
        ],
    )
    .unwrap();
}
