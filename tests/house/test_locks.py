"""No lock is held across a native call, or while another process is waited for.

A driver, a disk or a name server may hang for ever. A thread that holds a lock meanwhile lets all others hang that only
want to report, stop or close. So a block under a lock calls nothing but what is listed here, and functions of its own
module that keep this rule, too. What must be done by one thread at a time, and may hang, is done in an
:class:`quietcam.process.turn.Turn`.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("calibration", "compare", "convert", "deploy", "edge", "quietcam", "train")

KINDS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"}

HARMLESS = {
    *("append", "popleft", "pop", "add", "discard", "keys", "values", "clear", "setdefault"),
    *("len", "min", "max", "sum", "any", "all", "set", "list", "dict", "sorted", "range", "bytes", "bytearray"),
    *("wait_for", "wait", "notify", "notify_all"),  # of a condition: its lock is free meanwhile
    *("Future", "set_running_or_notify_cancel", "set_result", "cancel", "is_set"),
    *("splitlines", "decode", "strip", "count", "rfind", "hasattr", "_clock", "TimeoutError"),
}
"""By name, of whatever: they work on memory."""

LOOK_UP = "target=_run, args=(found, host, port), name='look-up', daemon=True"
THREAD = "starts a thread of ours"
KNOWN = {
    ("edge.cameras.network.lookup", "_under_way.get"): "of a dictionary",
    ("edge.cameras.network.lookup", "threading.Thread"): THREAD,
    ("edge.cameras.network.lookup", f"threading.Thread({LOOK_UP}).start"): THREAD,
    ("edge.child.process", "contextlib.suppress"): "calls nothing",
    ("edge.child.process", "os.close"): "of a pipe",
    ("edge.child.process", "self._ending.start"): THREAD,
    ("edge.child.process", "self._open.close"): "closes pipes, and a socket within this machine",
    ("edge.child.process", "self._process.kill"): "sends a signal",
    ("edge.child.process", "self._socket.shutdown"): "of a socket within this machine",
    ("edge.child.process", "threading.Thread"): THREAD,
    ("edge.child.tpu", "Turn"): "calls nothing",
    ("edge.child.tpu", "cls._known.get"): "of a dictionary",
    ("edge.child.tpu", "self._child.close"): "returns at once: a thread waits for the end of the process",
    ("edge.child.tpu", "self._child.kill"): "returns at once: a thread waits for the end of the process",
    ("edge.events.alarm", "self._pacing.pause"): "calculates",
    ("edge.events.alarm", "self._pacing.put"): "of a bounded list",
    ("edge.events.alarm", "self._pacing.take"): "of a bounded list",
    ("edge.network.engine", "self._returned.put"): "of a queue without a limit",
    ("edge.network.engine", "worker.leave"): "puts into a queue without a limit",
    ("edge.run.pipeline", "self.health.written"): "counts",
    ("quietcam.process.error_stream", "self._thread.start"): THREAD,
    ("quietcam.process.error_stream", "threading.Thread"): THREAD,
    ("quietcam.process.native_log", "Part"): "calls nothing",
    ("quietcam.process.native_log", "leave"): "compares",
    ("quietcam.process.native_log", "os.fstat"): "of a file in memory",
    ("quietcam.process.native_log", "os.pread"): "of a file in memory",
    ("quietcam.process.native_log", "ours"): "compares a line",
    ("quietcam.process.native_output", "NativeLog"): "makes a file in memory",
    ("quietcam.process.native_output", "_State"): "calls nothing",
    ("quietcam.process.native_output", "fcntl.fcntl"): "copies a descriptor",
    ("quietcam.process.native_output", "os.dup2"): "of descriptor 2, which has a copy",
    ("train.patches.orders", "np.random.default_rng"): "computes",
    ("train.patches.orders", "np.random.default_rng([self._seed, 0, turn, part]).permutation"): "computes",
    ("train.patches.prefetcher", "self._thread.submit"): "hands over work",
}
"""Calls under a lock of one module, and why none of them hangs."""


class Module:
    """A module, and what it calls while it holds one of its locks."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self._tree = ast.parse(source)
        self._functions = {each.name: each for each in ast.walk(self._tree) if isinstance(each, ast.FunctionDef)}
        self._locks = set(self._made())

    def calls(self) -> set[tuple[str, str]]:
        """``(module, call)`` of all that is neither harmless nor a function of this module."""
        found: set[str] = set()
        for block in ast.walk(self._tree):
            if isinstance(block, ast.With):
                taken = [_name(item.context_expr) in self._locks for item in block.items]
                if any(taken):
                    later = [item.context_expr for item in block.items[taken.index(True) + 1 :]]
                    self._look([*later, *block.body], found, set())
        return {(self.name, call) for call in found}

    def acquired(self) -> list[str]:
        """Locks that are taken without a block, so that nobody sees how long they are held."""
        attributes = (each for each in ast.walk(self._tree) if isinstance(each, ast.Attribute))
        return [f"{self.name}: {ast.unparse(each)}" for each in attributes if each.attr == "acquire"]

    def _made(self) -> Iterator[str]:
        for each in ast.walk(self._tree):
            if isinstance(each, ast.Assign | ast.AnnAssign) and each.value is not None:
                values = each.value.elts if isinstance(each.value, ast.Tuple) else [each.value]
                targets = each.targets[0] if isinstance(each, ast.Assign) else each.target
                names = targets.elts if isinstance(targets, ast.Tuple) else [targets]
                for name, value in zip(names, values, strict=False):
                    if isinstance(value, ast.Call) and _name(value.func) in KINDS:
                        yield _name(name)

    def _look(self, nodes: list[ast.expr] | list[ast.stmt] | list[ast.AST], found: set[str], seen: set[str]) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.Lambda):  # called by somebody else, later
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.add(ast.unparse(node))
            if isinstance(node, ast.With):
                self._enter(node, found)
            if isinstance(node, ast.Call):
                self._call(node.func, found, seen)
            self._look(list(ast.iter_child_nodes(node)), found, seen)

    def _enter(self, block: ast.With, found: set[str]) -> None:
        found.update(
            ast.unparse(item.context_expr)
            for item in block.items
            if not isinstance(item.context_expr, ast.Call) and _name(item.context_expr) not in self._locks
        )

    def _call(self, called: ast.expr, found: set[str], seen: set[str]) -> None:
        name = _name(called)
        ours = isinstance(called, ast.Name) or ast.unparse(called) in (f"self.{name}", f"cls.{name}")
        if ours and name in self._functions:
            if name not in seen:
                seen.add(name)
                self._look(list(self._functions[name].body), found, seen)
        elif name not in HARMLESS:
            found.add(ast.unparse(called))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def modules() -> list[Module]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [Module(name, path.read_text()) for name, path in zip(names, paths, strict=True)]


def test_under_a_lock_nothing_is_called_that_may_hang() -> None:
    called = set[tuple[str, str]]().union(*(module.calls() for module in modules()))
    assert called - KNOWN.keys() == set(), "do this without the lock, or say in KNOWN why it never hangs"
    assert KNOWN.keys() - called == set(), "nobody calls these under a lock any more"


def test_no_lock_is_taken_without_a_block() -> None:
    taken = [each for module in modules() for each in module.acquired()]
    ending = "quietcam.process.stopping"  # the process ends then: it waits for no lock, or for a tenth of a second
    assert [each for each in taken if not each.startswith(ending)] == []
    assert len(taken) == 3


@pytest.mark.parametrize(
    "body",
    [
        "with self._lock:\n    self._network.run(noisy)",
        "with self._lock:\n    self._work()",
        "with self._lock, self._told():\n    pass",
        "with self._lock:\n    with self._other:\n        pass",
        "with self._lock:\n    import cv2",
        "with self._lock:\n    return [open(each) for each in files]",
    ],
)
def test_a_call_under_a_lock_is_seen(body: str) -> None:
    source = "class Thing:\n    def __init__(self):\n        self.busy, self._lock = False, Lock()\n"
    for method in ("_work", "_told"):
        source += f"    def {method}(self):\n        self._child.answer(10)\n"
    source += f"    def method(self):\n{textwrap.indent(body, ' ' * 8)}\n"
    assert len(Module("thing", source).calls()) == 1


@pytest.mark.parametrize(
    "body",
    [
        "with self._lock:\n    work = self._work\nwork()",
        "with self._lock:\n    self._due.append(lambda: self._child.answer(10))",
        "with open(path) as file, self._lock:\n    pass",
        "with self._turn:\n    self._child.answer(10)",
    ],
)
def test_what_is_called_without_the_lock_is_nobodys_harm(body: str) -> None:
    source = f"_lock = threading.Lock()\ndef method(self):\n{textwrap.indent(body, ' ' * 4)}\n"
    assert Module("thing", source).calls() == set()
