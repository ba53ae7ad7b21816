"""Colours, texts and thresholds of states, the same on every dashboard."""

from __future__ import annotations

from typing import Any

from peak_observe import catalog

Json = dict[str, Any]

GREEN, YELLOW, AMBER, RED, PURPLE, BLUE, GREY = "green", "yellow", "orange", "red", "purple", "blue", "#808080"
DAY = 86_400

STATE_COLOURS = dict(zip(catalog.STATES, (GREEN, RED, AMBER, PURPLE, GREY), strict=True))
CALL_COLOURS = dict(zip(catalog.OBSERVED_CALL_OUTCOMES, (GREEN, RED, BLUE, AMBER, PURPLE), strict=True))
RETRY_COLOURS = dict(zip(catalog.OBSERVED_RETRY_OUTCOMES, (GREEN, YELLOW, RED, BLUE, PURPLE, AMBER, GREY), strict=True))
LIMIT_COLOURS = dict(zip(catalog.LIMIT_OUTCOMES, (GREEN, BLUE, RED, AMBER, GREY, "light-blue", PURPLE), strict=True))
SHARE_COLOURS = dict(zip(catalog.SHARE_OUTCOMES, (BLUE, GREEN, "light-green", GREY), strict=True))
HEDGE_COLOURS = dict(zip(catalog.HEDGE_OUTCOMES, (GREEN, BLUE, RED, GREY), strict=True))
CHECK_COLOURS = dict(zip(catalog.HEALTH_OUTCOMES, (GREEN, RED, PURPLE, AMBER), strict=True))
JOB_COLOURS = dict(zip(catalog.JOB_OUTCOMES, (GREEN, RED, AMBER), strict=True))
BACKUP_COLOURS = dict(zip(catalog.BACKUP_OUTCOMES, (GREEN, YELLOW, RED, PURPLE), strict=True))
REQUEST_COLOURS = dict(
    zip(
        catalog.EXCHANGE_OUTCOMES,
        (GREEN, YELLOW, AMBER, PURPLE, "light-blue", "dark-red", BLUE, "light-orange", RED, "#6d1f62", GREY),
        strict=True,
    )
)

ORDER_COLOURS = dict(zip(catalog.ORDER_STATES, (GREY, BLUE, "light-green", GREEN, AMBER, RED), strict=True))
RECONCILE_COLOURS = dict(zip(catalog.ORDER_RECONCILE_OUTCOMES, ("light-green", GREEN, AMBER, BLUE, RED), strict=True))

# A state as a number, for timelines and tables: 0 where no breaker of the name lives any more.
STATE_TEXTS = {0: ("gone", GREY)} | {
    number: (state.replace("_", "-"), STATE_COLOURS[state]) for number, state in enumerate(catalog.STATES, start=1)
}
HEALTH_TEXTS = {0: ("failing", RED), 1: ("healthy", GREEN), 2: ("not run", AMBER)}
UP_TEXTS = {0: ("down", RED), 1: ("up", GREEN)}
PROCESS_TEXTS = {0: ("gone", RED), 1: ("up", GREEN), 2: ("ended", GREY)}
BAN_TEXTS = {0: ("free", GREEN), 1: ("held off", RED)}


def mapped(texts: dict[int, tuple[str, str]]) -> list[Json]:
    """Return mappings of numbers to a text and a colour."""
    options = {str(n): {"text": text, "color": color, "index": n} for n, (text, color) in texts.items()}
    return [{"type": "value", "options": options}]


def unknown(text: str) -> list[Json]:
    """Return mappings of what has no number, as nothing happened yet, to a text without a colour."""
    result = {"text": text, "color": "transparent"}
    return [{"type": "special", "options": {"match": match, "result": result}} for match in ("nan", "null")]


NEVER = 1e9
"""Seconds, 31 years: what is longer ago never happened."""


def never() -> list[Json]:
    """Return mappings of what is as long ago as 1970, which stands for never, to a text in red."""
    options = {"from": NEVER, "to": None, "result": {"text": "never", "color": RED}}
    return [{"type": "range", "options": options}]


def thresholds(steps: Json, *, base: str = GREEN) -> Json:
    """Return thresholds: `base`, and each colour of `steps` from its value on."""
    named = [{"color": colour, "value": value} for colour, value in steps.items()]
    return {"mode": "absolute", "steps": [{"color": base, "value": None}, *named]}


# The settings of a table's columns, by what they hold.
COUNT: Json = {"unit": "locale", "decimals": 0}
AGE: Json = {"unit": "s", "decimals": 0, "mappings": unknown("never")}
EVERY: Json = {"unit": "s", "decimals": 0, "mappings": unknown("unknown")}
SPAN: Json = {"unit": "s"}
RUNNING: Json = {"unit": "s", "decimals": 0, "mappings": unknown("idle")}
BYTES: Json = {"unit": "bytes"}
BACKGROUND: Json = {"custom__cellOptions": {"type": "color-background", "mode": "basic"}, "custom__align": "center"}


def of_promise() -> Json:
    """Return the settings of a column of ages as shares of what was promised."""
    return {
        "unit": "percentunit",
        "decimals": 0,
        "mappings": unknown("no promise"),
        "thresholds": thresholds({YELLOW: 0.8, RED: 1}),
        **BACKGROUND,
    }


def bad(colour: str = RED) -> Json:
    """Return the settings of a column of counts of which every one but 0 is coloured."""
    return {
        **COUNT,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": "text", "value": None}, {"color": colour, "value": 0.5}],
        },
        "custom__cellOptions": {"type": "color-text"},
    }


def state(texts: dict[int, tuple[str, str]]) -> Json:
    """Return the settings of a column of states."""
    return {"mappings": mapped(texts), **BACKGROUND}
