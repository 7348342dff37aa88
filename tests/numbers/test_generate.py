"""Greedy decoding takes the likeliest token at every step, alone or in a batch."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from tiny_run import MODEL

from t0jax.batch import EOS_ID
from t0jax.config import MeshConfig
from t0jax.evaluation.generate import Generator
from t0jax.mesh import constrain_to, make_mesh
from t0jax.model.parameters import init_parameters
from t0jax.model.t5 import T5

CONFIG = dataclasses.replace(MODEL, vocab_size=24)
LENGTHS = {"inputs": 32, "targets": 12}


@pytest.fixture(scope="module")
def params():
    """A model that ends most of its answers: the logits of EOS are raised."""
    params = jax.jit(functools.partial(init_parameters, CONFIG))(jax.random.key(3))
    kernel = params["decoder"]["logits_dense"]["kernel"]
    params["decoder"]["logits_dense"]["kernel"] = kernel.at[:, EOS_ID].multiply(1.6)
    return params


@functools.cache
def inputs():
    random = np.random.default_rng(0)
    return [random.integers(3, 24, length) for length in (5, 17, 1, 40, 9, 30, 12)]


def plain_loop(params, tokens):
    """One input, one token at a time: the whole network anew for each."""
    encoder, decoder = np.zeros((2, 1, LENGTHS["inputs"]), np.int32), np.zeros((1, LENGTHS["targets"] + 1), np.int32)
    tokens = tokens[: LENGTHS["inputs"]]
    encoder[0, 0, : len(tokens)], encoder[1, 0, : len(tokens)] = tokens, 1
    batch = {
        "encoder_input_tokens": encoder[0],
        "encoder_segment_ids": encoder[1],
        "decoder_segment_ids": np.ones_like(decoder),
    }
    for step in range(LENGTHS["targets"]):
        logits = forward(params, {**batch, "decoder_input_tokens": decoder})
        decoder[0, step + 1] = logits[0, step].argmax()
        if decoder[0, step + 1] == EOS_ID:
            return decoder[0, 1 : step + 1].tolist()
    return decoder[0, 1:].tolist()


@jax.jit
def forward(params, batch):
    return T5(CONFIG).apply({"params": params}, batch)


def test_greedy_equals_a_plain_loop_of_argmax(params):
    answers = Generator(T5(CONFIG), params, task_feature_lengths=LENGTHS, batch_size=3).generate(inputs())
    wanted = [plain_loop(params, tokens) for tokens in inputs()]
    assert [answer.tolist() for answer in answers] == wanted
    assert min(map(len, wanted)) < max(map(len, wanted))  # some end early, some do not


def test_greedy_over_eight_devices_equals_one_device(params):
    alone = Generator(T5(CONFIG), params, task_feature_lengths=LENGTHS).generate(inputs())
    mesh = make_mesh(MeshConfig())
    spread = Generator(T5(CONFIG, constrain_to(mesh)), params, task_feature_lengths=LENGTHS, batch_size=3, mesh=mesh)
    assert [one.tolist() for one in spread.generate(inputs())] == [one.tolist() for one in alone]


def test_no_inputs_give_no_answers(params):
    assert Generator(T5(CONFIG), params, task_feature_lengths=LENGTHS).generate([]) == []
