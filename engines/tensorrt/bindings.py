"""TensorRT's Python bindings, brought in only where a GPU has answered; TensorRT-RTX, its edition for desktops, too.

Modules that begin with `import tensorrt` are imported after `load` has returned, never before.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from engines.engine import EngineUnavailable

_EDITIONS = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
_OLDEST = (10, 3)
"""Of TensorRT proper; its edition RTX counts from 1."""


def load() -> Any:
    """The module `tensorrt`, whichever edition it is. Raises EngineUnavailable with what to install."""
    failed: list[str] = []
    for name in _EDITIONS:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                failed.append(f"{name} lacks {error.name}")
        except (ImportError, OSError, RuntimeError) as error:  # a library inside it is missing or does not fit
            failed.append(f"{name} cannot be loaded: {error}")
        else:
            return _checked(module)
    if failed:
        raise EngineUnavailable(f"{'; '.join(failed)}: reinstall TensorRT for this system")
    raise EngineUnavailable(
        "the Python package tensorrt is missing: on a Jetson apt-get install python3-libnvinfer and use a virtual "
        "environment with --system-site-packages"
    )


def _checked(module: Any) -> Any:
    name, version = edition(module)
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if name == "tensorrt" and numbers < _OLDEST:
        raise EngineUnavailable(f"TensorRT {version} is too old: 10.3 is the oldest that works (JetPack 6.1)")
    sys.modules.setdefault("tensorrt", module)
    return module


def edition(module: Any) -> tuple[str, str]:
    """Which edition this is, and its version."""
    return ("tensorrt_rtx" if "rtx" in str(module.__name__) else "tensorrt"), str(module.__version__)
