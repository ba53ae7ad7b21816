"""Alerts about monitoring itself: processes, the exporter with its sources, and alert delivery."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    CLOCK_OFFSET,
    COUNT,
    CRITICAL,
    GAP,
    HOST,
    INFO,
    SHARE,
    SPAN,
    WARNING,
    WATCHED,
    Alert,
    Group,
    Recording,
    last,
    lately,
)

JOB = "peak-observe"
"""The name of the scrape job in `prometheus.yaml`, by which the absence of the exporter is noticed."""

_UP = lately(catalog.PROCESS_UP, "1d")
_BEGAN = lately(catalog.PROCESS_START_TIME_SECONDS, "1d")
_ENDED = lately(catalog.PROCESS_ENDED_TIMESTAMP_SECONDS, "1d")
_LIVES = f"{last(catalog.PROCESS_UP)} == 1"
_SILENT = last(catalog.PROCESS_SNAPSHOT_AGE_SECONDS)
# As the exporter sees them, and as programs that serve themselves tell.
_BEGINNINGS = (catalog.PROCESS_START_TIME_SECONDS.name, catalog.OBSERVE_START_TIME_SECONDS.name)
_STARTS = " or ".join(f"changes({metric}[1h]) >= 3" for metric in _BEGINNINGS)
_REJECTED = f"increase({catalog.PROCESS_SNAPSHOTS_REJECTED_TOTAL.name}[15m])"
_USED = last(catalog.PROCESS_SNAPSHOTS_USED_RATIO)
# Of the last scrape that succeeded: one that fails says nothing of the clock. What a process tells the exporter is
# by the clock of the process, which is another one where the folder of the snapshots is shared with another host.
_SELF, _EXPORTER = (
    f"{metric.name} - timestamp({metric.name})"
    for metric in (catalog.OBSERVE_TIME_SECONDS, catalog.EXPORTER_TIME_SECONDS)
)
_ELSEWHERE = last(catalog.PROCESS_CLOCK_OFFSET_SECONDS)
_OFFSET = Recording(
    CLOCK_OFFSET,
    f"({_SELF}) or ({_EXPORTER}) or "
    f"({catalog.PROCESS_CLOCK_OFFSET_SECONDS.name} + on ({HOST}) group_left () max by ({HOST}) ({_EXPORTER}))",
)
# An exporter speaks for all processes that share its clock, and nobody minds that of one that is gone.
_ITS_OWN = f"(abs({_ELSEWHERE}) > 5) and on ({HOST}, process) ({_LIVES})"
_SPOKEN_FOR = f"on ({HOST}, process) ({_ELSEWHERE} unless on ({HOST}, process) ({_ITS_OWN}))"
_SKEW = f"abs(last_over_time({CLOCK_OFFSET}[{GAP}])) > 5 unless {_SPOKEN_FOR}"
# Targets of any job that told of peak_observe within a day: the exporter, and programs that serve themselves. To look
# at that day every 15 seconds would cost more than all else of the exporter.
_TOLD = Recording("instance:peak_told:last1d", f"max by ({HOST}) ({lately(catalog.OBSERVE_BUILD_INFO, '1d')})")
_OURS = f"on ({HOST}) {_TOLD.name}"

PROCESSES = Group(
    "processes",
    "peak-exporter",
    (
        Alert(
            "PeakProcessDied",
            CRITICAL,
            # The exporter shows it for 15 minutes; nobody is told that it is well again because it is not shown.
            # One that came back and ended in good order, all between two looks, has only the time of that end.
            f"({_UP} == 0) unless ({_ENDED} > {_BEGAN})",
            "1m",
            "a process crashed or was killed, and has not come back",
            "Process {{ $labels.process }} of {{ $labels.instance }} is gone.",
            "It crashed or was killed, and has not come back for a minute. One that ended in good order is not meant.",
            "A process that wrote snapshots is gone: an exception ended it, or it was killed (for its memory, say). "
            "One that ends by itself, by Ctrl-C or by SIGTERM is not meant.",
            "`systemctl status`, `journalctl`, and `dmesg` for the kernel's out-of-memory killer.",
            "Start it again: that ends the alert. If it shall stay away, silence the alert: it ends after a day.",
            subject="process",
        ),
        Alert(
            "PeakProcessSilent",
            WARNING,
            f"({_SILENT} > 120) and ({_LIVES})",
            "2m",
            "a process lives, but has not written a snapshot for 2 minutes",
            "Process {{ $labels.process }} of {{ $labels.instance }} does not tell of itself.",
            f"Its last snapshot is {SPAN} old, so all that is shown of it is.",
            "It hangs so badly that not even a thread of its own runs, is stopped, or cannot write into the folder.",
            "`ps -o state,wchan -p PID`; is the disk full? Its log has a line under `peak_observe.snapshot`.",
            "Make room, or end it and start it again.",
            subject="process",
        ),
        Alert(
            "PeakSnapshotsRejected",
            WARNING,
            f"{_REJECTED} > 0",
            "0m",
            "a snapshot was left out as torn, foreign, huge, invalid or unsafe",
            "The exporter {{ $labels.instance }} leaves out snapshots ({{ $labels.reason }}).",
            f"{COUNT} files were left out within 15 minutes; its log names them.",
            "A file in the folder of the snapshots is no good, so something is not shown. `unsafe` may mean that "
            "somebody tampers.",
            "The log of the exporter: it names the file and what is wrong with it.",
            "Remove the file; look at who may write into the folder.",
            keep="15m",
        ),
        Alert(
            "PeakSnapshotsNearLimit",
            WARNING,
            f"{_USED} > 0.8",
            "15m",
            "the folder of the snapshots holds nearly as much as the exporter reads",
            "The snapshots that {{ $labels.instance }} reads are near the limit of {{ $labels.limit }}.",
            "{{ $value | humanizePercentage }} of the limit are used; past it the last names are not shown.",
            "The folder holds more processes, accounts of dead ones, or series than the exporter takes into memory.",
            "The files of the folder by size: names built from ids, jobs with a date in their name, or just many bots.",
            "Remove what nobody needs, or raise `max_bytes` or `max_series` of `[processes]`; the exporter needs up "
            "to 1 KB of memory a series.",
            keep="15m",
        ),
    ),
)

TARGETS = Group(
    "targets",
    "peak-exporter",
    (
        Alert(
            "PeakProcessRestarting",
            WARNING,
            _STARTS,
            "0m",
            "a process was started three times within an hour",
            f"{AT} starts again and again.",
            f"It was started {COUNT} times within an hour.",
            "It ends, and something starts it again, before anybody would notice that it is gone.",
            "The last lines of its log before each start.",
            "The text of these lines. Let the supervisor wait longer between two starts.",
            keep="10m",
            subject="process",
        ),
        Alert(
            "PeakScrapesFailing",
            WARNING,
            f"avg_over_time(up[15m]) < 0.9 and {_OURS}",
            "5m",
            "more than a tenth of the scrapes of a target fail",
            "Prometheus cannot scrape {{ $labels.instance }} reliably.",
            f"Only {SHARE} of the scrapes of 15 minutes succeeded: what is shown has gaps.",
            "The exporter or program answers now and then: it is overloaded, restarts, or the network loses packets.",
            "Prometheus' page of targets has the last error and the time that scrapes take.",
            "Give it time (`scrape_timeout`) or fewer series; mend the network.",
            keep="15m",
        ),
    ),
    recordings=(_TOLD,),
    every="2m",
)

EXPORTER = Group(
    "exporter",
    "peak-exporter",
    (
        Alert(
            "PeakExporterDown",
            CRITICAL,
            f'(up{{job="{JOB}"}} == 0) or (up == 0 and {_OURS})',
            "2m",
            "Prometheus cannot scrape an exporter, or a program that serves itself",
            "Prometheus cannot scrape {{ $labels.instance }}.",
            "It has not answered for 2 minutes: nothing is known of what it watches.",
            "The exporter, or a program that serves its own metrics, is down, too slow, or cannot be reached.",
            "Prometheus' page of targets has the error. `systemctl status peak-observe-exporter`; the program's log.",
            "Start it again. If it is too slow, see on the dashboard which source takes long.",
        ),
        Alert(
            "PeakExporterAbsent",
            CRITICAL,
            f'absent(up{{job="{JOB}"}})',
            "5m",
            f"Prometheus knows no target of the job `{JOB}`",
            "Prometheus scrapes no exporter at all.",
            f"There is no target of the job {JOB}: nothing is known of anything.",
            f"The scrape job `{JOB}` is missing, has another name, or its service discovery finds nothing.",
            "`prometheus.yaml`, and Prometheus' page of targets.",
            f"Put the job back. If it has another name, write that into the rules in the place of `{JOB}`.",
        ),
        Alert(
            "PeakSourceFailing",
            WARNING,
            f"{last(catalog.EXPORTER_SOURCE_UP)} == 0",
            "5m",
            "a source of the exporter fails or hangs",
            "Source {{ $labels.source }} of the exporter {{ $labels.instance }} fails.",
            "It has told nothing for 5 minutes, so what it watches is not known.",
            "A source failed or hangs: a disk that is gone, a password that is wrong, a program that is missing.",
            "The exporter's status page and its log name the reason.",
            "Their text; `peak-observe exporter --config.check` tries the configuration.",
            keep="5m",
            subject="source",
        ),
        Alert(
            "PeakExporterReloadFailed",
            WARNING,
            f"{last(catalog.EXPORTER_CONFIG_RELOAD_SUCCESS)} == 0",
            "1m",
            "the exporter goes on with its former configuration",
            "The exporter {{ $labels.instance }} could not read its configuration.",
            "It goes on with the one before: what was added or changed since is not watched.",
            "The configuration was changed, and makes no sense.",
            "`peak-observe exporter --config.check` names file, key and what is allowed.",
            "Mend it, and reload: `systemctl reload peak-observe-exporter`.",
        ),
        Alert(
            "PeakClockSkew",
            WARNING,
            _SKEW,
            "5m",
            "the clocks of a bot or exporter and of Prometheus are 5 seconds apart",
            f"The clocks of {AT} and Prometheus differ.",
            f"They are {SPAN} apart. Alerts allow for it; an exchange refuses requests that are signed a second off.",
            "One of the two machines has a wrong clock: no time server answers, a virtual machine was suspended, or a "
            "time zone was written into its hardware clock.",
            f"`{CLOCK_OFFSET}` says by how much each clock is ahead (below 0: behind). If all are off alike, it is "
            "that of Prometheus. Then `chronyc tracking` or `timedatectl` on that machine.",
            "Mend the synchronisation of the one that is wrong; a container has the clock of its host.",
        ),
    ),
    recordings=(_OFFSET,),
)

WATCHDOG = Group(
    "watchdog",
    "peak-overview",
    (
        Alert(
            "PeakWatchdog",
            INFO,
            "vector(1)",
            "0m",
            "always: for a dead man's switch outside",
            "Alerting works.",
            "This alert always fires. Send it to a dead man's switch outside, which calls when it stops.",
            "Nothing is wrong: it proves that Prometheus evaluates rules and Alertmanager delivers.",
            "If the outside switch calls, look whether Prometheus and Alertmanager run.",
            "Start them again.",
        ),
    ),
    recordings=(Recording(WATCHED, f"max by ({HOST}) (last_over_time({catalog.OBSERVE_BUILD_INFO.name}[{GAP}]))"),),
)
