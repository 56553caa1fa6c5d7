"""`python -m lmstream_sync demo`: the chat page with a program behind it, on this machine."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmstream_sync.cli.demo_program import demo_page, demo_program
from lmstream_sync.cli.demo_script import Script
from lmstream_sync.lm import LM
from lmstream_sync.settings import settings
from lmstream_sync.testing import ScriptedServer
from lmstream_sync.web.demo import DemoServer, demo_app

if TYPE_CHECKING:
    # Not subscriptable before Python 3.14.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_to", "run"]

PORT = 8321
MODEL = "openai/gpt-4o-mini"


def add_to(commands: Commands) -> None:
    """Add the command to a parser's."""
    parser = commands.add_parser(
        "demo",
        help="a chat page in the browser, with a program behind it",
        description=(
            "Serves a chat page with an agent behind it on this machine. Without a key a scripted model answers, "
            "which needs no network; with OPENAI_API_KEY, or with --model, a real one does."
        ),
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"the port on 127.0.0.1; 0 for a free one ({PORT})")
    parser.add_argument("--model", help=f"the model to ask, as LM takes it ({MODEL} where OPENAI_API_KEY is set)")
    parser.add_argument("--api-base", help="where the model is served, if not by its provider")
    parser.add_argument("--scripted", action="store_true", help="let the scripted model answer although there is a key")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.set_defaults(run=run)


def run(asked: argparse.Namespace) -> int:
    """Serve until Ctrl-C.

    Returns:
        0; 1 where the port cannot be had.
    """
    logging.basicConfig(format="%(message)s")
    with _model(asked) as (lm, who):
        settings.configure(lm=lm)
        try:
            server = DemoServer(demo_app(demo_program(), demo_page(scripted=who is None)), asked.port)
        except (OSError, OverflowError) as error:
            print(f"port {asked.port} cannot be used: {_reason(error)}; try --port 0", file=sys.stderr)
            return 1
        with server, contextlib.suppress(KeyboardInterrupt):
            answers = f"{who} answers" if who else "a scripted model answers; for a real one set OPENAI_API_KEY"
            print(f"{server.url}  ({answers}; Ctrl-C ends it)", flush=True)
            if not asked.no_browser:
                webbrowser.open(server.url)
            server.serve_forever()
        # With the scripted model goes what it is still saying: no news for who has just ended it.
        logging.disable()
        print()
    return 0


@contextmanager
def _model(asked: argparse.Namespace) -> Iterator[tuple[LM, str | None]]:
    """The model, and its name where it is a real one."""
    name = asked.model or (MODEL if os.environ.get("OPENAI_API_KEY") or asked.api_base else None)
    if name is not None and not asked.scripted:
        yield LM(name, api_base=asked.api_base), name
        return
    with ScriptedServer(Script()) as server:
        yield server.lm(), None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
