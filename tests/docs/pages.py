"""The code in the documentation as programs that can be run.

A fence that opens with ` ```python ` begins a program; ` ```python more ` goes on with it and ` ```python test ` checks it, both in
the program's namespace. The first line of a program that is also a file names it: `# examples/orders.py`. ` ```console run ` holds
commands after `$ ` with what they print. Anything else is not run. Knows nothing of tercel. Read `test_pages.py` next.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

__all__ = ["EXAMPLES", "PAGES", "ROOT", "Block", "Command", "Program", "blocks_of", "commands_of", "functions_of", "programs_of"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>.*)$")
_NAMED = re.compile(r"# (?P<path>examples/\w+\.py)$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        line: one-based, of the fence that opens it.
        info: what stands behind the backticks, word by word.
    """

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass
class Program:
    """A module with what goes on with it and what checks it."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def where(self) -> str:
        return self.blocks[0].where

    @property
    def file(self) -> str | None:
        """The path of the file that the program is, if it says that it is one."""
        match = _NAMED.match(self.blocks[0].text.partition("\n")[0])
        return match["path"] if match else None

    @property
    def tests(self) -> list[Block]:
        return [block for block in self.blocks if "test" in block.info]

    @property
    def has_test_functions(self) -> bool:
        """Whether a check is written as functions for pytest to call."""
        return any(re.search(r"^def test_", block.text, re.MULTILINE) for block in self.tests)

    @property
    def source(self) -> str:
        """The code alone, each line where it is on the page."""
        lines: list[str] = []
        for block in self.blocks:
            lines += ["\n"] * (block.line - len(lines)) + block.text.splitlines(keepends=True)
        return "".join(lines)

    def run(self) -> None:
        """Runs the blocks in order as one module; tracebacks and `inspect.getsource` show lines of the page."""
        name = re.sub(r"\W", "_", self.where)
        module = ModuleType(name)
        sys.modules[name] = module  # where pydantic looks names up that an annotation only mentions
        file = str(self.blocks[0].page.relative_to(ROOT))
        linecache.cache[file] = (0, None, self.source.splitlines(keepends=True), file)
        try:
            for block in self.blocks:
                code = compile("\n" * block.line + block.text, file, "exec", dont_inherit=True)
                exec(code, module.__dict__)
        finally:
            del sys.modules[name], linecache.cache[file]


@dataclass(frozen=True)
class Command:
    """One command of a console block with the output that the page shows."""

    page: Path
    where: str
    command: str
    output: str


def blocks_of(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page.

    Raises:
        ValueError: the last one is never closed.
    """
    opened: tuple[int, tuple[str, ...]] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        match = _FENCE.match(line)
        if opened is None:
            if match:
                opened, lines = (number, tuple(match["info"].split())), []
        elif match and not match["info"]:
            yield Block(page, opened[0], opened[1], "\n".join(lines) + "\n")
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: the block is never closed")


def programs_of(page: Path) -> list[Program]:
    """The programs of a page in order.

    Raises:
        ValueError: a continuation without a beginning, or a word behind ```python that means nothing.
    """
    programs: list[Program] = []
    for block in blocks_of(page):
        match block.info:
            case ["python"]:
                programs.append(Program([block]))
            case ["python", "more" | "test"]:
                if not programs:
                    raise ValueError(f"{block.where}: nothing to go on with")
                programs[-1].blocks.append(block)
            case ["python", *rest]:
                raise ValueError(f"{block.where}: {' '.join(rest)!r} is neither `more` nor `test`")
    return programs


def commands_of(page: Path) -> list[Command]:
    """The commands of a page's `console run` blocks."""
    commands: list[Command] = []
    for block in blocks_of(page):
        if block.info == ("console", "run"):
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                commands.append(Command(page, block.where, command, output))
    return commands


@cache
def functions_of(file: str) -> dict[str, str]:
    """The functions of a file of tests, by name, with their source and their decorators'."""
    text = (ROOT / file).read_text()
    return {
        node.name: "\n".join(ast.get_source_segment(text, part) or "" for part in (*node.decorator_list, node))
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
