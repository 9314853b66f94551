//! What the benchmarks share: realistic nested events of some 560 bytes, of four types, and medians.

/// The median.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A cheap sequence of numbers, the same in every run.
fn mixed(number: usize) -> u64 {
    let mut x = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 31;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 29)
}

/// One event: view, click, purchase or search, with typical fields.
pub fn event(number: usize) -> String {
    let x = mixed(number);
    let country = ["DE", "FR", "US", "BR", "JP"][(x % 5) as usize];
    let os = ["android", "ios", "windows", "linux"][(x >> 8) as usize % 4];
    let (lat, lon) = (
        (x % 180_000) as f64 / 1000.0 - 90.0,
        (x % 360_000) as f64 / 1000.0 - 180.0,
    );
    let ts = 1_760_000_000_000 + number as u64 * 7;
    let user = x % 1_000_000;
    let head = format!(
        r#"{{"id":"{x:016x}-{number:08x}","ts":{ts},"source":"web-{}","schema":3,"#,
        x % 32
    );
    let user = format!(
        r#""user":{{"id":"u{user:07}","name":"Anna Müller-{}","country":"{country}","premium":{},"tags":["a{}","beta"]}},"#,
        user % 97,
        x.is_multiple_of(3),
        x % 9
    );
    let session = format!(
        r#""session":{{"id":"s-{:012x}","started":{},"page":{}}},"#,
        x >> 16,
        ts - 60_000,
        x % 40
    );
    let device = format!(
        r#""device":{{"os":"{os}","version":"{}.{}","screen":[1920,1080],"geo":{{"lat":{lat:.4},"lon":{lon:.4}}}}},"#,
        x % 15,
        x % 7
    );
    let body = match x % 4 {
        0 => format!(
            r#""type":"purchase","amount":{}.{:02},"currency":"EUR","items":[{{"sku":"sku-{:05}","qty":{},"price":{}.5}},{{"sku":"sku-{:05}","qty":1,"price":19.99}}],"#,
            x % 500,
            x % 100,
            x % 99_999,
            1 + x % 4,
            x % 80,
            (x >> 7) % 99_999
        ),
        1 => format!(
            r#""type":"view","url":"https://shop.example.com/catalog/{}/product-{}?ref=home&pos={}","referrer":null,"ms":{},"#,
            x % 60,
            x % 50_000,
            x % 12,
            x % 9_000
        ),
        2 => format!(
            r#""type":"click","target":{{"id":"btn-{}","text":"Add \"{}\" to cart","x":{},"y":{}}},"amount":0,"currency":"USD","#,
            x % 300,
            x % 77,
            x % 1920,
            x % 1080
        ),
        _ => format!(
            r#""type":"search","query":"red shoes size {}","results":{},"filters":{{"brand":["acme","zeta"],"price":{{"min":10,"max":{}}}}},"#,
            36 + x % 12,
            x % 2_000,
            50 + x % 400
        ),
    };
    let tail = format!(
        r#""flags":{{"test":false,"consent":true}},"trace":"{:016x}","ab":{{"checkout":"b","ranking":"v{}"}}}}"#,
        x.rotate_left(23),
        x % 5
    );
    [head, body, user, session, device, tail].concat()
}
