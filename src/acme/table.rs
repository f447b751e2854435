//! What is under way, what is held and when it is renewed, and what rests after failures: a table that is told the time.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;

use super::{
    name::DnsName,
    schedule::{Validity, next_attempt, next_order},
};
use crate::{http::time::UnixSeconds, tls::certificate::Certificate};

/// Names that are being worked at, most of them waiting for their turn; a further one has to come again.
pub const MAX_UNDER_WAY: usize = 256;

/// Names that rest after a failure. At the bound the one is forgotten that rests the shortest.
const MAX_RESTING: usize = 10_000;

/// What becomes of a piece of work, once it is over.
pub type Outcome = Option<Result<Arc<Certificate>, NotObtained>>;

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotObtained {
    /// None may be ordered: no site has the name, or it can be no name of a certificate.
    #[error("no certificate may be ordered for this name")]
    NotEligible,
    /// Whoever is asked does not allow it.
    #[error(transparent)]
    NotAllowed(#[from] super::ask::NotAllowed),
    /// Too much is under way, or too many wait.
    #[error("too many certificates are being ordered")]
    Busy,
    /// It takes longer than a handshake can wait; it goes on.
    #[error("it takes longer than a handshake can wait")]
    TakesLonger,
    /// It was tried a while ago and is not tried again yet.
    #[error("it was tried a while ago and rests until {}", until.0)]
    Rests {
        /// Until when.
        until: UnixSeconds,
    },
    /// It failed.
    #[error("{0}")]
    Failed(Arc<str>),
}

/// The table. Its lock is held for look-ups only.
#[derive(Debug, Default)]
pub struct Table {
    under_way: HashMap<DnsName, watch::Receiver<Outcome>>,
    held: HashMap<DnsName, Held>,
    resting: HashMap<DnsName, Resting>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    validity: Validity,
    renew_at: UnixSeconds,
    /// No order follows the one that brought it before.
    rests_until: UnixSeconds,
}

#[derive(Debug, Clone, Copy)]
struct Resting {
    failures: usize,
    until: UnixSeconds,
}

/// What becomes of somebody who wants a certificate.
#[derive(Debug)]
pub enum Joined {
    /// It is being worked at.
    Follows(watch::Receiver<Outcome>),
    /// Nobody works at it: the caller does, and tells the others by this.
    Leads(watch::Sender<Outcome>, watch::Receiver<Outcome>),
}

impl Table {
    /// Joins the work for a name, or begins it.
    ///
    /// # Errors
    /// [`NotObtained::Busy`]
    pub fn join(&mut self, name: &DnsName) -> Result<Joined, NotObtained> {
        if let Some(outcome) = self.under_way.get(name) {
            return Ok(Joined::Follows(outcome.clone()));
        }
        if self.under_way.len() >= MAX_UNDER_WAY {
            return Err(NotObtained::Busy);
        }
        let (sender, outcome) = watch::channel(None);
        self.under_way.insert(name.clone(), outcome.clone());
        Ok(Joined::Leads(sender, outcome))
    }

    /// The work for a name is over, however it ended.
    pub fn leave(&mut self, name: &DnsName) {
        self.under_way.remove(name);
    }

    /// A certificate is there, and is renewed in its time. `ordered_at` is when it was ordered, if that was now.
    pub fn hold(&mut self, name: &DnsName, validity: Validity, ordered_at: Option<UnixSeconds>, random: u64) {
        self.resting.remove(name);
        let rests_until = ordered_at.map_or(UnixSeconds(0), |now| next_order(now, validity));
        self.held.insert(name.clone(), Held { validity, renew_at: validity.renew_at(random), rests_until });
    }

    /// Whoever is asked does not allow a certificate any more. One that is held is let go of when it has expired.
    pub fn disallow(&mut self, name: &DnsName, now: UnixSeconds) {
        let Some(held) = self.held.get(name) else { return };
        if held.validity.not_after < now {
            self.held.remove(name);
            self.resting.remove(name);
        } else {
            self.fail(name, now);
        }
    }

    /// An attempt failed. Returns when the next one may be made.
    pub fn fail(&mut self, name: &DnsName, now: UnixSeconds) -> UnixSeconds {
        let failures = self.resting.get(name).map_or(1, |resting| resting.failures.saturating_add(1));
        let until = next_attempt(now, failures, self.held.get(name).map(|held| held.validity));
        if self.resting.len() >= MAX_RESTING && !self.resting.contains_key(name) {
            let first = self.resting.iter().min_by_key(|(_, resting)| resting.until).map(|(name, _)| name.clone());
            first.and_then(|first| self.resting.remove(&first));
        }
        self.resting.insert(name.clone(), Resting { failures, until });
        until
    }

    /// Whether an attempt may be made.
    ///
    /// # Errors
    /// [`NotObtained::Rests`]
    pub fn may_try(&self, name: &DnsName, now: UnixSeconds) -> Result<(), NotObtained> {
        let after_failure = self.resting.get(name).map(|resting| resting.until);
        let after_order = self.held.get(name).map(|held| held.rests_until);
        match after_failure.max(after_order) {
            Some(until) if now < until => Err(NotObtained::Rests { until }),
            _ => Ok(()),
        }
    }

    /// Names whose certificates are to be renewed now, those first that expire first, `at_most` so many; of those `is_ours`
    /// only, so that others do not stand before them for ever.
    #[must_use]
    pub fn due(&self, now: UnixSeconds, at_most: usize, is_ours: impl Fn(&DnsName) -> bool) -> Vec<DnsName> {
        let is_due = |name: &DnsName, held: &Held| {
            held.renew_at <= now
                && is_ours(name)
                && !self.under_way.contains_key(name)
                && self.may_try(name, now).is_ok()
        };
        let mut due: Vec<_> = self.held.iter().filter(|(name, held)| is_due(name, held)).collect();
        due.sort_unstable_by_key(|(_, held)| held.validity.not_after);
        due.into_iter().take(at_most).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets names that are not wanted any more.
    pub fn keep(&mut self, is_wanted: impl Fn(&DnsName) -> bool) {
        self.held.retain(|name, _| is_wanted(name));
        self.resting.retain(|name, _| is_wanted(name));
    }

    /// Whether a certificate is held for a name.
    #[must_use]
    pub fn holds(&self, name: &DnsName) -> bool {
        self.held.contains_key(name)
    }

    /// For how long the certificate of a name is valid, if one is held.
    #[must_use]
    pub fn validity(&self, name: &DnsName) -> Option<Validity> {
        self.held.get(name).map(|held| held.validity)
    }

    /// How many certificates are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns(name: &str) -> DnsName {
        DnsName::parse(name).unwrap()
    }

    fn all(_: &DnsName) -> bool {
        true
    }

    const NOW: UnixSeconds = UnixSeconds(10_000_000);

    /// One that is renewed at [`NOW`] and `seconds` later.
    fn validity(seconds: u64) -> Validity {
        let not_after = NOW.0 + 3_000_000 + seconds;
        Validity { not_before: UnixSeconds(not_after - 9_000_000), not_after: UnixSeconds(not_after) }
    }

    #[test]
    fn many_who_want_the_same_follow_one() {
        let mut table = Table::default();
        assert!(matches!(table.join(&dns("a.example")), Ok(Joined::Leads(..))));
        assert!(matches!(table.join(&dns("a.example")), Ok(Joined::Follows(_))));
        assert!(matches!(table.join(&dns("b.example")), Ok(Joined::Leads(..))));
        table.leave(&dns("a.example"));
        assert!(matches!(table.join(&dns("a.example")), Ok(Joined::Leads(..))));
    }

    #[test]
    fn what_is_under_way_is_bounded() {
        let mut table = Table::default();
        for number in 0..MAX_UNDER_WAY {
            table.join(&dns(&format!("{number}.example"))).unwrap();
        }
        assert!(matches!(table.join(&dns("a.example")), Err(NotObtained::Busy)));
        assert!(matches!(table.join(&dns("0.example")), Ok(Joined::Follows(_))));
    }

    #[test]
    fn what_failed_rests_longer_each_time_until_it_works() {
        let (mut table, name) = (Table::default(), dns("a.example"));
        assert_eq!(table.fail(&name, NOW), UnixSeconds(NOW.0 + 60));
        assert_eq!(
            table.may_try(&name, UnixSeconds(NOW.0 + 59)),
            Err(NotObtained::Rests { until: UnixSeconds(NOW.0 + 60) })
        );
        assert_eq!(table.may_try(&name, UnixSeconds(NOW.0 + 60)), Ok(()));
        assert_eq!(table.fail(&name, NOW), UnixSeconds(NOW.0 + 120));
        table.hold(&name, validity(0), None, 0);
        assert_eq!(table.may_try(&name, NOW), Ok(()));
        assert_eq!(table.fail(&name, NOW), UnixSeconds(NOW.0 + 60));
    }

    #[test]
    fn what_is_due_is_renewed_the_soonest_to_expire_first_unless_it_is_under_way_or_rests() {
        let mut table = Table::default();
        for (name, seconds) in [("b.example", 0), ("later.example", 1), ("resting.example", 0), ("busy.example", 0)] {
            table.hold(&dns(name), validity(seconds), None, 0);
        }
        table.hold(&dns("a.example"), Validity { not_after: UnixSeconds(NOW.0 + 5), ..validity(0) }, None, 0);
        table.fail(&dns("resting.example"), NOW);
        table.join(&dns("busy.example")).unwrap();
        assert_eq!(table.due(NOW, 9, all), [dns("a.example"), dns("b.example")]);
        assert_eq!(table.due(NOW, 1, all), [dns("a.example")]);
        let is_ours = |name: &DnsName| *name != dns("a.example");
        assert_eq!(table.due(NOW, 1, is_ours), [dns("b.example")], "what is not ours stands before it");
        assert_eq!(table.due(UnixSeconds(NOW.0 + 60), 9, all).len(), 4);
    }

    #[test]
    fn an_order_does_not_follow_another_one_whatever_the_clock_says_of_what_it_brought() {
        let (mut table, name) = (Table::default(), dns("a.example"));
        table.hold(&name, validity(0), Some(NOW), 0);
        let until = UnixSeconds(NOW.0 + 300_000);
        assert_eq!(table.may_try(&name, NOW), Err(NotObtained::Rests { until }));
        assert_eq!(table.due(NOW, 9, all), []);
        assert_eq!(table.due(until, 9, all), [name]);
    }

    #[test]
    fn what_is_not_allowed_any_more_is_asked_for_again_later_until_it_has_expired() {
        let (mut table, name) = (Table::default(), dns("a.example"));
        table.hold(&name, validity(0), None, 0);
        table.disallow(&name, NOW);
        assert!(table.holds(&name) && table.due(NOW, 9, all).is_empty());
        table.disallow(&name, UnixSeconds(NOW.0 + 3_000_001));
        assert!(!table.holds(&name));
        table.disallow(&dns("other.example"), NOW);
        assert_eq!(table.may_try(&dns("other.example"), NOW), Ok(()));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_forgotten() {
        let mut table = Table::default();
        table.hold(&dns("a.example"), validity(0), None, 0);
        table.hold(&dns("b.example"), validity(0), None, 0);
        table.fail(&dns("c.example"), NOW);
        table.keep(|name| *name == dns("a.example"));
        assert!(table.holds(&dns("a.example")) && table.held() == 1);
        assert_eq!(table.may_try(&dns("c.example"), NOW), Ok(()));
    }

    #[test]
    fn what_rests_is_bounded() {
        let mut table = Table::default();
        for number in 0..=MAX_RESTING {
            table.fail(&dns(&format!("{number}.example")), UnixSeconds(NOW.0 + number as u64));
        }
        assert_eq!(table.resting.len(), MAX_RESTING);
        assert!(!table.resting.contains_key(&dns("0.example")), "it would have been the first to try again");
    }
}
