"""Steps on records by name: the Lua that Redis or Valkey runs, and the same on the rows of a mapped file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from peak_observe.coordination.engine import StoredRecord

if TYPE_CHECKING:
    from peak_observe.coordination.mapped_file import MappedTable

RECORD = "r:"
"""What the key of a record begins with in a file."""
SCRIPT = """
local time = redis.call('TIME')
local function told(name)
  local found = redis.call('HGET', KEYS[1], name) or '0 {}'
  return found, tonumber(string.match(found, '^(%d+) ')) or 0
end
if ARGV[1] == 'names' then return redis.call('HGETALL', KEYS[1]) end
local found, count = told(ARGV[2])
local replaced = 0
if ARGV[1] == 'replace' and tonumber(ARGV[3]) == count then
  replaced, found = 1, string.format('%.0f', count + 1) .. ' ' .. ARGV[4]
  redis.call('HSET', KEYS[1], ARGV[2], found)
end
return {replaced, tostring(time[1]), tostring(time[2]), found}
"""
"""Lua of reading and replacing a record, by the server's clock."""


def step_in_table(
    table: MappedTable, name: str, value: dict[str, Any] | None, after: int | None, now: float
) -> StoredRecord:
    """Read a record of a file, and replace it before if it was written `after` times; the lock is held."""
    row = table.read(RECORD + name)
    writes, found = (int(row[0]), row[1]) if row else (0, {})
    replaced = value is not None and after == writes
    if replaced:
        writes, found = writes + 1, value
        table.write(RECORD + name, [writes, value])
    return StoredRecord(writes, found, now, replaced)


def parsed(answer: Any) -> StoredRecord:
    """Return what the script told."""
    replaced, seconds, micro, found = answer
    count, _, text = found.partition(" ")
    try:
        value = json.loads(text)
    except ValueError:
        value = {}  # somebody else has written there
    now = int(seconds) + int(micro) / 1e6
    return StoredRecord(
        int(count) if count.isdigit() else 0, value if isinstance(value, dict) else {}, now, bool(replaced)
    )
