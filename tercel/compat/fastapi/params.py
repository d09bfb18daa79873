# ruff: noqa: F401 - names, for others to import
"""FastAPI's `params`."""

from tercel.analyse.fields import Undefined as Undefined
from tercel.exceptions import FastAPIDeprecationWarning as FastAPIDeprecationWarning
from tercel.http.defaults import Unset as _Unset
from tercel.openapi.models import Example as Example
from tercel.params import Body as Body
from tercel.params import Cookie as Cookie
from tercel.params import Depends as Depends
from tercel.params import File as File
from tercel.params import Form as Form
from tercel.params import Header as Header
from tercel.params import Param as Param
from tercel.params import ParamTypes as ParamTypes
from tercel.params import Path as Path
from tercel.params import Query as Query
from tercel.params import Security as Security
