//! Work under way, by key, and what is remembered of it for a moment: the table around [`super::state`]. The work runs in a
//! task of its own: whoever waits may go away and stops nothing. A task that dies without a word hands its key over to the
//! next who asks, once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::state::{State, Turn};
use crate::{cache::key::CacheKey, http::time::UnixSeconds};

/// How many keys are remembered that nobody is at. Beyond, the oldest is forgotten.
const MAX_REMEMBERED: usize = 10_000;

/// How long a key rests whose leaders were lost.
const REST_AFTER_LOSS: Duration = Duration::from_secs(1);

/// Work under way.
#[derive(Debug)]
pub struct Flights<T> {
    table: Mutex<Table<T>>,
}

#[derive(Debug)]
struct Table<T> {
    flights: HashMap<CacheKey, Flight<T>>,
    /// Keys in the order in which they came to be remembered; some of them may have been forgotten since.
    remembered: VecDeque<CacheKey>,
    under_way: usize,
}

#[derive(Debug)]
struct Flight<T> {
    state: State,
    /// Where the result comes in while somebody is at it; while it rests, how it failed.
    receiver: Option<watch::Receiver<Option<T>>>,
}

/// The doer's end: lands the result. Dropping it takes the key out, so that the next one starts anew; dropped without a
/// result it hands over.
#[derive(Debug)]
pub struct Landing<T> {
    key: CacheKey,
    sender: watch::Sender<Option<T>>,
    flights: Arc<Flights<T>>,
    ended: bool,
    left: bool,
    now: UnixSeconds,
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
    /// What comes of it cannot be shared: the caller does it for himself.
    Apart,
    /// It failed a moment ago: how, if that is still known.
    Resting(Option<Waiting<T>>),
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        let table = Table { flights: HashMap::new(), remembered: VecDeque::new(), under_way: 0 };
        Self { table: Mutex::new(table) }
    }
}

impl<T> Flights<T> {
    /// Joins the work under `key`, or begins it.
    #[must_use]
    pub fn join(self: &Arc<Self>, key: CacheKey, now: UnixSeconds) -> Joined<T> {
        let mut table = self.lock();
        let flight = table.flights.entry(key).or_insert(Flight { state: State::Idle, receiver: None });
        let (state, turn) = flight.state.arrive(now);
        flight.state = state;
        match (turn, &flight.receiver) {
            (Turn::GoAlone, _) => Joined::Apart,
            (Turn::Rest, receiver) => Joined::Resting(receiver.as_ref().map(follow)),
            (Turn::Follow, Some(receiver)) => Joined::UnderWay(follow(receiver)),
            (Turn::Lead | Turn::Follow, _) => {
                let (sender, receiver) = watch::channel(None);
                flight.receiver = Some(receiver.clone());
                table.under_way += 1;
                let landing = Landing { key, sender, flights: Arc::clone(self), ended: false, left: false, now };
                Joined::First(landing, Waiting { receiver, collapsed: false })
            }
        }
    }

    /// Forgets what is remembered of a key; what is on its way under it is not kept, and nobody joins it any more.
    pub fn purge(&self, key: CacheKey) {
        self.lock().leave(key, State::purged);
    }

    /// How many pieces of work are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().under_way
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        // The table is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    /// Puts a key that nobody is at any more where it belongs: out of the table, or among what is remembered.
    fn leave(&mut self, key: CacheKey, next: impl FnOnce(State) -> State) {
        let Some(flight) = self.flights.get_mut(&key) else { return };
        flight.state = next(flight.state);
        if !matches!(flight.state, State::Resting { .. }) {
            flight.receiver = None;
        }
        if flight.state == State::Idle {
            self.flights.remove(&key);
            return;
        }
        self.remembered.push_back(key);
        while self.remembered.len() > MAX_REMEMBERED {
            let Some(oldest) = self.remembered.pop_front() else { break };
            if self.flights.get(&oldest).is_some_and(|flight| !matches!(flight.state, State::Led { .. })) {
                self.flights.remove(&oldest);
            }
        }
    }
}

impl<T> Landing<T> {
    /// Gives the result to all who wait, and to those who join until the landing is dropped.
    pub fn land(&mut self, result: T) {
        self.ended = true;
        self.sender.send_replace(Some(result));
    }

    /// Gives the result to all who wait; who comes until `now` + `span` goes alone.
    pub fn land_apart(mut self, result: T, now: UnixSeconds, span: Duration) {
        self.land(result);
        self.leave_apart(now, span);
    }

    /// Lets what has landed stand for those who wait; who comes until `now` + `span` goes alone.
    pub fn leave_apart(mut self, now: UnixSeconds, span: Duration) {
        self.leave(|state| state.apart(now, span));
    }

    /// Gives the result to all who wait; nobody tries again for `span` or, after failures in a row, longer.
    pub fn land_failed(mut self, result: T, now: UnixSeconds, span: Duration) {
        self.land(result);
        self.leave(|state| state.failed(now, span));
    }

    /// Whether what comes may be kept: nothing was purged meanwhile.
    #[must_use]
    pub fn may_keep(&self) -> bool {
        self.is_own(&self.flights.lock())
    }

    /// Whether the key is still this one's, and not another's after a purge.
    fn is_own(&self, table: &Table<T>) -> bool {
        let receiver = table.flights.get(&self.key).and_then(|flight| flight.receiver.as_ref());
        receiver.is_some_and(|receiver| receiver.same_channel(&self.sender.subscribe()))
    }
}

impl<T> Landing<T> {
    fn leave(&mut self, next: impl FnOnce(State) -> State) {
        if !std::mem::replace(&mut self.left, true) {
            let mut table = self.flights.lock();
            table.under_way = table.under_way.saturating_sub(1);
            if self.is_own(&table) {
                table.leave(self.key, next);
            }
        }
    }
}

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let (ended, now) = (self.ended, self.now);
        self.leave(|state| if ended { state.shared() } else { state.lost(now, REST_AFTER_LOSS) });
    }
}

fn follow<T>(receiver: &watch::Receiver<Option<T>>) -> Waiting<T> {
    Waiting { receiver: receiver.clone(), collapsed: true }
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

    const NOW: UnixSeconds = UnixSeconds(1_000);
    const SPAN: Duration = Duration::from_secs(2);

    fn key() -> CacheKey {
        KeyHasher::new().text("work").finish()
    }

    fn lead(flights: &Arc<Flights<u32>>) -> (Landing<u32>, Waiting<u32>) {
        let Joined::First(landing, waiting) = flights.join(key(), NOW) else { panic!("it is not to be had") };
        (landing, waiting)
    }

    fn follow(flights: &Arc<Flights<u32>>) -> Waiting<u32> {
        let Joined::UnderWay(waiting) = flights.join(key(), NOW) else { panic!("nobody is at it") };
        waiting
    }

    #[tokio::test]
    async fn all_who_join_get_one_result() {
        let flights = Arc::new(Flights::<u32>::default());
        let (mut landing, first) = lead(&flights);
        let second = follow(&flights);
        assert!(second.collapsed && !first.collapsed);
        landing.land(7);
        let late = follow(&flights);
        drop(landing);
        assert_eq!((first.result().await, second.result().await, late.result().await), (Some(7), Some(7), Some(7)));
        assert!(flights.is_empty());
        assert!(flights.lock().flights.is_empty());
    }

    #[tokio::test]
    async fn work_that_dies_is_told_and_taken_over_once() {
        let flights = Arc::new(Flights::<u32>::default());
        let (landing, first) = lead(&flights);
        drop(landing);
        assert_eq!(first.result().await, None);
        let (landing, second) = lead(&flights);
        drop(landing);
        assert_eq!(second.result().await, None);
        assert!(matches!(flights.join(key(), NOW), Joined::Resting(_)));
        assert!(matches!(flights.join(key(), NOW.plus(SPAN)), Joined::First(..)));
    }

    #[tokio::test]
    async fn what_cannot_be_shared_reaches_those_who_waited_and_sends_the_others_alone() {
        let flights = Arc::new(Flights::<u32>::default());
        let (landing, first) = lead(&flights);
        landing.land_apart(3, NOW, SPAN);
        assert_eq!(first.result().await, Some(3));
        assert!(matches!(flights.join(key(), NOW), Joined::Apart));
        assert!(flights.is_empty(), "nobody is at it");
    }

    #[tokio::test]
    async fn who_asks_while_it_rests_learns_how_it_failed() {
        let flights = Arc::new(Flights::<u32>::default());
        let (landing, _waiting) = lead(&flights);
        landing.land_failed(5, NOW, SPAN);
        let Joined::Resting(Some(failure)) = flights.join(key(), NOW) else { panic!("it does not rest") };
        assert_eq!(failure.result().await, Some(5));
    }

    #[test]
    fn a_purge_is_seen_by_the_one_who_is_at_it_and_forgets_what_is_remembered() {
        let flights = Arc::new(Flights::<u32>::default());
        let (mut landing, _waiting) = lead(&flights);
        assert!(landing.may_keep());
        flights.purge(key());
        assert!(!landing.may_keep());
        let (after, _waiting) = lead(&flights);
        landing.land(1);
        drop(landing);
        assert!(after.may_keep(), "the one from before took the key out");
        drop(after);
        let (landing, _waiting) = lead(&flights);
        assert!(landing.may_keep());
        landing.land_failed(2, NOW, SPAN);
        assert!(matches!(flights.join(key(), NOW), Joined::Resting(_)));
        flights.purge(key());
        assert!(matches!(flights.join(key(), NOW), Joined::First(..)));
    }

    #[test]
    fn a_landing_that_ends_late_does_not_take_out_the_one_that_came_after_it() {
        let flights = Arc::new(Flights::<u32>::default());
        let (landing, _waiting) = lead(&flights);
        landing.land_failed(2, NOW, SPAN);
        let Joined::First(mut second, _waiting) = flights.join(key(), NOW.plus(SPAN)) else { panic!("it rests") };
        second.land(1);
        assert_eq!(flights.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let flights = Arc::new(Flights::<u32>::default());
        for number in 0..MAX_REMEMBERED as u64 + 100 {
            let key = KeyHasher::new().bytes(&number.to_le_bytes()).finish();
            let Joined::First(landing, _waiting) = flights.join(key, NOW) else { panic!("it is not to be had") };
            landing.land_apart(0, NOW, SPAN);
        }
        assert_eq!(flights.lock().flights.len(), MAX_REMEMBERED);
    }
}
