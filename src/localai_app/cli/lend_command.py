"""The command that lends this computer's devices until it is stopped: lend."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.services.lending import WARNING, LendingStatus
from localai_app.settings.addresses import parse_address

LOOK_S = 0.2


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(lend)


def lend(
    context: typer.Context,
    address: Annotated[
        str | None, typer.Option("--address", help="HOST:PORT to listen at; as in the settings where it is not given.")] = None,
    trust_network: Annotated[
        bool, typer.Option("--trust-network", help="Allow addresses that others reach, without any password.")] = False,
) -> None:
    """Lend this computer's devices to other programs, until Ctrl-C. Nothing protects them but the network itself."""
    session: Session = context.obj
    with session.services() as services:
        where = address or services.settings.text("lend_address")
        if parse_address(where) is None:
            raise typer.BadParameter("enter HOST:PORT, such as 127.0.0.1:50052", param_hint="--address")
        session.output.say(WARNING)
        services.lending.lend(where, is_trusted=trust_network)
        is_said = False
        while (state := services.lending.state).error is None:
            if state.status is LendingStatus.LENDING and not is_said:
                is_said = True
                session.output.document({"lending": where})
                session.output.words(f"The devices of this computer are lent at {where}. Ctrl-C ends that.")
            time.sleep(LOOK_S)
        raise state.error
