"""Fields: what they accept, what they return, how they are described."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, GetPydanticSchema, ValidationError, computed_field
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from tercel.analyse import fields
from tercel.analyse.fields import ModelField, Undefined
from tercel.declare.markers import Body, Query
from tercel.http.errors import FastAPIError, PydanticV1NotSupportedError


class Item(BaseModel):
    name: str
    price: float | None = None


def field(annotation: Any, name: str = "value", **options: Any) -> ModelField:
    mode = options.pop("mode", "validation")
    return ModelField(field_info=FieldInfo(annotation=annotation, **options), name=name, mode=mode)


# -- values ------------------------------------------------------------------------------------------------------------------------


def test_a_valid_value_comes_back_converted_and_without_errors() -> None:
    assert field(int).validate("3") == (3, [])


def test_errors_say_where_the_value_was_found_and_have_no_url() -> None:
    value, errors = field(list[int]).validate(["1", "x"], loc=("query", "ids"))
    assert value is None
    assert [list(error) for error in errors] == [["type", "loc", "msg", "input"]]
    assert errors[0]["loc"] == ("query", "ids", 1)
    assert errors[0]["type"] == "int_parsing"


def test_an_object_with_the_right_attributes_is_valid() -> None:
    @dataclass
    class Row:
        name: str
        price: float

    value, errors = field(Item).validate(Row("pen", 2.5))
    assert (value, errors) == (Item(name="pen", price=2.5), [])


def test_values_are_dumped_by_alias_and_filtered() -> None:
    class Out(BaseModel):
        name: str = Field(serialization_alias="label")
        note: str | None = None

    out = field(Out, mode="serialization")
    value = Out(name="pen")
    assert out.serialize(value) == {"label": "pen", "note": None}
    assert out.serialize(value, by_alias=False, exclude_none=True) == {"name": "pen"}
    assert out.serialize(value, exclude={"note"}) == {"label": "pen"}
    assert out.serialize_json(value, exclude_unset=True) == b'{"label":"pen"}'


def test_defaults_are_fresh_and_a_required_field_has_none() -> None:
    assert field(int).default is Undefined
    listed = field(list[int], default_factory=list)
    assert listed.default == []
    assert listed.get_default() is not listed.get_default()
    assert field(int | None, default=None).get_default() is None


def test_aliases_fall_back_to_the_name() -> None:
    plain = field(int)
    assert (plain.alias, plain.validation_alias, plain.serialization_alias) == ("value", None, None)
    named = field(int, alias="a", validation_alias="v", serialization_alias="s")
    assert (named.alias, named.validation_alias, named.serialization_alias) == ("a", "v", "s")
    assert field(int, validation_alias=AliasChoices("a", "b")).validation_alias is None
    assert field(int, validation_alias=AliasPath("a", 0)).validation_alias is None


def test_fields_are_equal_only_to_themselves() -> None:
    one, other = field(int), field(int)
    assert one != other
    assert len({one, other, one}) == 2


def test_the_missing_error_is_the_one_that_pydantic_makes() -> None:
    with pytest.raises(ValidationError) as caught:
        Item.model_validate({})
    made = fields.get_missing_field_error(("body", "name"))
    expected = caught.value.errors(include_url=False)[0]
    assert list(made) == list(expected)
    assert made == {**expected, "loc": ("body", "name"), "input": None}


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (list[str], ["b", "a"]),
        (list[str] | None, ["b", "a"]),
        (None | list[str], ["b", "a"]),
        (Sequence[str], ["b", "a"]),
        (tuple[str, ...], ("b", "a")),
        (set[str], {"a", "b"}),
        (frozenset[str], frozenset("ab")),
        (deque[str], deque("ba")),
        (list, ["b", "a"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, set | frozenset) else str(value),  # the order of a set is random
)
def test_received_values_become_the_declared_collection(annotation: Any, expected: Any) -> None:
    made = fields.serialize_sequence_value(field=field(annotation), value=["b", "a"])
    assert made == expected
    assert type(made) is type(expected)


# -- declarations ------------------------------------------------------------------------------------------------------------------


def test_a_type_that_pydantic_does_not_know_is_reported_with_advice() -> None:
    class Opaque:
        pass

    with pytest.raises(FastAPIError, match=r"Invalid args for response field! .*Opaque.* parameter response_model=None"):
        fields.create_model_field(name="value", type_=Opaque)


def test_a_model_of_pydantic_1_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        v1 = pytest.importorskip("pydantic.v1")

    class Old(v1.BaseModel):  # type: ignore[misc, name-defined, unused-ignore]
        pass

    with pytest.raises(PydanticV1NotSupportedError, match="Old"):
        fields.create_model_field(name="value", type_=list[Old])


def test_default_and_alias_are_used_without_field_info() -> None:
    made = fields.create_model_field(name="value", type_=int, default=3, alias="v", mode="serialization")
    assert (made.default, made.alias, made.mode) == (3, "v", "serialization")


def test_a_copied_marker_learns_from_the_rest_of_annotated_and_stays_itself() -> None:
    marker = Query(description="how many", alias="n")
    copied = fields.copy_field_info(field_info=marker, annotation=Annotated[int, Field(gt=2, title="Count"), marker])
    assert isinstance(copied, Query)
    assert copied is not marker
    assert (copied.annotation, copied.alias, copied.title, copied.description) == (int, "n", "Count", "how many")
    made = ModelField(field_info=copied, name="count")
    assert made.validate(2)[1][0]["type"] == "greater_than"
    assert marker.annotation is None


def test_only_values_outside_the_body_are_scalar_fields() -> None:
    assert fields.is_scalar_field(ModelField(field_info=Query(annotation=int), name="x"))
    assert not fields.is_scalar_field(ModelField(field_info=Body(annotation=int), name="x"))
    assert not fields.is_scalar_field(ModelField(field_info=Query(annotation=list[int]), name="x"))


def test_a_body_model_has_one_field_for_each_parameter() -> None:
    body = fields.create_body_model(
        fields=[
            ModelField(field_info=Body(annotation=Item), name="item"),
            ModelField(field_info=Body(annotation=int, default=3), name="n"),
        ],
        model_name="Body_create",
        config=ConfigDict(extra="forbid"),
    )
    assert body.__name__ == "Body_create"
    assert body.model_validate({"item": {"name": "pen"}}).model_dump() == {"item": {"name": "pen", "price": None}, "n": 3}
    with pytest.raises(ValidationError):
        body.model_validate({"item": {"name": "pen"}, "other": 1})


def test_unknown_names_in_forward_references_are_left_alone() -> None:
    assert fields.evaluate_forwardref("list[Known]", {"Known": int}, None) == list[int]
    assert "Unknown" in str(fields.evaluate_forwardref("Unknown", {}, {}))


# -- models ------------------------------------------------------------------------------------------------------------------------


def test_fields_of_a_model_are_cached_until_it_is_rebuilt() -> None:
    class Grows(BaseModel):
        first: int

    cached = fields.get_cached_model_fields(Grows)
    assert [item.name for item in cached] == ["first"]
    assert fields.get_cached_model_fields(Grows) is cached
    assert fields.get_model_fields(Grows)[0] is not cached[0]
    Grows.model_fields["second"] = FieldInfo(annotation=str, default="")
    Grows.model_rebuild(force=True)
    assert fields.get_cached_model_fields(Grows)[0].validate("7") == (7, [])


def test_more_models_than_any_cache_would_hold_keep_their_fields() -> None:
    models = [type(f"M{index}", (BaseModel,), {"__annotations__": {"value": int}}) for index in range(300)]
    first = [fields.get_cached_model_fields(model)[0] for model in models]
    assert all(fields.get_cached_model_fields(model)[0] is kept for model, kept in zip(models, first, strict=True))


def test_fields_of_a_model_use_its_configuration_where_their_type_has_none() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(str_max_length=2)
        text: str
        item: Item | None = None
        other: Item = Item(name="a")

    text, _, other = fields.get_model_fields(Strict)
    assert text.validate("abc")[1][0]["type"] == "string_too_long"
    assert other.config is None


def test_models_are_found_however_deep() -> None:
    class Color(Enum):
        red = 1

    class Leaf(BaseModel):
        color: Color
        parent: Branch | None = None

    class Branch(BaseModel):
        leaves: dict[str, list[Leaf]]

    Leaf.model_rebuild(_types_namespace={"Branch": Branch})
    assert fields.get_flat_models_from_field(field(Branch), set()) == {Branch, Leaf, Color}
    assert fields.get_flat_models_from_annotation(list[Color | None], {Leaf}) == {Leaf, Color}
    assert fields.get_flat_models_from_model(Branch) == {Leaf, Color, Branch}
    assert fields.get_flat_models_from_fields([field(int), field(list[Color])], set()) == {Color}


def test_names_of_models_fit_into_references() -> None:
    class Page(BaseModel):
        pass

    Page.__name__ = "Page[int, str]"
    assert fields.get_model_name_map({Page}) == {Page: "Page_int__str_"}


# -- JSON Schema -------------------------------------------------------------------------------------------------------------------


def describe(*described: ModelField, separate: bool = True) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    mapping, definitions = fields.get_definitions(fields=described, model_name_map={}, separate_input_output_schemas=separate)
    schemas = [
        fields.get_schema_from_model_field(
            field=item, model_name_map={}, field_mapping=mapping, separate_input_output_schemas=separate
        )
        for item in described
    ]
    return schemas, definitions


def test_a_plain_schema_has_a_title_from_the_alias() -> None:
    schemas, definitions = describe(field(int, "item_id"), field(int, "x", alias="otherName"), field(int, "y", title="Given"))
    assert schemas == [
        {"type": "integer", "title": "Item Id"},
        {"type": "integer", "title": "Othername"},
        {"type": "integer", "title": "Given"},
    ]
    assert definitions == {}


def test_a_model_is_a_reference_without_title() -> None:
    schemas, definitions = describe(field(Item))
    assert schemas == [{"$ref": "#/components/schemas/Item"}]
    assert list(definitions) == ["Item"]


def test_fields_that_share_an_adapter_have_schemas_that_can_be_changed_apart() -> None:
    one, other = field(dict[str, int], "a"), field(dict[str, int], "b")
    assert one._type_adapter is other._type_adapter
    mapping, _ = fields.get_definitions(fields=[one, other], model_name_map={})
    mapping[one, "validation"]["additionalProperties"]["changed"] = True
    assert "changed" not in mapping[other, "validation"]["additionalProperties"]


def test_input_and_output_differ_where_defaults_make_a_difference() -> None:
    class Both(BaseModel):
        model_config = ConfigDict(json_schema_serialization_defaults_required=True)
        value: int = 1

    pair = (field(Both), field(Both, mode="serialization"))
    schemas, definitions = describe(*pair)
    assert [schema["$ref"].rpartition("/")[2] for schema in schemas] == ["Both-Input", "Both-Output"]
    assert set(definitions) == {"Both-Input", "Both-Output"}
    schemas, definitions = describe(*pair, separate=False)
    assert {schema["$ref"].rpartition("/")[2] for schema in schemas} == {"Both"}
    assert set(definitions) == {"Both"}


def test_computed_fields_appear_in_output_even_without_separate_schemas() -> None:
    class Square(BaseModel):
        side: int

        @computed_field  # type: ignore[prop-decorator]
        @property
        def area(self) -> int:
            return self.side**2

    _, definitions = describe(field(list[Square], mode="serialization"), separate=False)
    assert set(definitions["Square"]["properties"]) == {"side", "area"}


def test_a_model_behind_a_custom_schema_is_defined() -> None:
    hidden = GetPydanticSchema(lambda source, handler: core_schema.any_schema())
    schemas, definitions = describe(field(list[Annotated[Item, hidden]]))
    assert schemas == [{"type": "array", "items": {}, "title": "Value"}]
    assert set(definitions) == {"Item"}

    class Holder(BaseModel):
        item: Annotated[Item, hidden]

    _, definitions = describe(field(Holder))
    assert set(definitions) == {"Holder", "Item"}


@pytest.mark.parametrize(
    ("config", "mode", "encoding"),
    [
        ({}, "validation", None),
        ({"val_json_bytes": "base64"}, "validation", "base64"),
        ({"val_json_bytes": "base64"}, "serialization", None),
        ({"ser_json_bytes": "base64"}, "serialization", "base64"),
    ],
)
def test_bytes_are_described_by_their_media_type(config: Any, mode: Any, encoding: str | None) -> None:
    class Blob(BaseModel):
        model_config = config
        data: bytes = Field(max_length=9)

    _, definitions = describe(field(Blob, mode=mode))
    expected: dict[str, Any] = {"type": "string", "contentMediaType": "application/octet-stream", "maxLength": 9, "title": "Data"}
    if encoding is not None:
        expected["contentEncoding"] = encoding
    assert definitions["Blob"]["properties"]["data"] == expected


def test_a_form_feed_ends_the_public_part_of_a_docstring() -> None:
    class Documented(BaseModel):
        """For readers.\f For maintainers."""

    _, definitions = describe(field(Documented))
    assert definitions["Documented"]["description"] == "For readers."
