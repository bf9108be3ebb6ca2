"""From a path to an open, sound outbox file, whatever lies there."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from appliance.outbox import file as outbox_file
from appliance.outbox.ballast import Ballast
from appliance.outbox.books import Books, Told, begin, boot_id
from appliance.outbox.database import Database
from appliance.outbox.file import OutboxDamaged, OutboxError, OutboxFull, Shape
from appliance.outbox.gaps import ANNOUNCEMENT, Gaps, Gone
from appliance.outbox.high_water import HighWater, Mark
from appliance.outbox.replace import finish, replace
from appliance.outbox.rows import seq_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """An outbox file in use."""

    database: Database
    books: Books
    damage: str = ""
    """What was wrong with the file that this one has replaced just now; empty when none was."""
    saved: int = 0
    """Documents taken over from it."""


class Opening:
    """Opens the file at a path. A damaged one is replaced; on a full disk the ballast is let go."""

    def __init__(self, path: Path, shape: Shape, ballast: Ballast, high_water: HighWater) -> None:
        self._path = path
        self._shape = shape
        self._ballast = ballast
        self._high_water = high_water

    def open(self, condemned: str) -> Opened:
        """`condemned`: damage found in earlier use, which looking at the file may not show. Raises OutboxError."""
        try:
            finish(self._path)
            with ExitStack() as damaged:
                try:
                    return self._open_sound(damaged, condemned)
                except OutboxDamaged as e:
                    damage = str(e)
                    logger.error("%s; a new outbox is begun with what can be saved", damage)
                    # The damaged database is still open: closing it would delete what its log still holds.
                    saved = replace(self._path, self._shape, self._ballast)
            with ExitStack() as unfinished:
                opened = self._open_sound(unfinished, condemned="")
        except OSError as e:
            if e.errno in outbox_file.NO_ROOM:
                raise OutboxFull(outbox_file.no_room(self._path)) from e
            raise OutboxError(f"{self._path}: it cannot be opened: {e.strerror}: check the disk") from e
        logger.warning("%s: epoch %s begun, %d documents saved", self._path, opened.books.epoch, saved)
        return Opened(opened.database, opened.books, damage, saved)

    def _open_sound(self, unless: ExitStack, condemned: str) -> Opened:
        """Leaves `unless` empty when it succeeds. Raises OutboxDamaged when there is a file and it is not sound."""
        if condemned:
            raise OutboxDamaged(condemned)
        try:
            opened = self._open_file(unless)
        except OutboxFull:
            unless.close()
            self._ballast.release()
            opened = self._open_file(unless)
        unless.pop_all()
        return opened

    def _open_file(self, unless: ExitStack) -> Opened:
        mark = self._high_water.read()
        outbox_file.look(self._path, mark)
        database = Database(self._path, self._shape)
        unless.callback(database.close)
        if database.is_new:
            books = begin(database, self._shape)
        else:
            about, streams = outbox_file.check(database.raw, mark, self._path)
            books = Books(database, about["epoch"], streams)
        unless.callback(self._high_water.close)
        try:
            self._high_water.begin(Mark(books.epoch, books.accepted_in_epoch))
        except OSError as e:
            if e.errno in outbox_file.NO_ROOM:
                raise OutboxFull(outbox_file.no_room(self._path)) from e
            raise
        _note_boot(database, books)
        return Opened(database, books)


def _note_boot(database: Database, books: Books) -> None:
    """After a power cut a broker on this machine may have lost what it had acknowledged: send it again."""
    if database.about("boot") == boot_id():
        return
    with database.transaction(durable=True):
        for stream in books.streams.values():
            first = seq_of(database.first(stream))
            if 0 < first <= stream.acknowledged:
                books.rewind(stream, first - 1)
        database.note("boot", boot_id())


def take_back(database: Database, books: Books, gaps: Gaps, told: Told | None) -> None:
    """Drop what is on the disk although its commit had failed: nobody was told of it, and it is handed in again."""
    if told is None or told.epoch != books.epoch:
        return
    with database.transaction(durable=True):
        for stream in list(books.streams.values()):
            after = told.last.get(stream.name, 0) if stream.epoch == books.epoch else stream.last
            rows = [row for row in database.documents(stream, after) if row[1] != ANNOUNCEMENT]
            if rows:
                seqs = [seq_of(row[0]) for row in rows]
                for seq in seqs:
                    database.delete(stream, seq, seq)
                gaps.drop(stream, Gone.of(seqs), "handed in again after a disk error", topic=rows[-1][4])
