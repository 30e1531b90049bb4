//! Choices that a seed repeats.

/// SplitMix64.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time with this mean, as lifetimes have it.
    pub fn lifetime(&mut self, mean: u64) -> u64 {
        let unit = (self.below(1 << 24) + 1) as f64 / (1u64 << 24) as f64;
        (-unit.ln() * mean as f64) as u64 + 1
    }

    /// `many` of `0..n`.
    pub fn pick(&mut self, n: usize, many: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        for at in 0..many.min(n) {
            let other = at + self.below((n - at) as u64) as usize;
            all.swap(at, other);
        }
        all.truncate(many);
        all
    }
}

/// Scatters a number.
pub fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
