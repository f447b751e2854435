"""The pictures that are developed: all computed, the same each time."""

import io

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 240, 160


def photograph(width=WIDTH, height=HEIGHT):
    """RGB in 0..1: smooth slopes, edges, a fine pattern, noise; no half like another, so that a wrong cut or turn shows."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    red = 0.15 + 0.7 * x + 0.1 * np.sin(40 * x * y)
    green = 0.2 + 0.6 * y * (1 - x) + 0.15 * ((x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.04)
    blue = 0.8 - 0.6 * np.hypot(x - 0.2, y - 0.8) + 0.1 * np.sin(150 * (x + y / 3))
    picture = np.stack([red, green, blue], -1)
    picture[(np.abs(x - 0.4) < 0.03) & (y > 0.5)] = [0.95, 0.9, 0.1]
    return np.clip(picture + np.random.default_rng(4).normal(0, 0.02, picture.shape), 0, 1)


def shades(channels=3, steps=6, side=6):
    """Patches of every colour of a grid: 0..255 each."""
    levels = np.linspace(0, 255, steps).round()
    grid = np.stack(np.meshgrid(*[levels] * channels, indexing="ij"), -1).reshape(steps ** (channels - channels // 2), -1, channels)
    return grid.repeat(side, 0).repeat(side, 1).astype(np.uint8)


def levels(picture, depth=8):
    """0..1 as whole numbers of `depth` bits."""
    return np.round(picture * (2**depth - 1)).astype(np.uint32)


def coverage(width=WIDTH, height=HEIGHT):
    """Alpha in 0..1: clear, half clear and opaque parts, sharp and soft edges."""
    y, x = np.mgrid[0:height, 0:width] / [[[height]], [[width]]]
    alpha = np.clip(1.6 - 3 * np.hypot(x - 0.5, y - 0.5), 0, 1)
    alpha[(x < 0.15) | ((x > 0.6) & (x < 0.7))] = 0
    return alpha[..., None]


def jpeg(picture, mode="RGB", **options):
    """The file of a picture in 0..1 (or of whole levels)."""
    whole = picture if picture.dtype == np.uint8 else levels(picture).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(whole.squeeze(), mode).save(out, "JPEG", **({"quality": 95} | options))
    return out.getvalue()


def with_orientation(file, value):
    """A JPEG with an EXIF segment that says how it lies."""
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([value]) + b"\0\0\0\0\0\0"
    segment = b"Exif\0\0" + tiff
    return file[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + file[2:]


def ycck(inks, **options):
    """A YCCK JPEG of inks (0..255, 255 is full): Pillow writes CMYK, so the channels are turned before, and Adobe's segment
    told so."""
    # Inks are stored as what they leave over, and their luma and chroma are of the inks again.
    r, g, b, black = np.moveaxis(inks.astype(np.float64), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    turned = np.stack([y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402, 255 - black], -1)
    # Pillow stores each sample turned round.
    file = bytearray(jpeg((255 - np.clip(np.round(turned), 0, 255)).astype(np.uint8), "CMYK", **options))
    at = file.index(b"Adobe")
    file[at + 11] = 2
    return bytes(file)
