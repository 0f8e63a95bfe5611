"""The kinds of hooks: the table in which a new one is a row."""

from __future__ import annotations

from collections.abc import Mapping

from exporter.actions import command, webhook
from exporter.actions.base import Variety

VARIETIES: Mapping[str, Variety] = {
    "command": Variety(command.CommandOptions, command.run),
    "webhook": Variety(webhook.WebhookOptions, webhook.run),
}
