"""What t5x restores from a checkpoint: `python t5x_restore.py CHECKPOINT MODEL.json BATCH.npz OUT.npz`. Needs t5x, no t0jax.

Restores the whole training state twice, by t5x's Orbax manager (its default) and by its older Checkpointer, and runs the model.
With `--write FOLDER` it also saves the state in t5x's Orbax form and natively.
"""

import json
import os
import pathlib
import sys

import jax
import numpy as np
import seqio
from flax.traverse_util import flatten_dict
from t5x import adafactor, checkpoints, models, partitioning, utils
from t5x.examples.t5 import network

path, settings, batch_path, out, *write = sys.argv[1:]
config = network.T5Config(dtype="float32", dropout_rate=0.0, **json.loads(pathlib.Path(settings).read_text()))
optimizer = adafactor.Adafactor(decay_rate=0.8, step_offset=0, logical_factor_rules=adafactor.standard_logical_factor_rules())
vocabulary = seqio.PassThroughVocabulary(config.vocab_size)
model = models.EncoderDecoderModel(network.Transformer(config), vocabulary, vocabulary, optimizer)
batch = dict(np.load(batch_path))
partitioner = partitioning.PjitPartitioner(num_partitions=1)
initializer = utils.TrainStateInitializer(
    optimizer_def=optimizer,
    init_fn=model.get_initial_variables,
    input_shapes={name: values.shape for name, values in batch.items()},
    partitioner=partitioner,
)
shape = initializer.global_train_state_shape
manager = checkpoints.OrbaxCheckpointManagerInterface(os.path.dirname(path), shape, partitioner, restore_dtype="float32")
state = manager.restore(path=path)
older = checkpoints.Checkpointer(shape, partitioner, os.path.dirname(path), restore_dtype=np.dtype("float32"))
leaves = flatten_dict(state.state_dict(), sep="/")
for name, values in flatten_dict(older.restore(path=path).state_dict(), sep="/").items():
    np.testing.assert_array_equal(np.asarray(values), np.asarray(leaves[name]), err_msg=name)
logits = model._compute_logits(state.params, batch)
found = {name: np.asarray(values) for name, values in leaves.items()}
np.savez(out, logits=np.asarray(jax.device_get(logits)), **{name.replace("/", "|"): values for name, values in found.items()})
if write:
    folder = write[0]
    checkpoints.Checkpointer(shape, partitioner, f"{folder}/native").save(state)
    os.mkdir(f"{folder}/orbax")
    manager = checkpoints.OrbaxCheckpointManagerInterface(f"{folder}/orbax", shape, partitioner, save_dtype=np.dtype("float32"))
    manager.save(state)
    manager.close()
