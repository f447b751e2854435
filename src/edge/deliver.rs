//! Step 8 of the request's way, for what costs credits: a variant is paid for before it is delivered, and what a site in
//! essential mode serves in its place.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};

use super::{
    body::Told,
    handler::{Edge, Visit},
    lookup::Wanted,
    problem::Problem,
    respond::{self, Answer, Context, Way},
};
use crate::{
    billing::{Component, Entitlement},
    cache::object::{SourceHead, Variant},
    config::{Essential, EssentialDelivery},
    http::time::UnixSeconds,
    image::{format::OutputFormat, why_original::WhyOriginal},
    meter::{Settlement, SiteMeter},
    origin::url_guard::vet_url,
    request::{SourceRef, key::size_names},
    store::VariantCharge,
};

/// Delivers a variant, paid for as its site's tariff says, or says why the original goes in its place. What has no body
/// (HEAD, 304, 416) delivers nothing and costs nothing.
pub(super) async fn variant(
    edge: &Edge,
    visit: &Visit<'_>,
    wanted: &Wanted<'_>,
    context: Context<'_>,
    variant: &Variant,
    head: &SourceHead,
    way: Way,
) -> Result<Answer, WhyOriginal> {
    let (response, told) = respond::variant(context, variant, head, way);
    let has_body =
        *visit.method == Method::GET && matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
    let Some(meter) = visit.site.meter.as_deref() else { return Ok((response, told)) };
    if !has_body || wanted.entitlement == Entitlement::Essential {
        return Ok((response, told));
    }
    if meter.charges_variants() && !is_charged(variant, visit.now) {
        match settle(edge, visit, wanted, variant, meter).await {
            Settlement::Until(until) => variant.charged_until.store(until.0, Ordering::Relaxed),
            Settlement::Unavailable => return Err(WhyOriginal::LedgerUnavailable),
            // What was made before stays optimized in this kind of essential mode (rule 15).
            Settlement::Refused if visit.site.essential == Essential::Local && way.stages.is_none() => {
                return Ok((response, told));
            }
            Settlement::Refused => return Err(WhyOriginal::Essential),
        }
    }
    Ok((response, Told { is_metered: true, ..told }))
}

fn is_charged(variant: &Variant, now: UnixSeconds) -> bool {
    now.0 < variant.charged_until.load(Ordering::Relaxed)
}

async fn settle(
    edge: &Edge,
    visit: &Visit<'_>,
    wanted: &Wanted<'_>,
    variant: &Variant,
    meter: &SiteMeter,
) -> Settlement {
    let source = visit.site.charged_name(wanted.name.source);
    let pixels = (variant.facts.width, variant.facts.height);
    let names = size_names(meter.site().as_str(), &source, wanted.asked, Some(pixels));
    let charge = VariantCharge {
        site: meter.site().clone(),
        requested: names.requested,
        pixels: names.pixels,
        components: components(variant.facts.format).to_vec(),
        reference: format!("{source} {}x{}", pixels.0, pixels.1),
    };
    edge.meter.charges.settle(charge, visit.now).await
}

/// What a delivery in a format is charged for (`billing.md` rules 3 and 4).
const fn components(format: OutputFormat) -> &'static [Component] {
    match format {
        OutputFormat::Avif => &[Component::Size, Component::Avif],
        OutputFormat::WebP => &[Component::Size, Component::Webp],
        OutputFormat::Jpeg | OutputFormat::Png => &[Component::Size],
    }
}

/// In essential mode, where the site wants it: sends the visitor to the origin, if that is another host than he asked and one
/// that the site may name.
pub(super) fn redirect(
    visit: &Visit<'_>,
    wanted: &Wanted<'_>,
    context: Context<'_>,
    source: &SourceRef<'_>,
) -> Result<Option<Answer>, Problem> {
    let site = visit.site;
    if wanted.only_original != Some(WhyOriginal::Essential) || site.essential_delivery != EssentialDelivery::Redirect {
        return Ok(None);
    }
    let url = site.source_url(source)?;
    let leads_back = url.host_str().is_none_or(|host| host == visit.host);
    let may_lead_there = vet_url(&url, &site.rules.allowed, site.rules.policy).is_ok();
    Ok((!leads_back && may_lead_there).then(|| respond::redirected(context, &url)))
}
