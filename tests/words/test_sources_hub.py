"""The hub's rows are those of the lock, or an error: tested against a server on this machine that speaks the hub's protocol."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_server import AXG, REPO, TEST, Hub, Rows, axg, made

from t0jax.data.sources import hub, hub_lock
from t0jax.data.sources.hub_lock import read_lock
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError


def flipped(data: bytes) -> bytes:
    """One bit is another."""
    return data[:100] + bytes([data[100] ^ 1]) + data[101:]


def refused(lock: Path, error: type[InputError] = InputError) -> str:
    """What is said when axg cannot be read; only MissingRowsError may be skipped."""
    with pytest.raises(InputError) as caught:
        hub.open_hub(str(lock), AXG, "test")
    assert type(caught.value) is error
    assert "super_glue/axg" in str(caught.value)
    return str(caught.value)


def locked(server: Hub, lock: Path) -> Rows:
    """Lock axg to what the hub has; its rows."""
    rows = made(356)
    revision = server.commit(REPO, axg(rows))
    [done] = hub.lock_hub([AXG], lock)
    assert (done.revision, done.rows, done.problem) == (revision, {"test": 356}, None)
    return rows


def test_locked_rows_come_whole_and_are_downloaded_once(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    before = len(server.downloads())
    source = hub.open_hub(str(lock), AXG, "test")
    assert (source.num_rows, list(source.read()), list(source.read(198, 203))) == (356, rows, rows[198:203])
    assert server.downloads()[before:] == [None, None]
    assert hub.open_hub(str(lock), AXG, "test") == source
    assert len(server.downloads()) == before + 2
    assert source.origin.startswith(f"hub: {REPO}@")


def test_a_limit_downloads_only_the_files_that_it_reaches(server: Hub, lock: Path) -> None:
    rows = locked(server, lock)
    before = len(server.downloads())
    assert list(hub.open_hub(str(lock), AXG, "test", limit=150).read()) == rows[:150]
    assert len(server.downloads()) == before + 1


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


def test_a_repository_that_is_not_there_can_be_skipped(server: Hub, lock: Path) -> None:
    assert "aps/super_glue is not on the hub, or not for you" in refused(lock, MissingRowsError)
    with pytest.raises(MissingRowsError, match=r"the lock has no dataset super_glue/axgg\. Did you mean super_glue/axg"):
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
