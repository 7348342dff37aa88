"""Writing t5x's native form: zarr directories like those of t5x at cc342d4, not compressed, and the MessagePack index last.

t5x compresses with gzip, which takes 4.5 times the CPU of all else for 8 % of the bytes; it reads both.
"""

from typing import Any

import numpy as np
import tensorstore as ts
from etils import epath
from flax.serialization import msgpack_serialize
from flax.traverse_util import unflatten_dict

from t0jax.checkpoints.names import SLOTS, shapes_of
from t0jax.checkpoints.plan import DTYPES, Plan
from t0jax.checkpoints.ranges import store_url
from t0jax.checkpoints.tensor import chunk_shape
from t0jax.config import OptimizerConfig
from t0jax.optimizer import statistics_shapes

_VERSION = 3
_CHUNK_BYTES = 64 << 20


class T5xWriter:
    """A `checkpoint_<step>` that t5x restores for inference and for training.

    t5x cannot restore a training state without statistics: where the source has none, fresh ones (zeros) are written.
    """

    def __init__(self, folder: epath.Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._shapes = shapes_of(plan.model)
        self._context = ts.Context()

    def put(self, name: str, values: np.ndarray) -> None:
        """Write one array's directory; what belongs in the index waits beside the checkpoint."""
        if self._is_inline(name):
            np.save(self._waiting(name), values)
            return
        array = ts.open(self._spec(name, values.shape, absolute=True), create=True, delete_existing=True, context=self._context)
        array.result().write(values).result()

    def _is_inline(self, name: str) -> bool:
        """Row and column statistics, and an unused `v`: arrays that t5x never splits over a mesh, and expects in the index."""
        return name in self.plan.slots and (not name.endswith("/v") or self.plan.slots[name] == (1,))

    def _waiting(self, name: str) -> epath.Path:
        return self.folder.parent / f"{name.replace('/', '.')}.npy"

    def _slot(self, name: str, shape: tuple[int, ...]) -> Any:
        """What the index says of a statistic: its values, or where they lie."""
        if name not in self.plan.slots:
            return np.zeros(shape, np.float32)
        return np.load(self._waiting(name)) if self._is_inline(name) else self._spec(name, shape)

    def _spec(self, name: str, shape: tuple[int, ...], *, absolute: bool = False) -> dict[str, Any]:
        """The TensorStore spec of an array, as it stands in the index: relative to the checkpoint."""
        is_slot = name.rpartition("/")[2] in SLOTS
        directory = f"{'state/param_states' if is_slot else 'target'}/{name}".replace("/", ".")
        dtype = "float32" if is_slot else self.plan.dtype
        chunks = chunk_shape(shape, _CHUNK_BYTES // DTYPES[dtype].itemsize)
        spec: dict[str, Any] = {
            "driver": "zarr",
            "dtype": dtype,
            "kvstore": {"driver": "file", "path": f"{directory}/"},
            "metadata": {"shape": list(shape), "chunks": list(chunks), "compressor": None},
        }
        if absolute:
            spec["kvstore"] = f"{store_url(self.folder)}{directory}/"
            spec["metadata"]["dimension_separator"] = "."
            spec["store_data_equal_to_fill_value"] = True  # a chunk that is not there is one that was lost
        return spec

    def finish(self) -> None:
        """Write the index: where every array lies, the step, and statistics that do without a directory."""
        target = {tuple(name.split("/")): self._spec(name, shape) for name, shape in self._shapes.items()}
        states: dict[tuple[str, ...], Any] = {}
        for name, shape in self._shapes.items():
            for slot, size in zip(SLOTS, statistics_shapes(OptimizerConfig(), shape), strict=True):
                key = f"{name}/{slot}"
                states[tuple(key.split("/"))] = self._slot(key, size)
            states[(*name.split("/"), "m")] = np.zeros(1, np.float32)
        state = {"step": np.asarray(self.plan.step, np.int32), "param_states": unflatten_dict(states)}
        content = {"version": _VERSION, "optimizer": {"target": unflatten_dict(target), "state": state}}
        (self.folder / "checkpoint").write_bytes(msgpack_serialize(content))
