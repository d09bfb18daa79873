"""The same byte streams to Tercel's server, uvicorn, granian and hypercorn: what each answers, and why they differ.

`make differential` asks all of them and writes `docs/server-differences.md`; a test asks Tercel and compares. `cases` says what is
sent, `observe` what came back, `reasons` why it differs, `page` how it is told, `__main__` starts the servers.
"""
