"""What a kind of probe says about options that it does not take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.probes.varieties import VARIETIES


def rejections(kind: str, directory: Path | None = None, **options: Any) -> list[str]:
    """Each problem with its place, such as `expect.status.0: must be ...`."""
    context = None if directory is None else {"directory": directory}
    with pytest.raises(ValidationError) as raised:
        VARIETIES[kind].options.model_validate(options, context=context)
    return [
        ": ".join(
            (".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, "))
            if error["loc"]
            else (error["msg"].removeprefix("Value error, "),)
        )
        for error in raised.value.errors()
    ]
