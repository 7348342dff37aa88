"""Records agree with TensorFlow's, both ways."""

import json

import numpy as np
import seqio
import tensorflow as tf

from t0jax.data.feed import rank_examples
from t0jax.data.records import RecordFile, RecordWriter, decode_example, encode_example

FEATURES = {
    "inputs": np.arange(300, dtype=np.int32),
    "negative": [-1, 2**40],
    "weight": 0.5,
    "is_correct": True,
    "text": "é",
    "texts": [b"\x00\xff", b"b"],
    "empty": np.zeros(0, np.int32),
}


def test_tensorflow_reads_what_we_write(tmp_path):
    record = encode_example(FEATURES)
    with RecordWriter(tmp_path / "records") as writer:
        for payload in (record, b"", b"abc", record * 9):
            writer.write(payload)
    read = [payload.numpy() for payload in tf.data.TFRecordDataset(str(tmp_path / "records"))]
    assert read == [record, b"", b"abc", record * 9]
    parsed = tf.train.Example.FromString(record)
    assert len(parsed.SerializeToString()) == len(record)  # nothing but the order of a map is free
    for name, value in FEATURES.items():
        alone = encode_example({name: value})
        assert tf.train.Example.FromString(alone).SerializeToString() == alone
    assert list(parsed.features.feature["inputs"].int64_list.value) == list(range(300))
    assert parsed.features.feature["empty"].WhichOneof("kind") == "int64_list"


def test_we_read_what_tensorflow_writes(tmp_path):
    path = tmp_path / "records"
    example = tf.train.Example.FromString(encode_example(FEATURES))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
        writer.write(b"")
    records = RecordFile(path)
    assert len(records) == 2 and records[1] == b""
    decoded = decode_example(records[0])
    assert set(decoded) == set(FEATURES)
    np.testing.assert_array_equal(decoded["inputs"], FEATURES["inputs"])
    np.testing.assert_array_equal(decoded["negative"], FEATURES["negative"])
    assert decoded["weight"] == np.float32(0.5) and decoded["is_correct"] == 1
    assert decoded["text"] == ["é".encode()] and decoded["texts"] == [b"\x00\xff", b"b"]
    assert decoded["empty"].size == 0


def test_seqios_own_encoding_of_choices_is_read(tmp_path):
    folder = tmp_path / "task_score_eval"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "test.tfrecord-00000-of-00001")) as writer:
        for number in (1, 0):
            tokens = {"inputs": tf.constant([5, 6, 7], tf.int32), "targets": tf.constant([8 + number, 1], tf.int32)}
            marks = {
                "idx": tf.constant([4, number], tf.int32),
                "is_correct": tf.constant(int(number == 1)),
                "weight": tf.constant(1.0),
            }
            writer.write(seqio.utils.dict_to_tfexample({**tokens, **marks}).SerializeToString())
    features = {name: {"shape": [None], "dtype": "int32"} for name in ("inputs", "targets", "idx", "is_correct", "weight")}
    (folder / "info.test.json").write_text(json.dumps({"num_shards": 1, "features": features}))
    (folder / "stats.test.json").write_text('{"examples": 2}')
    (folder / "COMPLETED").touch()
    (example,) = rank_examples(tmp_path, "task_score_eval", "test", {"inputs": 2, "targets": 2})
    assert example.example == 4 and example.inputs.tolist() == [5, 6]
    assert [choice.tolist() for choice in example.choices] == [[8, 1], [9, 1]] and example.is_correct == (False, True)
