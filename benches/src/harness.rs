//! Paired rounds and medians.

use std::time::Duration;

use cpu_time::ThreadTime;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Rounds that count; one more goes before them to warm up.
    pub(crate) rounds: usize,
    /// Divides the repetitions within a round.
    pub(crate) shorter: u64,
}

impl Effort {
    pub(crate) const FULL: Self = Self { rounds: 31, shorter: 1 };
    pub(crate) const QUICK: Self = Self { rounds: 7, shorter: 10 };

    /// So many repetitions, or fewer.
    pub(crate) fn times(self, repetitions: u64) -> u64 {
        (repetitions / self.shorter).max(1)
    }
}

/// Something to be measured: one call is one round and gives its value.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    round: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(name: &'static str, round: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, round: Box::new(round) }
    }
}

/// The values of each round, subject by subject in the order given.
pub(crate) struct Rounds(Vec<Vec<f64>>);

/// Runs the subjects alternating, in turns forwards and backwards, so that a drift of the machine meets all alike.
pub(crate) fn alternate(effort: Effort, subjects: &mut [Subject<'_>]) -> Rounds {
    let mut rounds: Vec<_> = subjects.iter().map(|_| Vec::with_capacity(effort.rounds)).collect();
    for round in 0..=effort.rounds {
        let mut order: Vec<_> = (0..subjects.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let value = (subjects[index].round)();
            if round > 0 {
                rounds[index].push(value);
            }
        }
    }
    Rounds(rounds)
}

impl Rounds {
    /// Adds the rounds of another sitting of the same subjects.
    pub(crate) fn append(&mut self, others: Self) {
        for (mine, others) in self.0.iter_mut().zip(others.0) {
            mine.extend(others);
        }
    }

    /// The median value of a subject.
    pub(crate) fn value(&self, subject: usize) -> f64 {
        median(self.0[subject].clone())
    }

    /// The median of the rounds' own ratios of one subject to another.
    pub(crate) fn ratio(&self, subject: usize, baseline: usize) -> f64 {
        median(self.0[subject].iter().zip(&self.0[baseline]).map(|(value, base)| value / base).collect())
    }

    /// The median of the rounds' own differences of one subject and another.
    pub(crate) fn difference(&self, subject: usize, baseline: usize) -> f64 {
        median(self.0[subject].iter().zip(&self.0[baseline]).map(|(value, base)| value - base).collect())
    }
}

/// Nanoseconds of CPU time of this thread for one of `times` calls.
pub(crate) fn cpu_ns(times: u64, mut call: impl FnMut()) -> f64 {
    let start = ThreadTime::now();
    for _ in 0..times {
        call();
    }
    nanoseconds(start.elapsed()) / times as f64
}

pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

/// The middle one, or the mean of the two in the middle. NaN of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => f64::NAN,
        (Some(&upper), 0) => f64::midpoint(values[middle - 1], upper),
        (Some(&value), _) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn ratios_are_taken_round_by_round_and_the_warm_up_is_left_out() {
        let effort = Effort { rounds: 3, shorter: 1 };
        let mut base = [100.0, 1.0, 2.0, 10.0].into_iter();
        let mut twice = [100.0, 2.0, 4.0, 20.0].into_iter();
        let mut subjects = [
            Subject::new("base", || base.next().unwrap_or(f64::NAN)),
            Subject::new("twice", || twice.next().unwrap_or(f64::NAN)),
        ];
        let rounds = alternate(effort, &mut subjects);
        assert_eq!((rounds.value(0), rounds.value(1)), (2.0, 4.0));
        assert_eq!((rounds.ratio(1, 0), rounds.difference(1, 0)), (2.0, 2.0));
    }

    #[test]
    fn sittings_are_joined_round_by_round() {
        let mut rounds = Rounds(vec![vec![1.0], vec![2.0]]);
        rounds.append(Rounds(vec![vec![3.0, 5.0], vec![9.0, 15.0]]));
        assert_eq!((rounds.value(0), rounds.value(1), rounds.ratio(1, 0)), (3.0, 9.0, 3.0));
    }

    #[test]
    fn subjects_alternate_forwards_and_backwards() {
        let order = std::cell::RefCell::new(String::new());
        let log = |name: char| {
            order.borrow_mut().push(name);
            1.0
        };
        let mut subjects = [Subject::new("a", || log('a')), Subject::new("b", || log('b'))];
        alternate(Effort { rounds: 2, shorter: 1 }, &mut subjects);
        assert_eq!(*order.borrow(), "abbaab");
    }
}
