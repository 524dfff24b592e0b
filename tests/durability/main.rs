//! What a store goes through: a disk that fills up, syncs that fail, power cuts,
//! damage, backups. `QUELL_LONG=1` makes it thousands of each.

mod commands;
mod damage;
mod disk_full;
mod house;
mod power;
mod restored;
mod sync_errors;

/// How many cases of something: few by default, many when asked.
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

    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.number() % limit.max(1) as u64).expect("it is below a usize")
    }
}
