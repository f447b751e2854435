"""Makes the seeds of the fuzz targets: a tiny file of every kind. Run it in the environment of the golden tests:
`PYTHONPATH=tests/golden target/golden/bin/python fuzz/seeds.py`."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

import pictures
import pngs

SEEDS = Path("fuzz/seeds")
# None that can be read: the tables made from one take all the time.
PROFILE = b"nonsense"
picture = pictures.photograph(17, 13)
alpha = pictures.coverage(17, 13)
rgb = Image.fromarray(pictures.levels(picture).astype(np.uint8))
rgba = Image.fromarray(pictures.levels(np.concatenate([picture, alpha], 2)).astype(np.uint8))
frames = [rgba.rotate(90 * n) for n in range(3)]


def keep(target, name, data):
    for folder in (target, "probe"):
        path = SEEDS / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def saved(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def apng():
    """Three frames, the second a part of the canvas."""
    samples = pictures.levels(np.concatenate([picture, alpha], 2))
    still = pngs.png(samples, pngs.RGBA)
    control = lambda n, w, h, x, y, dispose, blend: pngs.chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, w, h, x, y, 1, 10, dispose, blend))
    data = lambda n, part: pngs.chunk(b"fdAT", struct.pack(">I", n) + zlib.compress(pngs.packed(part, 8)))
    at = still.index(b"IDAT") - 4
    head, rest = still[:at], still[at:]
    end = rest.index(b"IEND") - 4
    begin = pngs.chunk(b"acTL", struct.pack(">II", 3, 0)) + control(0, 17, 13, 0, 0, 0, 0)
    more = control(1, 8, 6, 3, 2, 1, 1) + data(2, samples[:6, :8]) + control(3, 17, 13, 0, 0, 2, 0) + data(4, samples[::-1])
    return head + begin + rest[:end] + more + rest[end:]


for name, options in {"baseline": {}, "progressive": {"progressive": True}, "restarts": {"restart_marker_blocks": 1}, "422": {"subsampling": "4:2:2"}}.items():
    keep("jpeg", f"{name}.jpg", pictures.jpeg(picture, **options))
keep("jpeg", "grey.jpg", pictures.jpeg(picture[..., 1], "L"))
keep("jpeg", "profile.jpg", pictures.jpeg(picture, icc_profile=PROFILE))
keep("jpeg", "lies.jpg", pictures.with_orientation(pictures.jpeg(picture), 6))
inks = pictures.shades(4, 2, 4)
keep("jpeg", "cmyk.jpg", pictures.jpeg(inks, "CMYK"))
keep("jpeg", "ycck.jpg", pictures.ycck(inks))

for color, depth in [(0, 1), (0, 4), (0, 16), (2, 8), (2, 16), (3, 2), (3, 8), (4, 8), (6, 8), (6, 16)]:
    both = np.concatenate([picture, alpha], 2)
    channels = {0: both[..., :1], 2: picture, 3: both[..., :1], 4: both[..., [0, 3]], 6: both}[color]
    palette = np.random.default_rng(1).integers(0, 256, (2**depth, 3)) if color == 3 else None
    for interlaced in (False, True):
        data = pngs.png(pictures.levels(channels, depth), color, depth, interlaced, palette, b"\0\x80" if color == 3 else None)
        keep("png", f"{color}-{depth}{'-interlaced' if interlaced else ''}.png", data)
keep("png", "key.png", pngs.png(pictures.levels(picture), 2, transparency=bytes(6)))
keep("png", "profile.png", pngs.png(pictures.levels(picture), 2, profile=PROFILE))
keep("png", "moves.png", apng())

keep("gif", "still.gif", saved(rgb.quantize(16), "GIF"))
keep("gif", "interlaced.gif", saved(rgb.quantize(16), "GIF", interlace=True))
for dispose in range(1, 4):
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50, loop=0, disposal=dispose)
    keep("gif", f"moves-{dispose}.gif", moving)

keep("webp", "lossy.webp", saved(rgb, "WEBP"))
keep("webp", "lossy-alpha.webp", saved(rgba, "WEBP"))
keep("webp", "lossless.webp", saved(rgba, "WEBP", lossless=True))
keep("webp", "profile.webp", saved(rgb, "WEBP", icc_profile=PROFILE))
keep("webp", "moves.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50, loop=2))
keep("webp", "moves-lossless.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))

keep("avif", "420.avif", saved(rgb, "AVIF", subsampling="4:2:0"))
keep("avif", "444.avif", saved(rgb, "AVIF", subsampling="4:4:4", quality=100))
keep("avif", "alpha.avif", saved(rgba, "AVIF"))
keep("avif", "grey.avif", saved(rgb.convert("L"), "AVIF", subsampling="4:0:0"))
keep("avif", "profile.avif", saved(rgb, "AVIF", icc_profile=PROFILE))
keep("avif", "moves.avif", saved(frames[0], "AVIF", save_all=True, append_images=frames[1:]))

options = [
    "w=400,h=300,fit=cover,g=top,q=75,background=fa0,rotate=90,anim=false", "width=1,height=65535,fit=pad,gravity=0.3x0.7",
    "dpr=1.5,w=100,format=avif", "q=auto,f=webp,w=20", "w=10,background=%23ffffff", "blur=3,sharpen=1,brightness=1.1,contrast=0.9",
    "trim=10,flip=h,metadata=keep,saturation=0,gamma=1.2", "crop=10x10x50x50", "fit=scale-down,g=auto,w=9",
]
for number, segment in enumerate(options):
    path = SEEDS / "options" / f"{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(segment)
