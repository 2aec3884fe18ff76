"""Encoding: coloured frames in, packets out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.context import Flags, ThreadType

from pipeline.errors import OutputError
from pipeline.media.containers import message_of
from pipeline.media.frame_flags import BOTTOM_FIRST, with_first_field
from pipeline.media.frames import Frame
from pipeline.media.probe import CHROMA_LOCATIONS, ColorTags, FilmInfo
from pipeline.media.video_plan import VideoPlan

# In frames: how far x265 decodes ahead of display.
_X265_DELAY = 2


def configure(context: av.VideoCodecContext, info: FilmInfo, plan: VideoPlan, colors: ColorTags) -> None:
    """Set up an encoder's ``context`` for the film ``info`` by ``plan``, before it is opened."""
    for name, value in plan.encoder.environment.items():
        os.environ.setdefault(name, value)
    context.options = {**plan.options, "chroma_sample_location": CHROMA_LOCATIONS[colors.chroma_location]}
    context.width, context.height, context.pix_fmt = info.width, info.height, plan.pixel_format.name
    context.framerate = info.average_rate or info.base_rate or Fraction(25)
    # The source's own clock, so that no frame time is ever rounded to a frame rate.
    context.time_base = info.time_base
    context.sample_aspect_ratio = info.sample_aspect_ratio
    context.color_range, context.colorspace = colors.range, colors.matrix
    context.color_primaries, context.color_trc = colors.primaries, colors.transfer
    context.field_order = plan.field_order
    context.flags |= Flags.frame_duration
    if plan.codes_fields:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    if plan.container in plan.encoder.tags:
        context.codec_tag = plan.encoder.tags[plan.container]
    if plan.encoder.thread_by_frame:
        context.thread_type = ThreadType.AUTO


def new_encoder(info: FilmInfo, plan: VideoPlan, colors: ColorTags) -> av.VideoCodecContext:
    """Return a separate encoder, outside any file; its packets fit a stream that `configure` set up alike."""
    context = av.CodecContext.create(plan.encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    configure(context, info, plan, colors)
    context.flags |= Flags.global_header
    return context


def encode(context: av.VideoCodecContext, frame: Frame, colors: ColorTags) -> list[av.Packet[Any]]:
    """Pass a coloured frame to an encoder and return the packets that are ready. Raises FFmpeg's errors."""
    picture = frame.picture
    # Some encoders read the tags of the stream, some those of every picture.
    picture.color_range, picture.colorspace = colors.range, colors.matrix
    picture.color_primaries, picture.color_trc = colors.primaries, colors.transfer
    # The source's frame types would otherwise force the encoder's.
    picture.pict_type = 0
    if context.name == "libx264" and context.flags & Flags.interlaced_dct:
        # It marks all pictures that it has not coded yet like the last one it was given.
        picture = with_first_field(picture, bottom=context.field_order in BOTTOM_FIRST)
    return list(context.encode(picture))


def drain(context: av.VideoCodecContext, *, frames: int) -> list[av.Packet[Any]]:
    """Return the packets that an encoder still holds after ``frames`` frames. Raises FFmpeg's errors."""
    packets = list(context.encode(None))
    if context.name == "libx265" and frames <= _X265_DELAY:
        # It has no decoding times for so few, and returns uninitialised ones; it reorders none of them.
        for packet in packets:
            packet.dts = packet.pts
    return packets


@contextmanager
def refusals(final: Path, plan: VideoPlan) -> Iterator[None]:
    """Convert errors of disk and FFmpeg to `OutputError`, about the result ``final``."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{final}: cannot be written: {error.strerror or error}", advice="Check free space and permissions."
        ) from error
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{final}: {plan.encoder.title} in {plan.suffix} cannot be written: {message_of(error)}",
            advice="Try another --codec, or --quality master.",
        ) from error
