"""What the engine is told of a container that goes on after `wf`."""

from wf.backends.service import Service, to_container


def test_a_service_comes_back_whatever_ended_the_engine() -> None:
    """An engine that was killed ends its containers when it begins anew, and takes them to be stopped on purpose."""
    made = to_container(Service(name="it", image="sha256:1", labels={}, network="net"))

    assert made["HostConfig"]["RestartPolicy"] == {"Name": "always"}
