"""From the tape of a pipeline to journals and clips, without threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # it has no types

from appliance.config_pipeline import Pipeline
from appliance.recorder import develop as develop_module
from appliance.recorder.deck import AGAIN_AFTER_S, Deck
from appliance.recorder.recording import Recording
from appliance.recorder.shelf import Shelf, clips
from appliance.recorder.tape import PICTURES, Tape
from appliance.recorder.video import Film, VideoError
from appliance.result import Clock, Event
from capture.samples import AudioWindow, Frame, Stamp
from tests.recordings import T0_NS, event, grey, result

MEMORY: dict[str, object] = {"tracks": []}


def deck_at(folder: Path, kind: str = "video", clock: Clock = "synced", **settings: object) -> Deck:
    kept = {"before_s": 1.0, "after_s": 1.0, "longest_s": 5.0, "leave_free_mb": 0, **settings}
    table = Pipeline.model_validate({"name": "p", "source": "dock", "model": "shapes", "recorder": kept})
    shelf = Shelf(folder, 50_000_000, 86_400.0, 0)
    deck = Deck(table, "box", "sound" if kind == "sound" else "video", Tape(100.0), shelf, lambda: clock)
    deck.prepare()
    return deck


def see(deck: Deck, seq: int, at_s: float, *events: Event) -> None:
    stamp = Stamp(int(at_s * 1e9), T0_NS + int(at_s * 1e9))
    frame = Frame("dock", seq, stamp, grey(seq), stamp.mono_ns)
    memory = MEMORY if deck.tape.wants_memory(stamp.mono_ns) else None
    deck.tape.saw(frame, result(seq, at_s=at_s), events, None, memory)


def finish(deck: Deck, now_s: float = 0.0) -> None:
    while deck.work(now_s):
        pass


def test_a_scene_becomes_a_clip_with_its_past(tmp_path: Path) -> None:
    deck = deck_at(tmp_path)
    for seq in range(60):
        see(deck, seq, seq / 10, *([event(seq)] if seq == 30 else []))
        deck.listen()
    finish(deck)
    [clip] = clips(tmp_path)
    seqs = [entry.seq for entry in Recording.open(tmp_path / clip.file).entries]
    assert seqs == list(range(seqs[0], 41))
    assert seqs[0] in (10, 19, 20)
    assert clip.kept == clip.answers
    assert clip.pipeline == "p"
    assert deck.count()
    assert (deck.figures.clips, deck.figures.waiting, deck.figures.recording) == (1, 0, False)


def test_a_recorder_that_is_behind_loses_pictures_and_no_answers(tmp_path: Path) -> None:
    deck = deck_at(tmp_path)
    see(deck, 0, 0.0, event(0))
    for seq in range(1, 40):
        see(deck, seq, seq / 100)
    deck.listen()
    see(deck, 40, 1.5)
    deck.listen()
    finish(deck)
    [clip] = clips(tmp_path)
    assert clip.answers == 41
    assert clip.kept == PICTURES + 1
    deck.count()
    assert deck.figures.dropped == 40 - PICTURES


def test_a_source_that_numbers_anew_keeps_its_pictures_apart(tmp_path: Path) -> None:
    deck = deck_at(tmp_path)
    see(deck, 7, 0.0, event(7))
    deck.listen()
    for seq in range(3):
        see(deck, seq, 0.3 + seq / 10)
    deck.listen()
    deck.stop()
    deck.shelf.look()
    finish(deck)
    [clip] = clips(tmp_path)
    pairs = list(Recording.open(tmp_path / clip.file).samples())
    assert [entry.seq for entry, _ in pairs] == [7, 0, 1, 2]
    for entry, sample in pairs:
        assert isinstance(sample, Frame)
        assert np.abs(sample.pixels.astype(int) - grey(entry.seq)).mean() < 4


def test_no_picture_is_too_large_for_the_recorder(tmp_path: Path) -> None:
    deck = deck_at(tmp_path)
    stamp = Stamp(1, T0_NS)
    wide = Frame("dock", 0, stamp, np.zeros((2, 70_000, 3), np.uint8), 1)
    deck.tape.saw(wide, result(0), [event(0)], None, MEMORY)
    deck.listen()
    see(deck, 1, 0.5)
    deck.listen()
    deck.stop()
    finish(deck)
    assert [clip.kept for clip in clips(tmp_path)] == [1]


def test_sound_is_kept_once_however_much_its_windows_overlap(tmp_path: Path) -> None:
    deck = deck_at(tmp_path, "sound", before_s=0.0)
    rng = np.random.default_rng(2)
    heard = rng.uniform(-1, 1, 16_000).astype(np.float32)
    for seq, start in enumerate(range(0, 12_000, 1_600)):
        stamp = Stamp(start * 62_500, T0_NS + start * 62_500)
        window = AudioWindow("dock", seq, stamp, heard[start : start + 4_000].copy(), 16_000, 0, stamp.mono_ns, start)
        said = replace(result(seq), frame=None, detections=None)
        deck.tape.saw(window, said, [event(seq)] if seq == 0 else [], None, MEMORY if seq == 0 else None)
        deck.listen()
    deck.stop()
    finish(deck)
    [clip] = clips(tmp_path)
    assert clip.kind == "sound"
    assert clip.exact
    for entry, sample in Recording.open(tmp_path / clip.file).samples():
        assert isinstance(sample, AudioWindow)
        assert entry.heard is not None
        np.testing.assert_array_equal(sample.samples, heard[entry.heard.start : entry.heard.start + 4_000])
    assert soundfile.info(tmp_path / clip.file).frames == 11_200 + 4_000


def test_a_clip_that_cannot_be_made_is_tried_again_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deck = deck_at(tmp_path)
    for first in (0.0, 100.0):
        see(deck, int(first), first, event(0))
        see(deck, int(first) + 1, first + 0.5)
        deck.listen()
        deck.stop()
    real = Film
    tries: list[str] = []

    def film(path: Path, *rest: float) -> object:
        tries.append(path.name[:8])
        if tries == ["00000001"]:
            raise VideoError("not today")
        return real(path, *rest)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(develop_module, "Film", film)
    finish(deck, now_s=0.0)
    assert deck.trouble is None, "the other one could be made"
    assert [clip.name[:8] for clip in clips(tmp_path)] == ["00000002"]
    finish(deck, now_s=AGAIN_AFTER_S)
    assert [clip.name[:8] for clip in clips(tmp_path)] == ["00000002", "00000001"]
    assert tries == ["00000001", "00000002", "00000001"]


def test_age_counts_only_while_the_clock_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for clock, left in (("unsynced", 1), ("synced", 0)):
        deck = deck_at(tmp_path / clock, clock="synced" if clock == "synced" else "unsynced")
        see(deck, 0, 0.0, event(0))
        deck.listen()
        deck.stop()
        finish(deck)
        [clip] = clips(tmp_path / clock)
        monkeypatch.setattr(deck.shelf, "_made_s", lambda _: 0.0)
        deck.expire()
        assert len(clips(tmp_path / clock)) == left, clip.name


def test_without_room_nothing_is_begun_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deck = deck_at(tmp_path)
    monkeypatch.setattr(deck.shelf, "free", lambda: 1000)
    for seq in range(30):
        see(deck, seq, float(seq), event(seq, life=f"e{seq}"))
        deck.listen()
    assert list(tmp_path.iterdir()) == []
    said = deck.trouble
    assert said == "the disk is full: nothing is recorded until there is room"
    assert len(caplog.records) == 1
    monkeypatch.undo()
    see(deck, 30, 30.0, event(30, life="e30"))
    deck.listen()
    assert deck.trouble is None
    deck.stop()
