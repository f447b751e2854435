"""Resizing as it should be, slowly: Lanczos with three lobes, in linear light, of premultiplied pixels."""

import math

import numpy as np


def to_linear(levels):
    """sRGB in 0..1 to light."""
    return np.where(levels <= 0.04045, levels / 12.92, ((np.maximum(levels, 0) + 0.055) / 1.055) ** 2.4)


def to_srgb(light):
    """Light to sRGB in 0..1; what is outside is cut."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def lanczos3(samples, size, axis, start=0.0, length=None):
    """Resamples the stretch of an axis that begins at `start` and is `length` long. The filter is widened where it reduces,
    reads on beyond the stretch, and ends at the edge of the picture."""
    samples = np.moveaxis(samples, axis, 0)
    whole = samples.shape[0]
    length = whole if length is None else length
    if length == whole == size:
        return np.moveaxis(samples, 0, axis)
    scale = length / size
    wide = max(scale, 1)
    out = np.empty((size, *samples.shape[1:]), np.float32)
    for n in range(size):
        middle = start + (n + 0.5) * scale
        first, last = max(0, math.floor(middle - 3 * wide)), min(whole, math.ceil(middle + 3 * wide) + 1)
        at = (np.arange(first, last) + 0.5 - middle) / wide
        weights = np.sinc(at) * np.sinc(at / 3) * (np.abs(at) < 3)
        out[n] = np.tensordot((weights / weights.sum()).astype(np.float32), samples[first:last], 1)
    return np.moveaxis(out, 0, axis)


def resized(pixels, size, box=None):
    """Brings RGBA or RGB pixels (floats in 0..1, sRGB) of the `box` (left, top, width, height) to `size` (width, height)."""
    height, width = pixels.shape[:2]
    left, top, across, down = box or (0, 0, width, height)
    alpha = pixels[..., 3:] if pixels.shape[2] == 4 else np.ones((height, width, 1), np.float32)
    light = np.concatenate([to_linear(pixels[..., :3]) * alpha, alpha], 2).astype(np.float32)
    light = lanczos3(lanczos3(light, size[1], 0, top, down), size[0], 1, left, across)
    alpha = np.clip(light[..., 3:], 0, 1)
    color = to_srgb(np.where(alpha > 0, light[..., :3] / np.maximum(alpha, 1e-6), 0))
    return np.concatenate([color, alpha], 2) if pixels.shape[2] == 4 else color


def on_white(pixels):
    """RGBA pixels (floats in 0..1) upon white, in sRGB's own levels as browsers blend."""
    return pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]
