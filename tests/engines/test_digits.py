"""The renderer that the training scenes of the model `digits` come from, and how reading is counted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
SEEDS = range(40)


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the renderer that need nothing but NumPy and OpenCV, by name."""
    monkeypatch.syspath_prepend(ROOT / "scripts" / "train")
    names = ("dataset", "evaluate", "ink", "kit", "plates", "readable", "scene", "segments")
    return {name: importlib.import_module(f"digits.{name}") for name in names}


@pytest.mark.parametrize("style", ["segments", "dots", "drums", "print"])
def test_the_ink_of_every_digit_lies_inside_its_box(style: str, renderer: dict[str, ModuleType]) -> None:
    kit, checked = renderer["kit"].Kit(), 0
    for seed in SEEDS:
        made = renderer["plates"].plate(style, kit, np.random.default_rng(seed), 40)
        for string in made.strings:
            for mark in string:
                left, top, right, bottom = np.round(mark.box()).astype(int)
                assert 0 <= left < right <= made.pixels.shape[1]
                assert 0 <= top < bottom <= made.pixels.shape[0]
                inside = made.pixels[top:bottom, left:right].astype(int)
                assert np.ptp(inside.sum(axis=2)) > 100, "there is no ink in the box"
                checked += 1
    assert checked > len(SEEDS)


def test_a_box_is_exactly_where_the_ink_is(renderer: dict[str, ModuleType]) -> None:
    ink, dice = renderer["ink"], np.random.default_rng(0)
    for seed in SEEDS:
        face = renderer["kit"].Kit().segment(np.random.default_rng(seed))
        line = ink.set_line(face, "80351", 50, dice, spacing=0.3)
        covered = np.zeros(line.mask.shape, bool)
        for mark in line.marks:
            left, top, right, bottom = mark.box().astype(int)
            cut = line.mask[top:bottom, left:right] >= ink.INKED
            assert cut.any(axis=0)[[0, -1]].all()
            assert cut.any(axis=1)[[0, -1]].all()
            covered[top:bottom, left:right] = True
        assert not (line.mask[~covered] >= ink.INKED).any()


def test_a_box_follows_its_digit_into_a_tilted_picture(renderer: dict[str, ModuleType]) -> None:
    ink, scene = renderer["ink"], renderer["scene"]
    for seed in SEEDS:
        dice = np.random.default_rng(seed)
        line = ink.set_line(renderer["kit"].Kit().segment(dice), "8", 60, dice)
        pixels = np.repeat(line.mask[:, :, np.newaxis], 3, axis=2)
        made = ink.Plate("segments", pixels, np.full(line.mask.shape, 255, np.uint8), (line.marks,))
        picture = np.zeros((240, 320, 3), np.uint8)
        placed = scene.stuck(picture, None, made, scene.homography(made, 1.5, dice, (240, 320)))
        if placed is None:
            continue
        left, top, right, bottom = placed.strings[0][0].box()
        rows, columns, _ = np.nonzero(picture >= 128)
        np.testing.assert_allclose(
            [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], [left, top, right, bottom], atol=2.0
        )


def test_the_same_seed_renders_the_same_scene(renderer: dict[str, ModuleType]) -> None:
    scene, kit = renderer["scene"], renderer["kit"].Kit()
    first, again, other = (scene.render(kit, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert [string.digits for string in first.strings] == [string.digits for string in again.strings]
    assert not np.array_equal(first.pixels, other.pixels)


def test_a_scene_has_the_boxes_of_its_strings_inside_it(renderer: dict[str, ModuleType]) -> None:
    scene, kit = renderer["scene"], renderer["kit"].Kit()
    scenes = [scene.render(kit, np.random.default_rng(seed)) for seed in SEEDS]
    assert any(each.strings for each in scenes)
    for each in scenes:
        for string in each.strings:
            assert len(string.boxes) == len(string.digits)
            assert string.boxes.min() >= 0
            assert string.boxes.max() <= scene.SIDE
            assert ((string.boxes[:, 2:] - string.boxes[:, :2]).min(axis=1) > 0).all()


def test_what_is_not_padding_is_known(renderer: dict[str, ModuleType]) -> None:
    scene, kit = renderer["scene"], renderer["kit"].Kit()
    for seed in SEEDS:
        made = scene.render(kit, np.random.default_rng(seed))
        left, top, right, bottom = made.content
        outside = np.ones(made.pixels.shape[:2], bool)
        outside[top:bottom, left:right] = False
        assert (made.pixels[outside] == scene.PAD).all()
        for string in made.strings:
            assert (string.boxes >= np.array([left, top] * 2) - 1).all()
            assert (string.boxes <= np.array([right, bottom] * 2) + 1).all()


SHOTS = {
    "as it was drawn": (lambda picture, noise: picture, True),
    "negative": (lambda picture, noise: 255 - picture, True),
    "faint": (lambda picture, noise: 100 + picture // 8, True),
    "half in shadow": (lambda picture, noise: picture * np.linspace(0.3, 1, picture.shape[1])[:, np.newaxis], True),
    "black": (lambda picture, noise: picture // 64, False),
    "too bright": (lambda picture, noise: np.maximum(picture, 250), False),
    "drowned in noise": (lambda picture, noise: 100 + picture // 8 + 60 * noise, False),
}


@pytest.mark.parametrize(("shot", "visible"), SHOTS.values(), ids=SHOTS.keys())
def test_a_shot_in_which_a_person_sees_no_digit_is_not_readable(
    shot: Callable[[Any, Any], Any], visible: bool, renderer: dict[str, ModuleType]
) -> None:
    ink, dice = renderer["ink"], np.random.default_rng(0)
    line = ink.set_line(renderer["kit"].Kit().segment(dice), "8352", 40, dice, spacing=0.3)
    picture = np.zeros((80, line.mask.shape[1] + 40, 3), np.uint8)
    ink.painted(picture, line.mask, (200, 200, 200), 20, 20)
    boxes = np.stack([mark.moved(20, 20).box() for mark in line.marks])
    taken = shot(picture.astype(float), dice.standard_normal(picture.shape)).clip(0, 255).astype(np.uint8)
    assert renderer["readable"].readable(picture, taken, boxes) == visible


def found(renderer: dict[str, ModuleType], *each: tuple[float, int, float]) -> Any:
    """Detections 10 pixels wide and 20 tall in a row: (left, digit, score)."""
    detection = renderer["evaluate"].Found
    return [detection(np.array([x, 50, x + 10, 70], np.float32), digit, score) for x, digit, score in each]


def test_a_string_is_read_from_what_lies_in_its_place_only(renderer: dict[str, ModuleType]) -> None:
    boxes = np.array([[100, 50, 110, 70], [120, 50, 130, 70]], np.float32)
    string = renderer["scene"].String("print", "47", boxes)
    one = found(renderer, (121, 7, 0.9), (99, 4, 0.8), (200, 3, 0.9))
    assert renderer["evaluate"].read(one, string) == "47"
    assert renderer["evaluate"].read([*one, *found(renderer, (110, 1, 0.5))], string) == "417"


def test_the_threshold_is_chosen_with_which_most_strings_are_read(renderer: dict[str, ModuleType]) -> None:
    string = renderer["scene"].String("print", "4", np.array([[100, 50, 110, 70]], np.float32))
    everything = [found(renderer, (100, 4, 0.6), (200, 8, 0.3)), found(renderer, (100, 4, 0.5)), found(renderer)]
    strings: tuple[Any, ...] = ((string,), (string,), ())
    data = renderer["dataset"].Dataset(Path("nowhere"), ("view",) * 3, ((0, 0, 256, 256),) * 3, strings)
    evaluate = renderer["evaluate"]
    assert evaluate.best_threshold(everything, data) <= 0.5
    assert evaluate.scored(everything, data, 0.4).understood == 1
    assert evaluate.scored(everything, data, 0.2).understood == pytest.approx(2 / 3)
    assert evaluate.scored(everything, data, 0.2).reading.strings_right == 1


def test_a_threshold_that_lets_many_false_digits_pass_is_not_chosen(renderer: dict[str, ModuleType]) -> None:
    string = renderer["scene"].String("print", "4", np.array([[100, 50, 110, 70]], np.float32))
    everything = [*[found(renderer, (100, 4, 0.4))] * 3, *[found(renderer, (100, 4, 0.6))] * 2]
    strings: tuple[Any, ...] = ((string,),) * 4 + ((),)
    data = renderer["dataset"].Dataset(Path("nowhere"), ("view",) * 5, ((0, 0, 256, 256),) * 5, strings)
    assert renderer["evaluate"].best_threshold(everything, data) > 0.6


@pytest.mark.parametrize(
    ("there", "told", "mistakes"),
    [("407", "407", 0), ("407", "47", 1), ("407", "4017", 1), ("407", "497", 1), ("407", "", 3), ("12", "21", 2)],
)
def test_mistakes_are_digits_wrong_missing_or_too_many(
    there: str, told: str, mistakes: int, renderer: dict[str, ModuleType]
) -> None:
    assert renderer["evaluate"].edit_distance(there, told) == mistakes


def test_one_wrong_digit_costs_one_digit_but_a_whole_string(renderer: dict[str, ModuleType]) -> None:
    boxes = np.array([[100, 50, 110, 70], [120, 50, 130, 70]], np.float32)
    string = renderer["scene"].String("print", "47", boxes)
    data = renderer["dataset"].Dataset(Path("nowhere"), ("strip",) * 2, ((0, 0, 256, 256),) * 2, ((string,),) * 2)
    everything = [found(renderer, (100, 4, 0.9), (120, 7, 0.9)), found(renderer, (100, 4, 0.9))]
    reading = renderer["evaluate"].scored(everything, data, 0.5).reading
    assert reading.digits_right == pytest.approx(3 / 4)
    assert reading.strings_right == pytest.approx(1 / 2)


def test_a_narrow_box_is_widened_about_its_middle_and_others_stay(renderer: dict[str, ModuleType]) -> None:
    boxes = np.array([[100, 50, 102, 70], [120, 50, 130, 70], [1, 50, 3, 70]], np.float32)
    widened = renderer["scene"].wide(boxes, 0.4)
    np.testing.assert_allclose(widened, [[97, 50, 105, 70], [120, 50, 130, 70], [0, 50, 6, 70]], atol=1e-5)


@pytest.mark.parametrize(
    ("detections", "precision"),
    [
        ([(100, 4, 0.9), (120, 4, 0.8)], 1.0),
        ([(100, 4, 0.9)], 0.5),
        ([(100, 4, 0.9), (300, 4, 0.8), (120, 4, 0.7)], 0.5 + 0.5 * 2 / 3),
        ([(100, 4, 0.9), (101, 4, 0.8)], 0.5),
        ([(100, 7, 0.9)], 0.0),
    ],
    ids=["both", "one of two", "one false", "one twice", "another digit"],
)
def test_precision_is_the_area_under_its_curve(
    detections: list[tuple[float, int, float]], precision: float, renderer: dict[str, ModuleType]
) -> None:
    boxes = np.array([[100, 50, 110, 70], [120, 50, 130, 70]], np.float32)
    everywhere = [found(renderer, *detections)]
    truth = [(np.array([4, 4]), boxes)]
    assert renderer["evaluate"].map50(everywhere, truth) == pytest.approx(precision / 10)
