//! A response that may not be kept: it belongs to one visitor, the first who takes it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{image::why_original::WhyOriginal, origin::fetch::OriginResponse};

/// A response for one taker.
#[derive(Debug, Clone)]
pub struct DirectResponse {
    response: Arc<Mutex<Option<OriginResponse>>>,
    /// Why it is passed through.
    pub why: WhyOriginal,
}

impl DirectResponse {
    /// Puts a response up to be taken.
    #[must_use]
    pub fn new(response: OriginResponse, why: WhyOriginal) -> Self {
        Self { response: Arc::new(Mutex::new(Some(response))), why }
    }

    /// Takes it; `None` where another was first.
    #[must_use]
    pub fn take(&self) -> Option<OriginResponse> {
        self.response.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
