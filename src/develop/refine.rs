//! Makes first views again, slower, smaller and nearer to their target, one at a time, when nothing else wants the codecs.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::variants::{Developer, Job, Refined};
use crate::{
    cache::object::SourceHead,
    image::{Developed, format::OutputFormat, quality::TOLERANCE},
    request::transform::Quality,
};

/// How many refinements may wait; what comes beyond it is not refined.
pub const MAX_WAITING: usize = 1_024;

/// The machine is idle when no codec has been wanted for this long.
const QUIET: Duration = Duration::from_millis(500);

/// A variant that could be better.
#[derive(Debug, Clone)]
pub struct RefineJob {
    /// What was made.
    pub job: Job,
    /// Of which version of the source.
    pub head: Arc<SourceHead>,
    /// In which format.
    pub format: OutputFormat,
}

/// Refines what is put down, until nothing can be put down any more.
pub async fn run(developer: Arc<Developer>, mut waiting: mpsc::Receiver<RefineJob>) {
    while let Some(refinement) = waiting.recv().await {
        loop {
            quiet(&developer).await;
            let Some(source) = developer.whole_for_refinement(&refinement).await else { break };
            if developer.refine(&refinement, &source).await == Refined::Done {
                break;
            }
        }
    }
}

async fn quiet(developer: &Developer) {
    loop {
        while !developer.is_idle() {
            sleep(QUIET).await;
        }
        sleep(QUIET).await;
        if developer.is_idle() {
            return;
        }
    }
}

/// Whether time makes a variant better: AVIF gets smaller in any case, the others are brought to their target.
pub(super) fn is_worth_refining(format: OutputFormat, quality: Option<Quality>) -> bool {
    format == OutputFormat::Avif || matches!(quality, Some(Quality::Target(_)))
}

/// Whether what was made with time takes the first view's place: if it has fewer bytes without missing the target, or if the
/// first view is too far below the target and this is better. Never if the original has no more bytes.
pub(super) fn takes_its_place(refined: &Developed, first_len: u64, quality: Option<Quality>, source_len: u64) -> bool {
    let len = refined.bytes.len() as u64;
    let scores = refined.quality.and_then(|measured| Some((measured.score, measured.first_view?)));
    let is_better = match (quality, scores) {
        (Some(Quality::Target(target)), Some((score, first_score))) => {
            let least = f32::from(target) - TOLERANCE;
            if first_score < least { score > first_score } else { len < first_len && score >= least.min(first_score) }
        }
        _ => len < first_len,
    };
    is_better && len < source_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{StageTimes, quality::Measured};

    fn refined(len: usize, scores: Option<(f32, f32)>) -> Developed {
        let quality = scores.map(|(score, first_view)| Measured {
            score,
            setting: Some(30.0),
            tries: 1,
            first_view: Some(first_view),
        });
        Developed { bytes: vec![0; len], width: 1, height: 1, stages: StageTimes::default(), quality }
    }

    #[test]
    fn what_is_off_its_target_is_replaced_and_else_what_is_larger() {
        let target = Some(Quality::Target(72));
        let table = [
            ("smaller and as good", 80, Some((71.8, 72.5)), target, true),
            ("no smaller and as good", 100, Some((72.0, 72.5)), target, false),
            ("the first is too good", 80, Some((72.0, 80.0)), target, true),
            ("the first is too good, but has fewer bytes", 110, Some((72.0, 80.0)), target, false),
            ("the first is too bad", 150, Some((72.0, 66.0)), target, true),
            ("the first is too bad, and so is this", 90, Some((65.0, 66.0)), target, false),
            ("smaller, but below the target", 80, Some((66.0, 72.0)), target, false),
            ("too large", 200, Some((72.0, 60.0)), target, false),
            ("nothing was measured", 99, None, target, true),
            ("nothing was measured, and no smaller", 100, None, target, false),
            ("a setting", 99, None, Some(Quality::Setting(80)), true),
        ];
        for (what, len, scores, quality, expected) in table {
            assert_eq!(takes_its_place(&refined(len, scores), 100, quality, 200), expected, "{what}");
        }
    }

    #[test]
    fn a_fixed_quality_is_refined_in_avif_only() {
        assert!(is_worth_refining(OutputFormat::Avif, Some(Quality::Setting(80))));
        assert!(!is_worth_refining(OutputFormat::WebP, Some(Quality::Setting(80))));
        assert!(is_worth_refining(OutputFormat::WebP, Some(Quality::Target(72))));
    }
}
