"""A long job says how far it is, how fast, and how long it will take."""

import io

import pytest
from rich.console import Console

from t0jax.data import processes, progress
from t0jax.data.progress import Advance


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_without_a_terminal_there_is_a_line_now_and_then(clock, capsys):
    with Advance("caching", 4000) as bar:
        clock.now += 10
        bar.advance(500)
        assert capsys.readouterr().err == ""
        clock.now += 10
        bar.advance(500)
        assert capsys.readouterr().err == "caching: 1,000 of 4,000, 50/s, 0:01:00 left\n"
        clock.now += 5
        bar.advance(3000)
    assert capsys.readouterr().err == "caching: 4,000 of 4,000, 160/s\n"


def test_a_failed_job_does_not_say_that_it_has_ended(clock, capsys):
    with pytest.raises(ZeroDivisionError), Advance("caching", 4000):
        raise ZeroDivisionError
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_with_rate_and_remaining_time(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(file=terminal, force_terminal=True, width=120))
    with Advance("caching", 40) as bar:
        for _ in range(3):
            bar.advance(10)
        bar._bar.refresh()
    shown = terminal.getvalue()
    assert "caching" in shown and "30/40" in shown and "/s" in shown and "0:00:0" in shown


def twice(number, advance):
    advance(number)
    advance(number)  # more than its size: what is counted too much is not shown
    return 2 * number


class Unit(int):
    @property
    def size(self):
        return int(self)


@pytest.mark.parametrize("cores", [1, 2])
def test_all_steps_of_all_units_are_counted_once(cores, monkeypatch, capsys):
    monkeypatch.setattr(processes, "cores", lambda: cores)
    assert processes.run_units(twice, [Unit(3), Unit(4), Unit(5)], "working") == [6, 8, 10]
    assert capsys.readouterr().err.startswith("working: 12 of 12, ")
    assert processes.run_units(twice, [], "working") == []
