"""Room in the outbox: a quota, a disk that others fill, and what gives way."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping

from appliance.outbox.ballast import Ballast
from appliance.outbox.books import Books
from appliance.outbox.database import Database
from appliance.outbox.file import OutboxFull, Shape
from appliance.outbox.gaps import Gaps, Gone
from appliance.outbox.rows import number_of, seq_of
from appliance.outbox.sqlite_pages import PAGE_BYTES

logger = logging.getLogger(__name__)

AT_ONCE = 64
"""Documents evicted in one transaction: few enough for the log, many enough to be worth it. Fewer, down to one, when
somebody else took the space for the log too."""
LOG_PAGES_WHEN_FULL = 16
OVERHEAD_BYTES = 200
"""Per document: identity, topic, index."""
SPARE_PAGES = 16
"""More than asked for, so that not every document has to make its own room."""


class Room:
    """Makes room by evicting what was sent already, then the oldest of the lowest priority."""

    def __init__(self, database: Database, books: Books, gaps: Gaps, ballast: Ballast, shape: Shape) -> None:
        self._database = database
        self._books = books
        self._gaps = gaps
        self._ballast = ballast
        self._shape = shape
        self._limit_pages = shape.most_pages

    @property
    def disk_full(self) -> bool:
        """Whether the disk, rather than the quota, sets the limit."""
        return self._limit_pages < self._shape.most_pages

    @property
    def used_bytes(self) -> int:
        """What documents and books take up; freed pages inside the file do not count."""
        pages = self._database.number("PRAGMA page_count") - self._free_pages
        return pages * PAGE_BYTES

    @property
    def _free_pages(self) -> int:
        return self._database.number("PRAGMA freelist_count")

    def settle(self) -> None:
        """Hold the reserve again, and grow again, once the disk has space. Cheap; called now and then."""
        if self._ballast.lay():
            if self.disk_full:
                self._limit(self._shape.most_pages)
                logger.info("%s: the disk has space again", self._database.path)
        elif not self.disk_full:
            self._stop_growing()

    def _stop_growing(self) -> None:
        """The disk is full: live within the pages the file has, with the reserve's space for the log."""
        self._ballast.release()
        if not self.disk_full:
            logger.warning("%s: the disk is full; the oldest documents will give way", self._database.path)
        self._database.write_log_back()
        self._limit(self._database.number("PRAGMA page_count"))

    def _limit(self, pages: int) -> None:
        """On a full disk the log may not be able to grow to its usual length: it is written back early."""
        self._limit_pages = pages
        log_pages = LOG_PAGES_WHEN_FULL if self.disk_full else self._shape.checkpoint_pages
        self._database.rows(f"PRAGMA max_page_count={pages}")
        self._database.rows(f"PRAGMA wal_autocheckpoint={log_pages}")

    def make(self, wanted_bytes: int, most_priority: int, in_hand: Mapping[int, int]) -> bool:
        """Evict until about `wanted_bytes` fit, nothing above `most_priority` and nothing `in_hand`.

        False when nothing could be gained. May raise OutboxFull.
        """
        wanted_pages = wanted_bytes // PAGE_BYTES + SPARE_PAGES
        if not self.disk_full and self._ballast.disk_is_full:
            self._stop_growing()
            gained = True
        else:
            gained = self.disk_full and self._database.write_log_back()
        at_once = AT_ONCE
        while self._free_pages < wanted_pages:
            try:
                if not (self._evict_sent(at_once) or self._evict(most_priority, in_hand, at_once)):
                    break
            except OutboxFull:
                if not self.disk_full:
                    self._stop_growing()
                elif at_once > 1:
                    at_once //= 8
                    self._database.write_log_back()
                    continue
                else:
                    break
            gained = True
        if gained and self.disk_full:
            self._database.write_log_back()  # evicting has filled it, and it may not be able to grow
        return gained or self._free_pages >= wanted_pages

    def _evict_sent(self, at_once: int) -> bool:
        """Documents the receiver has, kept only in case it loses them. One batch; False when there are none."""
        for stream in self._books.streams.values():
            first = self._database.first(stream)
            if first and seq_of(first) <= stream.acknowledged:
                last = min(seq_of(first) + at_once - 1, stream.acknowledged)
                with self._database.transaction(durable=False):
                    self._database.delete(stream, seq_of(first), last)
                return True
        return False

    def _evict(self, most_priority: int, in_hand: Mapping[int, int], at_once: int) -> bool:
        """One batch; False when there is nothing that may go."""
        victims = self._victims(most_priority, in_hand, at_once)
        if not victims:
            return False
        reason = "disk full" if self.disk_full else "outbox full"
        topics: dict[int, bytes] = {}
        seqs: dict[int, list[int]] = defaultdict(list)
        for at, topic in victims:
            topics[number_of(at)] = topic
            seqs[number_of(at)].append(seq_of(at))
        with self._database.transaction(durable=False) as raw:
            raw.executemany("DELETE FROM document WHERE place = ?", [(at,) for at, _ in victims])
            for number, gone in seqs.items():
                self._gaps.drop(self._books.streams[number], Gone.of(gone), reason, topics[number])
        return True

    def _victims(self, most_priority: int, in_hand: Mapping[int, int], most: int) -> list[tuple[int, bytes]]:
        victims: list[tuple[int, bytes]] = []
        with self._database.naming_errors():
            rows = self._database.raw.execute(
                "SELECT place, topic FROM document WHERE priority <= ? ORDER BY priority, ordinal", (most_priority,)
            )
            for at, topic in rows:
                if seq_of(at) > in_hand.get(number_of(at), 0):
                    victims.append((at, topic))
                if len(victims) == most:
                    break
        return victims
