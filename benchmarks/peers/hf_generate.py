"""transformers' `generate` on a folder: `hf_generate.py FOLDER ROWS.npz OUT.npz`. Needs torch and transformers, no t0jax.

ROWS holds `tokens` (padded with 0), `beams` (1: greedy), `length` and `repeats`; OUT: `answers`, `seconds` (the fastest).
"""

import sys
import time

import numpy as np
import torch
from transformers import T5ForConditionalGeneration

folder, rows_path, out = sys.argv[1:]
rows = np.load(rows_path)
tokens, length = torch.from_numpy(rows["tokens"]).long(), int(rows["length"])
model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
settings = {
    "attention_mask": (tokens > 0).long(),
    "do_sample": False,
    "num_beams": int(rows["beams"]),
    "max_new_tokens": length,
}
times = []
with torch.no_grad():
    for _ in range(int(rows["repeats"]) + 1):  # the first warms up
        start = time.perf_counter()
        answers = model.generate(input_ids=tokens, **settings)
        times.append(time.perf_counter() - start)
padded = np.zeros((len(tokens), length), np.int32)
padded[:, : answers.shape[1] - 1] = answers[:, 1:].numpy()
np.savez(out, seconds=min(times[1:]), answers=padded)
