"""TensorRT or PyCUDA is missing, broken or too old, or TensorRT answers None or False where it should work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.refusals.case import Case, Stage

_ABSENT = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"
_NO_RTX = {"tensorrt_rtx": _ABSENT, "tensorrt_rtx_bindings": _ABSENT}
_NEW_ENOUGH = '__version__ = "10.3.0"'
_PYCUDA = {"pycuda.__init__": "", "pycuda.driver": ""}

_TENSORRT = {
    "missing": _ABSENT,
    "its library is missing": "raise ImportError('libnvinfer.so.10: cannot open shared object file')",
    "for another processor": "raise OSError('libnvinfer.so.10: wrong ELF class: ELFCLASS32')",
    "for another CUDA": "raise RuntimeError('CUDA 13 is needed')",
    "half installed": "raise ModuleNotFoundError('No module named tensorrt_libs', name='tensorrt_libs')",
    "too old": '__version__ = "8.6.2"',
}
_PYCUDAS = {
    "missing": "raise ModuleNotFoundError(\"No module named 'pycuda'\", name='pycuda')",
    "for another CUDA": "raise ImportError('libcurand.so.10: cannot open shared object file')",
}


def cases() -> Iterator[Case]:
    for name, text in _TENSORRT.items():
        yield Case(
            "package tensorrt", name, modules={"tensorrt": text} | _NO_RTX | _PYCUDA, fresh=True, needs_pycuda=False
        )
    for name, text in _PYCUDAS.items():
        modules = {"tensorrt": _NEW_ENOUGH, "pycuda.__init__": text}
        yield Case("package pycuda", name, modules=modules, fresh=True, needs_pycuda=False)
    for name, (owner, method) in _ANSWERS.items():
        yield Case("TensorRT answers", name, prepare=_instead(owner, method))


_ANSWERS = {
    "a null pointer for Runtime": ("Runtime", "__init__"),
    "None for deserialize_cuda_engine": ("Runtime", "deserialize_cuda_engine"),
    "None for create_execution_context": ("_Engine", "create_execution_context"),
    "False for set_input_shape": ("_Context", "set_input_shape"),
    "a name for infer_shapes": ("_Context", "infer_shapes"),
    "False for set_tensor_address": ("_Context", "set_tensor_address"),
    "False for execute_async_v3": ("_Context", "execute_async_v3"),
}


def _instead(owner: str, method: str) -> Any:
    """The stand-in then fails as the bindings do: with nothing, and a word to its logger."""

    def prepare(stage: Stage) -> None:
        import tensorrt

        from engines.tensorrt.log import LOG

        def fails(*arguments: Any, **named: Any) -> Any:
            LOG.log(tensorrt.ILogger.Severity.ERROR, f"[{method}] Error Code 4: Internal Error\n(as the test wants it)")
            if method == "__init__":
                raise TypeError("pybind11::init(): factory function returned nullptr")
            if method == "infer_shapes":
                return ["x"]
            return False if method.startswith(("set", "execute")) else None

        setattr(getattr(tensorrt, owner), method, fails)

    return prepare
