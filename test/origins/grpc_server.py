# SPDX-License-Identifier: Apache-2.0
"""A server by gRPC's own implementation, whose messages are plain bytes. Run as a program: prints
its port, and what becomes of calls that end early."""

import pathlib
import sys
import threading
from concurrent import futures

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from harness.process import Process  # noqa: E402  (behind the path)

SIZE_MAX = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Server:
    """`files`: a certificate and its key, for TLS."""

    def __init__(self, *files):
        self.process = Process(["/usr/bin/python3", "-u", __file__, *files])
        self.port = int(self.process.line(r"^port (\d+)$")[1])
        self.address = f"127.0.0.1:{self.port}"

    def kill(self):
        self.process.child.kill()
        self.process.child.wait()

    def end(self):
        self.process.end()


def say(*words):
    print(*words, flush=True)


def echo(message, context):
    metadata = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", metadata.get("x-ask", "none")),
                                   ("x-initial-bin", b"\0\1\xfe\xff")))
    context.set_trailing_metadata((("x-trailing", "behind"),
                                   ("x-back-bin", metadata.get("x-ask-bin", b""))))
    return message


def fail(message, context):
    context.set_trailing_metadata((("x-why-bin", b"\0\xff"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, message.decode())


def total(messages, _):
    return str(sum(len(message) for message in messages)).encode()


def count(message, _):
    for number in range(int(message)):
        yield str(number).encode()


def large(message, _):
    size, times = map(int, message.split())
    for number in range(times):
        yield bytes([number]) * size


def converse(messages, _):
    for message in messages:
        yield b"re: " + message


def interrupt(messages, context):
    """Ends while the client still sends."""
    for message in messages:
        yield message
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def hang(message, context):
    """One message, then nothing, until the call ends."""
    over = threading.Event()
    name = message.decode()
    context.add_callback(lambda: (say("ended", name), over.set()))
    say("began", name)
    yield b"first"
    over.wait()


def silent(message, context):
    over = threading.Event()
    context.add_callback(lambda: (say("ended", message.decode()), over.set()))
    say("began", message.decode())
    over.wait()
    return b""


METHODS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Silent": grpc.unary_unary_rpc_method_handler(silent),
    "Total": grpc.stream_unary_rpc_method_handler(total),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Large": grpc.unary_stream_rpc_method_handler(large),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "Converse": grpc.stream_stream_rpc_method_handler(converse),
    "Interrupt": grpc.stream_stream_rpc_method_handler(interrupt),
}


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        package, _, name = details.method.rpartition("/")
        return METHODS.get(name) if package == "/test.Plain" else None


def credentials(cert, key):
    files = [pathlib.Path(file).read_bytes() for file in (key, cert)]
    return grpc.ssl_server_credentials([tuple(files)])


def main():
    server = grpc.server(futures.ThreadPoolExecutor(64), handlers=(Handler(),), options=SIZE_MAX)
    say("port", server.add_secure_port("127.0.0.1:0", credentials(*sys.argv[1:]))
        if sys.argv[1:] else server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
