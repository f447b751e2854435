"""ICC profiles made by the book (ICC.1), so that none need be installed: Display P3, Adobe RGB, ProPhoto, grey, and a press."""

import struct

import numpy as np

from light import to_linear

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# The sRGB curve as a parametric one of type 3: gamma, a, b, c, d.
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def xyz(values):
    return b"XYZ \0\0\0\0" + fixed(*values)


def curve(parameters):
    if isinstance(parameters, float):
        return b"para\0\0\0\0" + struct.pack(">HH", 0, 0) + fixed(parameters)
    return b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(*parameters)


def text(words):
    """`mluc`, as versions from 4 on have it."""
    encoded = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(encoded), 28) + encoded


def old_text(words):
    """`desc`, as version 2 has it."""
    encoded = words.encode("ascii") + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(encoded)) + encoded + bytes(4 + 4 + 2 + 1 + 67)


def profile(kind, space, connection, version, tags):
    """The file: header, table of tags, their data."""
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name.encode() + struct.pack(">II", offset + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"none", version << 24, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*D50)
    return header.ljust(128, b"\0") + body


def white_xyz(x, y):
    return np.array([x / y, 1, (1 - x - y) / y])


def matrix_profile(name, primaries, white, parameters):
    """Three primaries and a white (x, y each), and one curve for all."""
    columns = np.array([white_xyz(x, y) for x, y in primaries]).T
    amounts = np.linalg.solve(columns, white_xyz(*white))
    cones = (BRADFORD @ D50) / (BRADFORD @ white_xyz(*white))
    adapted = np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ (columns * amounts)
    tags = {"desc": text(name), "cprt": text("No copyright"), "wtpt": xyz(D50)}
    for letter, column in zip("rgb", adapted.T):
        tags |= {f"{letter}XYZ": xyz(column), f"{letter}TRC": curve(parameters)}
    return profile(b"mntr", b"RGB ", b"XYZ ", 4, tags)


DISPLAY_P3 = matrix_profile("P3", [(0.680, 0.320), (0.265, 0.690), (0.150, 0.060)], D65, SRGB_CURVE)
ADOBE_RGB = matrix_profile("Adobe", [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)], D65, 563 / 256)
PRO_PHOTO = matrix_profile("ProPhoto", [(0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)], (0.3457, 0.3585), 1.8)
SRGB = matrix_profile("sRGB", [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)], D65, SRGB_CURVE)
GREY_18 = profile(
    b"mntr", b"GRAY", b"XYZ ", 4, {"desc": text("Grey"), "cprt": text("No copyright"), "wtpt": xyz(D50), "kTRC": curve(1.8)}
)


def lab(light):
    """CIE L*a*b* of linear sRGB under D50."""
    to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    ratio = (light @ to_xyz.T) / D50
    bent = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def press(grid=9):
    """CMYK by a table (`mft2`): inks that are not pure, on paper that is not white."""
    amounts = np.linspace(0, 1, grid)
    c, m, y, k = np.meshgrid(amounts, amounts, amounts, amounts, indexing="ij")
    taken = [(0.85, 0.25, 0.05), (0.10, 0.80, 0.25), (0.02, 0.10, 0.85), (0.88, 0.88, 0.88)]
    levels = np.full((*c.shape, 3), [0.98, 0.97, 0.94])
    for ink, takes in zip((c, m, y, k), taken):
        levels = levels * (1 - ink[..., None] * np.array(takes))
    values = lab(to_linear(levels))
    # Version 2's 16 bits: L* 100 is FF00, a* and b* 0 are 8000.
    coded = np.stack([values[..., 0] * 652.8, (values[..., 1] + 128) * 256, (values[..., 2] + 128) * 256], -1)
    table = np.clip(np.round(coded), 0, 65535).astype(">u2").tobytes()
    straight = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + bytes([4, 3, grid, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + struct.pack(">2H", 2, 2)
    tags = {
        "desc": old_text("Press"),
        "cprt": b"text\0\0\0\0No copyright\0",
        "wtpt": xyz(D50),
        "A2B0": head + straight * 4 + table + straight * 3,
    }
    return profile(b"prtr", b"CMYK", b"Lab ", 2, tags)


PRESS = press()
