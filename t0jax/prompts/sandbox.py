"""promptsource's Jinja dialect in a sandbox, each text compiled once for many rows."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.filters import do_truncate
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment, SecurityError

TEXT_LENGTH = 2048  # characters of every substituted expression; T0 was trained with this limit
_CUT = "string_truncate"  # the filters `string | truncate(2048)` in one
_DRAWS = {"choice", "random"}
_MUTATORS = {"append", "extend", "insert", "pop", "remove", "clear", "update", "setdefault", "sort", "reverse", "add"}


class Sandbox(SandboxedEnvironment):
    """Jinja with promptsource's filters and globals; its random draws come from `rng`."""

    def __init__(self, rng: random.Random):
        super().__init__()

        @jinja2.pass_context  # the context keeps Jinja from drawing once, at compile time, where the choices are constants
        def choice(_context: Context, items: Sequence[Any]) -> Any:
            return rng.choice(items)

        @jinja2.pass_environment
        def cut(environment: Sandbox, value: Any) -> str:
            text = value if isinstance(value, str) else str(value)
            return text if len(text) <= TEXT_LENGTH else do_truncate(environment, text, TEXT_LENGTH)

        self.globals["zip"] = zip
        del self.globals["lipsum"]  # it draws from a generator that no seed reaches
        self.filters.update(choice=choice, random=choice, most_frequent=_most_frequent, highlight=_highlight)
        self.filters[_CUT] = cut

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        """Refuses at once: Jinja's own answer prints as an empty text where nothing more is asked of it."""
        raise SecurityError(f"{attribute!r} of {type(obj).__name__!r}")


class Program:
    """A Jinja text compiled for many rows. jinja2.TemplateError when it is not valid."""

    def __init__(self, sandbox: Sandbox, jinja: str):
        syntax = sandbox.parse(jinja)
        names = _Names(syntax)
        undeclared = meta.find_undeclared_variables(syntax) if names.are_set else names.read - sandbox.globals.keys()
        self.reads = frozenset(names.read)
        """Every name that it looks up, globals and its own among them."""
        self.needs = frozenset(undeclared - names.asked)
        """The row's fields that it uses without asking whether they are defined."""
        self.is_random = not _DRAWS.isdisjoint(names.called)
        self.changes_values = not _MUTATORS.isdisjoint(names.called)
        compiled = sandbox.from_string(syntax)
        self._sandbox, self._blocks, self._root = sandbox, compiled.blocks, compiled.root_render_func
        self._globals = {name: sandbox.globals[name] for name in names.read & sandbox.globals.keys()}

    def __call__(self, values: dict[str, Any]) -> str:
        """The text for these values."""
        # Template.render copies every global into every context, which takes longer than all the rest of a short template.
        known = {**self._globals, **values} if self._globals else values
        return "".join(self._root(Context(self._sandbox, known, None, self._blocks)))


class _Names:
    """The names in a syntax tree by their use. On the way `string | truncate(2048)` becomes one filter."""

    def __init__(self, syntax: nodes.Template):
        self.read: set[str] = set()
        self.are_set = False
        """Whether statements other than `if` may set some of them, as loops, macros and `set` do."""
        self.asked: set[str] = set()
        """Those whose being defined a test asks for."""
        self.called: set[Any] = set()
        """Filters and attributes, and the constants that could name one, as in map("choice")."""
        found: list[nodes.Node] = [syntax]
        while found:
            node = found.pop()
            self._note(node)
            found.extend(node.iter_child_nodes())

    def _note(self, node: nodes.Node) -> None:
        match node:
            case nodes.Name(ctx="load"):
                self.read.add(node.name)
                self.are_set |= node.name == "self"
            case nodes.Filter():
                _join_cut(node)
                self.called.add(node.name)
            case nodes.Getattr():
                self.called.add(node.attr)
            case nodes.Const():
                self.called.add(node.value)
            case nodes.Test(name="defined" | "undefined", node=nodes.Name(name=name)):
                self.asked.add(name)
            case nodes.Stmt() if not isinstance(node, nodes.Output | nodes.If):
                self.are_set = True


def _join_cut(node: nodes.Filter) -> None:
    """One filter for the two that promptsource appends to every expression."""
    inner = node.node
    appended = nodes.Filter(inner, "truncate", [nodes.Const(TEXT_LENGTH)], [], None, None)
    if isinstance(inner, nodes.Filter) and inner.name == "string" and node == appended:
        node.name, node.node, node.args = _CUT, inner.node, []


def _most_frequent(items: Sequence[Any]) -> list[Any] | None:
    """All items that occur as often as the most frequent one; None for no items."""
    counts = Counter(items or ())
    return [item for item, count in counts.most_common() if count == max(counts.values())] or None


def _highlight(text: str) -> str:
    return f"<span style='color: #F08080'>{text}</span>"
