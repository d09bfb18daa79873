"""The models of the document build their validators when they are first used, and look complete to whoever asks."""

from __future__ import annotations

import inspect
import subprocess
import sys


def test_importing_the_framework_builds_no_validator_and_using_a_model_builds_its_own() -> None:
    code = (
        "import tercel.openapi.models as m\n"
        "assert not m.OpenAPI.__pydantic_complete__\n"
        "info = m.Info(title='a', version='1')\n"
        "assert info.model_dump(exclude_none=True) == {'title': 'a', 'version': '1'}\n"
        "assert m.Info.__pydantic_complete__ and not m.OpenAPI.__pydantic_complete__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_signature_shows_the_fields_of_a_model_that_was_not_used_yet() -> None:
    from tercel.openapi import models

    assert {"name", "identifier", "url"} <= set(inspect.signature(models.License).parameters)
    assert "flows" in inspect.signature(models.OAuth2).parameters
