"""Errors of usage as a person reads them: plain words, and the option that was meant."""

import pytest

from .conftest import Desk


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["exporter", "--log.level", "loud"], "'--log.level': 'loud' is not one of 'debug', 'info', 'warn', 'error'."),
        (["exporter", "--log.level", "warning"], "'error'; did you mean 'warn'?"),
        (["exporter", "--log.format", "jsn"], "'json'; did you mean 'json'?"),
        (["exporter", "--port", "1"], "No such option: --port. It is called --web.listen-address HOST:PORT here."),
        (["exporter", "--host=0.0.0.0"], "It is called --web.listen-address HOST:PORT here."),
        (["exporter", "--config", "x.toml"], "No such option: --config. It is called --config.file here."),
        (["exporter", "--web.listen-adress", "x"], "(Possible options: --web.listen-address)"),
        (["backup", "create", "--repo", "x"], "No such option: --repo. It is called --repository here."),
        (["demo", "--port", "x"], "'--port': it has to be a whole number."),
        (["demo", "--port", "70000"], "'--port':"),
        (["demo", "--duration", "x"], "'--duration': it has to be a number."),
        (["health", "--interval", "0"], "'--interval':"),
        (["health", "--port", "1"], "No such option: --port. This command does not listen"),
        (["helth"], "Did you mean 'health'?"),
        (["--port"], "No such option: --port"),
    ],
    ids=" ".join,
)
def test_it_says_in_plain_words_what_is_wrong(desk: Desk, args: list[str], said: str) -> None:
    """And ends with 2, without the words of a library."""
    done = desk.run_any(*args)
    assert done.code == 2
    assert said in done.err
    assert "Input should" not in done.err
    assert "Value error" not in done.err


def test_levels_are_taken_in_capitals_too(desk: Desk) -> None:
    """As Python writes them."""
    assert desk.run_any("exporter", "--log.level", "INFO", "--config.check").code == 0
