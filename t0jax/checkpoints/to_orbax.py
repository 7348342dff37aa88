"""Writing t0jax's own form tensor by tensor, as Orbax lays it out: one OCDBT store of zarr arrays for each tree."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorstore as ts
from etils import epath

from t0jax.checkpoints import whole
from t0jax.checkpoints.names import scanned, shapes_of
from t0jax.checkpoints.plan import DTYPES, Plan
from t0jax.checkpoints.ranges import store_url
from t0jax.checkpoints.tensor import chunk_shape

_CHUNK_BYTES = 1 << 24
"""What a restore reads at least. Of one layer at most, so that a layer is written without its neighbours."""


class _Tree:
    """One tree of arrays, as Orbax's StandardCheckpointHandler restores it."""

    def __init__(self, folder: epath.Path, shapes: Mapping[str, tuple[tuple[int, ...], str]], is_stacked: Mapping[str, bool]):
        """`shapes` has shape and dtype of every array by its keys, joined with slashes."""
        self.folder, self.shapes, self._is_stacked = folder, shapes, is_stacked
        self._context = ts.Context()
        self._open: dict[str, ts.TensorStore] = {}

    def array(self, name: str) -> ts.TensorStore:
        """An array to write to; made where it is not there yet."""
        if name not in self._open:
            shape, dtype = self.shapes[name]
            stack = 1 if self._is_stacked.get(name) else 0
            chunk = chunk_shape(shape[stack:], _CHUNK_BYTES // DTYPES.get(dtype, np.dtype(dtype)).itemsize)
            spec = {
                "driver": "zarr",
                "kvstore": {"driver": "ocdbt", "base": store_url(self.folder), "path": f"{name.replace('/', '.')}/"},
                "dtype": dtype,
                "metadata": {
                    "shape": shape,
                    "chunks": (1,) * stack + chunk,
                    "compressor": {"id": "zstd", "level": 1},
                    "dimension_separator": ".",
                },
                "store_data_equal_to_fill_value": True,
            }
            self._open[name] = ts.open(spec, create=True, open=True, context=self._context).result()
        return self._open[name]

    def finish(self) -> None:
        """Write Orbax's description of the tree."""
        entries = {}
        for name, (shape, _) in self.shapes.items():
            keys = tuple(name.split("/"))
            entries[str(keys)] = {
                "key_metadata": [{"key": key, "key_type": 2} for key in keys],  # 2: keys of dicts
                "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False, "write_shape": list(shape)},
            }
        text = {"tree_metadata": entries, "use_ocdbt": True, "use_zarr3": False, "store_array_data_equal_to_fill_value": True}
        (self.folder / "_METADATA").write_text(json.dumps({**text, "custom_metadata": None}))


class OrbaxWriter:
    """A `checkpoint_<step>`: parameters, statistics of the optimizer where the source has them, config.gin."""

    def __init__(self, folder: epath.Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        model = dataclasses.replace(plan.model, scan_layers=True)
        shapes = shapes_of(model)
        depth = {"encoder": model.num_encoder_layers, "decoder": model.num_decoder_layers}
        self.params, self.optimizer = self._tree("params", {name: (name, shape) for name, shape in shapes.items()}, depth), None
        if plan.slots:
            places = {name: (self._slot_path(name), shape) for name, shape in plan.slots.items()}
            self.optimizer = self._tree("optimizer", places, depth)

    def _place(self, path: str) -> tuple[str, int | None]:
        return scanned(path) if self.plan.model.scan_layers else (path, None)

    def _slot_path(self, name: str) -> str:
        parameter, _, slot = name.rpartition("/")
        return f"opt_state/{slot}/{parameter}"

    def _tree(self, item: str, places: Mapping[str, tuple[str, tuple[int, ...]]], depth: Mapping[str, int]) -> _Tree:
        dtype = self.plan.dtype if item == "params" else "float32"
        shapes: dict[str, tuple[tuple[int, ...], str]] = {}
        is_stacked = {}
        for path, shape in places.values():
            name, layer = self._place(path)
            stack = next(depth[key] for key in path.split("/") if key in depth) if layer is not None else None
            shapes[name] = (shape if stack is None else (stack, *shape), dtype)
            is_stacked[name] = stack is not None
        if item == "optimizer":
            shapes |= {"step": ((), "int32"), "opt_state/step": ((), "int32")}
        return _Tree(self.folder / item, shapes, is_stacked)

    def put(self, name: str, values: np.ndarray) -> None:
        """Write one layer's tensor into its stack."""
        if name in self.plan.slots and self.optimizer is not None:
            tree, (stored, layer) = self.optimizer, self._place(self._slot_path(name))
        else:
            tree, (stored, layer) = self.params, self._place(name)
        array = tree.array(stored)
        (array if layer is None else array[layer]).write(values).result()

    def finish(self) -> None:
        """Write the step, Orbax's and t0jax's descriptions, and last what says that the checkpoint is whole."""
        handlers = {"params": _HANDLER}
        self.params.finish()
        if self.optimizer is not None:
            for name in ("step", "opt_state/step"):
                self.optimizer.array(name).write(np.int32(self.plan.step)).result()
            self.optimizer.finish()
            handlers["optimizer"] = _HANDLER
        described: dict[str, Any] = {"item_handlers": handlers, "metrics": {}, "performance_metrics": {}, "custom_metadata": {}}
        (self.folder / "_CHECKPOINT_METADATA").write_text(json.dumps(described))
        (self.folder / "config.gin").write_text(self.plan.config_text)
        (self.folder / "position.json").write_text("{}")
        whole.write_manifest(self.folder)
        (self.folder / whole.COMMIT_FILE).write_text("Converted by t0jax.")


_HANDLER = "orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler"
