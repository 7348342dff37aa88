"""The demonstration from rows to report, in small: the same commands, a smaller model, a few steps."""

import json
from pathlib import Path

import pytest

from t0jax import cli
from t0jax.cli import demo
from t0jax.demo.suite import DATASETS

NAMES = {dataset.folder.removesuffix("/default") for dataset in DATASETS if dataset.is_held_out}


def run_here(name: str, *flags: str) -> None:
    """A stage's command in this process: an import of JAX a stage is most of a small run."""
    assert cli.main([name, *flags]) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small demonstration."""
    path = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_command", run_here)
        assert cli.main(["demo", "--quick", "--output_dir", str(path)]) == 0
    return path


def test_a_small_demo_reports_every_held_out_dataset(folder: Path) -> None:
    results = json.loads((folder / "all_wordings/eval/results.json").read_text(encoding="utf-8"))
    assert {outcome["dataset"] for outcome in results["datasets"]} == NAMES
    page = (folder / "all_wordings/report.html").read_text(encoding="utf-8")
    assert all(name in page for name in (*NAMES, "untrained", "bag of words", "reserved"))
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_a_small_demo_trains_from_its_start(folder: Path) -> None:
    assert (folder / "start/checkpoint_0").is_dir()
    assert (folder / "all_wordings/model/checkpoint_20").is_dir()


def test_a_folder_holds_one_demonstration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--quick", "--seed", "7", "--output_dir", str(folder)]) == 2
    assert "give another --output_dir" in capsys.readouterr().err
