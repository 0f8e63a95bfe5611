"""The application for an ASGI server: `uvicorn exporter.main:app`. Settings come from the environment.

`heartbeat-exporter serve` runs the same with the server options that matter.
"""

from __future__ import annotations

import sys

from exporter import logs
from exporter.app import create_app
from exporter.configuration.model import ConfigurationError
from exporter.errors import UsageError
from exporter.settings import Settings
from worker_agent.environment import SettingsError, load

try:
    settings = load(Settings)
    logs.configure(settings.log_level, settings.log_format)
    app = create_app(settings)
except (SettingsError, ConfigurationError, UsageError) as error:
    print(error, file=sys.stderr)
    sys.exit(2)
