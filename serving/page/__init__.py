"""The page at `/`: what is served, how it fares, and a form to try it."""

from pathlib import Path
from typing import Any

import orjson

from serving.metrics import Metrics
from serving.models.manager import Manager, Model
from serving.models.servable import Servable

HTML = Path(__file__, "..", "index.html").resolve().read_bytes()


def overview(manager: Manager, metrics: Metrics) -> bytes:
    """What the page shows, as JSON."""
    recent = metrics.recent(60)
    return orjson.dumps(
        {
            "ready": manager.ready,
            "recent": {
                "per_second": recent.per_second,
                "errors": recent.errors,
                "p50_ms": recent.p50_ms,
                "p99_ms": recent.p99_ms,
            },
            "rates": metrics.rates(),
            "models": [_model(model) for model in manager.models],
        }
    )


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": model.config.name,
        "labels": dict(model.config.labels),
        "versions": [
            {
                "version": version.number,
                "state": version.state.name,
                "error": str(version.error) if version.error else "",
                **(_servable(version.servable) if version.servable else {}),
            }
            for version in sorted(model.versions.values(), key=lambda each: -each.number)
        ],
    }


def _servable(servable: Servable) -> dict[str, Any]:
    return {
        "engine": servable.engine.name,
        "why": servable.engine.reason,
        "signatures": {
            name: {
                side: {key: {"dtype": spec.dtype, "shape": spec.shape} for key, spec in specs.items()}
                for side, specs in (("inputs", signature.inputs), ("outputs", signature.outputs))
            }
            for name, signature in sorted(servable.signatures.items())
        },
    }
