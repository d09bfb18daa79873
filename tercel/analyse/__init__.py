"""Declarations become plans here, once: signatures, fields, dependency trees. Pure: no I/O, no event loop."""
