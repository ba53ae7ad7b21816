"""The configuration of the exporter: every key, every kind of mistake, and anything at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.errors import ConfigError, MissingExtraError
from peak_observe.exporter import config
from peak_observe.exporter.sources.backup_sources import Borg, Files, PeakRepositorySource, Restic
from peak_observe.exporter.sources.process_source import DiscoveredProcesses
from peak_observe.exporter.sources.summed_processes import SummedProcesses
from peak_observe.resilience.health.config import SETTINGS
from peak_observe.support.redact import printable

ALL = """
[processes]
directory = "run"
interval = 5
retain = 86400
timeout = 10
max_bytes = 1000000
max_series = 10000
max_accounts = 50
foreign_addresses = true
sum = false

[repositories.trading]
path = "backups"
max_age = 90000
interval = 15
timeout = 10

[files.pg_dump]
glob = ["dumps/*.dump", "/var/dumps/*.dump"]
min_bytes = 1000
max_age = 90000
interval = 15
timeout = 10

[restic.offsite]
repository = "sftp:nas:/backups"
password_file = "restic.password"
program = "restic"
arguments = ["--host", "trader"]
environment = {HOME = "/root"}
max_age = 90000
interval = 300
timeout = 60

[borg.nas]
repository = "ssh://nas/./borg"
program = "borg"
arguments = "--bypass-lock"
environment = {BORG_PASSCOMMAND = "cat /etc/borg"}
max_age = 90000
interval = 300
timeout = 60

[checks.disk]
kind = "disk_space"
interval = 60

[otlp]
endpoint = "http://127.0.0.1:4318"
interval = 30
timeout = 5
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that tests write; the working directory is empty, and nothing is set."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.delenv(config.DIRECTORY, raising=False)
    return tmp_path / "peak-observe.toml"


def refused(file: Path, text: str) -> str:
    """Return what is said of a file, without its name, which stands in front."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_every_section_with_every_key(file: Path) -> None:
    """And none is missing here."""
    file.write_text(ALL)
    found = config.load(file)
    sources = {definition.name: definition for definition in found.sources}
    kinds = {name: type(definition.make()) for name, definition in sources.items() if "." in name}
    assert kinds == {
        "repositories.trading": PeakRepositorySource,
        "files.pg_dump": Files,
        "restic.offsite": Restic,
        "borg.nas": Borg,
    }
    assert list(sources)[:3] == ["exporter", "checks", "processes"]
    assert [check.name for _, check in found.checks] == ["disk"]
    assert found.otlp == config.Otlp("http://127.0.0.1:4318/v1/metrics", 30, 5)
    keys = {*config.PROCESSES, *config.OTLP, *(key for kind in config.KINDS.values() for key in kind.keys)}
    assert all(f"\n{key} = " in ALL for key in keys)
    for name, definition in sources.items():
        if "." in name:
            assert definition.make().name == name


def test_paths_begin_at_the_folder_of_the_file(file: Path) -> None:
    """Wherever the exporter is started."""
    file.write_text(ALL)
    (file.parent / "dumps").mkdir()
    (file.parent / "dumps" / "x.dump").write_bytes(b"x" * 2000)
    sources = {definition.name: definition.make() for definition in config.load(file).sources}
    assert sources["files.pg_dump"]._patterns == [str(file.parent / "dumps" / "*.dump"), "/var/dumps/*.dump"]
    assert sources["repositories.trading"]._repository.root == file.parent / "backups"
    assert str(file.parent / "restic.password") in sources["restic.offsite"]._words


def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    """Its name is no pattern."""
    folder = tmp_path / "[x] *"
    folder.mkdir()
    (folder / "a.dump").write_text("x")
    (folder / "peak-observe.toml").write_text('[files.x]\nglob = "*.dump"\n')
    (definition,) = [one for one in config.load(folder / "peak-observe.toml").sources if one.name == "files.x"]
    assert definition.make().stored().good == 1


def test_one_file_is_enough(file: Path) -> None:
    """Also for the backups that `peak-observe backup` makes: what it reads is none of the exporter's business."""
    file.write_text('[backup]\nrepository = "backups"\n[files.x]\nglob = "*"\n')
    assert [definition.name for definition in config.load(file).sources][2:] == ["files.x"]


def test_no_password_is_said(file: Path) -> None:
    """A repository's address may hold one, and what is watched stands in the log and on the status page."""
    file.write_text("[restic.x]\nrepository = 'rest:https://anna:secret@nas/repo?token=abc'\n")
    (definition,) = [one for one in config.load(file).sources if one.name == "restic.x"]
    assert definition.about == "restic repository rest:https://nas"


def test_programs_are_called_as_their_manuals_say(file: Path) -> None:
    """Read-only, as JSON, with what the owner adds; a repository is never taken for an option."""
    file.write_text(ALL)
    sources = {definition.name: definition.make() for definition in config.load(file).sources}
    restic, borg = sources["restic.offsite"], sources["borg.nas"]
    assert restic._words[:6] == ["restic", "snapshots", "--json", "--no-lock", "--repo", "sftp:nas:/backups"]
    assert restic._words[-2:] == ["--host", "trader"]
    assert borg._words == ["borg", "list", "--json", "--bypass-lock", "--", "ssh://nas/./borg"]
    assert borg._timeout < 60


def test_the_same_text_is_the_same_definition(file: Path) -> None:
    """By which a reload knows what goes on."""
    file.write_text(ALL)
    first, second = config.load(file), config.load(file)
    assert all(a.same(b) for a, b in zip(first.sources, second.sources, strict=True))
    assert [table for table, _ in first.checks] == [table for table, _ in second.checks]
    file.write_text(ALL.replace("min_bytes = 1000", "min_bytes = 1001"))
    changed = [a.name for a, b in zip(first.sources, config.load(file).sources, strict=True) if not a.same(b)]
    assert changed == ["files.pg_dump"]


def test_without_a_file_it_finds_what_there_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Itself, the directory of the environment, and ./backups."""
    assert [definition.name for definition in config.load(None).sources] == ["exporter", "checks"]
    Path("backups").mkdir()
    monkeypatch.setenv(config.DIRECTORY, str(file.parent / "run"))
    found = config.load(None)
    assert [definition.name for definition in found.sources] == [
        "exporter",
        "checks",
        "processes",
        "repositories.backups",
    ]
    assert isinstance(found.sources[2].make(), DiscoveredProcesses)
    assert (found.path, found.checks) == (None, ())


@pytest.mark.usefixtures("file")
def test_the_file_of_the_working_directory_is_the_default() -> None:
    """As Prometheus' own tools have it."""
    Path(config.DEFAULT).write_text('[files.x]\nglob = "*.x"\n')
    assert [definition.name for definition in config.load(None).sources][-1] == "files.x"


def test_the_directory_may_come_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without the section; a key in it has the last word."""
    monkeypatch.setenv(config.DIRECTORY, "/run/env")
    for text, folder in (
        ("", "/run/env"),
        ("[processes]\nretain = 5", "/run/env"),
        ('[processes]\ndirectory = "/run/key"', "/run/key"),
    ):
        file.write_text(text)
        (processes,) = [definition for definition in config.load(file).sources if definition.name == "processes"]
        assert processes.about == f"processes in {folder}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[files.x\n", "not valid TOML: "),
        (
            "x = 1",
            "x: there is no such section; there are [processes], [otlp], [checks.NAME] and [repositories.NAME], ",
        ),
        ("[file.x]\nglob = '*'", "file: there is no such section; did you mean 'files'?"),
        ("files = 5", "files: it has to consist of tables [files.NAME]"),
        ("[files]\nglob = '*'", "files: it has to consist of tables [files.NAME]"),
        ("[files.x]", "files.x: the key 'glob' is missing"),
        ("[files.x]\nglob = '*'\nmax_aeg = 5", "files.x.max_aeg: there is no such key; did you mean 'max_age'?"),
        ("[files.x]\nglob = 5", "files.x.glob: it has to be a string or a list of strings, not 5"),
        ("[files.x]\nglob = []", "files.x.glob: it has to name something"),
        ("[files.x]\nglob = ['*', '']", "files.x.glob: it has to name something"),
        ("[files.x]\nglob = '*'\nmin_bytes = -1", "files.x.min_bytes: it has to be at least 0, not -1"),
        ("[files.x]\nglob = '*'\ninterval = 0", "files.x.interval: it has to be seconds above 0, up to 604800, not 0"),
        ("[files.x]\nglob = '*'\ntimeout = 1e9", "files.x.timeout: it has to be seconds above 0, up to 604800, not"),
        ("[files.x]\nglob = '*'\nmax_age = nan", "files.x.max_age: it has to be seconds above 0, not nan"),
        ("[files.x]\nglob = '*'\nmax_age = inf", "files.x.max_age: it has to be seconds above 0, not inf"),
        ("[files.x]\nglob = '*'\nmax_age = '1d'", "files.x.max_age: it has to be a number, not '1d'"),
        ("[files.'']\nglob = '*'", "files.: name must be a string that is not empty"),
        ("[repositories.x]", "repositories.x: the key 'path' is missing"),
        ("[repositories.x]\npath = ''", "repositories.x.path: it has to name something"),
        ("[restic.x]\nrepository = ''", "restic.x.repository: it has to name something"),
        ("[borg.x]\nrepository = 'r'\nprogram = ''", "borg.x.program: it has to name something"),
        ("[borg.x]\nrepository = 'r'\nenvironment = {A = 5}", "borg.x.environment: it has to be a table"),
        (
            "[files.x]\nglob = '*'\n[borg.x]\nrepository = 'r'",
            "borg.x: the name is taken by [files.x]: each repository needs one of its own",
        ),
        ("processes = 5", "processes: it has to be a table [processes]"),
        ("[processes]", "processes: the key 'directory' is missing, and PEAK_OBSERVE_DIR is not set"),
        ("[processes]\ndirectory = 'x'\nretain = 0", "processes.retain: it has to be seconds above 0, not 0"),
        ("[processes]\ndirectoy = 'x'", "processes.directoy: there is no such key; did you mean 'directory'?"),
        ("[checks.x]\nkind = 'tpc'", "checks.x.kind: 'tpc' is none of breaker_closed, "),
        ("[checks]\nx = 5", "checks: it has to consist of tables [checks.NAME]"),
        (
            "[checks.a]\nkind = 'memory'\ndepends_on = 'b'\n[checks.b]\nkind = 'memory'\ndepends_on = ['a']",
            "checks: checks depend on each other in a circle: ",
        ),
        ("[checks.a]\nkind = 'memory'\ndepends_on = 'a'", "checks: checks depend on each other in a circle: a -> a"),
    ],
)
def test_nonsense_is_one_line_that_names_the_key(file: Path, text: str, message: str) -> None:
    """What was found, what is allowed, and what was probably meant."""
    assert message in refused(file, text)


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o777, 0o602])
def test_a_file_that_anybody_may_write_is_refused(file: Path, mode: int) -> None:
    """It can name programs, which would run as the exporter's user."""
    file.write_text('[restic.x]\nrepository = "/r"\nprogram = "/tmp/evil"\n')
    file.chmod(mode)
    with pytest.raises(ConfigError, match=r"anybody may change this file.*chmod o-w") as caught:
        config.load(file)
    assert (str(caught.value).count(str(file)), "TOML" in str(caught.value)) == (2, False)  # where it is, and the mend
    file.chmod(0o664)
    assert config.load(file).sources


@pytest.mark.parametrize(
    ("line", "option", "summed"), [("", False, False), ("sum = true", False, True), ("", True, True)]
)
def test_processes_are_added_up_where_file_or_option_says_so(file: Path, line: str, option: bool, summed: bool) -> None:
    """And `--config.check` says it."""
    file.write_text(f'[processes]\ndirectory = "d"\n{line}\n')
    (found,) = (one for one in config.load(file, sum_processes=option).sources if one.name == "processes")
    assert isinstance(found.make(), SummedProcesses) is summed
    assert found.about.endswith(", added up") is summed


@pytest.mark.parametrize("key", ["max_bytes", "max_series", "max_accounts"])
def test_a_limit_of_nothing_is_refused(file: Path, key: str) -> None:
    """With the key that says so."""
    assert f"processes.{key}: it has to be at least 1, not 0" in refused(
        file, f'[processes]\ndirectory = "d"\n{key} = 0\n'
    )


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("https://c", "https://c/v1/metrics"),
        ("https://c/otlp/v1/metrics", "https://c/otlp/v1/metrics"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/metrics"),
    ],
)
def test_a_collector_gets_the_usual_path(file: Path, endpoint: str, url: str) -> None:
    """Unless it has one of its own."""
    file.write_text(f'[otlp]\nendpoint = "{endpoint}"\n')
    assert config.load(file).otlp == config.Otlp(url, 15.0, 10.0)


@pytest.mark.parametrize(
    "endpoint",
    ["", "127.0.0.1:4318", "grpc://c:4317", "http://", "http://c:x", "http://c:99999", "http://[", "http://:1"],
)
def test_what_is_no_url_of_a_collector_is_refused(file: Path, endpoint: str) -> None:
    """With one that would be taken."""
    assert "otlp.endpoint: it has to be a URL such as http://127.0.0.1:4318" in refused(
        file, f'[otlp]\nendpoint = "{endpoint}"\n'
    )


def test_a_password_of_a_collector_is_refused_and_not_shown(file: Path) -> None:
    """The environment is the place for it."""
    problem = refused(file, '[otlp]\nendpoint = "https://bob:hunter2hunter2@c"\n')
    assert "hunter2" not in problem
    assert "OTEL_EXPORTER_OTLP_HEADERS" in problem


def test_a_push_without_its_extra_says_what_to_install(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is served."""
    monkeypatch.setattr(config, "find_spec", lambda _: None)
    file.write_text('[otlp]\nendpoint = "http://c"\n')
    with pytest.raises(MissingExtraError, match=r"\[otlp\] of .* needs the extra 'otlp': pip install"):
        config.load(file)


def test_a_file_that_is_not_there(file: Path) -> None:
    """Is named; asked for by name, it has to be there."""
    with pytest.raises(ConfigError, match=r"peak-observe\.toml: No such file or directory"):
        config.load(file)


WORDS = [*config.SECTIONS, "x", "", *SETTINGS, "kind", *config.PROCESSES, *config.OTLP]
WORDS += [key for kind in config.KINDS.values() for key in kind.keys]
SCALARS = st.sampled_from(['"x"', '""', "5", "-1", "1.5", "nan", "inf", "true", "[]", '["x"]', "[1]", "{}", "{a = 1}"])
LINES = st.one_of(
    st.builds("[{}]".format, st.sampled_from(WORDS)),
    st.builds("[{}.{}]".format, st.sampled_from(WORDS), st.sampled_from(["x", "y", '""', '"ü [x]"'])),
    st.builds("{} = {}".format, st.sampled_from(WORDS), SCALARS),
    st.sampled_from(['kind = "tcp"', 'kind = "memory"', 'host = "h"', "port = 1", 'glob = "*"', 'repository = "r"']),
    st.text(max_size=20),
)


def taken(file: Path) -> config.Config | None:
    """Return a configuration, or None where it is refused as it should be."""
    problem = ""
    try:
        return config.load(file)
    except ConfigError as error:
        problem = printable(str(error))
    assert problem.startswith(f"{file}: ")
    assert len(problem.splitlines()) == 1
    return None


@given(st.lists(LINES, max_size=8))
def test_any_text_is_a_configuration_or_one_error(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    """Never anything else, and what is taken can be made."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes("\n".join(lines).encode(errors="surrogatepass"))
    found = taken(file)
    for definition in found.sources if found else ():
        definition.make()


@given(st.binary(max_size=200))
def test_any_bytes_too(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """A file may hold anything."""
    file = tmp_path_factory.getbasetemp() / "bytes.toml"
    file.write_bytes(content)
    taken(file)


def test_what_others_read_may_stand_in_the_same_file(tmp_path: Path) -> None:
    """One file for the exporter, the command of backups, and the policies of a program."""
    path = tmp_path / "peak-observe.toml"
    path.write_text('[backup]\nrepository = "backups"\n[policies.kraken]\ntimeout = 5\n')
    assert [source.name for source in config.load(path).sources] == ["exporter", "checks"]


def test_a_file_that_is_a_link_to_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not passed over as if there were none."""
    monkeypatch.chdir(tmp_path)
    Path(config.DEFAULT).symlink_to("elsewhere.toml")
    with pytest.raises(ConfigError, match=r"peak-observe\.toml: No such file"):
        config.load(None)
