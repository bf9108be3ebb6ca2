"""TensorRT's own words: it raises nothing, it answers None or False and tells its logger why.

Imports tensorrt: only after `bindings.load`.
"""

from __future__ import annotations

import logging
from collections import deque

import tensorrt as trt

from engines.engine import EngineError
from engines.tensorrt.reasons import explained

_LEVELS = {
    trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
    trt.ILogger.Severity.ERROR: logging.ERROR,
    trt.ILogger.Severity.WARNING: logging.WARNING,
    trt.ILogger.Severity.INFO: logging.DEBUG,
    trt.ILogger.Severity.VERBOSE: logging.NOTSET,
}
_GRAVE = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)

_KEPT = 8


class Log(trt.ILogger):
    """Passes on what TensorRT says, and keeps its last errors. Called from TensorRT's threads too; never raises."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)  # the bindings do not do it by themselves
        self._logger = logging.getLogger("tensorrt")
        self._errors: deque[str] = deque(maxlen=_KEPT)

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in _GRAVE:
            self._errors.append(msg.strip())
        level = _LEVELS.get(severity, logging.INFO)
        if level:
            # Errors come back as exceptions of ours; here they are for whoever asks for details.
            self._logger.log(min(level, logging.INFO), "%s", msg)

    def forget(self) -> None:
        """What was said so far has nothing to do with what comes."""
        self._errors.clear()

    def failure(self, what: str, step: str = "") -> EngineError:
        """An error that says `what` failed, TensorRT's reasons, and the next step where they name none."""
        reasons = "; ".join(dict.fromkeys(self._errors))
        self._errors.clear()
        return EngineError(explained(what, reasons, step))


LOG = Log()
"""The only one: TensorRT keeps the first logger that a process gives it for good."""
