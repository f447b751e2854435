//! Invariants A to H of `billing.md`: random histories of views, aborts, purchases, allocations, plan changes, month ends,
//! clock jumps, replays, crashes and restarts, on two nodes with one ledger, beside a model that does the same arithmetic
//! with nothing but numbers in maps. After each step the books must say what the model says.
//!
//! `PROPTEST_CASES` sets how many histories are tried; each has some hundreds of steps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod history;
mod model;
mod world;

use proptest::prelude::*;

use history::{Step, history};
use world::World;

fn live(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new().await;
        for step in steps {
            world.take(step).await;
            world.check(step).await;
        }
        world.audit().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn the_books_say_what_the_model_says(steps in history(100..300)) {
        live(&steps);
    }
}
