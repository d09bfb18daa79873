# ruff: noqa: F401 - names, for others to import
"""FastAPI's `datastructures`."""

from starlette.datastructures import UploadFile as StarletteUploadFile

from tercel.datastructures import URL as URL
from tercel.datastructures import Address as Address
from tercel.datastructures import Default as Default
from tercel.datastructures import DefaultPlaceholder as DefaultPlaceholder
from tercel.datastructures import DefaultType as DefaultType
from tercel.datastructures import FormData as FormData
from tercel.datastructures import Headers as Headers
from tercel.datastructures import QueryParams as QueryParams
from tercel.datastructures import State as State
from tercel.datastructures import UploadFile as UploadFile
from tercel.http.defaults import Unset as _Unset
