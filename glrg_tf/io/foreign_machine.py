"""The stack, memo and budget of a pickle machine that builds plain values and cannot call anything.

Names come from a fixed table (foreign_values.py); objects of any other kind are refused when they are
named, before anything acts on them. Everything is paid for from one budget, so that a small file cannot
ask for much memory or time: lengths are compared with what is left of the file before anything is read;
every opcode, container and copy is charged; keys, marks and memo indices have limits.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from glrg_tf.io import foreign_values as values
from glrg_tf.io.foreign_values import ForeignDict, ForeignDtype, Global, RefusedError, Table

MAX_BUDGET = 360_000_000
BASE_BUDGET = 32_000_000
BUDGET_PER_BYTE = 20  # n-gram tables, the densest honest files, spend 6
MAX_MARKS = 200
MAX_LINE = 512
MAX_MEMO = 8_000_000
MAX_DEPTH = 100
MAX_EXPANDED = 50_000_000
_NOTHING = object()


class PickleMachine:
    """What one pickle has built so far.

    Args:
        data: the file's bytes.
        start: where the pickle begins.
        names: the allowed globals.
        persistent: what a persistent id (torch storages) becomes; without it they are refused.
        max_budget: most bytes that it may ask for.

    Attributes:
        position: one past the last byte read.
    """

    def __init__(
        self,
        data: bytes | mmap.mmap,
        start: int = 0,
        *,
        names: Table = values.NAMES,
        persistent: Callable[[Any], Any] | None = None,
        max_budget: int = MAX_BUDGET,
    ) -> None:
        self.data, self.position, self.end = data, start, len(data)
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: list[Any] = []
        self.blank: dict[int, np.ndarray] = {}  # arrays that still wait for their content
        self.short_texts: dict[bytes, str] = {}
        self.counts: dict[bytes, float] = {}
        self.budget = min(max_budget, BASE_BUDGET + BUDGET_PER_BYTE * (self.end - start))
        self.spent = 0

    def charge(self, count: int) -> None:
        """Pays `count` bytes from the budget."""
        self.spent += count
        if self.spent > self.budget:
            raise RefusedError("the pickle wants more memory than any file of this kind needs")

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes."""
        stop = self.position + count
        if count < 0 or stop > self.end:
            raise RefusedError("the pickle names more bytes than the file has")
        taken = self.data[self.position : stop]
        self.position = stop
        return taken

    def line(self, limit: int = MAX_LINE) -> bytes:
        """Returns the next line without its end."""
        stop = self.data.find(b"\n", self.position, min(self.end, self.position + limit + 1))
        if stop < 0:
            raise RefusedError("the pickle is malformed or cut short")
        taken = self.data[self.position : stop]
        self.position = stop + 1
        return taken

    def length(self, code: str) -> int:
        """Reads a little-endian length."""
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def pop_mark(self) -> list[Any]:
        """Returns what was pushed since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def put(self, index: int) -> None:
        """Remembers the top of the stack."""
        memo = self.memo
        if index == len(memo) and index < MAX_MEMO:
            memo.append(self.stack[-1])
            self.spent += 9
            return
        if not 0 <= index < min(MAX_MEMO, self.position):
            raise RefusedError("the pickle's memo is malformed")
        if index >= len(memo):  # cPickle counts from 1, and optimised pickles leave gaps
            self.charge(9 * (index + 1 - len(memo)))
            memo.extend([_NOTHING] * (index + 1 - len(memo)))
        memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        """Pushes what was remembered."""
        if not 0 <= index < len(self.memo) or self.memo[index] is _NOTHING:
            raise RefusedError("the pickle's memo is malformed")
        self.stack.append(self.memo[index])

    def text(self, raw: bytes) -> None:
        """Pushes utf-8 text; short texts are kept once (n-gram files repeat a few thousand words)."""
        if len(raw) < 24:
            known = self.short_texts.get(raw)
            if known is None:
                known = self.short_texts[raw] = raw.decode("utf-8", "surrogatepass")
                self.charge(200)
            self.stack.append(known)
        else:
            self.charge(64 + 4 * len(raw))
            self.stack.append(raw.decode("utf-8", "surrogatepass"))

    def count(self, raw: bytes) -> None:
        """Pushes a big-endian double; the first few hundred are kept once (n-gram counts are small numbers)."""
        known = self.counts.get(raw)
        if known is None:
            (known,) = struct.unpack(">d", raw)
            self.spent += 24
            if len(self.counts) < 512:
                self.counts[raw] = known
        self.stack.append(known)

    def name(self, module: Any, name: Any) -> None:
        """Pushes an allowed global."""
        found = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if found is None:
            shown = f"{module}.{name}"[:80] if isinstance(module, str) and isinstance(name, str) else "?"
            raise RefusedError(f"it asks for {shown!a}, which is not on the list of harmless types")
        self.stack.append(found)

    def make(self, *, arguments: Any, label: Any) -> None:
        """Pushes what an allowed constructor makes of its arguments."""
        if not isinstance(label, Global) or label.build is None or type(arguments) is not tuple:
            raise RefusedError("it wants to call something that is not a harmless type")
        self.charge(64)
        made = label.build(self.charge, *arguments)
        if label.name == "_reconstruct":
            self.blank[id(made)] = made
        self.stack.append(made)

    def build(self) -> None:
        """BUILD: gives an object its state."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.ndarray) and self.blank.pop(id(target), None) is target:
            values.set_array_state(target, state, self.charge)
        elif isinstance(target, ForeignDtype):
            values.set_dtype_state(target, state)
        elif isinstance(target, ForeignDict) and target.kind == "Namespace" and type(state) is dict:
            self.charge(100 * len(state))
            target.update(state)
        elif isinstance(target, ForeignDict) and target.kind == "OrderedDict" and type(state) is dict:
            pass  # torch hangs `_metadata` on its state dictionaries; we have no use for it
        else:
            raise RefusedError("it wants to set the state of something that is not a harmless type")

    def append(self, items: Sequence[Any]) -> None:
        """APPEND(S)."""
        if type(self.stack[-1]) is not list:
            raise RefusedError("the pickle appends to something that is no list")
        self.charge(9 * len(items))
        self.stack[-1].extend(items)

    def set_items(self, items: Sequence[Any]) -> None:
        """SETITEM(S): keys and values in turn."""
        target = self.stack[-1]
        if type(target) not in (dict, ForeignDict) or len(items) % 2:
            raise RefusedError("the pickle adds items to something that is no dictionary")
        self.charge(35 * len(items))
        for key in items[::2]:
            values.check_key(key)
        target.update(zip(items[::2], items[1::2], strict=True))

    def add(self, members: Sequence[Any]) -> None:
        """ADDITEMS."""
        if type(self.stack[-1]) is not set:
            raise RefusedError("the pickle adds members to something that is no set")
        self.charge(72 * len(members))
        for member in members:
            values.check_key(member)
        self.stack[-1].update(members)

    def push(self, value: Any, cost: int) -> None:
        """Pushes a new value."""
        self.spent += cost
        self.stack.append(value)

    def mark(self) -> None:
        """MARK."""
        if len(self.marks) >= MAX_MARKS:
            raise RefusedError("the pickle is nested too deeply")
        self.marks.append(self.stack)
        self.stack = []


# === The finished value ===


def measure(value: Any) -> None:
    """Refuses values that are cyclic, nested too deeply, or huge once shared parts are written out.

    Sharing is harmless here, but whoever walks, copies or prints the value would pay for it.
    """
    sizes: dict[int, int] = {}
    path: set[int] = set()
    todo: list[tuple[Any, bool]] = [(value, False)]
    while todo:
        part, leaving = todo.pop()
        inner = _children(part)
        if leaving:
            path.discard(id(part))
            sizes[id(part)] = 1 + len(inner) + sum(sizes.get(id(child), 0) for child in inner if _is_nest(child))
            if sizes[id(part)] > MAX_EXPANDED:
                raise RefusedError("the pickle refers to its own parts so often that its content explodes")
            continue
        if id(part) in path or len(path) > MAX_DEPTH:
            raise RefusedError("the pickle contains itself or is nested too deeply")
        if id(part) in sizes:
            continue
        if not set(map(type, inner)).isdisjoint(_NESTS):
            path.add(id(part))
            todo.append((part, True))
            todo.extend((child, False) for child in inner if _is_nest(child))
        else:
            sizes[id(part)] = 1 + len(inner)


_NESTS = frozenset({list, tuple, dict, ForeignDict, set, frozenset})


def _is_nest(value: Any) -> bool:
    return type(value) in _NESTS


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if _is_nest(value) else ()
