"""How full the rows of a mixture come out, told from a deterministic sample: its first examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from t0jax.config import DataConfig
from t0jax.data.mixing import mix, open_splits
from t0jax.data.packing import BestFit
from t0jax.data.shapes import PARTS, Shapes, shapes_for

SAMPLE = 1 << 15
"""Examples that a statement about a mixture rests on."""


@dataclass(frozen=True, kw_only=True)
class FillReport:
    """What a sample of a mixture packs into. Tokens are counted as training sees them: trimmed to the feature lengths."""

    examples: int
    rows: int
    mean_inputs: float
    """Input tokens of an example."""
    mean_targets: float
    truncated_inputs: float
    """Share of examples whose inputs are longer than the feature length."""
    truncated_targets: float
    encoder_fill: float
    """Share of the encoder's positions that hold a token."""
    decoder_fill: float
    """The same of the decoder's, those of wide and narrow steps together."""
    wide_share: float
    """Of all steps; 1 without `narrow_targets`."""


def measure(data: DataConfig, tasks_with_rates: Sequence[tuple[str, float]], num_examples: int = SAMPLE) -> FillReport:
    """Pack the first examples of a cached mixture, as one stream of it would be packed."""
    sizes = sizes_of(mix(data, open_splits(data, tasks_with_rates)), num_examples)
    rows, limits = pack_sizes(sizes, data), _limits(data)
    shapes = shapes_of(rows, data)
    trimmed, truncated = np.minimum(sizes, limits).mean(axis=0), (sizes > np.array(limits)).mean(axis=0)
    fill = rows.mean(axis=0) / [limits[0], shapes.mean_length]
    return FillReport(
        examples=len(sizes),
        rows=len(rows),
        mean_inputs=float(trimmed[0]),
        mean_targets=float(trimmed[1]),
        truncated_inputs=float(truncated[0]),
        truncated_targets=float(truncated[1]),
        encoder_fill=float(fill[0]),
        decoder_fill=float(fill[1]),
        wide_share=shapes.wide_steps / PARTS,
    )


def sizes_of(examples: Any, number: int) -> Int[np.ndarray, "number 2"]:
    """Input and target tokens of the first examples, not trimmed."""
    found = (examples[index] for index in range(number))
    return np.array([(len(example["inputs"]), len(example["targets"])) for example in found])


def pack_sizes(sizes: Int[np.ndarray, "number 2"], data: DataConfig) -> Int[np.ndarray, "rows 2"]:
    """Input and target tokens of every row that examples of these sizes make, the rows still open at the end among them."""
    trimmed = np.minimum(sizes, _limits(data))
    packer = BestFit(_limits(data), data.packing_bins if data.pack else 0, data.narrow_targets)
    added = [packer.add(number, size) for number, size in enumerate(map(tuple, trimmed.tolist()))]
    return np.array([trimmed[row].sum(axis=0) for row in [*added, *packer.open] if row])


def shapes_of(rows: Int[np.ndarray, "rows 2"], data: DataConfig) -> Shapes:
    """The shapes of the steps of a mixture, a sample of which packs into these rows."""
    wide, narrow = data.task_feature_lengths["targets"], data.narrow_targets
    return Shapes(wide) if narrow is None else shapes_for(rows[:, 1], wide, narrow)


def _limits(data: DataConfig) -> tuple[int, int]:
    return data.task_feature_lengths["inputs"], data.task_feature_lengths["targets"]
