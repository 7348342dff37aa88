"""What transformers makes of a folder: `python hf_logits.py FOLDER BATCH.npz OUT.npz`. Needs torch and transformers, no t0jax.

BATCH holds encoder_input_tokens, encoder_segment_ids and decoder_input_tokens of rows that are not packed. FOLDER_saved_again
becomes what transformers writes, with a pytorch_model.bin beside it.
"""

import pathlib
import sys

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

folder, batch_path, out = sys.argv[1:]
batch = {name: torch.from_numpy(values).long() for name, values in np.load(batch_path).items()}
model, info = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
if any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")):
    raise SystemExit(str(info))
model.eval()
with torch.no_grad():
    # transformers 5 counts the cache's layers by the encoder's: without a cache a deeper decoder works too.
    inputs = {"use_cache": False, "input_ids": batch["encoder_input_tokens"], "attention_mask": batch["encoder_segment_ids"]}
    logits = model(**inputs, decoder_input_ids=batch["decoder_input_tokens"]).logits
has_tokenizer = (pathlib.Path(folder) / "spiece.model").exists()
tokens = AutoTokenizer.from_pretrained(folder)("A dog <extra_id_0> barks.").input_ids if has_tokenizer else []
np.savez(out, logits=logits.numpy(), tokens=np.array(tokens))
model.save_pretrained(f"{folder}_saved_again")
torch.save(model.state_dict(), f"{folder}_saved_again/pytorch_model.bin")
