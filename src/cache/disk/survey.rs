//! What a start does not know yet: how much the files take that nobody has looked at. Keys are hashes, so that entries are
//! spread evenly over the leaves of the directory: the leaves that are read tell what the others hold. Pure.

use super::directory::LEAVES;

/// How far the directory is read through.
#[derive(Debug, Default)]
pub(super) struct Survey {
    leaves_read: u64,
    /// In the leaves that are read, whatever has become of them since.
    found_blocks: u64,
}

impl Survey {
    /// A file was found that was there before the start.
    pub(super) fn found(&mut self, blocks: u32) {
        self.found_blocks += u64::from(blocks);
    }

    /// A leaf is read to its end.
    pub(super) fn leaf_read(&mut self) {
        self.leaves_read += 1;
    }

    /// The blocks that files not seen yet are likely to take. All that was there kept within `limit` once: this bounds what
    /// is made of few leaves, and then no more goes than comes. Where the limit was lowered, what is seen soon tells.
    pub(super) fn unseen_blocks(&self, limit: u64) -> u64 {
        let left = LEAVES.saturating_sub(self.leaves_read);
        if self.leaves_read == 0 || left == 0 {
            return 0;
        }
        let likely = u128::from(self.found_blocks) * u128::from(left) / u128::from(self.leaves_read);
        u64::try_from(likely).unwrap_or(u64::MAX).min(limit.saturating_sub(self.found_blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(leaves: u64, blocks_a_leaf: u32) -> Survey {
        let mut survey = Survey::default();
        for _ in 0..leaves {
            survey.found(blocks_a_leaf);
            survey.leaf_read();
        }
        survey
    }

    #[test]
    fn the_leaves_that_are_read_tell_what_the_others_hold() {
        assert_eq!(after(LEAVES / 4, 10).unseen_blocks(u64::MAX), LEAVES * 3 / 4 * 10);
    }

    #[test]
    fn nothing_is_expected_before_the_first_leaf_and_after_the_last() {
        assert_eq!(after(0, 10).unseen_blocks(u64::MAX), 0);
        assert_eq!(after(LEAVES, 10).unseen_blocks(u64::MAX), 0);
    }

    #[test]
    fn what_was_there_is_not_taken_to_have_exceeded_the_limit() {
        assert_eq!(after(1, 1_000).unseen_blocks(5_000), 4_000);
        assert_eq!(after(1, 1_000).unseen_blocks(500), 0);
    }
}
