// SPDX-License-Identifier: GPL-2.0

//! Spreading a guest's channels over its CPUs.

/// The CPU with the fewest channels, the first of those; `None` without CPUs. Each is given with its
/// number of channels, which others may change meanwhile: the choice need not be exact.
pub fn least_used<C>(cpus: impl IntoIterator<Item = (C, u32)>) -> Option<C> {
    let mut best: Option<(C, u32)> = None;
    for (cpu, channels) in cpus {
        if best.as_ref().is_none_or(|(_, fewest)| channels < *fewest) {
            best = Some((cpu, channels));
        }
    }
    best.map(|(cpu, _)| cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_least_used_is_chosen() {
        assert_eq!(least_used([('a', 3), ('b', 1), ('c', 1)]), Some('b'));
        assert_eq!(least_used([('a', u32::MAX)]), Some('a'));
        assert_eq!(least_used::<char>([]), None);
    }

    #[test]
    fn channels_that_come_one_by_one_are_spread_evenly() {
        let mut channels = [5u32, 0, 2];
        for _ in 0..20 {
            let cpu = least_used(channels.iter().copied().enumerate()).expect("three CPUs");
            channels[cpu] += 1;
        }
        assert_eq!(channels, [9, 9, 9]);
    }
}
