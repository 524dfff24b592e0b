//! Runs survive anything: the real binary is killed with `kill -9` at every
//! point that it passes (`src/failpoint.rs`) and while its peers work, and is
//! started again, until its runs have ended. What the peers counted, what was
//! acknowledged and what the journal says must fit together. Waiting approvals
//! live over restarts, and clocks that jump fire nothing twice or early.
//!
//! `QUELL_LONG=1` makes it 10,000 restarts; `QUELL_SEED=17` plays one seed.

mod clocks;
mod house;
mod kills;
mod laws;
mod peer;
mod post;
mod reconcile;
mod startup;
mod waiting;
mod world;

/// How many of something: few by default, many when asked.
pub fn cases(few: usize, many: usize) -> usize {
    if std::env::var_os("QUELL_LONG").is_some() { many } else { few }
}

/// Numbers that look random and are the same each time (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        n ^ (n >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit.max(1)
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
