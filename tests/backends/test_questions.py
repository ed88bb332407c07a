"""What is asked of an engine without the SDK: against a socket that says what the test wants."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wf.backends.questions import RefusalError, ask, follow

Speak = Callable[..., str]


@pytest.fixture
def speak(tmp_path: Path) -> Iterator[Speak]:
    """Makes an engine that answers one question with these bytes, each sent by itself; gives its address."""
    listeners = []

    def listen(*parts: bytes) -> str:
        listener = socket.socket(socket.AF_UNIX)
        listeners.append(listener)
        listener.bind(str(tmp_path / "engine.sock"))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                for part in parts:
                    connection.sendall(part)

        threading.Thread(target=answer, daemon=True).start()
        return f"unix://{tmp_path / 'engine.sock'}"

    yield listen
    for each in listeners:
        each.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
OUTPUT = b"HTTP/1.1 101 UPGRADED\r\n\r\n"
FRAMES = b"\x01\0\0\0\0\0\0\x04one\n" + b"\x02\0\0\0\0\0\0\x04two\n" + b"\x01\0\0\0\0\0\0\0"


def test_an_answer_is_its_json(speak: Speak) -> None:
    """Its headers are known by their names in lower case."""
    answer = ask(speak(HEAD, b'{"a":', b" 1}"), "/x", 5)
    assert (answer.status, answer.value, answer.headers["content-type"]) == (200, {"a": 1}, "application/json")


@pytest.mark.parametrize("parts", [[], [b"hello"], [HEAD, b'{"a":']])
def test_an_answer_without_sense_is_an_error(speak: Speak, parts: list[bytes]) -> None:
    """Whatever answers there is no engine, or is one that has just died."""
    with pytest.raises(ConnectionError) as caught:
        ask(speak(*parts), "/x", 5)
    assert str(caught.value) == "its answer makes no sense"


@pytest.mark.parametrize("cut", range(1, len(FRAMES)))
def test_output_arrives_whole_however_it_is_cut(speak: Speak, cut: int) -> None:
    """Standard output and error come in the order in which they were sent, without the heads of their frames."""
    output = follow(speak(OUTPUT + FRAMES[:cut], FRAMES[cut:]), "/x", 5, "POST")
    assert b"".join(output.chunks) == b"one\ntwo\n"
    output.close()


@pytest.mark.parametrize("length", [3, 9, 11])
def test_output_that_ends_within_a_frame_broke_off(speak: Speak, length: int) -> None:
    """An engine that dies in the middle of it did not say that it was all."""
    output = follow(speak(OUTPUT + FRAMES[:length]), "/x", 5)
    with pytest.raises(ConnectionError) as caught:
        list(output.chunks)
    assert str(caught.value) == "what a container printed broke off"
    output.close()


def test_an_engine_that_will_not_tell_says_why(speak: Speak) -> None:
    """Its own words are the error's."""
    refusal = b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n\r\n{"message":"No such container: x"}'
    with pytest.raises(RefusalError) as caught:
        follow(speak(refusal), "/x", 5)
    assert (caught.value.explanation, caught.value.status) == ("No such container: x", 404)
