"""Parts for tests of trading code: time by hand, events on record, an exchange that fails on demand."""

from peak_observe.testing.clock import ManualClock
from peak_observe.testing.exchange import FakeExchange, Fault
from peak_observe.testing.fast_retries import no_delays
from peak_observe.testing.faulttable import FAULTS
from peak_observe.testing.observer import RecordingObserver

__all__ = ["FAULTS", "FakeExchange", "Fault", "ManualClock", "RecordingObserver", "no_delays"]
