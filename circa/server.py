"""The server's half: `circa.serve("model.circa")`, or a `Server` inside a program of your own."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from circa.protocols.channel import TIMEOUT
from circa.protocols.errors import CheckFailed, CircaError, ProtocolError
from circa.protocols.prg import Prg
from circa.protocols.relu.material import Stock

from .arguments import LONGEST, number, whole
from .client import DEFAULT_PORT
from .commands import Answer, Command, Verdict, recv_command, send_answer
from .description import model_hash
from .errors import ParameterError, PeerGone, RemoteError, WorkerError
from .exact import ExactLinear
from .handshake import server_handshake
from .ledger import Account, Ledger
from .model import ConvertedModel
from .offline import ServerMaterial, ServerParty
from .online import server_online
from .report import Report
from .stock import DEFAULT_LIMIT, Limit, batches, image_bytes
from .transport import TcpChannel
from .workers import MEMORY, prepare, start

__all__ = ["Server", "serve"]

log = logging.getLogger("circa.server")


class Server:
    """Listens from construction on and serves every client in a thread of its own.

    Args:
        model: a ConvertedModel, or the path of a .circa file.
        host, port: where to listen; port 0 takes a free one, `address` tells which.
        timeout: seconds of silence after which a client counts as gone.
        max_sessions: clients at one time; a further one is refused with a clear error.
        new_report: makes the report of each session, for who wants to keep them.
        stock_limit: the most material, in images and in bytes, that one client address has in stock here.
        workers: for the linear layers of the offline phase, at one time, of all sessions. By default a thread
            a core with the native kernels, else the sessions' own threads; more are processes then, and a
            program that is run as a script needs `if __name__ == "__main__":`.
        memory: bytes of weights that are kept prepared, for all clients; what does not fit is prepared anew.
        ray: address of a Ray cluster whose actors are the workers, by default one a core of the cluster.
    """

    def __init__(
        self,
        model: "ConvertedModel | str | os.PathLike[str]",
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        *,
        timeout: float = TIMEOUT,
        max_sessions: int = 8,
        new_report: Callable[[], Report] = Report,
        stock_limit: Limit = DEFAULT_LIMIT,
        workers: int | None = None,
        memory: int = MEMORY,
        ray: str | None = None,
    ):
        if not isinstance(model, ConvertedModel | str | os.PathLike):
            raise ParameterError(
                f"a server takes a ConvertedModel or the path of a .circa file, not a {type(model).__name__}:"
                " circa.convert makes the one from a network, its save the other"
            )
        port = whole("port", port, 0, (1 << 16) - 1)
        for name, value, kind in (("host", host, str), ("stock_limit", stock_limit, Limit)):
            if not isinstance(value, kind):
                raise ParameterError(f"{name} takes a {kind.__name__}, not {value!r}")
        self.model = model if isinstance(model, ConvertedModel) else ConvertedModel.load(Path(model))
        program, weights = self.model.program, self.model.weights
        self.model_hash = model_hash(program)
        self._timeout, self._new_report = number("timeout (seconds)", timeout, 0.001, LONGEST), new_report
        self._ledger = Ledger(stock_limit, image_bytes(program).server)
        self._slots = threading.BoundedSemaphore(whole("max_sessions", max_sessions, 1, 1 << 16))
        self._linear = {
            op.name: ExactLinear(
                op, weights[f"{op.name}.weight"], weights.get(f"{op.name}.bias"), program.modulus
            )
            for op in program.linear
        }
        memory = whole("memory (bytes)", memory, 0, 1 << 50)
        self._prepared = prepare(program, weights, memory)
        self._workers = start(self._prepared, workers, memory, ray)
        try:
            self._listener = socket.create_server((host, port))
        except OSError as error:
            self._workers.close()
            taken = error.errno == errno.EADDRINUSE
            remedy = "choose another port" if taken else "choose an address and port of this machine"
            code = error.errno or 0  # below 0 where the address was at fault
            known = os.strerror(code) if code > 0 else error.strerror
            why = f"{'the port is in use' if taken else known}; {remedy}"
            raise ParameterError(f"cannot listen at {host}:{port}: {why}") from error
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, name="circa-accept", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """ "host:port", for `circa.connect`."""
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    @property
    def stock_limit(self) -> Limit:
        return self._ledger.limit

    @property
    def stocked(self) -> int:
        """Images in stock or in the making, of all clients."""
        return self._ledger.images

    @property
    def workers(self) -> str:
        """What computes the linear layers of the offline phase, in words."""
        return str(self._workers)

    def wait(self) -> None:
        """Block until `close` is called (from another thread or a signal handler)."""
        self._thread.join()

    def close(self) -> None:
        """Stop accepting clients and end the workers. Running sessions end with their connections."""
        if not self._stopping:
            self._stopping = True
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
            self._listener.close()
            self._thread.join()
            self._workers.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                continue  # `close`, or a client that gave up while it queued
            threading.Thread(target=self._session, args=(sock, f"{peer[0]}:{peer[1]}"), daemon=True).start()

    def _session(self, sock: socket.socket, peer: str) -> None:
        """One client, from handshake to close. Whatever goes wrong ends this session and nothing else."""
        channel = TcpChannel(sock, self._timeout)
        if not self._slots.acquire(blocking=False):
            channel.send_error("the server is busy with other clients: try again later")
            channel.close()
            return
        log.info("%s connected", peer)
        try:
            with self._ledger.account(peer.rpartition(":")[0]) as account:
                self._serve(channel, peer, account)
            log.info("%s closed the session", peer)
        except (PeerGone, RemoteError) as error:
            log.warning("%s: %s", peer, error)
        except ProtocolError as error:
            log.warning("%s: %s", peer, error)
            channel.send_error(str(error))
        except Exception as error:
            if self._stopping:  # its workers are gone
                log.warning("%s: stopped in the middle of a session", peer)
                channel.send_error("the server was stopped")
                return
            if isinstance(error, WorkerError):
                log.error("%s: %s", peer, error, exc_info=error.__cause__)
                channel.send_error("the server's workers failed: try again later")
                return
            # An unforeseen failure may carry secrets in its text: the client learns its kind only.
            log.error("%s: session failed", peer, exc_info=not isinstance(error, CircaError))
            channel.send_error(f"the server failed ({type(error).__name__})")
        finally:
            self._slots.release()
            channel.close()

    def _serve(self, channel: TcpChannel, peer: str, account: Account) -> None:
        program = self.model.program
        report = self._new_report()
        with report.measure(channel, "session", "setup", "offline"):
            ot_k = server_handshake(channel, program)
        party = ServerParty(channel, program, self._prepared, Prg.from_os(), ot_k, report, self._workers)
        stock: Stock[ServerMaterial] = Stock()
        while True:
            command, images = recv_command(channel)
            match command:
                case Command.CLOSE:
                    return
                case Command.STOCK:
                    self._answer(channel, Verdict.ACCEPTED, stock)
                    continue
                case Command.PREPARE:
                    verdict = account.reserve(images)  # before any work
                    self._answer(channel, verdict, stock)
                    if verdict is not Verdict.ACCEPTED:
                        log.warning("%s: refused to prepare %d image(s)", peer, images)
                        continue
                    for size in batches(program, images):
                        stock.add(party.offline(size), size)
                        report.store(stock.nbytes)
                case Command.INFER:
                    if images > len(stock):
                        raise CheckFailed(f"INFER for {images} images, material for {len(stock)} is in stock")
                    material = stock.take(images)  # gone from now on, whatever becomes of the inference
                    server_online(party, self._linear, material, images)
                    del material
                    account.release(images)
            log.info(
                "%s: %s %d image(s); %d in stock here, %d for all clients",
                *(peer, command.name.lower(), images, len(stock), self._ledger.images),
            )

    def _answer(self, channel: TcpChannel, verdict: Verdict, stock: Stock[ServerMaterial]) -> None:
        send_answer(channel, Answer(verdict, len(stock), stock.nbytes, self._ledger.limit))


def serve(
    model: "ConvertedModel | str | os.PathLike[str]",
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    workers: int | None = None,
    memory: int = MEMORY,
    ray: str | None = None,
) -> None:
    """Serve a converted model until interrupted (Ctrl-C); arguments as in `Server`."""
    with Server(model, host, port, workers=workers, memory=memory, ray=ray) as server:
        log.info("serving model %s at %s, %s", server.model_hash[:16], server.address, server.workers)
        try:
            server.wait()
        except KeyboardInterrupt:
            log.info("stopped")
