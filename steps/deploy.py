"""Let a deployment serve a registered model, and take it back if it does not hold."""

import json
import sys
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from steps.entry import Step, StepError, StepInputs, TextList, Workspace, run_step
from steps.formats import DECISION, DEPLOYMENT, MODEL_ID


class Inputs(StepInputs):
    """What serves, and how it takes over."""

    deployment: str = Field("recommender", min_length=1, description="the name of the deployment")
    image: str = Field("tensorflow/serving", min_length=1, description="a model server with TensorFlow Serving's API")
    model_name: str = Field("recommender", pattern=r"^[A-Za-z0-9_.-]+$", description="the model's name in its address")
    replicas: int = Field(1, ge=1, le=32, description="how many containers serve")
    strategy: Literal["rolling", "blue-green", "canary", "shadow"] = Field("rolling", description="how it takes over")
    percent: float = Field(10.0, gt=0, lt=100, description="the share of requests of a canary or a shadow")
    watch: float = Field(10.0, ge=0, description="seconds for which it is watched while it has requests")
    max_error_rate: float = Field(0.05, ge=0, le=1, description="the share of its answers that may be errors")
    max_slowdown: float = Field(3.0, ge=1, description="so many times may it take what the model before takes")
    prediction_log: bool = Field(True, description="whether what is asked and answered is kept, as Parquet")
    log_sampling: float = Field(1.0, gt=0, le=1, description="the share of requests that is kept")
    log_hash: TextList = Field((), description="inputs kept as hashes; the secret PREDICTION_LOG_KEY is their key")


STEP = Step(
    name="deploy",
    summary="Roll a registered model out to a deployment, ask it something, and go back if it does not hold.",
    inputs=Inputs,
    reads={"model_id": MODEL_ID, "decision": DECISION},
    writes={"deployment": DEPLOYMENT},
    optional=frozenset({"decision"}),
    control=True,
)

_BASE = "/models"


def run(inputs: Inputs, work: Workspace) -> None:
    """Ask `wf` for it, and for a first prediction."""
    from steps.control import ask

    model = work.input("model_id").read_text().strip()
    why = f"model {model}"
    decision = work.input("decision") / "decision.json"
    if decision.exists():
        why += f"; {json.loads(decision.read_text())['why']}"
    status = f"/v1/models/{inputs.model_name}"
    env = {"MODEL_BASE_PATH": _BASE, "MODEL_NAME": inputs.model_name}
    if inputs.log_hash:
        env["PREDICTION_LOG_KEY"] = "secret:PREDICTION_LOG_KEY"
    log = {"sampling": inputs.log_sampling, "hash": inputs.log_hash} if inputs.prediction_log else False
    spec = {
        "image": inputs.image,
        "env": env,
        "port": 8501,
        "grpcPort": 8500,
        "predictionLog": log,
        "models": [{"id": model, "path": f"{_BASE}/{inputs.model_name}"}],
        "resources": {"replicas": inputs.replicas},
        "healthChecks": {
            "readiness": {"path": status, "periodSeconds": 2, "timeoutSeconds": 2},
            "liveness": {"path": status, "periodSeconds": 10, "timeoutSeconds": 5},
        },
        "rollout": {
            "strategy": inputs.strategy,
            "percent": inputs.percent,
            "watch": inputs.watch,
            "maxErrorRate": inputs.max_error_rate,
            "maxSlowdown": inputs.max_slowdown,
        },
    }
    print(f"rolling {model} out to `{inputs.deployment}`: {inputs.strategy}", flush=True)
    done = ask("PUT", f"deployments/{inputs.deployment}", {"spec": spec, "why": why})
    if done is None:
        raise StepError("this wf keeps no deployments")
    probe = [{"user": "no such user", "movie": "No Such Title"}]
    answered = ask("POST", f"deployments/{inputs.deployment}/predict", {"rows": probe})["ratings"]
    url = f"http://{done['endpoint']}{status}:predict"
    kept = {key: done[key] for key in ("name", "id", "revision", "state", "endpoint", "grpc_endpoint")}
    (work.output("deployment") / "deployment.json").write_text(
        json.dumps({**kept, "url": url, "model": model}, indent=2)
    )
    if done["shadow"]:
        print(f"revision {done['shadow']['revision']} gets copies of requests: see `wf deployments get`", flush=True)
    print(f"revision {done['revision']} serves at {url}; an unknown user and title get {answered[0]:.2f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from a command line; see `steps.entry.run_step`."""
    return run_step(STEP, run, argv)


if __name__ == "__main__":
    sys.exit(main())
