"""`UploadFile` as endpoints declare it: Starlette's uploaded file plus what pydantic needs to accept and describe one.

Knows nothing of how a multipart body is parsed (Starlette does that) or when files are closed (`tercel.serve`). Read
`tercel.http.body` next for the other kind of body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, cast

from pydantic import GetJsonSchemaHandler
from pydantic_core import core_schema
from starlette.datastructures import Headers
from starlette.datastructures import UploadFile as StarletteUploadFile

__all__ = ["UploadFile"]


class UploadFile(StarletteUploadFile):
    """A file sent in a form. Its content is in memory while small and in a temporary file beyond 1 MiB (Starlette's spool size).

    Closed by the framework once the response and its background tasks are done. Reading and writing use a worker thread when the
    content is on disk.

    Attributes:
        file: the file object itself, for libraries that want one; using it directly blocks the event loop.
        filename: as the client sent it. Never use it as a path unchecked.
        size: bytes received, or None when the object was made by hand without a size.
        headers: the header fields of this part of the form.
        content_type: what the client claims the content is (RFC 7578 §4.4), or None.
    """

    file: BinaryIO
    filename: str | None
    size: int | None
    headers: Headers

    @classmethod
    def _validate(cls, input_value: Any, _info: Any) -> UploadFile:
        # The form parser makes Starlette's class, and it stays what it is: a copy would have its own position in the file.
        if not isinstance(input_value, StarletteUploadFile):
            raise ValueError(f"Expected UploadFile, received: {type(input_value)}")
        return cast("UploadFile", input_value)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: Callable[[Any], core_schema.CoreSchema]
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(cls._validate)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Mapping[str, Any], handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # JSON Schema 2020-12 §8.4: binary content is a string with a contentMediaType and no contentEncoding.
        return {"type": "string", "contentMediaType": "application/octet-stream"}
