"""Workflow -> Plan. Every name, type, reference and parameter is checked here: nothing wrong reaches a container.

All problems are collected and raised together.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from wf.actions import find_action
from wf.actions.base import Complain, Ports, Process
from wf.actions.create_model import check_model_ports
from wf.errors import InvalidWorkflow, Problem
from wf.graph import find_cycle, in_order
from wf.plan import (
    DatasetRef,
    InputSource,
    Plan,
    Resources,
    SecretRef,
    Task,
    TaskInput,
    TaskOutput,
    Text,
    UpstreamOutput,
)
from wf.references import LATEST, NAME, JobOutput, WorkflowInput, parse_dataset, parse_input, parse_secret
from wf.source import Document, load, scalar
from wf.spec import InputSpec, IOSpec, Job, Reading, read_workflow


def compile_file(path: Path, root: Path, settings: Mapping[str, str] | None = None) -> tuple[Plan, list[Problem]]:
    """Read a workflow file and compile it.

    Args:
        path: the workflow file.
        root: the project's folder.
        settings: values for the workflow's inputs, by name.

    Returns:
        The plan, and warnings.

    Raises:
        InvalidWorkflow: with all problems of the file.
    """
    document = load(path)
    return _Compiler(document, read_workflow(document), root, settings or {}).compile()


class _Compiler:
    """One compilation. Methods add to `problems` and go on, so that all are found."""

    def __init__(self, document: Document, reading: Reading, root: Path, settings: Mapping[str, str]) -> None:
        self.document = document
        self.workflow = reading.workflow
        self.broken = reading.broken
        self.root = root
        self.settings = settings
        self.problems = list(reading.problems)
        self.inputs: dict[str, str] = {}
        self.processes: dict[str, Process] = {}

    def compile(self) -> tuple[Plan, list[Problem]]:
        self._check_names()
        self.inputs = self._workflow_inputs()
        order = self._order()
        whole = [name for name in order if name not in self.broken]
        for name in whole:
            if process := self._process(name):
                self.processes[name] = process
        tasks = [task for name in whole if (task := self._task(name))]
        if any(not problem.is_warning for problem in self.problems):
            raise InvalidWorkflow(self.problems)
        return Plan(self.document.path, self.root, tuple(tasks), self.inputs), self.problems

    def _add(
        self, message: str, *loc: str | int, hint: str = "", at_key: bool = False, is_warning: bool = False
    ) -> None:
        span = self.document.key_span(loc) if at_key else self.document.span(loc)
        self.problems.append(Problem(message, span, hint, is_warning))

    def _complain(self, job: str) -> Complain:
        def complain(message: str, *where: str | int, hint: str = "", is_warning: bool = False) -> None:
            self._add(f"job `{job}`: {message}", "jobs", job, *where, hint=hint, is_warning=is_warning)

        return complain

    # Names and order

    def _check_names(self) -> None:
        if not self.workflow.jobs:
            self._add("the workflow has no jobs", "jobs", at_key=True)
        for name, job in self.workflow.jobs.items():
            self._check_name(name, "job", "jobs", name)
            for ports in ("inputs", "outputs"):
                for port in getattr(job, ports):
                    self._check_name(port, ports.removesuffix("s"), "jobs", name, ports, port)

    def _check_name(self, name: str, kind: str, *loc: str | int) -> None:
        if not re.fullmatch(NAME, name):
            self._add(f"`{name}` cannot name a {kind}: use letters, digits, `-` and `_`", *loc, at_key=True)

    def _order(self) -> list[str]:
        jobs = self.workflow.jobs
        needs: dict[str, list[str]] = {}
        for name, job in jobs.items():
            needs[name] = []
            for index, need in enumerate(job.needs):
                if need in jobs:
                    needs[name].append(need)
                else:
                    hint = _did_you_mean(need, jobs)
                    self._add(f"job `{name}` needs unknown job `{need}`", "jobs", name, "needs", index, hint=hint)
        if cycle := find_cycle(needs):
            path = " -> ".join(f"`{name}`" for name in cycle)
            message = f"job {path.split(' ')[0]} needs itself" if len(cycle) == 2 else f"jobs need one another: {path}"
            self._add(message, "jobs", cycle[0], "needs")
            raise InvalidWorkflow(self.problems)
        return in_order(needs)

    def _needs(self, job: str, other: str) -> bool:
        """Whether `job` waits for `other`, directly or through other jobs."""
        seen: set[str] = set()
        waiting = [job]
        while waiting:
            for need in self.workflow.jobs[waiting.pop()].needs:
                if need == other:
                    return True
                if need not in seen and need in self.workflow.jobs:
                    seen.add(need)
                    waiting.append(need)
        return False

    # The workflow's inputs

    def _workflow_inputs(self) -> dict[str, str]:
        declared = self.workflow.inputs
        for name in self.settings:
            if name not in declared:
                hint = _did_you_mean(name, declared) or (
                    f"it has {', '.join(f'`{known}`' for known in declared)}" if declared else "it has none"
                )
                self.problems.append(Problem(f"the workflow has no input `{name}` to set", hint=hint))
        values = {}
        for name, spec in declared.items():
            self._check_name(name, "workflow input", "inputs", name)
            given = self.settings.get(name, spec.with_.ref if spec.type == "dataset" else spec.with_.value)
            if given is not None:
                values[name] = given
            elif not spec.optional:
                hint = f"give it one here, or with `--set {name}=...`"
                self._add(f"the input `{name}` has no value", "inputs", name, at_key=True, hint=hint)
        return values

    # One job

    def _process(self, name: str) -> Process | None:
        job = self.workflow.jobs[name]
        if job.uses is None:
            self._add(f"job `{name}` has no `uses`", "jobs", name, at_key=True, hint="for example `uses: script@v1`")
            return None
        complain = self._complain(name)
        action = find_action(self.root, job.uses, complain)
        parameters = self._parameters(name, job)
        return action(parameters, complain) if action else None

    def _parameters(self, name: str, job: Job) -> dict[str, object]:
        """`with:` with every `workflow.inputs.x` replaced by its value; one without a value is left out."""
        parameters: dict[str, object] = {}
        for key, value in job.with_.items():
            reference = parse_input(value) if isinstance(value, str) else None
            parameters[key] = value
            if isinstance(value, str) and "${{" in value:
                hint = "write the reference alone, for example `workflow.inputs.epochs`"
                self._add(
                    f"job `{name}`: `${{{{ }}}}` means nothing in this format",
                    "jobs",
                    name,
                    "with",
                    key,
                    hint=hint,
                )
            elif isinstance(reference, WorkflowInput):
                del parameters[key]
                if reference.name not in self.workflow.inputs:
                    self._unknown_input(reference.name, "jobs", name, "with", key)
                elif reference.name in self.inputs:
                    parameters[key] = scalar(self.inputs[reference.name])
            elif isinstance(reference, JobOutput) and reference.job in self.workflow.jobs:
                hint = "declare it under `inputs:`; the job finds it at `/inputs/NAME`"
                self._add(
                    f"job `{name}`: what another job writes is not known yet when `with` is read",
                    "jobs", name, "with", key, hint=hint,
                )  # fmt: skip
        return parameters

    def _unknown_input(self, name: str, *loc: str | int) -> None:
        hint = _did_you_mean(name, self.workflow.inputs) or "declare it under `inputs:` at the top of the file"
        self._add(f"the workflow has no input `{name}`", *loc, hint=hint)

    def _task(self, name: str) -> Task | None:
        job = self.workflow.jobs[name]
        process = self.processes.get(name)
        inputs = self._inputs(name, job, process)
        outputs = self._outputs(name, job, process)
        env, secrets = self._environment(name, job)
        if process is None:
            return None
        if process.model:
            types = {given.name: given.type for given in inputs}
            check_model_ports(
                {port: types.get(port) for port in job.inputs},
                {port: spec.type for port, spec in job.outputs.items()},
                self._complain(name),
            )
        return Task(
            id=name,
            action=job.uses or "",
            image=process.image,
            entrypoint=process.entrypoint,
            command=process.command,
            span=self.document.key_span(("jobs", name)),
            parameters=process.parameters,
            env=env,
            secrets=secrets,
            inputs=inputs,
            outputs=outputs,
            local_files=process.local_files,
            needs=job.needs,
            resources=self._resources(job, process),
            timeout=job.timeout,
            is_step=process.is_step,
            model=process.model,
            network=process.network,
            network_with=process.network_with,
            cache=process.cache,
            # A job without outputs runs for its effect, which nobody can keep, and a model is made anew each time.
            reuse=job.cache and bool(job.outputs) and process.model is None,
            state=process.state,
        )

    def _resources(self, job: Job, process: Process) -> Resources:
        own, default = job.resources, self.workflow.defaults.resources
        gpus = own.gpus if own.gpus is not None else default.gpus
        return Resources(
            cpus=own.cpus or default.cpus,
            memory=own.memory or default.memory,
            gpus=process.gpus if gpus is None else gpus,
            instance_type=own.instance_type or default.instance_type,
        )

    def _environment(self, name: str, job: Job) -> tuple[dict[str, str], dict[str, SecretRef]]:
        env: dict[str, str] = {}
        secrets: dict[str, SecretRef] = {}
        places = (
            (self.workflow.defaults.env, ("defaults", "env")),
            (job.env, ("jobs", name, "env")),
        )
        for values, loc in places:
            for variable, value in values.items():
                env.pop(variable, None)
                secrets.pop(variable, None)
                if not re.fullmatch(r"[^=\0]+", variable) or "\0" in value:
                    self._add(f"`{variable}` cannot be an environment variable", *loc, variable, at_key=True)
                elif secret := parse_secret(value):
                    secrets[variable] = SecretRef(secret.name, secret.optional)
                else:
                    env[variable] = value
        return env, secrets

    # Inputs and outputs

    def _inputs(self, name: str, job: Job, process: Process | None) -> tuple[TaskInput, ...]:
        reads = process.reads if process else None
        if reads:
            self._check_ports(name, "input", "reads", list(job.inputs), reads)
        inputs = []
        for port, spec in job.inputs.items():
            if found := self._input(name, port, spec, reads.formats.get(port) if reads else None):
                inputs.append(found)
        return tuple(inputs)

    def _input(self, job: str, port: str, spec: InputSpec, wanted: str | None) -> TaskInput | None:
        loc = ("jobs", job, "inputs", port)
        if isinstance(spec, IOSpec):
            source = self._source(spec, *loc)
            return TaskInput(port, spec.type, source) if source else None
        reference = parse_input(spec)
        if reference is None:
            hint = "write `workflow.inputs.NAME` or `JOB.outputs.NAME`"
            self._add(f"job `{job}`: `{spec}` is not a reference", *loc, hint=hint)
            return None
        if isinstance(reference, WorkflowInput):
            return self._workflow_input(port, reference.name, *loc)
        return self._job_output(job, port, reference, wanted)

    def _source(self, spec: IOSpec, *loc: str | int) -> InputSource | None:
        """Where an input with a spec of its own comes from, or nothing if it may be left out or is wrong."""
        match spec.type:
            case "dataset" if spec.with_.ref is not None:
                return self._dataset(spec.with_.ref, *loc)
            case "string" if spec.with_.value is not None:
                return Text(spec.with_.value)
            case "volume":
                hint = "take another job's volume: `JOB.outputs.NAME`"
                self._add("an input of type `volume` needs a job that wrote it", *loc, hint=hint)
            case _ if not spec.optional:
                wanted = "with: {ref: NAME}" if spec.type == "dataset" else "with: {value: TEXT}"
                self._add(f"this {spec.type} has nothing to read: add `{wanted}`", *loc)
        return None

    def _dataset(self, ref: str, *loc: str | int) -> DatasetRef | None:
        if parse_dataset(ref):
            return DatasetRef(ref)
        hint = "write `name`, `namespace/name`, or either with `:version`"
        self._add(f"`{ref}` cannot name a dataset", *loc, "with", "ref", hint=hint)
        return None

    def _workflow_input(self, port: str, name: str, *loc: str | int) -> TaskInput | None:
        spec = self.workflow.inputs.get(name)
        if spec is None:
            self._unknown_input(name, *loc)
            return None
        if name not in self.inputs:
            return None
        value = self.inputs[name]
        source = self._dataset(value, "inputs", name) if spec.type == "dataset" else Text(value)
        return TaskInput(port, spec.type, source) if source else None

    def _job_output(self, job: str, port: str, reference: JobOutput, wanted: str | None) -> TaskInput | None:
        loc = ("jobs", job, "inputs", port)
        text = f"{reference.job}.outputs.{reference.name}"
        upstream = self.workflow.jobs.get(reference.job)
        if upstream is None:
            hint = _did_you_mean(reference.job, self.workflow.jobs)
            self._add(f"job `{job}` reads `{text}`: there is no job `{reference.job}`", *loc, hint=hint)
            return None
        if reference.job in self.broken:
            return None
        if reference.name not in upstream.outputs:
            hint = _did_you_mean(reference.name, upstream.outputs) or _list_of("it has", upstream.outputs)
            self._add(f"job `{job}` reads `{text}`: that job has no output `{reference.name}`", *loc, hint=hint)
            return None
        if not self._needs(job, reference.job):
            hint = f"add `{reference.job}` to the job's `needs`"
            self._add(f"job `{job}` reads `{text}` but does not need `{reference.job}`", *loc, hint=hint)
            return None
        written = self._format(reference)
        if wanted and written and written != wanted:
            self._add(f"job `{job}` reads `{wanted}` from `{port}`, but `{text}` holds `{written}`", *loc)
            return None
        return TaskInput(port, upstream.outputs[reference.name].type, UpstreamOutput(reference.job, reference.name))

    def _format(self, output: JobOutput) -> str | None:
        process = self.processes.get(output.job)
        return process.writes.formats.get(output.name) if process and process.writes else None

    def _outputs(self, name: str, job: Job, process: Process | None) -> tuple[TaskOutput, ...]:
        writes = process.writes if process else None
        if writes:
            self._check_ports(name, "output", "writes", list(job.outputs), writes)
        outputs = []
        for port, spec in job.outputs.items():
            loc = ("jobs", name, "outputs", port)
            if spec.type == "dataset" and spec.with_.ref is None:
                self._add(f"job `{name}`: the dataset `{port}` has no name: add `with: {{ref: NAME}}`", *loc)
            elif spec.type == "dataset" and spec.with_.ref and not self._dataset(spec.with_.ref, *loc):
                continue
            elif writes and spec.type == "string":
                self._add(f"job `{name}`: `{port}` is a folder: use `volume` or `dataset`", *loc, "type")
            form = writes.formats.get(port) if writes else None
            dataset = self._written_dataset(name, spec.with_.ref, *loc) if spec.type == "dataset" else None
            outputs.append(TaskOutput(port, spec.type, dataset, form))
        return tuple(outputs)

    def _written_dataset(self, job: str, ref: str | None, *loc: str | int) -> str | None:
        named = parse_dataset(ref or "")
        if named and named.version != LATEST:
            message = f"job `{job}`: `:{named.version}` means nothing here: every success makes a new version"
            self._add(message, *loc, "with", "ref", is_warning=True)
        return named.dataset if named else None

    def _check_ports(self, job: str, kind: str, verb: str, given: list[str], ports: Ports) -> None:
        section = f"{kind}s"
        for port in given:
            if port not in ports.formats:
                near = get_close_matches(port, ports.formats, n=1, cutoff=0.5)
                hint = f"did you mean `{near[0]}`?" if near else _list_of(f"it {verb}", ports.formats)
                self._add(
                    f"job `{job}`: its step {verb} no `{port}`",
                    "jobs",
                    job,
                    section,
                    port,
                    hint=hint,
                    at_key=True,
                )
        for port, form in ports.formats.items():
            if port not in given and port not in ports.optional:
                example = "JOB.outputs.NAME" if kind == "input" else "{type: volume}"
                hint = f"add `{port}: {example}` under `{section}:`"
                message = f"job `{job}`: its step {verb} `{port}` ({form}), which is not among the {section}"
                self._add(message, "jobs", job, section, at_key=True, hint=hint)


def _did_you_mean(name: str, known: Mapping[str, object]) -> str:
    by_case = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return f"did you mean `{by_case[near[0]]}`?" if near else ""


def _list_of(intro: str, names: Mapping[str, object]) -> str:
    return f"{intro} {', '.join(f'`{name}`' for name in names)}" if names else f"{intro} none"
