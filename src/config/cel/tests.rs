//! x
use super::*;
#[test]
fn explore() {
    let scope = Scope { root: &[], each: true };
    for text in [
        "has(type)",
        "type = 'a'",
        "a == 1 and b == 2",
        "a &&",
        "a.b(",
        "type != 'x'",
        "user.id > 3",
        "startswith(a, 'b')",
        "a.startswith('b')",
        "startsWith(a, 'b')",
        "a.startsWith()",
        "size(1) > 0",
        "1 + 'a' == a",
        "meta.tpic == 'a'",
        "meta == 1",
        "meta.topic == 1",
        "has(meta.key)",
        "has(meta.headers.x)",
        "created > timestamp('2026-01-01T00:00:00Z')",
        "a",
        "a + 1",
        "items.all(x, x.qty > 0)",
        "items.map(x, x.qty)",
        "items.exists_one(x, x == 1)",
        "items.filter(x, x > 1).size() > 1",
        "type(a) == int",
        "type(a) in [int, double]",
        "a.?b == 1",
        "Foo{a: 1} == a",
        ".a == 1",
        "a.matches('[')",
        "a.matches(b)",
        "a.matches('^a')",
        "math.round(a)",
        "a ? b : c",
        "(a < 3) < 'x'",
        "a[0].b == 1",
        "a[b] == 1",
        "msg['x y'].z == 1",
        "item.x == index",
        "index.x == 1",
        "'unclosed",
        "a == `b`",
        "a in 'abc'",
        "x.contains(1)",
        "-a > 0",
        "!a",
        "!(a == 1)",
        "a == 1 ?",
        "1 == 1",
        "{'a': 1}.a == b",
        "has({'a': 1}.a) && b",
        "a b",
        "a == \"b",
        "ä == 1",
        "a == 'ä' && b = 1",
        "meta.key.x == 1",
        "meta.headers.a.b == 1",
        "meta.headers['x-y'] == 1",
        "has(items[0])",
        "has(a.b.c)",
        "a == 99999999999999999999",
        "size(a) > 0 & b",
        "a AND b",
        "duration('1h') > duration(a)",
        "a.getHours() > 1",
        "timestamp(a).getHours('UTC') > 1",
    ] {
        match parse(text, scope) {
            Ok(p) => println!(
                "OK   {text:40} {} reads {:?} consts {}",
                p.kinds,
                p.reads.iter().map(|r| &r.written).collect::<Vec<_>>(),
                p.constants.len()
            ),
            Err(f) => {
                for b in f {
                    println!("BAD  {text:40} {:?} {} | {}", b.at, b.problem, b.cure)
                }
            }
        }
    }

    for n in [20usize, 31, 32, 33, 50, 58, 59, 60, 100, 400, 700, 1300] {
        let text = format!("{}a > 3", "a+".repeat(n));
        println!("{n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("{}a > 3{}", "(".repeat(n), ")".repeat(n));
        println!("( {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("{}a", "!".repeat(n));
        println!("! {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("{}a{}", "size(".repeat(n), ")".repeat(n));
        println!("f {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("a{} == 1", ".b".repeat(n));
        println!(". {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("a{}", " && a".repeat(n));
        println!("& {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
        let text = format!("{}a", "a ? b : ".repeat(n));
        println!("? {n} {:?}", parse(&text, Scope { root: &[], each: false }).map(|_| ()));
    }
}
