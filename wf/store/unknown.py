"""What to say of a dataset, version or model that is not there."""

from wf.errors import EnvironmentProblem
from wf.store.database import Connection

_SHOWN = 5


def unknown_dataset(db: Connection, name: str) -> EnvironmentProblem:
    """With the name that was probably meant, and the way to bring it in."""
    from difflib import get_close_matches

    known = [row[0] for row in db.execute("SELECT name FROM datasets UNION SELECT alias FROM dataset_aliases")]
    near = get_close_matches(name, known, n=2)
    meant = f"Did you mean {' or '.join(f'`{each}`' for each in near)}? If not, import it" if near else "Import it"
    return EnvironmentProblem(
        f"there is no dataset `{name}` in this project", hint=f"{meant}: `wf datasets import {name} PATH`."
    )


def unknown_version(db: Connection, dataset: str, version: str) -> EnvironmentProblem:
    """With the tags and the newest versions that there are."""
    tags = [row[0] for row in db.execute("SELECT name FROM dataset_tags WHERE dataset = ? ORDER BY name", (dataset,))]
    newest = "SELECT version FROM dataset_versions WHERE dataset = ? ORDER BY id DESC LIMIT ?"
    versions = [row[0] for row in db.execute(newest, (dataset, _SHOWN))]
    if not versions:
        hint = f"Import one: `wf datasets import {dataset} PATH`."
        return EnvironmentProblem(f"dataset `{dataset}` has no version yet", hint=hint)
    hint = f"Its newest versions: {', '.join(versions)}." + (f" Its tags: {', '.join(tags)}." if tags else "")
    return EnvironmentProblem(f"dataset `{dataset}` has no version `{version}`", hint=hint)


def unknown_model(db: Connection, ref: str) -> EnvironmentProblem:
    """With the name that was probably meant."""
    from difflib import get_close_matches

    known = [row[0] for row in db.execute("SELECT DISTINCT name FROM models")]
    near = get_close_matches(ref, known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else "`wf models list` shows those that there are."
    return EnvironmentProblem(f"there is no model `{ref}` in this project", hint=hint)
