"""The same units of work on Apache Beam, for caches that outgrow one machine.

Rows, vocabulary and cache must lie where all workers see them.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from t0jax.data.progress import Advance
from t0jax.data.units import Unit, run_unit
from t0jax.errors import InputError

_SECONDS_BETWEEN_LOOKS = 2.0


def run_on_beam(units: Sequence[Unit], runner: str, options: Sequence[str], complaints: Path) -> None:
    """Run all units on a runner of Beam's, with further pipeline options as `name=value`.

    InputError for an unknown runner, for one that leaves a unit undone, and for what a unit complains of, which comes back
    through the folder `complaints`.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(f"--runner={runner} needs Apache Beam: install t0jax[beam].") from error
    flags = [f"--runner={runner}", *(f"--{option.removeprefix('--')}" for option in options)]
    if runner == "DirectRunner":
        flags.append("--allow_unsafe_triggers")  # or it first fetches Prism, a program in Go, from the network; there are none
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(flags))
    except ValueError as error:
        raise InputError(f"Beam does not take --runner={runner}: {str(error).splitlines()[0]}") from error
    complaining = [(unit, str(complaints)) for unit in units]
    _ = pipeline | beam.Create(complaining) | beam.Reshuffle() | beam.Map(_run)
    with _watching(units):
        pipeline.run().wait_until_finish()
    for path in sorted(complaints.iterdir()):
        raise InputError(path.read_text(encoding="utf-8"))
    undone = sum(not unit.is_done for unit in units)
    if undone:
        raise InputError(
            f"{runner} left {undone} of {len(units)} units undone: its workers must see the rows, the vocabulary and the cache "
            "under the same absolute paths as this machine."
        )


def _run(unit_and_place: tuple[Unit, str]) -> None:
    """Run a unit where Beam puts it. Bad input and full disks are no reason to try again, so they are not raised."""
    unit, complaints = unit_and_place
    try:
        run_unit(unit, lambda count: None)
    except (InputError, OSError) as error:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=complaints, delete=False) as file:
            file.write(str(error))


@contextmanager
def _watching(units: Sequence[Unit]) -> Iterator[None]:
    """Progress by what lies in the cache: workers may be anywhere."""
    left = list(units)
    over = threading.Event()

    def look(progress: Advance) -> None:
        done = [unit for unit in left if unit.is_done]
        for unit in done:
            left.remove(unit)
            progress.advance(unit.size)

    def watch(progress: Advance) -> None:
        while not over.wait(_SECONDS_BETWEEN_LOOKS):
            look(progress)

    with Advance("caching", sum(unit.size for unit in units)) as progress:
        thread = threading.Thread(target=watch, args=(progress,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            look(progress)
