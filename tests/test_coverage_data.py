"""Coverage of started processes: what runs is measured, and what a killed process left stops nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

from tests import coverage_data


@pytest.mark.parametrize("left", [100, 4096, 6 * 4096, 20 * 4096])
def test_a_file_that_was_half_written_is_dropped(tmp_path: Path, left: int) -> None:
    """However much of it was written; a whole one is kept, and all can be combined."""
    for name in ("data.whole", "data.half"):
        data = CoverageData(str(tmp_path / name))
        data.add_lines({f"{name}{number}.py": range(1000) for number in range(500)})
        data.close()
    half = tmp_path / "data.half"
    written = half.read_bytes()
    half.write_bytes(written[:left] + bytes(len(written) - left))

    coverage_data.drop_broken(list(tmp_path.iterdir()))

    assert [file.name for file in tmp_path.iterdir()] == ["data.whole"]
    whole = Coverage(data_file=str(tmp_path / "data"))
    whole.combine(strict=True)
    assert len(whole.get_data().measured_files()) == 500
    whole.get_data().close()


def test_a_process_writes_down_the_files_that_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its branches too, and no file that it did not load."""
    config = Coverage(data_file=str(tmp_path / "data"), branch=True, source=["peak_observe"]).config
    config.parallel = True
    monkeypatch.setenv(coverage_data.CONFIG, config.serialize())
    coverage_data.measure_only_what_runs()
    subprocess.run([sys.executable, "-c", "import peak_observe.errors"], check=True, timeout=60)

    (file,) = coverage_data.parts()
    data = CoverageData(str(file))
    data.read()
    names = {Path(name).relative_to(coverage_data.PACKAGE).as_posix() for name in data.measured_files()}
    assert "errors.py" in names
    assert "cli/main.py" not in names
    assert len(data.arcs(str(coverage_data.PACKAGE / "errors.py"))) > 10
    data.close()


def test_an_unmeasured_process_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the environment is handed on."""
    monkeypatch.setenv(coverage_data.CONFIG, "anything")
    assert coverage_data.unmeasured().keys() == os.environ.keys() - {coverage_data.CONFIG}


def test_processes_are_measured_except_those_of_some_files() -> None:
    """Each file or folder that is named is there."""
    tests = Path(__file__).parent
    assert [name for name in coverage_data.ELSEWHERE if not (tests / name).exists()] == []
    assert coverage_data.is_measured_elsewhere(tests / "backup_recovery" / "faults" / "test_together.py")
    assert not coverage_data.is_measured_elsewhere(tests / "exporter" / "web" / "test_server.py")
