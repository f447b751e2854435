//! One decode for all variants that are wanted of a source at the same moment. A job takes a seat before its original is
//! there and says what it wants when it knows; when nobody who has a seat is still thinking, one decode renders what all of
//! them want. Whoever comes later shares the next one.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    pool::{Admission, Memory, NotAdmitted, Pool, Slot},
    sources::WholeSource,
};
use crate::{
    cache::key::CacheKey,
    image::{self, Cancel, Extras, ImageError, Limits, Probe, Rendered, Transform},
    telemetry::metrics::Metrics,
};

/// How many share a decode at the most: their pictures are in memory together.
const MAX_SHARING: usize = 16;

/// Which content of which source: jobs whose originals are the same share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedBy {
    /// The source.
    pub source: CacheKey,
    /// Tells its contents apart: a stored version, or the one on its way in.
    pub content: u128,
}

/// Renders pictures.
#[derive(Debug)]
pub struct Renders {
    pool: Arc<Pool>,
    metrics: Arc<Metrics>,
    limits: Limits,
    tables: Mutex<HashMap<SharedBy, Table>>,
}

/// Those who will share a decode.
#[derive(Debug, Default)]
struct Table {
    /// Who has not said yet what he wants.
    thinking: usize,
    orders: Vec<Order>,
}

/// What one of them wants.
#[derive(Debug)]
struct Order {
    wish: Wish,
    answer: oneshot::Sender<Result<Print, NotRendered>>,
}

/// A picture that is wanted of a source.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The site that it is for.
    pub site: Arc<str>,
    /// The original.
    pub source: WholeSource,
    /// Its header.
    pub probe: Probe,
    /// What is done to it.
    pub transform: Transform,
    /// The file of its watermark, if it has one.
    pub watermark: Option<Bytes>,
    /// What decoding takes, whoever shares it.
    pub decoding_bytes: u64,
    /// What the picture and its encoding take beside it.
    pub own_bytes: u64,
}

/// A rendered picture, and its place in the memory budget.
#[derive(Debug)]
pub struct Print {
    /// The picture.
    pub rendered: Arc<Rendered>,
    /// A core to go on with, for the first of those who shared.
    pub slot: Option<Slot>,
    /// What it is admitted for, given back when all who shared are done.
    pub admitted: Arc<Memory>,
}

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRendered {
    /// There is no room for it.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// It cannot be rendered.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A place among those who will share a decode. Dropping it lets the others go on.
#[derive(Debug)]
pub struct Seat {
    renders: Arc<Renders>,
    shared_by: SharedBy,
    is_taken: bool,
}

impl Renders {
    /// A place where pictures are rendered.
    #[must_use]
    pub fn new(pool: Arc<Pool>, metrics: Arc<Metrics>, limits: Limits) -> Self {
        Self { pool, metrics, limits, tables: Mutex::default() }
    }

    /// Takes a seat; `None` where so many sit already that one more decodes for himself.
    #[must_use]
    pub fn seat(self: &Arc<Self>, shared_by: SharedBy) -> Option<Seat> {
        let mut tables = self.lock();
        let table = tables.entry(shared_by).or_default();
        if table.thinking + table.orders.len() >= MAX_SHARING {
            return None;
        }
        table.thinking += 1;
        Some(Seat { renders: Arc::clone(self), shared_by, is_taken: true })
    }

    /// Renders for one alone.
    ///
    /// # Errors
    /// [`NotRendered`]
    pub async fn render(self: &Arc<Self>, wish: Wish) -> Result<Print, NotRendered> {
        let (answer, rendered) = oneshot::channel();
        self.begin(vec![Order { wish, answer }]);
        rendered.await.unwrap_or(Err(ImageError::CodecPanicked.into()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SharedBy, Table>> {
        // The map is whole between any two operations on it: a panic elsewhere does not spoil it.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one who thinks no more, with what he wants if anything, and begins when he was the last.
    fn decided(self: &Arc<Self>, shared_by: SharedBy, order: Option<Order>) {
        let mut tables = self.lock();
        let Entry::Occupied(mut entry) = tables.entry(shared_by) else { return };
        let table = entry.get_mut();
        table.thinking = table.thinking.saturating_sub(1);
        table.orders.extend(order);
        if table.thinking == 0 {
            let orders = entry.remove().orders;
            drop(tables);
            self.begin(orders);
        }
    }

    fn begin(self: &Arc<Self>, mut orders: Vec<Order>) {
        while !orders.is_empty() {
            let rest = orders.split_off(self.how_many_fit(&orders));
            let renders = Arc::clone(self);
            tokio::spawn(async move { renders.fill(orders).await });
            orders = rest;
        }
    }

    /// How many of them, from the first on, could ever be admitted together; at least one.
    fn how_many_fit(&self, orders: &[Order]) -> usize {
        (1..=orders.len()).rev().find(|count| self.pool.could_hold(bytes_of(&orders[..*count]))).unwrap_or(1)
    }

    async fn fill(&self, orders: Vec<Order>) {
        let Some(first) = orders.first() else { return };
        let (source, probe) = (first.wish.source.clone(), first.wish.probe.clone());
        let admission = match self.pool.admit(&first.wish.site, bytes_of(&orders)).await {
            Ok(admission) => admission,
            Err(why) => {
                // Nobody may wait any more: the answer is not needed then.
                orders.into_iter().for_each(|order| drop(order.answer.send(Err(why.into()))));
                return;
            }
        };
        self.metrics.decodes.inc();
        let (wishes, answers): (Vec<_>, Vec<_>) =
            orders.into_iter().map(|order| ((order.wish.transform, order.wish.watermark), order.answer)).unzip();
        let limits = self.limits;
        let Admission { memory, slot } = admission;
        let (rendered, slot) = self
            .pool
            .run(slot, move |slot| {
                let _source = source.reserved;
                (render(&source.bytes, &probe, &wishes, &limits), slot)
            })
            .await
            .map_or((None, None), |(rendered, slot)| (Some(rendered), Some(slot)));
        let rendered = rendered.unwrap_or(Err(ImageError::CodecPanicked));
        answer(answers, rendered, memory, slot);
    }
}

type Renderings = Vec<Result<Arc<Rendered>, ImageError>>;

/// Renders what is wanted; the same thing once.
fn render(
    bytes: &Bytes,
    probe: &Probe,
    wishes: &[(Transform, Option<Bytes>)],
    limits: &Limits,
) -> Result<Renderings, ImageError> {
    let watermarks: Vec<(&str, &[u8])> = wishes
        .iter()
        .filter_map(|(transform, file)| Some((transform.watermark.as_ref()?.source.as_str(), file.as_deref()?)))
        .collect();
    let mut distinct: Vec<&Transform> = Vec::with_capacity(wishes.len());
    let places: Vec<usize> = wishes
        .iter()
        .map(|(wish, _)| {
            distinct.iter().position(|other| *other == wish).unwrap_or_else(|| {
                distinct.push(wish);
                distinct.len() - 1
            })
        })
        .collect();
    let rendered =
        image::render(bytes, probe, &distinct, limits, &Cancel::default(), &Extras { watermarks: &watermarks })?;
    let rendered: Renderings = rendered.into_iter().map(|rendered| rendered.map(Arc::new)).collect();
    Ok(places.into_iter().filter_map(|place| rendered.get(place).cloned()).collect())
}

fn answer(
    answers: Vec<oneshot::Sender<Result<Print, NotRendered>>>,
    rendered: Result<Renderings, ImageError>,
    memory: Memory,
    mut slot: Option<Slot>,
) {
    let admitted = Arc::new(memory);
    let results: Renderings = match rendered {
        Ok(rendered) => rendered,
        Err(error) => answers.iter().map(|_| Err(error.clone())).collect(),
    };
    for (answer, result) in answers.into_iter().zip(results) {
        let print = result.map(|rendered| Print { rendered, slot: slot.take(), admitted: Arc::clone(&admitted) });
        // Nobody may wait any more: the picture is not needed then.
        let _ = answer.send(print.map_err(Into::into));
    }
}

/// What they take together.
fn bytes_of(orders: &[Order]) -> u64 {
    let decoding = orders.iter().map(|order| order.wish.decoding_bytes).max().unwrap_or(0);
    decoding + orders.iter().map(|order| order.wish.own_bytes).sum::<u64>()
}

impl Seat {
    /// Says what is wanted, and waits for it.
    ///
    /// # Errors
    /// [`NotRendered`]
    pub async fn render(mut self, wish: Wish) -> Result<Print, NotRendered> {
        let (answer, rendered) = oneshot::channel();
        self.is_taken = false;
        self.renders.decided(self.shared_by, Some(Order { wish, answer }));
        rendered.await.unwrap_or(Err(ImageError::CodecPanicked.into()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.is_taken {
            self.renders.decided(self.shared_by, None);
        }
    }
}
