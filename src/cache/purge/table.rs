//! The rules of purging. A table of purges is a value: a changed one shares with the one before what has not changed, so that
//! whoever looks something up has a table that nobody writes to, and a purge copies little.
//!
//! What a purge finds is older than it. So a later purge of the same takes an earlier one's place, and nothing that is cached
//! need be known.

use std::{
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use super::{
    generation::Generation,
    hash::{SiteHash, hash_of},
    name::PurgeName,
    tags::TagHash,
};
use crate::http::time::UnixSeconds;

/// Over how many parts the purges are spread: a purge copies one of them.
const SHARDS: usize = 256;

/// The most different lengths that a site's prefixes may have, since a look-up tries each. Beyond it a prefix is cut to the
/// next shorter length there is, and purges more than was asked.
pub const MAX_PREFIX_LENGTHS: usize = 64;

/// What is purged of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// All of it.
    Everything,
    /// One source with all that is made of it, by its canonical name.
    Url(&'a str),
    /// All sources whose canonical names begin so.
    Prefix(&'a str),
    /// All that bear a surrogate key.
    Tag(TagHash),
}

/// What becomes of what is purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It is stale: the origin is asked before it is used again, and it may stand in where that fails.
    Soft,
    /// It is gone, and so is what was made of it.
    Hard,
}

/// How an entry stands with the purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None concerns it.
    Valid,
    /// A soft one does; of those over different things the first, and of those over the same the last.
    Stale {
        /// When that was.
        since: UnixSeconds,
    },
    /// A hard one does: it must be as if nothing were stored.
    Gone,
}

/// What a purge is recorded under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Target {
    Everything,
    Url(u64),
    Prefix { len: u32, hash: u64 },
    Tag(TagHash),
}

/// One purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Purge {
    pub(super) site: SiteHash,
    pub(super) target: Target,
    pub(super) mode: Mode,
    pub(super) generation: Generation,
    pub(super) at: UnixSeconds,
}

/// The newest purges of one target: a soft one must not make a hard one before it forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    hard: Generation,
    soft: Generation,
    soft_at: UnixSeconds,
}

impl Default for Marks {
    fn default() -> Self {
        Self { hard: Generation::default(), soft: Generation::default(), soft_at: UnixSeconds(0) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    site: SiteHash,
    target: Target,
}

/// What concerns a site as a whole.
#[derive(Debug, Clone, Default)]
struct OfSite {
    all: Marks,
    /// The purges of any surrogate key: they are over what has more keys than are kept.
    any_tag: Marks,
    /// The lengths that its prefixes have.
    prefix_lens: Arc<[u32]>,
}

type Shard = HashMap<Key, Marks>;

/// All purges.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// What is older is gone: its purges are not known any more.
    floor: Generation,
    newest: Generation,
    sites: Arc<HashMap<SiteHash, OfSite>>,
    shards: Box<[Arc<Shard>]>,
    records: usize,
    max_records: usize,
}

impl Marks {
    fn join(&mut self, mode: Mode, generation: Generation, at: UnixSeconds) {
        match mode {
            Mode::Hard => self.hard = self.hard.max(generation),
            Mode::Soft if self.soft < generation => (self.soft, self.soft_at) = (generation, at),
            Mode::Soft => {}
        }
    }

    fn newest(&self) -> Generation {
        self.hard.max(self.soft)
    }
}

impl Key {
    const fn shard(&self) -> usize {
        let hash = match self.target {
            Target::Everything => 0,
            Target::Url(hash) | Target::Prefix { hash, .. } | Target::Tag(TagHash(hash)) => hash,
        };
        // The low bits of a hash are as good as any; one key of many sites must not fill one shard.
        (hash ^ self.site.0) as usize % SHARDS
    }
}

impl Table {
    /// No purges; the next one comes after `newest`, and what is older than `floor` is gone.
    pub(super) fn new(newest: Generation, floor: Generation, max_records: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Arc::default()).collect();
        Self { floor, newest, sites: Arc::default(), shards, records: 0, max_records }
    }

    pub(super) const fn newest(&self) -> Generation {
        self.newest
    }

    pub(super) const fn floor(&self) -> Generation {
        self.floor
    }

    /// How many there are, but for those of whole sites.
    pub(super) const fn len(&self) -> usize {
        self.records
    }

    /// What a purge of `what` is to be recorded under, so that it stays quick to look up.
    pub(super) fn target(&self, site: SiteHash, what: What<'_>) -> Target {
        match what {
            What::Everything | What::Prefix("") => Target::Everything,
            What::Url(name) => Target::Url(hash_of(name.as_bytes())),
            What::Tag(tag) => Target::Tag(tag),
            What::Prefix(prefix) => {
                let wanted = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
                let lens = self.sites.get(&site).map_or(&[][..], |of_site| &of_site.prefix_lens);
                if lens.contains(&wanted) || lens.len() < MAX_PREFIX_LENGTHS {
                    return Target::Prefix { len: wanted, hash: hash_of(prefix.as_bytes()) };
                }
                let shorter = lens.iter().copied().filter(|len| *len < wanted).max();
                shorter.map_or(Target::Everything, |len| Target::Prefix {
                    len,
                    hash: hash_of(&prefix.as_bytes()[..len as usize]),
                })
            }
        }
    }

    /// Adds a purge. Whatever the order they are added in, the same ones make the same table.
    pub(super) fn add(&mut self, purge: &Purge) {
        let Purge { site, target, mode, generation, at } = *purge;
        self.newest = self.newest.max(generation);
        match target {
            Target::Everything => self.site_mut(site).all.join(mode, generation, at),
            Target::Url(_) => self.record(Key { site, target }, mode, generation, at),
            Target::Prefix { len, .. } => {
                if !self.sites.get(&site).is_some_and(|of_site| of_site.prefix_lens.contains(&len)) {
                    let of_site = self.site_mut(site);
                    of_site.prefix_lens = of_site.prefix_lens.iter().copied().chain([len]).collect();
                }
                self.record(Key { site, target }, mode, generation, at);
            }
            Target::Tag(tag) => {
                self.site_mut(site).any_tag.join(mode, generation, at);
                if tag != TagHash::UNNAMED {
                    self.record(Key { site, target }, mode, generation, at);
                }
            }
        }
    }

    fn site_mut(&mut self, site: SiteHash) -> &mut OfSite {
        Arc::make_mut(&mut self.sites).entry(site).or_default()
    }

    fn record(&mut self, key: Key, mode: Mode, generation: Generation, at: UnixSeconds) {
        let shard = Arc::make_mut(&mut self.shards[key.shard()]);
        let before = shard.len();
        shard.entry(key).or_default().join(mode, generation, at);
        self.records += shard.len() - before;
    }

    /// How what was asked for at `birth` stands, under a name and with surrogate keys.
    pub(super) fn standing(&self, name: &PurgeName<'_>, tags: &[TagHash], birth: Generation) -> Standing {
        // One that is newer than all that is known is of another time: what was purged since is not known.
        if birth < self.floor || self.newest < birth {
            return Standing::Gone;
        }
        let mut standing = Standing::Valid;
        self.each_over(name, tags, |marks| {
            standing = match standing {
                Standing::Gone => Standing::Gone,
                _ if birth < marks.hard => Standing::Gone,
                Standing::Stale { since } if birth < marks.soft => Standing::Stale { since: since.min(marks.soft_at) },
                Standing::Valid if birth < marks.soft => Standing::Stale { since: marks.soft_at },
                unchanged => unchanged,
            };
        });
        standing
    }

    /// The last hard purge up to `birth` that concerns what has such a name and keys; 0 if none does.
    pub(super) fn last_hard(&self, name: &PurgeName<'_>, tags: &[TagHash], birth: Generation) -> Generation {
        let mut last = self.floor;
        self.each_over(name, tags, |marks| {
            if marks.hard <= birth {
                last = last.max(marks.hard);
            }
        });
        last
    }

    /// The last purge that may concern what is on its way under a name, whatever keys it will turn out to have.
    pub(super) fn last(&self, name: &PurgeName<'_>) -> Generation {
        let mut last = Generation::default();
        self.each_over(name, &[TagHash::UNNAMED], |marks| last = last.max(marks.newest()));
        last
    }

    /// Looks at all that is recorded over a name and keys: as many look-ups as the site's prefixes have lengths and there are
    /// keys, and two.
    fn each_over(&self, name: &PurgeName<'_>, tags: &[TagHash], mut look: impl FnMut(&Marks)) {
        let site = SiteHash::of(name.site);
        let mut look_up = |target| {
            let key = Key { site, target };
            if let Some(marks) = self.shards[key.shard()].get(&key) {
                look(marks);
            }
        };
        let text = name.text.as_bytes();
        look_up(Target::Url(hash_of(text)));
        tags.iter().for_each(|tag| look_up(Target::Tag(*tag)));
        let Some(of_site) = self.sites.get(&site) else { return };
        for len in of_site.prefix_lens.iter().copied() {
            if let Some(prefix) = text.get(..len as usize) {
                look_up(Target::Prefix { len, hash: hash_of(prefix) });
            }
        }
        if tags.contains(&TagHash::UNNAMED) {
            look(&of_site.any_tag);
        }
        look(&of_site.all);
    }

    /// Whether there are more than may be.
    pub(super) const fn is_over_full(&self) -> bool {
        self.records > self.max_records
    }

    /// Makes room: drops what a purge of its whole site has overtaken, and then, of the sites with the most, turns the older
    /// half into one hard purge of the site. More is purged than was asked then, and never less.
    pub(super) fn fold(&mut self) {
        // Some room to spare, so that the next purges need not do the same.
        let wanted = self.max_records - self.max_records / 8;
        let mut of_sites: HashMap<SiteHash, Vec<(Generation, Key)>> = HashMap::new();
        let mut dropped = Vec::new();
        for (key, marks) in self.shards.iter().flat_map(|shard| shard.iter()) {
            let overtaken = self.sites.get(&key.site).is_some_and(|of_site| marks.newest() <= of_site.all.hard);
            if overtaken {
                dropped.push(*key);
            } else {
                of_sites.entry(key.site).or_default().push((marks.newest(), *key));
            }
        }
        let mut records = self.records - dropped.len();
        let mut largest: BinaryHeap<(usize, SiteHash)> =
            of_sites.iter().map(|(site, of_site)| (of_site.len(), *site)).collect();
        of_sites.values_mut().for_each(|of_site| of_site.sort_unstable_by_key(|(newest, _)| *newest));
        while records > wanted
            && let Some((count, site)) = largest.pop()
            && let Some(of_site) = of_sites.get_mut(&site)
        {
            let older = count.div_ceil(2);
            let Some((newest, _)) = of_site.get(older - 1).copied() else { continue };
            dropped.extend(of_site.drain(..older).map(|(_, key)| key));
            let all = &mut self.site_mut(site).all;
            all.hard = all.hard.max(newest);
            records -= older;
            if count > older {
                largest.push((count - older, site));
            }
        }
        self.drop_records(&dropped);
    }

    fn drop_records(&mut self, dropped: &[Key]) {
        for key in dropped {
            self.records -= usize::from(Arc::make_mut(&mut self.shards[key.shard()]).remove(key).is_some());
        }
        let mut lens: HashMap<SiteHash, Vec<u32>> = HashMap::new();
        for key in self.shards.iter().flat_map(|shard| shard.keys()) {
            if let Target::Prefix { len, .. } = key.target {
                lens.entry(key.site).or_default().push(len);
            }
        }
        for (site, of_site) in Arc::make_mut(&mut self.sites) {
            let mut left = lens.remove(site).unwrap_or_default();
            left.sort_unstable();
            left.dedup();
            of_site.prefix_lens = left.into();
        }
    }

    /// Purges that make the same table.
    pub(super) fn purges(&self) -> impl Iterator<Item = Purge> {
        let of_sites = self.sites.iter().flat_map(|(site, of_site)| {
            let any_tag = Target::Tag(TagHash::UNNAMED);
            [(*site, Target::Everything, of_site.all), (*site, any_tag, of_site.any_tag)]
        });
        let others =
            self.shards.iter().flat_map(|shard| shard.iter()).map(|(key, marks)| (key.site, key.target, *marks));
        of_sites.chain(others).flat_map(|(site, target, marks)| {
            let Marks { hard, soft, soft_at } = marks;
            let purge = move |mode, generation, at| Purge { site, target, mode, generation, at };
            // When a hard one was makes no difference.
            let both = [purge(Mode::Hard, hard, UnixSeconds(0)), purge(Mode::Soft, soft, soft_at)];
            both.into_iter().filter(|purge| purge.generation > Generation::default())
        })
    }
}
