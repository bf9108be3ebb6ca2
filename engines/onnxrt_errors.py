"""What ONNX Runtime says, in words that name the file, the cause and the next step."""

from __future__ import annotations

import re
from pathlib import Path

_CODE_PLACE = re.compile(r"(/\S+|\b\w+)\.(cc|h):\d+\s+(\S+\s+)?")

_HEADS = {
    b"version https://git-lfs": "a Git LFS pointer, not the model itself; run `git lfs pull`",
    b"PK\x03\x04": "a ZIP or PyTorch file; export the model to ONNX",
    b"\x89HDF": "a Keras file; convert the model to ONNX with tf2onnx",
    b"<": "a web page or XML; download the file itself",
}
"""First bytes of what is often taken for an ONNX file."""


def why_not_loaded(path: Path, error: Exception, version: str) -> str:
    """One sentence."""
    if not path.exists():
        return f"{path}: no such file"
    if not path.is_file():
        return f"{path}: not a file; give the path of an .onnx file"
    text = str(error)
    if isinstance(error, PermissionError):
        return f"{path}: may not be read: give its owner or group the right to read it"
    if re.search(r"No graph was found|does not have a graph|Protobuf parsing failed", text):
        return f"{path}: not an ONNX model: {_what_it_is(path)}"
    for pattern, sentence in _LOAD_FAULTS:
        found = re.search(pattern, text, re.DOTALL)
        if found:
            return f"{path}: " + sentence.format(*found.groups(), version=version)
    return f"{path}: ONNX Runtime {version} cannot load it: {plain(text)}"


_LOAD_FAULTS: tuple[tuple[str, str], ...] = (
    (
        r"External initializer: (\S+).*out of bounds",
        "the file that holds its weights is too short for {0}: it was cut off; copy it again",
    ),
    (
        r"Opset (\d+) is under development",
        "made for ONNX operator set {0}, which is newer than ONNX Runtime {version}: "
        "export it with a lower opset, such as 17, or update onnxruntime",
    ),
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "ONNX format version {0} is newer than ONNX Runtime {version} reads ({1}): "
        "export it with an older onnx package, or update onnxruntime",
    ),
    (
        r"No Op registered for (\S+) with domain_version of (\d+)",
        "uses the operator {0}, which operator set {1} does not have: export it without custom operators",
    ),
    (
        r"(\S+?)\(-?\d+\) is not a registered function/op",
        "uses the operator {0}, which ONNX Runtime {version} does not have: export it without custom operators",
    ),
    (
        r"bad_alloc|Failed to allocate memory",
        "needs more memory than there is: use a smaller model",
    ),
    (
        r"Could not find an implementation for (\w+)",
        "uses the operator {0} with types that ONNX Runtime {version} cannot run on the processor: "
        "export it in float32",
    ),
)


def why_not_run(path: Path, error: Exception, *, cancelled: bool) -> str:
    """One sentence."""
    if cancelled:
        return f"{path}: cancelled before it had an answer"
    text = str(error)
    if re.search(r"bad_alloc|Failed to allocate memory", text) or isinstance(error, MemoryError):
        return f"{path}: needs more memory than there is: use a smaller model or input"
    return f"{path}: inference failed: {plain(text)}"


def plain(text: str) -> str:
    """The library's message without its code words and source lines, at most 300 characters."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed:", "", text)
    text = _CODE_PLACE.sub("", text)
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:297] + "…"


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return "the file is empty"
    for start, words in _HEADS.items():
        if head.startswith(start):
            return f"it is {words}"
    return "its content cannot be parsed; was it copied whole?"
