"""What models, their library and what they are worked on with raise, as an exit code and a sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from appliance.cli.errors import BadInput, Failed
from capture.source import CaptureError
from engines.engine import EngineError, EngineUnavailable


@contextlib.contextmanager
def model_errors() -> Iterator[None]:
    """Inside, EngineError and CaptureError are bad input; a missing back end and a disk that refuses are failures."""
    try:
        yield
    except EngineUnavailable as error:
        raise Failed(str(error)) from error
    except (EngineError, CaptureError) as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise Failed(f"{error.filename or 'the library of models'}: {error.strerror or error}") from error
