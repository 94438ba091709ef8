// SPDX-License-Identifier: GPL-2.0

//! Which scenarios there is time for. The core is always run; of the others as many as fit into what is left, in an order that
//! the commit decides, so that different commits leave out different ones.
//!
//! Only the choice lives here. In which order the chosen ones run is another matter: those of one machine stay together.

use std::collections::BTreeSet;

use kbuild::Digest;

/// A scenario that has not run yet.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name, with the kernel in front unless that is the default one.
    pub name: String,
    /// Whether it is run in any case.
    pub core: bool,
    /// Whether it comes after all others: a kernel would have to be built for it, in the time of many others.
    pub last: bool,
    /// How long it will take, in seconds.
    pub seconds: f64,
    /// What it needs and shares with others: its kernel, its machine.
    pub needs: Vec<Need>,
}

/// Something that is made once for several scenarios.
#[derive(Clone, Debug)]
pub struct Need {
    /// Which it is.
    pub key: String,
    /// How long it will take to make it, in seconds; zero if it is there.
    pub seconds: f64,
}

/// The names of those that will be run if so many seconds are left. `turn` decides which of the others come first.
pub fn choose(items: &[Candidate], left: f64, turn: &str) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    let mut left = left;
    let mut chosen = BTreeSet::new();
    let (core, mut others): (Vec<_>, Vec<_>) = items.iter().partition(|candidate| candidate.core);
    for candidate in core {
        left -= price(candidate, &made);
        made.extend(candidate.needs.iter().map(|need| need.key.as_str()));
        chosen.insert(candidate.name.clone());
    }
    others.sort_by_key(|candidate| (candidate.last, place(turn, &candidate.name)));
    for candidate in others {
        let price = price(candidate, &made);
        if price <= left {
            left -= price;
            made.extend(candidate.needs.iter().map(|need| need.key.as_str()));
            chosen.insert(candidate.name.clone());
        }
    }
    chosen
}

/// What it costs to run one more, in seconds.
pub fn price(candidate: &Candidate, made: &BTreeSet<&str>) -> f64 {
    let needs = candidate.needs.iter();
    let missing = needs.filter(|need| !made.contains(need.key.as_str()));
    candidate.seconds + missing.map(|need| need.seconds).sum::<f64>()
}

/// A scenario's place in a turn.
fn place(turn: &str, name: &str) -> String {
    Digest::new("turn", 1)
        .with("turn", turn)
        .with("name", name)
        .hex()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, core: bool, seconds: f64, needs: &[(&str, f64)]) -> Candidate {
        let need = |(key, seconds): &(&str, f64)| Need {
            key: (*key).into(),
            seconds: *seconds,
        };
        Candidate {
            name: name.into(),
            core,
            last: false,
            seconds,
            needs: needs.iter().map(need).collect(),
        }
    }

    #[test]
    fn what_needs_a_kernel_built_comes_after_all_others() {
        let costly = |name| Candidate {
            last: true,
            ..item(name, false, 1.0, &[("kernel", 50.0)])
        };
        let cheap = |name| item(name, false, 10.0, &[]);
        for turn in ["a", "b", "c", "d"] {
            let all = [costly("x"), cheap("p"), cheap("q"), costly("y"), cheap("r")];
            assert_eq!(names(&all, 79.0, turn), ["p", "q", "r"]);
            assert_eq!(names(&all, 82.0, turn).len(), 5);
        }
    }

    fn names(items: &[Candidate], left: f64, turn: &str) -> Vec<String> {
        choose(items, left, turn).into_iter().collect()
    }

    #[test]
    fn the_core_is_chosen_without_time_and_others_are_not() {
        let items = [item("a", true, 10.0, &[]), item("b", false, 1.0, &[])];
        assert_eq!(names(&items, -5.0, ""), ["a"]);
        assert_eq!(names(&items, 10.5, ""), ["a"], "the core's time is kept");
        assert_eq!(names(&items, 11.0, ""), ["a", "b"]);
    }

    #[test]
    fn what_is_shared_is_paid_once() {
        let kernel = ("kernel", 100.0);
        let items = [
            item("a", true, 10.0, &[("boot", 20.0)]),
            item("b", false, 10.0, &[("boot", 20.0)]),
            item("c", false, 10.0, &[kernel, ("other boot", 20.0)]),
            item("d", false, 10.0, &[kernel, ("other boot", 20.0)]),
        ];
        assert_eq!(names(&items, 40.0, "x"), ["a", "b"]);
        assert_eq!(choose(&items, 169.9, "x").len(), 2);
        assert_eq!(choose(&items, 170.0, "x").len(), 3);
        assert_eq!(choose(&items, 180.0, "x").len(), 4);
    }

    #[test]
    fn different_turns_leave_out_different_ones_and_the_same_turn_the_same() {
        let items: Vec<_> = (0..20)
            .map(|n| item(&format!("s{n}"), false, 10.0, &[]))
            .collect();
        let mut seen = BTreeSet::new();
        for turn in 0..20 {
            let chosen = names(&items, 100.0, &turn.to_string());
            assert_eq!(chosen.len(), 10);
            assert_eq!(chosen, names(&items, 100.0, &turn.to_string()));
            seen.extend(chosen);
        }
        assert_eq!(seen.len(), 20, "each has its turn");
    }

    #[test]
    fn a_long_one_that_does_not_fit_does_not_keep_short_ones_out() {
        let items = [
            item("long", false, 100.0, &[]),
            item("short", false, 5.0, &[]),
        ];
        for turn in ["a", "b", "c", "d"] {
            assert_eq!(names(&items, 50.0, turn), ["short"]);
        }
    }
}
