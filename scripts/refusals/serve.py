"""Ask for one answer, as the appliance does, and tell who gave it and why it was not the GPU.

python -m scripts.refusals.serve NETWORK PLANS
"""

from __future__ import annotations

import json
import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from engines.choose import open_first
from engines.engine import EngineLost, PreparesPictures
from engines.manifest import ImageInput
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe

PICTURE = ImageInput(tensor="x", width=16, height=16, fit="letterbox", scale=(1.0,) * 3)
LOST = 1
"""Exit status of a process that lost the GPU while it worked: it ends in order and is started again."""


class _Heard(logging.Handler):
    """What the engine only logs: it goes on with the GPU, in another way."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def serve(recipe: Recipe, *, pictures: bool) -> dict[str, str]:
    """`engine` and `sentence`; `engine` is empty where the GPU was lost on the way. Raises AssertionError when the
    answer is wrong."""
    heard = _Heard()
    log = logging.getLogger("engines")
    log.addHandler(heard)
    log.setLevel(logging.INFO)
    try:
        with ExitStack() as stack:
            choice = open_first(stack, recipe)
            _ask(choice.engine, pictures=pictures)
            refused = [refusal.reason for refusal in choice.refusals]
            return {"engine": choice.engine.name, "sentence": "; ".join([*refused, *heard.lines])}
    except EngineLost as error:
        return {"engine": "", "sentence": str(error)}
    finally:
        log.removeHandler(heard)


def _ask(engine: Any, *, pictures: bool) -> None:
    """y = x + x."""
    if not pictures:
        answer = engine.run({"x": np.ones((1, 4), np.float32)})["y"]
        assert (answer == 2).all(), answer
        return
    pixels = np.full((16, 16, 3), 7, np.uint8)
    into = engine.pictures(PICTURE, 1) if isinstance(engine, PreparesPictures) else None
    if into is None:
        from engines.pictures import Pictures

        into = Pictures(PICTURE, rows=1)
    into.put(0, pixels)
    answer = engine.run(into.tensors(1))["y"]
    assert (answer == 14).all(), answer


def main() -> int:
    network, plans = map(Path, sys.argv[1:])
    told = serve(Recipe(network, GpuOptions(plans=plans, precision="fp32")), pictures=False)
    print(json.dumps(told))
    return 0 if told["engine"] else LOST


if __name__ == "__main__":
    sys.exit(main())
