"""Sources as a person types them: locked, prepared, cached from each of them with the same bytes."""

import json
from pathlib import Path

import pytest
from hub_server import REPO, Hub, axg, made

from t0jax.cli import main

TASK = "super_glue_axg_can_we_infer_score_eval"


def records(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((cache / TASK).glob("test.tfrecord-*-of-?????"))]


def test_the_same_rows_from_each_source_are_the_same_cache(
    server: Hub, vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = made(356)
    server.commit(REPO, axg(rows))
    path = tmp_path / "rows/super_glue/axg/test.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    hub_lock, tfds = str(tmp_path / "my.lock"), str(tmp_path / "tfds")
    assert main(["tasks", "lock", "--datasets", "super_glue/axg", "--hub_lock", hub_lock]) == 0
    assert "my.lock: 1 of 1 locked" in capsys.readouterr().err
    prepare = ["tasks", "prepare", "--tasks", TASK, "--sources", "hub", "--hub_lock", hub_lock, "--tfds_data_dir", tfds]
    assert main(prepare) == 0
    assert capsys.readouterr().out.strip() == f"{tfds}/t0jax_super_glue/axg/1.0.0"
    places = {
        "local": ["--data_dir", str(tmp_path / "rows")],
        "hub": ["--sources", "hub", "--hub_lock", hub_lock],
        "tfds": ["--sources", "p3,tfds", "--p3_dir", str(tmp_path / "rows"), "--tfds_data_dir", tfds],
    }
    for name, flags in places.items():
        cache = ["cache", "--tasks", TASK, "--output_cache_dir", str(tmp_path / name), "--vocabulary", str(vocabulary)]
        assert main([*cache, *flags]) == 0
    assert records(tmp_path / "local") == records(tmp_path / "hub") == records(tmp_path / "tfds") != []


def test_what_cannot_be_locked_is_said_with_status_1(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.commit(REPO, axg(made(355)))
    lock = ["tasks", "lock", "--mixture", "super_glue_axg_score_eval", "--hub_lock", str(tmp_path / "my.lock")]
    assert main(lock) == 1
    said = capsys.readouterr().err
    assert "test has 355 rows instead of 356" in said
    assert "0 of 1 locked" in said
    assert main([*lock, "--accept_changes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == {"test": 355}


def test_actions_name_what_they_lack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, words in (
        (["tasks", "lock", "--hub_lock", "x"], "What to lock is not clear"),
        (["tasks", "prepare", "--tasks", TASK], "give --tfds_data_dir"),
        (["tasks", "convert", "--dataset", "imdb", "--from", str(tmp_path), "--data_dir", "x"], "imdb is not converted"),
        (["tasks", "lnit"], "has no action 'lnit'; it has lint"),
        (["tasks", "--render", TASK, "--sources", "hubb"], "no source 'hubb'"),
        (["tasks", "--render", TASK, "--split", "test", "--sources", "hub"], "super_glue/axg is not locked to a commit"),
    ):
        assert main(command) == 2
        assert words in capsys.readouterr().err
