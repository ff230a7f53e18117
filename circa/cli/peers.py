"""`circa bench peers`, and installing a system that another command is to measure."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import Json, emit, err, out, reporting

if TYPE_CHECKING:
    from circa.bench.peers import Peer

__all__ = ["Yes", "peers_app", "provide"]

peers_app = typer.Typer(help="The environments of other systems.", no_args_is_help=True)

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Install missing peers without asking.")]


@peers_app.command("install")
def install_peer(name: Annotated[str, typer.Argument(help="crypten or spu.")], as_json: Json = False) -> None:
    """Make (or make anew) the environment of a peer, in ~/.cache/circa/peers or under CIRCA_PEERS."""
    with reporting(as_json):
        from circa.bench.peers.environments import by_name

        folder = _install(by_name(name), as_json)
        if as_json:
            emit({"peer": name, "folder": str(folder)})
        else:
            out.print(f"installed {name} in {folder}")


@peers_app.command("list")
def list_peers(as_json: Json = False) -> None:
    """Which peers there are, where they belong, and whether they are installed."""
    with reporting(as_json):
        from circa.bench.peers import PEERS
        from circa.bench.peers.environments import folder, is_installed

        found = [
            {"peer": peer.name, "folder": str(folder(peer)), "installed": is_installed(peer)}
            for peer in PEERS.values()
        ]
        if as_json:
            emit({"peers": found})
            return
        for entry in found:
            state = "installed" if entry["installed"] else "not installed"
            out.print(f"{entry['peer']:8s} {state:14s} {entry['folder']}", highlight=False, soft_wrap=True)


def provide(peer: "Peer", yes: bool, quiet: bool) -> None:
    """Install a peer that is missing, if the user agrees."""
    from circa.bench.peers import PeerError
    from circa.bench.peers.environments import folder, is_installed

    if is_installed(peer):
        return
    if not yes:
        question = f"{peer.name} is not installed. Install it in {folder(peer)}?"
        if quiet or not sys.stdin.isatty() or not typer.confirm(question, err=True):
            raise PeerError(
                f"{peer.name} is not installed: run `circa bench peers install {peer.name}`, or pass --yes"
            )
    _install(peer, quiet)


def _install(peer: "Peer", quiet: bool) -> Path:
    from circa.bench.peers.environments import install

    if quiet:
        return install(peer)
    with err.status(f"installing {peer.name} (its own Python environment; may download a lot)"):
        return install(peer)
