"""SSIMULACRA2 of a variant against the full decode of its source, reduced in linear light by independent code."""

import numpy as np
from PIL import Image

from light import on_white, resized
from pictures import WORK


def flat(image):
    """An image's sRGB levels in 0..1, what is transparent upon white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return on_white(np.asarray(image.convert("RGBA"), np.float32) / 255)
    return np.asarray(image.convert("RGB"), np.float32) / 255


def reference_of(source, size):
    """Bare 16-bit RGB of the whole source in another size; kept for the next run."""
    path = WORK / "references" / f"{source.stem}-{size[0]}x{size[1]}.rgb16"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.round(resized(flat(Image.open(source)), size) * 65535).astype(np.uint16).tofile(path)
    return path


def score(scorer, source, made):
    """The score of a file."""
    image = Image.open(made)
    width, height = image.size
    bare = WORK / "out/scored.rgb"
    bare.write_bytes(np.round(flat(image) * 255).astype(np.uint8).tobytes())
    return float(scorer.ask(f"{reference_of(source, image.size).resolve()}\t{bare.resolve()}\t{width}\t{height}"))
