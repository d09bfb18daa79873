"""The objects of an OpenAPI document: names as in the specification, extensions kept, values checked."""

from __future__ import annotations

import importlib.util
import logging
import sys
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tercel.openapi import models

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "contact": {"email": "a@example.com", "x-team": 1}, "version": "1", "x-logo": {"url": "/l"}},
    "servers": [{"url": "https://{host}/v1", "variables": {"host": {"enum": ["a"], "default": "a"}}}],
    "paths": {
        "/items/{id}": {
            "get": {
                "parameters": [
                    {"deprecated": True, "schema": {"type": "integer", "exclusiveMinimum": 0.0}, "name": "id", "in": "path"},
                    {"$ref": "#/components/parameters/p"},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}},
                "responses": {"200": {"description": "ok"}, "x-note": "kept"},
                "callbacks": {"event": {"{$url}": {"post": {"operationId": "cb"}}}},
                "security": [{"oauth": ["read"]}],
            }
        }
    },
    "components": {
        "schemas": {
            "Item": {
                "$defs": {"N": {"not": {"type": "null"}}},
                "anyOf": [{"$ref": "#/components/schemas/Other"}, True],
                "if": {"const": 1},
                "else": False,
                "additionalProperties": False,
                "type": ["object", "null"],
                "discriminator": {"propertyName": "kind"},
                "x-order": 1,
            }
        },
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "x-key"},
            "oauth": {"type": "oauth2", "flows": {"implicit": {"scopes": {"read": "r"}, "authorizationUrl": "/a"}}},
        },
    },
    "tags": [{"name": "a", "externalDocs": {"url": "https://example.com/docs"}}],
}


def test_a_document_is_written_as_it_was_read() -> None:
    document = models.OpenAPI.model_validate(DOCUMENT)
    assert document.model_dump(mode="json", by_alias=True, exclude_none=True) == DOCUMENT


def test_its_parts_are_models() -> None:
    document = models.OpenAPI.model_validate(DOCUMENT)
    assert document.components is not None
    assert document.components.schemas is not None
    operation = models.PathItem.model_validate(DOCUMENT["paths"]["/items/{id}"]).get
    assert isinstance(operation, models.Operation)
    assert operation.parameters is not None
    assert [type(parameter) for parameter in operation.parameters] == [models.Parameter, models.Reference]
    item = document.components.schemas["Item"]
    assert isinstance(item, models.Schema)
    assert item.else_ is False
    assert isinstance(item.if_, models.Schema)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        (models.Info, {"title": "t"}),
        (models.Contact, {"email": "no address"}),
        (models.ServerVariable, {"enum": [], "default": "a"}),
        (models.Schema, {"maxLength": -1}),
        (models.Schema, {"multipleOf": 0}),
        (models.Schema, {"type": "text"}),
        (models.Parameter, {"name": "a", "in": "body"}),
        (models.HTTPBearer, {"scheme": "basic"}),
        (models.OAuthFlowPassword, {"scopes": {}}),
    ],
)
def test_what_the_specification_forbids_is_refused(model: type[BaseModel], data: Any) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(data)


def test_security_schemes_know_their_type() -> None:
    assert models.APIKey.model_validate({"in": "query", "name": "k"}).type_ is models.SecuritySchemeType.apiKey
    assert models.HTTPBase(scheme="x").type_ is models.SecuritySchemeType.http
    assert models.HTTPBearer().scheme == "bearer"
    assert models.OAuth2(flows=models.OAuthFlows()).type_ is models.SecuritySchemeType.oauth2
    assert models.OpenIdConnect(openIdConnectUrl="/").type_ is models.SecuritySchemeType.openIdConnect


def load_without_email_validator(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("models_without_email_validator", models.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    spec.loader.exec_module(module)
    return module


def test_without_the_email_package_addresses_are_not_checked_and_a_warning_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = load_without_email_validator(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert module.Contact(email="no address").email == "no address"
    assert "email-validator is not installed" in caplog.text
    assert module.Contact.model_json_schema()["properties"]["email"]["anyOf"][0] == {"type": "string", "format": "email"}
