"""Inputs and outputs of jobs: where each comes from, and whether it is what the action wants."""

from collections.abc import Mapping
from difflib import get_close_matches

from wf.actions.base import Ports, Process
from wf.compile.notes import Notes, did_you_mean, list_of
from wf.graph import waits_for
from wf.matrix import Matrix, Member
from wf.plan import (
    DatasetRef,
    GatheredOutput,
    InputSource,
    SharedVolume,
    TaskInput,
    TaskOutput,
    Text,
    UpstreamOutput,
)
from wf.references import LATEST, JobOutput, WorkflowInput, parse_dataset, parse_input
from wf.spec import InputSpec, IOSpec, Job, Reading


class PortCompiler:
    """The inputs and outputs of one workflow."""

    def __init__(
        self,
        notes: Notes,
        reading: Reading,
        needs: Mapping[str, tuple[str, ...]],
        values: Mapping[str, str],
        processes: Mapping[str, Process],
    ) -> None:
        self._notes = notes
        self._workflow = reading.workflow
        self._broken = reading.broken
        self._matrices = reading.matrices
        self._members = reading.members
        self._needs = needs
        self._values = values
        self._processes = processes
        self._writers: dict[tuple[str, str], str] = {}

    def inputs(self, name: str, job: Job, process: Process | None) -> tuple[TaskInput, ...]:
        """What a job reads."""
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
            if "://" in spec:
                hint = "fetch it in a job of its own, for example with `git-checkout@v1`, and read what that wrote"
            self._notes.add(f"job `{job}`: `{spec}` is not a reference", *loc, hint=hint)
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
            case "volume" if self._is_shared(str(loc[-1])):
                message = f"the volume `{loc[-1]}` is one that all jobs of the run share"
                hint = "write it under `outputs:` of the job that fills it, and `JOB.outputs.NAME` in the others"
                self._notes.add(message, *loc, hint=hint, is_warning=True)
                return SharedVolume(str(loc[-1]))
            case "volume":
                hint = "take another job's volume: `JOB.outputs.NAME`"
                self._notes.add("an input of type `volume` needs a job that wrote it", *loc, hint=hint)
            case _ if not spec.optional:
                wanted = "with: {ref: NAME}" if spec.type == "dataset" else "with: {value: TEXT}"
                self._notes.add(f"this {spec.type} has nothing to read: add `{wanted}`", *loc)
        return None

    def _is_shared(self, volume: str) -> bool:
        """Whether several jobs have a volume of this name among their inputs, and none among its outputs."""
        jobs = self._workflow.jobs.values()
        ports = (job.inputs.get(volume) for job in jobs)
        readers = sum(isinstance(port, IOSpec) and port.type == "volume" for port in ports)
        return readers > 1 and not any(volume in job.outputs for job in jobs)

    def _dataset(self, ref: str, *loc: str | int) -> DatasetRef | None:
        if parse_dataset(ref):
            return DatasetRef(ref)
        hint = "write `name`, `namespace/name`, or either with `:version`"
        self._notes.add(f"`{ref}` cannot name a dataset", *loc, "with", "ref", hint=hint)
        return None

    def _workflow_input(self, port: str, name: str, *loc: str | int) -> TaskInput | None:
        spec = self._workflow.inputs.get(name)
        if spec is None:
            self._notes.unknown_input(name, self._workflow.inputs, *loc)
            return None
        if name not in self._values:
            return None
        value = self._values[name]
        source = self._dataset(value, "inputs", name) if spec.type == "dataset" else Text(value)
        return TaskInput(port, spec.type, source) if source else None

    def _job_output(self, job: str, port: str, reference: JobOutput, wanted: str | None) -> TaskInput | None:
        loc = ("jobs", job, "inputs", port)
        text = f"{reference.job}.outputs.{reference.name}"
        matrix = self._matrices.get(reference.job)
        like = self._like(job, matrix) if matrix else None
        if matrix and not like and job in self._members and matrix.is_like(self._members[job][1]):
            if matrix.job not in self._workflow.jobs[job].needs:
                self._notes.add(f"job `{job}` reads `{text}`, whose matrix lacks its own values", *loc)
            return None  # else told about its needs
        writers = [like.id] if like else [each.id for each in matrix.members] if matrix else [reference.job]
        upstream = self._workflow.jobs.get(writers[0])
        if upstream is None:
            hint = did_you_mean(reference.job, {**self._workflow.jobs, **self._matrices})
            self._notes.add(f"job `{job}` reads `{text}`: there is no job `{reference.job}`", *loc, hint=hint)
            return None
        if not self._broken.isdisjoint(writers):
            return None
        if reference.name not in upstream.outputs:
            hint = did_you_mean(reference.name, upstream.outputs) or list_of("it has", upstream.outputs)
            self._notes.add(f"job `{job}` reads `{text}`: that job has no output `{reference.name}`", *loc, hint=hint)
            return None
        if not waits_for(self._needs, job, writers):
            hint = f"add `{reference.job}` to the job's `needs`"
            self._notes.add(f"job `{job}` reads `{text}` but does not need `{reference.job}`", *loc, hint=hint)
            return None
        form, kind = self._format(writers[0], reference.name), upstream.outputs[reference.name].type
        source: InputSource = UpstreamOutput(writers[0], reference.name)
        if matrix and not like:
            source = GatheredOutput(matrix.job, reference.name, tuple((each.id, each.entry) for each in matrix.members))
            kind, form = "volume", f"{form}[]" if form else None
        if wanted and form and form != wanted:
            self._notes.add(f"job `{job}` reads `{wanted}` from `{port}`, but `{text}` holds `{form}`", *loc)
            return None
        return TaskInput(port, kind, source)

    def _like(self, job: str, matrix: Matrix) -> Member | None:
        """The one member of a matrix that the job has to do with, where it is itself one of a matrix that is alike."""
        return matrix.counterpart(self._members[job][1]) if job in self._members else None

    def _format(self, job: str, output: str) -> str | None:
        process = self._processes.get(job)
        return process.writes.formats.get(output) if process and process.writes else None

    def outputs(self, name: str, job: Job, process: Process | None) -> tuple[TaskOutput, ...]:
        """What a job leaves."""
        writes = process.writes if process else None
        if writes:
            self._check_ports(name, "output", "writes", list(job.outputs), writes)
        outputs = []
        for port, spec in job.outputs.items():
            loc = ("jobs", name, "outputs", port)
            if spec.type == "dataset" and spec.with_.ref is None:
                self._notes.add(f"job `{name}`: the dataset `{port}` has no name: add `with: {{ref: NAME}}`", *loc)
            elif spec.type == "dataset" and spec.with_.ref and not self._dataset(spec.with_.ref, *loc):
                continue
            elif writes and spec.type == "string":
                self._notes.add(f"job `{name}`: `{port}` is a folder: use `volume` or `dataset`", *loc, "type")
            form = writes.formats.get(port) if writes else None
            dataset = self._written_dataset(name, spec.with_.ref, *loc) if spec.type == "dataset" else None
            self._check_shared(name, dataset, *loc)
            outputs.append(TaskOutput(port, spec.type, dataset, form))
        return tuple(outputs)

    def _check_shared(self, job: str, dataset: str | None, *loc: str | int) -> None:
        """Members of a matrix may not write versions of one dataset: which of them would be the latest?"""
        if job not in self._members or dataset is None:
            return
        writer = self._writers.setdefault((self._members[job][0].job, dataset), job)
        if writer != job:
            hint = "write `type: volume`, or take the name from the matrix: `with: {ref: matrix.NAME}`"
            self._notes.add(f"job `{job}`: all members of its matrix write the dataset `{dataset}`", *loc, hint=hint)

    def _written_dataset(self, job: str, ref: str | None, *loc: str | int) -> str | None:
        named = parse_dataset(ref or "")
        if named and named.version != LATEST:
            message = f"job `{job}`: `:{named.version}` means nothing here: every success makes a new version"
            self._notes.add(message, *loc, "with", "ref", is_warning=True)
        return named.dataset if named else None

    def _check_ports(self, job: str, kind: str, verb: str, given: list[str], ports: Ports) -> None:
        section = f"{kind}s"
        for port in given:
            if port not in ports.formats:
                near = get_close_matches(port, ports.formats, n=1, cutoff=0.5)
                hint = f"did you mean `{near[0]}`?" if near else list_of(f"it {verb}", ports.formats)
                self._notes.add(
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
                self._notes.add(message, "jobs", job, section, at_key=True, hint=hint)
