"""Dependency trees."""

__all__ = []
