"""Rows on disk and caches made of them, for tests of the cache."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from t0jax.data import universe
from t0jax.data.cache import cache_tasks
from t0jax.data.cached_split import CachedTask
from t0jax.data.sources.places import Places

IMDB = "imdb_Writer_Expressed_Sentiment"
IMDB_OTHER = "imdb_Movie_Expressed_Sentiment"


def at(folder: Path) -> Places:
    return Places(data_dir=str(folder))


def write_rows(data_dir: Path, dataset: str, split: str, rows: list[dict[str, Any]]) -> Path:
    path = data_dir / dataset / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_reviews(data_dir: Path, number: int, words: int = 8) -> Path:
    """Reviews under imdb/default/train, each with its number in it."""
    rows = [{"text": f"film {n} " + "the dog ran " * (words // 3), "label": n % 2} for n in range(number)]
    return write_rows(data_dir, "imdb/default", "train", rows)


def cache(output: Path, rows: Path, vocabulary: Path, *tasks: str, **settings: Any) -> list[CachedTask]:
    chosen = [universe.task(name) for name in tasks or (IMDB,)]
    return cache_tasks(chosen, output_cache_dir=output, places=at(rows), vocabulary=vocabulary, **settings)


def contents(output: Path) -> dict[str, bytes]:
    """Every file of a cache by its path."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.rglob("*")) if path.is_file()}


def command(output: Path, rows: Path, vocabulary: Path, *flags: str) -> list[str]:
    places = [f"--output_cache_dir={output}", f"--data_dir={rows}", f"--vocabulary={vocabulary}"]
    return [sys.executable, "-m", "t0jax", "cache", *places, *flags]


def run(words: list[str], status: int = 0) -> str:
    """What a command says on standard error, when it ends with this status."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == status, done.stderr
    return done.stderr
