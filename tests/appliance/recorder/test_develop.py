"""From a journal to a video that browsers play."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.recorder import video
from appliance.recorder.clip import name_of
from appliance.recorder.develop import Undeveloped, develop, frames_per_s, stills
from appliance.recorder.journal import Journal, JournalError
from appliance.recorder.pictures import compressed
from appliance.recorder.recording import Recording
from appliance.recorder.shelf import Shelf
from appliance.result import FrameSize
from capture.samples import Frame
from tests.recordings import HEIGHT, WIDTH, developed, entry, event, grey, shelf_at, write_part

SCENE = [entry(seq, seq / 10, *([event(seq)] if seq == 3 else []), memory=seq == 0) for seq in range(12)]


def test_every_picture_comes_back_nearly_as_it_was(tmp_path: Path) -> None:
    clip = developed(shelf_at(tmp_path), SCENE)
    assert clip.per_s == 10.0
    pairs = list(Recording.open(tmp_path / clip.file).samples())
    assert [each.seq for each, _ in pairs] == list(range(12))
    for each, sample in pairs:
        assert isinstance(sample, Frame)
        assert sample.stamp.mono_ns == each.mono_ns
        assert np.abs(sample.pixels.astype(int) - grey(each.seq)).mean() < 4


def test_a_pause_is_a_still_in_the_video_so_that_it_plays_in_time(tmp_path: Path) -> None:
    clip = developed(shelf_at(tmp_path), SCENE[:5] + [entry(seq, 1.0 + seq / 10) for seq in range(5, 9)])
    places = [each.place for each in Recording.open(tmp_path / clip.file).entries]
    assert places == [0, 1, 2, 3, 4, 15, 16, 17, 18]
    assert video.count(tmp_path / clip.file) == 19


def test_pictures_that_were_not_kept_leave_their_answers(tmp_path: Path) -> None:
    thin = [each if each.seq % 2 == 0 else entry(each.seq, each.at_s, data=b"") for each in SCENE]
    clip = developed(shelf_at(tmp_path), thin)
    assert (clip.answers, clip.kept) == (12, 6)
    kept = [sample is not None for _, sample in Recording.open(tmp_path / clip.file).samples()]
    assert kept == [True, False] * 6


def test_a_part_that_ends_in_the_middle_becomes_a_shorter_clip(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    part = write_part(shelf, SCENE)
    part.write_bytes(part.read_bytes()[:-40])
    [clip] = [made for made in develop(part, shelf) if made is not None]
    assert clip.answers == 11
    assert not part.exists()


def test_a_part_without_a_picture_is_said_to_be_of_no_use(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    with pytest.raises(JournalError, match="no picture"):
        list(develop(write_part(shelf, [entry(1, 0.1, data=b"")]), shelf))


def test_interrupted_at_any_step_and_begun_again_it_is_the_same_clip(tmp_path: Path) -> None:
    wanted = developed(shelf_at(tmp_path / "once"), SCENE)
    folder = tmp_path / "again"
    part = write_part(shelf_at(folder), SCENE)
    for steps in range(12):
        work = develop(part, shelf_at(folder))
        for _ in range(steps):
            assert next(work) is None
        work.close()
    shelf = shelf_at(folder)
    [again] = shelf.waiting()
    [clip] = [made for made in develop(again, shelf) if made is not None]
    assert clip == wanted
    assert sorted(path.suffix for path in folder.iterdir()) == [".jpg", ".json", ".jsonl", ".webm"]


def test_without_loss_the_pictures_are_kept_as_well(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(5)]
    entries = [entry(seq, seq / 10, data=compressed(pixels, exact=True)) for seq, pixels in enumerate(noise)]
    clip = developed(shelf_at(tmp_path), entries, exact=True)
    assert clip.exact
    for (_, sample), pixels in zip(Recording.open(tmp_path / clip.file).samples(), noise, strict=True):
        assert isinstance(sample, Frame)
        np.testing.assert_array_equal(sample.pixels, pixels)


@pytest.mark.system
def test_a_clip_that_finds_no_room_is_cut_and_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)

    def noise(seq: int) -> bytes:
        return compressed(rng.integers(0, 256, (480, 640, 3)).astype(np.uint8), exact=False)

    entries = [entry(seq, seq / 4, data=noise(seq)) for seq in range(40)]
    entries = [replace(each, result=replace(each.result, frame=FrameSize(640, 480))) for each in entries]
    shelf = shelf_at(tmp_path)
    part = write_part(shelf, entries)
    tight = Shelf(tmp_path, part.stat().st_size + 20_000, 86_400.0, 0)
    tight.look()
    tight.busy.add(part.stem)
    [clip] = [made for made in develop(part, tight) if made is not None]
    assert clip.cut
    assert 0 < clip.kept < 40
    assert video.count(tmp_path / clip.file) >= clip.kept


def test_a_video_that_cannot_be_written_leaves_the_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = shelf_at(tmp_path)
    part = write_part(shelf, SCENE)
    monkeypatch.setattr(video, "counted", lambda _: iter([3]))  # as on a disk that was full: OpenCV does not say so
    with pytest.raises(Undeveloped, match="3 of 12"):
        list(develop(part, shelf))
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]


def test_a_part_of_another_version_or_one_that_is_gone_is_no_clip(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    path = shelf.path(shelf.begin(0), "part")
    with Journal(path, b'{"of": "tomorrow"}') as journal:
        journal.add(SCENE[0])
    with pytest.raises(JournalError, match="another version"):
        list(develop(path, shelf))
    path.unlink()
    with pytest.raises(JournalError, match="taken it away"):
        list(develop(path, shelf))


def test_this_machine_writes_video() -> None:
    assert video.why_not() is None


@pytest.mark.parametrize(
    ("width", "height", "wanted"),
    [
        (640, 360, (640, 360)),
        (1920, 1080, (1280, 720)),
        (641, 361, (640, 360)),
        (1, 1, (2, 2)),
        (4000, 100, (1280, 32)),
    ],
)
def test_sizes_are_even_and_not_too_wide(width: int, height: int, wanted: tuple[int, int]) -> None:
    assert video.size_of(width, height) == wanted


def test_pace_and_stills_are_those_of_the_pictures() -> None:
    assert frames_per_s([0.0, 0.1, 0.2, 0.3, 9.0]) == 10.0
    assert frames_per_s([0.0]) == 10.0
    assert frames_per_s([0.0, 0.001]) == 30.0
    assert stills(4, 0.4, 10.0) == 0
    assert stills(4, 0.9, 10.0) == 5
    assert stills(4, 3600.0, 10.0) == 50
    assert name_of(7, 0) == "00000007-19700101T000000Z"
