"""What the values of the configuration may look like: names, seconds, shares, polygons, paths."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Name: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="a name of letters, digits, '.', '_' and '-'",
        examples=["dock"],
    ),
]
Text: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=1024)]
Seconds: TypeAlias = Annotated[
    float, Field(ge=0.001, le=1_000_000, description="a number of seconds above 0", examples=[3.0])
]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1", examples=[0.4])]
Pixel: TypeAlias = Annotated[int, Field(ge=-100_000, le=100_000)]
Point: TypeAlias = Annotated[
    tuple[Pixel, Pixel], Field(description="a point [x, y] in pixels of the final picture", examples=[[120, 80]])
]
Polygon: TypeAlias = Annotated[
    list[Point],
    Field(
        min_length=3, description="at least three points [x, y] in pixels", examples=[[[0, 0], [200, 0], [200, 150]]]
    ),
]


def _a_path(value: Any) -> Any:
    """Path("") would silently mean the folder we happen to be in."""
    if isinstance(value, str) and (not value or "\0" in value):
        raise ValueError("not a path: give one, or leave the key out")
    return value


File: TypeAlias = Annotated[Path, BeforeValidator(_a_path)]


class Table(BaseModel):
    """A table of the file: unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def twins(where: str, key: str, values: list[str]) -> Iterator[str]:
    """A sentence for every value that stands there more than once."""
    for value in sorted({value for value in values if values.count(value) > 1}):
        more = "; one camera can serve several pipelines" if key == "uri" else ""
        yield f'{where}: the {key} "{value}" is used twice; each needs its own{more}'
