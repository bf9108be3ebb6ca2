"""ONNX Runtime at its border: what it cannot load or run is an EngineError whose sentence helps."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.engine import EngineError
from engines.onnxrt import OnnxEngine, default_threads
from tests import networks


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _without_its_weights(path: Path) -> None:
    networks.external(path)
    (path.parent / "weights.bin").unlink()


def _with_half_its_weights(path: Path) -> None:
    networks.external(path)
    (path.parent / "weights.bin").write_bytes(b"12345678")


def _with_weights_elsewhere(path: Path) -> None:
    (path.parent.parent / "secret.bin").write_bytes(bytes(16))
    networks.external(path, location="../secret.bin")


def _with_weights_anywhere(path: Path) -> None:
    outside = path.parent.parent / "secret.bin"
    networks.external(path, location=str(outside))


def _with_weights_behind_a_link(path: Path) -> None:
    outside = path.parent.parent / "secret.bin"
    outside.write_bytes(bytes(16))
    networks.external(path)
    (path.parent / "weights.bin").unlink()
    (path.parent / "weights.bin").symlink_to(outside)


def _of_tomorrow(path: Path) -> None:
    x, y = networks.tensor("x", [1]), networks.tensor("y", [1])
    networks.write(path, [helper.make_node("Identity", ["x"], ["y"])], [x], [y], opset=99)


def _of_a_later_format(path: Path) -> None:
    x, y = networks.tensor("x", [1]), networks.tensor("y", [1])
    networks.write(path, [helper.make_node("Identity", ["x"], ["y"])], [x], [y], ir=99)


def _of_strings(path: Path) -> None:
    x, y = networks.tensor("x", [1], TensorProto.STRING), networks.tensor("y", [1], TensorProto.STRING)
    networks.write(path, [helper.make_node("Identity", ["x"], ["y"])], [x], [y])


def _of_terabytes(path: Path) -> None:
    """Not a block of it is on the disk."""
    path.touch()
    os.truncate(path, 1 << 40)


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "not a file; give the path of an .onnx file"),
    "empty": (_bytes(b""), "not an ONNX model: the file is empty"),
    "rubbish": (_bytes(b"hello world " * 9), "not an ONNX model: its content cannot be parsed; was it copied whole?"),
    "a Git LFS pointer": (_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "run `git lfs pull`"),
    "a PyTorch file": (_bytes(b"PK\x03\x04" + bytes(60)), "a ZIP or PyTorch file; export the model to ONNX"),
    "a web page": (_bytes(b"<!DOCTYPE html><html></html>"), "a web page or XML; download the file itself"),
    "without its weights": (_without_its_weights, "its weights are in another file, weights.bin, which is not beside"),
    "with half its weights": (_with_half_its_weights, "is too short for w: it was cut off; copy it again"),
    "with weights outside its folder": (_with_weights_elsewhere, r"point to \.\./secret\.bin, a file outside its own"),
    "with weights behind a link": (
        _with_weights_behind_a_link,
        r"point to weights\.bin, a file outside its own folder",
    ),
    "with weights anywhere": (_with_weights_anywhere, r"point to /.*/secret\.bin, a file outside its own folder"),
    "of a later operator set": (_of_tomorrow, "made for ONNX operator set 99, .* export it with a lower opset"),
    "of a later format": (_of_a_later_format, "ONNX format version 99 is newer than ONNX Runtime"),
    "with an unknown operator": (networks.unknown_operator, "uses the operator Frobnicate, which operator set 17"),
    "with an operator of somebody's own": (
        lambda path: networks.unknown_operator(path, domain="com.example"),
        "uses the operator com.example:Frobnicate",
    ),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "a device, a pipe or a socket, not a file; give the path"),
    "a pipe": (os.mkfifo, "a device, a pipe or a socket, not a file; give the path of an .onnx file"),
    "as large as a disk": (_of_terabytes, r"1024.0 GiB, more than the 2 GiB that are read: is it the right file\?"),
    "of strings": (_of_strings, r"input x is a tensor\(string\)"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_cannot_be_loaded_is_explained(what: str, tmp_path: Path) -> None:
    make, words = UNUSABLE[what]
    path = tmp_path / "models" / "bad.onnx"
    path.parent.mkdir()
    make(path)
    with pytest.raises(EngineError, match=words) as caught, OnnxEngine(path):
        pass
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_weights_as_large_as_a_disk_are_refused_by_their_own_name(tmp_path: Path) -> None:
    path = networks.external(tmp_path / "double.onnx")
    _of_terabytes(tmp_path / "weights.bin")
    words = "weights.bin: 1024.0 GiB, more than the 64 GiB that are read: is it the right file?"
    with pytest.raises(EngineError, match=re.escape(words)), OnnxEngine(path):
        pass


def test_a_file_cut_off_anywhere_is_refused_or_runs_but_never_ends_the_process(tmp_path: Path) -> None:
    whole = networks.double(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    refused = 0
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            with OnnxEngine(path, threads=1):
                pass
        except EngineError:
            refused += 1
    assert refused > len(whole) * 0.9


@pytest.mark.system
def test_a_file_with_any_bytes_changed_is_refused_or_opens_but_never_ends_the_process(
    tmp_path: Path, long_run: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Seeded; a name that is no text was the first thing this found."""
    whole = networks.endless(tmp_path / "whole.onnx").read_bytes()
    path = tmp_path / "changed.onnx"
    chance = random.Random(4)
    opened = 0
    for _ in range(20_000 if long_run else 1000):
        content = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            place = chance.randrange(len(content))
            content[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        path.write_bytes(content)
        try:
            with OnnxEngine(path, threads=1, optimise=False):
                opened += 1
        except EngineError:
            continue
    assert opened > 0
    assert capfd.readouterr() == ("", "")


def test_a_network_that_asks_for_too_much_memory_fails_and_says_so(tmp_path: Path) -> None:
    """ONNX Runtime 1.23 tries it while it opens the file."""
    path = networks.memory_bomb(tmp_path / "bomb.onnx")
    with pytest.raises(EngineError, match="needs more memory than there is"), OnnxEngine(path) as engine:
        engine.run({"x": np.zeros((1, 4), np.float32)})


def test_a_run_that_fails_inside_is_an_engine_error(tmp_path: Path) -> None:
    path = networks.write(
        tmp_path / "reshape.onnx",
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [networks.tensor("x", ["n"])],
        [networks.tensor("y", [2, 3])],
        weights={"shape": np.array([2, 3], np.int64)},
    )
    with OnnxEngine(path) as engine:
        assert engine.run({"x": np.zeros(6, np.float32)})["y"].shape == (2, 3)
        with pytest.raises(EngineError, match=r"inference failed: .*Reshape") as caught:
            engine.run({"x": np.zeros(5, np.float32)})
    assert "onnxruntime_src" not in str(caught.value)


def test_outputs_stay_valid_after_the_next_run(tmp_path: Path) -> None:
    with OnnxEngine(networks.double(tmp_path / "double.onnx")) as engine:
        first = engine.run({"x": np.full((1, 4), 1, np.float32)})["y"]
        engine.run({"x": np.full((1, 4), 9, np.float32)})
    np.testing.assert_array_equal(first, np.full((1, 4), 2, np.float32))


def test_the_exporters_words_are_kept(tmp_path: Path) -> None:
    path = networks.answering(tmp_path / "m.onnx", {"x": [1]}, {"y": [1]}, metadata={"names": "{0: 'cat'}"})
    with OnnxEngine(path) as engine:
        assert engine.metadata == {"names": "{0: 'cat'}"}


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (8, 4), (64, 4)])
def test_a_network_leaves_cores_to_the_others(cores: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
    assert default_threads() == threads


def test_an_idle_engine_with_two_threads_uses_no_processor_time(tmp_path: Path) -> None:
    """ONNX Runtime's own default lets its threads spin between two runs."""
    program = textwrap.dedent(
        f"""
        import threading, time
        from pathlib import Path
        import numpy as np
        from engines.onnxrt import OnnxEngine
        with OnnxEngine(Path({str(networks.convolution(tmp_path / "conv.onnx"))!r}), threads=2) as engine:
            x = {{"x": np.ones((1, 8, 64, 64), np.float32)}}
            engine.run(x)
            spent = 0.0
            for _ in range(10):
                engine.run(x)
                before = time.process_time()
                threading.Event().wait(0.03)
                spent += time.process_time() - before
        print(spent)
        """
    )
    idle_s = float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)
    assert idle_s < 0.1, f"{idle_s:.3f} s of processor time in 0.3 s of waiting"


def test_loading_a_real_model_writes_nothing_to_standard_error(data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with OnnxEngine(data / "models" / "ultraface-slim-320.onnx") as engine:
        outputs = engine.run({"input": np.zeros((1, 3, 240, 320), np.float32)})
    assert {name: array.shape for name, array in outputs.items()} == {"scores": (1, 4420, 2), "boxes": (1, 4420, 4)}
    assert capfd.readouterr() == ("", "")


def test_importing_engines_loads_no_runtime() -> None:
    program = "import sys, engines, engines.choose; print('onnxruntime' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert answer.stdout.strip() == "False"
