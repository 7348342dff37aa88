"""TFRecord files: what is written is read, and damage is found."""

import numpy as np
import pytest

from t0jax.data.records import RecordFile, RecordWriter, decode_example, encode_example, masked_crc32c
from t0jax.errors import InputError

RECORDS = [encode_example({"inputs": np.arange(length), "text": "a" * length}) for length in (0, 1, 5, 700, 3000)]


def write(path, records=RECORDS):
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record)


def unmasked(masked):
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF


def test_checksum_equals_rfc_3720():
    assert unmasked(masked_crc32c(bytes(32))) == 0x8A9136AA
    assert unmasked(masked_crc32c(b"\xff" * 32)) == 0x62A8AB43
    assert unmasked(masked_crc32c(bytes(range(32)))) == 0x46DD794E
    assert unmasked(masked_crc32c(b"123456789")) == 0xE3069283


@pytest.mark.parametrize("length", [0, 1, 3, 4, 1023, 1024, 1025, 1027, 1028, 2050])
def test_checksum_of_any_length_equals_a_bit_by_bit_loop(length):
    payload = np.random.default_rng(length).bytes(length)
    crc = 0xFFFFFFFF
    for byte in payload:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    assert unmasked(masked_crc32c(payload)) == crc ^ 0xFFFFFFFF


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "records")
    records = RecordFile(tmp_path / "records")
    assert list(records) == RECORDS == records[:]
    assert records[-1] == RECORDS[-1]
    np.testing.assert_array_equal(decode_example(records[3], ["inputs"])["inputs"], np.arange(700))


def test_a_file_without_its_index_reads_the_same(tmp_path):
    write(tmp_path / "records")
    (tmp_path / "records.starts.npy").unlink()
    assert list(RecordFile(tmp_path / "records")) == RECORDS


def test_an_empty_file_holds_no_record(tmp_path):
    write(tmp_path / "records", [])
    assert len(RecordFile(tmp_path / "records")) == 0


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "records"
    write(path)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    records = RecordFile(path)
    assert records[0] == RECORDS[0]
    with pytest.raises(InputError, match=r"record 4 does not match its checksum.*t0jax cache"):
        records[4]


def test_a_truncated_file_is_found(tmp_path):
    path = tmp_path / "records"
    write(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match="record 4 is cut off"):
        RecordFile(path)


def test_a_writer_that_fails_leaves_no_index(tmp_path):
    with pytest.raises(OSError, match="full"), RecordWriter(tmp_path / "records") as writer:
        writer.write(RECORDS[0])
        raise OSError("full")
    assert not (tmp_path / "records.starts.npy").exists()
