"""FastAPI's `openapi`."""
