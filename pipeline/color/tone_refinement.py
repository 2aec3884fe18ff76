"""x"""

from __future__ import annotations

import numpy as np

EDGE_CENTRES = np.array([0.0, 0.0, 0.0])
EDGE_SCALES = np.array([1.0, 1.0, 1.0])
EDGE_WEIGHTS = np.array([0.0, 1.0, 0, 0, 0, 0, 0, 0, 0, 0])
CONTENT_CENTRES = np.zeros(5)
CONTENT_SCALES = np.ones(5)
CONTENT_WEIGHTS = np.array([0.0, 1.0, 0, 0, 0, 0])
