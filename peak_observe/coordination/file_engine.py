"""Engine of one host: a mapped file, with nothing to install and no server to run."""

from __future__ import annotations

import math
import secrets
import time
from typing import TYPE_CHECKING, Any

from peak_observe.coordination import record_steps, records, windows
from peak_observe.coordination.engine import CircuitNews, EngineError, HoldNews, NewsBatch, SharedPicture, StoredRecord
from peak_observe.coordination.mapped_file import MappedTable
from peak_observe.coordination.records import CircuitRecord, Hold
from peak_observe.coordination.windows import WindowLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.coordination.windows import WindowRequest

ALIVE = 3.0
"""Seconds for which a process counts as a member after it was last heard of."""
CIRCUIT, HOLD, TURN, MEMBER, NONCE, WINDOW = "c:", "h:", "t:", "m:", "n:", "w:"
_FOREVER = -1.0


class FileEngine:
    """Engine that runs the pure steps of `records` on the rows of a mapped file.

    Args:
        path: The file.
        timeout: Seconds that a step waits for the lock at most.
        clock: Its monotonic seconds are those of the host, the same in all processes.
    """

    def __init__(self, path: str, *, timeout: float, clock: Clock) -> None:
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._table: MappedTable | None = None

    def open(self, name: str, *, era: int, seconds: float, by: str, reason: str, voter: str) -> CircuitNews:
        """Open a circuit that is closed in this era; one host needs no votes."""
        del voter
        return self._step(name, lambda r, now: records.opened(r, now, era=era, seconds=seconds, by=by, reason=reason))

    def claim(self, name: str, *, lease: float) -> tuple[str, CircuitNews]:
        """Ask for the probe lease."""
        deadline, answer = self._clock.monotonic() + self._timeout, [""]

        def claim(record: CircuitRecord, now: float) -> CircuitRecord:
            answer[0], record = records.claimed(record, now, lease=lease, deadline=deadline)
            return record

        news = self._step(name, claim, silent=True)
        return answer[0], news

    def extend(self, name: str, *, token: int, lease: float) -> CircuitNews:
        """Lengthen a lease."""
        return self._step(name, lambda r, now: records.extended(r, now, token=token, lease=lease), silent=True)

    def settle(self, name: str, *, token: int, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Close or reopen a circuit by the result of its probe."""
        return self._step(
            name,
            lambda r, now: records.settled(r, now, token=token, state=state, seconds=seconds, by=by, reason=reason),
        )

    def override(self, name: str, *, state: str, seconds: float, by: str, reason: str) -> CircuitNews:
        """Set a state by hand."""
        return self._step(
            name, lambda r, now: records.overridden(r, now, state=state, seconds=seconds, by=by, reason=reason)
        )

    def hold(self, name: str, *, seconds: float, reason: str) -> HoldNews:
        """Hold an exchange; a longer hold stays."""
        table = self._opened()
        with table.locked():
            now = self._clock.monotonic()
            before = _hold(table.read(HOLD + name))
            after = records.held(before, now, seconds=seconds, reason=reason)
            if after != before:
                # The wall clock too, as monotonic seconds begin anew when the machine does.
                table.write(HOLD + name, [after.until, after.reason, time.time() + after.until - now])
                table.announce()
        return HoldNews(name, records.left(after.until, now), after.reason)

    def reserve(
        self, name: str, *, interval: float, burst: float, weight: float, patience: float
    ) -> tuple[float, bool]:
        """Reserve a turn."""
        table = self._opened()
        with table.locked():
            row, now = table.read(TURN + name), self._clock.monotonic()
            wait, after = records.reserved(
                row[0] if row else 0.0, now, interval=interval, burst=burst, weight=weight, patience=patience
            )
            if after is not None:
                table.write(TURN + name, [after])
        return wait, after is not None

    def reserve_window(self, name: str, *, request: WindowRequest) -> tuple[float, bool, str]:
        """Reserve a turn in windows, each of which has a row."""
        table = self._opened()
        keys = [f"{WINDOW}{per!r}:{name}" for _, per in request.windows]
        with table.locked():
            now = self._clock.monotonic()
            rows = [table.read(key) for key in keys]
            marks = [row[0] if row else None for row in rows]
            mark = next(filter(None, marks), None) or secrets.token_hex(4)
            wait, granted, logs = windows.reserved(
                [_log(row) for row in rows], now, request=request, missing=request.missing(marks)
            )
            for key, log in zip(keys, logs, strict=True):
                table.write(key, _log_row(mark, log, time.time() - now))
        return wait, granted, mark

    def postpone(self, name: str, *, seconds: float) -> None:
        """Let no turn begin for some seconds."""
        table = self._opened()
        with table.locked():
            row, now = table.read(TURN + name), self._clock.monotonic()
            table.write(TURN + name, [max(row[0] if row else 0.0, now + seconds)])

    def nonce(self, name: str, *, least: int) -> int:
        """Take the next nonce of a key."""
        table = self._opened()
        with table.locked():
            row = table.read(NONCE + name)
            found = records.next_nonce(row[0] if row else None, least)
            table.write(NONCE + name, [found])
        return found

    def seed(self, circuits: list[CircuitNews], holds: list[HoldNews]) -> None:
        """Bring back what the file lost."""
        table, changed = self._opened(), False
        with table.locked():
            now = self._clock.monotonic()
            for news in circuits:
                before = _circuit(table.read(CIRCUIT + news.name))
                after = records.seeded(before, _record(news, now))
                if after != before:
                    table.write(CIRCUIT + news.name, _row(after))
                    changed = True
            for hold in holds:
                known = _hold(table.read(HOLD + hold.name))
                kept = records.held(known, now, seconds=hold.left, reason=hold.reason)
                if known is None or kept.until > known.until + 1:
                    table.write(HOLD + hold.name, [kept.until, kept.reason, time.time() + hold.left])
                    changed = True
            if changed:
                table.announce()

    def record(self, name: str, value: dict[str, Any] | None = None, *, after: int | None = None) -> StoredRecord:
        """Read a record, and replace it before if it was written `after` times."""
        table = self._opened()
        with table.locked():
            return record_steps.step_in_table(table, name, value, after, self._clock.now().timestamp())

    def record_names(self) -> list[str]:
        """Return the names of all records."""
        table = self._opened()
        with table.locked():
            return [key[2:] for key, _ in table.rows() if key.startswith(record_steps.RECORD)]

    def sync(self, member: str) -> SharedPicture:
        """Take part for some seconds more, and read everything."""
        table = self._opened()
        circuits, holds, members = {}, {}, 0
        with table.locked():
            now = self._clock.monotonic()
            self._take_part_locked(table, member, now)
            for key, row in table.rows():
                kind, name = key[:2], key[2:]
                if kind == CIRCUIT:
                    circuits[name] = _news(name, CircuitRecord(*_times(row)), now)
                elif kind == HOLD and row[0] > now:
                    holds[name] = HoldNews(name, row[0] - now, row[1])
                elif kind == MEMBER:
                    members += row[0] > now
            sequence = table.sequence
        return SharedPicture(sequence, circuits, holds, members)

    def beat(self, member: str) -> tuple[int, int]:
        """Take part for some seconds more; return the number of the last change and of members."""
        table = self._opened()
        with table.locked():
            now = self._clock.monotonic()
            self._take_part_locked(table, member, now)
            members = sum(row[0] > now for key, row in table.rows() if key.startswith(MEMBER))
            return table.sequence, members

    def wait_for_news(self, seconds: float) -> NewsBatch | None:
        """Wait for changes; None if there were none."""
        try:
            woken = self._opened().wait(seconds)
        except (OSError, ValueError) as error:
            raise EngineError(f"the file cannot be watched: {error}") from None
        return NewsBatch(None, [], gap=True) if woken else None

    def renew_news(self) -> None:
        """Do nothing: a file is watched for good."""

    def wake(self) -> None:
        """End the wait for news of this process."""
        if self._table is not None:
            self._table.wake()

    def forget_connections(self) -> None:
        """Open the file anew in a forked child, whose lock would be the parent's."""
        table, self._table = self._table, None
        if table is not None:
            table.close()

    close = forget_connections

    def _opened(self) -> MappedTable:
        table = self._table
        if table is None or table.is_lost:
            table = self._table = MappedTable(
                self._path, boot=_boot_id(), timeout=self._timeout, on_reboot=self._after_reboot
            )
        return table

    def _after_reboot(self, table: MappedTable) -> None:
        """Close what was open before the machine started, for nobody knows how long ago; keep holds by wall time."""
        now = self._clock.monotonic()
        for key, row in list(table.rows()):
            if key.startswith(HOLD):
                table.write(key, [now + max(0.0, row[2] - time.time()), *row[1:]])
            elif key.startswith(CIRCUIT):
                record = _circuit(row)
                state = record.state if record.due == math.inf else records.CLOSED
                table.write(key, _row(record._replace(era=record.era + 1, state=state, leased_until=0.0)))
            elif key.startswith(WINDOW):
                table.write(key, [*row[:2], min(now, row[2] + row[1] - (time.time() - now)), *row[3:]])
            elif key.startswith((TURN, MEMBER)):
                table.write(key, [0.0])
        table.announce()

    def _take_part_locked(self, table: MappedTable, member: str, now: float) -> None:
        key, row = MEMBER + member, [now + ALIVE]
        if table.read(key) is None:
            for other, their in table.rows():
                if other.startswith(MEMBER) and not now < their[0] <= now + ALIVE:
                    table.reuse(other, key, row)
                    return
        table.write(key, row)

    def _step(
        self, name: str, step: Callable[[CircuitRecord, float], CircuitRecord], *, silent: bool = False
    ) -> CircuitNews:
        table = self._opened()
        with table.locked():
            now = self._clock.monotonic()
            before = _circuit(table.read(CIRCUIT + name))
            after = step(before, now)
            if after != before:
                table.write(CIRCUIT + name, _row(after))
                if not silent:
                    table.announce()
        return _news(name, after, now)


def _times(row: list[Any]) -> list[Any]:
    return [row[0], row[1], math.inf if row[2] == _FOREVER else row[2], *row[3:]]


def _row(record: CircuitRecord) -> list[Any]:
    due = _FOREVER if record.due == math.inf else record.due
    return [*record._replace(due=due)]


def _circuit(row: list[Any] | None) -> CircuitRecord:
    return CircuitRecord() if row is None else CircuitRecord(*_times(row))


def _hold(row: list[Any] | None) -> Hold | None:
    return None if row is None else Hold(row[0], row[1])


def _log(row: list[Any] | None) -> WindowLog:
    """Return the log of a row: its mark, wall time less monotonic, last turn, and what is before that."""
    if row is None:
        return WindowLog()
    _, _, last, start, *flat = row
    groups = zip(flat[::2], flat[1::2], strict=True)
    return WindowLog(last - start, tuple((last - ago, weight) for ago, weight in groups))


def _log_row(mark: str, log: WindowLog, offset: float) -> list[Any]:
    last = log.groups[-1][0] if log.groups else 0.0
    flat = [round(value, 6) for at, weight in log.groups for value in (last - at, weight)]
    return [mark, round(offset, 3), last, round(last - log.start, 6), *flat]


def _news(name: str, record: CircuitRecord, now: float) -> CircuitNews:
    due, lease = records.left(record.due, now), records.left(record.leased_until, now)
    age = max(0.0, now - record.at)
    return CircuitNews(name, record.era, record.state, due, record.token, lease, record.by, record.reason, age)


def _record(news: CircuitNews, now: float) -> CircuitRecord:
    return CircuitRecord(news.era, news.state, now + news.left, news.token, 0.0, news.by, news.reason, now - news.age)


def _boot_id() -> bytes:
    import hashlib
    from pathlib import Path

    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return bytes(16)
    return hashlib.blake2b(text, digest_size=16).digest()
