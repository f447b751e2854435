//! What may happen.

use std::ops::Range;

use proptest::{collection::vec, prelude::*};

/// A size that is asked for: of a source, in one of four ways. The last two ask for more pixels than the source has, so they
/// are the same size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) source: u8,
    pub(crate) width: u8,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Format {
    Avif,
    Webp,
    Jpeg,
}

/// One thing that happens. `crash`: the first attempt dies so many steps into it, everything is opened anew, and it is tried
/// again, as whoever wants it would.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Views of variants, charged together.
    Views {
        site: u8,
        views: Vec<(Asked, Format)>,
        crash: Option<u8>,
    },
    /// An optimized image goes out on a node, or as much of it as is taken before the visitor goes away.
    Sends {
        node: u8,
        site: u8,
        bytes: u32,
    },
    /// A node posts what it has counted.
    Posts {
        node: u8,
        crash: Option<u8>,
    },
    /// It posts the same again, and what it had before.
    Replays {
        node: u8,
    },
    /// A node dies and comes back: its counters are all that it has.
    NodeRestarts {
        node: u8,
    },
    Grants {
        account: u8,
        one_time: bool,
        amount: i64,
        crash: Option<u8>,
    },
    Withdraws {
        account: u8,
        one_time: bool,
        amount: i64,
    },
    Allocates {
        site: u8,
        allocation: Option<(i64, i64)>,
        crash: Option<u8>,
    },
    ChangesPlan {
        account: u8,
        plan: u8,
        crash: Option<u8>,
    },
    /// Time goes on.
    Passes {
        seconds: u32,
    },
    /// The clock is set back.
    GoesBack {
        seconds: u32,
    },
    /// The content of all sources becomes another, of other dimensions.
    Changes,
    /// The ledger's process dies and comes back.
    Restarts,
}

pub(crate) fn history(steps: Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), steps)
}

fn step() -> impl Strategy<Value = Step> {
    let crash = || prop_oneof![4 => Just(None), 1 => (0u8..60).prop_map(Some)];
    let amount = || prop_oneof![1i64..20_000_000, Just(1), Just(1_000_000)];
    let format = prop_oneof![Just(Format::Avif), Just(Format::Webp), Just(Format::Jpeg)];
    let asked = (0u8..5, 0u8..4).prop_map(|(source, width)| Asked { source, width });
    let allocation = prop_oneof![
        1 => Just(None),
        4 => (0i64..30_000_000, 0i64..10_000_000).prop_map(Some),
    ];
    let hour = 3_600;
    let day = 24 * hour;
    prop_oneof![
        12 => (0u8..2, vec((asked, format), 1..5), crash())
            .prop_map(|(site, views, crash)| Step::Views { site, views, crash }),
        12 => (0u8..2, 2u8..4, 0u32..3_000_000).prop_map(|(node, site, bytes)| Step::Sends { node, site, bytes }),
        8 => (0u8..2, crash()).prop_map(|(node, crash)| Step::Posts { node, crash }),
        2 => (0u8..2).prop_map(|node| Step::Replays { node }),
        1 => (0u8..2).prop_map(|node| Step::NodeRestarts { node }),
        2 => (0u8..2, any::<bool>(), amount(), crash())
            .prop_map(|(account, one_time, amount, crash)| Step::Grants { account, one_time, amount, crash }),
        1 => (0u8..2, any::<bool>(), amount())
            .prop_map(|(account, one_time, amount)| Step::Withdraws { account, one_time, amount }),
        3 => (0u8..4, allocation, crash())
            .prop_map(|(site, allocation, crash)| Step::Allocates { site, allocation, crash }),
        1 => (0u8..2, 0u8..3, crash()).prop_map(|(account, plan, crash)| Step::ChangesPlan { account, plan, crash }),
        3 => prop_oneof![1u32..hour, hour..10 * day, 25 * day..70 * day].prop_map(|seconds| Step::Passes { seconds }),
        1 => (1u32..5 * day).prop_map(|seconds| Step::GoesBack { seconds }),
        1 => Just(Step::Changes),
        1 => Just(Step::Restarts),
    ]
}
