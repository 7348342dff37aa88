"""The derived table of templates: what listing tasks needs of promptsource's files, so that it need not read them."""

import csv
import io

from t0jax.data.tables import FROZEN_FIELDS
from t0jax.data.universe import universe_of
from t0jax.errors import InputError
from t0jax.prompts.templates import load_templates, templates_folder


def frozen_templates() -> str:
    """The table as CSV, the same bytes from the same template files. A dataset without templates has no lines."""
    folder = templates_folder()
    if not folder.is_dir():
        raise InputError(f"The template files of promptsource are not at {folder}: run `make setup`.")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FROZEN_FIELDS)
    for dataset, subset in universe_of().datasets():
        if not (folder / dataset / (subset or "") / "templates.yaml").is_file():
            continue  # jigsaw_toxicity_pred, which T0's table names
        for template in load_templates(dataset, subset, folder).values():
            flags = ("yes" if flag else "no" for flag in (template.original_task, bool(template.answer_choices)))
            writer.writerow((dataset, subset or "", template.name, *flags, "|".join(template.metrics)))
    return text.getvalue()
