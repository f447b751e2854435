//! URLs that must be signed: what is served is the URL without its signature, so that nothing behind this knows of either.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};

use super::{handler::Visit, problem::Problem};
use crate::{
    http::time::UnixSeconds,
    request::{
        signature::{self, Signing, UrlRefused},
        target::asks,
    },
};

/// A request's URL as it is served: without signature and expiry, where these are the site's.
pub(super) struct Admitted<'u> {
    pub(super) uri: Cow<'u, Uri>,
    /// When the URL expires: nothing may be called fresh any longer.
    pub(super) expires: Option<UnixSeconds>,
}

/// Lets a URL pass that the site's settings let pass, or that is signed.
///
/// # Errors
/// [`Problem::BadSignature`]
pub(super) fn admit<'u>(visit: &Visit<'u>) -> Result<Admitted<'u>, Problem> {
    let (site, uri) = (visit.site, visit.uri);
    let as_it_is = Admitted { uri: Cow::Borrowed(uri), expires: None };
    if site.signing == Signing::Off {
        return Ok(as_it_is);
    }
    // Whatever the method: some origins answer a POST to a file with the file.
    let asks = asks(uri.path(), uri.query(), &site.presets);
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(verified) = signature::verify(site.signing, &site.keys, &site.id, (target, asks), visit.now)? else {
        return Ok(as_it_is);
    };
    let uri = verified.target.parse::<Uri>().map_err(|_| UrlRefused::Forged)?;
    Ok(Admitted { uri: Cow::Owned(uri), expires: verified.expires })
}
