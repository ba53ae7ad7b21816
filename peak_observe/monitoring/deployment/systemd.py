"""Units for systemd: the exporter, the backups of each night, and a bot."""

from __future__ import annotations

from peak_observe.monitoring.alert_files import BY_HAND

_SANDBOX = """\
CapabilityBoundingSet=
LockPersonality=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictNamespaces=yes
SystemCallArchitectures=native
"""

CONFIG = f"""\
{BY_HAND}\
# The exporter watches the snapshots in /run/peak-observe by itself. What else it shall watch stands here:
# backups that other programs make, health checks, databases (docs/exporter.md).

[backup]
repository = "/var/lib/peak-observe/backups"
name = "bot"
max_age = "26h"
config = ["/etc/peak-observe/peak-observe.toml"]
# data = ["/var/lib/bot"]   # of peak-observe-bot.service, after: usermod --append --groups bot peak-observe

[backup.keep]
last = 3
daily = 7
weekly = 4
"""

EXPORTER = f"""\
{BY_HAND}\
# The exporter under systemd. As root, in the folder of this file:
#   python3 -m venv /opt/peak-observe && /opt/peak-observe/bin/pip install 'peak-observe[exporter]'
#   useradd --system --user-group peak-observe
#   install -D -m 0644 peak-observe.toml /etc/peak-observe/peak-observe.toml
#   cp peak-observe-exporter.service /etc/systemd/system/
#   systemctl daemon-reload && systemctl enable --now peak-observe-exporter
# Whether it may read backups of others is decided by Group= and ReadOnlyPaths=.

[Unit]
Description=peak_observe exporter: backups, checks, processes and jobs for Prometheus
After=network.target

[Service]
Type=notify
ExecStart=/opt/peak-observe/bin/peak-observe exporter --config.file=/etc/peak-observe/peak-observe.toml
ExecReload=/bin/kill -HUP $MAINPID
Environment=PEAK_OBSERVE_DIR=/run/peak-observe
WorkingDirectory=/
Restart=always
RestartSec=5
TimeoutStopSec=15
WatchdogSec=60

User=peak-observe
Group=peak-observe
RuntimeDirectory=peak-observe
RuntimeDirectoryMode=0770
RuntimeDirectoryPreserve=yes
ConfigurationDirectory=peak-observe
CacheDirectory=peak-observe
Environment=XDG_CACHE_HOME=/var/cache/peak-observe BORG_BASE_DIR=/var/cache/peak-observe

{_SANDBOX}\
MemoryMax=1G
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
TasksMax=512

[Install]
WantedBy=multi-user.target
"""

BACKUP = f"""\
{BY_HAND}\
# One backup, proved by a restore into a temporary folder, then the old ones go. As root, after the steps of
# peak-observe-exporter.service, in the folder of this file:
#   cp peak-observe-backup.service peak-observe-backup.timer /etc/systemd/system/
#   systemctl daemon-reload && systemctl enable --now peak-observe-backup.timer
# What is kept, and for how long, stands in /etc/peak-observe/peak-observe.toml.

[Unit]
Description=peak_observe backup of the bot

[Service]
Type=oneshot
ExecStart=/opt/peak-observe/bin/peak-observe backup create --config.file=/etc/peak-observe/peak-observe.toml
ExecStart=/opt/peak-observe/bin/peak-observe backup drill --config.file=/etc/peak-observe/peak-observe.toml
ExecStart=/opt/peak-observe/bin/peak-observe backup prune --config.file=/etc/peak-observe/peak-observe.toml
Environment=PEAK_OBSERVE_DIR=/run/peak-observe
WorkingDirectory=/
TimeoutStartSec=6h
IOSchedulingClass=idle
Nice=10

User=peak-observe
Group=peak-observe
UMask=0007
RuntimeDirectory=peak-observe
RuntimeDirectoryMode=0770
RuntimeDirectoryPreserve=yes
StateDirectory=peak-observe/backups
StateDirectoryMode=0700

{_SANDBOX}"""

TIMER = f"""\
{BY_HAND}\
# Each night, and at once after a night without power.

[Unit]
Description=Nightly backup of the bot

[Timer]
OnCalendar=*-*-* 03:15:00
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""

BOT = f"""\
{BY_HAND}\
# A bot whose counts and state the exporter shows. As root, after the steps of peak-observe-exporter.service, in the
# folder of this file:
#   useradd --system --user-group bot && usermod --append --groups peak-observe bot
#   python3 -m venv /opt/bot && /opt/bot/bin/pip install 'peak-observe[exchange]'
#   install -D -m 0644 /path/of/your/bot.py /opt/bot/bot.py
#   cp peak-observe-bot.service /etc/systemd/system/
#   systemctl daemon-reload && systemctl enable --now peak-observe-bot

[Unit]
Description=Trading bot
After=network-online.target peak-observe-exporter.service
Wants=network-online.target
# Five starts within an hour, then somebody has to look: PeakProcessDied tells of it.
StartLimitIntervalSec=1h
StartLimitBurst=5

[Service]
ExecStart=/opt/bot/bin/python /opt/bot/bot.py
Environment=PEAK_OBSERVE_DIR=/run/peak-observe PYTHONUNBUFFERED=1
# Keys of the exchange stand in no unit, which everybody may read: systemd hands this file to the bot alone, as
# $CREDENTIALS_DIRECTORY/exchange. Without the file the line has to stay as it is.
# LoadCredential=exchange:/etc/bot/exchange.key
WorkingDirectory=/var/lib/bot
Restart=on-failure
RestartSec=10
# Orders under way end, and the last snapshot is written.
TimeoutStopSec=60

User=bot
Group=bot
SupplementaryGroups=peak-observe
UMask=0007
StateDirectory=bot
StateDirectoryMode=0750

{_SANDBOX}\
ReadWritePaths=-/run/peak-observe
MemoryMax=1G
TasksMax=512

[Install]
WantedBy=multi-user.target
"""


def files() -> dict[str, str]:
    """Return the files by their paths below the folder that is written; all are to be edited."""
    return {
        "systemd/peak-observe.toml": CONFIG,
        "systemd/peak-observe-exporter.service": EXPORTER,
        "systemd/peak-observe-backup.service": BACKUP,
        "systemd/peak-observe-backup.timer": TIMER,
        "systemd/peak-observe-bot.service": BOT,
    }
