"""Variants beside what independent code makes of the same sources: Pillow decodes, lcms2 converts, numpy resizes in linear
light. Bounds are mean absolute errors in levels of 255."""

import io

import numpy as np
import pytest
from PIL import Image

import pictures
import profiles
from expected import converted, decoded, errors, fitted
from light import resized
from pngs import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, png

# Whole levels stay as they are.
EXACT = 0.001
# The one rounding to 8 bits is 0.25 on average; the rest is for coefficients and light in 16 bits.
RESIZED = 0.35
# Where colour is divided by a small alpha again, and what is cut off at 0 and 255 spreads.
CLEAR = 0.5
# Two colour engines, each with tables of its own, and colours cut off at sRGB's edge before or after the resize.
CONVERTED = 0.5
# Inks: lcms2 interpolates between the profile's nodes in L*a*b* as floats, the engine between 17^4 nodes in sRGB; the darkest
# shades, which are cut off at 0, differ by up to 5 levels.
INKS = 1.5
# Two decoders of lossy data may differ in how they round and enlarge chroma.
LOSSY = 0.5
AVIF = 1.0
# This one has much fine colour, and half its chroma: libavif interpolates it, the engine repeats it.
HALF_CHROMA = 2.5

COMPASS = {
    "center": (0.5, 0.5), "n": (0.5, 0), "s": (0.5, 1), "w": (0, 0.5), "e": (1, 0.5),
    "nw": (0, 0), "ne": (1, 0), "sw": (0, 1), "se": (1, 1),
}
POINTS = {"0.3x0.7": (0.3, 0.7), "0.05x0.5": (0.05, 0.5), "0.81x0.22": (0.81, 0.22)}
FITS = ["scale-down", "contain", "cover", "crop", "pad"]
SIZES = [(100, 100), (150, 40), (61, 143), (200, 300), (480, 320)]


def assert_near(made, wanted, bound):
    color, alpha = errors(made, wanted)
    assert color <= bound and alpha <= bound, f"mean error {color:.3f} (alpha {alpha:.3f}), allowed {bound}"


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("options", ["-", "w=90", "w=80,h=80,fit=cover,g=nw", "w=50,h=90,fit=crop,g=0.9x0.1"])
def test_orientation(develop, value, options):
    file = pictures.with_orientation(pictures.jpeg(pictures.photograph(), subsampling="4:4:4"), value)
    upright = decoded(file)
    height, width = upright.shape[:2]
    wanted = {
        "-": lambda: upright,
        "w=90": lambda: resized(upright, (90, int(height * 90 / width + 0.5))),
        "w=80,h=80,fit=cover,g=nw": lambda: fitted(upright, (80, 80), "cover", (0, 0)),
        "w=50,h=90,fit=crop,g=0.9x0.1": lambda: fitted(upright, (50, 90), "crop", (0.9, 0.1)),
    }[options]()
    assert_near(develop(file, options), wanted, RESIZED)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("gravity", [*COMPASS, *POINTS])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_fit(develop, fit, gravity, size):
    file = png(pictures.levels(pictures.photograph()), RGB)
    made = develop(file, f"w={size[0]},h={size[1]},fit={fit},g={gravity}")
    assert_near(made, fitted(decoded(file), size, fit, (COMPASS | POINTS)[gravity]), RESIZED)


@pytest.mark.parametrize("width", [17, 60, 120, 239, 241, 600])
def test_width_alone(develop, width):
    file = png(pictures.levels(pictures.photograph()), RGB)
    made = develop(file, f"w={width},fit=contain")
    assert_near(made, resized(decoded(file), (width, int(160 * width / 240 + 0.5))), RESIZED)


def test_a_fine_pattern_keeps_its_light(develop):
    """White and black by turns are half the light, level 188; averaged as levels they would be 128."""
    board = np.indices((128, 128)).sum(0) % 2
    file = png(np.repeat(board[..., None] * 255, 3, 2), RGB)
    made = develop(file, "w=32")
    assert abs(made[4:-4, 4:-4].mean() - 188) < 1.5, made.mean()


RGB_PROFILES = {
    "Display P3": profiles.DISPLAY_P3, "Adobe RGB": profiles.ADOBE_RGB, "ProPhoto": profiles.PRO_PHOTO, "sRGB": profiles.SRGB,
}


@pytest.mark.parametrize("name", RGB_PROFILES)
def test_profile_of_every_shade(develop, name):
    """Each colour is within one level of lcms2's."""
    shades = pictures.shades()
    made = develop(png(shades, RGB, profile=RGB_PROFILES[name]))
    wanted = converted(shades, "RGB", RGB_PROFILES[name]) * 255
    assert np.abs(made - wanted).max() <= 1, np.abs(made - wanted).max()


def test_tagged_and_untagged_differ_as_lcms2_says(develop):
    shades = pictures.shades()
    untagged, tagged = develop(png(shades, RGB)), develop(png(shades, RGB, profile=profiles.DISPLAY_P3))
    assert (untagged == shades).all(), "untagged is sRGB"
    moved = tagged.astype(int) - untagged
    wanted = converted(shades, "RGB", profiles.DISPLAY_P3) * 255 - shades
    assert np.abs(wanted).max() > 30 and np.abs(moved - wanted).max() <= 1


@pytest.mark.parametrize("name", RGB_PROFILES)
@pytest.mark.parametrize("kind", ["png", "jpeg", "rgba"])
def test_profile_of_a_resized_picture(develop, name, kind):
    profile = RGB_PROFILES[name]
    # Not too lively: what is cut off at the edge of sRGB's gamut depends on whether it was resized before or after.
    picture = 0.25 + 0.5 * pictures.photograph()
    if kind == "png":
        file = png(pictures.levels(picture), RGB, profile=profile)
    elif kind == "jpeg":
        file = pictures.jpeg(picture, icc_profile=profile, subsampling="4:4:4")
    else:
        file = png(pictures.levels(np.concatenate([picture, pictures.coverage()], 2)), RGBA, profile=profile)
    source = decoded(file)
    wanted = converted(np.round(source[..., :3] * 255).astype(np.uint8), "RGB", profile)
    wanted = resized(np.concatenate([wanted, source[..., 3:]], 2), (96, 64))
    assert_near(develop(file, "w=96"), wanted, CONVERTED)


@pytest.mark.parametrize("kind", ["png", "jpeg", "grey-alpha"])
def test_grey_profile(develop, kind):
    levels = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    if kind == "png":
        file = png(levels[..., None], GREY, profile=profiles.GREY_18)
    elif kind == "jpeg":
        file = pictures.jpeg(levels, "L", quality=100, icc_profile=profiles.GREY_18)
        levels = np.asarray(Image.open(io.BytesIO(file)))
    else:
        clear = np.stack([levels, levels[:, ::-1]], -1)
        file = png(clear, GREY_ALPHA, profile=profiles.GREY_18)
    wanted = converted(levels, "L", profiles.GREY_18) * 255
    made = develop(file)
    assert np.abs(made[..., :3] - wanted)[made[..., -1] > 0].max() <= 1


@pytest.mark.parametrize("kind", ["cmyk", "ycck"])
@pytest.mark.parametrize("profiled", [False, True], ids=["no-profile", "profile"])
def test_inks(develop, kind, profiled):
    shades = pictures.shades(4, 4, 16)
    profile = {"icc_profile": profiles.PRESS} if profiled else {}
    options = {"quality": 100, "subsampling": "4:4:4"} | profile
    file = pictures.jpeg(shades, "CMYK", **options) if kind == "cmyk" else pictures.ycck(shades, **options)
    image = Image.open(io.BytesIO(file))
    inks = np.asarray(image)
    assert np.abs(inks.astype(int) - shades).mean() < 3, "the file holds the inks"
    wanted = converted(inks, "CMYK", profiles.PRESS) if profiled else np.asarray(image.convert("RGB")) / 255
    # A table of 9^4 is interpolated: by tetrahedra in lcms2, and it may be by another way here.
    assert_near(develop(file), wanted, INKS if profiled else EXACT)


@pytest.mark.parametrize("profile", [b"nonsense", profiles.PRESS], ids=["broken", "inks"])
def test_a_profile_that_cannot_be_meant_is_as_none(develop, profile):
    shades = pictures.shades()
    assert (develop(png(shades, RGB, profile=profile)) == shades).all()


@pytest.mark.parametrize("options, size", [("-", None), ("w=80", (80, 53)), ("w=400,fit=contain", (400, 267))])
@pytest.mark.parametrize("kind", ["rgba", "rgba16", "grey-alpha", "palette", "webp"])
def test_alpha(develop, kind, options, size):
    """What is clear keeps its colour to itself."""
    alpha = pictures.coverage()
    picture = np.where(alpha > 0, pictures.photograph(), [1, 0, 1])
    if kind == "rgba":
        file = png(pictures.levels(np.concatenate([picture, alpha], 2)), RGBA)
    elif kind == "rgba16":
        file = png(pictures.levels(np.concatenate([picture, alpha], 2), 16), RGBA, 16)
    elif kind == "grey-alpha":
        file = png(pictures.levels(np.concatenate([picture[..., 1:2], alpha], 2)), GREY_ALPHA)
    elif kind == "palette":
        steps = np.arange(256)
        palette = np.stack([steps, 255 - steps, steps // 2], 1)
        clear = np.where(steps % 5 == 0, 0, np.where(steps % 7 == 0, 128, 255)).astype(np.uint8)
        file = png(pictures.levels(picture[..., 1:2]), PALETTE, palette=palette, transparency=clear.tobytes())
    else:
        out = io.BytesIO()
        whole = pictures.levels(np.concatenate([picture, alpha], 2)).astype(np.uint8)
        Image.fromarray(whole, "RGBA").save(out, "WEBP", lossless=True, exact=True)
        file = out.getvalue()
    wanted = decoded(file)
    wanted = resized(wanted, size) if size else wanted
    assert_near(develop(file, options), wanted, CLEAR if size or kind == "rgba16" else EXACT)


@pytest.mark.parametrize("color", ["rgb", "grey"])
def test_a_transparent_colour(develop, color):
    whole = (pictures.levels(pictures.photograph()) // 64 * 64).astype(np.uint8)
    if color == "rgb":
        samples, key = whole, whole[80, 20]
        transparency = b"".join(int(level).to_bytes(2, "big") for level in key)
    else:
        samples = whole[..., :1]
        key = samples[80, 20]
        transparency = int(key[0]).to_bytes(2, "big")
    file = png(samples, RGB if color == "rgb" else GREY, transparency=transparency)
    clear = (samples == key).all(-1)
    assert 0.02 < clear.mean() < 0.9
    rgba = np.concatenate([np.broadcast_to(samples, (*samples.shape[:2], 3)), np.where(clear, 0, 255)[..., None]], 2) / 255
    assert_near(develop(file), rgba, EXACT)
    assert_near(develop(file, "w=80"), resized(rgba, (80, 53)), RESIZED)


def test_a_background(develop):
    picture = np.concatenate([pictures.photograph(), pictures.coverage()], 2)
    file = png(pictures.levels(picture), RGBA)
    small = resized(decoded(file), (80, 53))
    wanted = small[..., :3] * small[..., 3:] + np.array([255, 136, 0]) / 255 * (1 - small[..., 3:])
    assert_near(develop(file, "w=80,background=ff8800"), wanted, RESIZED)


KINDS = [(GREY, 1), (GREY, 2), (GREY, 4), (GREY, 8), (GREY, 16), (RGB, 8), (RGB, 16)]
KINDS += [(PALETTE, 1), (PALETTE, 2), (PALETTE, 4), (PALETTE, 8), (GREY_ALPHA, 8), (GREY_ALPHA, 16), (RGBA, 8), (RGBA, 16)]


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "interlaced"])
@pytest.mark.parametrize("color, depth", KINDS)
def test_png(develop, color, depth, interlaced):
    # An odd size: the last byte of a row is not full, and some passes are empty in places.
    picture = np.concatenate([pictures.photograph(61, 35), pictures.coverage(61, 35)], 2)
    channels = {GREY: picture[..., :1], RGB: picture[..., :3], PALETTE: picture[..., :1], RGBA: picture}
    samples = pictures.levels(channels.get(color, picture[..., [0, 3]]), depth)
    palette = np.random.default_rng(1).integers(0, 256, (2**depth, 3)) if color == PALETTE else None
    file = png(samples, color, depth, interlaced, palette)
    if color == PALETTE:
        wanted = palette[samples[..., 0]] / 255
    else:
        wanted = samples / (2**depth - 1)
        wanted = np.concatenate([wanted[..., [0]].repeat(3, 2), wanted[..., 1:]], 2) if color in (GREY, GREY_ALPHA) else wanted
    # Sixteen bits become eight: 0.25 on average if they are rounded, 0.5 if cut.
    assert_near(develop(file), wanted, 0.3 if depth == 16 else EXACT)
    assert_near(develop(file, "w=30"), resized(wanted, (30, 17)), RESIZED)


@pytest.mark.parametrize("options", [
    {"subsampling": "4:2:0"}, {"subsampling": "4:2:2"}, {"subsampling": "4:4:4"}, {"progressive": True},
    {"restart_marker_blocks": 3}, {"quality": 30}, {"mode": "L"}, {"mode": "L", "progressive": True},
], ids=str)
def test_jpeg(develop, options):
    mode = options.get("mode", "RGB")
    picture = pictures.photograph()[..., 1] if mode == "L" else pictures.photograph()
    file = pictures.jpeg(picture, mode, **{name: value for name, value in options.items() if name != "mode"})
    assert_near(develop(file), decoded(file), LOSSY)
    assert_near(develop(file, "w=160"), resized(decoded(file), (160, 107)), LOSSY)


def test_a_jpeg_reduced_while_it_is_decoded(develop):
    """So far reduced that the decoder may leave out what is not needed."""
    file = pictures.jpeg(pictures.photograph(1200, 800))
    assert_near(develop(file, "w=100"), resized(decoded(file), (100, 67)), LOSSY)


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_truncated_jpeg_gives_what_there_is(develop, progressive):
    whole = pictures.jpeg(pictures.photograph(), progressive=progressive)
    file = whole[: len(whole) * 6 // 10]
    made = develop(file)
    assert made.shape == (160, 240, 3)
    if progressive:
        # All of it, less sharp.
        assert errors(made, decoded(whole))[0] < 12
    else:
        assert_near(made[:64], decoded(whole)[:64], LOSSY)


@pytest.mark.parametrize("kind", ["gif", "webp", "webp lossless", "avif 4:4:4", "avif 4:2:0", "avif alpha"])
def test_other_formats(develop, kind):
    picture = pictures.photograph()
    picture = np.concatenate([picture, pictures.coverage()], 2) if kind == "avif alpha" else picture
    image = Image.fromarray(pictures.levels(picture).astype(np.uint8))
    save = {
        "gif": ("GIF", {}), "webp": ("WEBP", {"quality": 90}), "webp lossless": ("WEBP", {"lossless": True}),
        "avif 4:4:4": ("AVIF", {"quality": 90, "subsampling": "4:4:4"}), "avif 4:2:0": ("AVIF", {"quality": 90}),
        "avif alpha": ("AVIF", {"quality": 90}),
    }
    out = io.BytesIO()
    image.save(out, save[kind][0], **save[kind][1])
    file = out.getvalue()
    exact = kind in ("gif", "webp lossless")
    lossy = AVIF if kind.startswith("avif") else LOSSY
    whole = HALF_CHROMA if kind == "avif 4:2:0" else lossy
    assert_near(develop(file), decoded(file), EXACT if exact else whole)
    assert_near(develop(file, "w=100"), resized(decoded(file), (100, 67)), RESIZED if exact else lossy)
