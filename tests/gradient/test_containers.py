"""§6, the contract of containers, and §4.1, their paths: one workflow for each statement, in real Docker."""

import pytest

from tests.gradient.project import Gradient
from tests.harness import tree
from tests.programs.git_server import Repository
from wf.store import Store

pytestmark = pytest.mark.docker


def test_s6_the_working_directory_is_the_images(opinionated: Gradient) -> None:
    """Scripts count on it."""
    assert opinionated.script("pwd") == ["/srv/app"]


def test_s6_the_working_directory_is_the_top_where_the_image_names_none(gradient: Gradient) -> None:
    """So `inputs/x` and `outputs/x` lead somewhere."""
    assert gradient.script("pwd; ls -d inputs outputs") == ["/", "inputs", "outputs"]


def test_s6_the_user_is_the_images(opinionated: Gradient) -> None:
    """And may write where the format promises it."""
    log = opinionated.script(
        "id -u; touch /inputs/x /outputs/x /outputs/files/x && echo written", "outputs: {files: {type: volume}}"
    )

    assert log == ["1234", "written"]


def test_s6_root_may_change_the_whole_image(gradient: Gradient) -> None:
    """It installs packages there."""
    assert gradient.script("id -u; mkdir /trained-model && touch /usr/bin/new && echo written") == ["0", "written"]


def test_s6_a_script_runs_over_the_entrypoint(opinionated: Gradient) -> None:
    """In bash, found on the image's PATH."""
    assert opinionated.script('echo "${BASH_VERSION:+bash}"; type bash') == ["bash", "bash is /usr/bin/bash"]


def test_s6_a_script_goes_on_after_a_failed_line(gradient: Gradient) -> None:
    """There is no `set -e`: its last command decides."""
    assert gradient.script("false\necho on") == ["on"]
    assert gradient.story() == ["A succeeded"]


def test_s6_the_last_command_is_the_end_of_a_script(gradient: Gradient) -> None:
    """Its exit code is the job's."""
    gradient.script("true\n(exit 7)")

    assert gradient.story() == ["A failed: exited with code 7"]


def test_s6_a_script_is_one_bash(gradient: Gradient) -> None:
    """Directories, variables and functions last; documents inside it work; a first line `#!` is harmless."""
    log = gradient.script('#!/bin/sh\ncd /tmp\nexport X=1\nf() { echo "$X $PWD"; }\nf\ncat <<END\nthere\nEND')

    assert log == ["1 /tmp", "there"]


def test_s1_a_folded_script_breaks_at_blank_lines(gradient: Gradient) -> None:
    """The text is what YAML makes of it."""
    gradient.run(
        "jobs:\n  A:\n    uses: script@v1\n    with:\n      image: IMAGE\n      script: >-\n"
        "        echo one\n        two\n\n        echo three\n"
    )

    assert gradient.log("A") == ["one two", "three"]


@pytest.mark.parametrize(
    ("parameters", "log"),
    [
        ("", ["entrypoint command"]),
        ("args: [a, $CITY]", ["entrypoint a $CITY"]),
        ("command: printenv, args: [CITY]", ["Oslo"]),
        ("command: [echo, own]", ["own"]),
    ],
)
def test_s7_1_args_are_the_command_and_command_the_entrypoint(
    opinionated: Gradient, parameters: str, log: list[str]
) -> None:
    """As Kubernetes means these words: `command` alone runs without the image's arguments; no shell expands them."""
    opinionated.run(f"jobs: {{A: {{uses: container@v1, with: {{image: IMAGE, {parameters}}}}}}}")

    assert opinionated.log("A") == log


def test_s5_env_is_merged_from_the_image_the_defaults_and_the_job(opinionated: Gradient) -> None:
    """The later ones win, name by name."""
    opinionated.run(
        """
        defaults: {env: {CITY: Rome, LAKE: Como}}
        jobs:
          A:
            uses: script@v1
            with: {image: IMAGE, script: 'echo $RIVER $CITY $LAKE'}
          B:
            uses: script@v1
            with: {image: IMAGE, script: 'echo $RIVER $CITY $LAKE'}
            env: {LAKE: Garda}
        """
    )

    assert (opinionated.log("A"), opinionated.log("B")) == (["Aker Rome Como"], ["Aker Rome Garda"])


def test_s5_env_is_not_expanded(gradient: Gradient) -> None:
    """`$` in a value is text; only the container's shell expands."""
    gradient.run(
        "jobs: {A: {uses: script@v1, with: {image: IMAGE, script: 'echo \"$B\"'}, env: {A: '1', B: '$A and ${A}'}}}"
    )

    assert gradient.log("A") == ["$A and ${A}"]


def test_s5_a_secret_fills_a_variable_and_no_log(gradient: Gradient) -> None:
    """The prefix may be in any case."""
    gradient.run(
        """
        jobs:
          A:
            uses: script@v1
            with: {image: IMAGE, script: 'echo "$KEY"; echo ${#KEY}'}
            env: {KEY: "SECRET:my-key"}
        """,
        **{"my-key": "hunter2-hunter2"},
    )

    assert gradient.log("A") == ["***", "15"]


def test_s4_1_inputs_and_outputs_are_always_there(gradient: Gradient) -> None:
    """Ordinary folders that a job may write to, even where nothing is declared; nothing of it is kept."""
    log = gradient.script("ls /inputs; mkdir /inputs/test-results; echo x > /outputs/out.mp4; ls /inputs /outputs")

    assert log == ["/inputs:", "test-results", "", "/outputs:", "out.mp4"]
    assert gradient.story() == [
        "A note: dropped /outputs/out.mp4: not among the job's `outputs`",
        "A succeeded",
    ]


def test_s4_1_output_folders_exist_and_are_empty(gradient: Gradient) -> None:
    """So a copied folder lands in it, as deployments expect."""
    gradient.script(
        "mkdir /model && touch /model/saved_model.pb\nls -A /outputs/model\ncp -R /model /outputs/model",
        "outputs: {model: {type: dataset, with: {ref: models}}}",
    )

    assert gradient.log("A") == []
    assert tree(gradient.output("A", "model")) == {"model": "/", "model/saved_model.pb": ""}


def test_s4_1_an_input_copied_to_outputs_merges_into_its_output(gradient: Gradient) -> None:
    """An input and an output of one job may have the same name."""
    gradient.run(
        """
        jobs:
          Clone:
            uses: script@v1
            with: {image: IMAGE, script: echo hi > /outputs/repo/file}
            outputs: {repo: {type: volume}}
          Use:
            needs: [Clone]
            uses: script@v1
            with: {image: IMAGE, script: cp -R /inputs/repo /outputs}
            inputs: {repo: Clone.outputs.repo}
            outputs: {repo: {type: volume}}
        """
    )

    assert tree(gradient.output("Use", "repo")) == {"file": "hi\n"}


def test_s4_1_strings_keep_every_byte(gradient: Gradient) -> None:
    """The line end that `echo` writes arrives; none is added where none was."""
    gradient.run(
        """
        jobs:
          Write:
            uses: script@v1
            with: {image: IMAGE, script: echo one > /outputs/with; printf two > /outputs/without}
            outputs: {with: {type: string}, without: {type: string}}
          Read:
            needs: [Write]
            uses: script@v1
            with: {image: IMAGE, script: "cat /inputs/* | od -An -c"}
            inputs:
              a: Write.outputs.with
              b: Write.outputs.without
              c: {type: string, with: {value: three}}
        """
    )

    assert [line.split() for line in gradient.log("Read")] == [[*"one", "\\n", *"twothree"]]


def test_s4_1_a_string_that_was_not_written_fails_the_job(gradient: Gradient) -> None:
    """With the name of the file."""
    gradient.script("true", "outputs: {model-id: {type: string}}")

    assert gradient.story() == ["A failed: it did not write the file /outputs/model-id, which it declares as an output"]


def test_s4_1_links_stay_links(gradient: Gradient) -> None:
    """They are neither followed nor made absolute."""
    gradient.script(
        "ln -s /etc/passwd /outputs/files/out; ln -s one /outputs/files/two; touch /outputs/files/one",
        "outputs: {files: {type: volume}}",
    )

    assert tree(gradient.output("A", "files")) == {"one": "", "out": "-> /etc/passwd", "two": "-> one"}


def test_s3_a_failed_job_stops_those_that_need_it_and_nothing_else(gradient: Gradient) -> None:
    """Other branches finish."""
    result = gradient.run(
        """
        jobs:
          Fail: {uses: script@v1, with: {image: IMAGE, script: exit 1}}
          After: {needs: [Fail], uses: script@v1, with: {image: IMAGE, script: echo never}}
          Other: {uses: script@v1, with: {image: IMAGE, script: sleep 0.5}}
          Last: {needs: [Other], uses: script@v1, with: {image: IMAGE, script: echo last}}
        """
    )

    assert result.jobs == {"Fail": "failed", "After": "skipped", "Other": "succeeded", "Last": "succeeded"}


def test_s2_a_workflow_that_takes_too_long_is_stopped(gradient: Gradient) -> None:
    """Its `timeout` is in seconds, for all jobs together."""
    gradient.run(
        """
        timeout: 2
        jobs: {A: {uses: script@v1, with: {image: IMAGE, script: 'trap "exit 1" TERM; sleep 60 & wait'}}}
        """
    )

    assert gradient.story() == ["A failed: the workflow timed out after 2 s"]


def test_s7_3_a_checkout_feeds_a_container(gradient: Gradient) -> None:
    """The program runs on this machine, the script in Docker, and the files pass from one to the other."""
    repository = Repository(gradient.root / "repository")
    repository.commit(README_md="checked out")
    path = gradient.root / "repository" / "flow"
    path.mkdir()

    Gradient(path, gradient.image).run(
        """
        jobs:
          Clone:
            uses: git-checkout@v1
            with: {url: context.event.github.url}
            outputs: {repo: {type: volume}}
          Read:
            needs: [Clone]
            uses: script@v1
            with: {image: IMAGE, script: cat /inputs/repo/README.md}
            inputs: {repo: Clone.outputs.repo}
        """
    )

    assert "checked out" in (Store.open(path).layout.job(1, "Read").log).read_text()
