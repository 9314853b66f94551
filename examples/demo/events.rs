//! Realistic events for the demo and for measurements: nested JSON of some 560 bytes, the same for the same seed.
//!
//! They form a shop's click stream: seven types of event by 10,000 users. They have what real payloads have and toy
//! payloads lack (escapes and non-ASCII text in names, nulls, floats, arrays of objects, fields that only some types
//! have). The generator also returns the values of each event. So a ledger can compute the expected records without
//! parsing the JSON that is under test.
//!
//! It knows nothing of Kafka, of Aerospike, or of the clock: the sequence number determines an event's time.

use std::fmt::Write as _;

/// Appends formatted text, which cannot fail for a string.
macro_rules! put {
    ($text:expr, $($arguments:tt)*) => {
        let _ = write!($text, $($arguments)*);
    };
}

/// How many users there are: ids `u00000` to `u09999`.
pub const USERS: u64 = 10_000;

/// The time of the event with sequence number 0: 2026-01-01T00:00:00Z.
pub const FIRST_TS_MS: i64 = 1_767_225_600_000;

/// Milliseconds between an event and the next.
pub const STEP_MS: i64 = 5;

/// The type of an event, as in the field `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A page was viewed: the most frequent event.
    PageView,
    /// A search; has `search`.
    Search,
    /// A product went into the cart; has `product`.
    AddToCart,
    /// An order; has `amount` and `items`.
    Purchase,
    /// A refund; has `amount`, below zero.
    Refund,
    /// A user signed in.
    Login,
    /// A sign of life from a device. A filter drops it.
    Heartbeat,
}

impl EventType {
    /// The value of the field `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::Search => "search",
            Self::AddToCart => "add_to_cart",
            Self::Purchase => "purchase",
            Self::Refund => "refund",
            Self::Login => "login",
            Self::Heartbeat => "heartbeat",
        }
    }

    /// The type for a number from 0 to 99. A fifth are heartbeats.
    const fn by_percent(percent: u64) -> Self {
        match percent {
            0..35 => Self::PageView,
            35..50 => Self::Search,
            50..62 => Self::AddToCart,
            62..72 => Self::Purchase,
            72..74 => Self::Refund,
            74..80 => Self::Login,
            _ => Self::Heartbeat,
        }
    }
}

/// The values of an event: enough to compute the user's record and the event's own.
#[derive(Clone, Debug, PartialEq)]
pub struct EventFacts {
    /// The Kafka key: the user's id.
    pub key: String,
    /// `id`, different for each sequence number.
    pub event_id: String,
    /// `type`.
    pub event_type: EventType,
    /// `user.id`.
    pub user_id: String,
    /// `user.country`, the same in all of a user's events.
    pub country: &'static str,
    /// `user.plan`.
    pub plan: &'static str,
    /// `device.os`.
    pub os: &'static str,
    /// `ts`, in epoch milliseconds.
    pub ts_ms: i64,
    /// `amount` in cents, if the event has one. In the JSON it is in units with two decimals.
    pub amount_cents: Option<i64>,
    /// Number of elements in `items`; 0 if there are none.
    pub items: usize,
}

impl EventFacts {
    /// `amount` as a parser must read it from the JSON.
    pub fn amount(&self) -> Option<f64> {
        // Below 2^53 cents, the division rounds like the parser of "12.34": both to the nearest.
        self.amount_cents.map(|cents| cents as f64 / 100.0)
    }
}

/// Generates events. The seed and the sequence number determine the whole event. So events can be generated in any
/// order, on any thread, and again; the generator keeps only its buffers.
#[derive(Clone, Debug)]
pub struct EventGenerator {
    seed: u64,
    text: String,
}

impl EventGenerator {
    /// A generator. All generators with this seed make the same events.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            text: String::with_capacity(1024),
        }
    }

    /// Clears `out`, writes the event with this sequence number to it as JSON, and returns its values. Sequence numbers
    /// count from 0; the ids of numbers below 2^32 have the same length.
    pub fn event(&mut self, sequence: u64, out: &mut Vec<u8>) -> EventFacts {
        let mut random = SplitMix64::at(self.seed, sequence);
        let user = User::new(self.seed, random.below(USERS));
        let event_type = EventType::by_percent(random.below(100));
        let event_id = format!("{:016x}{sequence:08x}", random.next());
        let ts_ms = FIRST_TS_MS + STEP_MS * sequence.cast_signed();
        let device = random.pick(&DEVICES);

        let text = &mut self.text;
        text.clear();
        put!(
            text,
            r#"{{"id":"{event_id}","type":"{}","ts":{ts_ms},"time":""#,
            event_type.name()
        );
        put_rfc3339(text, ts_ms);
        text.push_str(r#"","#);
        user.put(text, event_type == EventType::Heartbeat);
        put_device(text, device, &mut random);

        let mut order = Order::default();
        match event_type {
            EventType::PageView | EventType::Login => put_page(text, &mut random),
            EventType::Search => put_search(text, &mut random),
            EventType::AddToCart => put_cart(text, &mut random),
            EventType::Purchase => order = put_order(text, false, &mut random),
            EventType::Refund => order = put_order(text, true, &mut random),
            EventType::Heartbeat => put_state(text, &mut random),
        }
        if event_type != EventType::Heartbeat {
            put_context(text, &mut random);
        }
        text.push('}');

        out.clear();
        out.extend_from_slice(text.as_bytes());
        EventFacts {
            key: user.id.clone(),
            event_id,
            event_type,
            user_id: user.id,
            country: user.place.country,
            plan: user.plan,
            os: device.os,
            ts_ms,
            amount_cents: order.amount_cents,
            items: order.items,
        }
    }
}

// ---- parts of an event

/// The part that is the same in all events of a user. The seed and the user's number determine it.
struct User {
    id: String,
    place: Place,
    plan: &'static str,
    street: &'static str,
    zip: u64,
}

impl User {
    fn new(seed: u64, number: u64) -> Self {
        // A different random stream from that of the events, whose numbers also start at 0.
        let mut random = SplitMix64::at(!seed, number);
        Self {
            id: format!("u{number:05}"),
            place: random.pick(&PLACES),
            plan: random.pick(&PLANS),
            street: random.pick(&STREETS),
            zip: random.from(10_000, 99_999),
        }
    }

    /// The user with the address, or the short form that a device knows.
    fn put(&self, text: &mut String, is_brief: bool) {
        let Place { country, city } = self.place;
        put!(
            text,
            r#""user":{{"id":"{}","country":"{country}","city":"{city}","plan":"{}","#,
            self.id,
            self.plan
        );
        if is_brief {
            text.push_str(r#""email":null,"consent":{"ads":false,"news":null}},"#);
        } else {
            put!(
                text,
                r#""email":"{}@example.{}","#,
                self.id,
                country.to_ascii_lowercase()
            );
            put!(
                text,
                r#""address":{{"street":"{}","zip":"{}"}}}},"#,
                self.street,
                self.zip
            );
        }
    }
}

fn put_device(text: &mut String, device: Device, random: &mut SplitMix64) {
    put!(text, r#""device":{{"os":"{}","model":"{}","#, device.os, device.model);
    put!(
        text,
        r#""app":"{}.{}.{}","#,
        random.from(3, 5),
        random.below(20),
        random.below(10)
    );
    put!(
        text,
        r#""ip":"10.{}.{}.{}"}}"#,
        random.below(256),
        random.below(256),
        random.from(1, 254)
    );
}

fn put_page(text: &mut String, random: &mut SplitMix64) {
    put!(
        text,
        r#","page":{{"path":"/{}/{}","#,
        random.pick(&SECTIONS),
        random.from(1, 9999)
    );
    put!(
        text,
        r#""title":"{}","load_ms":{}.{},"#,
        random.pick(&TITLES),
        random.from(20, 900),
        random.below(10)
    );
    put!(
        text,
        r#""scroll":{:.3},"tags":["{}","{}"]}}"#,
        random.unit(),
        random.pick(&TAGS),
        random.pick(&TAGS)
    );
}

fn put_search(text: &mut String, random: &mut SplitMix64) {
    put!(
        text,
        r#","search":{{"query":"{}","results":{},"#,
        random.pick(&QUERIES),
        random.below(2000)
    );
    put!(
        text,
        r#""filters":{{"in_stock":{},"price_max":{}.5}},"#,
        random.chance(50),
        random.from(10, 500)
    );
    put!(
        text,
        r#""tags":["{}"],"took_ms":{:.2}}}"#,
        random.pick(&TAGS),
        random.unit() * 80.0
    );
}

fn put_cart(text: &mut String, random: &mut SplitMix64) {
    text.push_str(r#","product":"#);
    put_product(text, random);
    put!(
        text,
        r#","cart":{{"id":"c{:08x}","size":{}}}"#,
        random.next() >> 32,
        random.from(1, 12)
    );
}

/// The facts about an order; empty for other events.
#[derive(Default)]
struct Order {
    amount_cents: Option<i64>,
    items: usize,
}

fn put_order(text: &mut String, is_refund: bool, random: &mut SplitMix64) -> Order {
    let items = if random.chance(50) { 1 } else { 2 };
    let mut total_cents = 0;
    for item in 0..items {
        text.push_str(if item == 0 { r#","items":["# } else { "," });
        total_cents += put_product(text, random);
    }
    if is_refund {
        total_cents = -total_cents;
    }
    text.push_str(r#"],"amount":"#);
    put_cents(text, total_cents);
    put!(text, r#","currency":"EUR","paid":{}"#, random.chance(95));
    Order {
        amount_cents: Some(total_cents),
        items,
    }
}

/// Writes one product with its quantity. Returns price times quantity, in cents.
fn put_product(text: &mut String, random: &mut SplitMix64) -> i64 {
    let price_cents = random.from(99, 49_999).cast_signed();
    let quantity = random.from(1, 3).cast_signed();
    put!(
        text,
        r#"{{"sku":"SKU-{:06}","name":"{}","#,
        random.below(1_000_000),
        random.pick(&PRODUCTS)
    );
    text.push_str(r#""price":"#);
    put_cents(text, price_cents);
    put!(text, r#","qty":{quantity},"tags":["{}"]}}"#, random.pick(&TAGS));
    price_cents * quantity
}

/// A heartbeat's own part. It is longer than a real device's, so that a filtered message costs as much as others.
fn put_state(text: &mut String, random: &mut SplitMix64) {
    put!(
        text,
        r#","battery":{:.2},"charging":{},"#,
        random.unit(),
        random.chance(40)
    );
    put!(
        text,
        r#""network":{{"kind":"{}","signal_dbm":-{},"#,
        random.pick(&NETWORKS),
        random.from(40, 110)
    );
    put!(
        text,
        r#""vpn":{}}},"uptime_s":{},"#,
        random.chance(10),
        random.from(1, 400_000)
    );
    put!(
        text,
        r#""sensors":[{:.3},{:.3},{:.3}],"#,
        random.unit(),
        random.unit(),
        -random.unit()
    );
    put!(
        text,
        r#""note":"still here \u00e9\t\"ok\"","build":"{:016x}""#,
        random.next()
    );
}

fn put_context(text: &mut String, random: &mut SplitMix64) {
    if random.chance(40) {
        put!(text, r#","context":{{"campaign":"{}","#, random.pick(&CAMPAIGNS));
    } else {
        text.push_str(r#","context":{"campaign":null,"#);
    }
    put!(text, r#""referrer":"https:\/\/{}.example\/","#, random.pick(&REFERRERS));
    put!(
        text,
        r#""session":"{:012x}","ab":[{},{}]}}"#,
        random.next() >> 16,
        random.chance(50),
        random.below(5)
    );
}

fn put_cents(text: &mut String, cents: i64) {
    let sign = if cents < 0 { "-" } else { "" };
    put!(text, "{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
}

/// `2026-01-01T00:00:00.000Z`. Converts days to a date with the algorithm of Howard Hinnant (days in eras of 400
/// years).
fn put_rfc3339(text: &mut String, ts_ms: i64) {
    let (days, ms_of_day) = (ts_ms.div_euclid(86_400_000), ts_ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (ms_of_day / 3_600_000, ms_of_day / 60_000 % 60);
    let (second, ms) = (ms_of_day / 1_000 % 60, ms_of_day % 1_000);
    put!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
    );
}

// ---- chance

/// Sebastiano Vigna's SplitMix64: small, fast, and good enough for test data.
struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream for one number and one seed. Both pass through the mixing function. Otherwise the streams of two
    /// adjacent numbers would be the same stream, shifted.
    fn at(seed: u64, number: u64) -> Self {
        let mut of_seed = Self { state: seed };
        let mut of_number = Self {
            state: of_seed.next() ^ number,
        };
        Self {
            state: of_number.next(),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` − 1: the high half of a product, which is even enough for the bounds here.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn from(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number from 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

// ---- what there is to pick from; texts stand as they stand in JSON, some escaped, some not

#[derive(Clone, Copy)]
struct Place {
    country: &'static str,
    city: &'static str,
}

const PLACES: [Place; 10] = [
    Place {
        country: "DE",
        city: "München",
    },
    Place {
        country: "DE",
        city: r"K\u00f6ln",
    },
    Place {
        country: "FR",
        city: "Orléans",
    },
    Place {
        country: "FR",
        city: r"Saint-\u00c9tienne",
    },
    Place {
        country: "ES",
        city: "Málaga",
    },
    Place {
        country: "PL",
        city: "Łódź",
    },
    Place {
        country: "US",
        city: "Portland",
    },
    Place {
        country: "JP",
        city: "東京",
    },
    Place {
        country: "BR",
        city: r"S\u00e3o Paulo",
    },
    Place {
        country: "IS",
        city: "Reykjavík",
    },
];

#[derive(Clone, Copy)]
struct Device {
    os: &'static str,
    model: &'static str,
}

const DEVICES: [Device; 6] = [
    Device {
        os: "android",
        model: "Pixel 9",
    },
    Device {
        os: "android",
        model: r#"Tab 10\""#,
    },
    Device {
        os: "ios",
        model: "iPhone 16",
    },
    Device {
        os: "windows",
        model: "x86_64",
    },
    Device {
        os: "macos",
        model: "arm64",
    },
    Device {
        os: "linux",
        model: "x86_64",
    },
];

const PLANS: [&str; 4] = ["free", "free", "plus", "pro"];
const STREETS: [&str; 5] = [
    "Rue de l'Église 7",
    r"Hauptstra\u00dfe 12",
    "High Street 221b",
    "Calle Mayor 3",
    r#"\"The Mill\", Lane 4"#,
];
const SECTIONS: [&str; 5] = ["products", "help", "blog", "offers", "account"];
const TITLES: [&str; 5] = [
    "Welcome",
    r#"The \"best\" of 2026"#,
    "Café & Küche",
    r"Sale \u2013 50 %",
    "Your account",
];
const QUERIES: [&str; 6] = [
    "shoes",
    r#"27\" monitor"#,
    "crème brûlée",
    r"caf\u00e9",
    "usb c cable 2 m",
    "緑茶",
];
const PRODUCTS: [&str; 6] = [
    "Kettle",
    r#"Monitor 27\""#,
    "Fauteuil Élysée",
    r"Caf\u00e9 cr\u00e8me",
    "Rain jacket",
    "緑茶 100 g",
];
const TAGS: [&str; 8] = ["new", "sale", "home", "kitchen", "outdoor", "été", "gift", "eco"];
const CAMPAIGNS: [&str; 4] = ["spring-26", "newsletter-11", "retarget_b", "fête"];
const REFERRERS: [&str; 4] = ["search", "news", "social", "partner"];
const NETWORKS: [&str; 4] = ["wifi", "5g", "lte", "ethernet"];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::{HashMap, HashSet};

    /// Calls `check` with each of the first events of a seed: bytes, parsed JSON, facts.
    fn for_each_event(count: u64, mut check: impl FnMut(&[u8], &Value, &EventFacts)) {
        let mut generator = EventGenerator::new(42);
        let mut out = Vec::new();
        for sequence in 0..count {
            let facts = generator.event(sequence, &mut out);
            let value: Value = serde_json::from_slice(&out)
                .unwrap_or_else(|error| panic!("event {sequence}: {error}: {}", String::from_utf8_lossy(&out)));
            check(&out, &value, &facts);
        }
    }

    #[test]
    fn events_average_between_520_and_600_bytes() {
        let mut bytes = 0;
        let (mut smallest, mut largest) = (usize::MAX, 0);
        for_each_event(20_000, |out, _, _| {
            bytes += out.len();
            smallest = smallest.min(out.len());
            largest = largest.max(out.len());
        });
        let average = bytes / 20_000;
        println!("{smallest} to {largest} bytes, {average} on average");
        assert!((520..=600).contains(&average), "{average} bytes on average");
        assert!(smallest >= 350 && largest <= 900, "{smallest} to {largest} bytes");
    }

    #[test]
    fn the_facts_are_what_the_json_says() {
        for_each_event(20_000, |_, value, facts| {
            assert_eq!(value["id"], *facts.event_id);
            assert_eq!(value["type"], facts.event_type.name());
            assert_eq!(value["ts"], facts.ts_ms);
            assert_eq!(value["user"]["id"], *facts.user_id);
            assert_eq!(value["user"]["country"], facts.country);
            assert_eq!(value["user"]["plan"], facts.plan);
            assert_eq!(value["device"]["os"], facts.os);
            assert_eq!(value["amount"].as_f64(), facts.amount());
            assert_eq!(value["items"].as_array().map_or(0, Vec::len), facts.items);
            assert_eq!(facts.key, facts.user_id);
        });
    }

    #[test]
    fn the_amount_is_the_sum_of_the_items() {
        let cents = |value: &Value| (value.as_f64().unwrap() * 100.0).round() as i64;
        let mut orders = 0;
        for_each_event(5_000, |_, value, facts| {
            if let Some(items) = value["items"].as_array() {
                let sum: i64 = items
                    .iter()
                    .map(|item| cents(&item["price"]) * item["qty"].as_i64().unwrap())
                    .sum();
                assert_eq!(facts.amount_cents.map(i64::abs), Some(sum), "{value}");
                orders += 1;
            }
        });
        assert!(orders > 400, "{orders} orders");
    }

    #[test]
    fn an_event_follows_from_seed_and_sequence_number_alone() {
        let mut forward = EventGenerator::new(7);
        let mut backward = EventGenerator::new(7);
        let mut other = EventGenerator::new(8);
        let mut events = Vec::new();
        let mut out = Vec::new();
        for sequence in 0..500 {
            let facts = forward.event(sequence, &mut out);
            events.push((out.clone(), facts));
        }
        for sequence in (0..500).rev() {
            let facts = backward.event(sequence, &mut out);
            assert_eq!(events[sequence as usize], (out.clone(), facts));
            other.event(sequence, &mut out);
            assert_ne!(events[sequence as usize].0, out);
        }
    }

    #[test]
    fn the_format_of_seed_42_stays_as_it_is() {
        // Measurements with these events are compared over time. So a change of an event must be deliberate.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for_each_event(1_000, |out, _, _| {
            for &byte in out {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        });
        assert_eq!(format!("{hash:016x}"), "16ba78a07a31dd75");
    }

    #[test]
    fn ids_are_unique_and_users_are_many_and_constant() {
        let mut ids = HashSet::new();
        let mut users: HashMap<String, (&str, &str)> = HashMap::new();
        let mut types: HashMap<EventType, u32> = HashMap::new();
        for_each_event(50_000, |_, _, facts| {
            assert!(ids.insert(facts.event_id.clone()));
            let user = users
                .entry(facts.user_id.clone())
                .or_insert((facts.country, facts.plan));
            assert_eq!(*user, (facts.country, facts.plan));
            *types.entry(facts.event_type).or_default() += 1;
        });
        assert!((9_800..=10_000).contains(&users.len()), "{} users", users.len());
        assert_eq!(types.len(), 7);
        assert!((9_500..=10_500).contains(&types[&EventType::Heartbeat]), "{types:?}");
    }

    #[test]
    fn both_times_are_the_same_time() {
        for (ts_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (FIRST_TS_MS, "2026-01-01T00:00:00.000Z"),
            (FIRST_TS_MS - 1, "2025-12-31T23:59:59.999Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut text = String::new();
            put_rfc3339(&mut text, ts_ms);
            assert_eq!(text, expected);
        }
    }
}
