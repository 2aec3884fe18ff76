"""Memory of earlier shots, so that a scene that returns gets the colours it had before.

Each shot is stored as a `Scene` when it ends. When a shot begins, it is compared with the stored scenes: if its first
frame continues the last frame of a scene, optical flow is followed from there as if there were no cut in between; if it
only looks similar, the scene's prototypes are used. The memory holds the eight scenes seen last, however long the film.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.color.optical_flow import Follower, Step, View
from pipeline.color.prototypes import Prototypes
from pipeline.color.spaces import F32
from pipeline.color.temporal_filter import Estimate

_MOST = 8
# Factor on a scene's weight for each frame in which it is not seen: half is left after some 1,400 frames.
_FADING = 0.9995
_GOES_ON = 0.5
"""Least mean trust in the flow from a scene's last frame for a shot to continue that scene."""
_DOUBT = 2
"""Power of the trust in that flow: a scene's heavy evidence must not outweigh what has newly come into view."""
_ALIKE = 0.35
"""Least mean similarity of a shot's first places to a scene's prototypes for these to be used.

Between the clips of docs/temporal.md both are 0.28 at most; within one, over seconds, rarely below 0.4.
"""


def _sure(step: Step) -> Step:
    """Return ``step`` with less trust in places that may have moved while the scene was not shown."""
    past, future = (replace(path, trust=path.trust**_DOUBT) for path in (step.past, step.future))
    return Step(past=past, future=future)


def is_going_on(step: Step) -> bool:
    """Tell whether the later of two pictures continues the earlier, like two frames of one shot."""
    return float(step.past.trust.mean()) >= _GOES_ON


def is_alike(prototypes: Prototypes, places: F32) -> bool:
    """Tell whether a picture with keys ``places`` (n, K) shows the scene of ``prototypes``."""
    return prototypes.similarity(places) >= _ALIKE


@dataclass(frozen=True, eq=False)
class Scene:
    """The state of a shot at its end: everything on which the colours of a next frame would depend.

    ``frame`` is the number of its last frame and ``view`` that frame as used to find motion; ``evidence`` (rows,
    columns, channels) and ``weight`` were carried along the flow, ``fine`` (h, w, 2) and ``fine_weight`` are the finer
    detail (see `evidence_pooling`), ``estimate`` and ``anchor`` the state of `temporal_filter`; ``prototypes``
    describe its places; ``gain`` is the shot's factor on chroma.
    """

    frame: int
    gain: float
    view: View
    evidence: F32
    weight: F32
    fine: F32
    fine_weight: F32
    estimate: Estimate
    anchor: F32
    prototypes: Prototypes


@dataclass(frozen=True, eq=False)
class Recalled:
    """The scene to which a shot belongs; ``step`` leads from its last frame to the shot's first, None if none does."""

    number: int
    scene: Scene
    step: Step | None
    fading: float


@dataclass(frozen=True, eq=False)
class SceneMemory:
    """The scenes seen so far, the most recent at the end."""

    scenes: tuple[Scene, ...] = ()

    def recall(self, view: View, places: F32, *, frame: int, follower: Follower) -> Recalled | None:
        """Find the scene of a shot that begins with frame number ``frame``, with ``view`` and keys ``places``."""
        found: Recalled | None = None
        best = 0.0
        for number, scene in enumerate(self.scenes):
            if scene.view.guide.shape != view.guide.shape or scene.prototypes.keys.shape[1] != places.shape[1]:
                continue
            fading = _FADING ** (frame - scene.frame)
            step = follower.step(scene.view, view)
            trust = float(step.past.trust.mean())
            if is_going_on(step) and 1 + trust > best:
                found, best = Recalled(number, scene, _sure(step), fading), 1 + trust
            elif best < 1:
                similarity = scene.prototypes.similarity(places)
                if similarity >= _ALIKE and similarity > best:
                    found, best = Recalled(number, scene, None, fading), similarity
        return found

    def filed(self, scene: Scene, *, replacing: Recalled | None) -> SceneMemory:
        """Return the memory with ``scene`` added, in place of the ``replacing`` scene, if any."""
        kept = [old for number, old in enumerate(self.scenes) if replacing is None or number != replacing.number]
        return SceneMemory((*kept, scene)[-_MOST:])
