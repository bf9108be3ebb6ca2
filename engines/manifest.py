"""What a bundle says about itself: `bundle.json`, schema 1.

The manifest is the contract between whoever makes a model and whoever runs it: how a sample becomes the input tensor,
which networks run, and how their outputs become predictions. Reading one opens no file and loads no network.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
    model_validator,
)

Task: TypeAlias = Literal["detect", "classify", "audio-labels", "vad"]
DecoderName: TypeAlias = Literal[
    "yolo-v5",
    "yolo-v8",
    "yolo-end2end",
    "yolo-seg",
    "yolo-pose",
    "yolo-obb",
    "detr",
    "ssd",
    "fastestdet",
    "classify",
    "audio-labels",
    "keywords",
    "vad",
]
Scalar: TypeAlias = bool | int | float | str

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
FileName: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^(golden/)?[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=128)
]
"""Relative to the bundle: one name, or one inside `golden/`. Never hidden, never outside."""

Digest: TypeAlias = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
LabelText: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=200)]
Triple: TypeAlias = tuple[float, float, float]
Fit: TypeAlias = Literal["letterbox", "stretch", "stretch-antialiased", "center-crop"]
Size: TypeAlias = Annotated[int, Field(ge=1, le=16384)]
Batch: TypeAlias = Annotated[int, Field(ge=1, le=1024)] | None
"""None: the network takes any number of samples at once."""

DECODERS_OF_TASK: dict[Task, tuple[DecoderName, ...]] = {
    "detect": (
        "yolo-v5",
        "yolo-v8",
        "yolo-end2end",
        "yolo-seg",
        "yolo-pose",
        "yolo-obb",
        "detr",
        "ssd",
        "fastestdet",
    ),
    "classify": ("classify",),
    "audio-labels": ("audio-labels", "keywords"),
    "vad": ("vad",),
}

RESERVED_FILES = ("bundle.json", "labels.txt")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class ImageInput(_Strict):
    """How a picture becomes the input tensor."""

    kind: Literal["image"] = "image"
    tensor: str
    """Name of the network's input."""
    width: Size
    height: Size
    fit: Fit
    """`letterbox` keeps the proportions and pads around the middle; `stretch` does not keep them; `center-crop`
    scales the shorter side to fit and cuts the rest off. That one and `stretch-antialiased` average all pixels where
    they shrink a picture, as torchvision does; the others look at four."""
    layout: Literal["nchw", "nhwc"] = "nchw"
    channels: Literal["rgb", "bgr"] = "rgb"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    mean: Triple = (0.0, 0.0, 0.0)
    """In the order of `channels`, on values of 0 to 255."""
    scale: Triple = (1.0, 1.0, 1.0)
    """In the order of `channels`: the network gets (value - mean) * scale."""
    pad: int = Field(114, ge=0, le=255)
    """Value of the letterbox's border, before mean and scale."""
    batch: Batch = 1


class AudioInput(_Strict):
    """How a window of sound becomes the input tensors: float32 samples of -1 to 1, one channel."""

    kind: Literal["audio"] = "audio"
    tensor: str
    """Name of the network's input that takes the samples."""
    layout: Literal["bn", "n", "bcn"] = "bn"
    """Shape of that input: (batch, samples), (samples,) or (batch, 1, samples)."""
    rate_hz: int = Field(ge=1000, le=384_000)
    samples: int = Field(ge=1, le=10_000_000)
    """New samples in a window, without the context."""
    hop: int = Field(ge=1, le=10_000_000)
    """Samples from the start of one window to the start of the next."""
    context: int = Field(0, ge=0, le=1_000_000)
    """Last samples of the window before, put in front; zeros at the start of a stream."""
    batch: Batch = 1
    state: dict[str, str] = {}
    """Name of an output: name of the input that gets it with the next window."""
    state_shapes: dict[str, tuple[Size, ...]] = {}
    """Name of a state input: its shape; float32, zeros at the start of a stream."""
    constants: dict[str, int | float] = {}
    """Name of a further scalar input: its value, such as Silero's `sr`. The network tells its type."""

    @model_validator(mode="after")
    def _every_state_has_a_shape(self) -> AudioInput:
        if set(self.state.values()) != set(self.state_shapes):
            raise ValueError("state_shapes must name exactly the inputs that state carries")
        return self


class Variant(_Strict):
    """The network of a stage once more, made for one back end: smaller, faster, a little less exact."""

    engine: Name
    """The back end that runs it in place of the stage's own file; all others do not look at it."""
    precision: Literal["int8", "float16"]
    file: FileName
    digest: Digest


class Stage(_Strict):
    """One network. The outputs of a stage are the inputs, by name, of the next."""

    name: Name
    file: FileName
    digest: Digest
    variants: tuple[Variant, ...] = ()
    """At most one for each back end; the same inputs and outputs, names and types, as `file`."""

    @model_validator(mode="after")
    def _one_variant_for_each_engine(self) -> Stage:
        engines = [variant.engine for variant in self.variants]
        if len(set(engines)) != len(engines):
            raise ValueError(f"stage {self.name} has two variants for the same engine")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_variants(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A manifest without variants reads, and is named, as it was before there were any."""
        document: dict[str, Any] = dump(self)
        if not self.variants:
            document.pop("variants", None)
        return document


class Decoder(_Strict):
    """How the outputs of the last stage become predictions.

    `options` by decoder; `output` names the tensor where the network has several (default: its only one):

    - `yolo-v5`: `output` (batch, n, 5 + classes): centre, size in input pixels, objectness, class scores.
    - `yolo-v8`: `output` (batch, 4 + classes, n): centre, size in input pixels, class scores.
    - `yolo-end2end`: `output` (batch, n, 6): corners in input pixels, score, class; already without duplicates.
    - `yolo-seg`, `yolo-pose`, `yolo-obb`: as `yolo-v8`, or as `yolo-end2end` with `end2end` true, and behind the class
      scores (end to end: behind the class) of each box the `coefficients` of its mask, whose prototypes are the output
      `protos` (batch, coefficients, rows, columns); `points` of `values` 2 or 3 numbers: across and down in input
      pixels and how visible; or the angle in radians.
    - `detr`: `boxes` (batch, n, 4) centre and size as shares, `scores` (batch, n, classes), `activation`; or `output`
      (batch, n, 4 + classes) of both, of which the best class of each box counts, or with `selected` true (batch, n, 6)
      of box, score and class.
    - `ssd`: `boxes` (batch, n, 4) corners, `scores` (batch, n, columns), `normalised` (true: corners of 0 to 1),
      `background` (true: column 0 is "nothing" and has no label), `activation`.
    - `fastestdet`: `output` (batch, 5 + classes, rows, columns).
    - all of these that find upright boxes: `beside` (1: not looked at), the share of the threshold that is enough for a
      box that stands in a line with one that reaches it, as the digits of a display do.
    - `classify`, `audio-labels`: `output` (batch, classes), `activation`; with `frames` true (frames, classes) for one
      sample, of which the mean counts.
    - `keywords`: `output` (batch, classes), `activation`; `background`, the labels that are no words, between commas
      (`silence,unknown`); `smooth_ms` (200), within which the `smooth_by` of its scores, `mean` (default) or `least`,
      reaches the threshold when a word begins; `lower_by` (0.2), by which a window may fall below the threshold before
      the word is over; `rest_ms` (200), from then until the same word can begin again; `pause_ms` (0: not looked at),
      for which it must be quiet before and after a word, less than a window apart: 15 dB below the loudest of the word,
      or in noise nearer to the background; `faint_db` (25), by which the word may then be quieter than the loudest of
      the last 3 s.
    - `vad`: `output` (batch, 1), `close_threshold`, `min_speech_ms`, `min_silence_ms`, `pad_ms`.

    `activation` is what remains to be applied to raw scores: `none` (default), `softmax` or `sigmoid`.
    """

    name: DecoderName
    threshold: float = Field(ge=0, le=1)
    """Predictions that score less are not reported, but for those that the option `beside` lets pass."""
    nms_iou: float | None = Field(None, ge=0, le=1)
    """Of two boxes that overlap more, the better stays; None: the network has done it."""
    class_aware: bool = True
    """Only boxes of the same class suppress each other."""
    max_detections: int = Field(300, ge=1, le=10_000)
    """At most this many predictions from one sample, the best ones."""
    options: dict[str, Scalar] = {}

    @model_validator(mode="after")
    def _possible_options(self) -> Decoder:
        activation = self.options.get("activation", "none")
        if activation not in ("none", "softmax", "sigmoid"):
            raise ValueError(f"activation {activation!r}: expected none, softmax or sigmoid")
        beside = self.options.get("beside", 1.0)
        if isinstance(beside, str) or not 0 < beside <= 1:
            raise ValueError(f"beside {beside!r}: expected a share of the threshold, more than 0 and at most 1")
        return self


class Manifest(_Strict):
    """Everything that is needed to run a model; `bundle.json` holds it, and so does a recognised bare ONNX file."""

    schema_: Literal[1] = Field(1, alias="schema")
    name: Name
    version: Name
    task: Task
    labels: tuple[LabelText, ...] = Field(min_length=1, max_length=100_000)
    """By class id. `labels.txt` repeats them for people, one a line."""
    input: Annotated[ImageInput | AudioInput, Field(discriminator="kind")]
    stages: tuple[Stage, ...] = Field(min_length=1)
    decoder: Decoder
    files: dict[FileName, Digest] = {}
    """Further files of the bundle: golden inputs and outputs, external weights."""
    about: dict[str, str] = {}
    """For people: licence, source, author."""

    @property
    def networks(self) -> dict[str, str]:
        """File of every stage and of every variant: its digest."""
        stages = {stage.file: stage.digest for stage in self.stages}
        return stages | {each.file: each.digest for stage in self.stages for each in stage.variants}

    @property
    def digest(self) -> str:
        """Names this exact model everywhere: sha256 of the canonical JSON, which covers the digest of every file."""
        return "sha256:" + hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """The same bytes for the same manifest, whoever wrote its `bundle.json` and how."""
        document = self.model_dump(mode="json", by_alias=True)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @model_validator(mode="after")
    def _task_fits(self) -> Manifest:
        wanted = "image" if self.task in ("detect", "classify") else "audio"
        if self.input.kind != wanted:
            raise ValueError(f"task {self.task} needs an input of kind {wanted}, not {self.input.kind}")
        if self.decoder.name not in DECODERS_OF_TASK[self.task]:
            choices = " or ".join(DECODERS_OF_TASK[self.task])
            raise ValueError(f"task {self.task} cannot use decoder {self.decoder.name}: expected {choices}")
        return self

    @model_validator(mode="after")
    def _every_file_is_named_once(self) -> Manifest:
        names = [stage.file for stage in self.stages] + list(self.files)
        names += [variant.file for stage in self.stages for variant in stage.variants]
        for name in names:
            if name in RESERVED_FILES:
                raise ValueError(f"{name} cannot be a stage or a further file")
        if len(set(names)) != len(names) or len({stage.name for stage in self.stages}) != len(self.stages):
            raise ValueError("two stages or files have the same name")
        return self
