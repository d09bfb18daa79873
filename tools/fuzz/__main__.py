"""`make fuzz`: coverage-guided fuzzing (atheris) of the protocol and of what the framework reads, each target for a bounded time.

    python3 -m tools.fuzz                          # every target, 60 seconds each
    python3 -m tools.fuzz --time 600 http chunked  # ten minutes for each of two
    python -m tools.fuzz replay http FILE          # once, without the fuzzer, in the development environment

The corpus that a run has found is kept in `.cache/fuzz/TARGET` and is where the next one begins, beside the seeds of
`tools/fuzz/seeds.py`. An input that breaks a rule is written to `.cache/fuzz/found/`, and the message says how to run it
again. Exit code 1 when a target was broken. Read `tools/fuzz/targets.py` for what is fuzzed, and how it is judged.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import traceback
from pathlib import Path

from tools.environment import CACHE, ROOT, ensure

HOME = CACHE / "fuzz"
FOUND = HOME / "found"
NAMES = ("http", "protocols", "websocket", "chunked", "forms", "parameters")
MAX_INPUT_BYTES = 4_096
# One input: what takes longer is quadratic.
INPUT_TIMEOUT_S = 10
EXTRA_S = 120


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(f"fuzz: {text}", file=sys.stderr, flush=True)


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it; needs atheris."""
    import atheris

    # Everything that reads input is counted; the tests' own code is not what should be explored.
    with atheris.instrument_imports(include=["tercel", "starlette", "python_multipart", "pydantic"]):
        from tools.fuzz.targets import TARGETS
    from tools.fuzz.seeds import seeds, words

    corpus, begin = HOME / name, HOME / "seeds" / name
    for folder in (corpus, begin, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds(name)):
        (begin / str(number)).write_bytes(data)
    dictionary = HOME / f"{name}.dict"
    quoted = ['"' + "".join(f"\\x{byte:02x}" for byte in word) + '"' for word in words(name)]
    dictionary.write_text("\n".join(quoted) + "\n")
    options = {
        "max_total_time": seconds,
        "max_len": MAX_INPUT_BYTES,
        "timeout": INPUT_TIMEOUT_S,
        "artifact_prefix": f"{FOUND}/{name}-",
        "dict": dictionary,
        "print_final_stats": 1,
        "verbosity": 0,
    }
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in options.items()), str(corpus), str(begin)], TARGETS[name])
    atheris.Fuzz()


def replay(name: str, path: Path) -> int:
    """Run one input; 1 with a traceback when it breaks a rule."""
    from tools.fuzz.targets import TARGETS

    try:
        TARGETS[name](path.read_bytes())
    except Exception:
        traceback.print_exc()
        return 1
    say(f"{name}: {path} breaks nothing")
    return 0


def fuzz_all(names: list[str], seconds: int) -> int:
    """Fuzz the targets one after the other, each in a process of its own."""
    python = ensure("fuzz", None)
    broken = []
    for name in names:
        before = set(FOUND.glob(f"{name}-*"))
        say(f"{name} for {seconds} s")
        command = [str(python), "-m", "tools.fuzz", "one", name, "--time", str(seconds)]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + EXTRA_S)
            output, code = done.stderr + done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output, code = f"no end after {late.timeout} s", -1
        if code == 0:
            stats = dict(line[6:].split(":", 1) for line in output.splitlines() if line.startswith("stat::"))
            runs = stats.get("number_of_executed_units", "?").strip()
            say(f"{name}: {runs} inputs, {len(list((HOME / name).iterdir()))} kept, nothing broken")
            continue
        broken.append(name)
        print("\n".join(output.splitlines()[-40:]), file=sys.stderr)
        found = sorted(set(FOUND.glob(f"{name}-*")) - before)
        say(f"{name} is broken" if found else f"{name} ended with {code} and without an input")
        for path in found:
            say(f"to run it again: {python.name} -m tools.fuzz replay {name} {path.relative_to(ROOT)}")
    if broken:
        say(f"broken: {', '.join(broken)}")
    return 1 if broken else 0


def main() -> int:
    """Runs the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["replay"] and len(arguments) == 3 and arguments[1] in NAMES:
        return replay(arguments[1], Path(arguments[2]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--time", type=int, default=60, help="seconds for each target")
    chosen = parser.parse_args()
    alone = chosen.targets[:1] == ["one"]
    names = chosen.targets[1:] if alone else chosen.targets or list(NAMES)
    unknown = set(names) - set(NAMES)
    if unknown or not names:
        parser.error(f"no such target: {', '.join(sorted(unknown))}. There are {', '.join(NAMES)}")
    if alone:
        fuzz(names[0], chosen.time)
    return fuzz_all(names, chosen.time)


if __name__ == "__main__":
    sys.exit(main())
