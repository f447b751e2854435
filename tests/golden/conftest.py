"""The engine under test: `develop`, an example of the image package, which answers a job a line."""

import io
import os
import subprocess

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def engine():
    process = subprocess.Popen([os.environ["DEVELOP"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.stdin.close()
    process.wait()


@pytest.fixture
def develop(engine, tmp_path):
    """Develops a file as options say; gives the PNG's levels."""

    def run(file, options="-"):
        source, output = tmp_path / "source", tmp_path / "output.png"
        source.write_bytes(file)
        engine.stdin.write(f"{source}\t{options}\t{output}\n")
        engine.stdin.flush()
        answer = engine.stdout.readline().strip()
        assert answer.startswith("ok "), answer
        image = Image.open(io.BytesIO(output.read_bytes()))
        clear = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        return np.asarray(image.convert("RGBA" if clear else "RGB"))

    return run
