"""What a YAML configuration may say: its models, and its JSON schema for editors and other checkers.

What a kind of probe or hook can be told is not written here: the tables of varieties bring their options.
"""

from __future__ import annotations

import json
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    Tag,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema

from exporter.actions import varieties as actions
from exporter.actions.base import BrakeRules
from exporter.configuration.duration import Limit, Pause, Period
from exporter.configuration.model import CONCURRENCY
from exporter.probes import varieties as probes

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Threshold = Annotated[int, Field(ge=1, le=1000)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class DefaultsSection(Section):
    """What holds for every probe that does not say otherwise."""

    interval: Period = Field(60.0, description="Time from one run to the next.")
    timeout: Limit | None = Field(
        None, description="Time after which a run has failed; 5s, or the interval if that is shorter."
    )
    failure_threshold: Threshold = Field(3, description="Failures in a row that make a target down.")
    success_threshold: Threshold = Field(2, description="Successes in a row that make it up again.")


class ProbeSection(Section):
    """What all kinds of probes have in common."""

    interval: Period | None = Field(None, description="Time from one run to the next.")
    timeout: Limit | None = Field(
        None, description="Time after which a run has failed; at most the interval."
    )
    failure_threshold: Threshold | None = Field(
        None, description="Failures in a row that make the target down."
    )
    success_threshold: Threshold | None = Field(None, description="Successes in a row that make it up again.")
    action: Name | None = Field(None, description="Name of the action that depends on this probe.")


class WorkersSection(Section):
    """Workers that an action depends on. Lost ones are down; what else is, is said here."""

    group: Name | None = Field(None, description="Only workers of this group; else of all groups.")
    shutdown: bool = Field(False, description="A clean stop counts as down.")
    leave: bool = Field(False, description="A worker that leaves for good counts as down.")


class OnSection(Section):
    """What an action depends on, besides the probes that name it."""

    workers: WorkersSection | None = Field(None, description="Workers; `{}` for all of them.")
    probes: tuple[Name, ...] = Field((), description="Names of probes.")


def _tag(kind: str) -> str:
    """Not to be taken for a key: it is a step of where in the models something is wrong."""
    return f"<{kind}>"


def _hook_tag(hook: object) -> str:
    return _tag("webhook" if isinstance(hook, dict) and "url" in hook else "command")


def _spelled_out(hook: object) -> object:
    if not isinstance(hook, str | list | dict):
        raise ValueError("must be a command line, a list of words, or a webhook with its url")
    return hook if isinstance(hook, dict) else {"command": hook}


class _Shorthand:
    """Tells the JSON schema of what `_spelled_out` accepts."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        line = {"type": "string", "minLength": 1}
        words = {"type": "array", "items": {"type": "string"}, "minItems": 1}
        return {"anyOf": [line, words, *handler(core)["oneOf"]]}


class ActionSection(Section):
    """What to run when something changes state."""

    timeout: Limit = Field(30.0, description="Time after which a run is ended.")
    cooldown: Pause = Field(0.0, description="Least time between two runs.")
    retries: int = Field(0, ge=0, le=100, description="Further attempts after a failed run.")
    backoff: Pause = Field(1.0, description="Time before the first of them, doubled before each other.")
    on: OnSection | None = Field(None, description="What it depends on, besides the probes that name it.")
    run_on_start: bool = Field(False, description="Run for the state that is found first, too.")
    dry_run: bool = Field(False, description="Log what would be run, and run nothing.")


class BrakeSection(Section):
    """When too much fails at once to be true, actions are held."""

    _default: ClassVar = BrakeRules()

    share: float = Field(
        _default.share,
        gt=0,
        le=1,
        description="More than this part of all probes, or of a group of workers, has to fail; 1: never.",
    )
    at_least: int = Field(_default.at_least, ge=1, description="And so many of them at least.")
    window: Period = Field(_default.window, description="Time within which they began to fail.")
    patience: Pause = Field(
        _default.patience, description="Time a demotion waits, for what fails with it to be seen."
    )
    hold: Pause = Field(_default.hold, description="Time for which actions are held then.")
    then: Literal["run", "drop"] = Field(
        "run", description="What is done after it with the actions that are still wanted."
    )


class FileSection(Section):
    """Probes and actions of heartbeat-exporter."""

    defaults: DefaultsSection = Field(
        default_factory=DefaultsSection, description="Times and thresholds of probes that do not say them."
    )
    brake: BrakeSection = Field(
        default_factory=BrakeSection, description="When actions are held because too much fails at once."
    )
    concurrency: int = Field(CONCURRENCY, ge=1, le=10_000, description="Probes in flight at most.")

    @model_validator(mode="before")
    @classmethod
    def _without_empty_sections(cls, data: object) -> object:
        """A section whose lines are all commented out is as good as none."""
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None}


@cache
def file_model() -> type[FileSection]:
    """The model of a whole file, made from the tables: `probes` and `actions` by name."""
    hook = _hook() | None
    action = _model(
        "Action",
        ActionSection,
        promote=(hook, Field(None, description="Run when all that it depends on is up.")),
        demote=(hook, Field(None, description="Run when one of them is down.")),
    )
    by_name: Any = dict
    model: type[FileSection] = _model(
        "File",
        FileSection,
        probes=(by_name[Name, _probe()], Field(default_factory=dict, description="Probes by name.")),
        actions=(by_name[Name, action], Field(default_factory=dict, description="Actions by name.")),
    )
    return model


def _probe() -> Any:
    """The union of all kinds of probes, which `type` tells apart."""
    kinds = [
        _model(
            f"{kind.capitalize()}Probe",
            ProbeSection,
            variety.options,
            type=(Literal[kind], Field(description="Kind of the probe.")),
        )
        for kind, variety in probes.VARIETIES.items()
    ]
    return Annotated[reduce(or_, kinds), Field(discriminator="type")]


def _hook() -> Any:
    kinds = [Annotated[variety.options, Tag(_tag(kind))] for kind, variety in actions.VARIETIES.items()]
    return Annotated[
        reduce(or_, kinds), Discriminator(_hook_tag), BeforeValidator(_spelled_out), _Shorthand()
    ]


def _model(name: str, *bases: type[BaseModel], **fields: Any) -> Any:
    """A model that is all of these and has these fields; it is described as the last of them."""
    return create_model(name, __base__=bases, __doc__=bases[-1].__doc__, **fields)


@cache
def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a YAML file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **file_model().model_json_schema(),
        "title": "heartbeat-exporter configuration",
    }


def printed() -> str:
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(printed(), end="")
