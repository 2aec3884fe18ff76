"""Detection of the page that photographs are mounted on: one tone along all four sides and in adjoining gaps.

For photographs only. The result may jump from one picture to the next; films use `pipeline.color.neutral_areas`, which
does not.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32

Bools = npt.NDArray[np.bool_]

# Chosen on album pages made of scans: white, black and cream ones, with grain, captions and prints of every size.
_SIDES_AGREE = 0.05  # between the four sides
_ALIKE = 0.04  # to the tone of the page, on a picture smoothed over 3 x 3 pixels
_SIDE_SHARE = 0.65  # of a side that has the tone: a print may extend beyond it, a caption be written on it
_CHROMA_WEIGHT = 1.5  # chroma differs less than luma between tones
_LEAST, _MOST = 0.05, 0.97  # share of the picture


def page(luma: F32, chroma: F32 | None = None) -> Bools | None:
    """Return where a small picture shows the page its photographs are mounted on, bool (h, w), or None.

    ``luma`` (h, w), 0..1; ``chroma`` (2, h, w), -0.5..0.5, if any, separates pages from prints more reliably.
    """
    planes = luma[..., None] if chroma is None else np.dstack([luma, *(_CHROMA_WEIGHT * chroma)])
    smooth = cv2.blur(np.ascontiguousarray(planes, np.float32), (3, 3), borderType=cv2.BORDER_REFLECT)
    smooth = smooth.reshape(planes.shape)
    sides = [smooth[:2], smooth[-2:], smooth[:, :2], smooth[:, -2:]]
    tones = np.array([np.median(side.reshape(-1, planes.shape[2]), axis=0) for side in sides])
    tone = np.median(tones, axis=0)
    if np.ptp(tones, axis=0).max() > _SIDES_AGREE:
        return None
    alike = (np.abs(smooth - tone) < _ALIKE).all(axis=2)
    if min(share.mean() for share in (alike[:2], alike[-2:], alike[:, :2], alike[:, -2:])) < _SIDE_SHARE:
        return None
    _, labels = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    outer = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    found: Bools = np.isin(labels, outer[outer > 0])
    return found if _LEAST < found.mean() < _MOST else None


def beside_page(luma: F32, shape: tuple[int, int]) -> F32:
    """Return the factor on the network's chroma, float32 of ``shape``: 0 on the page, 1 elsewhere."""
    found = page(luma)
    if found is None:
        return np.ones(shape, np.float32)
    covered = cv2.resize(found.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(1 - covered, np.float32)
