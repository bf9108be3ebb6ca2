"""The input of a network that looks at pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engines.engine import TensorSpec
from engines.manifest import Fit, ImageInput
from engines.recognise.hints import SCALES, Hints, Scale
from engines.recognise.network import Network

_DTYPES: dict[str, Literal["float32", "float16", "uint8"]] = {
    "float32": "float32",
    "float16": "float16",
    "uint8": "uint8",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the sides and channels of a picture are in the input tensor."""

    spec: TensorSpec
    layout: Literal["nchw", "nhwc"]
    width: int
    height: int

    @property
    def batch(self) -> int | None:
        return self.spec.shape[0]


def takes_pictures(network: Network) -> bool:
    """Whether the first input has the axes of a picture."""
    return bool(network.inputs) and len(network.inputs[0].shape) == 4


def picture_of(network: Network, hints: Hints) -> Picture:
    """The picture that the network wants; raises Unrecognised for what it does not say, or what we cannot give."""
    if len(network.inputs) != 1:
        names = ", ".join(spec.name for spec in network.inputs)
        raise network.unrecognised(
            f"it has {len(network.inputs)} inputs ({names}), and a model for pictures may have one: "
            "export it with the others fixed"
        )
    spec = network.inputs[0]
    _, first, second, third = spec.shape
    layout: Literal["nchw", "nhwc"] = "nhwc" if third == 3 and first != 3 else "nchw"
    channels = third if layout == "nhwc" else first
    if channels != 3 or network.exported.channels not in (None, 3):
        raise network.unrecognised(
            f"its input is not a colour picture ({network.signature()}): only pictures of 3 channels can be given; "
            "a network for sound must take samples"
        )
    if spec.dtype.name not in _DTYPES:
        raise network.unrecognised(f"its input is {spec.dtype}: only float32, float16 and uint8 can be given")
    height, width = (first, second) if layout == "nhwc" else (second, third)
    return Picture(spec, layout, *_size(network, hints, width, height))


def _size(network: Network, hints: Hints, width: int | None, height: int | None) -> tuple[int, int]:
    """The network's own size; where it takes any, the one given or exported."""
    wanted = hints.size or network.exported.size
    if width is not None and height is not None:
        if hints.size is not None and hints.size != (width, height):
            raise network.unrecognised(f"it takes {width}x{height} only: leave --size out")
        return width, height
    if wanted is None:
        raise network.unrecognised("it takes pictures of any size: give --size WxH, such as --size 640x640")
    if (width or wanted[0], height or wanted[1]) != wanted:
        raise network.unrecognised(f"a side of its input is fixed ({width or height}): give a --size that agrees")
    return wanted


def image_input(
    picture: Picture,
    hints: Hints,
    *,
    fit: Fit,
    channels: Literal["rgb", "bgr"] = "rgb",
    scale: Scale = "0..1",
) -> ImageInput:
    """The input as usual for a family of networks; what the person gave goes first. uint8 goes in as it is."""
    channels = hints.channels or channels
    dtype = _DTYPES[picture.spec.dtype.name]
    mean, factor = SCALES["0..255" if dtype == "uint8" else hints.scale or scale]
    if channels == "bgr":
        mean, factor = (mean[2], mean[1], mean[0]), (factor[2], factor[1], factor[0])
    return ImageInput(
        tensor=picture.spec.name,
        width=picture.width,
        height=picture.height,
        fit=hints.fit or fit,
        layout=picture.layout,
        channels=channels,
        dtype=dtype,
        mean=mean,
        scale=factor,
        batch=picture.batch,
    )
