"""`peak-observe backup push` and `backup offsite`, as a person and a cron job meet them."""

import os
import signal
import subprocess
import sys

import pyrage
import pytest

FILE = """
[backup]
repository = "backups"
config = "config"
data = ["data"]
max_age = "24h"

[backup.offsite]
url = "file://{folder}/store"
recipients = ["{recipient}"]
host = "bot1"

[backup.offsite.keep]
last = 1
"""


@pytest.fixture
def away(desk):
    """Return the folder with a file that names a store, which is made already."""
    key = pyrage.x25519.Identity.generate()
    desk.write("identity.txt", f"{key}\n").chmod(0o600)
    desk.write("peak-observe.toml", FILE.format(folder=desk.folder, recipient=key.to_public()))
    done = desk.run("offsite", "init")
    assert done.code == 0
    assert "keep two copies of it in two places" in done.err
    return desk


def test_keygen_writes_a_private_file(desk) -> None:
    """The public key is printed, the private one is for its owner alone and is never overwritten."""
    done = desk.run("offsite", "keygen", "key.txt")
    assert (done.code, done.out.startswith("age1")) == (0, True)
    path = desk.folder / "key.txt"
    assert (path.stat().st_mode & 0o777, done.out.strip() in path.read_text()) == (0o600, True)
    assert "AGE-SECRET" not in done.out + done.err
    assert "as file exists" in desk.run("offsite", "keygen", "key.txt").line


def test_create_and_push(away) -> None:
    """One command makes a backup and sends it; the file is found by itself."""
    done = away.run("create", "--push")
    assert (done.code, done.err) == (0, "")
    assert "pushed, " in done.out
    assert "was there already" in away.run("push").out


def test_a_backup_whose_base_has_no_record_is_listed_as_corrupt(away) -> None:
    """And verified as such: the restore of it would fail."""
    whole = away.run("create", "--push", "--json").json["backup_id"]
    base = away.run("create", "--push", "--json").json["backup_id"]
    away.write("data/new.csv", "x")
    name = away.run("create", "--incremental", "--push", "--json").json["backup_id"]
    assert away.run("offsite", "verify").code == 0
    (away.folder / "store/backups/bot1" / base).unlink()
    found = {item["backup_id"]: item["corrupt"] for item in away.run("offsite", "list", "--json").json["backups"]}
    assert found == {name: True, whole: False}
    assert [line.split()[2] for line in away.run("offsite", "list").out.splitlines()[1:]] == ["corrupt", "success"]
    for identity in ([], ["--identity", "identity.txt"]):
        done = away.run("offsite", "verify", *identity)
        assert (done.code, "CORRUPT" in done.out) == (4, True)
        problem = f"{name}: backups/bot1/{base}: is missing or damaged, and this backup is based on it"
        assert done.line == problem
    done = away.run("offsite", "restore", "--identity", "identity.txt", "--to", "out", "--yes")
    assert (done.code, f"{name} in the store is passed over" in done.err) == (0, True)


def test_what_verify_has_found_damaged_is_listed_as_corrupt(away) -> None:
    """Until it is whole again."""
    away.run("create", "--push")
    victim = next(path for path in (away.folder / "store" / "objects").rglob("*") if path.is_file())
    before = victim.read_bytes()
    victim.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    for code, state in ((4, "corrupt"), (0, "success")):
        assert away.run("offsite", "verify", "--identity", "identity.txt").code == code
        (item,) = away.run("offsite", "list", "--json").json["backups"]
        assert item["corrupt"] is (code == 4)
        assert state in away.run("offsite", "list").out
        victim.write_bytes(before)


def test_latest_holds_what_is_wanted(away) -> None:
    """A newer backup of the configuration alone is passed over, and named."""
    wanted = away.run("create", "--push", "--json").json["backup_id"]
    newer = away.run("create", "--only", "config", "--push", "--json").json["backup_id"]
    options = ("offsite", "restore", "--identity", "identity.txt", "--yes", "--json")
    for more in ((), ("--only", "data"), ("--map", f"{away.folder}/data={away.folder}/moved")):
        done = away.run(*options, *more)
        assert (done.code, done.json["backup_id"]) == (0, wanted), done.err
        assert f"{newer} in the store is newer and does not hold all that is wanted" in done.err
    assert away.run(*options, "--only", "config").json["backup_id"] == newer
    done = away.run(*options, "--only", "state")
    assert (done.code, done.line) == (3, "there is no backup 'latest'; no good one in the store holds state")


def test_list_tells_host_and_backup(away) -> None:
    """For people and for programs."""
    made = away.run("create", "--push", "--json").json["backup_id"]
    assert made in away.run("offsite", "list").out
    (item,) = away.run("offsite", "list", "--json").json["backups"]
    assert (item["host"], item["backup_id"], item["status"]) == ("bot1", made, "success")


def test_verify_without_and_with_the_private_key(away) -> None:
    """The line tells how far it looked."""
    away.run("create", "--push")
    assert "all is there" in away.run("offsite", "verify").out
    assert "every byte is right" in away.run("offsite", "verify", "--identity", "identity.txt").out


def test_damage_ends_with_exit_code_4(away) -> None:
    """The object is named on standard error."""
    away.run("create", "--push")
    victim = next(path for path in (away.folder / "store" / "objects").rglob("*") if path.is_file())
    victim.write_bytes(b"")
    done = away.run("offsite", "verify")
    assert done.code == 4
    assert victim.name[:16] in done.err


def test_disaster_from_the_store_alone(away) -> None:
    """On a new machine the address and the private key are enough."""
    away.run("create", "--push")
    where = ["--url", f"file://{away.folder}/store", "--identity", "identity.txt"]
    (away.folder / "peak-observe.toml").unlink()
    for name in ("backups", "data"):
        (away.folder / name).rename(away.folder / f"lost-{name}")
    assert away.run("offsite", "list", *where).code == 0
    assert away.run("offsite", "drill", *where).code == 0
    done = away.run("offsite", "restore", *where, "--to", "back")
    assert done.code == 0, done
    assert away.read("back/data/data/trades.csv") == "1,64000\n"
    old = away.folder / "data"
    done = away.run("offsite", "restore", "latest", *where, "--only", "data", "--map", f"{old}={away.folder}/moved")
    assert done.code == 0, done
    assert away.read("moved/trades.csv") == "1,64000\n"


def test_live_files_come_back_where_they_were(away) -> None:
    """What the file names is restored in its place, after a question or with --yes."""
    away.run("create", "--push")
    away.write("data/trades.csv", "lost\n")
    done = away.run("offsite", "restore", "--identity", "identity.txt")
    assert done.code == 2
    assert "--yes does it" in done.err
    assert away.run("offsite", "restore", "--identity", "identity.txt", "--yes").code == 0
    assert away.read("data/trades.csv") == "1,64000\n"
    assert not list((away.folder / "backups").glob(".peak-observe-offsite*"))


RESTORE = ("offsite", "restore", "--identity", "identity.txt")


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--to", "FILE"), 6, "FILE is a file now, and a folder has to be there: move it away; or --to DIR restores"),
        (("--to", "nowhere/x"), 6, "nowhere is a symbolic link to nothing: name another folder; --to DIR or --map"),
        (("--to", "n" * 300), 6, "this name is too long; or --to DIR restores into a folder of its own"),
        (("--to", "backups/x"), 6, "backups/x lies in the repository: name another folder; --to DIR or --map"),
        (("--map", "data=backups"), 6, "backups lies among the backups: name another place; --to DIR or --map"),
        (("--map", "data/trades.csv=x"), 6, "which goes to one place as a whole; it holds"),
        (("--state-file", "FILE/x"), 1, "holds no state"),
        (("--to", "x", "--map", "data=y"), 2, "give one of them"),
        (("--to", "~nobody-here/x"), 2, "the home folder of a user that this host does not know"),
    ],
    ids=lambda value: " ".join(value)[:20] if isinstance(value, tuple) else None,
)
def test_places_are_refused_as_by_a_restore_from_a_repository(
    away, options: tuple[str, ...], code: int, told: str
) -> None:
    """A dry run and a real one alike, also where the repository is not the one that it comes from."""
    away.run("create", "--push")
    away.write("FILE", "mine")
    (away.folder / "nowhere").symlink_to("gone")
    before = sorted(map(str, away.folder.rglob("*")))
    ended = [away.run(*RESTORE, *options, how) for how in ("--dry-run", "--yes")]
    assert [done.code for done in ended] == [code, code]
    assert all(told in done.err for done in ended), ended
    assert sorted(map(str, away.folder.rglob("*"))) == before
    assert away.read("FILE") == "mine"


def test_latest_may_be_a_partial_one(away) -> None:
    """Where it is asked for, and the store has no good one."""
    away.run("create", "--config", "gone")
    name = away.run("create", "--config", "gone", "--json").json["backup_id"]
    for backup in (away.folder / "backups").glob("backup_*"):
        assert away.run("push", backup.name).code == 0
    done = away.run(*RESTORE, "--to", "out")
    assert done.code == 3
    assert done.line == (
        f"there is no backup 'latest'; none in the store has succeeded; {name} is partial: "
        "`restore --allow-partial` brings back what there is"
    )
    assert away.run(*RESTORE, "--to", "out", "--allow-partial", "--json").json["backup_id"] == name
    good = away.run("create", "--push", "--json").json["backup_id"]
    assert away.run("create", "--config", "gone").code == 1
    assert away.run(*RESTORE, "--to", "new", "--allow-partial", "--json").json["backup_id"] == good


def test_the_beginning_of_a_name_is_one_as_in_a_repository(away) -> None:
    """Also without `backup_`; several that begin so, none, and no name at all are errors that say so."""
    first = away.run("create", "--push", "--json").json["backup_id"]
    assert away.run(*RESTORE, first[len("backup_") : -3], "--to", "out", "--json").json["backup_id"] == first
    assert away.run(*RESTORE, first[:-3], "--to", "out", "--json", "--yes").json["backup_id"] == first
    second = away.run("create", "--push", "--json").json["backup_id"]
    done = away.run(*RESTORE, "backup_", "--to", "new")
    assert (done.code, done.line) == (
        2,
        f"'backup_' is the beginning of 2 backups, of {second} too: write more of it",
    )
    for name in ("", "nope", "a\nb", first + "0"):
        done = away.run(*RESTORE, name, "--to", "new")
        assert (done.code, done.line) == (3, f"there is no backup {name!r}; the store holds none of that name")
    assert not (away.folder / "new").exists()


def test_prune_by_the_rules_of_the_store(away) -> None:
    """`[backup.offsite.keep]` is the store's own; rules on the command line replace it."""
    for number in range(3):
        away.write("data/trades.csv", f"{number}\n")
        away.run("create", "--push")
    assert len(away.run("offsite", "prune", "--last", "2", "--dry-run", "--json").json["hosts"]["bot1"]["remove"]) == 1
    assert "removed 2" in away.run("offsite", "prune").out
    assert len(away.run("offsite", "list", "--json").json["backups"]) == 1


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["restore", "--identity", "none.txt"], 1, "the identity file none.txt cannot be read"),
        (["restore", "nothing", "--identity", "identity.txt"], 3, "there is no backup 'nothing'"),
        (["drill", "--identity", "identity.txt"], 3, "there is no backup 'latest'"),
        (["list", "--url", "ftp://x"], 1, "has to begin with s3://"),
        (["verify"], 1, "the store holds no good backup"),
        (["prune", "--within", "x"], 2, "--within"),
    ],
)
def test_mistakes_are_one_line(away, args: list[str], code: int, message: str) -> None:
    """No traceback, and the exit code of the error."""
    done = away.run("offsite", *args)
    assert done.code == code
    assert message in done.line


def test_no_table_names_a_store(desk) -> None:
    """The error says what to write."""
    for args in (
        ["push", "--config.file", "peak-backup.toml"],
        ["offsite", "list", "--config.file", "peak-backup.toml"],
    ):
        desk.made()
        assert "no table [backup.offsite] names a store" in desk.run(*args).line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("url =", "address =", "there is no such key"),
        ('host = "bot1"', 'host = "a/b"', "host has to be letters"),
        ('host = "bot1"', 'bandwidth = "fast"', "it has to be bytes a second"),
        ('host = "bot1"', "bandwidth = true", "it has to be bytes a second"),
        ('host = "bot1"', f'bandwidth = "{"9" * 400}"', "it has to be bytes a second"),
        ('host = "bot1"', 'endpoint = "s3.example.com"', "backup.offsite.endpoint: it has to be an address such as"),
        ('host = "bot1"', 'endpoint = "https://s3.example.com:99999"', "it has to be an address such as"),
        ('host = "bot1"', 'endpoint = "https://me:word@s3.example.com"', "without user and password"),
        ('host = "bot1"', "recipients = 5", "backup.offsite"),
        ("last = 1", "first = 1", "backup.offsite.keep.first"),
    ],
)
def test_mistakes_in_the_file(away, old: str, new: str, message: str) -> None:
    """File, key, what was found and what is allowed are in one line."""
    text = away.read("peak-observe.toml").replace(old, new)
    if new.startswith("recipients"):
        text = "\n".join(line for line in text.splitlines() if not line.startswith("recipients = ["))
    away.write("peak-observe.toml", text)
    done = away.run("offsite", "list")
    assert done.code == 2
    assert message in done.line


def test_closed_output_is_no_error(away) -> None:
    """`… | head` ends without a traceback."""
    away.run("create", "--push")
    command = f"{sys.executable} -m peak_observe backup offsite list | true"
    done = subprocess.run(["sh", "-c", command], cwd=away.folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_ctrl_c_ends_a_push_in_a_line(away) -> None:
    """Also while a request waits for the bandwidth; the store is as it was, and the next push goes on."""
    text = away.read("peak-observe.toml")
    away.write("peak-observe.toml", text.replace('host = "bot1"', 'host = "bot1"\nbandwidth = "1kB/s"'))
    (away.folder / "data" / "big.bin").write_bytes(os.urandom(1 << 20))
    away.run("create")
    command = [sys.executable, "-m", "peak_observe", "backup", "push"]
    process = subprocess.Popen(command, cwd=away.folder, stderr=subprocess.PIPE, text=True)
    leases = away.folder / "store" / "leases"
    while not leases.is_dir() or not list(leases.iterdir()):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "interrupted" in err
    away.write("peak-observe.toml", text)
    assert away.run("push").code == 0


def test_a_disk_that_is_not_mounted_is_no_new_store(away) -> None:
    """Its folder is not made in its place, and the advice is one that works."""
    away.run("create", "--push")
    store = away.folder / "store"
    store.rename(away.folder / "elsewhere")
    for args in (["push"], ["offsite", "list"], ["offsite", "verify"], ["offsite", "init"]):
        line = away.run(*args).line
        assert f"there is no folder {store}: is the disk mounted, and the url right?" in line
        assert not store.exists()
    assert "is moved away" in away.run("offsite", "init").line
    store.mkdir()
    assert "there is no store at this address: is the disk mounted" in away.run("push").line
    next((away.folder / "backups/.peak-observe").glob("offsite-*.key")).unlink()
    assert away.run("offsite", "init").code == 0
    assert away.run("push").code == 0
