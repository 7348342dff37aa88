"""The hub's rows are those of the lock, or an error: tested against a server on this machine that speaks the hub's protocol."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow
import pyarrow.parquet as parquet
import pytest
from hub_server import Files, Hub, running

from t0jax.data.schemas import schema
from t0jax.data.sources import hub, hub_lock
from t0jax.data.sources.features import fit
from t0jax.data.sources.hub_lock import HubLine, HubSplit, known_lines, own_lock, read_lock
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError

Rows = list[dict[str, Any]]
AXG, REPO = ("super_glue", "axg"), "aps/super_glue"
TEST = "axg/test-00000-of-00002.parquet"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, with a cache of our own."""
    constants = huggingface_hub.constants
    monkeypatch.setenv("T0JAX_CACHE", str(tmp_path / "memory"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits longer before each retry
    with running(Hub()) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A user's lock, which is not there yet."""
    return tmp_path / "locks/my.lock"


def made(count: int) -> Rows:
    return [{"premise": f"P{n} " + "x" * 30, "hypothesis": f"H{n}", "idx": n, "label": n % 2} for n in range(count)]


def file(rows: Rows, **labels: list[str]) -> bytes:
    """A Parquet file as the hub has it, with the names of its classes."""
    features = {name: {"names": names, "_type": "ClassLabel"} for name, names in labels.items()}
    table = pyarrow.Table.from_pylist(rows)
    if labels:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    written = io.BytesIO()
    parquet.write_table(table, written, row_group_size=100)
    return written.getvalue()


def flipped(data: bytes) -> bytes:
    """One bit is another."""
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def axg(rows: Rows) -> Files:
    """The repository of SuperGLUE's axg: one split, of two files."""
    names = ["entailment", "not_entailment"]
    parts = [file(part, label=names) for part in (rows[:200], rows[200:])]
    return {"README.md": b"---", TEST: parts[0], "axg/test-00001-of-00002.parquet": parts[1]}


def locked(server: Hub, lock: Path) -> Rows:
    """Lock axg to what the hub has; its rows."""
    rows = made(356)
    revision = server.commit(REPO, axg(rows))
    [done] = hub.lock_hub([AXG], lock)
    assert (done.revision, done.rows, done.problem) == (revision, {"test": 356}, None)
    return rows


def refused(lock: Path, error: type[InputError] = InputError) -> str:
    """What is said when axg cannot be read; only MissingRowsError may be skipped."""
    with pytest.raises(InputError) as caught:
        hub.open_hub(str(lock), AXG, "test")
    assert type(caught.value) is error
    assert "super_glue/axg" in str(caught.value)
    return str(caught.value)


def test_locked_rows_come_whole_and_are_downloaded_once(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    before = len(server.downloads())
    source = hub.open_hub(str(lock), AXG, "test")
    assert (source.num_rows, list(source.read()), list(source.read(198, 203))) == (356, rows, rows[198:203])
    assert server.downloads()[before:] == [None, None]
    assert hub.open_hub(str(lock), AXG, "test") == source
    assert len(server.downloads()) == before + 2
    assert source.origin.startswith(f"hub: {REPO}@")


def test_a_lock_line_holds_commit_sizes_and_hashes(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    line = json.loads(lock.read_text())
    files = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in axg(rows).items() if name != "README.md"]
    assert line["splits"] == {"test": {"rows": 356, "files": files}}
    assert line["revision"] == server.repositories[REPO].branches["main"]
    assert [path.name for path in lock.parent.iterdir()] == ["my.lock"]


def test_a_lock_stays_where_it_is_when_the_hub_moves_on(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    server.commit(REPO, axg(made(355)))
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows


def test_a_limit_downloads_only_the_files_that_it_reaches(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    before = len(server.downloads())
    assert list(hub.open_hub(str(lock), AXG, "test", limit=150).read()) == rows[:150]
    assert len(server.downloads()) == before + 1


def test_an_unlocked_dataset_is_refused_unless_a_lock_is_named(server: Hub, lock: Path) -> None:
    rows = made(356)
    server.commit(REPO, axg(rows))
    with pytest.raises(InputError, match="not locked to a commit: run `t0jax tasks lock --datasets super_glue/axg") as caught:
        hub.open_hub(None, AXG, "test")
    assert not isinstance(caught.value, MissingRowsError)
    assert server.asked == []
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows
    assert read_lock(lock)[AXG].revision == server.repositories[REPO].branches["main"]


def test_the_hubs_own_conversion_serves_where_main_has_no_parquet(server: Hub, lock: Path) -> None:
    server.commit(REPO, {"super_glue.py": b"", "data/axg.jsonl": b""})
    converted = server.commit(REPO, {"axg/test/0000.parquet": file(made(356))}, branch="refs/convert/parquet")
    assert hub.open_hub(str(lock), AXG, "test").num_rows == 356
    assert read_lock(lock)[AXG].revision == converted


def test_a_tampered_file_is_refused(server: Hub, lock: Path) -> None:
    locked(server, lock)
    data = server.repositories[REPO].commits[read_lock(lock)[AXG].revision][TEST]
    server.tampered[data] = flipped(data)
    message = refused(lock)
    assert f"has the SHA-256 {hashlib.sha256(server.tampered[data]).hexdigest()}, the lock has" in message
    assert "/blobs/" in message


def test_a_file_of_another_size_is_refused(server: Hub, lock: Path) -> None:
    locked(server, lock)
    data = server.repositories[REPO].commits[read_lock(lock)[AXG].revision][TEST]
    server.tampered[data] = data + b"more"
    assert f"file should be of size {len(data)} but has size {len(data) + 4}" in refused(lock)


def test_a_file_that_is_damaged_in_the_cache_is_refused(server: Hub, lock: Path, tmp_path: Path) -> None:
    locked(server, lock)
    hub.open_hub(str(lock), AXG, "test")
    for blob in (tmp_path / "cache").rglob("blobs/*"):
        blob.write_bytes(flipped(blob.read_bytes()))
    assert "has the SHA-256" in refused(lock)


def test_other_row_counts_than_the_locks_are_refused(server: Hub, lock: Path) -> None:
    locked(server, lock)
    line = read_lock(lock)[AXG]
    hub_lock.add_lines(lock, [replace(line, splits={"test": replace(line.splits["test"], rows=355)})])
    assert "test has 356 rows, the lock has 355" in refused(lock)


def test_changed_rows_are_locked_only_when_that_is_accepted(server: Hub, lock: Path) -> None:
    server.commit(REPO, axg(made(360)))
    [done] = hub.lock_hub([AXG], lock)
    assert "has changed upstream: test has 360 rows instead of 356. Give --accept_changes" in str(done.problem)
    assert not lock.exists()
    [done] = hub.lock_hub([AXG], lock, accept_changes=True)
    assert (done.problem, done.rows) == (None, {"test": 360})
    assert hub.open_hub(str(lock), AXG, "test").num_rows == 360


def test_a_changed_schema_names_the_fields(server: Hub, lock: Path) -> None:
    rows = [{"sentence": row["premise"], "hypothesis": row["hypothesis"], "label": str(row["label"])} for row in made(356)]
    server.commit(REPO, {"axg/test-00000-of-00001.parquet": file(rows)})
    [done] = hub.lock_hub([AXG], lock)
    missing = "the field premise is missing; the field idx is missing"
    label = 'the field label is "string" instead of {"class label": ["entailment", "not_entailment"]}'
    assert f"has changed upstream: {missing}; {label}." in str(done.problem)
    hub.lock_hub([AXG], lock, accept_changes=True)
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows
    hub_lock.add_lines(lock, [replace(read_lock(lock)[AXG], accepted=())])
    assert f"have changed upstream: {missing}; {label}" in refused(lock)


def test_classes_that_the_hub_renumbered_get_their_old_numbers(server: Hub, lock: Path) -> None:
    """TREC's: renamed, put into another order, and its fine classes prefixed since promptsource's templates were written."""
    expected = schema("trec", None)
    coarse, fine = (expected.fields[name]["class label"] for name in ("label-coarse", "label-fine"))  # type: ignore[index]
    theirs = {"coarse_label": sorted(coarse), "fine_label": sorted(f"GROUP:{name}" for name in fine)}
    old = [{"label-coarse": n % 6, "label-fine": n % 47, "text": f"Q{n}"} for n in range(5452)]
    new = [
        {
            "text": row["text"],
            "coarse_label": theirs["coarse_label"].index(coarse[row["label-coarse"]]),
            "fine_label": theirs["fine_label"].index(f"GROUP:{fine[row['label-fine']]}"),
        }
        for row in old
    ]
    assert new[0]["coarse_label"] != 0
    files = {f"data/{split}-00000-of-00001.parquet": file(new[:count], **theirs) for split, count in expected.splits.items()}
    server.commit("CogComp/trec", files)
    assert list(hub.open_hub(str(lock), ("trec", None), "train").read()) == old
    assert fit({"label-coarse": {"class label": [*coarse[:5], "OTHER"]}}, expected.fields).labels == ()


def test_a_repository_that_is_not_there_can_be_skipped(server: Hub, lock: Path) -> None:
    assert "aps/super_glue is not on the hub, or not for you" in refused(lock, MissingRowsError)
    with pytest.raises(MissingRowsError, match="the lock has no dataset super_glue/axgg. Did you mean super_glue/axg"):
        hub.open_hub(str(lock), ("super_glue", "axgg"), "test")
    with pytest.raises(MissingRowsError, match="super_glue/axg has no split 'train'; it has test"):
        hub.open_hub(str(lock), AXG, "train")


def test_a_gated_repository_can_be_skipped_and_says_what_to_do(server: Hub, lock: Path) -> None:
    locked(server, lock)
    server.repositories[REPO].is_gated = True
    said = refused(lock, MissingRowsError)
    assert f"is gated: accept its terms at {server.url}/datasets/aps/super_glue and run `hf auth login`" in said


def test_a_commit_or_file_that_is_gone_is_not_skipped(server: Hub, lock: Path) -> None:
    locked(server, lock)
    [commit] = server.repositories[REPO].commits.values()
    commit.pop(TEST)
    assert "is not in the commit" in refused(lock)
    server.repositories[REPO].commits.clear()
    assert "any more: run `t0jax tasks lock --datasets super_glue/axg" in refused(lock)


def test_a_cut_connection_is_resumed(server: Hub, lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = locked(server, lock)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    before = len(server.downloads())
    server.cuts = [4500]
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows
    first, second, _ = server.downloads()[before:]
    assert first is None
    assert str(second).startswith("bytes=4000-")


def test_a_hub_that_is_down_is_asked_again_and_then_named(server: Hub, lock: Path) -> None:
    locked(server, lock)
    server.is_down, before = True, len(server.asked)
    assert "the hub cannot be reached" in refused(lock)
    assert len(server.asked) > before + 1


def test_what_is_cached_is_read_offline(server: Hub, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = locked(server, lock)
    hub.open_hub(str(lock), AXG, "test")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    before = len(server.asked)
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows
    assert len(server.asked) == before
    shutil.rmtree(tmp_path / "cache")
    assert "unset HF_HUB_OFFLINE" in refused(lock)


def test_a_dataset_that_no_lock_has_can_be_locked_by_its_repository(server: Hub, lock: Path) -> None:
    server.commit("me/mine", {"data/train-00000-of-00001.parquet": file([{"text": "a"}])})
    [done] = hub.lock_hub([("me/mine", None)], lock)
    assert (done.rows, done.problem) == ({"train": 1}, None)
    assert list(hub.open_hub(str(lock), ("me/mine", None), "train").read()) == [{"text": "a"}]


def test_one_that_cannot_be_locked_leaves_the_others(server: Hub, lock: Path) -> None:
    server.commit("me/empty", {"README.md": b""})
    server.commit("me/mine", {"train.parquet": file([{"text": "a"}])})
    done = hub.lock_hub([("me/empty", None), ("me/nowhere", None), ("me/mine", None)], lock)
    assert "it has none at all" in str(done[0].problem)
    assert "is not on the hub" in str(done[1].problem)
    assert list(read_lock(lock)) == [("me/mine", None)]


def test_a_damaged_lock_is_named(lock: Path, tmp_path: Path) -> None:
    lock.parent.mkdir()
    for text, sentence in (('{"dataset": "a"}', "line 1 is no line of a lock"), ("no JSON", "line 1 is no line of a lock")):
        lock.write_text(text)
        with pytest.raises(InputError, match=sentence):
            known_lines(lock)
    line = HubLine(dataset="a", subset=None, repo="me/a", config="default", splits={"train": HubSplit(1)})
    lock.unlink()
    hub_lock.add_lines(lock, [line])
    assert known_lines(lock)["a", None] == line
    lock.write_text(lock.read_text() * 2)
    with pytest.raises(InputError, match="line 2 has a a second time"):
        known_lines(lock)
    with pytest.raises(InputError, match=r"cannot be written .* give another --hub_lock"):
        hub_lock.add_lines(lock / "below a file", [line])


def test_our_own_lock_has_every_dataset_with_its_official_row_counts() -> None:
    lines = read_lock(own_lock())
    official = json.loads((own_lock().parents[1] / "schemas.json").read_text())["datasets"]
    by_hand = {"story_cloze/2016", "jigsaw_toxicity_pred"}
    assert {line.name for line in lines.values()} == set(official) - by_hand
    for line in lines.values():
        assert {name: split.rows for name, split in line.splits.items()} == official[line.name]["splits"]
        assert line.repo.count("/") == 1
