"""FastAPI's `_form_limits`."""

from tercel.http.limits import FormLimits as _FormLimits

__all__ = ["_FormLimits"]
