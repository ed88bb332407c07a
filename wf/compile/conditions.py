"""`if:` of jobs: one of three words, or one reference compared with one value."""

import re
from collections.abc import Mapping
from typing import Final, Literal, cast

from wf.compile.notes import Notes, did_you_mean, list_of
from wf.graph import waits_for
from wf.plan import SUCCESS, Comparison, Condition, JobMetric, JobResult, Scalar, Text, UpstreamOutput
from wf.references import JobOutput, Metric, Result, WorkflowInput, parse_fact
from wf.source import scalar
from wf.spec import Job, Reading

_WORDS: Final[Mapping[str, Literal["success", "failure", "anything"]]] = {
    "success()": "success",
    "failure()": "failure",
    "always()": "anything",
}
_VALUE: Final = r""" "[^"]*" | '[^']*' | [^\s"'&|()<>=!]+ """
_COMPARISON: Final = re.compile(rf"([^\s=!<>]+) \s* (==|!=|<=|>=|<|>) \s* ({_VALUE})", re.VERBOSE)
_RESULTS: Final = ("succeeded", "failed", "skipped", "cancelled")
_FORMS: Final = "write `success()`, `failure()`, `always()`, or `REFERENCE == VALUE` (also `!=`, `<`, `<=`, `>`, `>=`)"

Operator = Literal["==", "!=", "<", "<=", ">", ">="]


class ConditionCompiler:
    """The conditions of one workflow."""

    def __init__(
        self, notes: Notes, reading: Reading, needs: Mapping[str, tuple[str, ...]], values: Mapping[str, str]
    ) -> None:
        self._notes = notes
        self._workflow = reading.workflow
        self._broken = reading.broken
        self._matrices = reading.matrices
        self._members = reading.members
        self._needs = needs
        self._values = values

    def condition(self, name: str, job: Job) -> Condition:
        """When a job runs."""
        text = job.if_.strip()
        if text == SUCCESS.text:
            return SUCCESS
        if text in _WORDS:
            return Condition(text, _WORDS[text])
        match = _COMPARISON.fullmatch(text)
        fact = parse_fact(match[1]) if match else None
        if match is None or fact is None:
            near = did_you_mean(text, _WORDS)
            self._notes.add(f"job `{name}`: `{text}` is not a condition", "jobs", name, "if", hint=near or _FORMS)
            return SUCCESS
        subject = self._subject(name, fact, match[1])
        operator, value = cast("Operator", match[2]), scalar(match[3])
        if subject is None or not self._fits(name, subject, operator, value):
            return SUCCESS
        after: Literal["success", "anything"] = "anything" if isinstance(subject, JobResult) else "success"
        return Condition(text, after, Comparison(subject, operator, cast("Scalar", value)))

    def _fits(self, name: str, subject: object, operator: Operator, value: object) -> bool:
        loc = ("jobs", name, "if")
        if not isinstance(value, Scalar):
            self._notes.add(f"job `{name}`: it can be compared with text, a number or a truth value only", *loc)
        elif operator not in ("==", "!=") and (isinstance(value, bool) or not isinstance(value, int | float)):
            self._notes.add(f"job `{name}`: `{operator}` compares numbers, and `{value}` is none", *loc)
        elif isinstance(subject, JobResult) and (operator not in ("==", "!=") or value not in _RESULTS):
            hint = f"a result is {', '.join(f'`{result}`' for result in _RESULTS)}"
            self._notes.add(f"job `{name}`: no job can have the result `{value}`", *loc, hint=hint)
        else:
            return True
        return False

    def _subject(
        self, name: str, fact: WorkflowInput | JobOutput | Result | Metric, text: str
    ) -> Text | UpstreamOutput | JobMetric | JobResult | None:
        loc = ("jobs", name, "if")
        if isinstance(fact, WorkflowInput):
            if fact.name not in self._workflow.inputs:
                self._notes.unknown_input(fact.name, self._workflow.inputs, *loc)
                return None
            return Text(self._values.get(fact.name, ""))
        job = self._one_job(name, fact.job, text)
        if job is None:
            return None
        if isinstance(fact, Result):
            return JobResult(job)
        if isinstance(fact, Metric):
            return JobMetric(job, fact.name)
        outputs = self._workflow.jobs[job].outputs
        if fact.name in outputs and outputs[fact.name].type == "string":
            return UpstreamOutput(job, fact.name)
        texts = {port: spec for port, spec in outputs.items() if spec.type == "string"}
        hint = did_you_mean(fact.name, texts) or list_of("of type `string` it has", texts)
        self._notes.add(f"job `{name}`: `{text}` is not an output of type `string`", *loc, hint=hint)
        return None

    def _one_job(self, name: str, other: str, text: str) -> str | None:
        """The job that a reference names, if the job `name` waits for it, and it is one."""
        loc = ("jobs", name, "if")
        if matrix := self._matrices.get(other):
            member = matrix.counterpart(self._members[name][1]) if name in self._members else None
            if member is None:
                hint = "read an output of all of them in a job, and let that decide"
                self._notes.add(
                    f"job `{name}`: `{text}` is about many jobs, as `{other}` has a matrix", *loc, hint=hint
                )
                return None
            other = member.id
        if other not in self._workflow.jobs:
            hint = did_you_mean(other, {**self._workflow.jobs, **self._matrices})
            self._notes.add(f"job `{name}`: `{text}`: there is no job `{other}`", *loc, hint=hint)
        elif not waits_for(self._needs, name, [other]):
            hint = f"add `{other}` to the job's `needs`"
            self._notes.add(f"job `{name}` asks for `{text}` but does not need `{other}`", *loc, hint=hint)
        elif other not in self._broken:
            return other
        return None
