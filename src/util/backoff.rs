//! Pauses between attempts. They double with each failure and have jitter, so that a thousand workers do not retry at
//! the same moment.

use std::time::Duration;

/// How pauses grow.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first pause, without jitter.
    pub first: Duration,
    /// The longest pause, without jitter.
    pub longest: Duration,
    /// The share of each pause that is not random, from 0 to 1.
    certain: f64,
}

impl Backoff {
    /// From `first` to `longest`. A tenth of each pause is not random.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Backoff {
            first,
            longest,
            certain: 0.1,
        }
    }

    /// The same, but half of each pause is not random. For few waiting threads of which none may retry at once.
    pub const fn half_certain(self) -> Self {
        Backoff { certain: 0.5, ..self }
    }

    /// The pause after `failures` earlier ones.
    pub fn pause(&self, failures: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << failures.min(16)).min(self.longest);
        whole.mul_f64(self.certain + (1.0 - self.certain) * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_alike() {
        let ms = Duration::from_millis;
        for (backoff, certain) in [
            (Backoff::new(ms(50), ms(1000)), 0.1),
            (Backoff::new(ms(50), ms(1000)).half_certain(), 0.5),
        ] {
            for (failures, whole) in [(0, 50), (1, 100), (4, 800), (5, 1000), (99, 1000)] {
                let pauses: Vec<Duration> = (0..50).map(|_| backoff.pause(failures)).collect();
                let least = ms(whole).mul_f64(certain);
                assert!(
                    pauses.iter().all(|pause| (least..=ms(whole)).contains(pause)),
                    "{failures}: {pauses:?}"
                );
                assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{failures}: no jitter");
            }
        }
    }
}
