// An hour in 1000 sleeps.
use std::time::{Duration, Instant};

fn main() {
    let start = Instant::now();
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(3600));
    }
    println!("{:?}", start.elapsed());
}
