"""The network keeps T5's promises: causality, packing, padding, layouts, remat, precision."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t0jax.batch import decoder_inputs, synthetic_batch
from t0jax.config import ModelConfig
from t0jax.model.attention import relative_position_buckets
from t0jax.model.flops import forward_flops, step_flops
from t0jax.model.parameters import abstract_parameters, count_parameters, init_parameters, logical_axes, parameter_table
from t0jax.model.t5 import T5

TINY = ModelConfig(
    vocab_size=60,
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=24,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dtype="float32",
)
ROUNDING = 2e-5
"""float32 sums in another order, through four layers, on logits of about 1."""


def logits(config: ModelConfig, params, batch) -> np.ndarray:
    return np.asarray(jax.jit(T5(config).apply)({"params": params}, batch))


@pytest.fixture(scope="module")
def params():
    return init_parameters(TINY, jax.random.key(0))


def example(inputs: int, targets: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"inputs": random.integers(3, 60, inputs), "targets": random.integers(3, 60, targets)}


def pack(rows: list[list[dict[str, np.ndarray]]], inputs_length: int, targets_length: int) -> dict[str, np.ndarray]:
    """Rows of examples one after the other, as the feed lays them."""

    def side(name: str, length: int) -> tuple[np.ndarray, np.ndarray]:
        tokens, segments = np.zeros((2, len(rows), length), np.int32)
        for number, row in enumerate(rows):
            lengths = [len(item[name]) for item in row]
            tokens[number, : sum(lengths)] = np.concatenate([item[name] for item in row])
            segments[number, : sum(lengths)] = np.repeat(np.arange(1, len(row) + 1), lengths)
        return tokens, segments

    (inputs, input_segments), (targets, target_segments) = side("inputs", inputs_length), side("targets", targets_length)
    return {
        "encoder_input_tokens": inputs,
        "encoder_segment_ids": input_segments,
        "decoder_input_tokens": decoder_inputs(targets, target_segments),
        "decoder_target_tokens": targets,
        "decoder_segment_ids": target_segments,
    }


def test_decoder_cannot_see_the_future(params) -> None:
    batch = pack([[example(9, 8, 0)]], 9, 8)
    before = logits(TINY, params, batch)
    batch["decoder_input_tokens"][0, 5:] = 7
    after = logits(TINY, params, batch)
    np.testing.assert_array_equal(before[0, :5], after[0, :5])
    assert np.abs(before[0, 5:] - after[0, 5:]).max() > 0.01


def test_encoder_sees_everything(params) -> None:
    batch = pack([[example(9, 8, 0)]], 9, 8)
    before = logits(TINY, params, batch)
    batch["encoder_input_tokens"][0, -1] = 7
    assert np.abs(before - logits(TINY, params, batch))[0, 0].max() > 1e-3


def test_packed_equals_unpacked(params) -> None:
    examples = [example(6, 4, 1), example(5, 7, 2), example(8, 3, 3)]
    packed = logits(TINY, params, pack([examples], 20, 15))[0]
    start = 0
    for item in examples:
        alone = logits(TINY, params, pack([[item]], 20, 15))[0, : len(item["targets"])]
        np.testing.assert_allclose(packed[start : start + len(alone)], alone, atol=ROUNDING)
        start += len(alone)


def test_padding_changes_nothing(params) -> None:
    tight = logits(TINY, params, pack([[example(9, 8, 0)]], 9, 8))
    wide = logits(TINY, params, pack([[example(9, 8, 0)]], 17, 12))
    np.testing.assert_allclose(wide[:, :8], tight, atol=ROUNDING)


def test_a_row_of_padding_has_finite_logits_and_gradients(params) -> None:
    batch = pack([[example(9, 8, 0)]], 9, 8)
    empty = {name: np.concatenate([value, np.zeros_like(value)]) for name, value in batch.items()}

    def total(params):
        return T5(TINY).apply({"params": params}, empty)[0].sum()

    value, gradients = jax.jit(jax.value_and_grad(total))(params)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_choices_of_one_input_share_its_encoding(params) -> None:
    source, choices = example(9, 1, 4), [example(1, 3, 5)["targets"], example(1, 4, 6)["targets"]]
    apart = [logits(TINY, params, pack([[{**source, "targets": choice}]], 9, 7))[0, : len(choice)] for choice in choices]
    batch = pack([[source]], 9, 7)
    targets, segments = np.concatenate(choices)[None].astype(np.int32), np.array([[1, 1, 1, 2, 2, 2, 2]], np.int32)

    @jax.jit
    def together(params):
        model, encoder_segments = T5(TINY).bind({"params": params}), batch["encoder_segment_ids"]
        encoded = model.encode(batch["encoder_input_tokens"], encoder_segments)
        return model.logits(
            model.decode(encoded, encoder_segments, decoder_inputs(targets, segments), segments, np.ones_like(segments))
        )

    np.testing.assert_allclose(together(params)[0], np.concatenate(apart), atol=ROUNDING)


def test_scanned_equals_unscanned(params) -> None:
    unscanned = dataclasses.replace(TINY, scan_layers=False)
    apart = init_parameters(unscanned, jax.random.key(0))
    for layer in range(2):
        expected = jax.tree.map(lambda leaf, layer=layer: leaf[layer], params["encoder"]["layers"])
        jax.tree.map(np.testing.assert_array_equal, apart["encoder"][f"layers_{layer}"], expected)
    batch = pack([[example(6, 4, 1), example(5, 7, 2)]], 12, 12)
    np.testing.assert_allclose(logits(unscanned, apart, batch), logits(TINY, params, batch), atol=ROUNDING)


@pytest.mark.parametrize(("scan_layers", "remats"), [(True, ("minimal", "full")), (False, ("full",))])
def test_remat_equals_no_remat(scan_layers: bool, remats: tuple[str, ...]) -> None:
    batch = synthetic_batch(batch_size=2, inputs_length=12, targets_length=8, vocab_size=60, segments=2)
    plain = dataclasses.replace(TINY, scan_layers=scan_layers, num_encoder_layers=1, num_decoder_layers=1 + scan_layers)
    params = init_parameters(plain, jax.random.key(0))

    def gradients(config: ModelConfig):
        def total(params):
            out = T5(config).apply({"params": params}, batch, deterministic=False, rngs={"dropout": jax.random.key(1)})
            return jnp.square(out).mean()

        return jax.jit(jax.grad(total))(params)

    expected = gradients(plain)
    for remat in remats:
        found = gradients(dataclasses.replace(plain, remat=remat))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=ROUNDING), found, expected)


def test_bfloat16_is_close_to_float32(params) -> None:
    batch = synthetic_batch(batch_size=2, inputs_length=12, targets_length=8, vocab_size=60, segments=2)
    rounded = logits(dataclasses.replace(TINY, dtype="bfloat16"), params, batch)
    exact = logits(TINY, params, batch)
    assert rounded.dtype == np.float32
    # 8 bits of mantissa are 0.4 % a rounding; a few dozen roundings on the way add up to a few per cent of the logits' spread.
    assert np.abs(rounded - exact).max() < 0.1 * exact.std()


def test_bfloat16_gradients_of_what_all_tokens_share_are_summed_in_float32() -> None:
    """The table's row of a frequent token and a norm's scale: a sum of 4,096 terms in bfloat16 would stop at a few hundred."""
    params = init_parameters(TINY, jax.random.key(0))
    params["encoder"]["layers"] = jax.tree.map(jnp.zeros_like, params["encoder"]["layers"])
    tokens, segments = np.full((16, 256), 5, np.int32), np.ones((16, 256), np.int32)
    direction = 1 + jax.random.normal(jax.random.key(1), (16, 256, TINY.emb_dim))

    def gradients(dtype: str):
        def total(params):
            config = dataclasses.replace(TINY, dtype=dtype)
            encoded = T5(config).apply({"params": params}, tokens, segments, method=T5.encode)
            return (encoded.astype(jnp.float32) * direction).sum()

        found = jax.jit(jax.grad(total))(params)
        return {"table": found["token_embedder"]["embedding"][5], "scale": found["encoder"]["encoder_norm"]["scale"]}

    exact = gradients("float32")
    for name, rounded in gradients("bfloat16").items():
        # Each term is rounded to 0.4 %, here and there in the same direction; their sum is not.
        assert np.abs(rounded - exact[name]).max() < 0.01 * np.abs(exact[name]).max(), name


def test_dropout_is_the_same_for_all_positions_of_a_row() -> None:
    config = dataclasses.replace(TINY, dropout_rate=0.5, num_encoder_layers=1)
    params = init_parameters(config, jax.random.key(0))
    params["encoder"]["layers"] = jax.tree.map(jnp.zeros_like, params["encoder"]["layers"])
    tokens, segments = np.full((2, 6), 5, np.int32), np.ones((2, 6), np.int32)
    rngs = {"dropout": jax.random.key(3)}
    encoded = T5(config).apply({"params": params}, tokens, segments, deterministic=False, rngs=rngs, method=T5.encode)
    survived = np.asarray(encoded) != 0
    # The embedding's dropout takes whole features; the final one, which does not broadcast, takes single values.
    embedding_kept = survived.any(axis=1)
    assert 0 < embedding_kept.mean() < 1
    assert not (survived == embedding_kept[:, None]).all()


@pytest.mark.parametrize(
    ("is_bidirectional", "buckets"),
    [
        (True, {0: 0, -1: 1, -7: 7, -8: 8, -12: 9, -16: 10, -64: 14, -91: 15, 1: 17, 7: 23, 8: 24, 16: 26, 64: 30, 128: 31}),
        (False, {5: 0, 0: 0, -1: 1, -15: 15, -16: 16, -17: 16, -32: 21, -64: 26, -112: 30, -113: 31, -9999: 31}),
    ],
)
def test_relative_positions_fall_into_t5s_buckets(is_bidirectional: bool, buckets: dict[int, int]) -> None:
    distances = np.array(list(buckets))
    found = relative_position_buckets(distances, is_bidirectional=is_bidirectional, num_buckets=32, max_distance=128)
    assert dict(zip(distances.tolist(), found.tolist(), strict=True)) == buckets


def test_fresh_parameters_have_t5s_spread() -> None:
    config = ModelConfig(vocab_size=512, emb_dim=64, num_heads=4, head_dim=16, mlp_dim=256, num_encoder_layers=3)
    params = init_parameters(config, jax.random.key(1))
    layers = params["encoder"]["layers"]
    expected = {
        "embedding": (params["token_embedder"]["embedding"], 1.0),
        "query": (layers["attention"]["query"]["kernel"], (1 / 64 / 16) ** 0.5),
        "key": (layers["attention"]["key"]["kernel"], (1 / 64) ** 0.5),
        "out": (layers["attention"]["out"]["kernel"], (1 / 64) ** 0.5),
        "wi_0": (layers["mlp"]["wi_0"]["kernel"], (1 / 64) ** 0.5),
        "wo": (layers["mlp"]["wo"]["kernel"], (1 / 256) ** 0.5),
        "logits": (params["decoder"]["logits_dense"]["kernel"], (1 / 64) ** 0.5),
        "relpos": (params["encoder"]["relpos_bias"]["rel_embedding"], (2 / (4 + 32)) ** 0.5),
    }
    for name, (values, deviation) in expected.items():
        samples = np.asarray(values)
        tolerance = 5 / samples.size**0.5  # five standard errors
        assert abs(samples.std() / deviation - 1) < tolerance, name
        assert abs(samples.mean() / deviation) < tolerance, name
    assert (np.asarray(layers["pre_mlp_layer_norm"]["scale"]) == 1).all()
    first, second = np.asarray(layers["mlp"]["wo"]["kernel"])[:2]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05  # no layer starts like another


@pytest.mark.parametrize("scan_layers", [True, False])
@pytest.mark.parametrize("activations", [("gelu", "linear"), ("relu",)])
def test_one_table_says_what_the_module_has(scan_layers: bool, activations: tuple[str, ...]) -> None:
    config = dataclasses.replace(
        TINY, scan_layers=scan_layers, mlp_activations=activations, logits_via_embedding=len(activations) == 1
    )
    batch = synthetic_batch(batch_size=1, inputs_length=6, targets_length=4, vocab_size=60)
    made = jax.eval_shape(T5(config).init, jax.random.key(0), batch)["params"]
    assert made == abstract_parameters(config)
    assert count_parameters(config) == sum(leaf.size for leaf in jax.tree.leaves(made))
    jax.tree.map(lambda leaf, axes: len(leaf.shape) == len(axes) or pytest.fail(str(axes)), made, logical_axes(config))


def test_names_and_shapes_are_t5xs(shared_data) -> None:
    from flax.serialization import msgpack_restore
    from flax.traverse_util import flatten_dict

    path = shared_data.parent / "models/t5x_tiny_checkpoint/test_t5_tiny.checkpoint_0"
    files = [file for file in (path, path / "checkpoint") if file.is_file()]
    if not files:
        pytest.skip(f"no checkpoint of t5x's at {path}")
    theirs = flatten_dict(msgpack_restore(files[0].read_bytes())["optimizer"]["target"])
    config = ModelConfig(
        emb_dim=8, num_heads=4, head_dim=3, mlp_dim=16, num_encoder_layers=2, num_decoder_layers=2, scan_layers=False
    )
    ours = {path: leaf.full_shape for path, leaf in parameter_table(config).items()}
    assert ours == {path: np.shape(value) for path, value in theirs.items()}


@pytest.mark.parametrize(
    ("shape", "count"),
    [((2048, 32, 24, 5120), 2_849_757_184), ((4096, 64, 24, 10240), 11_135_332_352), ((512, 6, 8, 1024), 76_961_152)],
)
def test_sizes_are_the_published_ones(shape: tuple[int, ...], count: int) -> None:
    emb, heads, layers, mlp = shape
    config = ModelConfig(emb_dim=emb, num_heads=heads, mlp_dim=mlp, num_encoder_layers=layers, num_decoder_layers=layers)
    assert count_parameters(config) == count


def test_flops_follow_the_rule_for_comparing_systems() -> None:
    emb, joined, mlp, layers, vocab = 512, 6 * 64, 1024, 8, 32_128
    rows, source, target = 3, 1024, 256
    projections, feed_forward = 4 * emb * joined, 3 * emb * mlp
    encoder = 2 * rows * source * (projections + feed_forward) + 4 * rows * source**2 * joined
    decoder = 2 * rows * target * (projections + feed_forward) + 4 * rows * target**2 * joined
    cross = 4 * rows * (source + target) * emb * joined + 4 * rows * source * target * joined
    forward = layers * (encoder + decoder + cross) + 2 * rows * target * emb * vocab
    assert forward_flops(ModelConfig(), rows, source, target) == forward
    assert step_flops(ModelConfig(), rows, source, target) == 3 * forward
