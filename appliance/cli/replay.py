"""`appliance replay`: whether a recording would be answered as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.recorder.recording import Recording
    from appliance.recorder.replay import Found


@click.command()
@click.argument("clips", nargs=-1, required=True, metavar="CLIP...", type=click.Path(path_type=Path))
@click.option("--model", help="Another model than the one that answered: installed, a bundle folder or an .onnx file.")
@click.option(
    "--engine", type=click.Choice(["auto", "onnxruntime", "tensorrt"]), default="auto", help="Which back end runs it."
)
@click.option("--score", type=Number(0, 1), metavar="S", help="Scores may differ by so much.")
@click.option("--box", type=Number(min=0), metavar="PX", help="Sides of boxes may differ by so many pixels.")
def replay(clips: tuple[Path, ...], model: str | None, engine: str, score: float | None, box: float | None) -> None:
    """Run every CLIP of the recorder through its pipeline again, and name the first difference.

    CLIP is one of the files of a clip. The pipeline is as it was configured when the clip was made: the same
    preparation, decoder, tracker and events. Clips of `exact = true` and sound are compared to a thousandth of a score
    and a tenth of a pixel, tracks and events included; of other clips only what was detected is, to 0.15 and 8 pixels.
    Ends with 1 when something differs.
    """
    from appliance.catalogue import Catalogue
    from appliance.recorder.recording import NoRecording, Recording
    from appliance.recorder.replay import Replay, tolerance_of
    from engines.engine import EngineError

    differing = idle = 0
    for path in clips:
        try:
            recording = Recording.open(path)
            named = str((recording.clip.settings or {}).get("model", recording.clip.model.name))
            bundle = Catalogue.default().find(model or named)
            if bundle.manifest.digest != recording.clip.model.digest:
                click.echo(f"{path.name}: {_other_model(recording, bundle.manifest.digest)}", err=True)
            tolerance = tolerance_of(recording)
            if score is not None:
                tolerance = replace(tolerance, score=score)
            if box is not None:
                tolerance = replace(tolerance, box_px=box)
            found = Replay(recording, bundle, tolerance, engine).run()
        except (NoRecording, EngineError) as error:
            raise BadInput(str(error)) from error
        click.echo(f"{path.name}: {_in_words(recording, found)}")
        differing += found.difference is not None
        idle += found.compared == 0
    if differing:
        raise Failed(f"{differing} of {len(clips)} clips are answered differently")
    if idle:
        raise Failed(f"of {idle} of {len(clips)} clips nothing could be compared")


def _other_model(recording: Recording, digest: str) -> str:
    was = recording.clip.model
    return f"recorded with {was.name} {was.version} ({was.digest[:19]}…), replayed with {digest[:19]}…"


def _in_words(recording: Recording, found: Found) -> str:
    what = "picture" if recording.clip.kind == "video" else "window"
    if found.difference is None:
        said = f"{found.compared} {what}s, all as recorded" if found.compared else "nothing could be compared"
        return said + (f" ({found.taken} more were not kept, or answered elsewhere)" if found.taken else "")
    where = f"{'frame' if what == 'picture' else what} {found.seq}"
    place = (
        "" if found.place is None else f" ({'picture' if what == 'picture' else 'sample'} {found.place} of the clip)"
    )
    return f"{where}{place}: {found.difference}"
