//! Where all certificates stand that can be shown: those of files, replaced whole, and those that were issued, one by one.
//! Handshakes read it without a lock.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;

use super::certificate::{Certificate, wildcard_of};
use crate::{http::time::UnixSeconds, telemetry::tls::Expiries};

/// All certificates.
#[derive(Debug, Default)]
pub struct Shelf {
    files: ArcSwap<Files>,
    /// By the name that it was issued for. As many as there are names that sites list: whoever puts them in sees to that.
    issued: ArcSwap<Issued>,
}

type Issued = HashMap<Box<str>, Arc<Certificate>>;

/// Those of files.
#[derive(Debug, Default)]
struct Files {
    /// By each of their names, wildcards as they are written; of one name, in the order of the configuration.
    by_name: HashMap<Box<str>, Vec<Arc<Certificate>>>,
    all: Vec<Arc<Certificate>>,
}

impl Shelf {
    /// Puts the certificates of files in the place of those that were there.
    pub fn set_files(&self, certificates: Vec<Arc<Certificate>>) {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for certificate in &certificates {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(Arc::clone(certificate));
            }
        }
        self.files.store(Arc::new(Files { by_name, all: certificates }));
    }

    /// Puts an issued certificate in, in the place of an older one of this name.
    pub fn put_issued(&self, name: &str, certificate: Arc<Certificate>) {
        self.put_all_issued([(name.into(), certificate)]);
    }

    /// Puts many in at once.
    pub fn put_all_issued(&self, certificates: impl IntoIterator<Item = (Box<str>, Arc<Certificate>)>) {
        let new: Vec<_> = certificates.into_iter().collect();
        self.issued.rcu(|issued| {
            let mut issued = Issued::clone(issued);
            issued.extend(new.iter().cloned());
            issued
        });
    }

    /// Takes those out whose names are not wanted any more.
    pub fn keep_issued(&self, is_wanted: impl Fn(&str) -> bool) {
        self.issued.rcu(|issued| {
            let kept = issued.iter().filter(|(name, _)| is_wanted(name));
            kept.map(|(name, certificate)| (name.clone(), Arc::clone(certificate))).collect::<Issued>()
        });
    }

    /// The certificate to show for a name (lower case, no trailing dot): a file's for this name, a file's wildcard, the one
    /// that was issued. One that is not valid now is found only where no other is.
    #[must_use]
    pub fn find(&self, name: &str, now: UnixSeconds) -> Option<Arc<Certificate>> {
        let (files, issued) = (self.files.load(), self.issued.load());
        let wildcard = if files.by_name.is_empty() { None } else { wildcard_of(name) };
        let names = [Some(name), wildcard.as_deref()].into_iter().flatten();
        let of_files = names.filter_map(|name| files.by_name.get(name)).flatten();
        let mut found = of_files.chain(issued.get(name)).peekable();
        let first = found.peek().copied();
        found.find(|certificate| certificate.is_valid_at(now)).or(first).cloned()
    }

    /// Whether a file's certificate is for this name, now: none has to be issued.
    #[must_use]
    pub fn is_covered_by_files(&self, name: &str, now: UnixSeconds) -> bool {
        let files = self.files.load();
        files.all.iter().any(|certificate| certificate.is_valid_at(now) && certificate.covers(name))
    }

    /// The certificate that was issued for a name.
    #[must_use]
    pub fn issued(&self, name: &str) -> Option<Arc<Certificate>> {
        self.issued.load().get(name).cloned()
    }

    /// What is shown to a client that names nobody: the first file's.
    #[must_use]
    pub fn default_certificate(&self) -> Option<Arc<Certificate>> {
        self.files.load().all.first().cloned()
    }

    /// When they expire.
    #[must_use]
    pub fn expiries(&self) -> Expiries {
        let file = self.files.load().all.iter().map(|certificate| certificate.not_after).min();
        let issued = self.issued.load().values().map(|certificate| certificate.not_after).min();
        Expiries { file, issued }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::{NOW, certificate};

    fn found(shelf: &Shelf, name: &str) -> Option<Vec<String>> {
        Some(shelf.find(name, NOW)?.names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_name_of_a_file_wins_over_its_wildcard_and_that_over_what_was_issued() {
        let shelf = Shelf::default();
        assert_eq!(found(&shelf, "x.a.example"), None);
        let issued = certificate(&["x.a.example", "issued.example"], 2021);
        shelf.put_issued("x.a.example", issued);
        assert_eq!(found(&shelf, "x.a.example").unwrap()[1], "issued.example");
        assert_eq!(found(&shelf, "issued.example"), None, "it was issued for another name");
        let (exact, wildcard) = (certificate(&["x.a.example"], 2021), certificate(&["*.a.example"], 2021));
        shelf.set_files(vec![Arc::clone(&wildcard)]);
        assert_eq!(found(&shelf, "x.a.example").unwrap(), ["*.a.example"]);
        shelf.set_files(vec![wildcard, exact]);
        assert_eq!(found(&shelf, "x.a.example").unwrap(), ["x.a.example"]);
        assert_eq!(found(&shelf, "x.x.a.example"), None);
    }

    #[test]
    fn what_has_expired_is_shown_only_where_nothing_else_is() {
        let shelf = Shelf::default();
        let expired = certificate(&["a.example", "expired.example"], 2020);
        shelf.set_files(vec![expired, certificate(&["*.b.example"], 2021)]);
        assert_eq!(found(&shelf, "a.example").unwrap()[1], "expired.example");
        assert!(!shelf.is_covered_by_files("a.example", NOW));
        assert!(shelf.is_covered_by_files("x.b.example", NOW));
        shelf.put_issued("a.example", certificate(&["a.example"], 2021));
        assert_eq!(found(&shelf, "a.example").unwrap(), ["a.example"]);
    }

    #[test]
    fn issued_ones_are_replaced_and_taken_out() {
        let shelf = Shelf::default();
        let name = |n: usize| -> Box<str> { format!("{n}.example").into() };
        shelf.put_all_issued((0..3).map(|n| (name(n), certificate(&["first.example"], 2021))));
        shelf.put_issued("1.example", certificate(&["second.example"], 2022));
        assert_eq!(found(&shelf, "1.example").unwrap(), ["second.example"]);
        shelf.keep_issued(|name| name != "0.example");
        assert!(shelf.issued("0.example").is_none() && shelf.issued("2.example").is_some());
    }

    #[test]
    fn whoever_names_nobody_is_shown_the_first_file() {
        let shelf = Shelf::default();
        shelf.put_issued("a.example", certificate(&["a.example"], 2021));
        assert!(shelf.default_certificate().is_none());
        shelf.set_files(vec![certificate(&["b.example"], 2022), certificate(&["c.example"], 2021)]);
        assert!(shelf.default_certificate().unwrap().covers("b.example"));
        let expiries = shelf.expiries();
        assert!(expiries.file.is_some());
        assert_eq!(expiries.file, expiries.issued, "the second file expires first");
    }
}
