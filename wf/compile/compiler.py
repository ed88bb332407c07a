"""Workflow -> Plan. Every name, type, reference and parameter is checked here: nothing wrong reaches a container.

All problems are collected and raised together.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from wf.actions import find_action
from wf.actions.base import Complain, Process
from wf.actions.create_model import check_model_ports
from wf.bulk import in_bulk
from wf.compile.conditions import ConditionCompiler
from wf.compile.notes import Notes, did_you_mean
from wf.compile.parameters import ParameterCompiler
from wf.compile.ports import PortCompiler
from wf.control.control import API_KEY
from wf.errors import InvalidWorkflow, Problem
from wf.graph import find_cycle, in_order
from wf.matrix import told_once
from wf.plan import ONCE, GatheredOutput, MatrixMember, Plan, Resources, Retry, SecretRef, SharedVolume, Task, TaskInput
from wf.references import NAME, parse_context, parse_input, parse_secret
from wf.source import load
from wf.spec import Job, Reading, read_workflow

_NAME = re.compile(NAME)


@in_bulk()
def compile_file(
    path: Path, root: Path, settings: Mapping[str, str] | None = None, *, to_run: bool = True
) -> tuple[Plan, list[Problem]]:
    """Read a workflow file and compile it.

    Args:
        path: the workflow file.
        root: the project's folder.
        settings: values for the workflow's inputs, by name.
        to_run: a run is to follow: an input without a value is an error, and not only worth a warning.

    Returns:
        The plan, and warnings.

    Raises:
        InvalidWorkflow: with all problems of the file.
    """
    reading = read_workflow(load(path), settings or {})
    try:
        plan, warnings = _Compiler(reading, root, settings or {}, to_run=to_run).compile()
    except InvalidWorkflow as error:
        raise InvalidWorkflow(told_once(error.problems, reading.matrices)) from None
    return plan, told_once(warnings, reading.matrices)


class _Compiler:
    """One compilation. Methods add to `problems` and go on, so that all are found."""

    def __init__(self, reading: Reading, root: Path, settings: Mapping[str, str], *, to_run: bool) -> None:
        self.document = reading.document
        self.workflow = reading.workflow
        self.matrices = reading.matrices
        self.members = reading.members
        self.broken = reading.broken
        self.root = root
        self.settings = settings
        self.to_run = to_run
        self.notes = Notes(self.document, list(reading.problems))
        self.inputs: dict[str, str] = {}
        self.processes: dict[str, Process] = {}
        self.parameters = ParameterCompiler(self.notes, reading, self.inputs, to_run=to_run)
        self.needs: dict[str, tuple[str, ...]] = {}
        self.conditions = ConditionCompiler(self.notes, reading, self.needs, self.inputs)
        self.ports = PortCompiler(self.notes, reading, self.needs, self.inputs, self.processes)

    def compile(self) -> tuple[Plan, list[Problem]]:
        self._check_names()
        self.inputs.update(self._workflow_inputs())
        order = self._order()
        whole = [name for name in order if name not in self.broken]
        for name in whole:
            if process := self._process(name):
                self.processes[name] = process
        tasks = [task for name in whole if (task := self._task(name))]
        if any(not problem.is_warning for problem in self.notes.problems):
            raise InvalidWorkflow(self.notes.problems)
        plan = Plan(self.document.path, self.root, tuple(tasks), self.inputs, self.workflow.timeout, self.document.data)
        return plan, self.notes.problems

    def _complain(self, job: str) -> Complain:
        def complain(message: str, *where: str | int, hint: str = "", is_warning: bool = False) -> None:
            self.notes.add(f"job `{job}`: {message}", "jobs", job, *where, hint=hint, is_warning=is_warning)

        return complain

    # Names and order

    def _check_names(self) -> None:
        if not self.workflow.jobs:
            self.notes.add("the workflow has no jobs", "jobs", at_key=True)
        self._check_environment("", self.workflow.defaults.env, "defaults", "env")
        for name, job in self.workflow.jobs.items():
            self._check_name(self._written(name), "job", "jobs", name)
            self._check_environment(f"job `{name}`: ", job.env, "jobs", name, "env")
            for ports in ("inputs", "outputs"):
                for port in getattr(job, ports):
                    self._check_name(port, ports.removesuffix("s"), "jobs", name, ports, port)

    def _check_name(self, name: str, kind: str, *loc: str | int) -> None:
        if not _NAME.fullmatch(name):
            self.notes.add(f"`{name}` cannot name a {kind}: use letters, digits, `-` and `_`", *loc, at_key=True)

    def _written(self, name: str) -> str:
        """What the file calls a job."""
        return self.members[name][0].job if name in self.members else name

    def _order(self) -> list[str]:
        jobs = self.workflow.jobs
        written = dict.fromkeys(map(self._written, jobs))
        for name, job in jobs.items():
            found: list[str] = []
            for index, need in enumerate(job.needs):
                if need in written:
                    found += self._needed(name, need, index)
                else:
                    hint = did_you_mean(need, written)
                    self.notes.add(f"job `{name}` needs unknown job `{need}`", "jobs", name, "needs", index, hint=hint)
            self.needs[name] = tuple(dict.fromkeys(found))
        needs = self.needs
        order = in_order(needs)
        if len(order) < len(needs):
            cycle = find_cycle(needs)
            path = " -> ".join(f"`{name}`" for name in cycle)
            message = f"job {path.split(' ')[0]} needs itself" if len(cycle) == 2 else f"jobs need one another: {path}"
            self.notes.add(message, "jobs", cycle[0], "needs")
            raise InvalidWorkflow(self.notes.problems)
        return order

    def _needed(self, name: str, need: str, index: int) -> list[str]:
        """The jobs that stand behind a name under `needs`: of a matrix all members, or the one that is alike."""
        matrix = self.matrices.get(need)
        if matrix is None:
            return [need]
        member = self.members[name][1] if name in self.members else None
        if member is None or not matrix.is_like(member):
            return [each.id for each in matrix.members]
        if like := matrix.counterpart(member):
            return [like.id]
        shown = ", ".join(f"{variable}: {member.combination[variable].text}" for variable in sorted(matrix.variables))
        message = f"job `{name}` needs `{need}` with `{shown}`, which is not in that job's matrix"
        self.notes.add(message, "jobs", name, "needs", index)
        return []

    # The workflow's inputs

    def _workflow_inputs(self) -> dict[str, str]:
        declared = self.workflow.inputs
        for name in self.settings:
            if name not in declared:
                hint = did_you_mean(name, declared) or (
                    f"it has {', '.join(f'`{known}`' for known in declared)}" if declared else "it has none"
                )
                self.notes.problems.append(Problem(f"the workflow has no input `{name}` to set", hint=hint))
        values = {}
        for name, spec in declared.items():
            self._check_name(name, "workflow input", "inputs", name)
            given = self.settings.get(name, spec.with_.ref if spec.type == "dataset" else spec.with_.value)
            if given is not None:
                values[name] = given
            elif not spec.optional:
                hint = f"give it one here, or with `--set {name}=...`"
                message = f"the input `{name}` has no value" + ("" if self.to_run else ": a run will need one")
                self.notes.add(message, "inputs", name, at_key=True, hint=hint, is_warning=not self.to_run)
        return values

    # One job

    def _process(self, name: str) -> Process | None:
        job = self.workflow.jobs[name]
        if job.uses is None:
            self.notes.add(
                f"job `{name}` has no `uses`", "jobs", name, at_key=True, hint="for example `uses: script@v1`"
            )
            return None
        complain = self._complain(name)
        outputs = {output: spec.type for output, spec in job.outputs.items()}
        action = find_action(self.root, job.uses, outputs, complain)
        parameters = self.parameters.parameters(name, job)
        return action(parameters, complain) if action else None

    def _task(self, name: str) -> Task | None:
        job = self.workflow.jobs[name]
        process = self.processes.get(name)
        inputs = self.ports.inputs(name, job, process)
        outputs = self.ports.outputs(name, job, process)
        env, secrets = self._environment(job)
        if process is None:
            return None
        if process.model:
            self._check_one_model(name, inputs)
            types = {given.name: given.type for given in inputs}
            check_model_ports(
                {port: types.get(port) for port in job.inputs},
                {port: spec.type for port, spec in job.outputs.items()},
                self._complain(name),
            )
        shares = any(isinstance(given.source, SharedVolume) for given in inputs)
        return Task(
            id=name,
            action=job.uses or "",
            image=process.image,
            entrypoint=process.entrypoint,
            command=process.command,
            span=self.document.key_span(("jobs", name)),
            parameters=process.parameters,
            defaulted=process.defaulted,
            accounts=self._accounts(process),
            env=env,
            secrets={**secrets, **process.secrets},
            inputs=inputs,
            inputs_mode="shared" if shares else "cow",
            outputs=outputs,
            local_files=process.local_files,
            needs=self.needs[name],
            resources=self._resources(job, process),
            timeout=job.timeout,
            is_step=process.is_step,
            model=process.model,
            network=process.network,
            network_with=process.network_with,
            control=process.control,
            cache=process.cache,
            # A job without outputs runs for its effect, which nobody can keep, and a model is made anew each time.
            reuse=job.cache is not None
            and process.reuse
            and bool(job.outputs)
            and process.model is None
            and not shares,
            cache_key=self.parameters.cache_key(name, job),
            ignored_env=self.parameters.ignored_env(name, job, {**env, **secrets}),
            state=process.state,
            member=self._member(name, job),
            retry=Retry(job.retry.attempts, job.retry.backoff, job.retry.on) if job.retry else ONCE,
            condition=self.conditions.condition(name, job),
        )

    def _accounts(self, process: Process) -> tuple[str, ...]:
        own = process.parameters.get("containerRegistry")
        names = [own] if isinstance(own, str) else []
        return tuple(dict.fromkeys([*names, *self.workflow.defaults.resources.container_registries]))

    def _member(self, name: str, job: Job) -> MatrixMember | None:
        if name not in self.members or job.strategy is None:
            return None
        matrix, member = self.members[name]
        return MatrixMember(matrix.job, member.values, job.strategy.max_parallel, job.strategy.fail_fast)

    def _check_one_model(self, name: str, inputs: tuple[TaskInput, ...]) -> None:
        for given in inputs:
            if isinstance(given.source, GatheredOutput):
                hint = f"give this job the matrix of `{given.source.job}`: then each registers its own"
                message = f"job `{name}` registers one model, and `{given.source.job}` leaves many"
                self.notes.add(message, "jobs", name, "inputs", given.name, hint=hint)

    def _resources(self, job: Job, process: Process) -> Resources:
        own, default = job.resources, self.workflow.defaults.resources
        gpus = own.gpus if own.gpus is not None else default.gpus
        return Resources(
            cpus=own.cpus or default.cpus,
            memory=own.memory or default.memory,
            pids=own.pids or default.pids,
            gpus=process.gpus if gpus is None else gpus,
            instance_type=own.instance_type or default.instance_type,
        )

    def _environment(self, job: Job) -> tuple[dict[str, str], dict[str, SecretRef]]:
        env: dict[str, str] = {}
        secrets: dict[str, SecretRef] = {}
        for values in (self.workflow.defaults.env, job.env):
            for variable, value in values.items():
                env.pop(variable, None)
                secrets.pop(variable, None)
                if secret := parse_secret(value):
                    secrets[variable] = SecretRef(secret.name, secret.optional or variable == API_KEY)
                else:
                    env[variable] = value
        return env, secrets

    def _check_environment(self, owner: str, env: Mapping[str, str], *loc: str) -> None:
        for variable, value in env.items():
            if not re.fullmatch(r"[^=\0]+", variable) or "\0" in value:
                self.notes.add(f"{owner}`{variable}` cannot be an environment variable", *loc, variable, at_key=True)
            self.notes.expressions(owner, value, *loc, variable)
            if parse_input(value) or parse_context(value):
                hint = "references stand under `with` and `inputs`; a string input is the file `/inputs/NAME`"
                self.notes.add(
                    f"{owner}`{value}` is passed on as this text", *loc, variable, hint=hint, is_warning=True
                )
