"""TFRecord files of `tf.train.Example`, written and read without TensorFlow: framing, checksums, protobuf."""

import array
import functools
import mmap
import pathlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from t0jax.errors import InputError

_HEADER = 12  # uint64 length and its masked crc32c; the payload and its masked crc32c (4 bytes) follow
_FRAME = _HEADER + 4
_BLOCK = 1024
_MAX32 = 0xFFFFFFFF


@functools.cache
def _crc_tables() -> tuple[np.ndarray, np.ndarray]:
    """CRC-32C of every byte followed by m zero bytes, rows from m = _BLOCK - 1 to 0 (flat), and where each row begins."""
    single = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        single = (single >> np.uint32(1)) ^ (np.uint32(0x82F63B78) * (single & np.uint32(1)))
    rows = [single]
    for _ in range(_BLOCK - 1):
        rows.append((rows[-1] >> np.uint32(8)) ^ single[rows[-1] & np.uint32(255)])
    return np.concatenate(rows[::-1]), np.arange(_BLOCK, dtype=np.int64) * 256


def masked_crc32c(payload: bytes) -> int:
    """TFRecord's checksum of `payload`. CRC is linear, so a block is one table look-up per byte and one XOR over them all."""
    table, begins = _crc_tables()
    values, crc = np.frombuffer(payload, np.uint8).astype(np.int64), _MAX32
    whole = len(values) - len(values) % _BLOCK if len(values) % _BLOCK < 4 else len(values)
    for start in range(0, whole, _BLOCK):
        block = values[start : min(start + _BLOCK, whole)]
        block[:4] ^= np.frombuffer(crc.to_bytes(4, "little"), np.uint8)
        crc = int(np.bitwise_xor.reduce(table.take(block + begins[_BLOCK - len(block) :])))
    for value in values[whole:].tolist():  # fewer than four bytes: the register does not fit into them
        crc = int(table[begins[-1] + ((crc ^ value) & 255)]) ^ (crc >> 8)
    crc ^= _MAX32
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _MAX32


def index_path(path: pathlib.Path) -> pathlib.Path:
    """Where each record of `path` starts, kept beside it so that opening millions of records does not walk through them."""
    return path.with_name(path.name + ".starts.npy")


class RecordWriter:
    """Writes a new TFRecord file and its index. Readers trust what they find: rename finished folders into place."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path, self._starts = pathlib.Path(path), array.array("q", [0])
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()

    def write(self, record: bytes) -> None:
        """Append one record; OSError when the disk is full."""
        length = struct.pack("<Q", len(record))
        checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, record))
        self._file.write(length + next(checks) + record + next(checks))
        self._starts.append(self._starts[-1] + _FRAME + len(record))

    def close(self) -> None:
        """Finish the file and write its index; a second time changes nothing."""
        if self._file.closed:
            return
        self._file.close()
        np.save(index_path(self._path), np.frombuffer(self._starts, np.int64))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close() if kind else self.close()


class RecordFile(Sequence[bytes]):
    """A TFRecord file as a sequence of records. Every record read is checked. A file without an index is walked at opening."""

    def __init__(self, path: pathlib.Path) -> None:
        """An InputError when the framing is broken or the file ends within a record."""
        self._path = pathlib.Path(path)
        with open(path, "rb") as file:
            is_empty = not file.seek(0, 2)  # an empty file cannot be mapped
            self._bytes: bytes | mmap.mmap = b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        index = index_path(self._path)
        starts = np.load(index) if index.is_file() else None
        self._starts = starts if starts is not None and starts[-1] == len(self._bytes) else self._walk()

    def _walk(self) -> np.ndarray:
        """Where each record's frame starts, and where the last one ends."""
        data, size, unpack = self._bytes, len(self._bytes), struct.Struct("<Q").unpack_from
        starts, position = [0], 0
        while position < size:
            if position + _FRAME > size or (position := position + _FRAME + unpack(data, position)[0]) > size:
                raise self._broken(len(starts) - 1, "is cut off or its length is damaged")
            starts.append(position)
        return np.array(starts, np.int64)

    def _broken(self, index: int, what: str) -> InputError:
        return InputError(f"{self._path}: record {index} {what}; delete the task's folder and run `t0jax cache` again.")

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: Any) -> Any:
        """Record `index`, or the list of a slice; an InputError when a checksum does not match."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        start, end = int(self._starts[index]) + _HEADER, int(self._starts[index + 1]) - 4
        record = self._bytes[start:end]
        if masked_crc32c(record) != struct.unpack_from("<I", self._bytes, end)[0]:
            raise self._broken(index, "does not match its checksum")
        return record

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))


@functools.cache
def _example_class() -> Any:
    """tf.train.Example in a descriptor pool of its own, so that TensorFlow may register its own beside it."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, int, str | None], within: Any = file.message_type) -> Any:
        made = within.add(name=name)
        for number, (field, label, type_, type_name) in enumerate(fields, start=1):
            made.field.add(name=field, number=number, label=label, type=type_, type_name=type_name)
        return made

    one, many = kind.LABEL_OPTIONAL, kind.LABEL_REPEATED
    lists = (
        ("bytes_list", "BytesList", kind.TYPE_BYTES),
        ("float_list", "FloatList", kind.TYPE_FLOAT),
        ("int64_list", "Int64List", kind.TYPE_INT64),
    )
    for _, name, type_ in lists:
        message(name, ("value", many, type_, None))
    feature = message("Feature", *((field, one, kind.TYPE_MESSAGE, f".tensorflow.{name}") for field, name, _ in lists))
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    entry = ".tensorflow.Features.FeatureEntry"
    features = message("Features", ("feature", many, kind.TYPE_MESSAGE, entry))
    pair = (("key", one, kind.TYPE_STRING, None), ("value", one, kind.TYPE_MESSAGE, ".tensorflow.Feature"))
    message("FeatureEntry", *pair, within=features.nested_type).options.map_entry = True
    message("Example", ("features", one, kind.TYPE_MESSAGE, ".tensorflow.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def encode_example(features: Mapping[str, Any]) -> bytes:
    """A serialized tf.train.Example. Integers and booleans become int64, floats float32, str UTF-8; arrays are flattened."""
    example = _example_class()()
    for name in sorted(features):
        feature, values = example.features.feature[name], np.asarray(features[name])
        if values.dtype.kind in "biu":
            feature.int64_list.SetInParent()  # or an empty list would have no kind
            feature.int64_list.value.extend(values.ravel().astype(np.int64).tolist())
        elif values.dtype.kind == "f":
            feature.float_list.SetInParent()
            feature.float_list.value.extend(values.ravel().tolist())
        else:
            texts = [features[name]] if isinstance(features[name], str | bytes) else list(features[name])
            feature.bytes_list.value.extend(text.encode() if isinstance(text, str) else text for text in texts)
    return example.SerializeToString(deterministic=True)


def decode_example(record: bytes, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The features of a serialized tf.train.Example by name, only `names` if given (KeyError when one is absent).

    1-d int64 or float32 arrays; byte features are lists of bytes.
    """
    features = _example_class().FromString(record).features.feature
    decoded: dict[str, Any] = {}
    for name in features if names is None else names:
        if name not in features:  # a protobuf map would make it
            raise KeyError(name)
        feature = features[name]
        if feature.HasField("int64_list"):
            decoded[name] = np.array(feature.int64_list.value, np.int64)
        elif feature.HasField("float_list"):
            decoded[name] = np.array(feature.float_list.value, np.float32)
        else:
            decoded[name] = list(feature.bytes_list.value)
    return decoded
