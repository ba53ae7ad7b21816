"""Measure everything beside the peers in one run; end with 1 if a budget is missed.

Run all parts, or those that are named: `python tests/benchmarks calls scrape`. Each part runs in an interpreter of its
own: modules, threads and garbage that one leaves behind would change the figures of the next.
"""

import multiprocessing
import sys
import traceback
from concurrent.futures import ProcessPoolExecutor

import backups
import breakers
import calls
import exchange
import exporter
import health
import offsite
import processes
import rules
import scrape
import shared
import startup
import streams
from measuring import MissingProgramError

PARTS = {
    "startup": startup.run,
    "breakers": breakers.run,
    "calls": calls.run,
    "shared": shared.run,
    "tracing": breakers.tracing,
    "scrape": scrape.run,
    "health": health.run,
    "exchange": exchange.run,
    "streams": streams.run,
    "exporter": exporter.run,
    "processes": processes.run,
    "backups": backups.run,
    "rules": rules.run,
    "offsite": offsite.run,
}


def main() -> int:
    """Run the parts and print the verdicts."""
    chosen = sys.argv[1:] or list(PARTS)
    unknown = sorted(set(chosen) - set(PARTS))
    if unknown:
        print(f"bench: no part {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    verdicts, broken = [], {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as fresh:
        for part in chosen:
            try:
                verdicts += fresh.submit(PARTS[part]).result()
            except MissingProgramError as error:
                broken[part] = str(error)
            except Exception:  # the other parts took minutes, or will
                traceback.print_exc()
                broken[part] = "see its error above"
    print("\nBudgets (medians; a noisy machine may miss one narrowly: run it again)")
    for verdict in verdicts:
        print(verdict)
    for part, why in broken.items():
        print(f"  BROKEN {part}: {why}")
    return 0 if not broken and all(verdict.kept for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
