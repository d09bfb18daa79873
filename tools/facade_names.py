"""Writes down which names FastAPI has and how they are called: facts that the test of the facades compares Tercel with.

    python tools/facade_names.py > tests/dropin/fastapi_names.txt      # in an environment with the real FastAPI

One line per name, `module:name` or `module:Class.method`, followed by the parameters of what can be called: `*` and `/` as in
Python, a parameter with a default ends in `=`. What a module only uses (standard library, typing, pydantic) is left out; what it
takes from Starlette is listed, since programs import it from there. Of names with an underscore only those in SEMI_PRIVATE are:
packages in the field use them.
"""

from __future__ import annotations

import ast
import contextlib
import enum
import importlib
import inspect
import pkgutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# The command line belongs to another distribution; telemetry has three public names, which tests/behaviour/test_telemetry.py uses.
SKIPPED = ("fastapi.__main__", "fastapi.cli", "fastapi.telemetry")
KNOWN = ("fastapi", "tercel", "starlette")
SEMI_PRIVATE = frozenset(
    {
        "_DefaultLifespan",
        "_EffectiveRouteContext",
        "_FormLimits",
        "_IncludedRouter",
        "_PING_INTERVAL",
        "_RouterIncludeContext",
        "_Unset",
        "_effective_route_context_var",
        "_extract_endpoint_context",
        "_frontend_routes",
        "_get_body_field",
        "_get_cache_key",
        "_get_computed_scope",
        "_get_flat_body_params",
        "_get_flat_fields_from_params",
        "_get_form_model",
        "_get_form_models",
        "_get_form_union_models",
        "_get_model_type",
        "_get_multidict_value",
        "_get_oauth_scopes",
        "_get_openapi_dependency_data",
        "_get_openapi_operation_parameters",
        "_get_param_aliases",
        "_get_param_model",
        "_get_security_scheme",
        "_impartial",
        "_is_async_gen_callable",
        "_is_coroutine_callable",
        "_is_form_model_supplied",
        "_is_gen_callable",
        "_is_json_field",
        "_is_security_scheme",
        "_iter_included_route_candidates",
        "_iter_routes_with_context",
        "_merge_lifespan_context",
        "_normalize_errors",
        "_normalize_form_model",
        "_read_file_bytes",
        "_restore_fastapi_scope_key",
        "_routes",
        "_should_embed_body_fields",
        "_unwrapped_call",
        "_uses_scopes",
    }
)


def modules(package: str) -> Iterator[types.ModuleType]:
    """The package and everything below it that can be imported."""
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, package + "."):
        if not found.name.startswith(SKIPPED):
            yield importlib.import_module(found.name)


def parameters(thing: Any) -> str:
    """How a callable is called, without types and default values."""
    shown: list[str] = []
    keyword_only = False
    found = list(inspect.signature(thing).parameters.values())
    for number, parameter in enumerate(found, 1):
        default = "" if parameter.default is parameter.empty else "="
        if parameter.kind is parameter.VAR_POSITIONAL:
            keyword_only = True
        elif parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            shown.append("*")
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        shown.append(f"{prefix}{parameter.name}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY and found[number : number + 1] and found[number].kind is not parameter.kind:
            shown.append("/")
    return f"({', '.join(shown)})"


def said_to_be_public(module: types.ModuleType) -> set[str]:
    """The names that a module assigns, and those that it imports `as` themselves, which by convention makes them part of it."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    targets += [node.target for node in tree.body if isinstance(node, ast.AnnAssign)]
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    return assigned | {alias.name for node in imports for alias in node.names if alias.asname == alias.name}


def listed(name: str, thing: Any, public: set[str]) -> bool:
    """Whether a name of a module counts: see the module's docstring."""
    if name.startswith("_"):
        return name in SEMI_PRIVATE or name == "__version__"
    if isinstance(thing, types.ModuleType):
        return name == "status"
    home = str(getattr(thing, "__module__", None) or "")
    if home.startswith("fastapi.telemetry"):
        return False
    return name in public or home.partition(".")[0] in KNOWN or not (callable(thing) or isinstance(thing, bool))


def describe(module: str, name: str, thing: Any) -> Iterator[str]:
    """The lines of one name: itself and, for a class of FastAPI's, its public methods and properties."""
    said = ""
    # How an enumeration is looked up differs from Python to Python.
    is_made = inspect.isclass(thing) and not issubclass(thing, enum.Enum) and not name.startswith("_")
    if inspect.isfunction(thing) or is_made:
        with contextlib.suppress(ValueError, TypeError):
            said = parameters(thing)
    foreign = inspect.isclass(thing) and not thing.__module__.startswith(("fastapi", "tercel"))
    yield f"{module}:{name}{'' if foreign else said}"
    if inspect.isclass(thing) and thing.__module__ == module:
        for member, value in sorted(vars(thing).items()):
            if member.startswith("_") and member not in SEMI_PRIVATE:
                continue
            if inspect.isfunction(value):
                yield f"{module}:{name}.{member}{parameters(value)}"
            elif isinstance(value, property | classmethod | staticmethod):
                yield f"{module}:{name}.{member}"


def lines() -> Iterator[str]:
    """All lines for the real package."""
    for module in modules("fastapi"):
        if module.__name__.startswith(SKIPPED):
            continue
        public = said_to_be_public(module)
        for name, thing in sorted(vars(module).items()):
            # A submodule that somebody imported is an attribute too; it has lines of its own.
            submodule = isinstance(thing, types.ModuleType) and thing.__name__ == f"{module.__name__}.{name}"
            if listed(name, thing, public) and not submodule:
                yield from describe(module.__name__, name, thing)


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
