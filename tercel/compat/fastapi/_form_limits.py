# ruff: noqa: F401 - names, for others to import
"""FastAPI's `_form_limits`."""

from tercel.http.limits import FormLimits as _FormLimits
