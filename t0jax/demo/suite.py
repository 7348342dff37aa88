"""The demonstration's datasets: which exist, how many rows they have, and how they are written to disk."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from t0jax.demo import held_out, reading, sentences
from t0jax.demo.content import RESERVED, TRAINING, Side
from t0jax.demo.reading import Row

MakeRow = Callable[[Random, Side, int], Row]


@dataclass(frozen=True)
class DemoDataset:
    """A dataset of the real name and schema, filled from the small world."""

    name: str
    subset: str | None
    make: MakeRow
    is_held_out: bool = False

    @property
    def side(self) -> Side:
        """Which pairings its rows may use."""
        return RESERVED if self.is_held_out else TRAINING

    @property
    def folder(self) -> str:
        """`<dataset>/<subset or default>`."""
        return f"{self.name}/{self.subset or 'default'}"

    def rows(self, split: str, count: int, seed: int) -> Iterator[Row]:
        """The first `count` rows of a split: the same rows for the same seed."""
        random = Random(f"{seed}/{self.folder}/{split}")
        for index in range(count):
            yield self.make(random, self.side, index)


DATASETS = (
    DemoDataset("adversarial_qa", "dbert", reading.adversarial_qa),
    DemoDataset("quoref", None, reading.quoref),
    DemoDataset("ropes", None, reading.ropes),
    DemoDataset("cos_e", "v1.11", reading.cos_e),
    DemoDataset("cosmos_qa", None, reading.cosmos_qa),
    DemoDataset("social_i_qa", None, reading.social_i_qa),
    DemoDataset("qasc", None, reading.qasc),
    DemoDataset("sciq", None, reading.sciq),
    DemoDataset("quail", None, reading.quail),
    DemoDataset("dream", None, reading.dream),
    DemoDataset("wiki_qa", None, reading.wiki_qa),
    DemoDataset("paws", "labeled_final", sentences.paws),
    DemoDataset("glue", "mrpc", sentences.mrpc),
    DemoDataset("glue", "qqp", sentences.qqp),
    DemoDataset("rotten_tomatoes", None, sentences.rotten_tomatoes),
    DemoDataset("ag_news", None, sentences.ag_news),
    DemoDataset("trec", None, sentences.trec),
    DemoDataset("samsum", None, sentences.samsum),
    DemoDataset("xsum", None, sentences.xsum),
    DemoDataset("common_gen", None, sentences.common_gen),
    DemoDataset("super_glue", "rte", held_out.rte, is_held_out=True),
    DemoDataset("super_glue", "cb", held_out.cb, is_held_out=True),
    DemoDataset("super_glue", "copa", held_out.copa, is_held_out=True),
    DemoDataset("hellaswag", None, held_out.hellaswag, is_held_out=True),
    DemoDataset("story_cloze", "2016", held_out.story_cloze, is_held_out=True),
    DemoDataset("winogrande", "winogrande_xl", held_out.winogrande, is_held_out=True),
    DemoDataset("super_glue", "wsc.fixed", held_out.wsc, is_held_out=True),
)


def write_split(folder: Path, dataset: DemoDataset, split: str, count: int, seed: int) -> None:
    """Writes `<folder>/<dataset>/<subset or default>/<split>.jsonl`, one row a line."""
    path = folder / dataset.folder / f"{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in dataset.rows(split, count, seed)]
    path.write_text("".join(lines), encoding="utf-8")
