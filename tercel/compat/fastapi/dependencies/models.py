# ruff: noqa: F401 - names, for others to import
"""FastAPI's `dependencies.models`."""

from tercel.analyse.dependant import CallIdentity as _CallIdentity
from tercel.analyse.dependant import Dependant as Dependant
from tercel.analyse.dependant import bare as _impartial
from tercel.analyse.dependant import computed_scope as _get_computed_scope
from tercel.analyse.dependant import is_security_scheme as _is_security_scheme
from tercel.analyse.dependant import oauth_scopes as _get_oauth_scopes
from tercel.analyse.dependant import security_scheme as _get_security_scheme
from tercel.analyse.dependant import unwrapped as _unwrapped_call
from tercel.analyse.fields import ModelField as ModelField
from tercel.compat.counterparts import get_cache_key as _get_cache_key
from tercel.compat.counterparts import get_uses_scopes as _uses_scopes
from tercel.compat.counterparts import is_async_gen_callable as _is_async_gen_callable
from tercel.compat.counterparts import is_async_gen_callable_cached as _is_async_gen_callable_cached
from tercel.compat.counterparts import is_coroutine_callable as _is_coroutine_callable
from tercel.compat.counterparts import is_coroutine_callable_cached as _is_coroutine_callable_cached
from tercel.compat.counterparts import is_gen_callable as _is_gen_callable
from tercel.compat.counterparts import is_gen_callable_cached as _is_gen_callable_cached
from tercel.security.base import SecurityBase as SecurityBase
