"""`appliance models` as a person or a program uses it: what it prints, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.cli import main
from tests import networks

SHIPPED = Path(__file__).parents[2] / "appliance" / "bundles"
NAMES = {"names": "{0: 'person', 1: 'cat'}", "stride": "32"}


class Models:
    """The command, with a library of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(
            main, ["models", *map(str, arguments)], env={"APPLIANCE_MODELS": str(self.folder), "COLUMNS": "160"}
        )

    def fine(self, *arguments: str | Path) -> str:
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def document(self, *arguments: str | Path) -> Any:
        return json.loads(self.fine(*arguments, "--json"))

    def refused(self, *arguments: str | Path, code: int = 2) -> str:
        """The one sentence on standard error."""
        result = self(*arguments)
        assert (result.exit_code, result.stdout) == (code, "")
        sentence = result.stderr.strip().splitlines()[-1]
        assert sentence.startswith("Error: ")
        return sentence.removeprefix("Error: ")


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "library")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    return networks.answering(
        tmp_path / "people.onnx", {"images": [1, 3, 64, 64]}, {"output0": [1, 252, 7]}, metadata=NAMES
    )


def test_a_model_is_added_listed_shown_and_removed(models: Models, people: Path) -> None:
    assert "people 1: detects 2 classes (person, cat) at 64x64; answers in " in models.fine("add", people)
    assert models.fine("list").split("\n")[1].split()[:2] == ["people", "1"]
    assert "threshold 0.25" in models.fine("show", "people")
    assert models.fine("remove", "people") == "people: removed version 1\n"
    assert "people" not in models.fine("list")


def test_the_list_is_for_programs_too(models: Models, people: Path) -> None:
    models.fine("add", people)
    models.fine("add", people, "--threshold", "0.5")
    row = next(row for row in models.document("list") if row["name"] == "people")
    assert {key: row[key] for key in ("name", "version", "versions", "pinned", "task", "labels", "fault")} == {
        "name": "people",
        "version": "2",
        "versions": ["1", "2"],
        "pinned": False,
        "task": "detect",
        "labels": 2,
        "fault": None,
    }
    shown = models.document("show", "people")
    assert shown["digest"] == row["digest"]
    assert shown["manifest"]["decoder"]["threshold"] == 0.5
    assert Path(shown["files"]["model.onnx"]).read_bytes() == people.read_bytes()


def test_adding_the_same_model_again_says_so_and_changes_nothing(models: Models, people: Path) -> None:
    models.fine("add", people)
    assert "is installed already; nothing was changed" in models.fine("add", people)
    assert {row["name"]: row["versions"] for row in models.document("list")}["people"] == ["1"]


def test_options_say_what_the_file_does_not(models: Models, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\r\ndog\r\n\n", encoding="utf-8")
    path = networks.answering(tmp_path / "pets.onnx", {"x": [1, 3, "h", "w"]}, {"y": [1, 2]}, last="Softmax")
    assert models.refused("add", path).endswith("give --size WxH, such as --size 640x640")
    assert "--scale imagenet" in models.refused("add", path, "--size", "32x48")
    models.fine(
        *("add", path, "--size", "32x48", "--scale", "imagenet", "--channels", "bgr", "--fit", "stretch"),
        *("--labels", labels, "--threshold", "0.7", "--name", "animals", "--version", "4.2", "--task", "classify"),
    )
    manifest = models.document("show", "animals@4.2")["manifest"]
    assert manifest["labels"] == ["cat", "dog"]
    assert (manifest["input"]["width"], manifest["input"]["height"]) == (32, 48)
    assert (manifest["input"]["channels"], manifest["input"]["fit"]) == ("bgr", "stretch")
    assert manifest["decoder"]["threshold"] == 0.7


def test_what_had_to_be_assumed_is_a_warning(models: Models, tmp_path: Path) -> None:
    path = networks.answering(tmp_path / "things.onnx", {"x": [1, 3, 64, 64]}, {"y": [1, 252, 17]})
    result = models("add", path)
    assert result.exit_code == 0
    assert "warning: " in result.stderr
    assert "its 12 classes are called class 0 to class 11; give --labels FILE with 12 lines" in result.stderr


def test_a_network_that_never_answers_is_not_added(models: Models, tmp_path: Path) -> None:
    path = networks.endless(tmp_path / "endless.onnx")
    sentence = models.refused("add", path, "--rate", "16000", "--time-limit", "0.2")
    assert sentence == "endless: it does not run here, so it was not added: no answer within 0.2 s"
    assert "people" not in models.fine("list")


def test_a_network_that_answers_with_nan_is_not_added(models: Models, tmp_path: Path) -> None:
    path = networks.not_a_number(tmp_path / "nan.onnx")
    assert "it does not run here, so it was not added: " in models.refused("add", path, "--rate", "16000")
    assert "people" not in models.fine("list")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "nowhere.onnx"), "nowhere.onnx: no such file or folder"),
        (("add", "rubbish.onnx"), "rubbish.onnx: not an ONNX model"),
        (("add", "people.onnx", "--labels", "nowhere.txt"), "nowhere.txt: cannot be read: No such file or directory"),
        (("add", "people.onnx", "--labels", "/dev/zero"), "/dev/zero: cannot be read: it is a device or a pipe"),
        (("add", "people.onnx", "--labels", "empty.txt"), "empty.txt: no labels in it; write one a line"),
        (("add", "people.onnx", "--labels", "latin1.txt"), "latin1.txt: cannot be read: it is not UTF-8 text"),
        (("add", "people.onnx", "--labels", "one.txt"), "2 classes, but --labels names 1: give 2 lines"),
        (("add", "people.onnx", "--name", "../x"), "use a-z, 0-9, '.', '_' and '-'"),
        (("add", "people.onnx", "--size", "wide"), "expected width x height in pixels, such as 640x480"),
        (("add", "people.onnx", "--threshold", "7"), "7.0 is not in the range 0<=x<=1"),
        (("add", "people.onnx", "--threshold", "nan"), "nan is not a number that can be used here"),
        (("add", "people.onnx", "--time-limit", "nan"), "nan is not a number that can be used here"),
        (("add", "people.onnx", "--time-limit", "inf"), "inf is not a number that can be used here"),
        (("add", "."), "not a bundle, it has no bundle.json"),
        (("show", "people"), "people: no such model in"),
        (("remove", "people"), "people: no such model in"),
        (("paint", "people"), "No such command 'paint'"),
    ],
)
def test_wrong_usage_and_bad_input_end_with_2_and_a_sentence(
    models: Models,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rubbish.onnx").write_bytes(b"rubbish" * 9)
    Path("empty.txt").write_text("\n \n")
    Path("one.txt").write_text("person\n")
    Path("latin1.txt").write_bytes("Tür\n".encode("latin-1"))
    assert words in models.refused(*arguments)


def test_a_library_that_cannot_be_written_is_a_failure_at_run_time(people: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    sentence = Models(blocked / "library").refused("add", people, code=1)
    assert str(blocked) in sentence


def test_a_damaged_model_is_listed_with_its_fault(models: Models, people: Path) -> None:
    models.fine("add", people)
    (models.folder / "people" / "1" / "bundle.json").write_text("{")
    row = next(row for row in models.document("list") if row["name"] == "people")
    assert "not valid JSON" in row["fault"]
    assert "not valid JSON" in " ".join(models.fine("list").split())  # wherever the line is broken
    assert "not valid JSON" in models.refused("show", "people")


def test_an_empty_library_says_how_to_fill_it(models: Models) -> None:
    assert "`appliance models add FILE.onnx` adds one" in models.fine("list")


def test_the_folder_can_be_given(models: Models, people: Path, tmp_path: Path) -> None:
    models.fine("--folder", tmp_path / "other", "add", people)
    assert (tmp_path / "other" / "people" / "1" / "bundle.json").is_file()
    assert not models.folder.exists()


def test_the_shared_models_are_added_and_answer_without_an_option(data: Path, models: Models) -> None:
    for name in ("FastestDet.onnx", "ultraface-slim-320.onnx", "silero_vad_16k_op15.onnx"):
        assert "answers in" in models.fine("add", data / "models" / name)
    assert [row["name"] for row in models.document("list") if not row["shipped"]] == [
        "fastestdet",
        "silero_vad_16k_op15",
        "ultraface-slim-320",
    ]


def test_help_and_list_load_no_heavy_package(tmp_path: Path) -> None:
    program = (
        "import sys; from click.testing import CliRunner; from appliance.cli import main\n"
        "assert CliRunner().invoke(main, ['models', 'list', '--json']).exit_code == 0\n"
        "print([name for name in ('cv2', 'onnxruntime', 'onnx', 'rich') if name in sys.modules])"
    )
    environment = os.environ | {"APPLIANCE_MODELS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_a_device_or_a_pipe_is_refused_without_reading_it(models: Models, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in ("/dev/zero", tmp_path / "pipe.onnx"):
        for command in ("add", "show"):
            assert models.refused(command, path).startswith(f"{path}: a device, a pipe or a socket, not a file")


def test_the_models_that_the_appliance_brings_along_are_listed_and_marked(models: Models, people: Path) -> None:
    brought = {folder.name for folder in SHIPPED.iterdir()}
    assert brought >= {"shapes", "tones"}
    assert {row["name"]: row["shipped"] for row in models.document("list")} == dict.fromkeys(brought, True)
    listed = models.fine("list")
    assert listed.count("1 (shipped)") == len(brought)
    assert f"none is installed in {models.folder}" in listed
    assert "detects 3 classes (red, green, blue)" in models.fine("show", "shapes")
    assert "comes with the appliance and stays" in models.refused("remove", "shapes")


def test_a_model_of_the_owner_goes_before_one_of_the_same_name_that_comes_along(models: Models, people: Path) -> None:
    models.fine("add", people, "--name", "shapes")
    rows = {row["name"]: row for row in models.document("list")}
    assert (rows["shapes"]["shipped"], rows["shapes"]["labels"]) == (False, 2)
    assert "person" in models.fine("show", "shapes")
    assert models.fine("remove", "shapes") == "shapes: removed version 1\n"
