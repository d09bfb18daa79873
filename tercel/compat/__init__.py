"""Names under which programs written for FastAPI look for things; nothing else in tercel imports this package.

`tercel.compat.fastapi` holds facades only: one module for each of FastAPI's that has names beyond Tercel's own public modules, with
re-exports and no logic. Where one of FastAPI's semi-private functions has no namesake in Tercel, `tercel.compat.counterparts` has a
function of a few lines that does the same on Tercel's objects. Read `tercel.dropin` next for how these modules become `fastapi`.
"""
