"""Metric families of several processes made into one page.

A *page* is what one slot shows of itself. Counters and histograms are totals of the server: they are added
up, those of dead slots too. Everything else describes one process, and so do `process_*` and `python_*` of
any type: it is labelled with its slot and shown while that process lives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client.core import Metric, Sample

LABEL = "slot"
ABOUT_A_PROCESS = ("process_", "python_")


@dataclass(frozen=True)
class Page:
    names: frozenset[str] = frozenset()
    """Of all families of the registry, also of those that are kept elsewhere."""
    families: list[Metric] = field(default_factory=list)

    def totals(self) -> Page:
        """What a successor goes on from."""
        return replace(self, families=[family for family in self.families if is_total(family)])

    def to_json(self) -> str:
        families = [
            [
                *(family.name, family.documentation, family.type, family.unit),
                [[sample.name, sample.labels, sample.value] for sample in family.samples],
            ]
            for family in self.families
        ]
        return json.dumps({"names": sorted(self.names), "families": families})

    @classmethod
    def from_json(cls, text: str) -> Page:
        """ValueError: this is no page."""
        try:
            content = json.loads(text)
            return cls(frozenset(content["names"]), [_family(*fields) for fields in content["families"]])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"not a page of metrics: {error!r}") from None


def is_total(family: Metric) -> bool:
    return family.type in ("counter", "histogram") and not family.name.startswith(ABOUT_A_PROCESS)


def merge(pages: Mapping[int, Page], live: frozenset[int]) -> dict[str, Metric]:
    """The families of all slots by name, samples in the order of the slots."""
    merged: dict[str, Metric] = {}
    totals: dict[str, list[Metric]] = {}
    for slot, page in sorted(pages.items()):
        for family in page.families:
            known = merged.setdefault(family.name, _empty(family))
            if known.type != family.type:
                continue  # Of a release before or after this one: a page can have one of them.
            if is_total(family):
                totals.setdefault(family.name, []).append(family)
            elif slot in live:
                known.samples += [labelled(sample, str(slot)) for sample in family.samples]
    return merged | {name: add(parts) for name, parts in totals.items()}


def add(parts: Iterable[Metric]) -> Metric:
    """The sum of at least one counter or histogram, series by series."""
    first, *_ = parts = list(parts)
    sums: dict[tuple[str, frozenset[tuple[str, str]]], Sample] = {}
    for family in parts:
        for sample in family.samples:
            if sample.name == f"{family.name}_created":
                continue  # An instant; it has no sum.
            series = (sample.name, frozenset(sample.labels.items()))
            value = sample.value + (sums[series].value if series in sums else 0)
            sums[series] = Sample(sample.name, sample.labels, value)
    total = _empty(first)
    total.samples = list(sums.values())
    return total


def labelled(sample: Sample, slot: str) -> Sample:
    """The sample of one slot. A label of that name gives way as it would to a label of the target."""
    labels = dict(sample.labels)
    if LABEL in labels:
        labels[f"exported_{LABEL}"] = labels.pop(LABEL)
    return Sample(sample.name, {**labels, LABEL: slot}, sample.value)


def _empty(family: Metric) -> Metric:
    return Metric(family.name, family.documentation, family.type, family.unit)


def _family(name: str, documentation: str, kind: str, unit: str, samples: list[list[Any]]) -> Metric:
    family = Metric(name, documentation, kind, unit)
    family.samples = [Sample(each, dict(labels), float(value)) for each, labels, value in samples]
    return family
