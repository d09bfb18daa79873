# ruff: noqa: F401 - names, for others to import
"""FastAPI's `param_functions`."""

from tercel.analyse.fields import Undefined as Undefined
from tercel.http.defaults import Unset as _Unset
from tercel.openapi.models import Example as Example
from tercel.param_functions import Body as Body
from tercel.param_functions import Cookie as Cookie
from tercel.param_functions import Depends as Depends
from tercel.param_functions import File as File
from tercel.param_functions import Form as Form
from tercel.param_functions import Header as Header
from tercel.param_functions import Path as Path
from tercel.param_functions import Query as Query
from tercel.param_functions import Security as Security
