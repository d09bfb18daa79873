"""FastAPI's `__main__`: `python -m fastapi`."""

from tercel.compat.command import main

main()
