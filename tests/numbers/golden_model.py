"""Our models with the weights of tests/golden, in either layout."""

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import golden_inputs as given
import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from t0jax.checkpoints.names import scanned
from t0jax.config import ModelConfig
from t0jax.model.parameters import abstract_parameters

OURS: dict[str, Any] = given.SIZES | {"dropout_rate": 0.0, "dtype": "float32"}


def config_of(name: str, scan_layers: bool, **changes: Any) -> ModelConfig:
    return ModelConfig(**OURS | given.MODELS[name] | {"scan_layers": scan_layers} | changes)


def by_layer(tree: Any) -> dict[str, np.ndarray]:
    """Leaves by t5x's names, stacks taken apart."""
    found = {}
    for name, leaf in flatten_dict(jax.tree.map(np.asarray, tree), sep="/").items():
        stack, _, rest = name.partition("/layers/")
        found |= {f"{stack}/layers_{n}/{rest}": part for n, part in enumerate(leaf)} if rest else {name: leaf}
    return found


def in_layout(leaves: dict[str, np.ndarray], config: ModelConfig) -> Any:
    """Leaves by t5x's names as the model holds them."""
    if not config.scan_layers:
        return unflatten_dict(leaves, sep="/")
    stacks: dict[str, list[np.ndarray]] = {}
    for name in sorted(leaves):
        stacks.setdefault(scanned(name)[0], []).append(leaves[name])
    return unflatten_dict({name: np.stack(of) if "/layers/" in name else of[0] for name, of in stacks.items()}, sep="/")


@functools.cache
def weights_of(config: ModelConfig) -> Any:
    """The parameters by the golden weights' formula."""
    shapes = by_layer(jax.tree.map(lambda leaf: np.empty(leaf.shape, bool), abstract_parameters(config)))
    return in_layout({name: given.weights(name, leaf.shape) for name, leaf in shapes.items()}, config)


def batch_of(kind: str, seed: int = 0) -> dict[str, np.ndarray]:
    """The batch with what t5x does not need of texts that are not packed."""
    batch = given.batch(kind, seed)
    for side, tokens in (("encoder", "encoder_input_tokens"), ("decoder", "decoder_target_tokens")):
        batch.setdefault(f"{side}_segment_ids", (batch[tokens] > 0).astype(np.int32))
        batch.setdefault(
            f"{side}_positions", np.broadcast_to(np.arange(batch[tokens].shape[1], dtype=np.int32), batch[tokens].shape)
        )
    return batch


def assert_again(path: pathlib.Path, fixture: Mapping[str, np.ndarray]) -> None:
    """A fixture made again is the same but for float32's rounding on another machine."""
    again = dict(np.load(path))
    assert again.keys() == fixture.keys()
    for name in again.keys() - {"made_with"}:
        size = np.abs(fixture[name]).max() if fixture[name].dtype.kind == "f" else 0
        np.testing.assert_allclose(again[name], fixture[name], rtol=0, atol=1e-5 * size, err_msg=name)
