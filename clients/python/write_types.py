"""Writes src/energy_demand/client/types.py from the service's OpenAPI document; `make client`.

A test keeps the written file equal to this code.
"""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from datamodel_code_generator import DataModelType, InputFileType, LiteralType, generate
from datamodel_code_generator.format import Formatter, PythonVersion

from energy_demand.config import Settings
from energy_demand.serving.app import create_app

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "src/energy_demand/client/types.py"
HEADER = '''# ruff: noqa
"""Types of the service's answers and questions; written by clients/python/write_types.py."""'''
# Names for what the document describes in place: the answer of an export, and its rows.
EXPORTS = {
    "/forecasts": ("ForecastRows", ("ForecastRow",)),
    "/demand": ("DemandRows", ("DemandRow",)),
    "/scores": ("ScoreRows", ("DayScore", "VersionScore", "QualityScore")),
}
BOUNDS = {"maxLength", "minLength", "minimum", "maximum"}


def types_text() -> str:
    """The module as text."""
    document = create_app(Settings(_env_file=None)).openapi()  # type: ignore[call-arg]
    written = generate(
        json.dumps({**document, "components": {"schemas": _schemas(document)}}),
        input_file_type=InputFileType.OpenAPI,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_python_version=PythonVersion.PY_311,
        custom_file_header=HEADER,
        enum_field_as_literal=LiteralType.All,
        collapse_root_models=True,
        field_constraints=True,
        strict_nullable=True,
        use_annotated=True,
        use_double_quotes=True,
        use_schema_description=True,
        use_standard_collections=True,
        use_union_operator=True,
        formatters=[Formatter.RUFF_FORMAT],
        settings_path=ROOT,
    )
    return str(written).rstrip() + "\n"


def _schemas(document: dict[str, Any]) -> dict[str, Any]:
    """The components, and what the exports answer under names of its own.

    A row may have columns that are newer than the client, so these are not forbidden here.
    """
    schemas: dict[str, Any] = deepcopy(document["components"]["schemas"])
    for path, (name, row_names) in EXPORTS.items():
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        body = deepcopy(content["application/json"]["schema"])
        rows = body["properties"]["rows"]
        for row_name, row in zip(row_names, rows["items"].get("oneOf", [rows["items"]]), strict=True):
            del row["additionalProperties"]
            schemas[row_name] = row
        references = [{"$ref": f"#/components/schemas/{each}"} for each in row_names]
        rows["items"] = references[0] if len(references) == 1 else {"oneOf": references}
        del body["additionalProperties"]
        schemas[name] = body
    return {name: _plain(schema) for name, schema in schemas.items()}


def _plain(schema: Any) -> Any:
    """The schema without pydantic's titles, which only repeat the names, and without bounds in a union.

    A bound in a union would become a class of its own; the service checks it anyway.
    """
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: part for name, part in schema.items() if name != "title" or not isinstance(part, str)}
    if "anyOf" in kept:
        kept["anyOf"] = [
            {name: part for name, part in branch.items() if name not in BOUNDS} for branch in kept["anyOf"]
        ]
    return {name: _plain(part) for name, part in kept.items()}


if __name__ == "__main__":
    FILE.write_text(types_text(), encoding="utf-8")
