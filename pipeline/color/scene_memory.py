"""What earlier shots looked like, so that a scene comes back in the colours it had.

A shot that ends is filed as a `Scene`. A shot that begins is compared with those filed: where its first frame goes on
from the last one of a scene, optical flow leads on from there as if there had been no cut between; where it only looks
like it, the scene's prototypes are offered. The memory holds eight scenes, the latest seen, whatever the film's length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.color.optical_flow import Follower, Step, View
from pipeline.color.prototypes import Prototypes
from pipeline.color.spaces import F32
from pipeline.color.temporal_filter import Estimate

_MOST = 8
# What is left of a scene's weight, per frame in which it was not seen: half of it after some 1,400 frames.
_FADING = 0.9995
_GOES_ON = 0.5
"""Mean trust in the flow from a scene's last frame from which a shot is that scene going on."""
_DOUBT = 2
"""Power of the trust in that flow: a scene's evidence is heavy, and must not outweigh what is new where it was."""
_ALIKE = 0.35
"""Mean similarity of a shot's first places to a scene's prototypes from which the scene is offered.

Between the clips of docs/temporal.md both are 0.28 at most; inside one, over seconds, rarely below 0.4.
"""


def _sure(step: Step) -> Step:
    """Return ``step`` with the trust of what may have moved while the scene was away taken from it."""
    past, future = (replace(path, trust=path.trust**_DOUBT) for path in (step.past, step.future))
    return Step(past=past, future=future)


def is_going_on(step: Step) -> bool:
    """Say whether the later of two pictures goes on from the earlier, as two frames of one shot do."""
    return float(step.past.trust.mean()) >= _GOES_ON


def is_alike(prototypes: Prototypes, places: F32) -> bool:
    """Say whether a picture with keys ``places`` (n, K) shows what ``prototypes`` are of."""
    return prototypes.similarity(places) >= _ALIKE


@dataclass(frozen=True, eq=False)
class Scene:
    """A shot as it was left: everything that the next frame's colours would have rested on.

    ``frame`` is the number of its last frame and ``view`` what motion is found in there; ``evidence`` (rows, columns,
    channels) and ``weight`` what was carried along the flow, ``fine`` (h, w, 2) and ``fine_weight`` what is finer (see
    `evidence_pooling`), ``estimate`` and ``anchor`` those of `temporal_filter`; ``prototypes`` what its places looked
    like; ``gain`` the shot's factor on chroma.
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
    """A scene that a shot belongs to: ``step`` leads from its last frame to the shot's first, None if none does."""

    number: int
    scene: Scene
    step: Step | None
    fading: float


@dataclass(frozen=True, eq=False)
class SceneMemory:
    """The scenes that were seen, those seen last at the end."""

    scenes: tuple[Scene, ...] = ()

    def recall(self, view: View, places: F32, *, frame: int, follower: Follower) -> Recalled | None:
        """Return the scene that a shot belongs to whose first frame is ``frame``, with ``view`` and keys ``places``."""
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
        """Return the memory with ``scene`` in it, in place of the scene that the shot went on with, if any."""
        kept = [old for number, old in enumerate(self.scenes) if replacing is None or number != replacing.number]
        return SceneMemory((*kept, scene)[-_MOST:])
