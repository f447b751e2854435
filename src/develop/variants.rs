//! Makes variants: tries the formats that a client takes, best first, keeps the first that has fewer bytes than the original,
//! and remembers what was not worth keeping.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    pool::{Admission, NotAdmitted, Pool, Slot},
    refine::{self, RefineJob},
    renders::{NotRendered, Print, Renders, Seat, SharedBy, Wish},
    sources::{Obtained, SourceFill, SourceSpec, Sources, WholeSource},
};
use crate::{
    cache::{
        key::CacheKey,
        object::{Make, Scored, SourceHead, StoredBody, StoredVariant, Variant, Verdict},
        purge::Standing,
        tiers::Cache,
    },
    clock::Clock,
    coalesce::{
        budget::Reserved,
        fill::End,
        flights::{Flights, Joined, Waiting},
    },
    image::{
        self, Cancel, Developed as Picture, Effort, Extras, ImageError, Probe, Settings,
        format::{InputFormat, OutputFormat},
        quality::Measured,
        why_original::WhyOriginal,
    },
    origin::error::FetchError,
    request::{
        Candidates, Transform,
        key::{SourceVersion, variant_key, work_key},
    },
    telemetry::metrics::Metrics,
};

/// What is to be made, of what.
#[derive(Debug, Clone)]
pub struct Job {
    /// The source.
    pub spec: SourceSpec,
    /// What is done to it; its quality is decided.
    pub transform: Transform,
    /// Formats to try.
    pub candidates: Candidates,
    /// The watermark's file, if the transform has one.
    pub watermark: Option<SourceSpec>,
}

/// Where a job's original is.
#[derive(Debug, Clone)]
pub enum Origination {
    /// In the cache.
    Stored(Arc<SourceHead>),
    /// On its way in.
    Filling(Arc<SourceFill>),
}

impl Origination {
    /// Tells apart what can share a decode.
    fn shared_by(&self, source: CacheKey) -> SharedBy {
        let content = match self {
            Self::Stored(head) => u128::from_le_bytes(head.version.0),
            // Its version is not known yet; an address is no version's number, and is this fill's for as long as the
            // origination is kept.
            Self::Filling(fill) => Arc::as_ptr(fill).addr() as u128,
        };
        SharedBy { source, content }
    }

    /// Which content it is; waits for one on its way in. `None` where that does not come whole.
    pub async fn version(&self) -> Option<SourceVersion> {
        match self {
            Self::Stored(head) => Some(head.version),
            Self::Filling(fill) => fill.version().await,
        }
    }
}

/// What came of a job.
#[derive(Debug, Clone)]
pub enum Developed {
    /// A variant, made now or by another meanwhile.
    Variant(Arc<Variant>, Arc<SourceHead>, Stages),
    /// The original is to be served.
    Original(WhyOriginal),
    /// The original did not come.
    Failed(FetchError),
}

/// How long the stages took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stages {
    /// Decoding.
    pub decode_ms: f64,
    /// Resizing.
    pub resize_ms: f64,
    /// Encoding.
    pub encode_ms: f64,
}

/// Makes variants.
#[derive(Debug)]
pub struct Developer {
    cache: Arc<Cache>,
    sources: Arc<Sources>,
    pool: Arc<Pool>,
    renders: Arc<Renders>,
    flights: Arc<Flights<Developed>>,
    settings: Settings,
    undevelopable_ttl: std::time::Duration,
    refinements: Option<mpsc::Sender<RefineJob>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What a developer works with.
pub struct Tools {
    /// Where variants are kept.
    pub cache: Arc<Cache>,
    /// Where originals come from.
    pub sources: Arc<Sources>,
    /// Where codecs run.
    pub pool: Arc<Pool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where first views are put down to be made again; none to leave them as they are.
    pub refinements: Option<mpsc::Sender<RefineJob>>,
    /// Tells the time.
    pub clock: Clock,
}

impl Developer {
    /// A developer with its tools.
    #[must_use]
    pub fn new(tools: Tools, settings: Settings, undevelopable_ttl: std::time::Duration) -> Self {
        let Tools { cache, sources, pool, metrics, refinements, clock } = tools;
        let renders = Arc::new(Renders::new(Arc::clone(&pool), Arc::clone(&metrics), settings.limits));
        let flights = Arc::default();
        Self { cache, sources, pool, renders, flights, settings, undevelopable_ttl, refinements, metrics, clock }
    }

    /// Begins a job, or joins one under way; it goes on when all who wait go away. `None` where it would have to be begun
    /// and there is no room for it. Who joins may get a variant of another version of the source, unless he names his.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        job: Job,
        origination: Origination,
        version: Option<SourceVersion>,
    ) -> Option<Waiting<Developed>> {
        let key = work_key(job.spec.key, version, &job.transform, job.candidates);
        let key = self.cache.purges().key_of_work(job.spec.name(), key);
        match self.flights.join(key, self.clock.now()) {
            Joined::UnderWay(waiting) => Some(waiting),
            Joined::Apart | Joined::Resting(_) => None,
            Joined::First(..) if !self.pool.has_room(&job.spec.site) => None,
            Joined::First(mut landing, waiting) => {
                let developer = Arc::clone(self);
                // Nobody who shares a decode waits for another's watermark.
                let alone = job.watermark.is_some();
                let seat = if alone { None } else { self.renders.seat(origination.shared_by(job.spec.key)) };
                tokio::spawn(async move {
                    let mut made = Made::default();
                    landing.land(developer.work(&job, origination, seat, &mut made).await);
                    // Who comes before it is stored joins this flight.
                    developer.save(&job, made).await;
                    drop(landing);
                });
                Some(waiting)
            }
        }
    }

    /// Whether nothing is being made or stored.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.flights.is_empty()
    }

    async fn work(&self, job: &Job, origination: Origination, seat: Option<Seat>, made: &mut Made) -> Developed {
        // Kept until the seat is left: its content is told apart by it.
        let source = match self.whole(&job.spec, origination.clone()).await {
            Ok(source) => source,
            Err(developed) => return developed,
        };
        let probe = match probe(&source).await {
            Ok(probe) => probe,
            Err(error) => return self.give_up(job, &source, &error).await,
        };
        if let Err(why) = self.developable(&probe, &job.transform) {
            return self.remember(job, &source, why).await;
        }
        let watermark = match self.watermark(job).await {
            Ok(watermark) => watermark,
            Err(why) => return Developed::Original(why),
        };
        let mut desk = Desk { seat, print: None, watermark };
        self.try_candidates(job, &source, &probe, &mut desk, made).await
    }

    /// The original, whole and in memory, with its place in the budget of originals.
    async fn whole(&self, spec: &SourceSpec, origination: Origination) -> Result<WholeSource, Developed> {
        let head = match origination {
            Origination::Stored(head) => head,
            Origination::Filling(fill) => match fill.ended().await {
                End::Whole(source) => return Ok(source),
                End::Stored(head, _) => head,
                End::NotHeld(why) => return Err(Developed::Original(why)),
                End::Failed(error) => return Err(Developed::Failed(error)),
            },
        };
        let Some(reserved) = self.sources.try_reserve(&spec.site, head.len) else {
            return Err(Developed::Original(WhyOriginal::Busy));
        };
        let bytes = self.read_whole(spec, &head).await.ok_or(Developed::Original(WhyOriginal::Busy))?;
        Ok(WholeSource { head, bytes, reserved: Arc::new(reserved) })
    }

    async fn read_whole(&self, spec: &SourceSpec, head: &Arc<SourceHead>) -> Option<Bytes> {
        read_stored(&self.sources.stored_body(spec, head.version).await?).await
    }

    /// The file of a job's watermark, from the cache or its origin like any original.
    ///
    /// # Errors
    /// [`WhyOriginal::Watermark`] where it cannot be had: a picture without its watermark is not what was asked for.
    async fn watermark(&self, job: &Job) -> Result<Option<WholeSource>, WhyOriginal> {
        let Some(spec) = &job.watermark else { return Ok(None) };
        let origination = match self.sources.obtain(spec).await {
            (Some(Obtained::Stored(stored)), _) => Origination::Stored(stored.head),
            (Some(Obtained::Filling(fill, _)), _) => Origination::Filling(fill),
            _ => return Err(WhyOriginal::Watermark),
        };
        self.whole(spec, origination).await.map(Some).map_err(|_| WhyOriginal::Watermark)
    }

    fn developable(&self, probe: &Probe, transform: &Transform) -> Result<(), WhyOriginal> {
        // What moves in other formats is a matter of the format that is made of it.
        if probe.format == InputFormat::Avif && image::moves(probe, transform) {
            return Err(WhyOriginal::Animated);
        }
        probe.check(&self.settings.limits).map_err(|error| error.why_original())
    }

    async fn try_candidates(
        &self,
        job: &Job,
        source: &WholeSource,
        probe: &Probe,
        desk: &mut Desk,
        made: &mut Made,
    ) -> Developed {
        let moves = image::moves(probe, &job.transform);
        let mut why = if moves { WhyOriginal::Animated } else { WhyOriginal::NotSmaller };
        for candidate in job.candidates.as_slice() {
            let format = candidate.output(source.head.facts.input);
            if moves && !format.is_animated() {
                self.show(job, &source.head, format, StoredVariant::Original(WhyOriginal::Animated), made);
                continue;
            }
            match self.stored(job, &source.head, format).await {
                Some(StoredVariant::Made(variant)) => {
                    return Developed::Variant(variant, Arc::clone(&source.head), Stages::default());
                }
                Some(StoredVariant::Original(stored)) => {
                    why = stored;
                    continue;
                }
                None => {}
            }
            match self.make(job, source, probe, format, desk, made).await {
                Ok(Some((variant, stages))) => {
                    self.put_down_for_refinement(job, source, format);
                    return Developed::Variant(variant, Arc::clone(&source.head), stages);
                }
                Ok(None) => why = WhyOriginal::NotSmaller,
                // A format that costs less may still fit.
                Err(Unmade::NotAdmitted(NotAdmitted::TooLarge)) => {
                    why = WhyOriginal::TooLarge;
                    self.show(job, &source.head, format, StoredVariant::Original(why), made);
                }
                Err(
                    Unmade::NotAdmitted(NotAdmitted::Busy) | Unmade::Superseded | Unmade::Image(ImageError::Cancelled),
                ) => return Developed::Original(WhyOriginal::Busy),
                Err(Unmade::Image(error)) if error.is_of_source() => return self.give_up(job, source, &error).await,
                // It may be had at the next view: nothing is remembered.
                Err(Unmade::Image(error @ ImageError::Watermark { .. })) => {
                    tracing::info!(site = &*job.spec.site, source = &*job.spec.source, %error, "served without");
                    return Developed::Original(error.why_original());
                }
                Err(Unmade::Image(error)) => {
                    tracing::info!(site = &*job.spec.site, source = &*job.spec.source, %error, "a format is left out");
                    why = error.why_original();
                    self.show(job, &source.head, format, StoredVariant::Original(why), made);
                }
            }
        }
        Developed::Original(why)
    }

    async fn stored(&self, job: &Job, head: &SourceHead, format: OutputFormat) -> Option<StoredVariant> {
        let key = variant_key(job.spec.key, head.version, &job.transform, format);
        self.cache.variant(key, || job.spec.name().variant_text(head.version, &job.transform, format)).await
    }

    /// Makes one variant and stores it; `None` where the original has no more bytes, which is stored too.
    async fn make(
        &self,
        job: &Job,
        source: &WholeSource,
        probe: &Probe,
        format: OutputFormat,
        desk: &mut Desk,
        made: &mut Made,
    ) -> Result<Option<(Arc<Variant>, Stages)>, Unmade> {
        let watermark = desk.watermark.clone();
        let work = Work { job, source, watermark: watermark.as_ref(), probe, format, effort: Effort::FirstView };
        self.check_current(&work)?;
        let picture = if image::moves(probe, &job.transform) {
            // Each frame is decoded for it alone: others who have a seat need not wait for that.
            desk.seat = None;
            let cost = image::cost(probe, &job.transform, format, &self.settings, work.effort)?;
            let admission = self.pool.admit(&job.spec.site, cost.total()).await?;
            self.develop(&work, admission, Cancel::default(), None).await?
        } else {
            self.still(&work, desk).await?
        };
        let stages = self.observe(&work, &picture);
        Ok(self.keep(&work, picture, made).map(|variant| (variant, stages)))
    }

    /// Makes a first-view variant again with more effort, if the machine is idle; it takes the place of the first if it is
    /// better ([`refine::takes_its_place`]).
    pub(super) async fn refine(&self, refinement: &RefineJob, source: &WholeSource) -> Refined {
        let RefineJob { job, format, .. } = refinement;
        let Some(StoredVariant::Made(first)) = self.stored(job, &source.head, *format).await else {
            return Refined::Done;
        };
        if first.facts.make == Make::Refined {
            return Refined::Done;
        }
        let Ok(probe) = probe(source).await else { return Refined::Done };
        if image::moves(&probe, &job.transform) {
            return Refined::Done;
        }
        let Ok(cost) = image::cost(&probe, &job.transform, *format, &self.settings, Effort::Refined) else {
            return Refined::Done;
        };
        if !self.pool.could_hold(cost.total()) {
            return Refined::Done;
        }
        let Some(first_view) = read_stored(&first.body).await else { return Refined::Done };
        let Ok(watermark) = self.watermark(job).await else { return Refined::Done };
        let Some((admission, cancel)) = self.pool.admit_if_idle(&job.spec.site, cost.total()) else {
            return Refined::Later;
        };
        let watermark = watermark.as_ref();
        let work = Work { job, source, watermark, probe: &probe, format: *format, effort: Effort::Refined };
        let picture = match self.develop(&work, admission, cancel, Some(first_view)).await {
            Ok(picture) => picture,
            Err(ImageError::Cancelled) => return Refined::Later,
            Err(_) => return Refined::Done,
        };
        self.observe(&work, &picture);
        if refine::takes_its_place(&picture, first.body.len(), job.transform.quality, source.head.len) {
            let mut made = Made::default();
            self.keep(&work, picture, &mut made);
            self.save(job, made).await;
            self.metrics.refinements.inc();
        }
        Refined::Done
    }

    /// A stored original, in memory for as long as it is refined; `None` where there is no room or it is gone.
    pub(super) async fn whole_for_refinement(&self, refinement: &RefineJob) -> Option<WholeSource> {
        self.whole(&refinement.job.spec, Origination::Stored(Arc::clone(&refinement.head))).await.ok()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pool.is_idle()
    }

    /// Renders a still picture together with others, and encodes it.
    async fn still(&self, work: &Work<'_>, desk: &mut Desk) -> Result<Picture, Unmade> {
        let print = self.rendered(work, desk).await?;
        let slot = match print.slot.take() {
            Some(slot) => slot,
            None => self.pool.slot(&work.job.spec.site).await?,
        };
        self.check_current(work)?;
        Ok(self.finish(work, print, slot).await?)
    }

    /// Nothing more is made of content that has been replaced.
    fn check_current(&self, work: &Work<'_>) -> Result<(), Unmade> {
        let current = self.cache.hot_head(work.job.spec.key);
        let is_superseded = current.is_some_and(|current| current.version != work.source.head.version);
        if is_superseded { Err(Unmade::Superseded) } else { Ok(()) }
    }

    /// The picture that is to be encoded: what was rendered for another format, where its place in the budget suffices, or
    /// rendered now, together with what others want of the source.
    async fn rendered<'d>(&self, work: &Work<'_>, desk: &'d mut Desk) -> Result<&'d mut Print, Unmade> {
        let Work { job, source, watermark, probe, format, effort } = *work;
        let cost = image::cost(probe, &job.transform, format, &self.settings, effort)?;
        let suffices = desk.print.as_ref().is_some_and(|(_, own_bytes)| cost.own <= *own_bytes);
        if !suffices {
            // Its memory is given back before more is waited for.
            desk.print = None;
            if !self.pool.could_hold(cost.total()) {
                return Err(NotAdmitted::TooLarge.into());
            }
            let wish = Wish {
                site: Arc::clone(&job.spec.site),
                source: source.clone(),
                probe: probe.clone(),
                transform: job.transform.clone(),
                watermark: watermark.map(|watermark| watermark.bytes.clone()),
                decoding_bytes: cost.decoding,
                own_bytes: cost.own,
            };
            let print = match desk.seat.take() {
                Some(seat) => seat.render(wish).await?,
                None => self.renders.render(wish).await?,
            };
            desk.print = Some((print, cost.own));
        }
        match &mut desk.print {
            Some((print, _)) => Ok(print),
            None => Err(ImageError::CodecPanicked.into()),
        }
    }

    /// Encodes a rendered picture, on cores that nobody else needs as well.
    async fn finish(&self, work: &Work<'_>, print: &Print, mut slot: Slot) -> Result<Picture, ImageError> {
        let (rendered, admitted) = (Arc::clone(&print.rendered), Arc::clone(&print.admitted));
        self.pool.widen(&mut slot, image::useful_threads(work.format, rendered.size()));
        let transform = work.job.transform.clone();
        let (format, effort, settings) = (work.format, work.effort, self.settings.clone());
        self.pool
            .run(slot, move |slot| {
                let _admitted = admitted;
                image::finish(&rendered, &transform, format, &settings, effort, slot.threads())
            })
            .await
            .unwrap_or(Err(ImageError::CodecPanicked))
    }

    /// Renders and encodes in one go.
    async fn develop(
        &self,
        work: &Work<'_>,
        admission: Admission,
        cancel: Cancel,
        first_view: Option<Bytes>,
    ) -> Result<Picture, ImageError> {
        let (bytes, probe, transform) = (work.source.bytes.clone(), work.probe.clone(), work.job.transform.clone());
        let (format, effort, settings) = (work.format, work.effort, self.settings.clone());
        let reserved: Arc<Reserved> = Arc::clone(&work.source.reserved);
        let watermark = work.watermark.cloned();
        let Admission { memory, slot } = admission;
        self.metrics.decodes.inc();
        self.pool
            .run(slot, move |_slot| {
                let _held = (reserved, memory);
                let named = transform.watermark.as_ref().map(|watermark| watermark.source.as_str());
                let watermark = named.zip(watermark.as_ref().map(|watermark| &*watermark.bytes));
                let extras = Extras { watermarks: watermark.as_slice() };
                match first_view {
                    Some(first) => {
                        image::refine(&bytes, &probe, &transform, format, &settings, &first, &cancel, &extras)
                    }
                    None => image::develop(&bytes, &probe, &transform, format, &settings, effort, &cancel, &extras),
                }
            })
            .await
            .unwrap_or(Err(ImageError::CodecPanicked))
    }

    /// Keeps what was made if it has fewer bytes than the original, else that it has not.
    fn keep(&self, work: &Work<'_>, picture: Picture, made: &mut Made) -> Option<Arc<Variant>> {
        let Work { job, source, format, effort, .. } = work;
        let make = match effort {
            Effort::FirstView => Make::FirstView,
            Effort::Refined => Make::Refined,
        };
        let (stored, variant) = if (picture.bytes.len() as u64) < source.head.len {
            let size = (picture.width, picture.height);
            let measured = picture.quality.map(|Measured { score, setting, .. }| Scored { score, setting });
            let made = (make, measured);
            let variant = Arc::new(Variant::made(picture.bytes.into(), *format, size, made, source.head.len));
            (StoredVariant::Made(Arc::clone(&variant)), Some(variant))
        } else {
            (StoredVariant::Original(WhyOriginal::NotSmaller), None)
        };
        self.show(job, &source.head, *format, stored, made);
        variant
    }

    /// Shows a variant to all who ask, and puts it down to be saved.
    fn show(&self, job: &Job, head: &SourceHead, format: OutputFormat, variant: StoredVariant, made: &mut Made) {
        if self.cache.purges().standing(job.spec.name(), &head.stamp) == Standing::Gone {
            // Nobody will look for it.
            return;
        }
        let key = variant_key(job.spec.key, head.version, &job.transform, format);
        self.cache.show_variant(key, variant.clone());
        made.0.push((head.version, format, variant));
    }

    async fn save(&self, job: &Job, made: Made) {
        for (version, format, variant) in made.0 {
            let key = variant_key(job.spec.key, version, &job.transform, format);
            let text = job.spec.name().variant_text(version, &job.transform, format);
            self.cache.save_variant(key, text, &variant).await;
        }
    }

    fn observe(&self, work: &Work<'_>, picture: &Picture) -> Stages {
        let times = picture.stages;
        let milliseconds = |span: std::time::Duration| span.as_secs_f64() * 1e3;
        self.metrics.observe_stages(work.format, times.decode, times.resize, times.encode);
        if let Some(quality) = &picture.quality {
            self.metrics.observe_quality(work.format, quality);
        }
        Stages {
            decode_ms: milliseconds(times.decode),
            resize_ms: milliseconds(times.resize),
            encode_ms: milliseconds(times.encode),
        }
    }

    fn put_down_for_refinement(&self, job: &Job, source: &WholeSource, format: OutputFormat) {
        if !refine::is_worth_refining(format, job.transform.quality) {
            return;
        }
        if let Some(refinements) = &self.refinements {
            let refinement = RefineJob { job: job.clone(), head: Arc::clone(&source.head), format };
            // A full list: this one stays as it is, until it is made anew.
            let _ = refinements.try_send(refinement);
        }
    }

    async fn give_up(&self, job: &Job, source: &WholeSource, error: &ImageError) -> Developed {
        let why = error.why_original();
        tracing::info!(site = &*job.spec.site, source = &*job.spec.source, %error, "an original is served as it is");
        self.remember(job, source, why).await
    }

    /// Remembers for a while that a source cannot be developed, whatever is asked of it.
    async fn remember(&self, job: &Job, source: &WholeSource, why: WhyOriginal) -> Developed {
        let current = self.cache.head(job.spec.key, job.spec.name()).await;
        // A verdict on what has been replaced or removed meanwhile is of no use.
        if let Some(current) = current.filter(|current| current.version == source.head.version) {
            let until = self.clock.now().plus(self.undevelopable_ttl);
            let head = Arc::new(SourceHead { verdict: Some(Verdict { why, until }), ..(*current).clone() });
            self.cache.put_head(job.spec.key, job.spec.name().text(), head).await;
        }
        Developed::Original(why)
    }
}

/// What a job works on.
#[derive(Debug)]
struct Desk {
    /// Its place among those who share the decode, until it says what it wants.
    seat: Option<Seat>,
    /// The file of its watermark.
    watermark: Option<WholeSource>,
    /// What was rendered, and the bytes that it and its encoding are admitted for.
    print: Option<(Print, u64)>,
}

/// What a job has made and is not saved yet.
#[derive(Debug, Default)]
struct Made(Vec<(SourceVersion, OutputFormat, StoredVariant)>);

/// A body in memory.
async fn read_stored(body: &StoredBody) -> Option<Bytes> {
    match body {
        StoredBody::Whole(bytes) => Some(bytes.clone()),
        StoredBody::File(file) => Arc::clone(file).read(0, file.len).await.ok(),
    }
}

/// Reads a header, which a hostile file can make long, off the threads that serve.
async fn probe(source: &WholeSource) -> Result<Probe, ImageError> {
    let bytes = source.bytes.clone();
    tokio::task::spawn_blocking(move || image::probe(&bytes)).await.unwrap_or(Err(ImageError::CodecPanicked))
}

/// Whether a refinement is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refined {
    /// Yes, whether or not it gave anything.
    Done,
    /// The machine was busy.
    Later,
}

#[derive(Clone, Copy)]
struct Work<'a> {
    job: &'a Job,
    source: &'a WholeSource,
    watermark: Option<&'a WholeSource>,
    probe: &'a Probe,
    format: OutputFormat,
    effort: Effort,
}

/// Why a variant was not made.
#[derive(Debug, thiserror::Error)]
enum Unmade {
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The source has other content now.
    #[error("the source has other content now")]
    Superseded,
}

impl From<NotRendered> for Unmade {
    fn from(error: NotRendered) -> Self {
        match error {
            NotRendered::NotAdmitted(why) => Self::NotAdmitted(why),
            NotRendered::Image(error) => Self::Image(error),
        }
    }
}
