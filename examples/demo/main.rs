//! Prints three events of the demo's generator.

#![allow(clippy::print_stdout)]

mod events;

fn main() {
    let mut generator = events::EventGenerator::new(42);
    let mut event = Vec::new();
    for sequence in 0..3 {
        let facts = generator.event(sequence, &mut event);
        println!("{} {:?} {}", facts.key, facts.amount(), String::from_utf8_lossy(&event));
    }
}
