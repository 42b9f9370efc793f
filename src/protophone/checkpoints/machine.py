"""The machine that follows a pickle's instructions without calling anything the file names.

``pickletools`` tells how each instruction's argument is written; what the instruction does is said here. A name is a
``Name``, an object of an unknown class a ``Foreign``; both are inert. Where a pickle calls a function, the machine
looks it up among functions of this package (``CALLS`` and those it was given); one that is not there is refused, but
for the packages whose settings lie in checkpoints (``_KEPT``), for whose classes and functions a stand-in is made.
"""

import io
import mmap
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from protophone.checkpoints.foreign import CALLS, Calls, Foreign, Name, attributes, keys, stand_in
from protophone.errors import InputError

__all__ = ["FAULTS", "Machine", "Stream"]

Stream = io.BytesIO | mmap.mmap  # bytes that are there: asking for more makes no room for them

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}

_KEPT = (
    "argparse.",
    "enum.",
    "fairseq.",
    "numpy.random.",
    "omegaconf.",
    "operator.getitem",
    "pathlib.",
    "sklearn.",
    "typing.",
)
_CONSTANTS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": set,
}
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
FAULTS = (
    *(AttributeError, IndexError, KeyError, MemoryError, OverflowError, RuntimeError, TypeError, ValueError),
    struct.error,
)
_SHOWN = 200  # letters of a fault, which may quote the file
_REUSED = 16  # times: savers refer to the same text or list again, but copy it seldom
_RENAMED = {"numpy._core.": "numpy.core.", "__builtin__.": "builtins.", "copy_reg.": "copyreg."}


class Machine:
    """Reads one pickle after another from ``stream``; ``name`` is the file's, for messages.

    ``calls`` are further functions a pickle may call, by the name it has for them. ``persistent`` makes what the file
    calls by a persistent id; ``built`` sees each stand-in that has got its state, and gives what takes its place.
    """

    def __init__(
        self,
        stream: Stream,
        name: str,
        calls: Calls,
        persistent: Callable[[Any], Any] | None = None,
        built: Callable[[Foreign], Any] | None = None,
    ) -> None:
        self.stream, self.name, self.calls = stream, name, {**CALLS, **calls}
        self.persistent, self.built = persistent, built
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._begun = self._given = 0

    def run(self) -> Any:
        """The value of the next pickle, with stand-ins in it; ``InputError`` where it is broken or wants more."""
        self._stack, self._marks, self._memo = [], [], {}
        self._begun, self._given = self.stream.tell(), 0
        try:
            reads: Any = self.stream  # either has what pickletools asks for
            while (op := self._operation()).name != "STOP":
                self._follow(op.name, op.arg.reader(reads) if op.arg else None)
            return self._stack.pop()
        except FAULTS as error:
            said = str(error)[:_SHOWN]
            raise InputError(
                f"{self.name}: broken, or not a pickle that can be read here ({said}); fetch the file again, or give "
                "another"
            ) from error

    def _operation(self) -> pickletools.OpcodeInfo:
        code = self.stream.read(1)
        if not code:
            raise ValueError("it ends too early")
        return _OPCODES[code.decode("latin-1")]

    def _follow(self, name: str, arg: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(arg)
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _FIXED:
            stack.append(_FIXED[name])
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[arg] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            stack.append(self._memo[arg])
        elif name == "MARK":
            self._marks.append(stack)
            self._stack = []
        elif name not in {"PROTO", "FRAME"}:
            getattr(self, f"_{name.lower()}", self._refuse)(*([] if arg is None else [arg]))

    def _refuse(self, *_: Any) -> None:
        raise InputError(
            f"{self.name}: its pickle uses an instruction that checkpoints do not need; it is not one that can be read "
            "here"
        )

    def _marked(self) -> list[Any]:
        """What was pushed since the last mark."""
        held, self._stack = self._stack, self._marks.pop()
        return held

    # One method an instruction, by its name in lower case.

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._marked()

    def _pop_mark(self) -> None:
        self._marked()

    def _dup(self) -> None:
        self._stack.append(self._stack[-1])

    def _tuple(self) -> None:
        held = self._marked()
        self._stack.append(tuple(held))

    def _tuple1(self) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _tuple2(self) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _tuple3(self) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _list(self) -> None:
        held = self._marked()
        self._stack.append(held)

    def _dict(self) -> None:
        held = self._marked()
        self._stack.append(dict(zip(keys(held[::2]), held[1::2], strict=True)))

    def _frozenset(self) -> None:
        held = self._marked()
        self._stack.append(set(keys(held)))

    def _append(self) -> None:
        value = self._stack.pop()
        self._listed(self._stack[-1]).append(value)

    def _appends(self) -> None:
        held = self._marked()
        self._listed(self._stack[-1]).extend(held)

    def _additems(self) -> None:
        held = self._marked()
        if not isinstance(self._stack[-1], set):
            raise TypeError("members for what is no set")
        self._stack[-1].update(keys(held))

    def _setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._table(self._stack[-1]).update(zip(keys([key]), [value], strict=True))

    def _setitems(self) -> None:
        held = self._marked()
        self._table(self._stack[-1]).update(zip(keys(held[::2]), held[1::2], strict=True))

    def _global(self, arg: str) -> None:
        module, name = arg.split(" ", 1)
        self._stack.append(Name(module, name))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(Name(module, name))

    def _persid(self, arg: str) -> None:
        self._stack.append(self._found(arg))

    def _binpersid(self) -> None:
        self._stack.append(self._found(self._stack.pop()))

    def _reduce(self) -> None:
        args, function = self._stack.pop(), self._stack.pop()
        self._stack.append(self._called(function, args))

    def _newobj(self) -> None:
        args, kind = self._stack.pop(), self._stack.pop()
        self._stack.append(stand_in(kind, args))

    def _newobj_ex(self) -> None:
        options, args, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        made = stand_in(kind, args)
        made.entries = self._table(options)
        self._stack.append(made)

    def _inst(self, arg: str) -> None:
        held = self._marked()
        self._stack.append(stand_in(Name(*arg.split(" ", 1)), tuple(held)))

    def _obj(self) -> None:
        kind, *args = self._marked()
        self._stack.append(stand_in(kind, tuple(args)))

    def _build(self) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if isinstance(made, Foreign):
            self._count(state)
            made.state = attributes(state)
            if self.built is not None:
                self._stack[-1] = self.built(made)
        elif not isinstance(made, dict):  # the attributes of a dict, such as the versions in a state dict, are not kept
            raise TypeError("a state for what has none")

    def _found(self, identity: Any) -> Any:
        if self.persistent is None:
            raise InputError(f"{self.name}: its pickle refers to what lies outside it; give a file that is whole")
        return self.persistent(identity)

    def _called(self, function: Any, args: Any) -> Any:
        if not isinstance(function, Name) or not isinstance(args, tuple):
            raise InputError(f"{self.name}: its pickle calls what is no function's name; it was not made by saving")
        called = str(function)
        for old, new in _RENAMED.items():
            called = called.replace(old, new) if called.startswith(old) else called
        if called in self.calls:
            self._count(args)
            return self.calls[called](*args)
        if not called.startswith(_KEPT):
            raise InputError(
                f"{self.name}: its pickle calls {called[:80]!r}, which no checkpoint read here needs; nothing "
                "of it was run: open it with nothing else unless you trust whoever made it"
            )
        return Foreign(function, args)

    def _count(self, parts: Any) -> None:
        """Counts what is copied; ``ValueError`` where it is far more than was read, as the same is copied again."""
        for part in (parts, *parts) if isinstance(parts, tuple) else ():
            self._given += len(part) if isinstance(part, str | bytes | bytearray | list | tuple | dict | set) else 0
        if self._given > _REUSED * (self.stream.tell() - self._begun):
            raise ValueError("it copies the same parts over and over")

    @staticmethod
    def _listed(value: Any) -> list[Any]:
        held = value.items if isinstance(value, Foreign) else value
        if not isinstance(held, list):
            raise TypeError("items for what is no list")
        return held

    @staticmethod
    def _table(value: Any) -> dict[Any, Any]:
        held = value.entries if isinstance(value, Foreign) else value
        if not isinstance(held, dict):
            raise TypeError("entries for what is no table")
        return held
