"""What `wf run` and `wf resume` have in common: a plan is carried out and told about."""

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wf.commands.answers import Answers
from wf.commands.shared import open_store, sweep
from wf.errors import Interrupted, TaskFailed
from wf.plan import Plan
from wf.runner import Reuse, run_plan
from wf.store import Store
from wf.store.resume import Settings, Unfinished

if TYPE_CHECKING:
    from wf.backends.choose import Search


def carry_out(
    plan: Plan,
    settings: Settings,
    output: Literal["live", "plain", "json"],
    *,
    store: Store | None = None,
    resumes: Unfinished | None = None,
    search: "Search | None" = None,
) -> int:
    """Run a plan, or go on with a run of it; how it went is told by the report, and by the exit code.

    `search` is one for an engine that was begun before.
    """
    from wf.backends.choose import choose
    from wf.report import open_report
    from wf.secrets import load_secrets
    from wf.settings import load_settings

    project = load_settings(plan.root)
    backend, reason = choose(settings.backend, plan.root, project, search)
    if store is None:
        store = open_store(plan.root)
    secrets = load_secrets(
        store.layout.folder,
        environ=os.environ,
        env_file=Path(settings.secrets) if settings.secrets else None,
    )
    answers = Answers(plan.root, project, secrets)
    with closing(answers), open_report(output, store, sys.stdout) as emit:
        result = run_plan(
            plan,
            backend=backend,
            store=store,
            secrets=secrets,
            emit=emit,
            jobs=settings.jobs,
            reuse=Reuse(allowed=settings.reuse, forced=frozenset(settings.forced)),
            log_limit=settings.log_limit,
            backend_reason=reason,
            handlers=(answers,),
            settings=settings,
            resumes=resumes,
        )
    sweep(store, plan.root, keep=store.claims.held_runs(), workflow=store.history.run(result.run).workflow)
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if result.state == "cancelled":
        raise Interrupted("stopped")
    if result.state != "succeeded":
        raise TaskFailed("a job failed")
    return 0
