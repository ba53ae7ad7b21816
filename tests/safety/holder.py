"""A process that makes a client of its own with `exclusive=True`, or holds a name, until it is killed."""

import json
import sys
import time

from peak_observe import AlreadyRunningError, ResilientExchangeClient, only_one


def say(**facts: object) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        what = sys.argv[1]
        held = (
            only_one(what)
            if len(sys.argv) == 2
            else ResilientExchangeClient(what, {"apiKey": sys.argv[2], "secret": "c2VjcmV0"}, exclusive=True)
        )
    except AlreadyRunningError as error:
        say(pid=error.pid, since=error.since, host=error.host, text=str(error))
        sys.exit(error.exit_code)
    say(held=True)
    time.sleep(120)
