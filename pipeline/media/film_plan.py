"""Plan everything about a film that is known before its first frame is decoded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from pipeline.media.damage import Damage
from pipeline.media.packet_scan import surveyed
from pipeline.media.probe import FilmInfo
from pipeline.media.stream_plan import StreamPlan, plan_streams, stream_notes
from pipeline.media.video_plan import VideoPlan, plan_video
from pipeline.options import Options
from pipeline.results import Note

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """A film, how its picture is written, and how its other streams are treated.

    ``notes`` tell what is not kept; ``damage`` what is known to be concealed, which the reader of the frames repeats.
    """

    info: FilmInfo
    video: VideoPlan
    streams: tuple[StreamPlan, ...]
    notes: tuple[Note, ...]
    damage: tuple[Note, ...]


def plan_film(path: Path, options: Options, *, suffix: str | None = None) -> FilmPlan:
    """Decide everything that can be decided without decoding the film at ``path``; the result ends in ``suffix``.

    Reads the file once. Raises `InputError` if the film is unusable (under `OnDamage.FAIL` also for a broken
    structure) and `UsageError` for ``options`` with which it cannot be written.
    """
    with surveyed(path, rate=options.frame_rate) as (info, source):
        damage = Damage(path, options.on_damage)
        if info.broken is not None:
            damage.met(info.broken)
        video = plan_video(info, options.codec, options.quality, suffix=suffix, deinterlace=options.deinterlace)
        streams = plan_streams(info, video, source)
    logger.info("%s: to %s, %s, in %s", path, video.encoder.name, video.pixel_format.name, video.suffix)
    for stream in streams:
        logger.debug("%s: %s", path, stream)
    notes = (*info.notes, *video.notes, *stream_notes(streams))
    return FilmPlan(info=info, video=video, streams=streams, notes=notes, damage=damage.notes())
