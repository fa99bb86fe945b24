"""The schemas in ``config/schemas``: what each key may be, and what it is unless a file sets it."""

import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from conceptdepth.ground.files import ROOT
from conceptdepth.ground.mappings import merged

CONFIG = next(
    folder for folder in (ROOT / "config", Path(__file__).parents[1] / "config") if (folder / "schemas").is_dir()
)
"""The folder of the configuration: the repository's, or that inside a library that was installed without it."""

SCHEMAS = CONFIG / "schemas"

FILES = ("models", "datasets", "config", "claims")
"""Files of the configuration in the order in which the Snakefile reads them, without `.yaml`."""

MAIN = "config.schema.yaml"
"""The schema of the whole configuration; each of the others describes an entry of a registry."""

YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # In C where it was compiled in: ten times faster.


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Return all schemas, by the name of their file."""
    return {path.name: yaml.load(path.read_text(encoding="utf-8"), YAML_LOADER) for path in SCHEMAS.glob("*.yaml")}


@cache
def validator() -> jsonschema.Draft202012Validator:
    """Return the validator of a whole configuration."""
    # Without `$schema`, for which jsonschema would take a validator of its own.
    contents = {name: {key: schema[key] for key in schema if key != "$schema"} for name, schema in schemas().items()}
    resources = ((name, DRAFT202012.create_resource(schema)) for name, schema in contents.items())
    registry: Registry = Registry().with_resources(resources)
    return _Validator(contents[MAIN], registry=registry)


END = re.compile(r"(?<!\\)\$(?=$|[)|])")
"""The sign for the end of a text in a pattern."""


def _is_integer(_: Any, value: Any) -> bool:
    """Tell whether a value is an integer. JSON Schema takes 1.0 for one, which libraries refuse as a seed."""
    return isinstance(value, int) and not isinstance(value, bool)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(END.sub(r"\\Z", pattern))


def _matches(_: Any, pattern: str, value: Any, schema: Mapping[str, Any]) -> Iterator[jsonschema.ValidationError]:
    """Hold a text against a pattern as JSON Schema means it: `$` is the very end, for Python also before a line end."""
    if isinstance(value, str) and not _compiled(pattern).search(value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _matches},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def on_top_of_files(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the files of the configuration say, with a configuration on top as ``--configfile`` puts it there."""
    texts = ((CONFIG / f"{name}.yaml").read_text(encoding="utf-8") for name in FILES)
    return reduce(merged, [*(yaml.load(text, YAML_LOADER) for text in texts), config])


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration, complete or not, merged over the defaults as if a first file had set them.

    So mappings are merged with default ones (`ablation.switches` keeps the switches that it has, and gets those of the
    configuration too) and lists replace them, as between two files. The way in which `snakemake.utils.validate` and
    the documentation of jsonschema fill in defaults would leave out the default switches.
    """
    return merged(defaults(), config)


def defaults() -> dict[str, Any]:
    """Return the default of every key that has one, in the order of the schema."""
    return copy.deepcopy(dict(_defaults(schemas()[MAIN])))


def _defaults(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the keys of a section that have a default, and the sections in it that have such keys.

    What stands under names that a user chooses (a dataset, a switch) is not a section: entries are never filled in.
    """
    for key, content in schema["properties"].items():
        if "default" in content:
            yield key, content["default"]
        elif "properties" in content and (section := dict(_defaults(content))):
            yield key, section


def ordered(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with its keys in the order of the schema, and names that a user chose in their own."""
    return _ordered(config, schemas()[MAIN])


def _ordered(config: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    known = schema.get("properties", {})
    names = [*(key for key in known if key in config), *(key for key in config if key not in known)]
    values = ((name, config[name], known.get(name, {})) for name in names)
    return {name: _ordered(value, below) if isinstance(value, Mapping) else value for name, value, below in values}
