//! The shapes that several answers share, and how values that have their own types elsewhere are described.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, ObjectBuilder, OneOfBuilder, RefOr,
        schema::{KnownFormat, Schema, SchemaFormat, Type},
    },
};

use crate::billing::{Balance, Component, Entitlement, Kind, Microcredits, Period, Reason};

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The part.
    pub(super) items: Vec<T>,
    /// What to pass on for the next part; null: there is none.
    #[schema(required = true)]
    pub(super) next: Option<String>,
}

/// Credits of both kinds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balance)]
pub(super) struct BalanceShape {
    /// They end with the period.
    #[schema(value_type = Credits)]
    monthly: Microcredits,
    /// They never end.
    #[schema(value_type = Credits)]
    one_time: Microcredits,
    /// Both together.
    #[schema(value_type = Credits)]
    total: Microcredits,
}

impl From<Balance> for BalanceShape {
    fn from(balance: Balance) -> Self {
        let total = balance.total().unwrap_or(Microcredits::new(i64::MAX));
        Self { monthly: balance.monthly, one_time: balance.one_time, total }
    }
}

/// From `start` on, up to but not including `end`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Period)]
pub(super) struct PeriodShape {
    #[schema(value_type = Time)]
    start: Timestamp,
    #[schema(value_type = Time)]
    end: Timestamp,
}

impl From<Period> for PeriodShape {
    fn from(period: Period) -> Self {
        Self { start: period.start, end: period.end }
    }
}

/// Describes values whose types are other modules' or the standard library's.
macro_rules! described {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    RefOr::T($schema.into())
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($name))
                }
            }
        )*
    };
}

described! {
    /// An amount in an answer.
    Credits = text()
        .pattern(Some("^-?[0-9]+(\\.[0-9]{1,6})?$"))
        .description(Some("A number of credits, to the millionth."))
        .examples(["99.5"])
        .build();

    /// An amount in a request, more than none.
    CreditsGiven = OneOfBuilder::new()
        .description(Some("A number of credits, more than zero, to the millionth, below a trillion."))
        .item(text().pattern(Some("^(?=.*[1-9])[0-9]{1,12}(\\.[0-9]{1,6})?$")))
        .item(whole(1))
        .build();

    /// An amount in a request, perhaps none.
    CreditsAssigned = OneOfBuilder::new()
        .description(Some("A number of credits, to the millionth, below a trillion."))
        .item(text().pattern(Some("^[0-9]{1,12}(\\.[0-9]{1,6})?$")))
        .item(whole(0))
        .build();

    /// A time.
    Time = text()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some("RFC 3339. Answers have UTC, written Z."))
        .examples(["2026-03-01T00:00:00Z"])
        .build();

    /// The name of an account or site.
    Id = text()
        .pattern(Some(ID_PATTERN))
        .description(Some("1 to 63 letters, digits and -._, beginning with a letter or digit."))
        .examples(["acme"])
        .build();

    /// A host name, or a pattern of some.
    HostPattern = text()
        .pattern(Some("^(\\*|(\\*\\.)?([a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\\.){0,5}[a-z]([a-z0-9]{0,20}))$"))
        .examples(["img.shop.example"])
        .build();

    /// A host name, or a pattern of some, but not of all.
    SourceHost = text()
        .pattern(Some("^(\\*\\.)?([a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\\.){0,5}[a-z]([a-z0-9]{0,20})$"))
        .examples(["*.cdn.example"])
        .build();

    /// Quality where a request names none.
    Quality = OneOfBuilder::new()
        .description(Some("`auto`: a score is aimed at; or what encoders are set to."))
        .item(text().enum_values(Some(["auto"])))
        .item(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(100)))
        .build();

    /// Where a site's originals live.
    Origin = text()
        .pattern(Some(
            "^https?://([a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\\.){0,5}[a-z][a-z0-9]{0,20}(:[0-9]{1,4})?(/[A-Za-z0-9._-]*)*$",
        ))
        .examples(["https://shop.example"])
        .build();

    /// An image as visitors ask for it.
    ImageUrl = text()
        .pattern(Some("^(/|https?://)"))
        .description(Some("A path with its query, or a URL with one of the site's hosts."))
        .examples(["/a/photo.jpg?w=400"])
        .build();

    /// A surrogate key.
    SurrogateKey = text()
        .min_length(Some(1))
        .max_length(Some(1_024))
        .description(Some("1 to 1,024 bytes, spaces at its ends not counted."))
        .examples(["product-17"])
        .build();

    /// A width to ask for.
    Width = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(crate::request::options::MAX_SIDE))
        .description(Some("Pixels."))
        .build();

    /// A plan's name; the catalogue's are listed when the description is asked for.
    PlanId = text().description(Some("One of the plans in effect.")).examples(["free"]).build();

    /// A pack's name; likewise.
    PackId = text().description(Some("One of the packs in effect.")).examples(["pack-10k"]).build();
}

described! {
    /// A kind of credits.
    KindName = one_of(Kind::ALL.map(Kind::name));

    /// Why credits moved.
    ReasonName = one_of(Reason::ALL.map(Reason::name));

    /// What a site may do.
    EntitlementName = one_of([Entitlement::Optimize, Entitlement::Essential].map(Entitlement::name));

    /// How usage becomes credits.
    TariffName = one_of(["variants", "egress"]);

    /// What is served when the credits are gone.
    EssentialName = one_of(["live", "local"]);

    /// How originals are served then.
    EssentialDeliveryName = one_of(["stream", "redirect"]);

    /// What becomes of visitors who come in the clear.
    HttpsUseName = one_of(["optional", "redirect"]);

    /// What is done with what is no image.
    PassthroughName = one_of(["cache", "forward"]);

    /// What credits are charged for.
    ComponentName = one_of(Component::ALL.map(Component::name).into_iter().chain(["egress"]));

    /// How fine a series is.
    StepName = one_of(["hour", "day", "month"]);
}

/// What names of accounts and sites look like.
pub(super) const ID_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$";

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A whole number of credits.
fn whole(least: u64) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(least)).maximum(Some(999_999_999_999_u64))
}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> Object {
    text().enum_values(Some(names)).build()
}
