"""The pictures that are compared: photographs, graphics and screenshots from Debian packages, and what is made of them once."""

import shutil
import subprocess
from pathlib import Path

from PIL import Image

WORK = Path("target/peers")
PACKAGES = ["mate-backgrounds", "plasma-workspace-wallpapers", "kicad-doc-en"]
MATE = "usr/share/backgrounds/mate/nature"
PLASMA = "usr/share/wallpapers"
KICAD = "usr/share/doc/kicad/help/en/images"

# Photographs of 2560 × 1600 as they are in the packages (baseline JPEG).
PHOTOGRAPHS = {
    "garden.jpg": f"{MATE}/Garden.jpg",
    "two-wings.jpg": f"{MATE}/TwoWings.jpg",
    "lady-bird.jpg": f"{MATE}/LadyBird.jpg",
    "fallen-leaf.jpg": f"{PLASMA}/FallenLeaf/contents/images/2560x1600.jpg",
    "cold-ripple.jpg": f"{PLASMA}/ColdRipple/contents/images/2560x1600.jpg",
}
# One of 2560 × 1920: cut.
WOOD = f"{MATE}/Wood.jpg"
# A painting as large as a camera takes it, full of detail: cut and enlarged a little.
PAINTING = "usr/share/backgrounds/mate/abstract/Elephants_5640x3172.jpg"
# Each a mosaic of four, 5472 × 3648: as detailed as what a camera gives, which an enlargement is not.
MOSAICS = [[0, 1, 2, 3], [3, 4, 1, 0]]
GRAPHICS = {
    "board.png": f"{KICAD}/board-with-switch-unrouted.png",
    "schematic.png": f"{KICAD}/coldfire-schematic.png",
    "colors.png": f"{KICAD}/en/options_color.png",
    "constraints.png": f"{KICAD}/board_setup_constraints.png",
    "print-dialog.png": f"{KICAD}/print_dialog.png",
}


def unpacked():
    """The packages' files, without installing them."""
    root = WORK / "packages"
    for package in PACKAGES:
        done = root / f".{package}"
        if done.exists():
            continue
        root.mkdir(parents=True, exist_ok=True)
        print(f"fetching {package} ...")
        subprocess.run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package], cwd=root, check=True)
        for file in root.glob(f"{package}_*.deb"):
            subprocess.run(["dpkg", "-x", file, root], check=True)
            file.unlink()
        done.touch()
    return root


def copied(name, source):
    """A package's picture under a name of its own."""
    path = WORK / "pictures" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        shutil.copy(source, path)
    return path


def made(name, make):
    """A JPEG that is made once, baseline, quality 92, 4:2:0."""
    path = WORK / "pictures" / name
    if not path.exists():
        make().save(path, quality=92, subsampling="4:2:0")
    return path


def all_pictures():
    """Paths by set: `photographs`, `large` (20 megapixels), `graphics`."""
    root = unpacked()
    photographs = [copied(name, root / path) for name, path in PHOTOGRAPHS.items()]
    photographs.append(made("wood.jpg", lambda: Image.open(root / WOOD).crop((0, 160, 2560, 1760))))

    def mosaic(parts):
        whole = Image.new("RGB", (5472, 3648))
        for place, part in enumerate(parts):
            tile = Image.open(photographs[part]).convert("RGB").resize((2919, 1824), Image.Resampling.LANCZOS)
            whole.paste(tile.crop((91, 0, 91 + 2736, 1824)), (place % 2 * 2736, place // 2 * 1824))
        return whole

    large = [made(f"large-{n}.jpg", lambda parts=parts: mosaic(parts)) for n, parts in enumerate(MOSAICS, 1)]
    large.append(made("painting.jpg", lambda: Image.open(root / PAINTING).crop((441, 0, 5199, 3172)).resize((5472, 3648))))
    return {"photographs": photographs, "large": large, "graphics": [copied(name, root / path) for name, path in GRAPHICS.items()]}
