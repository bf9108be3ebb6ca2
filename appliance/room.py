"""Room in the outbox: a quota, a disk that others fill, and what gives way."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from appliance.ballast import Ballast
from appliance.gaps import Gaps
from appliance.outbox_database import Database
from appliance.outbox_file import PAGE_BYTES, OutboxFull, Shape
from appliance.outbox_rows import SEQ_BITS, Stream, place, seq_of

logger = logging.getLogger(__name__)

AT_ONCE = 64
"""Documents evicted in one transaction: few enough for the log, many enough to be worth it."""
LOG_PAGES_WHEN_FULL = 16
OVERHEAD_BYTES = 200
"""Per document: identity, topic, index."""


class Room:
    """Makes room by evicting what was sent already, then the oldest of the lowest priority."""

    def __init__(self, database: Database, gaps: Gaps, ballast: Ballast, shape: Shape, path: Path) -> None:
        self._database = database
        self._gaps = gaps
        self._ballast = ballast
        self._shape = shape
        self._path = path
        self._limit_pages = shape.most_pages

    @property
    def disk_full(self) -> bool:
        """Whether the disk, rather than the quota, sets the limit."""
        return self._limit_pages < self._shape.most_pages

    @property
    def used_bytes(self) -> int:
        """What documents and books take up; freed pages inside the file do not count."""
        pages = self._database.number("PRAGMA page_count") - self._database.number("PRAGMA freelist_count")
        return pages * PAGE_BYTES

    def settle(self) -> None:
        """Hold the reserve again, and grow again, once the disk has space. Cheap; called now and then."""
        if self._ballast.lay():
            if self.disk_full:
                self._limit(self._shape.most_pages)
                logger.info("%s: the disk has space again", self._path)
        elif not self.disk_full:
            self.stop_growing()

    def stop_growing(self) -> None:
        """The disk is full: live within the pages the file has, with the reserve's space for the log."""
        self._ballast.release()
        if not self.disk_full:
            logger.warning("%s: the disk is full; the oldest documents will give way", self._path)
        self._write_log_back()
        self._limit(self._database.number("PRAGMA page_count"))

    def _write_log_back(self) -> None:
        """The log's space can be used again from its beginning."""
        self._database.rows("PRAGMA wal_checkpoint(RESTART)")

    def _limit(self, pages: int) -> None:
        """On a full disk the log may not be able to grow to its usual length: it is written back early."""
        self._limit_pages = pages
        log_pages = LOG_PAGES_WHEN_FULL if self.disk_full else self._shape.checkpoint_pages
        self._database.rows(f"PRAGMA max_page_count={pages}")
        self._database.rows(f"PRAGMA wal_autocheckpoint={log_pages}")

    def make(
        self, wanted_bytes: int, most_priority: int, streams: dict[int, Stream], in_hand: Mapping[int, int]
    ) -> bool:
        """Evict until about `wanted_bytes` fit, nothing above `most_priority`. False when nothing could be gained."""
        wanted_pages = 2 * wanted_bytes // PAGE_BYTES + 16
        if not self.disk_full and self._database.number("PRAGMA page_count") + wanted_pages < self._limit_pages:
            self.stop_growing()
        elif self.disk_full:
            self._write_log_back()
        gained = False
        while self._database.number("PRAGMA freelist_count") < wanted_pages:
            try:
                if not self._evict(most_priority, streams, in_hand):
                    break
            except OutboxFull:
                if self.disk_full:
                    break
                self.stop_growing()
            gained = True
        return gained or self._database.number("PRAGMA freelist_count") >= wanted_pages

    def _evict(self, most_priority: int, streams: dict[int, Stream], in_hand: Mapping[int, int]) -> bool:
        """One batch; False when there is nothing that may go."""
        if self._evict_sent(streams):
            return True
        victims = self._victims(most_priority, streams, in_hand)
        if not victims:
            return False
        reason = "disk full" if self.disk_full else "outbox full"
        topics: dict[int, bytes] = {}
        seqs: dict[int, list[int]] = defaultdict(list)
        for at, topic in victims:
            topics[at >> SEQ_BITS] = topic
            seqs[at >> SEQ_BITS].append(seq_of(at))
        with self._database.transaction(durable=False) as raw:
            raw.executemany("DELETE FROM document WHERE place = ?", [(at,) for at, _ in victims])
            for number, gone in seqs.items():
                streams[number].stored -= len(gone)
                self._gaps.drop(streams[number], gone, reason, topics[number])
            self._database.write_streams(streams[number] for number in seqs)
        return True

    def _evict_sent(self, streams: dict[int, Stream]) -> bool:
        """Documents the receiver has, kept only in case it loses them."""
        for stream in streams.values():
            first = self._database.first(stream)
            if first and seq_of(first) <= stream.acknowledged:
                end = place(stream.number, min(seq_of(first) + AT_ONCE - 1, stream.acknowledged))
                with self._database.transaction(durable=False) as raw:
                    raw.execute("DELETE FROM document WHERE place >= ? AND place <= ?", (first, end))
                return True
        return False

    def _victims(
        self, most_priority: int, streams: dict[int, Stream], in_hand: Mapping[int, int]
    ) -> list[tuple[int, bytes]]:
        victims: list[tuple[int, bytes]] = []
        with self._database.naming_errors():
            rows = self._database.raw.execute(
                "SELECT place, topic FROM document WHERE priority <= ? ORDER BY priority, ordinal", (most_priority,)
            )
            for at, topic in rows:
                number = at >> SEQ_BITS
                if number in streams and seq_of(at) > in_hand.get(number, 0):
                    victims.append((at, topic))
                if len(victims) == AT_ONCE:
                    break
        return victims
