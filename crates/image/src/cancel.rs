//! Whether work is still wanted: asked between rows and stages, since nobody can stop a codec in the middle.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::error::ImageError;

/// A sign that can be set once, and is seen by all who hold it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Says that the work is not wanted any more.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same between rows, some of which go by between two looks.
    ///
    /// # Errors
    /// [`ImageError::Cancelled`]
    pub(super) fn check_row(&self, row: u32) -> Result<(), ImageError> {
        const ROWS_BETWEEN_LOOKS: u32 = 64;
        if row.is_multiple_of(ROWS_BETWEEN_LOOKS) { self.check() } else { Ok(()) }
    }

    /// # Errors
    /// [`ImageError::Cancelled`]
    pub(super) fn check(&self) -> Result<(), ImageError> {
        if self.is_cancelled() { Err(ImageError::Cancelled) } else { Ok(()) }
    }
}
