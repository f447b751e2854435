//! One piece of work for all who want its result at the same time. The work runs in a task of its own: whoever waits may
//! go away and stops nothing. Work that ends without a result (it panicked) is told to its waiters as such.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

use crate::cache::key::CacheKey;

/// Work under way, by key.
#[derive(Debug)]
pub struct Flights<T> {
    under_way: Mutex<HashMap<CacheKey, watch::Receiver<Option<T>>>>,
}

/// The doer's end: lands the result. Dropping it takes the key out, so that the next one starts anew.
#[derive(Debug)]
pub struct Landing<T> {
    key: CacheKey,
    sender: watch::Sender<Option<T>>,
    flights: Arc<Flights<T>>,
}

/// A waiter's end.
#[derive(Debug, Clone)]
pub struct Waiting<T> {
    receiver: watch::Receiver<Option<T>>,
    /// Whether somebody else had started the work.
    pub collapsed: bool,
}

/// What one who asks for work finds.
#[derive(Debug)]
pub enum Joined<T> {
    /// Nobody is at it: the landing is the caller's to give to a task.
    First(Landing<T>, Waiting<T>),
    /// It is under way.
    UnderWay(Waiting<T>),
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<T> Flights<T> {
    /// Joins the work under `key`, or begins it.
    #[must_use]
    pub fn join(self: &Arc<Self>, key: CacheKey) -> Joined<T> {
        match self.lock().entry(key) {
            Entry::Occupied(entry) => Joined::UnderWay(Waiting { receiver: entry.get().clone(), collapsed: true }),
            Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(None);
                entry.insert(receiver.clone());
                let landing = Landing { key, sender, flights: Arc::clone(self) };
                Joined::First(landing, Waiting { receiver, collapsed: false })
            }
        }
    }

    /// How many pieces of work are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<CacheKey, watch::Receiver<Option<T>>>> {
        // The map is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Landing<T> {
    /// Gives the result to all who wait, and to those who join until the landing is dropped.
    pub fn land(&self, result: T) {
        self.sender.send_replace(Some(result));
    }
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

impl<T: Clone> Waiting<T> {
    /// Waits for the result; `None` where the work ended without one.
    pub async fn result(mut self) -> Option<T> {
        let landed = self.receiver.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::KeyHasher;

    fn key() -> CacheKey {
        KeyHasher::new().text("work").finish()
    }

    #[tokio::test]
    async fn all_who_join_get_one_result() {
        let flights = Arc::new(Flights::<u32>::default());
        let Joined::First(landing, first) = flights.join(key()) else { panic!("somebody is at it") };
        let Joined::UnderWay(second) = flights.join(key()) else { panic!("nobody is at it") };
        assert!(second.collapsed && !first.collapsed);
        landing.land(7);
        let Joined::UnderWay(late) = flights.join(key()) else { panic!("taken out too early") };
        drop(landing);
        assert_eq!((first.result().await, second.result().await, late.result().await), (Some(7), Some(7), Some(7)));
        assert!(flights.is_empty());
    }

    #[tokio::test]
    async fn work_that_dies_is_told_and_can_begin_anew() {
        let flights = Arc::new(Flights::<u32>::default());
        let Joined::First(landing, first) = flights.join(key()) else { panic!("somebody is at it") };
        drop(landing);
        assert_eq!(first.result().await, None);
        assert!(matches!(flights.join(key()), Joined::First(..)));
    }
}
