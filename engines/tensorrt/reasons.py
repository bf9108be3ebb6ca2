"""What TensorRT says, as one sentence that names the network, the cause and the next step."""

from __future__ import annotations

import re

_LONGEST = 400
"""Characters of TensorRT's own words in one message of ours."""

_CODE_PLACE = re.compile(
    r"(\[\w+\.\w+(::\w+)*::\d+\] )|(\.? ?In \w+ at /\S+?:\d+)|(\[\w+\.cpp:\d+: \w+\] )|(I\w+::\w+: )"
)
_OWN_TROUBLE = re.compile(r"^\S*catchCudaError.*$", re.MULTILINE)
"""Behind the real reason, where no driver is there."""

_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"Non-zero zero point|unsupported input type of UINT8|input has type Int32 but must have type",
        "its 8-bit integers are those for ONNX Runtime, TensorRT wants them without zero points and with biases in "
        'floats: make such a variant with `appliance models quantize --for tensorrt`, or use precision = "fp16"',
    ),
    (
        r"for Turing \(SM75\): FP32 GEMM is not supported",
        "TensorRT-RTX multiplies matrices on this GPU (Turing) in half precision only, also those around 8-bit "
        'integers: use precision = "fp16"',
    ),
)


def explained(what: str, said: str, step: str = "") -> str:
    """`what` went wrong and why; `said`: all that TensorRT told about it, in any number of lines; `step`: what to do
    where we know no better."""
    for pattern, sentence in _KNOWN:
        if re.search(pattern, said):
            return f"{what}: {sentence}"
    return f"{what}: {plain(said) or 'TensorRT gave no reason'}" + (f"; {step}" if step else "")


def plain(said: str) -> str:
    """TensorRT's words on one line, without places in its source."""
    text = " ".join(_CODE_PLACE.sub("", _OWN_TROUBLE.sub("", said)).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
