//! Points in time as the wire has them. Owns the unit; never asks what time it is now.
use chrono::{DateTime, Utc};
use std::fmt;
use std::time::SystemTime;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub i64);

impl Nanos {
    pub const SECOND: i64 = 1_000_000_000;

    /// From a protobuf Timestamp. Seconds outside ±292 years saturate.
    pub fn from_parts(seconds: i64, nanos: i32) -> Self {
        Self(seconds.saturating_mul(Self::SECOND).saturating_add(i64::from(nanos)))
    }

    /// (seconds, nanoseconds 0…999 999 999), as a protobuf Timestamp has them.
    pub fn parts(self) -> (i64, i32) {
        let nanos = i32::try_from(self.0.rem_euclid(Self::SECOND)).unwrap_or(0);
        (self.0.div_euclid(Self::SECOND), nanos)
    }

    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(self.0)
    }

    /// The calendar's moment; what lies outside ±292 years saturates.
    pub fn from_utc(t: DateTime<Utc>) -> Self {
        Self::from_parts(t.timestamp(), i32::try_from(t.timestamp_subsec_nanos()).unwrap_or(0))
    }

    /// Nanoseconds from `earlier` to `self`; negative if `self` is the earlier one.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub fn plus(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}

/// What a clock says, read where clocks may be read. A clock before 1970 is taken to stand there.
impl From<SystemTime> for Nanos {
    fn from(t: SystemTime) -> Self {
        let since = t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl serde::Serialize for Nanos {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// RFC 3339 in UTC with 0, 3, 6 or 9 digits of fraction, as proto3 JSON writes a Timestamp.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, nanos) = self.parts();
        let t = self.utc();
        write!(f, "{}", t.format("%Y-%m-%dT%H:%M:%S"))?;
        match nanos {
            0 => {}
            n if n % 1_000_000 == 0 => write!(f, ".{:03}", n / 1_000_000)?,
            n if n % 1_000 == 0 => write!(f, ".{:06}", n / 1_000)?,
            n => write!(f, ".{n:09}")?,
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fraction_has_0_3_6_or_9_digits() {
        let at = |n| Nanos::from_parts(1_763_888_000, n).to_string();
        assert_eq!(at(0), "2025-11-23T08:53:20Z");
        assert_eq!(at(500_000_000), "2025-11-23T08:53:20.500Z");
        assert_eq!(at(1_000), "2025-11-23T08:53:20.000001Z");
        assert_eq!(at(1), "2025-11-23T08:53:20.000000001Z");
    }

    #[test]
    fn before_1970_parts_stay_positive() {
        assert_eq!(Nanos(-1).parts(), (-1, 999_999_999));
        assert_eq!(Nanos::from_parts(i64::MAX, 5).parts().0, i64::MAX / Nanos::SECOND);
    }
}
