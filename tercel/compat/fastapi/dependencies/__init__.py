"""FastAPI's `dependencies`."""
