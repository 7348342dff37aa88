"""Rank scores are those of a plain loop over choices, however rows are packed and wherever they are computed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t0jax.batch import EOS_ID, RankExample
from t0jax.config import MeshConfig, ModelConfig
from t0jax.errors import InputError
from t0jax.evaluation.rows import distinct_sources, packed_batches
from t0jax.evaluation.score import Scorer, gold_logp
from t0jax.mesh import constrain_to, make_mesh, sharding_of
from t0jax.model.parameters import init_parameters, logical_axes
from t0jax.model.t5 import T5

CONFIG = ModelConfig(
    vocab_size=64,
    emb_dim=16,
    num_heads=4,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dtype="float32",
)
LENGTHS = {"inputs": 64, "targets": 48}
TOLERANCE = dict(rtol=0, atol=2e-5)  # float32 sums over up to 48 tokens in another order


@pytest.fixture(scope="module")
def params():
    return jax.jit(partial(init_parameters, CONFIG))(jax.random.key(0))


def example(random, number, inputs, choices, task="task"):
    tokens = [np.append(random.integers(3, 64, length - 1), EOS_ID) for length in choices]
    correct = [choice == 0 for choice in range(len(choices))]
    return RankExample(task, number, random.integers(3, 64, inputs), tokens, correct)


def mixed_examples(count=24, seed=0):
    """Two to four choices, one of them alone with nine, lengths from one token to the limit, an input twice."""
    random = np.random.default_rng(seed)
    examples = [
        example(random, n, int(random.integers(1, 40)), random.integers(1, 8, int(random.integers(2, 5))), f"task_{n % 3}")
        for n in range(count)
    ]
    examples.append(example(random, count, 64, [48, 47, 3]))  # wider than any row: scored in two
    examples.append(example(random, count + 1, 5, [3] * 9))
    examples.append(RankExample("other", 0, examples[0].inputs, examples[1].choices, examples[1].is_correct))
    return examples


def plain_loop(params, examples, lengths=LENGTHS):
    """One input, one choice, no packing: T0's own way."""
    model = T5(CONFIG)

    @jax.jit
    def total(inputs, inputs_mask, targets, targets_mask):
        shifted = jnp.concatenate([jnp.zeros((1, 1), jnp.int32), targets[:, :-1]], axis=1)
        encoded = model.apply({"params": params}, inputs, inputs_mask, method="encode")
        hidden = model.apply({"params": params}, encoded, inputs_mask, shifted, targets_mask, method="decode")
        logp = jax.nn.log_softmax(model.apply({"params": params}, hidden, method="logits"))
        return (jnp.take_along_axis(logp, targets[..., None], -1)[..., 0] * targets_mask.astype(logp.dtype)).sum()

    def padded(tokens, length):
        tokens = np.asarray(tokens[:length], np.int32)
        row, mask = np.zeros((2, 1, length), np.int32)
        row[0, : len(tokens)], mask[0, : len(tokens)] = tokens, 1
        return row, mask

    return [
        np.array(
            [total(*padded(each.inputs, lengths["inputs"]), *padded(choice, lengths["targets"])) for choice in each.choices]
        )
        for each in examples
    ]


def assert_same(got, wanted, **tolerance):
    assert [len(one) for one in got] == [len(one) for one in wanted]
    np.testing.assert_allclose(np.concatenate(got), np.concatenate(wanted), **(tolerance or TOLERANCE))


def scorer(params, batch_size=4, lengths=LENGTHS, mesh=None, model=None):
    return Scorer(model or T5(CONFIG), params, task_feature_lengths=lengths, batch_size=batch_size, mesh=mesh)


def test_rank_scores_equal_a_plain_loop_over_choices(params):
    examples = mixed_examples()
    assert_same(scorer(params).score(examples), plain_loop(params, examples))


def test_the_order_of_examples_and_the_batch_size_do_not_matter(params):
    examples = mixed_examples(12)
    scores = scorer(params).score(examples)
    order = np.random.default_rng(1).permutation(len(examples))
    shuffled = scorer(params, batch_size=1).score([examples[place] for place in order])
    assert_same(shuffled, [scores[place] for place in order])


def test_inputs_and_choices_beyond_the_limit_are_cut_as_in_training(params):
    random = np.random.default_rng(2)
    examples = [example(random, 0, 100, [60, 3]), example(random, 1, 20, [5, 50])]
    short = {"inputs": 16, "targets": 8}
    assert_same(scorer(params, lengths=short).score(examples), plain_loop(params, examples, short))


def test_logits_in_parts_equal_logits_at_once(params, monkeypatch):
    examples = mixed_examples(6)
    whole = scorer(params).score(examples)
    monkeypatch.setattr("t0jax.evaluation.score.LOGIT_POSITIONS", 16)
    assert_same(scorer(params).score(examples), whole)


@pytest.mark.parametrize("sizes", [dict(data=8), dict(data=2, fsdp=2, tensor=2)])
def test_scores_over_eight_devices_equal_one_device(params, sizes):
    examples = mixed_examples(10)
    mesh = make_mesh(MeshConfig(**sizes))
    placed = jax.device_put(params, sharding_of(mesh, logical_axes(CONFIG)))
    model = T5(CONFIG, constrain_to(mesh))
    assert_same(scorer(placed, mesh=mesh, model=model).score(examples), scorer(params).score(examples))


def test_the_checksum_of_weights_is_the_same_on_eight_devices_and_another_for_one_weight(params):
    placed = jax.device_put(params, sharding_of(make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)), logical_axes(CONFIG)))
    assert scorer(placed).checksum() == scorer(params).checksum()
    leaf = params["decoder"]["logits_dense"]["kernel"]
    other = {**params, "decoder": {**params["decoder"], "logits_dense": {"kernel": leaf.at[0, 0].add(1e-3)}}}
    assert scorer(other).checksum() != scorer(params).checksum()


def test_equal_choices_score_exactly_alike(params):
    random = np.random.default_rng(3)
    one = np.append(random.integers(3, 64, 4), EOS_ID)
    scores = scorer(params).score([RankExample("t", n, random.integers(3, 64, 9), [one, one], [True, False]) for n in range(5)])
    assert all(first == second for first, second in scores)


def test_batches_own_every_choice_once(params):
    examples = mixed_examples(9)
    owners = [owner for packed in scorer(params).batches(examples) for segment in packed.owners for owner in segment]
    assert sorted(owners) == [(n, choice) for n, each in enumerate(examples) for choice in range(len(each.choices))]


@pytest.mark.parametrize(
    ("choices", "message"),
    [([], "Example 3 of t cannot be ranked, it has no choices"), ([[5, 1], []], "choice 1 has no tokens")],
)
def test_what_cannot_be_ranked_is_refused_by_name(params, choices, message):
    broken = RankExample("t", 3, np.array([5]), [np.array(choice, np.int32) for choice in choices], [True] * len(choices))
    with pytest.raises(InputError, match=message):
        scorer(params).score([*mixed_examples(2), broken])


def test_each_distinct_input_is_encoded_once_in_few_shapes():
    random = np.random.default_rng(4)
    examples = [example(random, n, int(random.integers(8, 20)), [2, 3]) for n in range(200)]
    again = [RankExample("again", each.example, each.inputs, each.choices, each.is_correct) for each in examples]
    batches = list(packed_batches(distinct_sources(examples + again, LENGTHS), row_tokens=64, tokens=256))
    encoded = sum(int((packed.batch["encoder_segment_ids"] > 0).sum()) for packed in batches)
    assert encoded == sum(len(each.inputs) for each in examples)
    assert len({packed.batch["decoder_target_tokens"].shape for packed in batches}) <= 4
    positions = sum(packed.batch["encoder_segment_ids"].size for packed in batches)
    assert encoded / positions > 0.85


def test_nothing_to_score_gives_no_scores(params):
    assert scorer(params).score([]) == []


def test_gold_logp_is_the_log_softmax_at_the_target():
    logits = jax.random.normal(jax.random.key(1), (2, 3, 7)) * 5
    targets = jnp.array([[0, 6, 3], [2, 2, 5]])
    wanted = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]
    np.testing.assert_allclose(gold_logp(logits, targets), wanted, rtol=1e-6)
