"""Choice of the frames of a shot that the network is run on; others get their chroma by optical flow."""

from __future__ import annotations

from pipeline.color.optical_flow import Step
from pipeline.color.spaces import F32

# Automatic choice: run the network again when less than this part of the last prediction can still be followed, or
# after so many frames.
_FOLLOWED = 0.75
_LONGEST = 8
# With a fixed distance: run it in between only if next to nothing is left to carry.
_LOST = 0.2


class KeyFrames:
    """Decides frame by frame, from the start of a shot; ``every`` is a distance in frames, or None for automatic."""

    def __init__(self, every: int | None) -> None:
        self._distance = every or _LONGEST
        self._least = _FOLLOWED if every is None else _LOST
        self._since = 0
        # How much of the last prediction is left, per chroma pixel; None: all of it.
        self._followed: F32 | None = None

    def is_next(self, step: Step | None, *, last: bool = False, blending: bool = False) -> bool:
        """Tell whether the next frame, to which ``step`` leads (None: the first), is a key frame.

        The first and the ``last`` frame of a shot always are, so that all others lie between two predictions, and so
        are frames inside a dissolve (``blending``).
        """
        self._since += 1
        is_key = step is None or last or blending or self._since >= self._distance
        if not is_key and step is not None:
            path = step.past
            self._followed = path.trust if self._followed is None else path.carried(self._followed)
            is_key = float(self._followed.mean()) < self._least
        if is_key:
            self._since, self._followed = 0, None
        return is_key
