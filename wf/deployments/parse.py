"""Deployment specs as people write them: those of Gradient's clients, in both of their generations.

    image: tensorflow/serving                      the older generation; the newer one has
    port: 8501                                       resources.ports: [8501]
    env:
      - {name: MODEL_NAME, value: recommender}
      - {name: KEY, value: secret:KEY}
    models:                                          integrations: [{type: model, id: ..., path: ...}]
      - {id: mo..., path: /opt/models}
    resources: {replicas: 2}

Ours are `grpcPort`, `predictionLog`, `rollout`, `resources.cpus` and `resources.memory`, and an env that is a mapping.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wf.deployments.spec import DeploymentSpec, ModelMount, PredictionLog, Probe, Rollout
from wf.errors import InvalidWorkflow, Problem
from wf.references import parse_secret
from wf.source import Document, Loc, load

MODELS = "/opt/models"
"""Where a model appears if nothing is said."""

_KEYS = (
    "apiVersion", "name", "enabled", "image", "containerRegistry", "command", "env", "port", "grpcPort", "resources",
    "predictionLog", "rollout", "healthChecks", "healthchecks", "models", "integrations", "repositories", "region",
    "basicAuthKey",
)  # fmt: skip
_RESOURCES = ("instanceType", "machineType", "replicas", "ports", "autoscaling", "cpus", "memory")
_PREDICTION_LOG = ("sampling", "hash", "seconds", "maxBytes")
_ROLLOUT = ("strategy", "percent", "watch", "maxErrorRate", "maxSlowdown")
_NOT_HERE = {
    "containerRegistry": "accounts of `wf registry` are tried",
    "repositories": "put the files into the image or into a model",
    "basicAuthKey": "the port is reached from this machine only",
    "autoscaling": "`wf deployments scale` changes the number of replicas",
}
_PROBES = ("liveness", "readiness", "startup")

Warn = Callable[[Problem], None]


def load_spec(path: Path, warn: Warn) -> DeploymentSpec:
    """Read a spec from a YAML or JSON file; raises `InvalidWorkflow` with everything that is wrong with it."""
    document = load(path)
    return _Reader(document, warn).read(document.data)


def parse_spec(data: object, warn: Warn = lambda problem: None) -> DeploymentSpec:
    """Read a spec from plain data; raises `InvalidWorkflow` with everything that is wrong with it."""
    return _Reader(None, warn).read(data)


class _Reader:
    """Takes values of the expected types out of plain data and collects what is wrong, with its place."""

    def __init__(self, document: Document | None, warn: Warn) -> None:
        self._document = document
        self._warn = warn
        self._problems: list[Problem] = []

    def read(self, data: object) -> DeploymentSpec:
        top = self._mapping(data, ())
        resources = self._mapping(top.get("resources"), ("resources",))
        self._note_unknown(top, _KEYS, ())
        self._note_unknown(resources, _RESOURCES, ("resources",))
        if not isinstance(top.get("image"), str):
            self._refuse((), "a deployment needs an `image`", "for example `image: tensorflow/serving`")
        env, secrets = self._env(top.get("env"))
        ports = resources.get("ports")
        port = ports[0] if isinstance(ports, list) and ports else top.get("port", 80)
        checks = "healthChecks" if "healthChecks" in top else "healthchecks"
        health = self._mapping(top.get(checks), (checks,))
        probes = {name: self._probe(health.get(name), (checks, name)) for name in _PROBES}
        grpc = top.get("grpcPort")
        memory = resources.get("memory")
        spec = DeploymentSpec(
            image=re.sub(r"^https?://", "", str(top.get("image"))),
            command=self._command(top.get("command"), ("command",)),
            env=env,
            secrets=secrets,
            port=self._whole(port, ("resources", "ports") if ports else ("port",)),
            grpc_port=None if grpc is None else self._whole(grpc, ("grpcPort",)),
            replicas=self._whole(resources.get("replicas", 1), ("resources", "replicas")),
            models=self._models(top.get("models"), ("models",)) + self._integrations(top.get("integrations")),
            cpus=None if resources.get("cpus") is None else self._number(resources["cpus"], ("resources", "cpus")),
            memory=None if memory is None else self._bytes(memory, ("resources", "memory")),
            prediction_log=self._prediction_log(top.get("predictionLog")),
            rollout=self._rollout(top.get("rollout")),
            enabled=top.get("enabled", True) is not False,
            **probes,
        )
        if self._problems:
            raise InvalidWorkflow(self._problems)
        return spec

    def _env(self, given: object) -> tuple[dict[str, str], dict[str, str]]:
        pairs: list[tuple[object, object, Loc]] = []
        if isinstance(given, dict):
            pairs = [(name, value, ("env", name)) for name, value in given.items()]
        elif given is not None:
            for index, each in enumerate(self._list(given, ("env",))):
                item = self._mapping(each, ("env", index))
                pairs.append((item.get("name"), item.get("value", ""), ("env", index)))
        env: dict[str, str] = {}
        secrets: dict[str, str] = {}
        for name, value, loc in pairs:
            if not isinstance(name, str) or isinstance(value, dict | list):
                self._refuse(loc, "a variable is `{name: NAME, value: TEXT}`")
                continue
            text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            if secret := parse_secret(text):
                secrets[name] = secret.name
            else:
                env[name] = text
        return env, secrets

    def _models(self, given: object, loc: Loc) -> tuple[ModelMount, ...]:
        if given is None:
            return ()
        items = [given] if isinstance(given, dict) else self._list(given, loc)
        return tuple(self._model(each, (*loc, index)) for index, each in enumerate(items))

    def _model(self, given: object, loc: Loc) -> ModelMount:
        item = self._mapping(given, loc)
        name = item.get("id") or item.get("name")
        if not isinstance(name, str):
            self._refuse(loc, "a model needs its `id`", "or the name of a model or dataset of this project")
        return ModelMount(str(name), str(item.get("path") or MODELS))

    def _integrations(self, given: object) -> tuple[ModelMount, ...]:
        found = []
        for index, each in enumerate(self._list(given, ("integrations",)) if given is not None else ()):
            loc: Loc = ("integrations", index)
            item = self._mapping(each, loc)
            if item.get("type") == "model":
                found.append(self._model(item, loc))
            else:
                self._refuse(loc, f"wf has no integration of type `{item.get('type')}`", "`model` is known")
        return tuple(found)

    def _prediction_log(self, given: object) -> PredictionLog | None:
        if given is None or given is False:
            return None
        loc: Loc = ("predictionLog",)
        known = PredictionLog()
        if given is True:
            return known
        item = self._mapping(given, loc)
        self._note_unknown(item, _PREDICTION_LOG, loc)
        size = item.get("maxBytes")
        return PredictionLog(
            sampling=self._number(item.get("sampling", known.sampling), (*loc, "sampling")),
            hashed=tuple(map(str, self._list(item.get("hash", []), (*loc, "hash")))),
            seconds=self._number(item.get("seconds", known.seconds), (*loc, "seconds")),
            max_bytes=known.max_bytes if size is None else self._bytes(size, (*loc, "maxBytes")) or known.max_bytes,
        )

    def _rollout(self, given: object) -> Rollout:
        loc: Loc = ("rollout",)
        item = self._mapping(given, loc)
        self._note_unknown(item, _ROLLOUT, loc)
        known = Rollout()
        return Rollout(
            strategy=item.get("strategy", known.strategy),
            percent=self._number(item.get("percent", known.percent), (*loc, "percent")),
            watch=self._number(item.get("watch", known.watch), (*loc, "watch")),
            max_error_rate=self._number(item.get("maxErrorRate", known.max_error_rate), (*loc, "maxErrorRate")),
            max_slowdown=self._number(item.get("maxSlowdown", known.max_slowdown), (*loc, "maxSlowdown")),
        )

    def _probe(self, given: object, loc: Loc) -> Probe | None:
        if given is None:
            return None
        item = self._mapping(given, loc)
        execute = self._mapping(item.get("exec"), (*loc, "exec"))
        port = item.get("port")
        known = Probe()
        return Probe(
            path=str(item["path"]) if item.get("path") is not None else None,
            command=self._command(execute.get("command"), (*loc, "exec", "command")),
            port=None if port is None else self._whole(port, (*loc, "port")),
            initial_delay=self._number(item.get("initialDelaySeconds", known.initial_delay), loc),
            period=self._number(item.get("periodSeconds", known.period), loc),
            timeout=self._number(item.get("timeoutSeconds", known.timeout), loc),
            failures=self._whole(item.get("failureThreshold", known.failures), loc),
        )

    def _command(self, given: object, loc: Loc) -> tuple[str, ...]:
        if isinstance(given, str):
            return ("/bin/sh", "-c", given)
        return tuple(map(str, self._list(given, loc))) if given is not None else ()

    def _mapping(self, given: object, loc: Loc) -> Mapping[str, Any]:
        if isinstance(given, dict):
            return given
        if given is not None or not loc:
            self._refuse(loc, f"`{loc[-1]}` is a mapping" if loc else "a deployment is described by a mapping")
        return {}

    def _list(self, given: object, loc: Loc) -> list[Any]:
        if isinstance(given, list):
            return given
        self._refuse(loc, f"`{loc[-1]}` is a list")
        return []

    def _whole(self, given: object, loc: Loc) -> int:
        if isinstance(given, int) and not isinstance(given, bool):
            return given
        if isinstance(given, str) and given.isdecimal():
            return int(given)
        self._refuse(loc, f"`{given}` is not a whole number")
        return 1

    def _number(self, given: object, loc: Loc) -> float:
        try:
            return float(given)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            self._refuse(loc, f"`{given}` is not a number")
            return 1.0

    def _bytes(self, given: object, loc: Loc) -> int | None:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", str(given).strip(), re.IGNORECASE)
        if match:
            return int(float(match[1]) * 1024 ** " kmgt".index(match[2].lower() or " "))
        self._refuse(loc, f"`{given}` is no size", "write `2GiB` or `512MiB`")
        return None

    def _note_unknown(self, given: Mapping[str, Any], known: tuple[str, ...], loc: Loc) -> None:
        for key in given:
            if key not in known:
                self._note((*loc, key), f"`{key}` means nothing in a deployment", f"known: {', '.join(known)}")
            elif key in _NOT_HERE:
                self._note((*loc, key), f"`{key}` is not followed", _NOT_HERE[key])

    def _note(self, loc: Loc, message: str, hint: str) -> None:
        span = self._document.key_span(loc) if self._document else None
        self._warn(Problem(message, span, hint, is_warning=True))

    def _refuse(self, loc: Loc, message: str, hint: str = "") -> None:
        self._problems.append(Problem(message, self._document.span(loc) if self._document else None, hint))
