"""TFRecord files of `tf.train.Example`, written and read without TensorFlow: framing, checksums, protobuf."""

import array
import errno
import functools
import mmap
import pathlib
import resource
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from t0jax.errors import InputError

_HEADER = 12  # uint64 length and its masked crc32c; the payload and its masked crc32c (4 bytes) follow
_FRAME = _HEADER + 4
_MAX32 = 0xFFFFFFFF
_MAX_REMEMBERED = 1 << 17
_Content = TypeVar("_Content")


def masked_crc32c(payload: bytes) -> int:
    """TFRecord's checksum of `payload`."""
    crc = google_crc32c.value(payload)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _MAX32


@functools.lru_cache(maxsize=1 << 14)
def _header(length: int) -> bytes:
    """What stands before a record of this length. Lengths recur."""
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


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
        self._file.write(_header(len(record)) + record + struct.pack("<I", masked_crc32c(record)))
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


def _mapped(path: pathlib.Path) -> bytes | mmap.mmap:
    """The bytes of a file."""
    with open(path, "rb") as file:
        is_empty = not file.seek(0, 2)  # an empty file cannot be mapped
        return b"" if is_empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _opened(read: Callable[[pathlib.Path], _Content], path: pathlib.Path) -> _Content:
    """`read(path)`. A mapped file stays open, so the first limit on open files, often 1,024, is raised to the system's last."""
    try:
        return read(path)
    except OSError as error:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if error.errno != errno.EMFILE:
            raise
        if soft == hard:
            raise InputError(
                f"{path} cannot be opened: {soft} files are open, no more are allowed; raise `ulimit -n`."
            ) from error
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return read(path)


class RecordFile(Sequence[bytes]):
    """A TFRecord file as a sequence of records. Every record read is checked. A file without an index is walked at opening."""

    def __init__(self, path: pathlib.Path) -> None:
        """An InputError when the framing is broken or the file ends within a record."""
        self._path = pathlib.Path(path)
        self._bytes = _opened(_mapped, self._path)
        starts = self._index()
        self._starts = self._walk() if starts is None else starts

    def _index(self) -> np.ndarray | None:
        """Where each record's frame starts, as the index says, if it is one of this file."""
        try:
            starts = _opened(np.load, index_path(self._path))
        except (FileNotFoundError, ValueError, EOFError):  # none, or not whole
            return None
        is_one = starts.dtype == np.int64 and starts.ndim == 1 and len(starts) > 0 and starts[-1] == len(self._bytes)
        return starts if is_one else None

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
        whole = _header(len(record)), struct.pack("<I", masked_crc32c(record))
        if (self._bytes[start - _HEADER : start], self._bytes[end : end + 4]) != whole:
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
    """A serialized tf.train.Example. Integers and booleans become int64, floats float32, str UTF-8; arrays are flattened.

    Written byte by byte, names in their order: what protobuf serializes, without making its objects.
    """
    entries = [_block(b"\n", _key(name) + _block(b"\x12", _feature(features[name]))) for name in sorted(features)]
    return _block(b"\n", b"".join(entries))


@functools.lru_cache
def _key(name: str) -> bytes:
    return _block(b"\n", name.encode())


class _Varints(dict[int, bytes]):
    """Integers in protobuf's variable length. Those that tokens have are remembered."""

    def __missing__(self, number: int) -> bytes:
        rest, encoded = number % 2**64, bytearray()
        while rest > 0x7F:
            encoded.append(rest & 0x7F | 0x80)
            rest >>= 7
        encoded.append(rest)
        if 0 <= number < _MAX_REMEMBERED:
            self[number] = bytes(encoded)
        return bytes(encoded)


_varints = _Varints()


def _block(tag: bytes, content: bytes) -> bytes:
    """A field of protobuf's that holds bytes, a message or packed numbers; `tag` is its number << 3 | 2."""
    return tag + _varints[len(content)] + content


def _feature(value: Any) -> bytes:
    """A tf.train.Feature: one of bytes_list, float_list and int64_list."""
    if isinstance(value, str | bytes):
        return _block(b"\n", _text(value))
    if isinstance(value, list) and (not value or type(value[0]) is int):
        return _block(b"\x1a", _packed(value))
    if isinstance(value, list | tuple) and isinstance(value[0], str | bytes):
        return _block(b"\n", b"".join(map(_text, value)))
    numbers = np.asarray(value).ravel()
    if numbers.dtype.kind == "f":
        return _block(b"\x12", _block(b"\n", numbers.astype("<f4").tobytes()) if numbers.size else b"")
    return _block(b"\x1a", _packed(numbers.astype(np.int64).tolist()))


def _packed(numbers: Iterable[int]) -> bytes:
    content = b"".join(map(_varints.__getitem__, numbers))
    return _block(b"\n", content) if content else b""


def _text(text: str | bytes) -> bytes:
    return _block(b"\n", text.encode() if isinstance(text, str) else text)


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
