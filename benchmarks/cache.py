"""Examples cached a core-second, ours beside seqio_cache_tasks on the same rows, wordings and vocabulary: one JSON line.

CPU time of the process and its children. Each side runs on few rows and on many: the few are its start-up, which is told apart.
"""

import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable

from t0jax.data.universe import mixture_tasks
from t0jax.demo.suite import DATASETS
from t0jax.demo.vocabulary import train_vocabulary

SHARED = pathlib.Path(os.environ.get("T0JAX_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
TASKS = (
    "cos_e_v1.11_question_description_option_text",
    "cos_e_v1.11_question_option_description_text",
    "imdb_Movie_Expressed_Sentiment",
    "imdb_Writer_Expressed_Sentiment",
)
FEW = 20
OURS = "import sys; from t0jax.cli import main; sys.exit(main(sys.argv[1:]))"
THEIRS = """
import sys
rows, vocabulary, output, *tasks = sys.argv[1:]
from t0jax.data.sources.places import Places
from t0jax.data.tasks import register
for task in tasks:
    register(task, places=Places(data_dir=rows), vocabulary=vocabulary)
from seqio.scripts import cache_tasks_main
# Without --allow_unsafe_triggers, of which there are none, Beam first looks for a runner on the network.
options = "--pipeline_options=--runner=DirectRunner,--allow_unsafe_triggers"
sys.argv = ["seqio_cache_tasks", "--tasks=" + ",".join(tasks), "--output_cache_dir=" + output, "--min_shards=1", options]
cache_tasks_main.console_entry_point()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="of each dataset")
    number = parser.parse_args().rows
    if number <= FEW:
        parser.error(f"--rows must be above {FEW}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        kind, vocabulary = prepare(folder, number)
        result = {"benchmark": "cache", "rows": kind, "tasks": len(TASKS), "ours": measure(folder, vocabulary, ours)}
        if importlib.util.find_spec("google_crc32c"):
            result["seqio_cache_tasks"] = measure(folder, vocabulary, theirs)
            for what in ("examples_per_core_s", "examples_per_core_s_with_start"):
                result[f"ratio_{what}"] = round(result["ours"][what] / result["seqio_cache_tasks"][what], 1)
        else:
            result["seqio_cache_tasks"] = "writes no records without google-crc32c"
    print(json.dumps(result))


def prepare(folder: pathlib.Path, number: int) -> tuple[str, pathlib.Path]:
    """Few and many rows of each dataset under `folder`: real ones with T5's vocabulary, or the demonstration's with its own."""
    tasks = {(task.dataset, task.subset): task for name in TASKS for task in mixture_tasks(name)}
    vocabulary = SHARED / "models/t5_vocab/spiece.model"
    is_real = vocabulary.is_file() and (SHARED / "data").is_dir()
    for task in tasks.values():
        place = pathlib.Path(task.dataset, task.subset or "default")
        if is_real:
            with open(SHARED / "data" / place / "train.jsonl", encoding="utf-8") as file:
                lines = list(itertools.islice(file, number))
        else:
            [dataset] = [one for one in DATASETS if (one.name, one.subset) == (task.dataset, task.subset)]
            lines = [json.dumps(row) + "\n" for row in dataset.rows("train", number, seed=0)]
        for name, count in (("few", FEW), ("many", number)):
            write(folder / name / place / "train.jsonl", lines[:count])
            for split in ("validation", "test"):  # SeqIO caches every split that a task has
                write(folder / name / place / f"{split}.jsonl", lines[:1])
    if not is_real:
        vocabulary = folder / "spiece.model"
        train_vocabulary(vocabulary, [task for name in TASKS for task in mixture_tasks(name)], folder / "many", size=2000)
    return "real" if is_real else "generated", vocabulary


def write(path: pathlib.Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def ours(rows: pathlib.Path, vocabulary: pathlib.Path, output: pathlib.Path) -> list[str]:
    flags = {"tasks": ",".join(TASKS), "data_dir": rows, "vocabulary": vocabulary, "output_cache_dir": output}
    return [OURS, "cache", *(f"--{name}={value}" for name, value in flags.items())]


def theirs(rows: pathlib.Path, vocabulary: pathlib.Path, output: pathlib.Path) -> list[str]:
    return [THEIRS, str(rows), str(vocabulary), str(output), *TASKS]


def measure(folder: pathlib.Path, vocabulary: pathlib.Path, command: object) -> dict[str, float]:
    """Examples a core-second of the many rows, without and with what the few rows cost."""
    seconds, examples = {}, {}
    for name in ("few", "many"):
        output = folder / f"{command.__name__}_{name}"
        seconds[name] = cpu_seconds(command(folder / name, vocabulary, output))
        stats = [json.loads(path.read_text()) for path in output.glob("*/stats.*.json")]
        examples[name] = sum(one["examples"] for one in stats)
    rate = (examples["many"] - examples["few"]) / (seconds["many"] - seconds["few"])
    return {
        "examples": examples["many"],
        "start_core_s": round(seconds["few"], 1),
        "examples_per_core_s": round(rate),
        "examples_per_core_s_with_start": round(examples["many"] / seconds["many"]),
    }


def cpu_seconds(words: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
