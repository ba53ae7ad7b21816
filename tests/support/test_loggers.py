"""Lines of the package hold no secret and cannot steer a terminal."""

import logging
from functools import partial
from pathlib import Path

import pytest

from peak_observe.support.loggers import logger


@pytest.fixture
def lines(caplog) -> pytest.LogCaptureFixture:
    """What was logged."""
    caplog.set_level(logging.DEBUG, "peak_observe.test")
    return caplog


def test_arguments_of_every_kind_are_cleaned(lines) -> None:
    """Texts, paths, errors and objects, by `%s` and by `%r`; numbers stay numbers."""
    call = partial(print, "api_key=hunter2")
    path = Path("/run/x\x1b[2J\u202e.snap")
    logger("peak_observe.test").warning("%s %r %s %d %.1f", path, call, ValueError("pwd=hunter2"), 3, 0.5)
    (text,) = [record.getMessage() for record in lines.records]
    assert "hunter2" not in text
    assert text.startswith(r"/run/x\x1b[2J\u202e.snap functools.partial(")
    assert text.endswith("pwd=*** 3 0.5")


def test_a_traceback_keeps_its_lines(lines) -> None:
    """Only what is secret in them goes, and what a terminal would act upon."""
    try:
        raise ValueError("token=hunter2 \x1b]0;title\x07")
    except ValueError:
        logger("peak_observe.test").exception("it failed")
    text = logging.Formatter().format(lines.records[0])
    assert "hunter2" not in text
    assert "\x1b" not in text
    assert text.split("\n")[1] == "Traceback (most recent call last):"


def test_a_template_is_kept_for_those_who_group_by_it(lines) -> None:
    """Sentry and others count by the message without its arguments."""
    logger("peak_observe.test").info("source %s: %s", "x", "broken")
    assert lines.records[0].msg == "source %s: %s"
    assert lines.records[0].args == ("x", "broken")


def test_the_filter_is_there_once() -> None:
    """However often a logger is asked for."""
    assert len({id(found) for _ in range(3) for found in logger("peak_observe.test").filters}) == 1
    assert len(logger("peak_observe.test").filters) == 1


def test_an_argument_of_any_length_is_cut(lines) -> None:
    """A page of HTML is no line of a log."""
    logger("peak_observe.test").info("%s", "x" * 1_000_000)
    assert len(lines.records[0].getMessage()) == 2_000
