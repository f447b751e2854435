//! Credits, counted in millionths: whole numbers, so that nothing is lost by rounding.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of microcredits: 1 credit is 1,000,000. Written in credits, as a decimal number: `99.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Microcredits(i64);

/// Why something is no amount of credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// It is no decimal number.
    #[error("expected a decimal number of credits, such as \"99.5\"")]
    NotANumber,
    /// It has parts finer than a microcredit.
    #[error("finer than a microcredit: six digits behind the point at the most")]
    TooFine,
    /// It is beyond [`Microcredits::MAX`], or a sum would be.
    #[error("too large: it must be below a trillion credits")]
    TooLarge,
    /// It is zero or negative where only more than zero makes sense.
    #[error("must be more than zero")]
    NotPositive,
    /// It is negative.
    #[error("must not be negative")]
    Negative,
}

const DIGITS: usize = 6;

impl Microcredits {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One credit.
    pub const CREDIT: Self = Self(1_000_000);
    /// The most that one amount may be, a microcredit less than a trillion credits: nine such still have a sum.
    pub const MAX: Self = Self(1_000_000_000_000 * Self::CREDIT.0 - 1);

    /// So many microcredits.
    #[must_use]
    pub const fn new(microcredits: i64) -> Self {
        Self(microcredits)
    }

    /// The number of microcredits.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// As a number of credits, for gauges; rounded beyond 2⁵³ microcredits.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a gauge, not the books")]
    pub const fn to_credits(self) -> f64 {
        self.0 as f64 / Self::CREDIT.0 as f64
    }

    /// Whether it is nothing.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] where 64 bits do not hold it.
    pub fn plus(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_add(other.0).map(Self).ok_or(AmountError::TooLarge)
    }

    /// The difference.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] where 64 bits do not hold it.
    pub fn minus(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_sub(other.0).map(Self).ok_or(AmountError::TooLarge)
    }

    /// The difference, or nothing where that would be negative.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// The amount, if it is more than zero and at most [`Self::MAX`].
    ///
    /// # Errors
    /// [`AmountError::NotPositive`], [`AmountError::TooLarge`]
    pub fn positive(self) -> Result<Self, AmountError> {
        match self {
            Self(..=0) => Err(AmountError::NotPositive),
            amount => amount.not_negative(),
        }
    }

    /// The amount, if it is zero or more and at most [`Self::MAX`].
    ///
    /// # Errors
    /// [`AmountError::Negative`], [`AmountError::TooLarge`]
    pub fn not_negative(self) -> Result<Self, AmountError> {
        match self {
            Self(..0) => Err(AmountError::Negative),
            amount if amount > Self::MAX => Err(AmountError::TooLarge),
            amount => Ok(amount),
        }
    }
}

impl fmt::Display for Microcredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let one = Self::CREDIT.0.unsigned_abs();
        let (whole, parts) = (self.0.unsigned_abs() / one, self.0.unsigned_abs() % one);
        if parts == 0 {
            return f.pad(&format!("{sign}{whole}"));
        }
        let parts = format!("{parts:06}");
        f.pad(&format!("{sign}{whole}.{}", parts.trim_end_matches('0')))
    }
}

impl FromStr for Microcredits {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, parts) = match digits.split_once('.') {
            Some((_, "")) => return Err(AmountError::NotANumber),
            Some((whole, parts)) => (whole, parts),
            None => (digits, ""),
        };
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(parts) {
            return Err(AmountError::NotANumber);
        }
        let parts = parts.trim_end_matches('0');
        if parts.len() > DIGITS {
            return Err(AmountError::TooFine);
        }
        let microcredits = format!("{whole}{parts:0<DIGITS$}").parse::<i64>().map_err(|_| AmountError::TooLarge)?;
        Ok(Self(if is_negative { -microcredits } else { microcredits }))
    }
}

impl Serialize for Microcredits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Microcredits {
    /// Takes a decimal string or a number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Microcredits;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("credits as a decimal string such as \"99.5\", or as a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Microcredits, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Microcredits, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Microcredits, E> {
                self.visit_str(&number.to_string())
            }

            /// The shortest digits that mean this number are the ones that were written.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Microcredits, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credits_are_written_without_needless_digits() {
        for (microcredits, text) in
            [(99_500_000, "99.5"), (1_000_000, "1"), (0, "0"), (1, "0.000001"), (-1, "-0.000001"), (-2_500_000, "-2.5")]
        {
            assert_eq!(Microcredits::new(microcredits).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_amount_says_why() {
        for (text, error) in [
            ("", AmountError::NotANumber),
            (".5", AmountError::NotANumber),
            ("5.", AmountError::NotANumber),
            ("1e3", AmountError::NotANumber),
            ("+1", AmountError::NotANumber),
            ("--1", AmountError::NotANumber),
            ("NaN", AmountError::NotANumber),
            ("0.0000001", AmountError::TooFine),
            ("9223372036855", AmountError::TooLarge),
            ("99999999999999999999999999", AmountError::TooLarge),
        ] {
            assert_eq!(text.parse::<Microcredits>(), Err(error), "{text}");
        }
        assert_eq!(Microcredits::ZERO.positive(), Err(AmountError::NotPositive));
        assert_eq!(Microcredits::new(-1).not_negative(), Err(AmountError::Negative));
        assert_eq!(Microcredits::new(i64::MAX).positive(), Err(AmountError::TooLarge));
    }

    #[test]
    fn json_gives_strings_and_takes_numbers_too() {
        let read = |json: &str| serde_json::from_str::<Microcredits>(json).ok().map(Microcredits::get);
        for json in ["\"99.5\"", "99.5", "99.500"] {
            assert_eq!(read(json), Some(99_500_000), "{json}");
        }
        assert_eq!(read("0.1"), Some(100_000));
        assert_eq!(read("7000"), Some(7_000_000_000));
        for json in ["1e-7", "1e300", "null", "true", "\"\"", "[1]"] {
            assert_eq!(read(json), None, "{json}");
        }
        assert_eq!(serde_json::to_string(&Microcredits::new(99_500_000)).unwrap(), "\"99.5\"");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(microcredits in -i64::MAX..=i64::MAX) {
            let amount = Microcredits::new(microcredits);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
