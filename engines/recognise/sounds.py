"""Networks that listen."""

from __future__ import annotations

from typing import Literal

from engines.engine import TensorSpec
from engines.manifest import AudioInput, Decoder, Scalar
from engines.recognise.draft import Draft
from engines.recognise.hints import Hints
from engines.recognise.network import Network, name_classes, remaining_activation

_LAYOUTS: dict[int, Literal["n", "bn", "bcn"]] = {1: "n", 2: "bn", 3: "bcn"}
_SILERO_WINDOWS = {16_000: (512, 64), 8_000: (256, 32)}
"""Rate: new samples and context of a window, as Silero's own code cuts them."""
ONE_AT_A_TIME = (
    "no softmax or sigmoid at its end, so its scores are taken for raw ones of one sound at a time (softmax); where it "
    "names several at once, export it with its sigmoid"
)


def listener(network: Network, hints: Hints) -> Draft | None:
    """None when no input looks like sound; Unrecognised when one does and something is missing."""
    inputs = {spec.name: spec for spec in network.inputs}
    if {"input", "h", "c"} <= set(inputs):
        raise network.unrecognised("a Silero VAD of version 4 or before: get version 5 or later")
    if "state" in inputs and "input" in inputs and len(network.outputs) == 2:
        return _silero(network, hints, inputs)
    sound = network.inputs[0] if len(network.inputs) == 1 else None
    if sound is not None and len(sound.shape) in _LAYOUTS and sound.dtype.name == "float32":
        return _audio_labels(network, hints, sound)
    return None


def _silero(network: Network, hints: Hints, inputs: dict[str, TensorSpec]) -> Draft:
    """Silero VAD of version 5 and later: windows of 32 ms, a little context, and a state carried along."""
    state = inputs["state"]
    output, following = network.outputs
    if len(state.shape) != 3:
        raise network.unrecognised(f"looks like a Silero VAD, but is not one we know: {network.signature()}")
    rate_hz = hints.rate_hz or network.exported.rate_hz or 16_000
    if rate_hz not in _SILERO_WINDOWS:
        raise network.unrecognised(f"Silero VAD listens at 16000 or 8000 Hz: --rate {rate_hz} cannot be")
    samples, context = _SILERO_WINDOWS[rate_hz]
    return Draft(
        "vad",
        AudioInput(
            tensor="input",
            rate_hz=rate_hz,
            samples=samples,
            hop=samples,
            context=context,
            state={following.name: "state"},
            state_shapes={"state": tuple(size or 1 for size in state.shape)},
            constants={"sr": rate_hz} if "sr" in inputs else {},
        ),
        Decoder(
            name="vad",
            threshold=0.5 if hints.threshold is None else hints.threshold,
            options={
                "output": output.name,
                "close_threshold": 0.35,
                "min_speech_ms": 250,
                "min_silence_ms": 100,
                "pad_ms": 30,
            },
        ),
        ("speech",),
    )


def _scores(network: Network, hints: Hints) -> TensorSpec | None:
    """The output with the scores; beside embeddings and spectrograms (as of YAMNet) it is told by the labels."""
    if len(network.outputs) == 1:
        return network.outputs[0]
    labels = hints.labels or network.exported.names
    if labels is None:
        names = ", ".join(spec.name for spec in network.outputs)
        raise network.unrecognised(f"which of its outputs ({names}) are the scores? Give --labels FILE")
    fitting = [spec for spec in network.outputs if spec.shape and spec.shape[-1] == len(labels)]
    return fitting[0] if len(fitting) == 1 else None


def _options(network: Network, sound: TensorSpec, output: TensorSpec, activation: str) -> dict[str, Scalar]:
    """Many frames of scores for one stretch of sound are averaged."""
    options: dict[str, Scalar] = {"activation": activation}
    if len(network.outputs) > 1:
        options["output"] = output.name
    if len(sound.shape) == 1 and len(output.shape) == 2 and output.shape[0] != 1:
        options["frames"] = True
    return options


def _audio_labels(network: Network, hints: Hints, sound: TensorSpec) -> Draft | None:
    output = _scores(network, hints)
    if output is None or len(output.shape) not in (1, 2):
        return None
    if len(sound.shape) == 3 and sound.shape[1] not in (1, None):
        return None
    count = output.shape[-1]
    if count is None:
        raise network.unrecognised("it does not say how many classes there are: export it with fixed sizes")
    rate_hz = hints.rate_hz or network.exported.rate_hz
    if rate_hz is None:
        raise network.unrecognised(
            f"it may name sounds ({network.signature()}), but at what rate? Give --rate HZ, such as --rate 16000"
        )
    samples = sound.shape[-1] or hints.samples
    if samples is None:
        raise network.unrecognised("it takes sound of any length: give --samples N, such as --samples 16000")
    labels, warnings = name_classes(network, hints, count)
    activation = remaining_activation(network, output.name)
    if activation is None:
        warnings += (f"{network.path}: {ONE_AT_A_TIME}",)
    return Draft(
        "audio-labels",
        AudioInput(
            tensor=sound.name,
            layout=_LAYOUTS[len(sound.shape)],
            rate_hz=rate_hz,
            samples=samples,
            hop=max(1, samples // 2),
            batch=sound.shape[0] if len(sound.shape) > 1 else 1,
        ),
        Decoder(
            name="audio-labels",
            threshold=0.5 if hints.threshold is None else hints.threshold,
            max_detections=5,
            options=_options(network, sound, output, activation or "softmax"),
        ),
        labels,
        warnings,
    )
