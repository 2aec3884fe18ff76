"""Make the examples from photographs in Python packages: grey scans of several kinds, and a short film.

python examples/make_examples.py

needs an installed Autochrome and pip. The packages are downloaded, never installed: the pictures are read from their
wheels. Running it again makes the same pictures; the film's bytes depend on the version of the encoder.
"""

from __future__ import annotations

import bz2
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

F32 = npt.NDArray[np.float32]

HERE = Path(__file__).parent
SCANS = HERE / "scans"
WHEELS = HERE / ".wheels"
PACKAGES = ("scikit-image==0.26.0", "matplotlib==3.10.7", "scipy==1.9.3")
RATE, SOUND_RATE = 24, 44100
# The Ode to Joy: MIDI notes and their lengths in eighths.
MELODY = (
    *((64, 2), (64, 2), (65, 2), (67, 2), (67, 2), (65, 2), (64, 2), (62, 2), (60, 2), (60, 2), (62, 2), (64, 2)),
    *((64, 3), (62, 1), (62, 4)),
)
EIGHTH = 6.0 / 32


def main() -> None:
    """Write every example."""
    astronaut, coffee, cat = (_luma(_from_wheel("scikit_image", f"skimage/data/{name}.png")) for name in _COLOUR)
    rocket = _luma(_from_wheel("scikit_image", "skimage/data/rocket.jpg"))
    camera = _luma(_from_wheel("scikit_image", "skimage/data/camera.png"))
    admiral = _luma(_from_wheel("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"))
    raccoon = _luma(_raccoon())

    for folder in ("people", "animals", "places", "film"):
        (SCANS / folder).mkdir(parents=True, exist_ok=True)
    _write_jpeg(SCANS / "people" / "astronaut.jpg", _grain(astronaut, 0.012, seed=1))
    tifffile.imwrite(
        SCANS / "people" / "admiral.tif", _codes(admiral), resolution=(300, 300), resolutionunit="INCH", metadata=None
    )
    _write_png(SCANS / "people" / "cameraman.png", _mounted(_aged(camera, seed=2), border=24))
    _write_16_bits(SCANS / "animals" / "raccoon-16bit.tif", _resized(raccoon, 576, 432))
    _write_png(SCANS / "animals" / "cat.png", cat)
    _write_sepia(SCANS / "places" / "coffee-sepia.jpg", _aged(coffee, seed=3))
    _write_turned(SCANS / "places" / "rocket-turned.jpg", rocket[:, 175:475])
    _write_film(SCANS / "film" / "three-views.mp4", _views(raccoon, coffee, astronaut))


_COLOUR = ("astronaut", "coffee", "chelsea")


def _from_wheel(package: str, name: str) -> Image.Image:
    return Image.open(io.BytesIO(_wheel_file(package, name))).convert("RGB")


def _raccoon() -> Image.Image:
    pixels = np.frombuffer(bz2.decompress(_wheel_file("scipy", "scipy/misc/face.dat")), np.uint8)
    return Image.fromarray(pixels.reshape(768, 1024, 3))


def _wheel_file(package: str, name: str) -> bytes:
    if not list(WHEELS.glob(f"{package}-*.whl")):
        # Wheels for one Python version: the old scipy that contains the picture is not built for later ones.
        command = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
        subprocess.run([sys.executable, *command, "--dest", str(WHEELS), *PACKAGES], check=True)
    with zipfile.ZipFile(next(WHEELS.glob(f"{package}-*.whl"))) as wheel:
        return wheel.read(name)


def _luma(picture: Image.Image) -> F32:
    """Return BT.601 luma, float32 (H, W) in 0..1: what a panchromatic film would roughly have seen."""
    return np.asarray(picture, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255


def _resized(luma: F32, width: int, height: int, box: tuple[float, float, float, float] | None = None) -> F32:
    return np.asarray(Image.fromarray(luma).resize((width, height), Image.Resampling.LANCZOS, box=box))


def _codes(luma: F32) -> npt.NDArray[np.uint8]:
    return np.rint(luma.clip(0, 1) * 255).astype(np.uint8)


def _grain(luma: F32, strength: float, *, seed: int) -> F32:
    noise = np.random.default_rng(seed).normal(0, strength, luma.shape).astype(np.float32)
    return luma + noise * (0.4 + 2.4 * luma * (1 - luma))


def _aged(luma: F32, *, seed: int) -> F32:
    """Fade, darken toward the corners, add grain, dust and scratches."""
    height, width = luma.shape
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    aged = _grain((0.08 + 0.84 * luma) * (1 - 0.16 * (x * x + y * y)).astype(np.float32), 0.02, seed=seed)
    for _ in range(24):
        row, column = rng.integers(0, height - 3), rng.integers(0, width - 3)
        aged[row : row + rng.integers(1, 3), column : column + rng.integers(1, 3)] = rng.choice([0.12, 0.9])
    for _ in range(2):
        top, column = rng.integers(0, height // 2), rng.integers(0, width)
        aged[top : top + height // 3, column] += 0.12
    return aged


def _mounted(luma: F32, *, border: int) -> F32:
    paper = np.full([side + 2 * border for side in luma.shape], 0.87, np.float32)
    mounted = _grain(paper, 0.01, seed=9)
    mounted[border:-border, border:-border] = luma
    return mounted


def _write_png(path: Path, luma: F32) -> None:
    Image.fromarray(_codes(luma)).save(path, dpi=(300, 300), optimize=True)


def _write_jpeg(path: Path, luma: F32) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Portrait of an astronaut"
    exif[0x8298] = "Public domain"
    Image.fromarray(_codes(luma)).save(path, quality=90, exif=exif, dpi=(300, 300))


def _write_turned(path: Path, luma: F32) -> None:
    # Stored on its side, as by cameras; EXIF orientation 6 means: rotate clockwise to view it upright.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_codes(np.rot90(luma))).save(path, quality=90, exif=exif)


def _write_sepia(path: Path, luma: F32) -> None:
    tone = np.array([1.0, 0.83, 0.62], np.float32)
    toned = luma[..., None] ** (1 / (0.55 + 0.45 * tone)) * (0.9 + 0.1 * tone)
    Image.fromarray(_codes(toned)).save(path, quality=90)


def _write_16_bits(path: Path, luma: F32) -> None:
    codes = np.rint(luma.clip(0, 1) * 65535).astype(np.uint16)
    tifffile.imwrite(
        path, codes, compression="zlib", predictor=True, resolution=(600, 600), resolutionunit="INCH", metadata=None
    )


def _views(raccoon: F32, coffee: F32, astronaut: F32) -> Iterator[F32]:
    """Yield the film's pictures, float32 (480, 640): a pan, a slow approach, a tilt; hard cuts between them."""
    for step in np.linspace(0, 1, 56):
        yield _resized(raccoon, 640, 480, (344 * (1 - step), 60, 344 * (1 - step) + 680, 570))
    for step in np.linspace(0, 1, 40):
        width = 520 - 140 * step
        left, top = 50 + 70 * step, 4 + 40 * step
        yield _resized(coffee, 640, 480, (left, top, left + width, top + 0.75 * width))
    for step in np.linspace(0, 1, 48):
        yield _resized(astronaut, 640, 480, (40, 128 * (1 - step), 512, 128 * (1 - step) + 354))


def _write_film(path: Path, pictures: Iterator[F32]) -> None:
    with av.open(str(path), "w", options={"movflags": "faststart"}) as film:
        film.metadata["title"] = "Three views"
        picture = film.add_stream("libx264", RATE, options={"crf": "24", "preset": "slow"})
        picture.width, picture.height, picture.pix_fmt = 640, 480, "yuv420p"
        picture.time_base = Fraction(1, RATE)
        context = picture.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        sounds = []
        for language, title in (("eng", "Piano"), ("deu", "Spieldose")):
            sound = film.add_stream("aac", SOUND_RATE, layout="mono")
            sound.bit_rate = 64_000
            sound.metadata.update(language=language, title=title)
            sounds.append(sound)
        for number, luma in enumerate(pictures):
            frame = _frame(_grain(luma * (1 + 0.02 * np.sin(number * 1.9)), 0.022, seed=100 + number))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            film.mux(picture.encode(frame))
        film.mux(picture.encode(None))
        for sound, (shift, overtones, fading) in zip(sounds, ((0, 6, 3.0), (24, 2, 7.0)), strict=True):
            for chunk in _chunks(_melody(shift, overtones, fading)):
                film.mux(sound.encode(chunk))
            film.mux(sound.encode(None))


def _frame(luma: F32) -> av.VideoFrame:
    height, width = luma.shape
    codes = np.full((height * 3 // 2, width), 128, np.uint8)
    codes[:height] = np.rint(16 + 219 * luma.clip(0, 1))
    return av.VideoFrame.from_ndarray(codes, format="yuv420p")


def _melody(shift: int, overtones: int, fading: float) -> F32:
    """Return the melody as float32 samples in -1..1: tones of ``overtones`` partials, ``shift`` half-tones up."""
    song = np.zeros(round(6.0 * SOUND_RATE), np.float32)
    start = 0.0
    for note, eighths in MELODY:
        seconds = eighths * EIGHTH
        time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
        pitch = 440 * 2 ** ((note + shift - 69) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * n * time) / n**1.5 for n in range(1, overtones + 1))
        tone *= np.exp(-fading * time) * np.minimum(1, np.minimum(time, seconds - time) / 0.008)
        first = round(start * SOUND_RATE)
        song[first : first + len(time)] += (0.35 * tone)[: len(song) - first]
        start += seconds
    return song


def _chunks(samples: F32) -> Iterator[av.AudioFrame]:
    for first in range(0, len(samples), 1024):
        chunk = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
        chunk.sample_rate, chunk.pts, chunk.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
        yield chunk


if __name__ == "__main__":
    main()
