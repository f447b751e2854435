//! A thing that many hear of and one can have: the first who takes it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::origin::fetch::OriginResponse;

/// What one of all who hold it may take.
#[derive(Debug)]
pub struct Handoff<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Handoff<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Handoff<T> {
    /// Nothing: nobody can take it.
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Handoff<T> {
    /// Puts it up to be taken.
    #[must_use]
    pub fn new(thing: T) -> Self {
        Self(Arc::new(Mutex::new(Some(thing))))
    }

    /// Takes it; `None` where it has been taken.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Handoff<OriginResponse> {
    /// Puts a response up for one who reads it at his own pace. Where there is no place for one more who does, nobody can take
    /// it: each asks for himself, and is told so.
    #[must_use]
    pub fn to_a_visitor(mut response: OriginResponse) -> Self {
        response.unhurried().map_or_else(|_| Self::default(), |()| Self::new(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_gets_it() {
        let one = Handoff::new(1);
        let other = one.clone();
        assert_eq!((other.take(), one.take()), (Some(1), None));
        assert_eq!(Handoff::<u8>::default().take(), None);
    }
}
