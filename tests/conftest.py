"""Eight simulated devices, strict promotion, and where the real rows lie."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# The suite compiles the same small programs again and again, in processes of its own too.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".pytest_cache/jax"))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import pytest

SHARED = pathlib.Path(os.environ.get("T0JAX_SHARED", pathlib.Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Real rows of T0's datasets, which are not part of the repository."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real rows at {SHARED / 'data'}: set T0JAX_SHARED to a folder with data/ and models/")
    return SHARED / "data"


@pytest.fixture(scope="session")
def t5_vocabulary() -> pathlib.Path:
    """T5's SentencePiece model of 32,000 pieces, which is not part of the repository."""
    path = SHARED / "models/t5_vocab/spiece.model"
    if not path.is_file():
        pytest.skip(f"no T5 vocabulary at {path}: set T0JAX_SHARED to a folder with data/ and models/")
    return path


@pytest.fixture(scope="session")
def shared_models() -> pathlib.Path:
    """Small checkpoints of others, which are not part of the repository."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no checkpoints at {SHARED / 'models'}: set T0JAX_SHARED to a folder with data/ and models/")
    return SHARED / "models"
