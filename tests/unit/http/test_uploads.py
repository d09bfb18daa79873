"""Uploaded files as pydantic sees them."""

from __future__ import annotations

import io

import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers
from starlette.datastructures import UploadFile as StarletteUploadFile

from tercel.http.uploads import UploadFile

ADAPTER = TypeAdapter(UploadFile)


def test_a_file_of_the_form_parser_is_accepted_as_it_is() -> None:
    file = StarletteUploadFile(io.BytesIO(b"x"))
    assert ADAPTER.validate_python(file) is file


def test_anything_else_is_refused() -> None:
    with pytest.raises(ValidationError, match="Expected UploadFile, received: <class 'str'>"):
        ADAPTER.validate_python("text")


def test_the_schema_is_binary_content() -> None:
    assert ADAPTER.json_schema() == {"type": "string", "contentMediaType": "application/octet-stream"}


@pytest.mark.anyio
async def test_it_reads_writes_and_seeks() -> None:
    file = UploadFile(io.BytesIO(b"data"), size=4, filename="f", headers=Headers({"content-type": "a/b"}))
    assert (file.filename, file.size, file.content_type) == ("f", 4, "a/b")
    assert await file.read(2) == b"da"
    await file.seek(4)
    await file.write(b" more")
    await file.seek(0)
    assert await file.read() == b"data more"
    assert file.size == 9
    await file.close()
    assert file.file.closed
