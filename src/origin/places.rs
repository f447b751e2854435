//! Places among the requests to origins that are under way. What is fetched for all is taken in as it comes; what one visitor
//! is given as it comes is taken at his pace, which may be none. Each has places of its own: visitors who take nothing keep
//! nobody from what is fetched for all.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::FetchError;

/// So many places of each kind: for all sites, or of them the part that one site may have.
#[derive(Debug, Clone)]
pub struct Places {
    cache: Arc<Semaphore>,
    visitors: Arc<Semaphore>,
}

/// Who reads a response, at his pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The cache, for all: it waits for nobody.
    Cache,
    /// The visitor who asked.
    Visitor,
}

/// A request's places: among its site's, and among all.
#[derive(Debug)]
pub(super) struct Held {
    of: [Places; 2],
    reader: Reader,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Places {
    /// `places` of each kind.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let semaphore = || Arc::new(Semaphore::new(places));
        Self { cache: semaphore(), visitors: semaphore() }
    }

    fn take(&self, reader: Reader) -> Result<OwnedSemaphorePermit, FetchError> {
        let places = match reader {
            Reader::Cache => &self.cache,
            Reader::Visitor => &self.visitors,
        };
        Arc::clone(places).try_acquire_owned().map_err(|_| FetchError::Busy)
    }

    /// How many are free, for the cache and for visitors.
    #[cfg(test)]
    pub(crate) fn free(&self) -> (usize, usize) {
        (self.cache.available_permits(), self.visitors.available_permits())
    }

    /// Whether they are the same.
    #[cfg(test)]
    pub(crate) fn are(&self, others: &Self) -> bool {
        Arc::ptr_eq(&self.cache, &others.cache) && Arc::ptr_eq(&self.visitors, &others.visitors)
    }
}

impl Held {
    /// Takes a place of both.
    ///
    /// # Errors
    /// [`FetchError::Busy`]
    pub(super) fn take(site: &Places, all: &Places, reader: Reader) -> Result<Self, FetchError> {
        let permits = [site.take(reader)?, all.take(reader)?];
        Ok(Self { of: [site.clone(), all.clone()], reader, _permits: permits })
    }

    /// Changes places for those of who reads at his own pace; where there are none, these stay.
    ///
    /// # Errors
    /// [`FetchError::Busy`]
    pub(super) fn leave_to_a_visitor(&mut self) -> Result<(), FetchError> {
        if self.reader == Reader::Cache {
            *self = Self::take(&self.of[0], &self.of[1], Reader::Visitor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_at_his_own_pace_takes_no_place_of_what_is_fetched_for_all() {
        let (site, all) = (Places::new(1), Places::new(2));
        let mut read = Held::take(&site, &all, Reader::Cache).unwrap();
        assert_eq!(Held::take(&site, &all, Reader::Cache).unwrap_err(), FetchError::Busy);
        read.leave_to_a_visitor().unwrap();
        assert_eq!((site.free(), all.free()), ((1, 0), (2, 1)));
        read.leave_to_a_visitor().unwrap();
        let mut fetched = Held::take(&site, &all, Reader::Cache).unwrap();
        assert_eq!(fetched.leave_to_a_visitor(), Err(FetchError::Busy));
        assert_eq!(site.free(), (0, 0), "it keeps what it has");
        drop((read, fetched));
        assert_eq!((site.free(), all.free()), ((1, 1), (2, 2)));
    }

    #[test]
    fn a_site_does_not_have_all() {
        let (site, other, all) = (Places::new(1), Places::new(1), Places::new(2));
        let _held = Held::take(&site, &all, Reader::Visitor).unwrap();
        assert!(Held::take(&site, &all, Reader::Visitor).is_err());
        assert_eq!(all.free(), (2, 1), "a refusal leaves nothing taken");
        assert!(Held::take(&other, &all, Reader::Visitor).is_ok());
    }
}
