"""Images that a real engine builds and finds again."""

import contextlib
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.backends.registry import Registry
from wf.backends.engine import find_engine
from wf.backends.images import Images, Wanted
from wf.backends.recipe import Recipe
from wf.errors import EnvironmentProblem
from wf.events import Event, Preparing
from wf.host import HostNetwork
from wf.plan import ProjectImage, RegistryImage
from wf.settings import DockerSettings

CA_TEXT = "-----BEGIN PLANTED CERTIFICATE-----"
PROXY = "http://someone:pr0xy-passw0rd@proxy.invalid:3128"
MIRROR = "http://mirror-us3r:m1rror-passw0rd@mirror.invalid/simple"


class Workshop:
    """A project with images, and everything that its builds have told."""

    def __init__(self, root: Path, base: str) -> None:
        self.root = root
        self.settings = DockerSettings(base_images=("no.registry.invalid/base", base))
        self.host = HostNetwork()
        self.told: list[Event] = []
        self.client = find_engine().connect()

    def write(self, name: str, dockerfile: str, **files: str) -> ProjectImage:
        """Make the folder of an image."""
        folder = self.root / "containers" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Dockerfile").write_text(dedent(dockerfile))
        for file, text in files.items():
            (folder / file).write_text(text)
        return ProjectImage(name, folder)

    def ensure(self, image: ProjectImage | RegistryImage, *, gpu: bool = False) -> str:
        """Have an image ready, as a new run would."""
        with contextlib.closing(Images(find_engine(), self.root, self.settings, self.host, self.told.append)) as images:
            wanted = Wanted(image, gpu)
            return images.ensure([wanted, wanted])[wanted]

    def find(self, image: ProjectImage | RegistryImage) -> str | None:
        """The id of an image that is there already, as a plan would look for it."""
        with contextlib.closing(Images(find_engine(), self.root, self.settings, self.host, self.told.append)) as images:
            return images.find(Wanted(image))

    def lines(self) -> list[str]:
        """What builds have told since the last time."""
        told, self.told = self.told, []
        return [event.line for event in told if isinstance(event, Preparing)]

    def run(self, image_id: str, *command: str) -> str:
        """What a command prints in an image."""
        container = self.client.create_container(image_id, command, network_disabled=True)["Id"]
        try:
            self.client.start(container)
            self.client.wait(container)
            return str(self.client.logs(container).decode())
        finally:
            self.client.remove_container(container, force=True)

    def dangling(self) -> set[str]:
        """Images without a name."""
        return set(self.client.images(filters={"dangling": True}, quiet=True))


@pytest.fixture
def workshop(tmp_path: Path, base_image: str) -> Iterator[Workshop]:
    """A project whose images are removed afterwards."""
    workshop = Workshop(tmp_path, base_image)
    yield workshop
    for tag in (tag for image in workshop.client.images() for tag in image["RepoTags"] or ()):
        if tag.startswith("wf/wf-test-"):
            workshop.client.remove_image(tag, force=True)
    workshop.client.close()


@pytest.mark.docker
def test_an_image_is_built_once_and_again_when_its_folder_changes(workshop: Workshop) -> None:
    """The tag is a hash of what went in: the same content is found, other content is built."""
    dockerfile = """
        ARG BASE_IMAGE
        FROM ${BASE_IMAGE}
        COPY data /data
    """
    image = workshop.write("wf-test-a", dockerfile, data="one")
    first = workshop.ensure(image)
    assert "Step 3/4 : COPY data /data" in workshop.lines()
    assert workshop.ensure(image) == first
    assert workshop.lines() == []
    assert workshop.run(first, "cat", "/data") == "one"
    workshop.write("wf-test-a", dockerfile, data="two")
    assert workshop.find(image) is None
    second = workshop.ensure(image)
    assert workshop.run(second, "cat", "/data") == "two"
    workshop.lines()
    assert workshop.find(image) == second
    above = workshop.write("wf-test-b", "ARG BELOW=containers/wf-test-a\nFROM ${BELOW}\n")
    assert workshop.find(above) is None
    assert workshop.find(RegistryImage("no.registry.invalid/other")) is None
    assert workshop.lines() == []


@pytest.mark.docker
def test_an_image_builds_on_another_of_the_project(workshop: Workshop) -> None:
    """An argument whose default is `containers/NAME` gets that folder's image, whose change is felt."""
    below = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nCOPY word /word\n"
    workshop.write("wf-test-below", below, word="one")
    image = workshop.write(
        "wf-test-above", "ARG BELOW=containers/wf-test-below\nFROM ${BELOW}\nRUN cat word > /again\n"
    )
    assert workshop.run(workshop.ensure(image), "cat", "/again") == "one"
    workshop.write("wf-test-below", below, word="two")
    assert workshop.run(workshop.ensure(image), "cat", "/again") == "two"


@pytest.mark.docker
def test_a_gpu_chooses_the_variant(workshop: Workshop) -> None:
    """VARIANT is `cuda` for a task with a GPU and `cpu` for others; what a project sets comes along."""
    workshop.settings = DockerSettings(workshop.settings.base_images, {"GREETING": "hello", "UNKNOWN": "x"})
    image = workshop.write(
        "wf-test-variant",
        """
        ARG BASE_IMAGE
        FROM ${BASE_IMAGE}
        ARG VARIANT
        ARG GREETING
        RUN echo $GREETING $VARIANT > /variant
        """,
    )
    assert workshop.run(workshop.ensure(image), "cat", "/variant") == "hello cpu\n"
    assert workshop.run(workshop.ensure(image, gpu=True), "cat", "/variant") == "hello cuda\n"


@pytest.mark.docker
def test_no_image_keeps_the_settings_of_this_machine(workshop: Workshop, tmp_path: Path) -> None:
    """A build can use CA bundle, proxies and mirrors; no layer and no configuration holds them, nor does the engine."""
    (tmp_path / "ca.pem").write_text(CA_TEXT)
    workshop.host = HostNetwork(
        tmp_path / "ca.pem", {"HTTP_PROXY": PROXY, "http_proxy": PROXY}, {"PIP_INDEX_URL": MIRROR}
    )
    image = workshop.write(
        "wf-test-clean",
        """
        ARG BASE_IMAGE
        FROM ${BASE_IMAGE} AS packages
        ARG PIP_INDEX_URL
        COPY Dockerfile ca-certificates.crt* /tmp/
        RUN mkdir /made && wc -c < /tmp/ca-certificates.crt > /made/seen \\
         && echo ${#HTTP_PROXY} ${#http_proxy} ${#PIP_INDEX_URL} >> /made/seen
        FROM ${BASE_IMAGE}
        COPY --from=packages /made /made
        """,
    )
    before = workshop.dangling()
    image_id = workshop.ensure(image)
    assert workshop.run(image_id, "cat", "/made/seen").split() == [
        str(len(text)) for text in (CA_TEXT, PROXY, PROXY, MIRROR)
    ]
    saved = b"".join(workshop.client.get_image(image_id))
    assert [text for text in (CA_TEXT, PROXY, MIRROR, "passw0rd") if text.encode() in saved] == []
    assert workshop.dangling() <= before


@pytest.mark.docker
def test_a_failed_build_shows_its_last_lines(workshop: Workshop) -> None:
    """The error names the image, what failed, and the end of the output, without colours."""
    image = workshop.write(
        "wf-test-broken", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo this went wrong >&2; exit 7\n"
    )
    before = workshop.dangling()
    with pytest.raises(EnvironmentProblem) as caught:
        workshop.ensure(image)
    first, *shown = str(caught.value).splitlines()
    assert first == (
        f"image `wf-test-broken` could not be built from {image.folder}: "
        "The command '/bin/sh -c echo this went wrong >&2; exit 7' returned a non-zero code: 7"
    )
    assert "  | this went wrong" in shown
    assert workshop.dangling() <= before


@pytest.mark.docker
def test_two_builders_of_one_image_build_it_once(workshop: Workshop) -> None:
    """The second `wf` waits for the first and finds the image there."""
    image = workshop.write("wf-test-twice", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN sleep 1\n")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(workshop.ensure(image))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = workshop.lines()
    assert found[0] == found[1]
    assert lines.count("Step 3/4 : RUN sleep 1") == 1
    assert "another wf is building it: waiting" in lines


@pytest.mark.docker
def test_images_cannot_build_on_themselves(workshop: Workshop) -> None:
    """A circle of images is named in order."""
    workshop.write("wf-test-egg", "ARG X=containers/wf-test-hen\nFROM ${X}\n")
    image = workshop.write("wf-test-hen", "ARG X=containers/wf-test-egg\nFROM ${X}\n")
    with pytest.raises(EnvironmentProblem) as caught:
        workshop.ensure(image)
    assert str(caught.value) == ("containers/wf-test-hen builds on itself: wf-test-hen <- wf-test-egg <- wf-test-hen")


@pytest.mark.docker
def test_a_folder_without_a_dockerfile_is_named(workshop: Workshop) -> None:
    """An image that nobody described cannot be built."""
    with pytest.raises(EnvironmentProblem) as caught:
        workshop.ensure(ProjectImage("nothing", workshop.root / "nothing"))
    place = workshop.root / "nothing/Dockerfile"
    assert str(caught.value) == f"image `nothing` cannot be built: {place}: No such file or directory"


@pytest.mark.docker
def test_no_base_image_at_all(workshop: Workshop) -> None:
    """Every base image that was tried is named with its reason, and what to do instead."""
    workshop.settings = DockerSettings(base_images=("no.registry.invalid/a", "no.registry.invalid/b"))
    with pytest.raises(EnvironmentProblem) as caught:
        workshop.ensure(workshop.write("wf-test-x", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"))
    starts = [line.split(" cannot be pulled: ")[0] for line in str(caught.value).splitlines()]
    assert starts == [f"image `no.registry.invalid/{name}` is not in the engine and" for name in "ab"]
    assert caught.value.hint == "WF_BASE_IMAGE names any other image that has Python 3.11."


@pytest.mark.docker
def test_a_base_image_is_made_where_none_can_be_pulled(workshop: Workshop, base_image: str) -> None:
    """The project's own program is run, its lines are shown, and the last of the base images is there after it."""
    made = "wf-test-made:latest"
    program = workshop.root / "bootstrap"
    program.write_text(f"#!/bin/sh\necho working\ndocker tag {base_image} {made}\n")
    program.chmod(0o755)
    workshop.settings = DockerSettings(base_images=("no.registry.invalid/a", made), base_bootstrap=program)
    try:
        workshop.ensure(workshop.write("wf-test-x", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"))
    finally:
        workshop.client.remove_image(made, force=True)
    assert [line for line in workshop.lines() if "cannot be pulled" not in line][:2] == [
        f"so {program} makes `{made}`",
        "working",
    ]


@pytest.mark.docker
def test_a_base_image_that_cannot_be_made(workshop: Workshop) -> None:
    """The error ends with what the program said."""
    program = workshop.root / "bootstrap"
    program.write_text("#!/bin/sh\necho this must run as root\nexit 3\n")
    program.chmod(0o755)
    workshop.settings = DockerSettings(base_images=("no.registry.invalid/a",), base_bootstrap=program)
    with pytest.raises(EnvironmentProblem) as caught:
        workshop.ensure(workshop.write("wf-test-x", "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"))
    assert str(caught.value).splitlines()[1:] == [
        f"{program} ended with 3 and `no.registry.invalid/a` is not there:",
        "  | this must run as root",
    ]


def recipe(folder: Path) -> Recipe:
    """The folder, read."""
    return Recipe.read(ProjectImage(folder.name, folder))


def test_the_digest_feels_every_change(tmp_path: Path) -> None:
    """Content, names, modes, links and arguments count; times do not."""
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "run").write_text("x")
    digests = [recipe(tmp_path).digest({})]
    (tmp_path / "run").touch()
    assert recipe(tmp_path).digest({}) == digests[0]
    (tmp_path / "run").chmod(0o755)
    digests.append(recipe(tmp_path).digest({}))
    (tmp_path / "run").rename(tmp_path / "walk")
    digests.append(recipe(tmp_path).digest({}))
    (tmp_path / "run").symlink_to("walk")
    digests.append(recipe(tmp_path).digest({}))
    digests.append(recipe(tmp_path).digest({"A": "b"}))
    assert len(set(digests)) == len(digests)


def test_folders_elsewhere_come_along_through_links(tmp_path: Path) -> None:
    """A builder sees nothing outside its context, so a linked folder's files are packed, and count."""
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "code.pyc").touch()
    (package / "code.py").write_text("1")
    image = tmp_path / "image"
    image.mkdir()
    (image / "Dockerfile").write_text("COPY package /package")
    (image / "package").symlink_to("../package")
    digest = recipe(image).digest({})
    packed = io.BytesIO()

    recipe(image).pack(packed, None)
    (package / "code.py").write_text("2")

    with tarfile.open(fileobj=packed) as tar:
        assert tar.getnames() == ["Dockerfile", "package/code.py"]
        assert tar.getmember("package/code.py").isreg()
    assert recipe(image).digest({}) != digest


def test_the_ca_bundle_is_packed_only_for_those_who_name_it(tmp_path: Path) -> None:
    """A Dockerfile that copies everything does not get the bundle by accident."""
    (tmp_path / "ca.pem").write_text(CA_TEXT)
    for name, dockerfile in (("a", "COPY . /app"), ("b", "COPY x ca-certificates.crt* /tmp/")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(dockerfile)
    names = {}
    for name in "ab":
        packed = io.BytesIO()
        recipe(tmp_path / name).pack(packed, tmp_path / "ca.pem")
        with tarfile.open(fileobj=packed) as tar:
            names[name] = tar.getnames()
    assert names == {"a": ["Dockerfile"], "b": ["Dockerfile", "ca-certificates.crt"]}


@pytest.mark.docker
def test_an_image_is_pulled_from_a_registry(workshop: Workshop) -> None:
    """An image that the engine lacks is pulled once, telling what comes; no tag means `latest` and nothing else."""
    if not find_engine().is_local:
        pytest.skip("the engine runs on another machine, which cannot reach a registry here")
    with Registry("tiny", ("latest", "old")) as registry:
        ref = f"{registry.address}/tiny"
        try:
            pulled = workshop.ensure(RegistryImage(ref))
            lines = workshop.lines()
            assert lines[0] == "latest: Pulling from tiny"
            assert lines[-1] == f"Status: Downloaded newer image for {ref}:latest"
            assert workshop.client.images(ref)[0]["RepoTags"] == [f"{ref}:latest"]
            assert workshop.ensure(RegistryImage(ref)) == pulled
            assert workshop.lines() == []
            with pytest.raises(EnvironmentProblem) as caught:
                workshop.ensure(RegistryImage(f"{ref}:new"))
            assert str(caught.value).startswith(f"image `{ref}:new` is not in the engine and cannot be pulled: ")
            assert str(caught.value).endswith("manifest unknown")
        finally:
            workshop.client.remove_image(f"{ref}:latest")
