//! The cache as the edge sees it: memory over disk. Memory answers at once, whatever the disk does, and holds what is small
//! and hot; the disk is asked off the async threads, for a bounded time, and only where its index does not rule the key out.

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    disk::{DiskBody, DiskEntry, DiskTier, Presence, Usage},
    key::CacheKey,
    object::{SourceHead, StoredBody, StoredFile, StoredVariant, Variant, VariantFacts},
    purge::{Entries, Purges, Standing},
    response::{ResponseHead, Selected, Selectors, StoredResponse},
    turns::Turns,
};
use crate::{config, image::why_original::WhyOriginal, request::key::SourceName};

/// What is larger than this is kept on disk only: a few of these would push everything hot out of memory.
const HOT_OBJECT_BYTES: u64 = 1 << 20;

/// What an entry costs in memory beside its bytes: key, counters, headers. Measured with a million small entries.
const ENTRY_OVERHEAD_BYTES: u64 = 512;

/// How many large objects are held open, verified, and for how long after their last use. While one is open, its bytes stay
/// on disk although the entry may be evicted.
const OPEN_FILES: u64 = 64;
const OPEN_FILE_IDLE: Duration = Duration::from_secs(60);

/// Bytes that may wait to be written. Beyond that entries are not written: they are made again when memory has dropped
/// them, and a disk that hangs holds on to no more memory.
const UNWRITTEN_BYTES: u32 = 64 << 20;

/// How long is waited for a file to be removed whose entry is forgotten already.
const REMOVAL_WAIT: Duration = Duration::from_millis(100);

/// What an entry counts for among them beside its body.
const UNWRITTEN_OVERHEAD_BYTES: usize = 4 << 10;

/// Memory over disk.
#[derive(Debug)]
pub struct Cache {
    hot: moka::sync::Cache<CacheKey, Hot>,
    open_files: moka::sync::Cache<CacheKey, Hot>,
    unwritten: Arc<Semaphore>,
    turns: Turns,
    disk: Arc<DiskTier>,
    purges: Arc<Purges>,
}

#[derive(Debug, Clone)]
enum Hot {
    Head(Arc<SourceHead>),
    Body(StoredBody),
    Variant(StoredVariant),
    Selected(Selected),
}

impl Hot {
    fn weight(&self) -> u32 {
        let bytes = match self {
            Self::Head(head) => (head.facts.text_bytes() + head.stamp.bytes()) as u64,
            Self::Variant(StoredVariant::Original(_)) => 0,
            Self::Body(body) => body.len(),
            Self::Variant(StoredVariant::Made(variant)) => variant.body.len(),
            Self::Selected(Selected::Response(response)) => {
                response.head.text_bytes() as u64 + response.body.as_ref().map_or(0, |body| body.len() as u64)
            }
            Self::Selected(Selected::Varies(selectors)) => {
                selectors.lists.iter().flatten().map(|name| name.len() as u64).sum()
            }
        };
        u32::try_from(bytes + ENTRY_OVERHEAD_BYTES).unwrap_or(u32::MAX)
    }

    fn is_file(&self) -> bool {
        match self {
            Self::Body(body) => matches!(body, StoredBody::File(_)),
            Self::Variant(StoredVariant::Made(variant)) => matches!(variant.body, StoredBody::File(_)),
            Self::Head(_) | Self::Variant(StoredVariant::Original(_)) | Self::Selected(_) => false,
        }
    }
}

/// What stands with a variant on disk.
#[derive(Serialize, serde::Deserialize)]
enum VariantMeta {
    Made(VariantFacts),
    Original(WhyOriginal),
}

/// What stands for a URL on disk.
#[derive(Serialize, serde::Deserialize)]
enum SelectedMeta {
    Response(ResponseHead),
    Varies(Selectors),
}

/// Entries and bytes of one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUsage {
    /// Entries.
    pub entries: u64,
    /// Bytes, overhead included.
    pub bytes: u64,
}

impl Cache {
    /// Opens the disk tier under `dir` and an empty memory tier over it. Returns at once whatever the size: the index of the
    /// disk is read while requests are served.
    ///
    /// # Errors
    /// What the system says, for instance that another process uses the directory.
    pub fn open(dir: &Path, limits: &config::Cache) -> std::io::Result<Self> {
        let entries = if is_new(dir) { Entries::None } else { Entries::Perhaps };
        let disk = Arc::new(DiskTier::open(dir, limits.disk_bytes.0)?);
        // Behind the tier's lock: one process alone writes to the directory.
        let purges = Arc::new(Purges::open(dir, limits.max_purges, entries, SystemTime::now())?);
        let hot = moka::sync::Cache::builder()
            .max_capacity(limits.memory_bytes.0)
            .weigher(|_: &CacheKey, hot: &Hot| hot.weight())
            .build();
        let open_files = moka::sync::Cache::builder().max_capacity(OPEN_FILES).time_to_idle(OPEN_FILE_IDLE).build();
        let unwritten = Arc::new(Semaphore::new(UNWRITTEN_BYTES as usize));
        Ok(Self { hot, open_files, unwritten, turns: Turns::new(), disk, purges })
    }

    /// What has been purged.
    #[must_use]
    pub const fn purges(&self) -> &Arc<Purges> {
        &self.purges
    }

    /// A source's head, if memory has it, purged or not.
    #[must_use]
    pub fn hot_head(&self, key: CacheKey) -> Option<Arc<SourceHead>> {
        match self.in_memory(key)? {
            Hot::Head(head) => Some(head),
            Hot::Body(_) | Hot::Variant(_) | Hot::Selected(_) => None,
        }
    }

    /// A variant, if memory has it.
    #[must_use]
    pub fn hot_variant(&self, key: CacheKey) -> Option<StoredVariant> {
        match self.held(key)? {
            Hot::Variant(variant) => Some(variant),
            Hot::Head(_) | Hot::Body(_) | Hot::Selected(_) => None,
        }
    }

    /// Whether something is stored under `key`, as far as can be told without touching the disk.
    #[must_use]
    pub fn surely_holds(&self, key: CacheKey) -> bool {
        self.hot.contains_key(&key) || matches!(self.disk.contains(key), Presence::Yes)
    }

    /// Whether nothing can be stored under `key`, in either tier. Touches no disk.
    #[must_use]
    pub fn rules_out(&self, key: CacheKey) -> bool {
        !self.hot.contains_key(&key) && matches!(self.disk.contains(key), Presence::No)
    }

    /// The head of the source under `key`, from either tier, unless a hard purge has come over it.
    pub async fn head(&self, key: CacheKey, name: SourceName<'_>) -> Option<Arc<SourceHead>> {
        if let Some(head) = self.hot_head(key) {
            return self.unless_purged(key, name, head);
        }
        let (head, _) = self.load(key, || name.text()).await?;
        match self.loaded(key, Hot::Head(Arc::new(head))) {
            Hot::Head(head) => self.unless_purged(key, name, head),
            Hot::Body(_) | Hot::Variant(_) | Hot::Selected(_) => None,
        }
    }

    fn unless_purged(&self, key: CacheKey, name: SourceName<'_>, head: Arc<SourceHead>) -> Option<Arc<SourceHead>> {
        match self.purges.standing(name, &head.stamp) {
            Standing::Valid => Some(head),
            Standing::Stale { since } => Some(Arc::new(SourceHead { purged_at: Some(since), ..(*head).clone() })),
            Standing::Gone => {
                self.hot.invalidate(&key);
                None
            }
        }
    }

    /// A variant, from either tier.
    pub async fn variant(&self, key: CacheKey, full_key: impl FnOnce() -> String) -> Option<StoredVariant> {
        if let Some(variant) = self.hot_variant(key) {
            return Some(variant);
        }
        let (meta, body): (VariantMeta, _) = self.load(key, full_key).await?;
        let variant = match meta {
            VariantMeta::Original(why) => StoredVariant::Original(why),
            VariantMeta::Made(facts) => StoredVariant::Made(Arc::new(Variant::stored(facts, body))),
        };
        match self.loaded(key, Hot::Variant(variant)) {
            Hot::Variant(variant) => Some(variant),
            Hot::Head(_) | Hot::Body(_) | Hot::Selected(_) => None,
        }
    }

    /// A source version's bytes, from either tier.
    pub async fn body(&self, key: CacheKey, full_key: impl FnOnce() -> String) -> Option<StoredBody> {
        if let Some(Hot::Body(body)) = self.held(key) {
            return Some(body);
        }
        let ((), body) = self.load(key, full_key).await?;
        match self.loaded(key, Hot::Body(body)) {
            Hot::Body(body) => Some(body),
            Hot::Head(_) | Hot::Variant(_) | Hot::Selected(_) => None,
        }
    }

    /// Stores a source's head.
    pub async fn put_head(&self, key: CacheKey, full_key: String, head: Arc<SourceHead>) {
        self.show_head(key, Arc::clone(&head));
        self.save_head(key, full_key, head).await;
    }

    /// Shows a source's head to all; only memory has it until it is saved.
    pub fn show_head(&self, key: CacheKey, head: Arc<SourceHead>) {
        self.hot.insert(key, Hot::Head(head));
    }

    /// Writes a head to disk, or what has become of it in memory meanwhile.
    pub async fn save_head(&self, key: CacheKey, full_key: String, head: Arc<SourceHead>) {
        let head = self.hot_head(key).unwrap_or(head);
        self.write(key, full_key, &*head, Bytes::new()).await;
    }

    /// Stores a source version's bytes.
    pub async fn put_body(&self, key: CacheKey, full_key: String, bytes: Bytes) {
        self.keep_hot(key, Hot::Body(StoredBody::Whole(bytes.clone())));
        self.write(key, full_key, &(), bytes).await;
    }

    /// Shows a variant to all, or why there is none; only memory has it until it is saved.
    pub fn show_variant(&self, key: CacheKey, variant: StoredVariant) {
        self.keep_hot(key, Hot::Variant(variant));
    }

    /// Writes a variant to disk, or that no format has fewer bytes. Any other reason may be another one in the next run
    /// (the budget, a codec that failed): only memory keeps it.
    pub async fn save_variant(&self, key: CacheKey, full_key: String, variant: &StoredVariant) {
        let (meta, bytes) = match variant {
            StoredVariant::Original(why @ WhyOriginal::NotSmaller) => (VariantMeta::Original(*why), Bytes::new()),
            StoredVariant::Original(_) => return,
            StoredVariant::Made(made) => match &made.body {
                StoredBody::Whole(bytes) => (VariantMeta::Made(made.facts.clone()), bytes.clone()),
                // It was read from this very entry.
                StoredBody::File(_) => return,
            },
        };
        self.write(key, full_key, &meta, bytes).await;
    }

    /// What stands for a URL, if memory has it.
    #[must_use]
    pub fn hot_selected(&self, key: CacheKey) -> Option<Selected> {
        match self.in_memory(key)? {
            Hot::Selected(selected) => Some(selected),
            Hot::Head(_) | Hot::Body(_) | Hot::Variant(_) => None,
        }
    }

    /// What stands for a URL, or for one of its responses that vary, from either tier.
    pub async fn selected(&self, key: CacheKey, full_key: impl FnOnce() -> String) -> Option<Selected> {
        if let Some(selected) = self.hot_selected(key) {
            return Some(selected);
        }
        let (meta, body): (SelectedMeta, _) = self.load(key, full_key).await?;
        let selected = match (meta, body) {
            (SelectedMeta::Varies(selectors), _) => Selected::Varies(Arc::new(selectors)),
            (SelectedMeta::Response(head), StoredBody::Whole(bytes)) => {
                let body = head.is_inline().then_some(bytes);
                Selected::Response(Arc::new(StoredResponse { head, body }))
            }
            (SelectedMeta::Response(_), StoredBody::File(_)) => return None,
        };
        match self.loaded(key, Hot::Selected(selected)) {
            Hot::Selected(selected) => Some(selected),
            Hot::Head(_) | Hot::Body(_) | Hot::Variant(_) => None,
        }
    }

    /// Shows what stands for a URL to all; only memory has it until it is saved.
    pub fn show_selected(&self, key: CacheKey, selected: Selected) {
        self.keep_hot(key, Hot::Selected(selected));
    }

    /// Writes it to disk.
    pub async fn save_selected(&self, key: CacheKey, full_key: String, selected: &Selected) {
        let (meta, body) = match selected {
            Selected::Response(response) => {
                (SelectedMeta::Response(response.head.clone()), response.body.clone().unwrap_or_default())
            }
            Selected::Varies(selectors) => (SelectedMeta::Varies((**selectors).clone()), Bytes::new()),
        };
        self.write(key, full_key, &meta, body).await;
    }

    /// Forgets what is stored under `key`.
    pub async fn remove(&self, key: CacheKey) {
        self.hot.invalidate(&key);
        self.open_files.invalidate(&key);
        if self.disk.forget(key) {
            // So that it does not come back after a crash. A disk that hangs is not waited for long.
            let disk = Arc::clone(&self.disk);
            let _ = timeout(REMOVAL_WAIT, self.turns.write(move || disk.remove_forgotten(key))).await;
        }
    }

    /// What memory holds.
    #[must_use]
    pub fn memory_usage(&self) -> MemoryUsage {
        MemoryUsage { entries: self.hot.entry_count(), bytes: self.hot.weighted_size() }
    }

    /// What the disk holds.
    #[must_use]
    pub fn disk_usage(&self) -> Usage {
        self.disk.usage()
    }

    /// Whether all that is on disk is known: it is served before, too.
    #[must_use]
    pub fn is_disk_known(&self) -> bool {
        self.disk.is_known()
    }

    /// Reads and writes of the disk given up so far because it did not keep up.
    #[must_use]
    pub fn disk_refused(&self) -> (u64, u64) {
        self.turns.refused()
    }

    /// What memory has. The disk keeps what is used here, too.
    fn in_memory(&self, key: CacheKey) -> Option<Hot> {
        let hot = self.hot.get(&key)?;
        self.disk.note_use(key);
        Some(hot)
    }

    /// What memory has, or has open.
    fn held(&self, key: CacheKey) -> Option<Hot> {
        let is_there = || !matches!(self.disk.contains(key), Presence::No);
        self.in_memory(key).or_else(|| self.open_files.get(&key).filter(|_| is_there()))
    }

    fn keep_hot(&self, key: CacheKey, hot: Hot) {
        // What was there before must not outlive it.
        self.open_files.invalidate(&key);
        if u64::from(hot.weight()) <= HOT_OBJECT_BYTES {
            self.hot.insert(key, hot);
        } else {
            self.hot.invalidate(&key);
        }
    }

    /// Keeps what was read from disk, unless memory has got something newer meanwhile, and gives what it has then.
    fn loaded(&self, key: CacheKey, hot: Hot) -> Hot {
        if hot.is_file() {
            self.open_files.entry(key).or_insert(hot).into_value()
        } else if u64::from(hot.weight()) <= HOT_OBJECT_BYTES {
            self.hot.entry(key).or_insert(hot).into_value()
        } else {
            hot
        }
    }

    async fn load<M: DeserializeOwned + Send + 'static>(
        &self,
        key: CacheKey,
        full_key: impl FnOnce() -> String,
    ) -> Option<(M, StoredBody)> {
        if matches!(self.disk.contains(key), Presence::No) {
            return None;
        }
        let disk = Arc::clone(&self.disk);
        let (full_key, turns) = (full_key(), self.turns.pieces());
        let read = move || {
            let DiskEntry { meta, body } = disk.get(key, &full_key)?;
            let Ok(meta) = serde_json::from_slice(&meta) else {
                // Written by another version of this program.
                disk.remove(key);
                return None;
            };
            let body = match body {
                DiskBody::Whole(bytes) => StoredBody::Whole(bytes),
                DiskBody::File { file, offset, len } => {
                    StoredBody::File(Arc::new(StoredFile { file, offset, len, turns }))
                }
            };
            Some((meta, body))
        };
        self.turns.read(read).await.flatten()
    }

    /// Writes to disk. A disk that fails loses the entry, nothing else: it is made again.
    async fn write(&self, key: CacheKey, full_key: String, meta: &impl Serialize, body: Bytes) {
        let Ok(meta) = serde_json::to_vec(meta) else { return };
        let waiting = body.len().saturating_add(UNWRITTEN_OVERHEAD_BYTES);
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).min(UNWRITTEN_BYTES);
        let Ok(waiting) = Arc::clone(&self.unwritten).try_acquire_many_owned(waiting) else {
            self.turns.count_refused_write();
            return;
        };
        let (disk, open_files) = (Arc::clone(&self.disk), self.open_files.clone());
        let write = move || {
            let written = disk.put(key, &full_key, &meta, &body);
            // A visitor may have opened what was there before it was written over.
            open_files.invalidate(&key);
            drop((body, waiting));
            written
        };
        match self.turns.write(write).await {
            Some(Err(error)) => tracing::debug!(%error, "an entry was not written to disk"),
            None => tracing::debug!("an entry was not written: the disk does not keep up"),
            Some(Ok(())) => {}
        }
    }
}

/// Whether nothing can have been stored in a directory.
fn is_new(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut files) => files.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}
