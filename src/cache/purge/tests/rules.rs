//! The table against a plain list of all purges that there ever were.

use std::borrow::Cow;

use proptest::prelude::*;

use super::super::{
    generation::Generation,
    hash::SiteHash,
    name::PurgeName,
    table::{MAX_PREFIX_LENGTHS, Mode, Purge, Standing, Table, Target, What},
    tags::TagHash,
};
use crate::http::time::UnixSeconds;

const NEVER: Generation = Generation(0);

/// A purge as it was asked for.
#[derive(Debug, Clone)]
struct Asked {
    site: &'static str,
    what: Of,
    mode: Mode,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Everything,
    Url(String),
    Prefix(String),
    Tag(TagHash),
}

#[derive(Debug, Clone)]
struct Entry {
    site: &'static str,
    source: String,
    tags: Vec<TagHash>,
    birth: u64,
}

impl Of {
    fn what(&self) -> What<'_> {
        match self {
            Self::Everything => What::Everything,
            Self::Url(name) => What::Url(name),
            Self::Prefix(prefix) => What::Prefix(prefix),
            Self::Tag(tag) => What::Tag(*tag),
        }
    }

    fn is_over(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Url(name) => *name == entry.source,
            Self::Prefix(prefix) => entry.source.starts_with(prefix),
            Self::Tag(tag) => entry.tags.contains(tag),
        }
    }
}

/// The table after `asked`, the first of which has the number 1 and came in the first second.
fn table_of(asked: &[Asked], max_records: usize) -> Table {
    let mut table = Table::new(NEVER, NEVER, max_records);
    for (number, asked) in (1..).zip(asked) {
        let site = SiteHash::of(asked.site);
        let target = table.target(site, asked.what.what());
        table.add(&Purge { site, target, mode: asked.mode, generation: Generation(number), at: UnixSeconds(number) });
        if table.is_over_full() {
            table.fold();
        }
    }
    table
}

fn standing(table: &Table, entry: &Entry) -> Standing {
    let name = PurgeName { site: entry.site, text: Cow::Borrowed(&entry.source) };
    table.standing(&name, &entry.tags, Generation(entry.birth))
}

/// Looks at every purge.
fn expected(asked: &[Asked], entry: &Entry) -> Standing {
    let over: Vec<(u64, &Asked)> = (1..)
        .zip(asked)
        .filter(|(number, asked)| entry.birth < *number && asked.site == entry.site && asked.what.is_over(entry))
        .collect();
    if over.iter().any(|(_, asked)| asked.mode == Mode::Hard) {
        return Standing::Gone;
    }
    let is_last_of_its_kind = |(number, asked): &&(u64, &Asked)| {
        !over.iter().any(|(later, other)| number < later && asked.what == other.what)
    };
    let since = over.iter().filter(is_last_of_its_kind).map(|(number, _)| *number).min();
    since.map_or(Standing::Valid, |since| Standing::Stale { since: UnixSeconds(since) })
}

fn badness(standing: Standing) -> u8 {
    match standing {
        Standing::Valid => 0,
        Standing::Stale { .. } => 1,
        Standing::Gone => 2,
    }
}

fn site() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("shop"), Just("blog")]
}

fn tag() -> impl Strategy<Value = TagHash> {
    prop_oneof![Just("red"), Just("green"), Just("blue")].prop_map(|key| TagHash::of(key.as_bytes()).unwrap())
}

fn asked() -> impl Strategy<Value = Asked> {
    let what = prop_oneof![
        1 => Just(Of::Everything),
        4 => "/[ab]{0,3}".prop_map(Of::Url),
        4 => "/[ab]{0,3}".prop_map(Of::Prefix),
        4 => tag().prop_map(Of::Tag),
    ];
    let mode = prop_oneof![Just(Mode::Soft), Just(Mode::Hard)];
    (site(), what, mode).prop_map(|(site, what, mode)| Asked { site, what, mode })
}

fn entry() -> impl Strategy<Value = Entry> {
    let tags = prop::collection::vec(tag(), 0..3);
    (site(), "/[ab]{0,4}", tags, 0_u64..20).prop_map(|(site, source, tags, birth)| Entry { site, source, tags, birth })
}

/// Hard purges of different URLs of one site.
fn many(count: usize) -> Vec<Asked> {
    let url = |number| Asked { site: "shop", what: Of::Url(format!("/{number}")), mode: Mode::Hard };
    (0..count).map(url).collect()
}

proptest! {
    #[test]
    fn an_entry_stands_as_the_list_of_all_purges_says(
        asked in prop::collection::vec(asked(), 0..20),
        entries in prop::collection::vec(entry(), 1..20),
    ) {
        let table = table_of(&asked, usize::MAX);
        for entry in entries.iter().filter(|entry| entry.birth <= asked.len() as u64) {
            prop_assert_eq!(standing(&table, entry), expected(&asked, entry), "{:?}", entry);
        }
    }

    #[test]
    fn a_table_that_is_full_purges_too_much_and_never_too_little(
        asked in prop::collection::vec(asked(), 0..20),
        entries in prop::collection::vec(entry(), 1..20),
        max_records in 1_usize..6,
    ) {
        let table = table_of(&asked, max_records);
        prop_assert!(table.len() <= max_records);
        for entry in entries.iter().filter(|entry| entry.birth <= asked.len() as u64) {
            prop_assert!(badness(standing(&table, entry)) >= badness(expected(&asked, entry)), "{:?}", entry);
            let new = Entry { birth: asked.len() as u64, ..entry.clone() };
            prop_assert_eq!(standing(&table, &new), Standing::Valid);
        }
    }

    #[test]
    fn its_own_purges_make_the_same_table_in_any_order(
        asked in prop::collection::vec(asked(), 0..20),
        entries in prop::collection::vec(entry(), 1..20),
        max_records in prop_oneof![Just(3), Just(usize::MAX)],
    ) {
        let table = table_of(&asked, max_records);
        let mut purges: Vec<Purge> = table.purges().collect();
        purges.reverse();
        let mut again = Table::new(table.newest(), NEVER, max_records);
        purges.iter().for_each(|purge| again.add(purge));
        prop_assert_eq!(again.len(), table.len());
        for entry in &entries {
            prop_assert_eq!(standing(&again, entry), standing(&table, entry));
        }
    }
}

#[test]
fn a_soft_purge_does_not_undo_a_hard_one() {
    let purge = |mode| Asked { site: "shop", what: Of::Url("/a".to_owned()), mode };
    let table = table_of(&[purge(Mode::Hard), purge(Mode::Soft)], usize::MAX);
    let entry = |birth| Entry { site: "shop", source: "/a".to_owned(), tags: Vec::new(), birth };
    assert_eq!(standing(&table, &entry(0)), Standing::Gone);
    assert_eq!(standing(&table, &entry(1)), Standing::Stale { since: UnixSeconds(2) });
    assert_eq!(standing(&table, &entry(2)), Standing::Valid);
}

#[test]
fn at_the_bound_the_older_half_becomes_one_purge_of_the_site() {
    let (count, max_records) = (101, 100);
    let table = table_of(&many(count), max_records);
    assert_eq!(table.len(), 50);
    let entry = |source: &str, birth| Entry { site: "shop", source: source.to_owned(), tags: Vec::new(), birth };
    // What was never purged goes with the older half, if it is as old.
    assert_eq!(standing(&table, &entry("/x", 50)), Standing::Gone);
    assert_eq!(standing(&table, &entry("/x", 51)), Standing::Valid);
    assert_eq!(standing(&table, &entry("/100", 51)), Standing::Gone);
    assert_eq!(standing(&table, &Entry { site: "blog", ..entry("/x", 0) }), Standing::Valid);
}

#[test]
fn what_a_purge_of_the_whole_site_has_overtaken_is_dropped_first() {
    let mut asked = many(99);
    asked.push(Asked { site: "shop", what: Of::Everything, mode: Mode::Hard });
    asked.push(Asked { site: "shop", what: Of::Url("/x".to_owned()), mode: Mode::Soft });
    asked.extend(many(1));
    let table = table_of(&asked, 99);
    assert_eq!(table.len(), 2);
    let entry = Entry { site: "shop", source: "/x".to_owned(), tags: Vec::new(), birth: 100 };
    assert_eq!(standing(&table, &entry), Standing::Stale { since: UnixSeconds(101) });
}

#[test]
fn beyond_so_many_lengths_a_prefix_is_cut_to_a_shorter_one_there_is() {
    let prefix = |len: usize| Asked { site: "shop", what: Of::Prefix("/".repeat(len)), mode: Mode::Hard };
    let asked: Vec<Asked> = (0..MAX_PREFIX_LENGTHS).map(|index| prefix(2 * index + 2)).collect();
    let table = table_of(&asked, usize::MAX);
    let site = SiteHash::of("shop");
    let long = "x".repeat(9);
    let Target::Prefix { len: 8, hash } = table.target(site, What::Prefix(&long)) else { panic!("not cut") };
    assert_eq!(table.target(site, What::Prefix(&long[..8])), Target::Prefix { len: 8, hash });
    assert_eq!(table.target(site, What::Prefix("x")), Target::Everything);
    let of_another_site = table.target(SiteHash::of("blog"), What::Prefix("x"));
    assert!(matches!(of_another_site, Target::Prefix { len: 1, .. }));
    assert_eq!(table.target(SiteHash::of("blog"), What::Prefix("")), Target::Everything);
}

#[test]
fn what_has_more_keys_than_are_kept_goes_with_any_of_them() {
    let purge = Asked { site: "shop", what: Of::Tag(TagHash::of(b"red").unwrap()), mode: Mode::Hard };
    let table = table_of(&[purge], usize::MAX);
    let entry = |tag| Entry { site: "shop", source: "/a".to_owned(), tags: vec![tag], birth: 0 };
    assert_eq!(standing(&table, &entry(TagHash::UNNAMED)), Standing::Gone);
    assert_eq!(standing(&table, &entry(TagHash::of(b"blue").unwrap())), Standing::Valid);
}
