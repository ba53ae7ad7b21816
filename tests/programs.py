"""The programs that the tests start, the Debian packages that bring them, and their installation.

`make test` runs `python3 tests/programs.py` before there is anything but Python: standard library only.
"""

import functools
import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Each program with its package in Debian and Ubuntu.
PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "borg": "borgbackup",
    "chattr": "e2fsprogs",
    "chromium": "chromium",
    "curl": "curl",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "redis-server": "redis-server",
    "restic": "restic",
    "rsync": "rsync",
    "strace": "strace",
    "systemd-analyze": "systemd",
    "tmux": "tmux",
    "unshare": "util-linux",
    "venv": f"python{sys.version_info.major}.{sys.version_info.minor}-venv",  # Debian's Python has none without it
}
# Those that `make test` itself does not start.
ON_DEMAND = {"rsync", "strace", "venv"}
# Names that some have where they do not come from Debian.
OTHER_NAMES = {
    "chromium": ("google-chrome", "google-chrome-stable", "chromium-browser"),
    "mkfs.ext4": ("/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"),  # which is not on the PATH of every user
    "prometheus-alertmanager": ("alertmanager",),
}

# Folders that programs are taken from in the place of those installed: tests run with a Prometheus of another version.
CHOSEN = {"prometheus": "PROMETHEUS", "promtool": "PROMTOOL"}

POLICY = Path("/usr/sbin/policy-rc.d")
SYSTEMD = Path("/etc/systemd/system")
# A new service is started, one that was upgraded is restarted. Should this file be left, it forbids nothing any more.
KEEP_DOWN = """\
#!/bin/sh
# Written by tests/programs.py of peak_observe while it installs packages. It may be removed.
kill -0 {pid} 2>/dev/null || exit 0
case " $* " in *" start "* | *" (start) "*) exit 101 ;; esac
exit 0
"""


def find(name: str) -> str | None:
    """Return the path of a program of the table, or None if it is not installed."""
    if name == "venv":
        spec = importlib.util.find_spec("ensurepip")
        return spec and spec.origin
    chosen = os.environ.get(CHOSEN.get(name, ""))
    return next(
        (path for known in (name, *OTHER_NAMES.get(name, ())) if (path := shutil.which(known, path=chosen))), None
    )


def missing(names: Iterable[str] = PACKAGES.keys() - ON_DEMAND) -> list[str]:
    """Return the programs out of some that are not installed."""
    return sorted(name for name in names if not find(name))


def packaged(name: str) -> bool:
    """Return whether apt-get can bring a program here: Ubuntu has Chromium only as a snap."""
    return bool(shutil.which("apt-get")) and (name != "chromium" or _system() != "ubuntu")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""


@functools.cache
def permitted() -> bool:
    """Return whether packages may be installed: by root, or by sudo without a password, unless INSTALL=no."""
    if os.environ.get("INSTALL") == "no":
        return False
    if os.geteuid() == 0:
        return True
    return bool(shutil.which("sudo")) and _quietly(["sudo", "-n", "true"]).returncode == 0


def required(name: str) -> bool:
    """Return whether a missing program is a failure: in CI, and where `make test` may install it."""
    return os.environ.get("CI") == "true" or (packaged(name) and permitted())


def advice(names: Iterable[str]) -> str:
    """Return how a person installs some programs: in one command, where one does it."""
    if not shutil.which("apt-get"):
        return f"install {', '.join(sorted({PACKAGES[name] for name in names}))} with this system's package manager"
    sudo = "" if os.geteuid() == 0 else "sudo " if shutil.which("sudo") else "(as root) "
    packages = sorted({PACKAGES[name] for name in names if packaged(name)})
    ways = [f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"] if packages else []
    ways += [f"{sudo}snap install {name}" for name in names if not packaged(name)]
    return " && ".join(ways)


def install(names: list[str]) -> None:
    """Install the packages of some programs, as root; their services are neither started nor enabled.

    An error is printed and no exception: what can run without them shall run.
    """
    packages = sorted({PACKAGES[name] for name in names})
    print(f"installing {', '.join(packages)} (INSTALL=no leaves that out)", flush=True)
    services = {path.name for path in SYSTEMD.glob("*.service")}
    with _new_services_kept_down():
        _apt("update")
        if _apt("install", *packages):
            for package in packages:  # one that cannot be had keeps no other away
                if error := _apt("install", package):
                    print(f"apt-get install {package} failed:\n{error}", flush=True)
    for package in packages:  # nor shall they start with the machine
        if shutil.which("systemctl") and f"{package}.service" not in services:
            _quietly(["systemctl", "disable", f"{package}.service"])


def _apt(action: str, *packages: str) -> str:
    """Run apt-get, and return why it failed; nothing if it did not."""
    options = ["-qq", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
    done = _quietly(["apt-get", *options, action, *packages])
    return "" if done.returncode == 0 else done.stderr.strip() or f"it ended with {done.returncode}"


def _quietly(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )


@contextmanager
def _new_services_kept_down() -> Iterator[None]:
    """Forbid for a while what Debian does with each new service; a policy that the machine has already stays."""
    try:
        with POLICY.open("x") as file:
            file.write(KEEP_DOWN.format(pid=os.getpid()))
    except OSError:
        yield
        return
    try:
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink()


def main(names: list[str]) -> int:
    """Install what is missing of some programs, or of all that `make test` starts, where that is allowed."""
    absent = missing(names or PACKAGES.keys() - ON_DEMAND)
    wanted = [name for name in absent if packaged(name)]
    if wanted and permitted():
        if os.geteuid() == 0:
            install(wanted)
        else:
            subprocess.run(["sudo", "-n", sys.executable, "-B", __file__, *wanted], check=False)
        importlib.invalidate_caches()
    if "venv" in missing(set(names) & {"venv"}):
        print(f"Python cannot make virtual environments: {advice(['venv'])}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
