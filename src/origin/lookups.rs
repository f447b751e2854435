//! Names that are being looked up. The system's lookup cannot be stopped: where a domain's servers do not answer, it holds a
//! blocking thread for ten seconds and more, long after all who asked have given up. So a name is looked up once however many
//! want it, there is a bound for all names, and no site comes near it: its visitors may be the ones who choose the names.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

/// Lookups under way at once, each with a blocking thread of its own. At the bound others wait, for as long as whoever asks
/// does; they are no more than there may be requests to origins (`origin.max_requests`).
pub const MAX_LOOKUPS: usize = 32;

/// A site begins a lookup only while more than this many times what it has under way are free: alone it comes to a quarter,
/// and each further site whose names hang to a quarter of what those before it have left.
const TIMES_FREE: usize = 3;

/// What a lookup came to, for all who wanted it.
type Answer = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// How a name is looked up.
type System = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The lookups of all sites.
#[derive(Debug, Clone)]
pub struct Lookups(Arc<Shared>);

struct Shared {
    system: Box<System>,
    under_way: Mutex<UnderWay>,
    ended: Notify,
}

/// What is under way, by name.
#[derive(Debug, Default)]
struct UnderWay(HashMap<Arc<str>, Lookup>);

#[derive(Debug)]
struct Lookup {
    /// Whose it counts as: the first's who asked.
    site: Arc<str>,
    answer: watch::Receiver<Option<Answer>>,
}

/// What becomes of one who wants a name.
enum Turn {
    /// He waits for this, which he is to fill.
    Begin(watch::Sender<Option<Answer>>, watch::Receiver<Option<Answer>>),
    /// He waits for what another began.
    Join(watch::Receiver<Option<Answer>>),
    /// Some lookup must end before.
    Wait,
}

/// A place among the lookups, given back when a lookup has really ended, however it ends.
struct Place {
    shared: Arc<Shared>,
    name: Arc<str>,
}

/// Whether a site that has `own` lookups under way may begin another, where `free` more could be under way.
const fn may_begin(own: usize, free: usize) -> bool {
    own * TIMES_FREE < free
}

impl UnderWay {
    fn turn(&mut self, site: &Arc<str>, name: &Arc<str>) -> Turn {
        if let Some(lookup) = self.0.get(name) {
            return Turn::Join(lookup.answer.clone());
        }
        let own = self.0.values().filter(|lookup| lookup.site == *site).count();
        if !may_begin(own, MAX_LOOKUPS.saturating_sub(self.0.len())) {
            return Turn::Wait;
        }
        let (sender, answer) = watch::channel(None);
        self.0.insert(Arc::clone(name), Lookup { site: Arc::clone(site), answer: answer.clone() });
        Turn::Begin(sender, answer)
    }
}

impl Lookups {
    /// Lookups by the system's resolver.
    #[must_use]
    pub fn by_system() -> Self {
        // Port 0: the connector sets the URL's.
        Self::by(|name| Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) }))
    }

    pub(super) fn by(
        system: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared { system: Box::new(system), under_way: Mutex::default(), ended: Notify::new() }))
    }

    /// The addresses of `name`, which `site` wants. It may take as long as the system tries, and as there is no place: it is
    /// for the caller to give up. What was begun goes on.
    ///
    /// # Errors
    /// What the system says.
    pub async fn look_up(&self, site: &Arc<str>, name: &str) -> Answer {
        let mut answer = self.under_way(site, name.into()).await;
        match answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().unwrap_or_else(|| Err(ended_early())),
            Err(_) => Err(ended_early()),
        }
    }

    /// Waits until the name is being looked up.
    async fn under_way(&self, site: &Arc<str>, name: Arc<str>) -> watch::Receiver<Option<Answer>> {
        loop {
            // Before it is tried: an end meanwhile must not be missed.
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            let turn = self.0.under_way().turn(site, &name);
            match turn {
                Turn::Join(answer) => return answer,
                Turn::Begin(sender, answer) => {
                    self.begin(name, sender);
                    return answer;
                }
                Turn::Wait => ended.await,
            }
        }
    }

    /// A task of its own, which keeps its place until the system is done.
    fn begin(&self, name: Arc<str>, sender: watch::Sender<Option<Answer>>) {
        let place = Place { shared: Arc::clone(&self.0), name };
        let lookup = (self.0.system)(place.name.to_string());
        tokio::spawn(async move {
            let answer = lookup.await.map_err(Arc::new);
            // Before the place is given back: who comes between the two has the answer at once.
            sender.send_replace(Some(answer));
            drop(place);
        });
    }
}

fn ended_early() -> Arc<io::Error> {
    Arc::new(io::Error::other("the lookup ended early"))
}

impl Shared {
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.under_way().0.remove(&self.name);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures_util::{FutureExt as _, future::join_all};
    use proptest::prelude::*;
    use tokio::{sync::Semaphore, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    fn site(id: &str) -> Arc<str> {
        id.into()
    }

    fn address() -> SocketAddr {
        ([11, 22, 33, 44], 0).into()
    }

    /// Lookups of which those below `dead.example` never end.
    fn with_a_dead_domain() -> Lookups {
        Lookups::by(|name| {
            Box::pin(async move { if name.ends_with("dead.example") { pending().await } else { Ok(vec![address()]) } })
        })
    }

    /// Lookups that end one by one, as the gate lets them.
    fn with_a_gate() -> (Lookups, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let of_lookups = Arc::clone(&gate);
        let lookups = Lookups::by(move |_| {
            let gate = Arc::clone(&of_lookups);
            Box::pin(async move {
                gate.acquire().await.map_err(io::Error::other)?.forget();
                Ok(vec![address()])
            })
        });
        (lookups, gate)
    }

    /// The same, and how many were begun.
    fn counted(lookups: Lookups) -> (Lookups, Arc<AtomicUsize>) {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let counting = Lookups::by(move |name| {
            count.fetch_add(1, Ordering::SeqCst);
            (lookups.0.system)(name)
        });
        (counting, begun)
    }

    /// Asks for as many names below `dead.example` on behalf of a site, and lets go of them.
    fn give_up_on(lookups: &Lookups, of: &Arc<str>, names: usize) {
        for number in 0..names {
            let name = format!("{of}{number}.dead.example");
            assert!(lookups.look_up(of, &name).now_or_never().is_none());
        }
    }

    fn places_of(lookups: &Lookups, of: &Arc<str>) -> usize {
        lookups.0.under_way().0.values().filter(|lookup| lookup.site == *of).count()
    }

    #[tokio::test]
    async fn a_name_asked_for_a_hundred_times_is_looked_up_once() {
        let (lookups, gate) = with_a_gate();
        let (lookups, begun) = counted(lookups);
        let (one, another) = (site("one"), site("another"));
        let asked = (0..100).map(|n| lookups.look_up(if n % 2 == 0 { &one } else { &another }, "shop.example"));
        let opened = async { gate.add_permits(1) };
        let (answers, ()) = timeout(DEADLINE, async { tokio::join!(join_all(asked), opened) }).await.unwrap();
        assert!(answers.into_iter().all(|answer| answer.unwrap() == [address()]));
        assert_eq!(begun.load(Ordering::SeqCst), 1);

        gate.add_permits(1);
        timeout(DEADLINE, lookups.look_up(&one, "shop.example")).await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 2, "an answer is not kept");
    }

    #[tokio::test]
    async fn a_name_that_does_not_answer_takes_one_place_however_many_give_up_on_it() {
        let (lookups, begun) = counted(with_a_dead_domain());
        for _ in 0..1000 {
            assert!(lookups.look_up(&site("shop"), "dead.example").now_or_never().is_none());
        }
        assert_eq!((begun.load(Ordering::SeqCst), places_of(&lookups, &site("shop"))), (1, 1));
        let alive = timeout(DEADLINE, lookups.look_up(&site("shop"), "shop.example")).await.unwrap();
        assert_eq!(alive.unwrap(), [address()]);
    }

    #[tokio::test]
    async fn names_without_number_take_a_quarter_and_leave_the_rest_to_others() {
        let lookups = with_a_dead_domain();
        let (attacker, shop) = (site("attacker"), site("shop"));
        give_up_on(&lookups, &attacker, 1000);
        assert_eq!(places_of(&lookups, &attacker), MAX_LOOKUPS / 4);
        let names: Vec<_> = (0..100).map(|number| format!("{number}.shop.example")).collect();
        let others = names.iter().map(|name| lookups.look_up(&shop, name));
        assert!(timeout(DEADLINE, join_all(others)).await.unwrap().iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn several_sites_whose_names_hang_leave_a_place_for_one_more() {
        let lookups = with_a_dead_domain();
        for number in 0..8 {
            give_up_on(&lookups, &site(&format!("attacker{number}")), 100);
        }
        let alive = timeout(DEADLINE, lookups.look_up(&site("shop"), "shop.example")).await.unwrap();
        assert!(alive.is_ok());
    }

    #[tokio::test]
    async fn who_finds_no_place_has_the_first_that_is_given_back() {
        let (lookups, gate) = with_a_gate();
        let shop = site("shop");
        give_up_on(&lookups, &shop, MAX_LOOKUPS);
        let mut waiting = pin!(lookups.look_up(&shop, "shop.example"));
        assert!(waiting.as_mut().now_or_never().is_none() && !lookups.0.under_way().0.contains_key("shop.example"));
        gate.add_permits(MAX_LOOKUPS);
        assert!(timeout(DEADLINE, waiting).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_failure_is_everyones_and_one_that_panics_leaves_its_place() {
        let lookups = Lookups::by(|name| {
            Box::pin(async move {
                assert!(name != "panics.example");
                Err(io::Error::other("no such name"))
            })
        });
        let shop = site("shop");
        let two = [lookups.look_up(&shop, "gone.example"), lookups.look_up(&shop, "gone.example")];
        for answer in timeout(DEADLINE, join_all(two)).await.unwrap() {
            assert_eq!(answer.unwrap_err().to_string(), "no such name");
        }
        let panicked = timeout(DEADLINE, lookups.look_up(&shop, "panics.example")).await.unwrap();
        assert_eq!(panicked.unwrap_err().to_string(), "the lookup ended early");
        assert_eq!(places_of(&lookups, &shop), 0);
    }

    proptest! {
        #[test]
        fn however_sites_ask_the_bound_holds_and_a_site_has_no_more_than_its_part(asked in prop::collection::vec(0..6_u8, 0..200)) {
            let mut under_way = UnderWay::default();
            for (number, id) in asked.into_iter().enumerate() {
                let _ = under_way.turn(&site(&id.to_string()), &number.to_string().into());
                prop_assert!(under_way.0.len() <= MAX_LOOKUPS);
                for id in 0..6_u8 {
                    let own = under_way.0.values().filter(|lookup| *lookup.site == *id.to_string()).count();
                    prop_assert!(own <= MAX_LOOKUPS / (TIMES_FREE + 1));
                }
            }
        }
    }
}
