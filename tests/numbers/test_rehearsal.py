"""A run to which a cloud does everything that clouds do ends where a run ends to which nothing is done.

The cloud is simulated (simulated_cloud.py); `t0jax launch`, the trainers and what they write are real.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import pytest
from bucket_server import Bucket, bucket
from etils import epath
from simulated_cloud import Cloud
from test_resume import restored, said

from t0jax.checkpoints import whole
from t0jax.data.records import RecordWriter, encode_example

ROOT = pathlib.Path(__file__).parents[2]
TASK = "rotten_tomatoes_Movie_Expressed_Sentiment"
STEPS, PERIOD = 75, 15
READS_BUCKETS = importlib.util.find_spec("gcsfs") is not None and importlib.util.find_spec("tensorflow") is None
"""With TensorFlow, etils reads buckets by TensorFlow, which knows none on this machine."""
RECIPE = f"""
MIXTURE_OR_TASK_NAME = '{TASK}'
TASK_FEATURE_LENGTHS = {{'inputs': 16, 'targets': 16}}
BATCH_SIZE = 8
TRAIN_STEPS = {STEPS}
CHECKPOINT_PERIOD = {PERIOD}
DROPOUT_RATE = 0.1
DataConfig.num_streams = 2
DataConfig.packing_bins = 4
ModelConfig.vocab_size = 64
ModelConfig.emb_dim = 16
ModelConfig.num_heads = 2
ModelConfig.head_dim = 8
ModelConfig.mlp_dim = 32
ModelConfig.num_encoder_layers = 1
ModelConfig.num_decoder_layers = 1
ModelConfig.dtype = 'float32'
OptimizerConfig.learning_rate = 1e-2
"""
pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="t0jax launch sends a commit, and this is no checkout")


def write_cache(folder: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    (folder / TASK).mkdir(parents=True)
    with RecordWriter(folder / TASK / "train.tfrecord-00000-of-00001") as writer:
        for _ in range(60):
            inputs, targets = (random.integers(3, 64, random.integers(2, longest)) for longest in (8, 5))
            writer.write(encode_example({"inputs": inputs, "targets": [*targets, 1]}))
    feature = {"shape": [None], "dtype": "int32"}
    info = {"num_shards": 1, "features": {"inputs": feature, "targets": feature}, "seqio_version": "0.0.20"}
    (folder / TASK / "info.train.json").write_text(json.dumps(info))
    (folder / TASK / "stats.train.json").write_text(json.dumps({"examples": 60}))
    (folder / TASK / "COMPLETED").touch()


class Store:
    """What the workers share, and how it is lost: a folder, or a bucket where this Python can read one."""

    def __init__(self, folder: pathlib.Path, server: Bucket | None) -> None:
        self.mount, self.server = folder / "mount", server
        self.mount.mkdir()
        self.model_dir = epath.Path(f"gs://bucket/{folder.name}") if server else epath.Path(self.mount / "run")

    def saved(self, step: int) -> bool:
        """Whether a checkpoint of that step, or of a later one, is whole."""
        if self.server:  # gcsfs would remember what it saw first
            names = [name for name in self.server.names() if name.endswith("/commit_success.txt")]
            steps = [int(name.split("/")[1].rpartition("_")[2]) for name in names if name.startswith(self.model_dir.name + "/")]
        else:
            steps = whole.steps(self.model_dir)
        return max(steps, default=0) >= step

    def lose(self, cloud: Cloud) -> None:
        """It is gone, for the workers and for gcloud."""
        if self.server:
            cloud.mishap("storage ls", "HTTPError 404: The specified bucket does not exist.", times=99)
            self.server.is_away = True
        else:
            self.mount.rename(self.mount.with_name("away"))
            self.mount.touch()  # what was a folder is none

    def find(self, cloud: Cloud) -> None:
        """It is there again, with all that was in it."""
        if self.server:
            self.server.is_away = False
            cloud.forgive()
        else:
            self.mount.unlink()
            self.mount.with_name("away").rename(self.mount)


class Stage:
    """A cloud, a store, and `t0jax launch` in between."""

    def __init__(self, folder: pathlib.Path, server: Bucket | None) -> None:
        self.folder = folder
        self.cloud, self.store = Cloud(folder / "cloud"), Store(folder, server)
        self.environment = os.environ | self.cloud.install() | {"PYTHONPATH": str(ROOT)}
        self.log = open(folder / "said", "a+")  # noqa: SIM115 - closed by close
        write_cache(folder / "cache")
        (folder / "tiny.gin").write_text(RECIPE)

    def run(self) -> subprocess.Popen[str]:
        """`t0jax launch run`, under way."""
        shared = [f"--mounted={self.store.mount}", f"--mounted={self.folder}/cache", f"--gin.CACHE_DIR={self.folder}/cache"]
        where = ["--project=p", "--zone=us-central2-b", "--accelerator=v4-16", f"--gin.MODEL_DIR={self.store.model_dir}"]
        pace = ["--poll_seconds=0.4", "--backoff_seconds=0.2", "--answer_seconds=6", "--grace_seconds=3"]
        words = [sys.executable, "-m", "t0jax", "launch", "run", "--name=t0", "--gin_file=tiny.gin", *shared, *where, *pace]
        places: dict[str, Any] = {"cwd": self.folder, "stdout": self.log, "stderr": self.log}
        self.launched = subprocess.Popen(words, env=self.environment, text=True, **places)
        return self.launched

    @property
    def words(self) -> str:
        """All that was said."""
        return (self.folder / "said").read_text()

    @property
    def ledger(self) -> dict[str, Any]:
        """What has been used up."""
        path = self.folder / "runs/launch/t0/ledger.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the rehearsal has come so far."""
        for _ in range(3000):
            if is_so():
                return
            assert self.launched.poll() is None, self.words[-3000:]
            time.sleep(0.05)
        pytest.fail(f"it never came so far:\n{self.words[-3000:]}")

    def close(self) -> None:
        """End everything."""
        self.launched.kill()
        self.launched.wait()
        self.cloud.close()
        self.log.close()


@pytest.fixture
def stages(tmp_path: pathlib.Path) -> Iterator[Callable[[str], Stage]]:
    made: list[Stage] = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(bucket()) if READS_BUCKETS else None

        def make(name: str) -> Stage:
            (tmp_path / name).mkdir()
            made.append(Stage(tmp_path / name, server))
            stack.callback(made[-1].close)
            return made[-1]

        yield make


def test_a_run_to_which_everything_happens_ends_as_one_to_which_nothing_does(stages: Callable[[str], Stage]) -> None:
    calm, rough = stages("calm"), stages("rough")
    assert calm.run().wait(280) == 0, calm.words[-3000:]

    cloud = rough.cloud
    cloud.mishap("queued-resources create", "There is no more capacity in the zone us-central2-b")
    cloud.next("t0", stale_name="ACCEPTED", forgets=1)  # the state's name of 2023; the first order to delete it is lost
    launched = rough.run()
    rough.until(lambda: rough.store.saved(PERIOD))
    cloud.mishap("", "Connection reset by peer", times=5)
    cloud.next("t0", mute=1)  # of the slice that will be created next, a worker never starts
    cloud.preempt("t0")
    rough.until(lambda: rough.ledger["starts"] == 2 and rough.store.saved(3 * PERIOD))
    rough.store.lose(cloud)
    rough.until(lambda: rough.ledger["failures"] == 3)
    rough.store.find(cloud)
    assert launched.wait(280) == 0, rough.words[-3000:]

    (state, position), (expected, expected_position) = restored(rough.store.model_dir), restored(calm.store.model_dir)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), state, expected)
    assert int(state.step) == STEPS and position == expected_position
    assert said(rough.store.model_dir) == said(calm.store.model_dir)
    deletions = sum("queued-resources delete" in call for call in cloud.calls())
    assert deletions == 4, "three slices were deleted, one of them by the second order"
    assert (rough.ledger["starts"], rough.ledger["preemptions"]) == (3, 1)
    assert "ACCEPTED" in rough.words and "of 2 workers only these answer: t0-w-0" in rough.words
    assert cloud.is_through() and cloud.state("t0") is None
