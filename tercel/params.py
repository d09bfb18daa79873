"""The marker classes."""

from tercel.declare.markers import Body as Body
from tercel.declare.markers import Cookie as Cookie
from tercel.declare.markers import Depends as Depends
from tercel.declare.markers import File as File
from tercel.declare.markers import Form as Form
from tercel.declare.markers import Header as Header
from tercel.declare.markers import Param as Param
from tercel.declare.markers import ParamTypes as ParamTypes
from tercel.declare.markers import Path as Path
from tercel.declare.markers import Query as Query
from tercel.declare.markers import Security as Security

__all__ = [
    "Body",
    "Cookie",
    "Depends",
    "File",
    "Form",
    "Header",
    "Param",
    "ParamTypes",
    "Path",
    "Query",
    "Security",
]
