"""What a case is, and the series of which cases are made."""

from typing import NamedTuple

FROM = 'job="peak-observe",instance="bot:17326"'
DAY = 24 * 60
BOTH = ("critical", "warning")


class Case(NamedTuple):
    """What an alert makes of some series.

    Args:
        alert: Its name.
        what: What happens.
        series: The series, a value a step.
        fires: Minutes at which it fires, with its severities.
        silent: Minutes at which it does not.
        step: From one value to the next.
    """

    alert: str
    what: str
    series: list[dict[str, str]]
    fires: dict[int, tuple[str, ...]] = {}
    silent: tuple[int, ...] = ()
    step: str = "1m"

    @property
    def resolves(self) -> bool:
        """Whether it fires and ends."""
        return bool(self.fires and self.silent) and max(self.silent) > min(self.fires)


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a series for promtool, a value a step."""
    pairs = ",".join([FROM, *(f'{label}="{value}"' for label, value in labels.items())])
    return {"series": f"{name}{{{pairs}}}", "values": values}
