"""Run health checks and show the dashboard: `peak-observe health` as a script of the repository.

python scripts/health_dashboard.py --app yourmodule
"""

from __future__ import annotations

from peak_observe.health_dashboard import main

if __name__ == "__main__":
    main()
