// SPDX-License-Identifier: GPL-2.0

//! How many users a guest's bound channel has. A driver's channel has one, which is not counted;
//! those of programs, and those with a shared interrupt, are counted once somebody has asked for it.

/// The most users of a channel, as in C.
const MAX: i32 = i16::MAX as i32;

/// The users of a channel. Used with a lock held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct References(i32);

/// Why there is no other reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCounted;

impl References {
    /// Of a channel whose users are not counted.
    pub const NOT_COUNTED: Self = Self(-1);

    /// From a number of [`number`](Self::number).
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// The users; negative if they are not counted.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Counts from now on, beginning with one user. Returns whether users were not counted before,
    /// as they should be.
    pub fn start(&mut self) -> bool {
        let were_not_counted = *self == Self::NOT_COUNTED;
        self.0 = 1;
        were_not_counted
    }

    /// Adds a user.
    ///
    /// # Errors
    ///
    /// [`NotCounted`] if users are not counted, or are too many.
    pub fn get(&mut self) -> Result<(), NotCounted> {
        match self.0 {
            1..MAX => {
                self.0 = self.0.wrapping_add(1);
                Ok(())
            }
            _ => Err(NotCounted),
        }
    }

    /// Takes a user away. Returns whether it was the last, so that the channel is unbound.
    #[must_use = "the last user unbinds the channel"]
    pub fn put(&mut self) -> bool {
        if self.0 > 0 {
            self.0 = self.0.wrapping_sub(1);
        }
        self.0 <= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_without_counting_has_one_user() {
        let mut references = References::NOT_COUNTED;
        assert_eq!(references.get(), Err(NotCounted));
        assert!(references.put());
    }

    #[test]
    fn the_last_user_of_many_unbinds() {
        let mut references = References::NOT_COUNTED;
        assert!(references.start());
        for _ in 0..4 {
            assert_eq!(references.get(), Ok(()));
        }
        for _ in 0..4 {
            assert!(!references.put());
        }
        assert!(references.put());
        assert_eq!(references.number(), 0);
        assert_eq!(references.get(), Err(NotCounted), "it is gone");
        assert!(!references.start(), "it was counted before");
    }

    #[test]
    fn users_are_not_counted_beyond_the_most() {
        let mut references = References::from_number(MAX - 1);
        assert_eq!(references.get(), Ok(()));
        assert_eq!(references.get(), Err(NotCounted));
        assert_eq!(references.number(), MAX);
    }
}
