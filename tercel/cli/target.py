"""From what a person types to a module to import: `main:app`, `pkg.main`, `app.py`, `src/pkg/main.py:api`, a folder, or nothing.

Looks at file names only; it imports nothing, so that it can be asked before a server's processes exist. Read `tercel.cli.load`
next, which imports what is found here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tercel.cli.errors import CommandError

__all__ = ["DEFAULT_FILES", "Target", "close_to", "resolve_target"]

# Where an application is looked for when none is named, in this order; the same places as FastAPI's command line.
DEFAULT_FILES = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")


@dataclass(frozen=True, slots=True)
class Target:
    """A module to import, and what to take from it.

    Attributes:
        module: dotted name.
        attribute: dotted name inside the module, or None to look for the application.
        search_path: the folder that goes first on `sys.path`: the one above the outermost package.
        file: the file behind the module if a file was named; the import must then lead to it and to no other of that name.
        given: what was typed, for messages; empty when the file was found without being named.
    """

    module: str
    attribute: str | None
    search_path: Path
    file: Path | None
    given: str

    @property
    def import_string(self) -> str:
        """The target in the form `module:attribute`, or the module alone."""
        return self.module if self.attribute is None else f"{self.module}:{self.attribute}"


def resolve_target(given: str | None, *, folder: Path, app_dir: Path | None = None) -> Target:
    """What `given` means, seen from `folder`.

    Args:
        given: a module or file with an optional `:attribute`; None looks into pyproject.toml, then at `DEFAULT_FILES`.
        folder: the working directory.
        app_dir: where modules are searched instead of `folder` (`--app-dir`).

    Raises:
        CommandError: no such file, or nothing was found.
    """
    base = folder if app_dir is None else (folder / app_dir).resolve()
    if not base.is_dir():
        raise CommandError(f"--app-dir {app_dir} is not a folder")
    if given is None or not given.strip():
        return _find_default(base)
    place, attribute = _split(given.strip())
    if _looks_like_path(place, base):
        file = _existing_file(place, base)
        return _target_of_file(file, attribute, given)
    if not all(part.isidentifier() for part in place.split(".")):
        raise CommandError(
            f"`{given}` is neither a module nor a file",
            "Write a module and an object, `main:app`, or a file, `app.py` or `src/app.py:app`.",
        )
    return Target(place, attribute, base, None, given)


def close_to(name: str, names: Iterator[str] | list[str]) -> str:
    """A question that names what resembles `name` most, or an empty string."""
    import difflib  # for mistakes only

    close = difflib.get_close_matches(name, list(names), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(f'`{one}`' for one in close)}?" if close else ""


def _split(given: str) -> tuple[str, str | None]:
    place, colon, attribute = given.rpartition(":")
    if not colon or attribute.startswith(("\\", "/")):  # no colon, or only a Windows drive's
        return given, None
    if not attribute or not place:
        raise CommandError(f"`{given}` needs a module before the colon and an object after it", "For example `main:app`.")
    if not all(part.isidentifier() for part in attribute.split(".")):
        raise CommandError(
            f"`{attribute}` in `{given}` is not the name of an object",
            "Calls are not evaluated. For a function that makes the application, give its name and --factory.",
        )
    return place, attribute


def _looks_like_path(place: str, base: Path) -> bool:
    if place.endswith(".py") or "/" in place or os.sep in place or place in {".", ".."}:
        return True
    found = base / place
    return found.is_dir() and not (found / "__init__.py").exists() and not found.with_suffix(".py").exists()


def _existing_file(place: str, base: Path) -> Path:
    path = (base / place).resolve()
    if path.is_file():
        if path.suffix != ".py":
            raise CommandError(f"{place} is not a Python file")
        return path
    if path.is_dir():
        if (path / "__init__.py").exists():
            return path / "__init__.py"
        for name in DEFAULT_FILES:
            if (path / name).is_file():
                return path / name
        raise CommandError(f"{place} is a folder with none of {', '.join(DEFAULT_FILES)} in it", "Name the file.")
    with_suffix = path.with_name(path.name + ".py")
    if with_suffix.is_file():  # `app/main:app`, as people write it who think in paths
        return with_suffix
    near = [str(one.relative_to(base)) for one in _python_files(base)]
    raise CommandError(f"there is no file {place} in {base}", *filter(None, [close_to(place, near)]))


def _python_files(base: Path) -> Iterator[Path]:
    for pattern in ("*.py", "*/*.py"):
        yield from sorted(base.glob(pattern))


def _target_of_file(file: Path, attribute: str | None, given: str) -> Target:
    """The module that `file` is when imported from the folder above its outermost package."""
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").exists():
        parts.append(folder.name)
        folder = folder.parent
    wrong = next((part for part in parts if not part.isidentifier()), None)
    if wrong is not None:
        raise CommandError(
            f"{file.name} cannot be imported: `{wrong}` is not a Python name",
            "Rename it; letters, digits and _ only, as in `my_app.py`.",
        )
    return Target(".".join(reversed(parts)), attribute, folder, file, given)


def _find_default(base: Path) -> Target:
    entrypoint = _configured(base / "pyproject.toml")
    if entrypoint is not None:
        return resolve_target(entrypoint, folder=base)
    for name in DEFAULT_FILES:
        file = base / name
        if file.is_file():
            return _target_of_file(file, None, "")
    raise CommandError(
        f"no application was named, and none of {', '.join(DEFAULT_FILES)} is in {base}",
        "Name it: `main:app`, `pkg.main` or a file.",
        'Or write it once into pyproject.toml: [tool.tercel] entrypoint = "pkg.main:app".',
    )


def _configured(pyproject: Path) -> str | None:
    """The entry point that pyproject.toml names, for Tercel or, as it is the same application, for FastAPI."""
    import tomllib

    try:
        tool = tomllib.loads(pyproject.read_text("utf-8")).get("tool", {})
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandError(f"{pyproject} cannot be read: {error}") from None
    for section in ("tercel", "fastapi"):
        table = tool.get(section)
        if not isinstance(table, dict) or "entrypoint" not in table:
            continue
        entrypoint = table["entrypoint"]
        if not isinstance(entrypoint, str) or not entrypoint.strip():
            raise CommandError(f'[tool.{section}] entrypoint in {pyproject} must be a string such as "main:app"')
        return entrypoint
    return None
