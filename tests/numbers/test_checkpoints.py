"""Checkpoints: whole or not at all, on any mesh, and of the right model."""

import os
import pathlib
import subprocess
import sys
import textwrap
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from t0jax.checkpoints import orbax, whole
from t0jax.errors import InputError

POSITION = {"streams": {"0": {"epoch": 1, "at": [3, 4]}}, "seed": 7}


class State(flax.struct.PyTreeNode):
    step: Any
    params: Any
    opt_state: Any


def state_of(vocabulary: int = 64, width: int = 16, mlp: int = 32, step: int = 5) -> State:
    size = vocabulary * width
    params = {
        "token_embedder": {"embedding": jnp.arange(size, dtype=jnp.float32).reshape(vocabulary, width)},
        "encoder": {"layers": {"mlp": {"wi_0": {"kernel": jnp.ones((2, width, mlp))}}}},
    }
    return State(
        step=jnp.int32(step), params=params, opt_state=optax.chain(optax.scale_by_adam(), optax.scale(-1.0)).init(params)
    )


def like(state: State, mesh: jax.sharding.Mesh | None = None) -> State:
    def abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
        if mesh is None:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
        spec = PartitionSpec(*("fsdp", "tensor")[: leaf.ndim]) if leaf.ndim == 2 else PartitionSpec()
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, spec))

    return jax.tree.map(abstract, state)


def assert_equal(left: Any, right: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), left, right)


def save(folder: pathlib.Path, state: State, keep: int | None = None) -> None:
    with orbax.Checkpoints(folder, keep) as checkpoints:
        checkpoints.save(int(state.step), state, POSITION, {"config.gin": "config text"})


def test_restored_equals_saved_and_config_and_position_lie_beside_it(tmp_path: pathlib.Path) -> None:
    state = state_of()
    save(tmp_path, state)
    with orbax.Checkpoints(tmp_path) as checkpoints:
        found = checkpoints.restore(like(state))
    assert found is not None
    restored, position = found
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert_equal(restored, state)
    assert position == POSITION
    assert (tmp_path / "checkpoint_5/config.gin").read_text() == "config text"


def test_a_folder_may_be_given_from_where_one_stands(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(pathlib.Path("runs/a"), state := state_of())
    with orbax.Checkpoints("runs/a") as checkpoints:
        assert checkpoints.restore(like(state)) is not None
    for place in ("runs/a", "runs/a/checkpoint_5"):
        assert_equal(orbax.restore_params(place, like(state).params), state.params)


def test_save_holds_the_state_of_its_moment_though_the_buffers_are_donated(tmp_path: pathlib.Path) -> None:
    state = state_of(vocabulary=4096, width=64)
    copy = jax.tree.map(np.array, state)
    erase = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * 0 - 1, tree), donate_argnums=0)
    with orbax.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state, POSITION, {})
        erased = erase(state)
        checkpoints.wait()
        found = checkpoints.restore(like(erased))
    assert found is not None
    assert_equal(found[0], copy)


def test_restore_onto_another_mesh_is_equal(tmp_path: pathlib.Path) -> None:
    state = state_of()
    save(tmp_path, state)
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(2, 4), ("fsdp", "tensor"))
    with orbax.Checkpoints(tmp_path) as checkpoints:
        found = checkpoints.restore(like(state, mesh))
    assert found is not None
    assert_equal(found[0], state)
    embedding = found[0].params["token_embedder"]["embedding"]
    assert embedding.sharding.shard_shape(embedding.shape) == (32, 4)
    params = orbax.restore_params(tmp_path, like(state, mesh).params)
    assert_equal(params, state.params)


def test_only_the_newest_are_kept(tmp_path: pathlib.Path) -> None:
    with orbax.Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (5, 10, 15, 20):
            checkpoints.save(step, state_of(step=step), POSITION, {})
    assert whole.steps(tmp_path) == [15, 20]
    assert whole.latest(tmp_path) == str(tmp_path / "checkpoint_20")
    assert whole.latest(tmp_path / "checkpoint_15") == str(tmp_path / "checkpoint_15")


def test_a_damaged_checkpoint_is_not_kept_in_place_of_a_whole_one(tmp_path: pathlib.Path) -> None:
    for step in (5, 10):
        save(tmp_path, state_of(step=step))
    (tmp_path / "checkpoint_10/config.gin").unlink()
    with orbax.Checkpoints(tmp_path, keep=1) as checkpoints, pytest.warns(UserWarning, match="checkpoint_10 is passed over"):
        checkpoints.restore(like(state_of()))
        checkpoints.save(7, state_of(step=7), POSITION, {})
    assert whole.steps(tmp_path) == [7, 10]


def test_nothing_to_restore_says_what_was_searched(tmp_path: pathlib.Path) -> None:
    with orbax.Checkpoints(tmp_path / "empty") as checkpoints:
        assert checkpoints.restore(like(state_of())) is None
    with pytest.raises(InputError, match=r"does not exist: searched it for .*checkpoint_<step>"):
        whole.latest(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds no whole checkpoint"):
        whole.latest(tmp_path)
    (tmp_path / "checkpoint_7").mkdir()
    with pytest.raises(InputError, match="is an interrupted save"):
        whole.latest(tmp_path / "checkpoint_7")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"width": 8}, r"embedding the checkpoint holds \(64, 16\) and this run has \(64, 8\).*config.gin or another"),
        ({"mlp": 8}, r"wi_0/kernel the checkpoint holds \(2, 16, 32\) and this run has \(2, 16, 8\).*config.gin or another"),
        ({"vocabulary": 60}, r"embedding the checkpoint holds \(64, 16\) and this run has \(60, 16\).*vocab_size = 64"),
    ],
)
def test_another_model_is_refused_by_the_name_of_a_tensor(tmp_path: pathlib.Path, other: dict[str, int], words: str) -> None:
    save(tmp_path, state_of())
    with orbax.Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match=words):
        checkpoints.restore(like(state_of(**other)))
    with pytest.raises(InputError, match=words):
        orbax.restore_params(tmp_path, like(state_of(**other)).params)


def test_another_optimizer_is_refused_but_its_parameters_restore(tmp_path: pathlib.Path) -> None:
    state = state_of()
    save(tmp_path, state)
    other = state.replace(opt_state=optax.trace(0.9).init(state.params))
    with orbax.Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="another model or optimizer"):
        checkpoints.restore(like(other))
    assert_equal(orbax.restore_params(tmp_path, like(other).params), state.params)


def _remove(path: pathlib.Path) -> None:
    path.unlink()


def _truncate(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [_remove, _truncate])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: pathlib.Path, damage: Any) -> None:
    with orbax.Checkpoints(tmp_path) as checkpoints:
        for step in (5, 10):
            checkpoints.save(step, state_of(step=step), POSITION, {})
    files = [path for path in (tmp_path / "checkpoint_10/params").rglob("*") if path.is_file()]
    damage(max(files, key=lambda path: path.stat().st_size))
    with orbax.Checkpoints(tmp_path) as checkpoints, pytest.warns(UserWarning, match="checkpoint_10 is passed over"):
        found = checkpoints.restore(like(state_of()))
        assert found is not None
        assert int(found[0].step) == 5
        checkpoints.save(10, state_of(step=10), POSITION, {})  # what is damaged can be replaced
    with pytest.raises(InputError, match="searched it"):
        orbax.restore_params(tmp_path / "checkpoint_11", like(state_of()).params)
    assert whole.damage(tmp_path / "checkpoint_10") is None


def test_when_all_are_damaged_training_does_not_begin_again(tmp_path: pathlib.Path) -> None:
    save(tmp_path, state_of())
    (tmp_path / "checkpoint_5/config.gin").unlink()
    with (
        orbax.Checkpoints(tmp_path) as checkpoints,
        pytest.warns(UserWarning, match=r"config.gin is missing"),
        pytest.raises(InputError, match="are damaged"),
    ):
        checkpoints.restore(like(state_of()))
    with pytest.raises(InputError, match=r"is damaged: config.gin is missing"):
        orbax.restore_params(tmp_path, like(state_of()).params)


SAVING = """
    import os, resource, signal, sys, threading, time
    import jax.numpy as jnp, numpy as np, optax
    import flax.struct
    from t0jax.checkpoints import orbax, whole
    from t0jax.errors import InputError

    class State(flax.struct.PyTreeNode):
        step: object
        params: object
        opt_state: object

    def state(step):
        noise = np.random.default_rng(step).normal(size=(64, 65536)).astype(np.float32)
        return State(step=jnp.int32(step), params={"w": jnp.asarray(noise)}, opt_state=optax.EmptyState())

    folder = sys.argv[1]
    checkpoints = orbax.Checkpoints(folder)
    checkpoints.save(1, state(1), {"at": 1}, {"config.gin": "one"})
    checkpoints.wait()
"""


def run(body: str, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(SAVING) + textwrap.dedent(body)
    return subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=60, check=False)


def test_a_save_that_is_killed_is_never_taken_for_whole(tmp_path: pathlib.Path) -> None:
    kill = """
        write = whole.write_manifest
        def die(directory):
            write(directory)
            os.kill(os.getpid(), signal.SIGKILL)  # all is written, only Orbax's word is missing
        whole.write_manifest = die
        checkpoints.save(2, state(2), {"at": 2}, {"config.gin": "two"})
        time.sleep(30)
    """
    assert run(kill, tmp_path).returncode == -9
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name], "the save had begun"
    assert whole.steps(tmp_path) == [1]
    assert whole.latest(tmp_path).endswith("checkpoint_1")
    orbax.Checkpoints(tmp_path).close()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_1"], "the next run sweeps it away"


def test_a_full_disk_is_one_sentence_and_leaves_the_checkpoints_before_it(tmp_path: pathlib.Path) -> None:
    full = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # no file may grow beyond a mebibyte
        try:
            checkpoints.save(2, state(2), {"at": 2}, {"config.gin": "two"})
            checkpoints.wait()
        except InputError as problem:
            print(problem)
        checkpoints.close()
    """
    done = run(full, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "checkpoint_2 could not be written (File too large): make room" in done.stdout
    assert "intact (steps [1])" in done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_1"]
    assert whole.damage(tmp_path / "checkpoint_1") is None


def test_positions_of_several_hosts_unite() -> None:
    parts = [{"seed": 7, "streams": {"0": {"at": 1}}}, {"seed": 7, "streams": {"1": {"at": 2}}}]
    assert orbax.union(parts) == {"seed": 7, "streams": {"0": {"at": 1}, "1": {"at": 2}}}
