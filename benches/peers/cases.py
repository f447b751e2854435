"""What is compared. A sweep of our qualities is interpolated to the score that the peer's setting has."""

from dataclasses import dataclass

SWEEP = [50, 60, 70, 80, 90]


@dataclass(frozen=True)
class Job:
    """An engine's setting: what it makes, at which quality and effort."""

    engine: str
    format: str
    quality: object = "default"
    effort: str = "default"

    @property
    def label(self):
        words = [self.engine, self.format, "" if self.quality == "default" else f"q{self.quality}"]
        return " ".join(word for word in words + ["" if self.effort == "default" else self.effort] if word)


def ours(format, effort="first-view", quality="default"):
    return Job("ours", format, quality, effort)


def sweep(format, effort="first-view"):
    return [ours(format, effort, quality) for quality in SWEEP]


SHARP_WEBP, SHARP_AVIF, SHARP_JPEG = (Job("sharp", format) for format in ("webp", "avif", "jpeg"))
OXIMG_WEBP = Job("oximg", "webp", 80)


@dataclass(frozen=True)
class Target:
    """`what` of ours ÷ `what` of the peer must be at most `bound`, at the score of `at_score_of`."""

    name: str
    what: str
    ours: tuple
    peer: Job
    bound: float
    at_score_of: Job


@dataclass(frozen=True)
class Case:
    """One size of one set of pictures."""

    title: str
    pictures: str
    width: int
    jobs: tuple
    targets: tuple = ()


WEBP, FIRST, REFINED = ("webp", "first-view"), ("avif", "first-view"), ("avif", "refined")

CASES = [
    Case(
        "2560 × 1600 JPEG → 1200",
        "photographs",
        1200,
        (
            *sweep("webp"), ours("webp"), SHARP_WEBP, OXIMG_WEBP,
            *sweep("avif"), ours("avif"), SHARP_AVIF,
            *sweep("avif", "refined"), ours("avif", "refined"),
            Job("sharp", "raw"),
        ),
        (
            Target("WebP: CPU of sharp's WebP", "cpu", WEBP, SHARP_WEBP, 0.5, SHARP_WEBP),
            Target("WebP: bytes of sharp's WebP", "bytes", WEBP, SHARP_WEBP, 1.03, SHARP_WEBP),
            Target("WebP: CPU of oximg's WebP", "cpu", WEBP, OXIMG_WEBP, 0.9, OXIMG_WEBP),
            Target("WebP: bytes of oximg's WebP", "bytes", WEBP, OXIMG_WEBP, 1.03, OXIMG_WEBP),
            Target("AVIF, first view: CPU of sharp's AVIF", "cpu", FIRST, SHARP_AVIF, 0.05, SHARP_WEBP),
            Target("AVIF, first view: bytes of sharp's WebP", "bytes", FIRST, SHARP_WEBP, 0.90, SHARP_WEBP),
            Target("AVIF, refined: CPU of sharp's AVIF", "cpu", REFINED, SHARP_AVIF, 0.17, SHARP_AVIF),
            Target("AVIF, refined: bytes of sharp's AVIF", "bytes", REFINED, SHARP_AVIF, 1.02, SHARP_AVIF),
        ),
    ),
    Case(
        "20 MP JPEG → 1200",
        "large",
        1200,
        (*sweep("webp"), ours("webp"), SHARP_WEBP, OXIMG_WEBP, Job("sharp", "raw")),
        (
            Target("20 MP → 1200 WebP: CPU of sharp's", "cpu", WEBP, SHARP_WEBP, 0.5, SHARP_WEBP),
            Target("20 MP → 1200 WebP: bytes of sharp's", "bytes", WEBP, SHARP_WEBP, 1.03, SHARP_WEBP),
            Target("20 MP → 1200 WebP: CPU of oximg's", "cpu", WEBP, OXIMG_WEBP, 0.9, OXIMG_WEBP),
            Target("20 MP → 1200 WebP: bytes of oximg's", "bytes", WEBP, OXIMG_WEBP, 1.03, OXIMG_WEBP),
        ),
    ),
    Case(
        "20 MP JPEG → 400",
        "large",
        400,
        (*sweep("webp"), ours("webp"), SHARP_WEBP, OXIMG_WEBP, Job("sharp", "raw")),
        (
            Target("20 MP → 400 WebP: CPU of sharp's", "cpu", WEBP, SHARP_WEBP, 0.5, SHARP_WEBP),
            Target("20 MP → 400 WebP: bytes of sharp's", "bytes", WEBP, SHARP_WEBP, 1.03, SHARP_WEBP),
        ),
    ),
    Case(
        "graphics and screenshots → 640",
        "graphics",
        640,
        (
            ours("webp"), ours("webp", "refined"), SHARP_WEBP, OXIMG_WEBP,
            ours("avif"), ours("avif", "refined"), SHARP_AVIF,
            ours("png"), ours("png", "refined"), Job("sharp", "png"), Job("oximg", "png"),
        ),
    ),
]

# One 20 MP baseline job, process included, may hold so much.
PEAK_TARGET_MIB = 40 * 1e6 / (1 << 20)
