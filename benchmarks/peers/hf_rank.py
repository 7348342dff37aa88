"""What T0's released script does, on a folder: `hf_rank.py FOLDER ROWS.json OUT.json`. Needs torch and transformers, no t0jax.

ROWS holds `examples`, each `[inputs, choices]` of token ids, `batch_size` (the script's is 8) and `repeats`. A batch is padded
to its longest input and its longest choice, and the encoder runs once for every choice. OUT: `scores`, `seconds` (the fastest).
"""

import json
import sys
import time

import torch
from transformers import T5ForConditionalGeneration

folder, rows_path, out = sys.argv[1:]
with open(rows_path, encoding="utf-8") as file:
    rows = json.load(file)
model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def padded(texts: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, texts))
    return torch.tensor([text + [0] * (longest - len(text)) for text in texts])


def score(batch: list) -> list[list[float]]:
    inputs = padded([tokens for tokens, choices in batch for _ in choices])
    labels = padded([choice for _, choices in batch for choice in choices])
    logits = model(input_ids=inputs, attention_mask=(inputs > 0).long(), labels=labels).logits
    masked = (labels > 0).long().unsqueeze(-1) * torch.log_softmax(logits, dim=-1)
    sums = torch.gather(masked, -1, labels.unsqueeze(-1)).squeeze(dim=-1).sum(dim=-1).tolist()
    return [[sums.pop(0) for _ in choices] for _, choices in batch]


size = rows["batch_size"]
batches = [rows["examples"][start : start + size] for start in range(0, len(rows["examples"]), size)]
with torch.no_grad():
    score(batches[0])  # warms up
    times = []
    for _ in range(rows["repeats"]):
        start = time.perf_counter()
        scores = [one for batch in batches for one in score(batch)]
        times.append(time.perf_counter() - start)
with open(out, "w", encoding="utf-8") as file:
    json.dump({"scores": scores, "seconds": min(times)}, file)
