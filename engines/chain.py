"""The networks of a model, one behind the other, and a look at what they return before anyone believes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from engines.decode import Shape, misfit
from engines.engine import Array, Engine, EngineError, Tensors
from engines.manifest import Manifest

Link: TypeAlias = tuple[str, Engine]
"""The stages that an engine runs, by name, and the engine."""


class Chain:
    """Open engines in the order of the manifest's stages; the outputs of one are the inputs, by name, of the next."""

    def __init__(self, manifest: Manifest, stages: Sequence[Link], given: Collection[str]) -> None:
        """`given`: names of the tensors that are put in. Raises EngineError when a network needs one nobody makes."""
        self._stages = tuple(stages)
        self._name = manifest.name
        engines = [engine for _, engine in stages]
        known = set(given)
        for stage, engine in self._stages:
            for spec in engine.inputs:
                if spec.name not in known:
                    raise EngineError(
                        f"{manifest.name}: stage {stage} needs input {spec.name}, which nothing before it makes; "
                        f"there are {', '.join(sorted(known))}"
                    )
            known |= {spec.name for spec in engine.outputs}
        for name in given:
            if all(spec.name != name for engine in engines for spec in engine.inputs):
                raise EngineError(
                    f"{manifest.name}: no network has an input {name}; the manifest must name the right one"
                )

    def run(self, tensors: Tensors) -> dict[str, Array]:
        """Outputs of all stages by name; they may be overwritten by the next run. Raises EngineError."""
        known = dict(tensors)
        for link in self._stages:
            known |= self._run_one(link, known)
        return known

    def run_some(self, tensors: Tensors, first: str | None, last: str | None) -> dict[str, Array]:
        """Outputs of stage `last` alone, from tensors that stand in for everything before stage `first`; None: the
        last and the first there is. They may be overwritten by the next run. Raises EngineError.
        """
        names = [name for name, _ in self._stages]
        try:
            start = 0 if first is None else names.index(first)
            stop = len(names) if last is None else names.index(last, start) + 1
        except ValueError as error:
            raise EngineError(
                f"{self._name}: no stages from {first} to {last}; there are {', '.join(names)}"
            ) from error
        known, outputs = dict(tensors), dict[str, Array]()
        for link in self._stages[start:stop]:
            outputs = self._run_one(link, known)
            known |= outputs
        return outputs

    @property
    def links(self) -> tuple[Link, ...]:
        return self._stages

    def _run_one(self, link: Link, known: Tensors) -> dict[str, Array]:
        stage, engine = link
        if missing := [spec.name for spec in engine.inputs if spec.name not in known]:
            raise EngineError(f"{self._name}: stage {stage} needs {', '.join(missing)}, which was not given")
        outputs = engine.run({spec.name: known[spec.name] for spec in engine.inputs})
        if outputs.keys() != {spec.name for spec in engine.outputs}:
            expected = ", ".join(spec.name for spec in engine.outputs)
            raise EngineError(
                f"{self._name}: stage {stage} returned {', '.join(outputs) or 'nothing'}, expected {expected}"
            )
        return outputs

    def cancel(self) -> None:
        """Make the run in progress raise EngineError soon; from any thread."""
        for _, engine in self._stages:
            engine.cancel()


class Outputs:
    """What a run made of its rows: of the right shape, as float32. Decoders look whether it is finite."""

    def __init__(self, outputs: Mapping[str, Array], shapes: Mapping[str, Shape], rows: int) -> None:
        """`shapes`: name and shape, without the first axis, of what is read. Raises EngineError."""
        self._outputs: dict[str, Array] = {}
        for name, shape in shapes.items():
            output = outputs[name]
            if rows == 1 and output.ndim == len(shape):
                output = output[np.newaxis]  # a network for single samples need not count them
            if wrong := misfit(name, output.shape, (rows, *shape)):
                raise wrong
            self._outputs[name] = output.astype(np.float32, copy=False)

    def row(self, number: int) -> dict[str, Array]:
        """The outputs for one sample, without the first axis."""
        return {name: output[number] for name, output in self._outputs.items()}
