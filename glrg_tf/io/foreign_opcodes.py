"""Reads one pickle: the opcodes of protocols 0 to 5 over the inert machine of foreign_machine.py.

Opcodes that exist only to make objects of other classes (INST, OBJ, NEWOBJ_EX, extensions) are refused.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from typing import Any

from glrg_tf.io import foreign_values as values
from glrg_tf.io.foreign_machine import MAX_BUDGET, PickleMachine, measure
from glrg_tf.io.foreign_values import PythonTwoText, RefusedError, Table

MAX_OPCODES = 24_000_000
MAX_NUMBER_BYTES = 32
_CHECK_EVERY = 4096


def read_one(
    data: bytes | mmap.mmap,
    start: int = 0,
    *,
    names: Table = values.NAMES,
    persistent: Callable[[Any], Any] | None = None,
    max_budget: int = MAX_BUDGET,
) -> tuple[Any, int]:
    """Reads the pickle that begins at `start`.

    Args:
        data: the file's bytes.
        start: where the pickle begins.
        names: the allowed globals.
        persistent: what a persistent id (a torch storage) becomes; without it they are refused.
        max_budget: most bytes that the value may take.

    Returns:
        The value, and the position one past the pickle.

    Raises:
        RefusedError: the content is malformed, too large or of a kind that is not allowed.
    """
    machine = PickleMachine(data, start, names=names, persistent=persistent, max_budget=max_budget)
    try:
        value = _walk(machine)
    except RefusedError:
        raise
    except (IndexError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise RefusedError("the pickle is malformed or cut short") from error
    if machine.stack or machine.marks or machine.blank:
        raise RefusedError("the pickle is malformed")
    measure(value)
    return value, machine.position


def _walk(machine: PickleMachine) -> Any:
    data = machine.data
    for _ in range(MAX_OPCODES // _CHECK_EVERY):
        for _ in range(_CHECK_EVERY):
            code = data[machine.position]
            machine.position += 1
            if code == 0x2E:  # STOP
                return machine.stack.pop()
            _TABLE[code](machine)
        machine.charge(4 * _CHECK_EVERY)
    raise RefusedError("the pickle has more parts than any file of this kind needs")


def _refused(_: PickleMachine) -> None:
    raise RefusedError("it uses a pickle instruction that is not allowed")


def _integer(machine: PickleMachine) -> None:
    text = machine.line(80).decode("ascii").strip()
    machine.push({"00": False, "01": True}[text] if text in ("00", "01") else int(text), 48)


def _long(machine: PickleMachine, count: int) -> None:
    if not 0 <= count <= MAX_NUMBER_BYTES:
        raise RefusedError("the pickle holds a number of absurd size")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True), 48)


def _quoted(machine: PickleMachine) -> None:
    raw = machine.line(1 << 28).strip()
    if len(raw) < 2 or raw[:1] not in (b"'", b'"') or raw[-1:] != raw[:1]:
        raise RefusedError("the pickle is malformed")
    machine.charge(64 + 4 * len(raw))
    # Python 2 wrote repr(str): undo its backslashes without evaluating anything.
    machine.stack.append(PythonTwoText.of(raw[1:-1].decode("unicode_escape").encode("latin-1")))


def _unicode_line(machine: PickleMachine) -> None:
    raw = machine.line(1 << 28)
    machine.charge(64 + 4 * len(raw))
    machine.stack.append(raw.decode("raw_unicode_escape"))


def _binary(machine: PickleMachine, count: int, kind: Callable[[bytes], Any]) -> None:
    raw = machine.take(count)
    machine.push(kind(raw), 64 + 2 * len(raw))


def _tuple(machine: PickleMachine, count: int) -> None:
    stack = machine.stack
    if len(stack) < count:
        raise RefusedError("the pickle is malformed")
    stack[len(stack) - count :] = [tuple(stack[len(stack) - count :])]
    machine.spent += 56 + 8 * count


def _mark_tuple(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push(tuple(items), 56 + 8 * len(items))


def _mark_list(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push(items, 64 + 9 * len(items))


def _protocol(machine: PickleMachine) -> None:
    if machine.length("<B") > 5:
        raise RefusedError("the pickle has an unknown protocol")


def _frame(machine: PickleMachine) -> None:
    if machine.length("<Q") > machine.end - machine.position:
        raise RefusedError("the pickle names more bytes than the file has")


def _tail(machine: PickleMachine, count: int) -> list[Any]:
    """Takes the last `count` values, which must leave a container below them."""
    if len(machine.stack) <= count:
        raise RefusedError("the pickle is malformed")
    items = machine.stack[-count:]
    del machine.stack[-count:]
    return items


def _persistent(machine: PickleMachine) -> None:
    if machine.persistent is None:
        raise RefusedError("it refers to objects outside itself")
    machine.charge(256)
    machine.stack.append(machine.persistent(machine.stack.pop()))


def _dictionary(machine: PickleMachine) -> None:
    items = machine.pop_mark()
    machine.push({}, 64)
    machine.set_items(items)


def _frozen(machine: PickleMachine) -> None:
    made: set[Any] = set()
    items = machine.pop_mark()
    machine.push(made, 216)
    machine.add(items)
    machine.stack[-1] = frozenset(made)


def _tail_pair(machine: PickleMachine) -> tuple[Any, Any]:
    name, module = machine.stack.pop(), machine.stack.pop()
    return module, name


_OPCODES: dict[bytes, Callable[[PickleMachine], object]] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"(": PickleMachine.mark,
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m.pop_mark(),
    b"2": lambda m: m.push(m.stack[-1], 8),
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"I": _integer,
    b"J": lambda m: m.push(m.length("<i"), 32),
    b"K": lambda m: m.stack.append(m.length("<B")),
    b"M": lambda m: m.push(m.length("<H"), 32),
    b"L": lambda m: m.push(int(m.line(80).decode("ascii").strip().removesuffix("L")), 48),
    b"\x8a": lambda m: _long(m, m.length("<B")),
    b"\x8b": lambda m: _long(m, m.length("<i")),
    b"F": lambda m: m.push(float(m.line(80).decode("ascii")), 24),
    b"G": lambda m: m.count(m.take(8)),
    b"S": _quoted,
    b"T": lambda m: _binary(m, m.length("<i"), PythonTwoText.of),
    b"U": lambda m: _binary(m, m.length("<B"), PythonTwoText.of),
    b"V": _unicode_line,
    b"X": lambda m: m.text(m.take(m.length("<I"))),
    b"\x8c": lambda m: m.text(m.take(m.length("<B"))),
    b"\x8d": lambda m: m.text(m.take(m.length("<Q"))),
    b"B": lambda m: _binary(m, m.length("<I"), bytes),
    b"C": lambda m: _binary(m, m.length("<B"), bytes),
    b"\x8e": lambda m: _binary(m, m.length("<Q"), bytes),
    b"\x96": lambda m: _binary(m, m.length("<Q"), bytes),
    b"]": lambda m: m.push([], 64),
    b"l": _mark_list,
    b"a": lambda m: m.append(_tail(m, 1)),
    b"e": lambda m: m.append(m.pop_mark()),
    b")": lambda m: m.stack.append(()),
    b"t": _mark_tuple,
    b"\x85": lambda m: _tuple(m, 1),
    b"\x86": lambda m: _tuple(m, 2),
    b"\x87": lambda m: _tuple(m, 3),
    b"}": lambda m: m.push({}, 64),
    b"d": _dictionary,
    b"s": lambda m: m.set_items(_tail(m, 2)),
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"\x8f": lambda m: m.push(set(), 216),
    b"\x90": lambda m: m.add(m.pop_mark()),
    b"\x91": _frozen,
    b"g": lambda m: m.get(int(m.line(20))),
    b"h": lambda m: m.get(m.length("<B")),
    b"j": lambda m: m.get(m.length("<I")),
    b"p": lambda m: m.put(int(m.line(20))),
    b"q": lambda m: m.put(m.length("<B")),
    b"r": lambda m: m.put(m.length("<I")),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"c": lambda m: m.name(m.line().decode("ascii"), m.line().decode("ascii")),
    b"\x93": lambda m: m.name(*_tail_pair(m)),
    b"R": lambda m: m.make(arguments=m.stack.pop(), label=m.stack.pop()),
    b"\x81": lambda m: m.make(arguments=m.stack.pop(), label=m.stack.pop()),
    b"b": PickleMachine.build,
    b"Q": _persistent,
}


_TABLE: list[Callable[[PickleMachine], object]] = [_OPCODES.get(bytes([code]), _refused) for code in range(256)]
