"""Uploads, and data structures of requests."""

from starlette.datastructures import URL as URL
from starlette.datastructures import Address as Address
from starlette.datastructures import FormData as FormData
from starlette.datastructures import Headers as Headers
from starlette.datastructures import QueryParams as QueryParams
from starlette.datastructures import State as State

from tercel.http.defaults import Default as Default
from tercel.http.defaults import DefaultPlaceholder as DefaultPlaceholder
from tercel.http.defaults import DefaultType as DefaultType
from tercel.http.uploads import UploadFile as UploadFile

__all__ = [
    "Address",
    "Default",
    "DefaultPlaceholder",
    "DefaultType",
    "FormData",
    "Headers",
    "QueryParams",
    "State",
    "URL",
    "UploadFile",
]
