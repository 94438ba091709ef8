// SPDX-License-Identifier: GPL-2.0

//! Why a guest has masked a port. It is unmasked when no reason is left.

/// A reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The interrupt is disabled, or not started yet.
    Disabled,
    /// The port is being moved to another CPU, or an event is set by the guest itself.
    Moving,
    /// The handler of a late-EOI channel has not finished.
    EoiPending,
}

impl Reason {
    #[inline]
    const fn bit(self) -> u8 {
        match self {
            Self::Disabled => 1,
            Self::Moving => 2,
            Self::EoiPending => 4,
        }
    }
}

/// The reasons for which a port is masked. Used with a lock held, in which the port is masked and
/// unmasked too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masks(u8);

impl Masks {
    /// Of a port that was just bound: masked until its interrupt is enabled.
    pub const fn new() -> Self {
        Self(Reason::Disabled.bit())
    }

    /// Adds a reason. Returns whether the port has to be masked, because there was none.
    #[inline]
    #[must_use = "the port is not masked yet"]
    pub fn add(&mut self, reason: Reason) -> bool {
        let was_masked = self.is_masked();
        self.0 |= reason.bit();
        !was_masked
    }

    /// Takes a reason away. Returns whether the port has to be unmasked, because none is left. It
    /// may be unmasked already, which changes nothing.
    #[inline]
    #[must_use = "the port is still masked"]
    pub fn remove(&mut self, reason: Reason) -> bool {
        self.0 &= !reason.bit();
        !self.is_masked()
    }

    /// Whether there is a reason.
    #[inline]
    pub fn is_masked(self) -> bool {
        self.0 != 0
    }

    /// Whether this is one of the reasons.
    #[inline]
    pub fn has(self, reason: Reason) -> bool {
        self.0 & reason.bit() != 0
    }
}

impl Default for Masks {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Reason; 3] = [Reason::Disabled, Reason::Moving, Reason::EoiPending];

    proptest! {
        /// The port is masked exactly as long as a model, a list of reasons, is not empty.
        #[test]
        fn a_port_is_masked_as_long_as_there_is_a_reason(
            steps in proptest::collection::vec((0usize..3, any::<bool>()), 0..40)
        ) {
            let (mut masks, mut is_masked) = (Masks::default(), true);
            let mut model = [true, false, false];
            for (reason, adds) in steps {
                model[reason] = adds;
                if adds {
                    is_masked |= masks.add(ALL[reason]);
                } else {
                    is_masked &= !masks.remove(ALL[reason]);
                }
                prop_assert_eq!(is_masked, model.contains(&true));
                prop_assert_eq!(masks.is_masked(), is_masked);
                for (reason, expected) in ALL.into_iter().zip(model) {
                    prop_assert_eq!(masks.has(reason), expected);
                }
            }
        }
    }

    #[test]
    fn a_second_reason_masks_nothing_more() {
        let mut masks = Masks::new();
        assert!(!masks.add(Reason::EoiPending) && !masks.remove(Reason::Disabled));
        assert!(masks.remove(Reason::EoiPending) && masks.add(Reason::Moving));
        assert!(masks.remove(Reason::Moving) && masks.remove(Reason::Moving));
    }
}
