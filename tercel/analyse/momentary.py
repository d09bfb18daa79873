"""Synchronous callables that cannot block, proven from their bytecode: there is no need for a worker thread to call them.

`def pages(skip: int = 0, limit: int = 100): return {"skip": skip, "limit": limit}` waits for nothing, loops over nothing and
calls nothing of anybody's, so where it runs cannot be observed. The proof follows every path through the bytecode with what is
known of the values on the stack; an instruction that is not listed here, as of a later Python, proves nothing, and the call gets
its thread. Read `tercel.analyse.planner` next, the only caller, and `docs/design/0017-momentary-calls.md` for the reasons.
"""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR, getattr_static
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, Final, TypeAlias

from pydantic_core import SchemaValidator
from starlette.exceptions import HTTPException as StarletteHTTPException

from tercel.analyse.fields import ModelField
from tercel.http.errors import HTTPException

__all__ = ["Kind", "examine", "gives_scalar", "runs_no_code"]


class Kind(IntEnum):
    """What is known of a value; of two kinds the smaller says more."""

    SCALAR = 0
    """Exactly a `str`, `bytes`, `int`, `float`, `bool` or None."""
    PLAIN = 1
    """A scalar, or a container that holds nothing else."""
    OTHER = 2
    """Anything: to be handed on, but not to be asked for anything, since it may answer with code of its own."""
    ERROR = 3
    """An `HTTPException` that was made in this call."""
    SELF = 4
    """The instance that is being made."""
    EMPTY = 5
    """The place that calls keep free beside what they call."""


class _Unproven(Exception):
    """An instruction that may block, or of which nothing is known."""


_SCALARS: Final = frozenset({str, bytes, int, float, bool, type(None)})
_STEPS_MAX: Final = 400
"""Instructions, over all paths: momentary functions are short."""
_GROWTH_MAX: Final = 8
"""Additions and texts made of others, over all paths: each may double a value."""
_ATTRIBUTES_TELL_METHODS: Final = sys.version_info >= (3, 12)
"""Whether the argument of `LOAD_ATTR` says that a method is to be called; before, that had an instruction of its own."""

_RESULTS: Final[tuple[tuple[Any, Kind], ...]] = (
    *((called, Kind.SCALAR) for called in (len, str, int, float, bool, abs)),
    *((called, Kind.PLAIN) for called in (min, max, sorted, dict, list, tuple, set, frozenset)),
    *((called, Kind.ERROR) for called in (HTTPException, StarletteHTTPException)),
)
"""What may be called, and what it gives for plain arguments."""
_TO_SCALARS: Final = (
    *(
        "lower",
        "upper",
        "casefold",
        "title",
        "capitalize",
        "strip",
        "lstrip",
        "rstrip",
        "removeprefix",
        "removesuffix",
        "startswith",
    ),
    *("endswith", "isdigit", "isdecimal", "isalpha", "isalnum", "isascii", "isspace", "isidentifier", "count", "find"),
)
_TO_PLAIN: Final = ("split", "rsplit", "splitlines", "partition", "rpartition", "get", "items", "keys", "values", "copy")
"""Methods of scalars and of dicts, linear in their inputs."""

_NOTHING: Final = frozenset({"RESUME", "NOP", "NOT_TAKEN", "PRECALL", "KW_NAMES", "COPY_FREE_VARS", "CACHE"})
_LOADS: Final = frozenset(
    {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW", "LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"}
)
_ADDITIONS: Final = frozenset({"+", "-", "+=", "-="})
_Locals = dict[str, Kind]
_Entry: TypeAlias = Any
"""On the stack: a kind, or a `_Callable`."""


class _Callable:
    """Something on the stack that may be called with plain arguments.

    Args:
        result: what it then gives.
        most: how many arguments it may get.
        named: whether arguments may have names.
    """

    __slots__ = ("most", "named", "result")

    def __init__(self, result: Kind, most: int = 3, named: bool = False) -> None:
        self.result = result
        self.most = most
        self.named = named


class _Path:
    """One path through a function, as far as it has been followed."""

    def __init__(self, index: int, stack: list[_Entry], names: _Locals) -> None:
        self.index = index
        self.stack = stack
        self.names = names

    def branch(self, index: int) -> _Path:
        return _Path(index, self.stack.copy(), self.names.copy())

    def pop(self) -> _Entry:
        return self.stack.pop()

    def push(self, entry: _Entry) -> None:
        self.stack.append(entry)

    def take(self, count: int) -> list[_Entry]:
        """The uppermost entries, the lowest first."""
        if count > len(self.stack):
            raise _Unproven
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def take_plain(self, count: int) -> list[Kind]:
        """The same, none of which answers with code of its own.

        Raises:
            _Unproven: one of them may.
        """
        taken = self.take(count)
        if not all(isinstance(entry, Kind) and entry <= Kind.PLAIN for entry in taken):
            raise _Unproven
        return taken


def _kind_of_constant(value: Any) -> Kind:
    if type(value) in _SCALARS:
        return Kind.SCALAR
    if type(value) in (tuple, frozenset) and all(_kind_of_constant(item) <= Kind.PLAIN for item in value):
        return Kind.PLAIN
    return Kind.OTHER


def _together(entries: Iterable[_Entry]) -> Kind:
    """The kind of a container with these in it."""
    return Kind.PLAIN if all(isinstance(entry, Kind) and entry <= Kind.PLAIN for entry in entries) else Kind.OTHER


class _Proof:
    """Follows all paths through one function.

    Args:
        function: what is called.
        names: what is known of its arguments.
        made: the class whose instance it initialises, if it does.

    Attributes:
        result: what it returns.
    """

    def __init__(self, function: FunctionType, names: _Locals, made: type[Any] | None) -> None:
        self.function = function
        self.made = made
        self.result = Kind.SCALAR
        self.growth = 0
        self.code = list(dis.get_instructions(function))
        self.places = {instruction.offset: index for index, instruction in enumerate(self.code)}
        waiting = [_Path(0, [], names)]
        steps = 0
        while waiting:
            path: _Path | None = waiting.pop()
            while path is not None:
                steps += 1
                if steps > _STEPS_MAX:
                    raise _Unproven
                other = self.step(path, self.code[path.index])
                if other is not None:
                    waiting.append(other)
                path = path if path.index >= 0 else None

    def target(self, path: _Path, instruction: dis.Instruction) -> int:
        index = self.places[instruction.argval]
        if index <= path.index:
            raise _Unproven  # a loop
        return index

    def step(self, path: _Path, instruction: dis.Instruction) -> _Path | None:
        """Follows one instruction; a path that ends has a negative index.

        Returns:
            the other path, where there are two from here.
        """
        name = instruction.opname
        if "JUMP" in name:
            return self.jump(path, instruction)
        path.index += 1
        if name == "RETURN_VALUE" or name == "RETURN_CONST":
            entry = path.pop() if name == "RETURN_VALUE" else _kind_of_constant(instruction.argval)
            self.result = max(self.result, entry if isinstance(entry, Kind) else Kind.OTHER)
            path.index = -1
        elif name == "RAISE_VARARGS":
            if instruction.arg != 1 or path.pop() is not Kind.ERROR:
                raise _Unproven
            path.index = -1
        elif name not in _NOTHING and not self.load(path, instruction) and not self.build(path, instruction):
            self.compute(path, instruction)
        return None

    def jump(self, path: _Path, instruction: dis.Instruction) -> _Path | None:
        name = instruction.opname
        target = self.target(path, instruction)
        if name == "JUMP_FORWARD":
            path.index = target
            return None
        other = None
        if name.endswith(("IF_NONE", "IF_NOT_NONE")):
            path.pop()
        elif name.endswith(("IF_FALSE", "IF_TRUE")):
            path.take_plain(1)
        elif name.endswith("_OR_POP"):
            other = path.branch(target)
            path.take_plain(1)
        else:
            raise _Unproven
        path.index += 1
        return other or path.branch(target)

    def load(self, path: _Path, instruction: dis.Instruction) -> bool:
        """Instructions that only move values; False for all others."""
        name, value = instruction.opname, instruction.argval
        if name in _LOADS:
            for one in value if isinstance(value, tuple) else (value,):
                path.push(path.names.get(one, Kind.OTHER))
        elif name in ("LOAD_CONST", "LOAD_SMALL_INT"):
            path.push(_kind_of_constant(value))
        elif name == "LOAD_DEREF":
            path.push(Kind.OTHER)
        elif name == "LOAD_GLOBAL":
            if (instruction.arg or 0) & 1:
                path.push(Kind.EMPTY)
            path.push(self.name(value))
        elif name == "PUSH_NULL":
            path.push(Kind.EMPTY)
        elif name == "POP_TOP":
            path.pop()
        elif name == "COPY":
            path.push(path.stack[-(instruction.arg or 0)])
        elif name == "SWAP":
            depth = -(instruction.arg or 0)
            path.stack[-1], path.stack[depth] = path.stack[depth], path.stack[-1]
        elif name == "STORE_FAST":
            path.names[value] = path.pop()
        elif name == "STORE_FAST_STORE_FAST":
            path.names[value[0]] = path.pop()
            path.names[value[1]] = path.pop()
        elif name == "STORE_FAST_LOAD_FAST":
            path.names[value[0]] = path.pop()
            path.push(path.names.get(value[1], Kind.OTHER))
        else:
            return False
        return True

    def name(self, name: str) -> _Entry:
        """A global or built-in name. What else than a class or function it stands for may change, so nothing is known of it."""
        namespace = self.function.__globals__
        value = namespace[name] if name in namespace else getattr(builtins, name, None)
        for known, result in _RESULTS:
            if value is known:
                return _Callable(result, 1 if result is Kind.SCALAR else 3, named=result is Kind.ERROR)
        return Kind.OTHER

    def build(self, path: _Path, instruction: dis.Instruction) -> bool:
        """Instructions that make containers and texts; False for all others."""
        name, count = instruction.opname, instruction.arg or 0
        if name in ("BUILD_LIST", "BUILD_TUPLE"):
            path.push(_together(path.take(count)))
        elif name == "BUILD_MAP":
            taken = path.take(2 * count)
            if _together(taken[::2]) is not Kind.PLAIN:
                raise _Unproven  # keys are hashed
            path.push(_together(taken))
        elif name == "BUILD_CONST_KEY_MAP":
            path.take_plain(1)
            path.push(_together(path.take(count)))
        elif name in ("BUILD_SET", "BUILD_SLICE"):
            path.take_plain(count)
            path.push(Kind.PLAIN)
        elif name in ("LIST_EXTEND", "LIST_APPEND", "SET_UPDATE", "SET_ADD", "DICT_UPDATE", "DICT_MERGE"):
            path.take_plain(1)
        elif name == "BUILD_STRING":
            self.grow()
            path.take_plain(count)
            path.push(Kind.SCALAR)
        elif name in ("FORMAT_SIMPLE", "CONVERT_VALUE") or (name == "FORMAT_VALUE" and not count & 4):
            path.take_plain(1)
            path.push(Kind.SCALAR)
        else:
            return False
        return True

    def compute(self, path: _Path, instruction: dis.Instruction) -> None:
        """Instructions that ask values for something."""
        name, count = instruction.opname, instruction.arg or 0
        if name == "IS_OP":
            path.take(2)
            path.push(Kind.SCALAR)
        elif name in ("TO_BOOL", "UNARY_NOT", "UNARY_NEGATIVE"):
            path.take_plain(1)
            path.push(Kind.SCALAR)
        elif name in ("COMPARE_OP", "CONTAINS_OP"):
            path.take_plain(2)
            path.push(Kind.SCALAR)
        elif name == "BINARY_OP" and instruction.argrepr in _ADDITIONS:
            self.grow()
            path.push(max(path.take_plain(2)))
        elif name in ("BINARY_SUBSCR", "BINARY_SLICE"):
            path.push(max(path.take_plain(2 if name == "BINARY_SUBSCR" else 3)))
        elif name == "LOAD_METHOD" or (name == "LOAD_ATTR" and count & 1 and _ATTRIBUTES_TELL_METHODS):
            self.method(path, instruction.argval)
        elif name in ("CALL", "CALL_KW"):
            self.call(path, count, name == "CALL_KW")
        elif name == "STORE_ATTR":
            if path.pop() is not Kind.SELF or not _is_stored_plainly(self.made, instruction.argval):
                raise _Unproven
            path.pop()
        else:
            raise _Unproven

    def call(self, path: _Path, count: int, named: bool) -> None:
        if named:
            path.take_plain(1)
        path.take_plain(count)
        callee = [entry for entry in path.take(2) if entry is not Kind.EMPTY]
        if len(callee) != 1 or not isinstance(callee[0], _Callable):
            raise _Unproven
        (called,) = callee
        if count > called.most or (named and not called.named):  # others are an encoding, a base, a key
            raise _Unproven
        path.push(called.result)

    def grow(self) -> None:
        self.growth += 1
        if self.growth > _GROWTH_MAX:
            raise _Unproven

    def method(self, path: _Path, name: str) -> None:
        path.take_plain(1)
        if name in _TO_SCALARS:
            path.push(_Callable(Kind.SCALAR))
        elif name in _TO_PLAIN:
            path.push(_Callable(Kind.PLAIN))
        else:
            raise _Unproven
        path.push(Kind.EMPTY)


def _is_stored_plainly(cls: type[Any] | None, name: str) -> bool:
    """Whether setting an attribute of a new instance runs nothing of the class's."""
    found = getattr_static(cls, name, None)
    return isinstance(found, MemberDescriptorType) or not hasattr(type(found), "__set__")


def _initialiser(call: type[Any]) -> FunctionType | None:
    """The `__init__` of a class whose instances are made without anything else being called."""
    init = getattr_static(call, "__init__", None)
    plain = (
        type(call) is type
        and getattr_static(call, "__new__", None) is vars(object)["__new__"]
        and getattr_static(call, "__setattr__", None) is vars(object)["__setattr__"]
    )
    return init if plain and isinstance(init, FunctionType) else None


def _suits(code: CodeType) -> bool:
    handlers = code.co_exceptiontable
    return not handlers and not code.co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)


def examine(call: Callable[..., Any], known: Mapping[str, Kind]) -> Kind | None:
    """What a synchronous callable gives, if it is proven that calling it takes but a moment; else None.

    Only plain functions and classes with an `__init__` are looked at, not partial ones, wrapped ones and instances.

    Args:
        known: what is known of its arguments, by the names of parameters.
    """
    made = call if isinstance(call, type) else None
    function = _initialiser(made) if made is not None else call
    if type(function) is not FunctionType or function.__dict__ or not _suits(function.__code__):
        return None
    names = dict(known)
    if made is not None:
        names[function.__code__.co_varnames[0]] = Kind.SELF
    try:
        result = _Proof(function, names, made).result
    except (_Unproven, LookupError, TypeError):  # the last two: not the stack that was expected, on a Python that is not known
        return None
    return Kind.OTHER if made is not None else min(result, Kind.OTHER)


# -- schemas -----------------------------------------------------------------------------------------------------------------------


_SCALAR_SCHEMAS: Final = frozenset({"str", "int", "float", "bool", "none"})


def _schema_of(field: ModelField) -> Any:
    """The schema of a field; of no known type where a forward reference is not resolved, or a plugin of pydantic's looks on."""
    adapter = field._type_adapter
    return adapter.core_schema if type(adapter.validator) is SchemaValidator else {"type": "unknown"}


def gives_scalar(field: ModelField) -> bool:
    """Whether the value of a parameter is always exactly a scalar."""
    info = field.field_info
    if not info.is_required() and (info.default_factory is not None or type(field.default) not in _SCALARS):
        return False
    schema = _schema_of(field)
    while schema["type"] in ("default", "nullable"):
        if "default_factory" in schema or type(schema.get("default")) not in _SCALARS:
            return False
        schema = schema["schema"]
    return schema["type"] in _SCALAR_SCHEMAS


def runs_no_code(field: ModelField) -> bool:
    """Whether validating plain data for a field, and writing the result, calls nothing of the user's."""
    return _is_plain(_schema_of(field))


def _is_plain(schema: Any) -> bool:
    if "serialization" in schema or "default_factory" in schema:
        return False
    match schema["type"]:
        case "str" | "int" | "float" | "bool" | "none" | "any" | "date" | "datetime" | "time" | "uuid" | "decimal":
            return True
        case "nullable" | "default":
            return _is_plain(schema["schema"])
        case "list" | "set":
            return _is_plain(schema.get("items_schema", {"type": "any"}))
        case "dict":
            return all(_is_plain(schema.get(part, {"type": "any"})) for part in ("keys_schema", "values_schema"))
    return False
