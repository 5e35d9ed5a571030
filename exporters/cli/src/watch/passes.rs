//! What passes take on the GPU, and which frames were too long: between two samples. Pure.

use super::rates::Span;
use super::sample::{Figure, Sample};

/// A pass on the GPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pass {
    pub(crate) name: String,
    pub(crate) runs_per_second: Figure,
    /// Of one run.
    pub(crate) mean: Figure,
    /// Seconds of it in a second.
    pub(crate) share: Figure,
}

/// Frames that were too long, of one cause.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Hitches {
    pub(crate) cause: String,
    /// Since the engine's start.
    pub(crate) count: f64,
    /// In between.
    pub(crate) new: Figure,
}

pub(super) fn rates(span: Span<'_>, now: &Sample) -> Vec<Pass> {
    let mut all: Vec<_> = now
        .passes
        .iter()
        .map(|(name, pass)| {
            let runs = span.growth(|sample| sample.passes.get(name)?.runs, pass.runs);
            let seconds = span.growth(|sample| sample.passes.get(name)?.seconds, pass.seconds);
            Pass {
                name: name.clone(),
                runs_per_second: span.rate(|sample| sample.passes.get(name)?.runs, now),
                mean: runs.filter(|runs| *runs > 0.0).and_then(|runs| Some(seconds? / runs)),
                share: span.rate(|sample| sample.passes.get(name)?.seconds, now),
            }
        })
        .collect();
    // Stable: passes that take as long stay in the order of their names.
    all.sort_by(|a, b| b.share.unwrap_or(-1.0).total_cmp(&a.share.unwrap_or(-1.0)));
    all
}

/// Causes of which there is none are left out.
pub(super) fn hitches(span: Span<'_>, now: &Sample) -> Vec<Hitches> {
    let counted = now.hitches.iter().filter_map(|(cause, count)| {
        let count = count.filter(|count| *count > 0.0)?;
        let new = span.growth(|sample| *sample.hitches.get(cause)?, Some(count));
        Some(Hitches { cause: cause.clone(), count, new })
    });
    let mut all: Vec<_> = counted.collect();
    all.sort_by(|a, b| b.count.total_cmp(&a.count));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::rates::Rates;

    #[test]
    fn passes_have_a_mean_and_the_longest_in_all_comes_first() {
        let sample = |text: &str| Sample::read(text).unwrap();
        let before = sample(
            "vitals_gpu_pass_runs_total{pass=\"sky\"} 10\nvitals_gpu_pass_seconds_total{pass=\"sky\"} 1\n\
             vitals_gpu_pass_runs_total{pass=\"main\"} 10\nvitals_gpu_pass_seconds_total{pass=\"main\"} 2\n\
             vitals_hitches_total{cause=\"uploads\"} 1\nvitals_hitches_total{cause=\"stalls\"} 0\n",
        );
        let after = sample(
            "vitals_gpu_pass_runs_total{pass=\"sky\"} 30\nvitals_gpu_pass_seconds_total{pass=\"sky\"} 1.25\n\
             vitals_gpu_pass_runs_total{pass=\"main\"} 20\nvitals_gpu_pass_seconds_total{pass=\"main\"} 2.5\n\
             vitals_gpu_pass_runs_total{pass=\"new\"} 1\n\
             vitals_hitches_total{cause=\"uploads\"} 3\nvitals_hitches_total{cause=\"stalls\"} 0\n\
             vitals_hitches_total{cause=\"external\"} 9\n",
        );
        let rates = Rates::between(Some((&before, 2.0)), &after);
        let shown: Vec<_> =
            rates.passes.iter().map(|pass| (pass.name.as_str(), pass.runs_per_second, pass.mean, pass.share)).collect();
        assert_eq!(
            shown,
            [
                ("main", Some(5.0), Some(0.05), Some(0.25)),
                ("sky", Some(10.0), Some(0.0125), Some(0.125)),
                ("new", None, None, None)
            ]
        );
        let hitches: Vec<_> =
            rates.hitches.iter().map(|cause| (cause.cause.as_str(), cause.count, cause.new)).collect();
        assert_eq!(hitches, [("external", 9.0, None), ("uploads", 3.0, Some(2.0))]);
        let again = Rates::between(Some((&after, 1.0)), &before);
        assert_eq!((again.passes[0].mean, again.hitches[0].new), (None, None), "the engine was started again");
    }
}
