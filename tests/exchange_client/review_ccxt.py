"""List what the installed ccxt has and nobody judged, and put it into the files to be judged.

    python tests/exchange_client/review_ccxt.py

Each new endpoint gets the mark `?` in `peak_observe/exchange_client/reviewed/endpoints/<exchange>.txt`: make it `r` if
by its name or the exchange's documentation it only reads beyond doubt, else `w`. Each new method of ccxt stands at the
end of `methods.txt` behind a `?`: move it under the heading that it belongs to. What is doubtful is a write.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import ccxt
import ccxt.async_support
import ccxt.pro

from peak_observe.exchange_client import endpoints, reviews

if TYPE_CHECKING:
    from collections.abc import Iterator

HTTP = {"get", "post", "put", "patch", "delete", "head"}


def of_table(node: Any, section: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the label of each entry of a table of ccxt's, however deep its sections nest."""
    for name, inner in node.items() if isinstance(node, dict) else ():
        if name.lower() in HTTP:
            yield from (endpoints.label(path, section, name.upper()) for path in inner)
        else:
            yield from of_table(inner, (*section, name))


def entries(kind: type) -> set[str]:
    """Return the labels of all endpoints of an exchange class: its table's and its implicit methods'."""
    methods = (found for base in kind.__mro__ for found in vars(base).values() if hasattr(found, "unbound_method"))
    return {*of_table(kind().api), *(endpoints.label(found.path, found.api, found.method) for found in methods)}


def parent(exchange: str) -> str:
    """Return the id of the exchange whose class another one is derived from, or nothing."""
    return next((base.__name__ for base in getattr(ccxt, exchange).__mro__[1:] if base.__name__ in ccxt.exchanges), "")


def unjudged_endpoints() -> dict[str, set[str]]:
    """Return by exchange the labels of what nobody judged."""
    found = {name: entries(getattr(ccxt, name)) - reviews.endpoint_effects(name).keys() for name in ccxt.exchanges}
    return {name: new for name, new in found.items() if new}


def methods() -> dict[str, bool]:
    """Return by name the public methods of all exchange classes, and whether one of them is a coroutine function."""
    found: dict[str, bool] = defaultdict(bool)
    modules = (ccxt, ccxt.async_support, ccxt.pro)
    bases = {base for module in modules for name in module.exchanges for base in getattr(module, name).__mro__[:-1]}
    for base in bases:
        for name, member in vars(base).items():
            if name.islower() and name[0] != "_" and callable(member) and not hasattr(member, "unbound_method"):
                found[name] |= inspect.iscoroutinefunction(member)
    return found


def unjudged_methods() -> set[str]:
    """Return the names of methods that ask an exchange, or look as if they did, and that nobody judged."""
    known = reviews.method_kinds()
    return {
        name
        for name, awaited in methods().items()
        if name not in known and (awaited or reviews.method_kind(name) != reviews.UNPROTECTED)
    }


def main() -> None:
    """Write what is new into the files, marked to be judged."""
    for exchange, labels in unjudged_endpoints().items():
        inherited = entries(getattr(ccxt, parent(exchange))) if parent(exchange) else set()
        add_endpoints(exchange, sorted(labels - inherited))
    new = sorted(unjudged_methods())
    path = reviews.FOLDER / "methods.txt"
    path.write_text(path.read_text("utf-8") + "".join(f"? {name}\n" for name in new), "utf-8")
    print(f"{path}: {len(new)} to be judged")


def add_endpoints(exchange: str, labels: list[str]) -> None:
    """Append endpoints to an exchange's file, which is made where there is none."""
    path = reviews.FOLDER / "endpoints" / f"{exchange}.txt"
    lines = (
        path.read_text("utf-8").splitlines() if path.exists() else [f"like {parent(exchange)}"] * bool(parent(exchange))
    )
    for label in labels:
        method, _, rest = label.partition(" ")
        section = max((known for known in sections(exchange) if rest.startswith(f"{known}/")), key=len)
        lines += [f"[{method} {section}]", f"? {rest.removeprefix(f'{section}/')}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{path}: {len(labels)} to be judged")


def sections(exchange: str) -> set[str]:
    """Return the sections of an exchange's table, and the first words of what stands in none."""
    first = {label.partition(" ")[2].partition("/")[0] for label in entries(getattr(ccxt, exchange))}

    def walk(node: Any, section: str = "") -> Iterator[str]:
        yield section
        for name, inner in node.items() if isinstance(node, dict) else ():
            if name.lower() not in HTTP:
                yield from walk(inner, f"{section}/{name}".strip("/"))

    return {*walk(getattr(ccxt, exchange)().api)} - {""} | first


if __name__ == "__main__":
    main()
