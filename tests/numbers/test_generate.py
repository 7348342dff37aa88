"""Answers are greedy, drawn or by beams; each depends on its input alone, not on its batch nor on the devices."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from tiny_run import MODEL

from t0jax.batch import EOS_ID
from t0jax.config import DecodeConfig, MeshConfig
from t0jax.errors import InputError
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


def answers(params, how: DecodeConfig, asked, **settings) -> list[list[int]]:
    model = T5(CONFIG, constrain_to(settings["mesh"]) if "mesh" in settings else T5.constrain)
    generator = Generator(model, params, how, task_feature_lengths=LENGTHS, **settings)
    return [answer.tolist() for answer in generator.generate(asked)]


DRAWN = DecodeConfig(temperature=1.5, topk=12, topp=0.95)


@pytest.mark.parametrize("how", [DecodeConfig(), DRAWN, DecodeConfig(num_decodes=3)], ids=["greedy", "drawn", "beams"])
def test_answers_over_eight_devices_in_other_batches_equal_one_device(params, how) -> None:
    mesh = make_mesh(MeshConfig(data=4, tensor=2))
    assert answers(params, how, inputs(), batch_size=3, mesh=mesh) == answers(params, how, inputs())


def test_what_is_drawn_repeats_by_its_seed(params) -> None:
    asked, other = [inputs()[0]] * 4, dataclasses.replace(DRAWN, decode_seed=1)
    assert answers(params, DRAWN, asked) == answers(params, DRAWN, asked) != answers(params, other, asked)
    assert len(set(map(tuple, answers(params, DRAWN, asked)))) > 1  # inputs that are equal have answers of their own


def test_drawing_from_the_likeliest_token_alone_is_greedy(params) -> None:
    assert answers(params, DecodeConfig(temperature=2.0, topk=1), inputs()) == answers(params, DecodeConfig(), inputs())


def test_tokens_are_drawn_as_often_as_the_model_says(params) -> None:
    how, drawn = DecodeConfig(temperature=0.8, max_decode_len=1), 4000
    first = [one[0] if one else EOS_ID for one in answers(params, how, [inputs()[0]] * drawn, batch_size=drawn)]
    encoder = np.zeros((2, 1, LENGTHS["inputs"]), np.int32)
    encoder[0, 0, :5], encoder[1, 0, :5] = inputs()[0], 1
    features = {"encoder_input_tokens": encoder[0], "encoder_segment_ids": encoder[1]}
    decoder = {"decoder_input_tokens": np.zeros((1, 13), np.int32), "decoder_segment_ids": np.ones((1, 13), np.int32)}
    logits = np.asarray(forward(params, features | decoder))[0, 0].astype(np.float64) / 0.8
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    found = np.bincount(first, minlength=24) / drawn
    assert np.abs(found - share).max() < 4 * np.sqrt(share.max() / drawn)  # four standard deviations


def test_an_answer_has_at_most_max_decode_len_tokens(params) -> None:
    whole, cut = (answers(params, how, inputs()) for how in (DecodeConfig(), DecodeConfig(max_decode_len=3)))
    assert cut == [one[:3] for one in whole]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"num_decodes": 0}, "num_decodes"),
        ({"num_decodes": 2, "temperature": 1.0}, "num_decodes"),
        ({"topk": 5}, "topk"),
        ({"temperature": 1.0, "topp": 1.5}, "topp"),
        ({"max_decode_len": 0}, "max_decode_len"),
        ({"beam_rules": "mine"}, "beam_rules"),
    ],
)
def test_wrong_ways_to_decode_are_refused(wrong, what: str) -> None:
    with pytest.raises(InputError, match=what):
        DecodeConfig(**wrong)


@pytest.mark.parametrize("how", [DecodeConfig(), DRAWN, DecodeConfig(num_decodes=3)], ids=["greedy", "drawn", "beams"])
def test_a_model_that_has_diverged_has_no_answers(params, how) -> None:
    broken = jax.tree.map(lambda leaf: leaf, params)
    broken["decoder"]["decoder_norm"] = {"scale": params["decoder"]["decoder_norm"]["scale"].at[0].set(np.nan)}
    with pytest.raises(InputError, match="has diverged"):
        answers(broken, how, inputs())


def test_no_inputs_give_no_answers(params):
    assert Generator(T5(CONFIG), params, task_feature_lengths=LENGTHS).generate([]) == []
