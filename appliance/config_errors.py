"""Turns a validation error into sentences: file, table, key, value, what was expected, such as what."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

_CREDENTIALS = re.compile(r"//[^/@\s]+@")


class ConfigError(Exception):
    """The configuration cannot be used; one line per fault."""


def explain(error: ValidationError, raw: dict[str, Any], where: str, root: type[BaseModel]) -> Iterator[str]:
    """One sentence per fault, in the order of the file's tables."""
    for fault in error.errors():
        for sentence in _sentence(fault, raw, root).splitlines():
            yield f"{where}: {sentence}"


def _sentence(fault: Any, raw: dict[str, Any], root: type[BaseModel]) -> str:
    path: tuple[int | str, ...] = fault["loc"]
    if fault["type"] == "value_error":
        table = _table_words(path, raw)
        return (f"{table}: " if table else "") + str(fault["ctx"]["error"])
    key, table_path = _key_and_table(path, raw)
    table = _table_words(table_path, raw)
    prefix = f"{table}: " if table else ""
    owner = _model_at(root, table_path)
    if fault["type"] == "extra_forbidden":
        return f"{prefix}{_unknown(key, owner)}"
    field = owner.model_fields.get(key) if owner else None
    if field is not None and _model_in(field.annotation) is not None:
        return f"{prefix}{_not_a_table(key, field, nested=bool(table))}"
    if fault["type"] == "missing" and len(path) == len(table_path) + 1:
        return f"{prefix}{key} is missing: give {_expected(field)}"
    shown = _shown(_value_at(raw, (*table_path, key)))
    return f"{prefix}{key} = {shown}: expected {_expected(field)}{_bound(fault)}"


_BOUNDS = {
    "greater_than_equal": " (at least {ge})",
    "less_than_equal": " (at most {le})",
    "string_too_long": " (at most {max_length} characters)",
}


def _bound(fault: Any) -> str:
    words = _BOUNDS.get(fault["type"], "")
    return words.format(**fault["ctx"]) if words else ""


def _not_a_table(key: str, field: FieldInfo, nested: bool) -> str:
    """TOML's brackets are what newcomers get wrong most: [camera] is one table, [[camera]] the first of several."""
    if "list" not in str(field.annotation):
        return f"{key}: expected one table: write [{key}] and its keys below"
    name = f"…{key}" if nested else key
    return f"{key}: expected a list of tables: write [[{name}]], in double brackets, and the keys of each below"


def _key_and_table(path: tuple[int | str, ...], raw: Any) -> tuple[str, tuple[int | str, ...]]:
    """Split a location into the key a person wrote and the table it is in.

    Locations inside a value (an item of a list of points) belong to the key that holds the value.
    """
    value, table = raw, ()
    taken: tuple[int | str, ...] = ()
    for step in path[:-1]:
        value = _child(value, step)
        taken = (*taken, step)
        if isinstance(value, dict):
            table = taken  # type: ignore[assignment]  # grows from () on purpose
    rest = path[len(table) :]
    return str(next((step for step in rest if isinstance(step, str)), path[-1])), table


def _child(value: Any, step: int | str) -> Any:
    if isinstance(value, dict) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return None


def _value_at(raw: Any, path: tuple[int | str, ...]) -> Any:
    for step in path:
        raw = _child(raw, step)
    return raw


def _table_words(path: tuple[int | str, ...], raw: Any) -> str:
    """`[[camera]] front`, `[mqtt]`, `[[pipeline]] dock-people zones 1`."""
    words: list[str] = []
    for position, step in enumerate(path):
        if isinstance(step, int):
            table = _value_at(raw, path[: position + 1])
            name = table.get("name") if isinstance(table, dict) else None
            usable = isinstance(name, str) and name.isprintable() and 0 < len(name) <= 64
            words.append(str(name) if usable else str(step + 1))
        elif position == 0:
            array = len(path) > 1 and isinstance(path[1], int)
            words.append(f"[[{step}]]" if array else f"[{step}]")
        else:
            words.append(step)
    return " ".join(words)


def _model_at(root: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel] | None:
    model: type[BaseModel] | None = root
    for step in path:
        if isinstance(step, int) or model is None:
            continue
        field = model.model_fields.get(step)
        model = _model_in(field.annotation) if field else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _unknown(key: str, owner: type[BaseModel] | None) -> str:
    known = list(owner.model_fields) if owner else []
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f'unknown key "{key}"; did you mean "{near[0]}"?'
    return f'unknown key "{key}"; known here: {", ".join(known)}'


def _expected(field: FieldInfo | None) -> str:
    if field is None:
        return "another value; see `appliance config example`"
    words = field.description or "another value"
    return f"{words}, such as {_shown(field.examples[0])}" if field.examples else words


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:
        text = str(value)
    text = _CREDENTIALS.sub("//***@", text)
    return text if len(text) <= 80 else f"{text[:77]}…"
