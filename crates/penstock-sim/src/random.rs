//! Repeatable chance: a seeded generator, and shares of events drawn from it.
//!
//! It does not know what a share affects: `faults` does.

/// The rows, messages or batches that a fault affects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Share {
    /// This share of them, 0.0 to 1.0, drawn from the seeded generator.
    Fraction(f64),
    /// This many of the next ones, then none.
    Next(u64),
}

/// Faults, each with its share.
pub struct Strikes<T>(Vec<(Share, T)>);

impl<T> Default for Strikes<T> {
    fn default() -> Self {
        Strikes(Vec::new())
    }
}

impl<T: Copy> Strikes<T> {
    /// Only this fault.
    pub fn only(share: Share, what: T) -> Self {
        let mut strikes = Strikes::default();
        strikes.add(share, what);
        strikes
    }

    pub fn add(&mut self, share: Share, what: T) {
        self.0.push((share, what));
        self.drop_spent();
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fault that applies now: the first one whose share does, in the order in which they were added.
    pub fn draw(&mut self, random: &mut Random) -> Option<T> {
        let mut struck = None;
        for (share, what) in &mut self.0 {
            let hits = match share {
                Share::Fraction(fraction) => random.fraction() < *fraction,
                Share::Next(left) => {
                    *left = left.saturating_sub(1);
                    true
                }
            };
            if hits {
                struck = Some(*what);
                break;
            }
        }
        self.drop_spent();
        struck
    }

    fn drop_spent(&mut self) {
        self.0.retain(|(share, _)| *share != Share::Next(0));
    }
}

/// A small seeded generator (splitmix64). Two runs with the same seed draw the same numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number in 0.0..1.0.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in 0..bound. `bound` must be above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
