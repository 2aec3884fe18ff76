"""Read a finished photograph back before it gets its name: as a picture or, if it is a copy, byte by byte."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError, Renamed, VerificationError
from pipeline.media.stills import Page, PageCheck, Still, verify_still
from pipeline.results import LumaCheck, Proof, Verification

_PIECE = 1 << 20


def verify_pages(path: Path, pages: Sequence[Page]) -> Verification:
    """Decode the whole of ``path`` and compare it with what was written. Raises `VerificationError`."""
    started = time.monotonic()
    name = pages[0].still.path
    try:
        with Renamed(path, name).errors():
            checks = verify_still(path, pages)
    except InputError as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise VerificationError(
            f"{name}: the finished result failed verification: {reason}",
            advice="It was not given its name. Run it again; if it fails again, test memory and disk, and report it.",
        ) from error
    return Verification(
        checks=_named(checks),
        not_checked={},
        luma=_together([check.luma for check in checks]),
        seconds=time.monotonic() - started,
    )


def verify_copy(path: Path, still: Still) -> Verification:
    """Compare a copy with its source, byte for byte. Raises `VerificationError`."""
    started = time.monotonic()
    with path.open("rb") as copy, still.path.open("rb") as source:
        while (piece := source.read(_PIECE)) == copy.read(_PIECE):
            if not piece:
                break
        else:
            raise VerificationError(
                f"{still.path}: its copy differs from it",
                advice="It was not given its name. Run it again; if it fails again, test memory and disk.",
            )
    luma = LumaCheck(proof=Proof.EXACT, frames=1 + len(still.further), bits=still.bits, unit="pages")
    return Verification(
        checks={"copy": "byte for byte the source"},
        not_checked={},
        luma=luma,
        seconds=time.monotonic() - started,
    )


def _named(checks: Sequence[PageCheck]) -> dict[str, str]:
    if len(checks) == 1:
        return dict(checks[0].checks)
    return {
        f"page {number}, {name}": found
        for number, check in enumerate(checks, 1)
        for name, found in check.checks.items()
    }


def _together(found: Sequence[LumaCheck]) -> LumaCheck:
    """Combine the luma checks of all pages into the worst one, since pages differ in size and depth."""
    measured = [check for check in found if check.psnr_db is not None]
    if not measured:
        return LumaCheck(proof=Proof.EXACT, frames=len(found), bits=found[0].bits, unit="pages")
    worst = min(measured, key=lambda check: check.psnr_db or 0.0)
    return LumaCheck(
        proof=Proof.MEASURED,
        frames=len(found),
        bits=worst.bits,
        psnr_db=worst.psnr_db,
        worst_psnr_db=worst.psnr_db,
        max_error=worst.max_error,
        unit="pages",
    )
