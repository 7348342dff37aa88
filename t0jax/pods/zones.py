"""In which zones Google offers which TPUs, and with which software their VMs begin.

Zones: Google's page "TPU regions and zones", as its copies of 2025 and 2026 have it; `--unlisted_zone` passes over them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from t0jax.errors import InputError
from t0jax.pods.topology import Topology


@dataclass(frozen=True)
class Offer:
    """What the Cloud TPU API has of one generation."""

    runtime: str
    """The software version of its VMs."""
    zones: tuple[str, ...]
    flex_zones: tuple[str, ...] = ()
    """Where flex-start is offered for training."""


_V5E = ("us-central1-a", "us-south1-a", "us-west1-c", "us-west4-a", "europe-west4-b")
_V6E_AMERICA = ("us-central1-b", "us-east1-d", "us-east5-a", "us-east5-b", "us-south1-ai1b", "southamerica-west1-a")
OFFERS: Mapping[str, Offer] = {
    "v4": Offer("tpu-ubuntu2204-base", ("us-central2-b",)),
    "v5p": Offer("v2-alpha-tpuv5", ("us-central1-a", "us-east5-a", "europe-west4-b")),
    "v5e": Offer("v2-alpha-tpuv5-lite", _V5E, ("us-west4-a",)),
    "v6e": Offer(
        "v2-alpha-tpuv6e", (*_V6E_AMERICA, "europe-west4-a", "asia-northeast1-b"), ("asia-northeast1-b", "us-east5-a")
    ),
}


def check_zone(topology: Topology, zone: str, is_flex: bool) -> None:
    """An InputError when the table has no such slices in the zone."""
    name = topology.chip.name
    zones = OFFERS[name].flex_zones if is_flex else OFFERS[name].zones
    if zone not in zones:
        where = f"are offered in {', '.join(zones)}" if zones else "are offered nowhere"
        raise InputError(
            f"Slices of {name}{' by flex-start' if is_flex else ''} {where}, not in {zone}: choose another --zone or "
            "--accelerator, or give --unlisted_zone if Google has added the zone since."
        )
