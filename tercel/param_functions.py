"""The marker functions."""

from tercel.declare.params import Body as Body
from tercel.declare.params import Cookie as Cookie
from tercel.declare.params import Depends as Depends
from tercel.declare.params import File as File
from tercel.declare.params import Form as Form
from tercel.declare.params import Header as Header
from tercel.declare.params import Path as Path
from tercel.declare.params import Query as Query
from tercel.declare.params import Security as Security

__all__ = [
    "Body",
    "Cookie",
    "Depends",
    "File",
    "Form",
    "Header",
    "Path",
    "Query",
    "Security",
]
