"""Results and failures as produced by runs, with real files and thumbnails, for tests of how they are reported."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from PIL import Image

from pipeline.options import Codec
from pipeline.results import (
    Doubt,
    FilmResult,
    LumaCheck,
    Measures,
    ModelOrigin,
    Note,
    NoteKind,
    PhotoResult,
    Preview,
    Proof,
    ShotRecord,
    SourceTone,
    Treatment,
    Verification,
)

WEIGHTS = hashlib.sha256(b"weights").hexdigest()
CALM = Measures(colourfulness=32.5, strong=0.001, clipped=0.002, doubt=0.0)


def preview(label: str = "", *, colour: tuple[int, int, int] = (180, 120, 90)) -> Preview:
    """A small real preview: a grey before, and ``colour`` after."""
    return Preview(label=label, before=_jpeg((128, 128, 128)), after=_jpeg(colour))


def _jpeg(colour: tuple[int, int, int]) -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (48, 32), colour).save(kept, "JPEG")
    return kept.getvalue()


FINGERPRINT = hashlib.sha256(b"weights and card").hexdigest()
ORIGIN = ModelOrigin(
    network="DDColor", contract="ddcolor", licence="Apache-2.0", device="Intel Xeon", fingerprint=FINGERPRINT
)


def photo(
    source: Path,
    output: Path,
    *,
    measures: Measures | None = CALM,
    notes: tuple[Note, ...] = (),
    treatment: Treatment = Treatment.COLOURED,
    previews: tuple[Preview, ...] = (),
    doubts: tuple[Doubt, ...] = (),
) -> PhotoResult:
    """A coloured photograph, with both of its files."""
    for path in (source, output):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"picture {path.name}".encode(errors="surrogateescape"))
    return PhotoResult(
        source=source,
        output=output,
        width=3000,
        height=2000,
        bits=16,
        engine="openvino",
        model="fast",
        weights_sha256=WEIGHTS,
        origin=ORIGIN,
        notes=notes,
        tones=(SourceTone.MONOCHROME,),
        treatment=treatment,
        verification=Verification(
            checks={"picture": "decoded whole"},
            not_checked={},
            luma=LumaCheck(proof=Proof.EXACT, frames=1, bits=16, unit="pages"),
            seconds=0.1,
        ),
        measures=measures,
        previews=previews,
        doubts=doubts,
    )


def film(
    source: Path,
    output: Path,
    *,
    measures: Measures | None = None,
    notes: tuple[Note, ...] = (Note(NoteKind.ASSUMED, "no matrix tag: BT.601"),),
    previews: tuple[Preview, ...] = (),
    seconds: float = 12.5,
) -> FilmResult:
    """A coloured film of two shots, the second one already in colour, with both of its files."""
    for path in (source, output):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"film {path.name}".encode())
    return FilmResult(
        source=source,
        output=output,
        frames=144,
        seconds=seconds,
        codec=Codec.H264,
        engine="openvino",
        model="fast",
        weights_sha256=WEIGHTS,
        origin=ORIGIN,
        streams=("video 0: coloured", "audio 1: copied"),
        notes=notes,
        verification=Verification(
            checks={"frames": "144, as in the source", "audio 1": "the same packets"},
            not_checked={"ffmpeg's opinion": "not asked for"},
            luma=LumaCheck(proof=Proof.SAMPLED, frames=12, bits=8, psnr_db=48.25, worst_psnr_db=47.0, max_error=3),
            seconds=seconds / 10,
        ),
        shots=(
            ShotRecord(
                first_frame=0, frames=100, start_seconds=0.0, tone=SourceTone.MONOCHROME, treatment=Treatment.COLOURED
            ),
            ShotRecord(
                first_frame=100, frames=44, start_seconds=4.17, tone=SourceTone.COLOUR, treatment=Treatment.KEPT
            ),
        ),
        measures=measures,
        previews=previews,
    )


def shot(first_frame: int, frames: int, tone: SourceTone, treatment: Treatment) -> ShotRecord:
    """A shot of a film at 24 frames a second."""
    return ShotRecord(
        first_frame=first_frame,
        frames=frames,
        start_seconds=round(first_frame / 24, 3),
        tone=tone,
        treatment=treatment,
    )


def sha256(path: Path) -> str:
    """The fingerprint of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
