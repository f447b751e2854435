"""Writes PNG of every colour type and depth, interlaced or not, with chunks as asked: Pillow writes only some."""

import struct
import zlib

import numpy as np

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
# Adam7: first column and row, steps.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(samples, depth):
    """Rows of samples (height × width × channels) with a filter type before each: by turns none and sub."""
    height, width, channels = samples.shape
    rows = samples.reshape(height, width * channels)
    out = bytearray()
    for number, row in enumerate(rows):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        elif depth == 8:
            data = row.astype(np.uint8).tobytes()
        else:
            bits = ((row[:, None].astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1).astype(np.uint8)
            data = np.packbits(bits.reshape(-1)).tobytes()
        step = max(1, channels * depth // 8)
        if number % 2 == 0:
            out += b"\0" + data
        else:
            before = np.frombuffer(bytes(step) + data, np.uint8)[: len(data)]
            out += b"\1" + (np.frombuffer(data, np.uint8) - before).tobytes()
    return bytes(out)


def png(samples, color, depth=8, interlaced=False, palette=None, transparency=None, profile=None, extra=b""):
    """The file of samples (height × width × channels, each below 2^depth)."""
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    chunks = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header)]
    if profile is not None:
        chunks.append(chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    if palette is not None:
        chunks.append(chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes()))
    if transparency is not None:
        chunks.append(chunk(b"tRNS", transparency))
    if interlaced:
        parts = [samples[y::down, x::across] for x, y, across, down in PASSES]
        data = b"".join(packed(part, depth) for part in parts if part.size)
    else:
        data = packed(samples, depth)
    return b"".join([*chunks, extra, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")])
