"""Bundles: whole, verified, and nothing outside their folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import digest
from engines.bundle import DRAFT_PREFIX, Bundle, BundleError, write_bundle
from engines.manifest import Manifest
from tests import networks
from tests.engines.test_manifest import PEOPLE


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "from").mkdir()
    golden = tmp_path / "from" / "golden.npz"
    golden.write_bytes(b"golden")
    return {"people.onnx": networks.double(tmp_path / "from" / "any name.onnx"), "golden/1.npz": golden}


@pytest.fixture
def manifest(sources: dict[str, Path]) -> Manifest:
    stage = {"name": "main", "file": "people.onnx", "digest": digest.of_file(sources["people.onnx"])}
    files = {"golden/1.npz": digest.of_file(sources["golden/1.npz"])}
    return Manifest.model_validate(PEOPLE | {"stages": [stage], "files": files, "labels": ["person", "Zürich"]})


@pytest.fixture
def folder(tmp_path: Path, manifest: Manifest, sources: dict[str, Path]) -> Path:
    return write_bundle(tmp_path / "models" / "people" / "1", manifest, sources).folder


def test_a_written_bundle_opens_and_is_the_same(folder: Path, manifest: Manifest) -> None:
    bundle = Bundle.open(folder)
    assert bundle.manifest == manifest
    assert bundle.stage_path("main") == folder / "people.onnx"
    assert bundle.file_path("golden/1.npz").read_bytes() == b"golden"
    assert (folder / "labels.txt").read_text(encoding="utf-8") == "person\nZürich\n"
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_a_bundle_may_be_moved(folder: Path, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "elsewhere")
    assert Bundle.open(moved).stage_path("main") == moved / "people.onnx"


def test_a_file_that_is_not_listed_cannot_be_asked_for(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"the manifest lists no file golden/2\.npz"):
        Bundle.open(folder).file_path("golden/2.npz")


def _change(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def _replace_by_link(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    (folder / "people.onnx").rename(outside)
    (folder / "people.onnx").symlink_to(outside)


def _replace_by_hard_link(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    os.link(folder / "people.onnx", outside)


def _replace_golden_by_link(folder: Path) -> None:
    outside = folder.parent / "outside"
    (folder / "golden").rename(outside)
    (folder / "golden").symlink_to(outside)


def _replace_by_pipe(folder: Path) -> None:
    (folder / "people.onnx").unlink()
    os.mkfifo(folder / "people.onnx")


def _replace_by_folder(folder: Path) -> None:
    (folder / "people.onnx").unlink()
    (folder / "people.onnx").mkdir()


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / "bundle.json").unlink(), "not a bundle, it has no bundle.json: make one"),
    "manifest is no JSON": (_write("bundle.json", b"{"), r"bundle\.json: not valid JSON"),
    "manifest is no text": (_write("bundle.json", b"\xff\xfe"), r"bundle\.json: not valid JSON"),
    "manifest is very deep": (_write("bundle.json", b"[" * 100_000), r"bundle\.json: not valid JSON"),
    "manifest is a list": (_write("bundle.json", b"[]"), "schema null: this version .* reads schema 1 only"),
    "a key twice": (_write("bundle.json", b'{"schema": 1, "schema": 1}'), "a key is given twice"),
    "a later schema": (_change("bundle.json", schema=2), "schema 2: this version .* reads schema 1 only; update it"),
    "a schema of a megabyte": (
        _change("bundle.json", schema="s" * 1_000_000),
        "schema .* reads schema 1 only; update it",
    ),
    "an input of a kind of a megabyte": (
        _change("bundle.json", input={"kind": "k" * 1_000_000}),
        "input: Input tag 'kkk",
    ),
    "unknown key": (_change("bundle.json", colour="red"), r"bundle\.json: colour: "),
    "wrong task": (_change("bundle.json", task="vad"), r"bundle\.json: task vad needs an input of kind audio"),
    "network changed": (_write("people.onnx", b"x"), r"people\.onnx is damaged or was changed: its digest is sha256:"),
    "golden changed": (_write("golden/1.npz", b"x"), r"golden/1\.npz is damaged or was changed"),
    "network missing": (lambda folder: (folder / "people.onnx").unlink(), r"people\.onnx is missing"),
    "golden missing": (lambda folder: (folder / "golden" / "1.npz").unlink(), r"golden/1\.npz is missing"),
    "labels missing": (lambda folder: (folder / "labels.txt").unlink(), r"labels\.txt is missing"),
    "labels changed": (_write("labels.txt", b"human\n"), r"labels\.txt does not agree with bundle\.json"),
    "further file": (_write("weights.bin", b"x"), r"weights\.bin is not in bundle\.json: remove it"),
    "further golden": (_write("golden/2.npz", b"x"), r"golden/2\.npz is not in bundle\.json"),
    "further folder": (lambda folder: (folder / "more").mkdir(), r"more is not in bundle\.json"),
    "link": (_replace_by_link, r"people\.onnx is a link or inside one"),
    "hard link": (_replace_by_hard_link, r"people\.onnx is not a plain file of its own"),
    "folder is a link": (_replace_golden_by_link, r"golden is not in bundle\.json"),
    "pipe": (_replace_by_pipe, r"people\.onnx is not a plain file of its own"),
    "folder for a file": (_replace_by_folder, r"people\.onnx is not a plain file of its own"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bundle_with_a_fault_is_refused_in_one_sentence(folder: Path, fault: str) -> None:
    make, words = FAULTS[fault]
    make(folder)
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.open(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000 + len(str(folder))


def test_every_flipped_byte_of_a_file_is_noticed(folder: Path) -> None:
    path = folder / "people.onnx"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(BundleError, match="is damaged or was changed"):
            Bundle.open(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere: no such folder"):
        Bundle.open(tmp_path / "nowhere")


def test_weights_in_another_file_are_part_of_a_bundle_only_when_listed(tmp_path: Path) -> None:
    path = networks.external(tmp_path / "people.onnx")
    stage = {"name": "main", "file": "people.onnx", "digest": digest.of_file(path)}
    weights = tmp_path / "weights.bin"
    listed = PEOPLE | {"stages": [stage], "files": {"weights.bin": digest.of_file(weights)}}
    folder = write_bundle(
        tmp_path / "bundle", Manifest.model_validate(listed), {"people.onnx": path, "weights.bin": weights}
    ).folder
    assert Bundle.open(folder).file_path("weights.bin") == folder / "weights.bin"
    _change("bundle.json", files={})(folder)
    with pytest.raises(BundleError, match=r"weights\.bin is not in bundle\.json"):
        Bundle.open(folder)


def test_content_that_is_not_what_the_manifest_says_makes_no_bundle(
    tmp_path: Path, manifest: Manifest, sources: dict[str, Path]
) -> None:
    sources["golden/1.npz"].write_bytes(b"other")
    with pytest.raises(BundleError, match=r"golden\.npz: changed while it was read"):
        write_bundle(tmp_path / "models" / "1", manifest, sources)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_bundle_never_takes_the_place_of_another(folder: Path, manifest: Manifest, sources: dict[str, Path]) -> None:
    with pytest.raises(BundleError, match="there is something already"):
        write_bundle(folder, manifest, sources)
    assert Bundle.open(folder).manifest == manifest
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_at_every_moment_of_writing_there_is_a_whole_bundle_or_none(
    tmp_path: Path, manifest: Manifest, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th synchronising fails, for every n, as on a full or dying disk."""
    real, failures = os.fsync, 0
    for allowed in range(20):
        left = allowed

        def failing(descriptor: int) -> None:
            nonlocal left
            if left == 0:
                raise OSError(5, "Input/output error")
            left -= 1
            real(descriptor)

        monkeypatch.setattr(os, "fsync", failing)
        folder = tmp_path / "models" / str(allowed)
        try:
            write_bundle(folder, manifest, sources)
        except OSError:
            failures += 1
        else:
            assert Bundle.open(folder).manifest == manifest
            break
        finally:
            assert not [path for path in folder.parent.iterdir() if path.name.startswith(DRAFT_PREFIX)]
        if folder.exists():
            assert Bundle.open(folder).manifest == manifest
    assert failures >= 5, "two copies, labels, manifest, two folders, the folder above"
