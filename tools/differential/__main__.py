"""`make differential`: asks all servers and writes `docs/server-differences.md` and `results.json`; `lock` rewrites their locks.

Runs in the development environment, and starts each server in its own.
"""

from __future__ import annotations

import asyncio
import json
import sys

from bench.environments import ensure_environment, read_versions, write_locks
from bench.servers import Server, choose_cores
from tercel.server import ServerConfig, serving
from tools.differential.cases import CASES
from tools.differential.observe import observe_all
from tools.differential.page import PAGE, RESULTS, Results, render
from tools.differential.servers import OTHERS, OWN


async def ask_tercel() -> dict[str, str]:
    """What Tercel's server answers, in this process."""
    from bench.apps.echo_app import app

    async with serving(app, ServerConfig(port=0, access_log=False, lifespan="off")) as server:
        return await observe_all(server.port, CASES)


def ask_all() -> Results:
    """What each server answers, and in which versions."""
    results: Results = {"versions": {}, "answers": {name: {} for name in CASES}}
    columns = {OWN: asyncio.run(ask_tercel())}
    for contender in OTHERS:
        print(f"differential: {contender.title}", file=sys.stderr, flush=True)
        python = ensure_environment(contender)
        results["versions"].update(read_versions(python, contender.shown))
        with Server(contender, python, choose_cores()[0]) as server:
            columns[contender.title] = asyncio.run(observe_all(server.port, CASES))
    for title, answers in columns.items():
        for name, answer in answers.items():
            results["answers"][name][title] = answer
    return results


def main() -> None:
    """The command."""
    if sys.argv[1:] == ["lock"]:
        write_locks(OTHERS)
        return
    results = ask_all()
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(render(results), "utf-8")


if __name__ == "__main__":
    main()
