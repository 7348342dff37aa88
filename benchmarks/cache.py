"""Examples cached a core-second, ours beside seqio_cache_tasks on the same rows, wordings and vocabulary: one JSON line.

CPU time of the process and its children. Each side runs on few rows and on many: the few are its start-up, which is told apart.
"""

import argparse
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence

from t0jax.data.universe import PromptedTask, mixture_tasks
from t0jax.demo.suite import DATASETS
from t0jax.demo.vocabulary import train_vocabulary

SHARED = pathlib.Path(os.environ.get("T0JAX_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
WORDINGS = {
    "cos_e": ("cos_e_v1.11_question_description_option_text", "cos_e_v1.11_question_option_description_text"),
    "imdb": ("imdb_Movie_Expressed_Sentiment", "imdb_Writer_Expressed_Sentiment"),
    "rotten_tomatoes": ("rotten_tomatoes_Movie_Expressed_Sentiment", "rotten_tomatoes_Writer_Expressed_Sentiment"),
}
REAL = (*WORDINGS["cos_e"], *WORDINGS["imdb"])
GENERATED = (*WORDINGS["cos_e"], *WORDINGS["rotten_tomatoes"])
FEW = 20
OURS = "import sys; from t0jax.cli import main; sys.exit(main(sys.argv[1:]))"
THEIRS = """
import sys
rows, vocabulary, output, *tasks = sys.argv[1:]
from t0jax.data.sources.places import Places
from t0jax.data.tasks import register
import seqio
register(*tasks, places=lambda: Places(data_dir=rows), vocabulary=seqio.SentencePieceVocabulary(vocabulary))
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
    vocabulary = SHARED / "models/t5_vocab/spiece.model"
    is_real = vocabulary.is_file() and (SHARED / "data").is_dir()
    tasks = REAL if is_real else GENERATED
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder, tasks, number, real_lines if is_real else generated_lines)
        if not is_real:
            vocabulary = folder / "spiece.model"
            prompted = [task for name in tasks for task in mixture_tasks(name)]
            train_vocabulary(vocabulary, prompted, folder / "many", size=2000)
        rows = "real, T5's vocabulary" if is_real else "generated, a vocabulary of 2,000"
        result = {"benchmark": "cache", "rows": rows, "tasks": len(tasks), "ours": measure(folder, vocabulary, tasks, ours)}
        result["seqio_cache_tasks"] = measure(folder, vocabulary, tasks, theirs)
        for what in ("examples_per_core_s", "examples_per_core_s_with_start"):
            result[f"ratio_{what}"] = round(result["ours"][what] / result["seqio_cache_tasks"][what], 1)
    print(json.dumps(result))


def prepare(folder: pathlib.Path, tasks: Sequence[str], number: int, lines_of: Callable) -> None:
    """Few and many rows of each dataset of the tasks under `folder`."""
    for task in {(task.dataset, task.subset): task for name in tasks for task in mixture_tasks(name)}.values():
        place = pathlib.Path(task.dataset, task.subset or "default")
        lines = lines_of(task, place, number)
        for name, count in (("few", FEW), ("many", number)):
            write(folder / name / place / "train.jsonl", lines[:count])
            for split in ("validation", "test"):  # SeqIO caches every split that a task has
                write(folder / name / place / f"{split}.jsonl", lines[:1])


def real_lines(task: PromptedTask, place: pathlib.Path, number: int) -> list[str]:
    with open(SHARED / "data" / place / "train.jsonl", encoding="utf-8") as file:
        return list(itertools.islice(file, number))


def generated_lines(task: PromptedTask, place: pathlib.Path, number: int) -> list[str]:
    [dataset] = [one for one in DATASETS if (one.name, one.subset) == (task.dataset, task.subset)]
    return [json.dumps(row) + "\n" for row in dataset.rows("train", number, seed=0)]


def write(path: pathlib.Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def ours(rows: pathlib.Path, vocabulary: pathlib.Path, output: pathlib.Path, tasks: Sequence[str]) -> list[str]:
    flags = {"tasks": ",".join(tasks), "data_dir": rows, "vocabulary": vocabulary, "output_cache_dir": output}
    return [OURS, "cache", *(f"--{name}={value}" for name, value in flags.items())]


def theirs(rows: pathlib.Path, vocabulary: pathlib.Path, output: pathlib.Path, tasks: Sequence[str]) -> list[str]:
    return [THEIRS, str(rows), str(vocabulary), str(output), *tasks]


def measure(folder: pathlib.Path, vocabulary: pathlib.Path, tasks: Sequence[str], command: Callable) -> dict[str, float]:
    """Examples a core-second of the many rows, without and with what the few rows cost."""
    seconds, examples = {}, {}
    for name in ("few", "many"):
        output = folder / f"{command.__name__}_{name}"
        seconds[name] = cpu_seconds(command(folder / name, vocabulary, output, tasks))
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
