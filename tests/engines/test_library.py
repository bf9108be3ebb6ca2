"""The library of installed models: found, added, removed; whole whatever interrupts."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from engines.bundle import Bundle, BundleError
from engines.library import Installed, Library, LibraryError
from engines.recognise import Hints, Unrecognised
from tests import networks

NAMES = {"names": "{0: 'person', 1: 'cat'}", "stride": "32"}


def detector(path: Path, size: int = 64, metadata: dict[str, str] | None = None) -> Path:
    """A detector of two classes that says so."""
    cells = 3 * sum((size // step) ** 2 for step in (8, 16, 32))
    return networks.answering(
        path, {"images": [1, 3, size, size]}, {"output0": [1, cells, 7]}, metadata=metadata or NAMES
    )


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "models")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return detector(tmp_path / "people.onnx")


def test_an_added_model_is_found_by_its_name(library: Library, people: Path) -> None:
    added = library.add(people)
    assert added.new
    found = library.find("people")
    assert found.manifest == added.bundle.manifest
    assert (found.manifest.name, found.manifest.version) == ("people", "1")
    assert found.folder == library.folder / "people" / "1"
    assert sorted(path.name for path in found.folder.iterdir()) == ["bundle.json", "labels.txt", "model.onnx"]
    assert library.list() == (Installed("people", ("1",), "1", pinned=False),)


def test_the_same_content_is_not_added_twice(library: Library, people: Path, tmp_path: Path) -> None:
    library.add(people)
    again = library.add(people)
    assert not again.new
    assert again.bundle.manifest.version == "1"
    assert not library.add(people.rename(tmp_path / "renamed.onnx"), name="people").new
    assert library.list()[0].versions == ("1",)


def test_other_content_under_the_same_name_is_the_next_version(library: Library, people: Path) -> None:
    library.add(people)
    detector(people, size=96)
    assert library.add(people).bundle.manifest.version == "2"
    assert library.find("people").manifest.version == "2"
    assert library.find("people@1").manifest.version == "1"


def test_other_words_about_the_same_network_are_another_content(library: Library, people: Path) -> None:
    library.add(people)
    assert library.add(people, hints=Hints(threshold=0.5)).bundle.manifest.version == "2"


def test_versions_count_as_numbers(library: Library, people: Path) -> None:
    for size, version in ((64, "9"), (96, "10"), (128, "1.2"), (160, "1.10")):
        library.add(detector(people, size=size), version=version)
    assert library.list()[0].versions == ("1.2", "1.10", "9", "10")
    assert library.find("people").manifest.version == "10"
    assert library.add(detector(people, size=192)).bundle.manifest.version == "11"


def test_a_version_that_is_taken_is_refused(library: Library, people: Path) -> None:
    library.add(people, version="7")
    with pytest.raises(LibraryError, match="people@7 is installed with another content: give another --version"):
        library.add(detector(people, size=96), version="7")


def test_a_pinned_version_is_used_until_it_is_let_go_or_removed(library: Library, people: Path) -> None:
    library.add(people)
    library.add(detector(people, size=96))
    library.pin("people", "1")
    assert library.find("people").manifest.version == "1"
    assert library.list() == (Installed("people", ("1", "2"), "1", pinned=True),)
    library.pin("people", None)
    assert library.find("people").manifest.version == "2"
    library.pin("people", "1")
    library.remove("people@1")
    assert library.list() == (Installed("people", ("2",), "2", pinned=False),)
    with pytest.raises(LibraryError, match="people@1: not installed"):
        library.pin("people", "1")


def test_a_bundle_folder_is_used_as_it_is_and_can_be_installed(library: Library, people: Path, tmp_path: Path) -> None:
    elsewhere = Library(tmp_path / "elsewhere")
    folder = elsewhere.add(people, version="3").bundle.folder
    assert library.find(folder).manifest.version == "3"
    added = library.add(folder)
    assert added.bundle.manifest == Bundle.open(folder).manifest
    assert not library.add(folder).new
    renamed = library.add(folder, name="folk", version="1")
    assert (renamed.bundle.manifest.name, renamed.bundle.manifest.version) == ("folk", "1")
    with pytest.raises(LibraryError, match="a bundle says what it is by itself"):
        library.add(folder, hints=Hints(threshold=0.5))
    with pytest.raises(LibraryError, match="cannot be its name and version"):
        library.add(folder, name="../folk")


def test_a_bare_file_is_used_where_it_is(library: Library, people: Path) -> None:
    bundle = library.find(people)
    assert bundle.stage_path("main") == people
    assert (bundle.manifest.name, bundle.manifest.labels) == ("people", ("person", "cat"))
    assert not library.folder.exists()


def test_an_installed_model_goes_before_a_file_of_its_name(
    library: Library, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(people)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people").mkdir()
    assert library.find("people").folder == library.folder / "people" / "1"
    with pytest.raises(BundleError, match="not a bundle"):
        library.find("./people")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("peple", "peple: no such model in .*; did you mean people"),
        ("zebra", "zebra: no such model in .*; installed: people; `appliance models add FILE"),
        ("people@7", "people@7: not installed; there is 1"),
        ("zebra.onnx", r"zebra\.onnx: no such file or folder"),
        ("no/where", "no/where: no such file or folder"),
        ("People", "People: no such file or folder"),
        ("..", "not a bundle"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(library: Library, people: Path, model: str, words: str) -> None:
    library.add(people)
    with pytest.raises((LibraryError, BundleError), match=words):
        library.find(model)


def test_a_bare_file_that_needs_options_says_where_to_give_them(library: Library, tmp_path: Path) -> None:
    path = networks.answering(tmp_path / "m.onnx", {"x": [1, 3, 32, 32]}, {"y": [1, 2]}, metadata=NAMES | {"task": "x"})
    with pytest.raises(Unrecognised, match=r"--scale imagenet \(with `appliance models add`\)"):
        library.find(path)


def test_a_damaged_model_is_refused_and_adding_it_again_puts_it_right(library: Library, people: Path) -> None:
    folder = library.add(people).bundle.folder
    (folder / "model.onnx").write_bytes(b"rot")
    with pytest.raises(BundleError, match="is damaged or was changed"):
        library.find("people")
    added = library.add(people)
    assert added.new
    assert library.find("people").manifest.version == "1"


def test_a_model_with_an_unreadable_manifest_does_not_hide_the_others(library: Library, people: Path) -> None:
    folder = library.add(people).bundle.folder
    (folder / "bundle.json").write_text("{")
    assert library.add(people).bundle.manifest.version == "2"
    assert library.find("people").manifest.version == "2"
    library.remove("people@1")
    assert library.list()[0].versions == ("2",)


def test_removing_a_model_removes_all_its_versions(library: Library, people: Path) -> None:
    library.add(people)
    library.add(detector(people, size=96))
    assert library.remove("people") == ("1", "2")
    assert library.list() == ()
    with pytest.raises(LibraryError, match="people: no such model"):
        library.remove("people")
    with pytest.raises(LibraryError, match=r"\.\./models: no such model"):
        library.remove("../models")


def test_weights_in_another_file_are_installed_with_the_network(library: Library, tmp_path: Path) -> None:
    path = networks.external(tmp_path / "external.onnx")
    bundle = library.add(path, hints=Hints(rate_hz=1000)).bundle
    assert (bundle.folder / "weights.bin").read_bytes() == (tmp_path / "weights.bin").read_bytes()
    assert library.find("external").manifest == bundle.manifest


def test_an_empty_library_has_no_models(library: Library) -> None:
    assert library.list() == ()
    with pytest.raises(LibraryError, match=r"people: no such model in .*; installed: none"):
        library.find("people")


def test_the_library_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APPLIANCE_MODELS", "STATE_DIRECTORY", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert Library.default().folder == Path.home() / ".local" / "share" / "appliance" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Library.default().folder == Path("/data/appliance/models")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/appliance:/other")
    assert Library.default().folder == Path("/var/lib/appliance/models")
    assert Library.default(Path("/state")).folder == Path("/state/models")
    monkeypatch.setenv("APPLIANCE_MODELS", "/models")
    assert Library.default(Path("/state")).folder == Path("/models")


def _add_many(folder: Path, models: list[Path]) -> None:
    for path in models:
        Library(folder).add(path, name="people")


@pytest.mark.system
def test_two_processes_that_add_at_once_take_turns(library: Library, tmp_path: Path) -> None:
    models = [detector(tmp_path / f"{size}.onnx", size=size) for size in range(64, 64 + 8 * 32, 32)]
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=_add_many, args=(library.folder, order)) for order in (models, list(reversed(models)))
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert library.list()[0].versions == tuple(str(number) for number in range(1, 9))
    digests = {library.find(f"people@{number}").manifest.stages[0].digest for number in range(1, 9)}
    assert len(digests) == 8


@pytest.mark.faults
def test_killed_at_any_moment_the_library_is_whole(library: Library, tmp_path: Path, long_run: bool) -> None:
    """kill -9 while a process adds and removes; whatever is listed afterwards opens, and the next change clears up."""
    first, second = detector(tmp_path / "a.onnx", size=64), detector(tmp_path / "b.onnx", size=96)
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from engines.library import Library
        library = Library(Path({str(library.folder)!r}))
        library.add(Path({str(first)!r}), name="people")
        print("turning", flush=True)
        while True:
            library.add(Path({str(second)!r}), name="people")
            library.remove("people@2")
        """
    )
    pause = 0.0
    for _ in range(200 if long_run else 6):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"turning\n"
            pause = (pause + 0.0017) % 0.011
            threading.Timer(pause, process.kill).start()
            process.wait(10)
        for installed in library.list():
            for version in installed.versions:
                assert library.find(f"{installed.name}@{version}").manifest.version == version
    library.add(second, name="people")
    assert sorted(path.name for path in (library.folder / "people").iterdir()) == ["1", "2"]
