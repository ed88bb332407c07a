"""`with:` of jobs: every reference replaced by what it stands for."""

from collections.abc import Collection

from wf.compile.notes import Notes, did_you_mean, list_of
from wf.references import CONTEXT, ContextValue, JobOutput, WorkflowInput, parse_context, parse_input
from wf.source import scalar
from wf.spec import Job, Reading
from wf.worktree import WorkTree, find_work_tree


class ParameterCompiler:
    """The parameters of one workflow's jobs.

    Args:
        to_run: a run is to follow, so what this machine must have for it is missed now.
    """

    def __init__(self, notes: Notes, reading: Reading, values: dict[str, str], *, to_run: bool) -> None:
        self._notes = notes
        self._workflow = reading.workflow
        self._written = {*reading.workflow.jobs, *reading.matrices}
        self._values = values
        self._to_run = to_run
        self._folder = notes.document.path.resolve().parent
        self._work_tree: WorkTree | None = None

    def parameters(self, name: str, job: Job) -> dict[str, object]:
        """The parameters of one job; those that refer to something without a value are left out."""
        found = {}
        for key, value in job.with_.items():
            self._notes.expressions(f"job `{name}`: ", value, "jobs", name, "with", key)
            resolved = self._resolve(name, value, "jobs", name, "with", key) if isinstance(value, str) else value
            if resolved is not None:
                found[key] = resolved
        return found

    def cache_key(self, name: str, job: Job) -> str:
        """What a job adds to its key; nothing where it refers to something without a value."""
        if job.cache is None or job.cache.key is None:
            return ""
        place = ("jobs", name, "cache", "key")
        self._notes.expressions(f"job `{name}`: ", job.cache.key, *place)
        reference = parse_input(job.cache.key)
        if isinstance(reference, JobOutput) and reference.job in self._written:
            hint = "leave it out: what the job reads counts already"
            self._notes.add(f"job `{name}`: what another job writes is not known yet", *place, hint=hint)
            return ""
        found = self._resolve(name, job.cache.key, *place)
        return "" if found is None else str(found)

    def ignored_env(self, name: str, job: Job, known: Collection[str]) -> frozenset[str]:
        """The variables whose values do not count; each must be one that the job has."""
        names = job.cache.ignore_env if job.cache else ()
        for index, variable in enumerate(names):
            if variable not in known:
                hint = did_you_mean(variable, dict.fromkeys(known)) or list_of("it has", dict.fromkeys(known))
                message = f"job `{name}` has no variable `{variable}` to ignore"
                self._notes.add(message, "jobs", name, "cache", "ignore-env", index, hint=hint)
        return frozenset(names)

    def _resolve(self, job: str, value: str, *loc: str | int) -> object:
        if "." not in value:
            return value
        if context := parse_context(value):
            return self._context(job, value, context, *loc)
        match parse_input(value):
            case WorkflowInput(name) if name not in self._workflow.inputs:
                self._notes.unknown_input(name, self._workflow.inputs, *loc)
            case WorkflowInput(name):
                return scalar(self._values[name]) if name in self._values else None
            case JobOutput(other) if other in self._written:
                hint = "declare it under `inputs:`; the job finds it at `/inputs/NAME`"
                message = f"job `{job}`: what another job writes is not known yet when `with` is read"
                self._notes.add(message, *loc, hint=hint)
            case _:
                return value
        return None

    def _context(self, job: str, written: str, wanted: ContextValue, *loc: str | int) -> object:
        """What the file's `context:` says, or else the work tree around it and its commit."""
        given = self._workflow.context.event.github
        match wanted.name:
            case "url" if given.url:
                return given.url
            case "ref" if given.ref or given.url:
                return given.ref
            case "url" | "ref":
                tree = self._work_tree or find_work_tree(self._folder)
                self._work_tree = tree
                if tree is None:
                    hint = f"make it one, or write its address below `{CONTEXT}` under `context:`"
                    message = (
                        f"job `{job}`: `{written}` is about the git repository around this file, and there is none"
                    )
                    self._notes.add(message, *loc, hint=hint, is_warning=not self._to_run)
                    return self._folder if wanted.name == "url" else None
                return tree.path if wanted.name == "url" else tree.commit
        hint = did_you_mean(wanted.name, {"url": 0, "ref": 0}) or f"there are `{CONTEXT}.url` and `{CONTEXT}.ref`"
        self._notes.add(f"job `{job}`: `{written}` is not known", *loc, hint=hint)
        return None
