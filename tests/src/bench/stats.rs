// SPDX-License-Identifier: GPL-2.0

//! The statistics of a comparison: medians, quartiles, and how sure one can be of a median.
//!
//! Only order statistics: run times on a shared machine have a long tail, and a mean would follow the tail.

/// Where a set of numbers lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// A quarter of the numbers is below this.
    pub lower: f64,
    /// A quarter of the numbers is above this.
    pub upper: f64,
}

impl Summary {
    /// `None` for no numbers at all.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let sorted = sorted(numbers);
        Some(Self {
            median: quantile(&sorted, 0.5)?,
            lower: quantile(&sorted, 0.25)?,
            upper: quantile(&sorted, 0.75)?,
        })
    }

    /// Half the distance between the quartiles, as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.upper - self.lower) / 2.0 / self.median
    }
}

/// How two drivers compare in one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The median of the rounds' ratios.
    pub ratio: f64,
    /// The ends of an interval that holds the true median with a probability of at least 95 %, or all ratios'
    /// ends where there are too few rounds for that.
    pub interval: (f64, f64),
}

impl Comparison {
    /// Compares what two drivers did in the same rounds: `ours[n]` was measured right beside `theirs[n]`, so that
    /// what slowed the machine for a while slowed both. `None` without rounds or with a zero to divide by.
    pub fn paired(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        if ours.len() != theirs.len() || theirs.contains(&0.0) {
            return None;
        }
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        let sorted = sorted(&ratios);
        let cut = cut(sorted.len());
        Some(Self {
            ratio: quantile(&sorted, 0.5)?,
            interval: (*sorted.get(cut)?, *sorted.get(sorted.len() - 1 - cut)?),
        })
    }

    /// Whether the numbers can tell the ratio from 1 at all.
    pub fn undecided(&self) -> bool {
        self.interval.0 <= 1.0 && self.interval.1 >= 1.0
    }
}

fn sorted(numbers: &[f64]) -> Vec<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// Linear interpolation between the two nearest numbers, as most statistics packages do by default.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * (sorted.len().checked_sub(1)? as f64);
    let (below, above) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    Some(below + (above - below) * place.fract())
}

/// How many numbers may be left out at each end so that what remains still spans the true median with 95 %
/// probability: the number of samples below the true median is binomial with one half (the sign test).
fn cut(count: usize) -> usize {
    let mut tail = 0.0;
    let mut term = 0.5f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    for below in 0..count / 2 {
        tail += term;
        if tail > 0.025 {
            // One fewer than the first number of samples that is too likely.
            return below.saturating_sub(1);
        }
        term *= (count - below) as f64 / (below + 1) as f64;
    }
    (count / 2).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles_are_those_of_the_books() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0, 100.0]).unwrap();
        assert_eq!(
            summary,
            Summary {
                median: 3.0,
                lower: 2.0,
                upper: 4.0
            }
        );
        assert_eq!(summary.spread(), 1.0 / 3.0);
        assert_eq!(Summary::of(&[1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn the_interval_leaves_out_what_the_sign_test_allows() {
        // Tables of the sign test at 5 %, two-sided: from 6 samples on the extremes enclose the median; with 9 the
        // second ones do, with 12 the third, with 20 the sixth.
        for (count, left_out) in [
            (1, 0),
            (2, 0),
            (5, 0),
            (6, 0),
            (8, 0),
            (9, 1),
            (12, 2),
            (15, 3),
            (20, 5),
        ] {
            assert_eq!(cut(count), left_out, "{count}");
        }
    }

    #[test]
    fn a_disturbance_of_both_does_not_disturb_the_ratio() {
        let theirs: Vec<f64> = (1..=20).map(|round| 100.0 * f64::from(round)).collect();
        let ours: Vec<f64> = theirs.iter().map(|rate| rate * 1.05).collect();
        let comparison = Comparison::paired(&ours, &theirs).unwrap();
        assert!((comparison.ratio - 1.05).abs() < 1e-9);
        assert!(!comparison.undecided());
    }

    #[test]
    fn a_difference_smaller_than_the_noise_is_undecided() {
        let theirs = vec![100.0; 12];
        let ours: Vec<f64> = (0..12).map(|round| 97.0 + f64::from(round) / 2.0).collect();
        let comparison = Comparison::paired(&ours, &theirs).unwrap();
        assert!(comparison.ratio < 1.0 && comparison.undecided());
    }

    #[test]
    fn missing_rounds_give_no_comparison() {
        assert_eq!(Comparison::paired(&[], &[]), None);
        assert_eq!(Comparison::paired(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(Comparison::paired(&[1.0], &[0.0]), None);
    }
}
