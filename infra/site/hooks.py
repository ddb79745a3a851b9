"""What the documentation's site has beside the pages of `docs/`: the repository's own pages, and references.

The references of commands, settings, HTTP routes and tables are written from the code while the site is
built, so they cannot be out of date.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[2]
# Pages of the repository's root, by where the site has them.
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security-policy.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "CITATION.cff": "project/citation.md",
    "notebooks/README.md": "project/notebooks.md",
}
PYTHON = {
    "The forecast": ("energy_demand.forecast",),
    "A running service": (
        "energy_demand.client.Client",
        "energy_demand.client.AsyncClient",
        "energy_demand.client.errors",
    ),
    "From the upstreams to a model": (
        "energy_demand.data.eia_client.EIAClient",
        "energy_demand.data.weather_client.WeatherClient",
        "energy_demand.data.feature_engineering.build_features",
        "energy_demand.model.train.train_model",
        "energy_demand.registry.registry.get_champion_model",
        "energy_demand.registry.registry.promote_to_champion",
        "energy_demand.monitoring.drift_detection.run_drift_check",
    ),
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {target: _root_page(name, target) for name, target in ROOT_PAGES.items()}
    pages |= {
        "reference/command-line.md": _command_line(),
        "reference/settings.md": _settings(),
        "reference/http.md": _http(),
        "reference/tables.md": _tables(),
        "reference/python.md": _python(),
    }
    for target, text in pages.items():
        files.append(File.generated(config, target, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_given: Any) -> str:
    """Links from `docs/` to the repository's root lead to where the site has these pages."""
    for name, target in ROOT_PAGES.items():
        up = "../" * page.file.src_uri.count("/")
        markdown = markdown.replace(f"](../{up}{name})", f"]({up}{target})")
    return markdown


def _root_page(name: str, target: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".cff"):
        return f"# How to cite it\n\n```yaml\n{text}```\n"
    up = "../" * target.count("/")
    text = re.sub(r"\]\((?:\.\./)?docs/([^)]+)\)", rf"]({up}\1)", text)
    for other, place in ROOT_PAGES.items():
        text = re.sub(rf"\]\({re.escape(other)}(#[^)]*)?\)", rf"]({up}{place}\1)", text)
    return text


def _command_line() -> str:
    """Every command with its parameters, from Typer."""
    import typer  # noqa: PLC0415

    from energy_demand.cli import app  # noqa: PLC0415

    lines = ["# Command line", "", "As `--help` has it. What each is for: [commands](../commands.md).", ""]
    for name, command in _commands(typer.main.get_command(app)):
        lines += [f"## {name}", "", *(command.help or "").strip().splitlines(), ""]
        rows = [
            (" ".join(f"`{each}`" for each in parameter.opts), parameter.help or "")
            for parameter in command.params
            if getattr(parameter, "help", None)
        ]
        lines += _table(("parameter", "meaning"), rows)
    return "\n".join(lines)


def _commands(command: Any, name: str = "energy-demand") -> Iterator[tuple[str, Any]]:
    for word, each in getattr(command, "commands", {}).items():
        if hasattr(each, "commands"):
            yield from _commands(each, f"{name} {word}")
        else:
            yield f"{name} {word}", each


def _settings() -> str:
    """Every setting, from the class that reads them."""
    from energy_demand.config import Settings  # noqa: PLC0415

    rows = [
        (f"`{name.upper()}`", _default(field), field.description or "")
        for name, field in sorted(Settings.model_fields.items())
    ]
    head = "Read from the environment and `.env`; `.env.example` has them with the values for Compose."
    return "\n".join(["# Settings", "", head, "", *_table(("setting", "default", "meaning"), rows)])


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=False)
    secret = getattr(value, "get_secret_value", None)
    return "" if value in (None, ()) or secret is not None or "Undefined" in repr(value) else f"`{value}`"


def _http() -> str:
    """Every route, from the OpenAPI document."""
    from energy_demand.config import Settings  # noqa: PLC0415
    from energy_demand.serving.app import create_app  # noqa: PLC0415

    document = create_app(Settings(_env_file=None)).openapi()
    lines = ["# HTTP", "", f"{document['info']['description']} A running service shows it at `/docs`.", ""]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            lines += [f"## {method.upper()} {path}", "", route.get("description", ""), ""]
            rows = [
                (f"`{each['name']}`", each.get("description", "")) for each in route.get("parameters", ())
            ]
            lines += _table(("parameter", "meaning"), rows)
    return "\n".join(lines)


def _tables() -> str:
    """Every table of the application's database."""
    from energy_demand.database.tables import metadata  # noqa: PLC0415

    lines = [
        "# Tables",
        "",
        "PostgreSQL; times are UTC, energies MWh. What is kept how: [storage](../storage.md).",
        "",
    ]
    for name, table in sorted(metadata.tables.items()):
        rows = [
            (
                f"`{column.name}`",
                str(column.type),
                "key" if column.primary_key else "",
                "" if column.nullable else "yes",
            )
            for column in table.columns
        ]
        lines += [f"## {name}", "", *_table(("column", "type", "", "always there"), rows)]
    return "\n".join(lines)


def _python() -> str:
    """The public names, for mkdocstrings."""
    lines = ["# Python", ""]
    for title, names in PYTHON.items():
        lines += [f"## {title}", ""]
        for name in names:
            lines += [f"::: {name}", ""]
    return "\n".join(lines)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    cells = [
        [each.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") for each in row] for row in rows
    ]
    if not cells:
        return []
    titles = list(head)
    return [
        "| " + " | ".join(titles) + " |",
        "| " + " | ".join("---" for _ in titles) + " |",
        *("| " + " | ".join(row) + " |" for row in cells),
        "",
    ]
