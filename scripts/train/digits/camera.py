"""What a camera and its light do to a scene."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.ink import Dice, Picture
from digits.readable import readable

SHOTS = 8
"""So often is tried until every digit can be read in the shot."""


def seen(picture: Picture, dice: Dice, boxes: NDArray[np.float32]) -> Picture:
    """The picture as a camera might deliver it; the digits in `boxes` (n, 4) stay readable."""
    digit_px = float((boxes[:, 3] - boxes[:, 1]).min()) if len(boxes) else 30.0
    for _ in range(SHOTS):
        shot = _shot(picture, dice, digit_px)
        if readable(picture, shot, boxes):
            return shot
    return picture


def _shot(picture: Picture, dice: Dice, digit_px: float) -> Picture:
    picture = _light(picture, dice)
    if dice.random() < 0.12:
        picture = _reflection(picture, dice)
    if dice.random() < 0.06:
        picture = _moire(picture, dice)
    picture = _blur(picture, dice, digit_px)
    picture = _sensor(picture, dice)
    if dice.random() < 0.5:
        quality = int(dice.integers(25 if digit_px > 16 else 55, 96))
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    return picture


def _light(picture: Picture, dice: Dice) -> Picture:
    """Shadows, reflections, vignetting."""
    height, width = picture.shape[:2]
    if dice.random() < 0.6:
        field = np.ones((height, width), np.float32)
        if dice.random() < 0.45:  # the edge of a shadow
            corners = dice.uniform(-0.2, 1.2, (4, 2)) * [width, height]
            mask = np.zeros((height, width), np.float32)
            cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 1.0)
            soft = dice.uniform(0.005, 0.08) * width
            field *= 1 - cv2.GaussianBlur(mask, (0, 0), soft) * np.float32(dice.uniform(0.15, 0.6))
        coarse = dice.uniform(0.55, 1.3, (3, 3)).astype(np.float32)
        if dice.random() < 0.5:
            field *= cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        picture = cv2.convertScaleAbs(picture * field[..., np.newaxis])
    if dice.random() < 0.25:
        glare: Picture = np.zeros((height, width), np.float32)
        for _ in range(int(dice.integers(1, 3))):
            where = (int(dice.integers(0, width)), int(dice.integers(0, height)))
            axes = (int(width * dice.uniform(0.03, 0.3)) + 1, int(height * dice.uniform(0.02, 0.2)) + 1)
            cv2.ellipse(glare, where, axes, float(dice.uniform(0, 180)), 0, 360, float(dice.uniform(40, 150)), -1)
        glare = cv2.GaussianBlur(glare, (0, 0), dice.uniform(0.01, 0.12) * width + 0.5)
        picture = np.clip(picture + glare[..., np.newaxis], 0, 255).astype(np.uint8)
    return picture


def _reflection(picture: Picture, dice: Dice) -> Picture:
    """What stands before the glass shines faintly in it: windows, lamps, edges of furniture."""
    height, width = picture.shape[:2]
    mirrored: Picture = np.zeros((height, width, 3), np.uint8)
    for _ in range(int(dice.integers(1, 5))):
        corners = dice.uniform(-0.3, 1.3, (4, 2)) * [width, height]
        tone = dice.uniform(60, 255) + dice.normal(0, 12, 3)
        cv2.fillConvexPoly(mirrored, cv2.convexHull(corners.astype(np.int32)), tone.clip(0, 255).tolist(), cv2.LINE_AA)
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), 0.3 + dice.uniform(0, 0.03) * width)
    return cv2.addWeighted(picture, 1.0, mirrored, dice.uniform(0.08, 0.3), 0)


def _moire(picture: Picture, dice: Dice) -> Picture:
    """The grid of a screen, as coarse as the camera's own."""
    grid: NDArray[np.float32] = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    y, x = grid
    angle, period = dice.uniform(0, np.pi), dice.uniform(2.2, 9.0)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * np.float32(2 * np.pi / period))
    return np.asarray(cv2.convertScaleAbs(picture * (1 + np.float32(dice.uniform(0.03, 0.18)) * wave[..., np.newaxis])))


def _blur(picture: Picture, dice: Dice, digit_px: float) -> Picture:
    kind = dice.random()
    if kind < 0.35:
        return cv2.GaussianBlur(picture, (0, 0), max(0.2, dice.uniform(0.01, 0.06) * digit_px))
    if kind < 0.5:
        length = max(1.0, dice.uniform(0.04, 0.16) * digit_px)
        size = int(length) // 2 * 2 + 3
        kernel = np.zeros((size, size), np.float32)
        way = np.array([np.cos(a := dice.uniform(0, np.pi)), np.sin(a)]) * length / 2
        middle = np.array([size // 2] * 2)
        ends = np.round((middle - way) * 16).astype(int).tolist(), np.round((middle + way) * 16).astype(int).tolist()
        cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
        return cv2.filter2D(picture, -1, kernel / max(1e-6, float(kernel.sum())))
    if kind < 0.6 and digit_px > 14:  # too few pixels, made larger again
        share = max(10 / digit_px, dice.uniform(0.35, 0.9))
        small = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (picture.shape[1], picture.shape[0]), interpolation=cv2.INTER_LINEAR)
    if kind < 0.68:
        soft = cv2.GaussianBlur(picture, (0, 0), 1.2)
        return cv2.addWeighted(picture, 1.8, soft, -0.8, 0)
    return picture


def _sensor(picture: Picture, dice: Dice) -> Picture:
    """Exposure, white balance, gamma, noise."""
    level = np.arange(256, dtype=np.float32) / 255
    gain = dice.uniform(0.25, 0.6) if dice.random() < 0.15 else dice.uniform(0.7, 1.25)
    lift = dice.uniform(-0.05, 0.15)
    gamma = dice.uniform(0.65, 1.5)
    balance = dice.normal(1, 0.05, 3)
    curves = np.stack([np.clip((level * gain * b) ** gamma + lift, 0, 1) * 255 for b in balance], axis=1)
    picture = cv2.LUT(picture, curves.astype(np.uint8).reshape(256, 1, 3))
    if dice.random() < 0.05:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if dice.random() < 0.5:
        strength = dice.uniform(1, 14) * (0.6 if gain < 0.6 else 1.0)
        shape = picture.shape if dice.random() < 0.6 else (*picture.shape[:2], 1)
        noise = dice.standard_normal(shape, np.float32) * np.float32(strength)
        noise = noise if shape[2] == 3 else cv2.merge([noise] * 3)
        picture = cv2.add(picture, noise, dtype=cv2.CV_8U)
    return picture
