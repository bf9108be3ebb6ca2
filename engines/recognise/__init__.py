"""Tells what a bare ONNX file is for: from what exporters write into it, names, types and shapes. It is not run."""

from engines.recognise.hints import Hints, Unrecognised
from engines.recognise.recognition import Recognition, examine, name_from, recognise

__all__ = ["Hints", "Recognition", "Unrecognised", "examine", "name_from", "recognise"]
