"""Of boxes that show the same object, keep the best."""

from __future__ import annotations

import numpy as np

from engines.engine import Array


def suppress(corners: Array, scores: Array, classes: Array | None, iou: float) -> Array:
    """Indices of the boxes that stay, the best first: greedy non-maximum suppression.

    `corners` (n, 4) left, top, right, bottom. A box goes when it overlaps a better one that stays by more than `iou`
    (intersection over union). Of equal scores the earlier box is the better. With `classes` (n,), only boxes of the
    same class suppress each other. A box that scores 0 never stays; of boxes without any area only one does.
    """
    import cv2

    if len(corners) == 0:
        return np.empty(0, np.intp)
    # OpenCV takes left, top, width, height in doubles, and is quickest when given them. (Where classes are moved apart
    # in single precision, as Ultralytics does, an overlap of 0.4502 of class 55 passes for less than 0.45.)
    rectangles = corners.astype(np.float64, order="C")
    rectangles[:, 2:] -= rectangles[:, :2]
    if classes is not None:
        # Every class in a place of its own, along the diagonal, where both axes tell OpenCV that nothing overlaps.
        apart = float(corners.max()) - float(corners.min()) + 1
        rectangles[:, :2] += (classes * apart)[:, np.newaxis]
    np.maximum(rectangles[:, 2:], 0, out=rectangles[:, 2:])
    kept = cv2.dnn.NMSBoxes(rectangles, scores, score_threshold=0.0, nms_threshold=iou)  # type: ignore[arg-type]
    return np.asarray(kept, np.intp).ravel()
