"""What a variant should look like: decoded by Pillow, coloured by lcms2, cut and resized by numpy."""

import io
import math

import numpy as np
from PIL import Image, ImageCms, ImageOps

from light import resized

SRGB = ImageCms.createProfile("sRGB")


def half_up(value):
    return math.floor(value + 0.5)


def decoded(file):
    """RGB or RGBA in 0..1, laid upright; inks are left to `from_press`."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if clear else "RGB"), np.float64) / 255


def converted(levels, mode, profile):
    """8-bit levels of a profile (or inks, where the mode is CMYK) in sRGB, by lcms2, in 0..1."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = Image.fromarray(levels, mode)
    transform = ImageCms.buildTransform(
        source, SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL, ImageCms.Flags.NOOPTIMIZE
    )
    return np.asarray(ImageCms.applyTransform(image, transform), np.float64) / 255


def scaled(size, scale):
    return tuple(max(1, half_up(side * scale)) for side in size)


def fitted(pixels, wanted, fit, gravity, background=(1, 1, 1)):
    """Pixels brought into a box as `fit` says; `gravity` is the point (0..1 each) that stays."""
    height, width = pixels.shape[:2]
    ratios = wanted[0] / width, wanted[1] / height
    if fit in ("scale-down", "contain", "pad"):
        scale = min(ratios) if fit != "scale-down" else min(*ratios, 1)
        inside = resized(pixels, scaled((width, height), scale))
        if fit != "pad":
            return inside
        canvas = np.ones((wanted[1], wanted[0], pixels.shape[2]))
        canvas[..., :3] = background
        left, top = (half_up((box - side) * point) for box, side, point in zip(wanted, inside.shape[1::-1], gravity))
        canvas[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return canvas
    scale = max(ratios) if fit == "cover" else min(max(ratios), 1)
    whole = scaled((width, height), scale)
    size = wanted if fit == "cover" else (min(wanted[0], whole[0]), min(wanted[1], whole[1]))
    across, down = min(size[0] / scale, width), min(size[1] / scale, height)
    left = min(max(gravity[0] * width - across / 2, 0), width - across)
    top = min(max(gravity[1] * height - down / 2, 0), height - down)
    return resized(pixels, size, (left, top, across, down))


def errors(made, wanted):
    """Mean absolute errors, in levels of 255, of premultiplied colour and of alpha (0 where neither has one)."""
    made = np.asarray(made, np.float64) / 255
    assert made.shape[:2] == wanted.shape[:2], f"{made.shape[1::-1]} instead of {wanted.shape[1::-1]}"
    both = [with_alpha(made), with_alpha(wanted)]
    color = np.abs(both[0][..., :3] * both[0][..., 3:] - both[1][..., :3] * both[1][..., 3:])
    return color.mean() * 255, np.abs(both[0][..., 3] - both[1][..., 3]).mean() * 255


def with_alpha(pixels):
    return pixels if pixels.shape[2] == 4 else np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], 2)
