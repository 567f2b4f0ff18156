"""Shifts injected into scikit-learn's digits, after Rabanser, Günnemann & Lipton, "Failing Loudly" (2019).

Their settings, for images of 8 x 8 pixels from 0 to 16: noise has the standard deviation of 1, 10 or 100 of 255 steps
and is clipped; images are turned, moved, zoomed and mirrored by chance within the same bounds; class 0 is knocked out.
The adversarial shifts are left out, for they are made against a network; so is the one with a single class, of which
the data have too few images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import affine_transform

SIDE = 8
BRIGHTEST = 16.0
KNOCKED_OUT = 0

Rows = np.ndarray
Shift = Callable[[Rows, np.ndarray, np.random.Generator], Rows]
"""From images (rows, 64), their labels (rows,) and chance to shifted images, of which there may be fewer."""


def noise(steps: float, share: float = 1.0) -> Shift:
    """Gaussian noise with a standard deviation of so many of 255 steps, in a share of the rows."""

    def shift(images: Rows, _: np.ndarray, chance: np.random.Generator) -> Rows:
        noisy = images + chance.normal(scale=steps / 255 * BRIGHTEST, size=images.shape)
        return np.where(_chosen(images, share, chance), np.clip(noisy, 0.0, BRIGHTEST), images)

    return shift


def image(degrees: float, move: float, zoom: float, mirrored: tuple[bool, bool], share: float = 1.0) -> Shift:
    """Turned by up to so many degrees, moved by up to a share of the side, zoomed by up to a share, mirrored or not."""

    def shift(images: Rows, _: np.ndarray, chance: np.random.Generator) -> Rows:
        shifted = images.copy()
        for row in np.flatnonzero(_chosen(images, share, chance)):
            turned = _transformed(images[row].reshape(SIDE, SIDE), degrees, move, zoom, chance)
            for axis, may_be in zip((1, 0), mirrored, strict=True):
                if may_be and chance.random() < 0.5:
                    turned = np.flip(turned, axis)
            shifted[row] = turned.ravel()
        return shifted

    return shift


def knock_out(share: float) -> Shift:
    """Without a share of class 0."""

    def shift(images: Rows, labels: np.ndarray, chance: np.random.Generator) -> Rows:
        return images[(labels != KNOCKED_OUT) | (chance.random(len(images)) >= share)]

    return shift


def image_and_knock_out(image_shift: Shift, share: float) -> Shift:
    """Both: the labels are those of the images before."""

    def shift(images: Rows, labels: np.ndarray, chance: np.random.Generator) -> Rows:
        return knock_out(share)(image_shift(images, labels, chance), labels, chance)

    return shift


SHIFTS: dict[str, Shift] = {
    "small_noise": noise(1),
    "medium_noise": noise(10),
    "large_noise": noise(100),
    "large_noise_10pct": noise(100, share=0.1),
    "small_image": image(10, 0.05, 0.1, mirrored=(False, False)),
    "medium_image": image(40, 0.2, 0.2, mirrored=(True, False)),
    "medium_image_10pct": image(40, 0.2, 0.2, mirrored=(True, False), share=0.1),
    "large_image": image(90, 0.4, 0.4, mirrored=(True, True)),
    "knock_out_50pct": knock_out(0.5),
    "knock_out": knock_out(1.0),
    "medium_image_50pct_knock_out": image_and_knock_out(
        image(40, 0.2, 0.2, mirrored=(True, False), share=0.5), share=1.0
    ),
}


def _chosen(images: Rows, share: float, chance: np.random.Generator) -> np.ndarray:
    return chance.random((len(images), 1)) < share


def _transformed(pixels: Rows, degrees: float, move: float, zoom: float, chance: np.random.Generator) -> Rows:
    angle = np.deg2rad(chance.uniform(-degrees, degrees))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn * chance.uniform(1 - zoom, 1 + zoom, size=(2, 1))
    middle = np.full(2, (SIDE - 1) / 2)
    offset = middle - matrix @ middle + chance.uniform(-move, move, size=2) * SIDE
    return affine_transform(pixels, matrix, offset, order=1, mode="nearest")
