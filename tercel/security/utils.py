"""Parsing of Authorization."""

from tercel.declare.security import get_authorization_scheme_param as get_authorization_scheme_param

__all__ = [
    "get_authorization_scheme_param",
]
