//! Makes first-view AVIFs again, slower and smaller, one at a time, when nothing else wants the codecs.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::variants::{Developer, Job, Refined};
use crate::{cache::object::SourceHead, image::format::OutputFormat};

/// How many refinements may wait; what comes beyond it is not refined.
pub const MAX_WAITING: usize = 1_024;

/// The machine is idle when no codec has been wanted for this long.
const QUIET: Duration = Duration::from_millis(500);

/// A variant that could be smaller.
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
