"""A bot as a process of its own: it places an order under a dead man's switch, and then lives, hangs or waits."""

import json
import sys
import time

import ccxt

from peak_observe.resilience.health import checks
from peak_observe.safety import DeadManSwitch

if __name__ == "__main__":
    config, mode = json.loads(sys.argv[1]), sys.argv[2]
    heartbeat = checks.Heartbeat(max_age=1.0)
    heartbeat.beat()
    exchange = ccxt.kraken(config)
    switch = DeadManSwitch(exchange, timeout=3, every=0.5, while_healthy=heartbeat)
    while not switch.wait_armed(0.2):
        heartbeat.beat()
    exchange.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
    sys.stdout.write("placed\n")
    sys.stdout.flush()
    while True:
        time.sleep(0.05)
        if mode != "hang":
            heartbeat.beat()
