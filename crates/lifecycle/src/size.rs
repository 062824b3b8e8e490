//! Byte counts as people read them, in the platform's notation: `406B`, `1.2K`, `207.1M`.

use std::fmt;

/// A number of bytes; displayed in the largest unit of 1024 that gives at least 1, with one decimal
/// unless that is a zero (contract, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Units above the byte, largest first, with the power of two each stands for.
const UNITS: [(char, u32); 6] = [('E', 60), ('P', 50), ('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(&(unit, power)) = UNITS.iter().find(|(_, power)| self.0 >> power > 0) else {
            return write!(f, "{}B", self.0);
        };
        let tenths = ((u128::from(self.0) * 10) + (1 << (power - 1))) >> power;
        match tenths % 10 {
            0 => write!(f, "{}{unit}", tenths / 10),
            tenth => write!(f, "{}.{tenth}{unit}", tenths / 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_largest_unit_with_one_decimal() {
        for (bytes, shown) in [
            (0, "0B"),
            (406, "406B"),
            (1023, "1023B"),
            (1024, "1K"),
            (1270, "1.2K"),
            (1536, "1.5K"),
            (217_160_090, "207.1M"),
            (5 << 30, "5G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(Size(bytes).to_string(), shown);
        }
    }
}
