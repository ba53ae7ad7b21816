"""Plain technical English in all that users read: subject, verb, object, and words that they would search for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "grafana/RUNBOOK.md")),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
# A subject that a reader has to work out: "What makes no sense is an error". Questions are fine.
OPENINGS = re.compile(r"(?:^|(?<=[.!?] ))(?:What|Who|Whoever|Whatever|That which) [^.!?]*[.!]|^(?:what|who) [^?]*$")
RIDDLES = {
    "forgive": "reset the failure count",
    "forgives": "resets the failure count",
    "forgiven": "reset",
    "nor forgive": "do not reset the failure count",
    "by one rename": "only once all its files are safely on disk, or: atomically",
    "in any text": "in logs, errors or spans",
    "in the order of coming": "first come, first served",
    "is no wish": "is ignored",
    "makes no sense is": "is invalid",
    "tells of": "reports, shows, serves",
    "told of": "reported, known",
    "utilize": "use",
    "leverage": "use",
    "in order to": "to",
    "simply": "",
    "obviously": "",
    "just works": "say what happens",
}
"""Words that send a reader away, each with plain ones."""
SENTENCES = 45
"""Words of the longest sentence of the pages that a newcomer reads first."""
FIRST = ["README.md", "docs/tutorial.md", "docs/operations.md", "docs/freqtrade.md", "docs/faq.md", "docs/upgrading.md"]


def paragraphs(page: Path) -> Iterator[str]:
    """Yield the paragraphs, list items and cells of tables of a page in one line each, without code."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\.) ?)", text):
        for cell in re.split(r"(?<!\\)\|", block) if block.lstrip().startswith("|") else [block]:
            plain = re.sub(r"^\s*(?:[-*#]+|\d+\.)\s*", "", " ".join(cell.split()))
            yield re.sub(r"\*\*|\]\([^)]*\)|\[", "", plain)


each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_no_sentence_begins_with_a_riddle(page: Path) -> None:
    """`What …` and `Who …` as subjects hide the noun that a reader looks for."""
    assert [found for text in paragraphs(page) for found in OPENINGS.findall(text)] == []


@each_page
def test_words_are_plain(page: Path) -> None:
    """Each of these words has a plain one."""
    wrong = [
        f"{word!r} in {text!r}: {plain}"
        for text in paragraphs(page)
        for word, plain in RIDDLES.items()
        if re.search(rf"\b{word}\b", re.sub(r"`[^`]*`", "`", text), re.IGNORECASE)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", FIRST)
def test_first_pages_have_short_sentences(name: str) -> None:
    """A newcomer need not read one twice."""
    sentences = [found for text in paragraphs(ROOT / name) for found in re.split(r"(?<=[.!?:;]) ", text)]
    assert [found for found in sentences if len(found.split()) > SENTENCES] == []


def test_the_check_finds_riddles() -> None:
    """The patterns match the sentences that they are made for, and no question."""
    assert OPENINGS.findall("It holds. What makes no sense is one error. Fine.")
    assert OPENINGS.findall("what counts: a type, a function of the exception")
    assert OPENINGS.findall("Who waits comes in in the order of coming.")
    assert not OPENINGS.findall("What about methods? They share a circuit.")
    assert not OPENINGS.findall("The label says what happened.")
