//! How many different sizes are made of one source: a flood of made-up ones would cost as much as it likes.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{cache::key::CacheKey, image::Transform};

/// How many sources are remembered; of one that is forgotten counting begins anew.
const MAX_SOURCES: u64 = 65_536;

/// After this long a source's counting begins anew.
const SPAN: Duration = Duration::from_secs(86_400);

/// The sizes that were asked for of each source and had to be made. In memory only: a restart begins anew.
#[derive(Debug)]
pub struct Sizes {
    most: usize,
    seen: moka::sync::Cache<CacheKey, Arc<Mutex<HashSet<u64>>>>,
}

impl Sizes {
    /// At the most so many of each source within 24 hours; 0 is no bound.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, seen: moka::sync::Cache::builder().max_capacity(MAX_SOURCES).time_to_live(SPAN).build() }
    }

    /// Counts a size that is to be made; whether it is within the bound. The source as it is, and a size counted before,
    /// always are.
    #[must_use]
    pub fn admits(&self, source: CacheKey, size: &Transform) -> bool {
        if self.most == 0 || *size == Transform::default() {
            return true;
        }
        let mut hasher = DefaultHasher::new();
        size.hash(&mut hasher);
        let sizes = self.seen.get_with(source, Arc::default);
        // A set is whole between any two operations on it: a panic elsewhere does not spoil it.
        let mut sizes = sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if sizes.len() >= self.most {
            return sizes.contains(&hasher.finish());
        }
        sizes.insert(hasher.finish());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::key::SourceName;

    fn width(width: u32) -> Transform {
        Transform { width: Some(width), ..Transform::default() }
    }

    #[test]
    fn a_source_has_so_many_sizes_and_each_as_often_as_it_likes() {
        let sizes = Sizes::new(2);
        let [one, other] = ["/a.jpg", "/b.jpg"].map(|source| SourceName { scope: "shop", source }.key());
        assert!(sizes.admits(one, &width(1)) && sizes.admits(one, &width(2)));
        assert!(!sizes.admits(one, &width(3)));
        assert!(sizes.admits(one, &width(2)) && sizes.admits(one, &Transform::default()));
        assert!(sizes.admits(other, &width(3)));
        assert!((0..100).all(|at| Sizes::new(0).admits(one, &width(at))));
    }
}
