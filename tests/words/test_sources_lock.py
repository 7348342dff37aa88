"""Locking pins what the hub has today: commit, files, hashes, row counts; what changed upstream is named first."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import AXG, REPO, Hub, axg, file, made

from t0jax.data import universe
from t0jax.data.schemas import schema
from t0jax.data.sources import hub, hub_lock
from t0jax.data.sources.features import fit
from t0jax.data.sources.hub_lock import HubLine, HubSplit, known_lines, own_lock, read_lock
from t0jax.data.sources.locking import lock_tasks
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError


def test_a_gated_repository_cannot_be_locked(server: Hub, lock: Path) -> None:
    server.commit(REPO, axg(made(356)))
    server.repositories[REPO].is_gated = True
    [done] = hub.lock_hub([AXG], lock)
    assert "is gated: accept its terms" in str(done.problem)
    with pytest.raises(MissingRowsError):
        hub.open_hub(str(lock), AXG, "test")
    assert not lock.exists()


def test_names_of_datasets_are_read_as_people_write_them() -> None:
    assert [hub.key_of(name) for name in ("super_glue/axg", "imdb", "me/mine", "me/mine:small")] == [
        AXG,
        ("imdb", None),
        ("me/mine", None),
        ("me/mine", "small"),
    ]


def test_a_lock_line_holds_commit_sizes_and_hashes(server: Hub, lock: Path) -> None:
    rows = made(356)
    server.commit(REPO, axg(rows))
    hub.lock_hub([AXG], lock)
    line = json.loads(lock.read_text())
    files = [[name, len(data), hashlib.sha256(data).hexdigest()] for name, data in axg(rows).items() if name != "README.md"]
    assert line["splits"] == {"test": {"rows": 356, "files": files}}
    assert line["revision"] == server.repositories[REPO].branches["main"]
    assert [path.name for path in lock.parent.iterdir()] == ["my.lock"]


def test_a_lock_stays_where_it_is_when_the_hub_moves_on(server: Hub, lock: Path) -> None:
    rows = made(356)
    server.commit(REPO, axg(rows))
    hub.lock_hub([AXG], lock)
    server.commit(REPO, axg(made(355)))
    assert list(hub.open_hub(str(lock), AXG, "test").read()) == rows


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
    with pytest.raises(InputError, match=r"super_glue/axg: .* have changed upstream: the field premise is missing"):
        hub.open_hub(str(lock), AXG, "test")


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


def test_a_dataset_that_no_lock_has_can_be_locked_by_its_repository(server: Hub, lock: Path) -> None:
    server.commit("me/mine", {"data/train-00000-of-00001.parquet": file([{"text": "a"}])})
    [done] = hub.lock_hub([("me/mine", None)], lock)
    assert (done.rows, done.problem) == ({"train": 1}, None)
    assert list(hub.open_hub(str(lock), ("me/mine", None), "train").read()) == [{"text": "a"}]


def test_the_datasets_of_tasks_are_locked_once_each(server: Hub, lock: Path) -> None:
    server.commit(REPO, axg(made(356)))
    names = ("super_glue_axg_GPT_3_style", "super_glue_axg_can_we_infer", "story_cloze_2016_Generate_Ending")
    done = lock_tasks([universe.task(name) for name in names], ("hub",), lock)
    by_hand = "no lock has a repository for story_cloze/2016. Its authors give it to those who fill in their form"
    assert [by_hand in (one.problem or "") for one in done] == [True, False]
    assert list(read_lock(lock)) == [AXG]


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
