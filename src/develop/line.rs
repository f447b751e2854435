//! Who works on pictures next. Sites that have jobs waiting take turns, whoever has the fewest cores coming first, so that a
//! flood of one site's jobs is a wait for that site alone; a lone site has all cores. Decides only: it knows neither threads
//! nor tasks, and tells whoever keeps it which waiter goes on.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// One site has at most so much of the line: the rest is the others'.
const SITE_PART: usize = 4;

/// Why work is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// It would not fit even alone.
    #[error("larger than the whole budget")]
    TooLarge,
    /// The line is full, or its site's part of it.
    #[error("too much is waiting")]
    Busy,
}

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A core, and so many bytes of memory.
    Admission {
        /// What it costs.
        bytes: u64,
    },
    /// A core: its memory is admitted already. It counts to no bound of the line: letting it go on is what frees memory.
    Core,
}

/// A place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// Who goes on, and has what he wanted.
#[derive(Debug)]
pub(super) struct Grant<W> {
    /// Who waited.
    pub(super) waiter: W,
    /// For which site.
    pub(super) site: Arc<str>,
    /// The memory that it has been given.
    pub(super) bytes: u64,
}

/// The line, and what is free.
///
/// A core and memory are given together, so nobody has one and waits for the other, but who has his memory and wants a core;
/// he is never held up by one who wants memory. Memory goes to the site whose turn it is: smaller jobs of others do not
/// overtake, or a large one would wait for ever.
#[derive(Debug)]
pub(super) struct Line<W> {
    cores: usize,
    free_cores: usize,
    bytes: u64,
    free_bytes: u64,
    max_waiting: usize,
    waiting: usize,
    /// Sites that wait or work, and no others.
    sites: HashMap<Arc<str>, Place<W>>,
    /// Numbers tickets and turns.
    number: u64,
}

/// A site's jobs.
#[derive(Debug)]
struct Place<W> {
    cores: usize,
    /// The number of its last turn, or of its coming.
    turn: u64,
    admissions: VecDeque<(Ticket, u64, W)>,
    admitted: VecDeque<(Ticket, W)>,
}

impl<W> Place<W> {
    /// The lowest comes first.
    const fn rank(&self) -> (usize, u64) {
        (self.cores, self.turn)
    }

    fn is_gone(&self) -> bool {
        self.cores == 0 && self.admissions.is_empty() && self.admitted.is_empty()
    }
}

impl<W> Line<W> {
    /// A line for `cores` and `bytes` of memory, in which `max_waiting` may wait for admission, a quarter of them (one at
    /// least) for one site.
    #[must_use]
    pub(super) fn new(cores: usize, bytes: u64, max_waiting: usize) -> Self {
        let sites = HashMap::new();
        Self { cores, free_cores: cores, bytes, free_bytes: bytes, max_waiting, waiting: 0, sites, number: 0 }
    }

    /// Puts a job in line; it goes on when [`Self::next`] says so.
    ///
    /// # Errors
    /// [`NotAdmitted`]
    pub(super) fn stand(&mut self, site: &Arc<str>, want: Want, waiter: W) -> Result<Ticket, NotAdmitted> {
        if let Want::Admission { bytes } = want {
            if !self.could_hold(bytes) {
                return Err(NotAdmitted::TooLarge);
            }
            let goes_on_at_once = self.free_cores > 0 && self.waiting == 0 && bytes <= self.free_bytes;
            if !goes_on_at_once && !self.has_place(site) {
                return Err(NotAdmitted::Busy);
            }
            self.waiting += 1;
        }
        let ticket = Ticket(self.count());
        let place = self.place(site);
        match want {
            Want::Admission { bytes } => place.admissions.push_back((ticket, bytes, waiter)),
            Want::Core => place.admitted.push_back((ticket, waiter)),
        }
        Ok(ticket)
    }

    /// Takes a job out of the line, if it still stands there.
    pub(super) fn leave(&mut self, site: &Arc<str>, ticket: Ticket) {
        let Some(place) = self.sites.get_mut(site) else { return };
        if let Some(at) = place.admissions.iter().position(|(other, ..)| *other == ticket) {
            place.admissions.remove(at);
            self.waiting -= 1;
        } else if let Some(at) = place.admitted.iter().position(|(other, _)| *other == ticket) {
            place.admitted.remove(at);
        }
        self.forget_if_gone(site);
    }

    /// Who goes on now; to be asked until nobody does, whenever somebody has come or gone or given something back.
    pub(super) fn next(&mut self) -> Option<Grant<W>> {
        if self.free_cores == 0 {
            return None;
        }
        let first_for_memory = self
            .sites
            .values()
            .filter_map(|place| Some((place.rank(), place.admissions.front()?.1)))
            .min()
            .filter(|(_, bytes)| *bytes <= self.free_bytes)
            .map(|(rank, _)| rank);
        let goes_on = |place: &Place<W>| !place.admitted.is_empty() || Some(place.rank()) == first_for_memory;
        let site = self
            .sites
            .iter()
            .filter(|(_, place)| goes_on(place))
            .min_by_key(|(_, place)| place.rank())
            .map(|(site, _)| Arc::clone(site))?;
        let turn = self.count();
        let place = self.sites.get_mut(&site)?;
        let (waiter, bytes) = match place.admitted.pop_front() {
            Some((_, waiter)) => (waiter, 0),
            None => {
                let (_, bytes, waiter) = place.admissions.pop_front()?;
                self.waiting -= 1;
                (waiter, bytes)
            }
        };
        place.turn = turn;
        place.cores += 1;
        self.free_cores -= 1;
        self.free_bytes -= bytes;
        Some(Grant { waiter, site, bytes })
    }

    /// Takes a core and memory for work that can be put off: only where nothing works and nobody waits.
    #[must_use]
    pub(super) fn take_if_idle(&mut self, site: &Arc<str>, bytes: u64) -> bool {
        let takes = self.is_idle() && bytes <= self.free_bytes;
        if takes {
            self.free_bytes -= bytes;
            self.free_cores -= 1;
            self.place(site).cores += 1;
        }
        takes
    }

    /// Takes up to `cores` more for a site that has one, where nobody waits for any; says how many.
    #[must_use]
    pub(super) fn take_more_cores(&mut self, site: &Arc<str>, cores: usize) -> usize {
        if self.is_anybody_waiting() {
            return 0;
        }
        let taken = cores.min(self.free_cores);
        self.free_cores -= taken;
        self.place(site).cores += taken;
        self.forget_if_gone(site);
        taken
    }

    /// Gives a site's cores back.
    pub(super) fn give_back_cores(&mut self, site: &Arc<str>, cores: usize) {
        self.free_cores += cores;
        if let Some(place) = self.sites.get_mut(site) {
            place.cores = place.cores.saturating_sub(cores);
        }
        self.forget_if_gone(site);
    }

    /// Gives memory back.
    pub(super) fn give_back_bytes(&mut self, bytes: u64) {
        self.free_bytes += bytes;
    }

    /// Whether so many bytes could ever be admitted.
    #[must_use]
    pub(super) const fn could_hold(&self, bytes: u64) -> bool {
        bytes <= self.bytes
    }

    /// Whether one more job of a site would be let into the line.
    #[must_use]
    pub(super) fn has_room(&self, site: &str) -> bool {
        self.free_cores > 0 || self.has_place(site)
    }

    /// Jobs that wait for admission.
    #[must_use]
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Sites of which jobs wait for admission.
    #[must_use]
    pub(super) fn waiting_sites(&self) -> usize {
        self.sites.values().filter(|place| !place.admissions.is_empty()).count()
    }

    /// Whether no job works or waits.
    #[must_use]
    pub(super) fn is_idle(&self) -> bool {
        self.free_cores == self.cores && !self.is_anybody_waiting()
    }

    /// Memory admitted.
    #[must_use]
    pub(super) const fn bytes_in_use(&self) -> u64 {
        self.bytes - self.free_bytes
    }

    fn has_place(&self, site: &str) -> bool {
        let of_site = self.sites.get(site).map_or(0, |place| place.admissions.len());
        self.waiting < self.max_waiting && of_site < (self.max_waiting / SITE_PART).max(1)
    }

    fn is_anybody_waiting(&self) -> bool {
        self.sites.values().any(|place| !place.admissions.is_empty() || !place.admitted.is_empty())
    }

    fn count(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn place(&mut self, site: &Arc<str>) -> &mut Place<W> {
        let turn = self.count();
        self.sites.entry(Arc::clone(site)).or_insert_with(|| Place {
            cores: 0,
            turn,
            admissions: VecDeque::new(),
            admitted: VecDeque::new(),
        })
    }

    fn forget_if_gone(&mut self, site: &Arc<str>) {
        if self.sites.get(site).is_some_and(Place::is_gone) {
            self.sites.remove(site);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site(name: &str) -> Arc<str> {
        name.into()
    }

    fn admission(bytes: u64) -> Want {
        Want::Admission { bytes }
    }

    /// Lets go on whoever may, and says who does.
    fn go_on(line: &mut Line<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| line.next()).map(|grant| grant.waiter).collect()
    }

    #[test]
    fn a_lone_site_has_all_cores() {
        let mut line = Line::new(3, 100, 16);
        for waiter in ["1", "2", "3", "4"] {
            line.stand(&site("a"), admission(10), waiter).unwrap();
        }
        assert_eq!(go_on(&mut line), ["1", "2", "3"]);
        assert_eq!((line.waiting(), line.bytes_in_use()), (1, 30));
    }

    #[test]
    fn the_next_core_goes_to_the_site_that_has_the_fewest() {
        let mut line = Line::new(2, 100, 16);
        for waiter in ["a1", "a2", "a3", "a4"] {
            line.stand(&site("a"), admission(10), waiter).unwrap();
        }
        assert_eq!(go_on(&mut line), ["a1", "a2"]);
        line.stand(&site("b"), admission(10), "b1").unwrap();
        line.stand(&site("b"), admission(10), "b2").unwrap();
        let mut went_on = Vec::new();
        // A's first two end; then whoever came first ends first.
        for ended in ["a", "a", "b", "a"] {
            line.give_back_cores(&site(ended), 1);
            went_on.extend(go_on(&mut line));
        }
        assert_eq!(went_on, ["b1", "a3", "b2", "a4"]);
    }

    #[test]
    fn on_one_core_sites_take_turns() {
        let mut line = Line::new(1, 100, 32);
        for (name, waiter) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")] {
            line.stand(&site(name), admission(0), waiter).unwrap();
        }
        let mut went_on = Vec::new();
        while let Some(grant) = line.next() {
            went_on.push(grant.waiter);
            line.give_back_cores(&grant.site, 1);
        }
        assert_eq!(went_on, ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }

    #[test]
    fn one_site_fills_a_quarter_of_the_line_and_leaves_the_rest_to_others() {
        let mut line = Line::new(1, 100, 8);
        line.stand(&site("a"), admission(0), "at work").unwrap();
        assert_eq!(go_on(&mut line), ["at work"]);
        line.stand(&site("a"), admission(0), "1").unwrap();
        line.stand(&site("a"), admission(0), "2").unwrap();
        assert!(!line.has_room("a"));
        assert_eq!(line.stand(&site("a"), admission(0), "3"), Err(NotAdmitted::Busy));
        for other in ["b", "c", "d"] {
            line.stand(&site(other), admission(0), "1").unwrap();
            line.stand(&site(other), admission(0), "2").unwrap();
        }
        assert_eq!(line.stand(&site("e"), admission(0), "1"), Err(NotAdmitted::Busy), "the line has no end");
    }

    #[test]
    fn however_short_the_line_each_site_may_wait_with_one() {
        let mut line = Line::new(1, 100, 2);
        line.stand(&site("a"), admission(0), "at work").unwrap();
        go_on(&mut line);
        assert!(line.stand(&site("a"), admission(0), "1").is_ok() && line.stand(&site("b"), admission(0), "1").is_ok());
    }

    #[test]
    fn what_can_go_on_at_once_needs_no_place() {
        let mut line = Line::new(1, 100, 0);
        assert!(line.has_room("a"));
        line.stand(&site("a"), admission(0), "1").unwrap();
        assert_eq!(go_on(&mut line), ["1"]);
        assert_eq!(line.stand(&site("a"), admission(0), "2"), Err(NotAdmitted::Busy));
    }

    #[test]
    fn a_large_job_is_not_overtaken_by_smaller_ones_of_others() {
        let mut line = Line::new(4, 100, 16);
        line.stand(&site("a"), admission(60), "a1").unwrap();
        line.stand(&site("b"), admission(80), "large").unwrap();
        line.stand(&site("c"), admission(10), "small").unwrap();
        assert_eq!(go_on(&mut line), ["a1"]);
        line.give_back_bytes(60);
        assert_eq!(go_on(&mut line), ["large", "small"]);
    }

    #[test]
    fn who_has_his_memory_is_not_held_up_by_one_who_waits_for_memory() {
        let mut line = Line::new(2, 100, 16);
        line.stand(&site("a"), admission(90), "a1").unwrap();
        assert_eq!(go_on(&mut line), ["a1"]);
        line.stand(&site("b"), admission(50), "b1").unwrap();
        line.stand(&site("a"), Want::Core, "a1 again").unwrap();
        assert_eq!(go_on(&mut line), ["a1 again"]);
    }

    #[test]
    fn cores_are_added_only_where_nobody_wants_them() {
        let mut line = Line::new(4, 100, 16);
        line.stand(&site("a"), admission(0), "1").unwrap();
        go_on(&mut line);
        assert_eq!(line.take_more_cores(&site("a"), 2), 2);
        line.stand(&site("b"), admission(1), "1").unwrap();
        assert_eq!(line.take_more_cores(&site("a"), 2), 0);
        assert_eq!(go_on(&mut line), ["1"]);
    }

    #[test]
    fn work_that_can_be_put_off_wants_an_idle_machine() {
        let mut line = Line::new(2, 100, 16);
        assert!(!line.take_if_idle(&site("a"), 101));
        assert!(line.take_if_idle(&site("a"), 100));
        assert!(!line.take_if_idle(&site("a"), 0));
        line.give_back_cores(&site("a"), 1);
        line.give_back_bytes(100);
        line.stand(&site("b"), admission(0), "1").unwrap();
        assert!(!line.take_if_idle(&site("a"), 0));
    }

    #[test]
    fn who_leaves_gives_his_place_to_another() {
        let mut line = Line::new(1, 100, 4);
        line.stand(&site("a"), admission(0), "at work").unwrap();
        go_on(&mut line);
        let ticket = line.stand(&site("a"), admission(0), "gone").unwrap();
        let core = line.stand(&site("a"), Want::Core, "gone too").unwrap();
        line.leave(&site("a"), ticket);
        line.leave(&site("a"), core);
        line.leave(&site("a"), core);
        line.stand(&site("a"), admission(0), "here").unwrap();
        line.give_back_cores(&site("a"), 1);
        assert_eq!(go_on(&mut line), ["here"]);
        line.give_back_cores(&site("a"), 1);
        assert!(line.is_idle() && line.sites.is_empty(), "a site that is gone is remembered");
    }

    #[derive(Debug, Clone)]
    enum Event {
        Comes { site: u8, bytes: u64 },
        Leaves { which: usize },
        Ends { which: usize },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (0..5_u8, 0..=100_u64).prop_map(|(site, bytes)| Event::Comes { site, bytes }),
            1 => (0..8_usize).prop_map(|which| Event::Leaves { which }),
            2 => (0..8_usize).prop_map(|which| Event::Ends { which }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_nothing_is_given_twice_and_nobody_waits_for_what_is_free(
            events in prop::collection::vec(event(), 0..200),
        ) {
            let mut line = Line::new(3, 100, 16);
            let (mut in_line, mut at_work) = (Vec::new(), Vec::new());
            for (number, event) in events.into_iter().enumerate() {
                match event {
                    Event::Comes { site: name, bytes } => {
                        let name = site(&name.to_string());
                        if let Ok(ticket) = line.stand(&name, admission(bytes), number) {
                            in_line.push((number, name, ticket));
                        }
                    }
                    Event::Leaves { which } if which < in_line.len() => {
                        let (_, name, ticket) = in_line.remove(which);
                        line.leave(&name, ticket);
                    }
                    Event::Ends { which } if which < at_work.len() => {
                        let (name, bytes): (Arc<str>, u64) = at_work.remove(which);
                        line.give_back_cores(&name, 1);
                        line.give_back_bytes(bytes);
                    }
                    Event::Leaves { .. } | Event::Ends { .. } => {}
                }
                while let Some(Grant { waiter, site, bytes }) = line.next() {
                    in_line.retain(|(number, ..)| *number != waiter);
                    at_work.push((site, bytes));
                }
                prop_assert!(at_work.len() <= 3);
                prop_assert_eq!(line.bytes_in_use(), at_work.iter().map(|(_, bytes)| bytes).sum::<u64>());
                prop_assert_eq!(line.waiting(), in_line.len());
                prop_assert!(!at_work.is_empty() || in_line.is_empty(), "all is free and somebody waits");
            }
        }
    }
}
