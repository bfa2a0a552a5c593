"""Command line of coalign: ``python -m coalign demo`` and ``python -m coalign config``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected an integer of at least 0, got {text!r}")
    return int(text)


def _demo(options: argparse.Namespace) -> None:
    from coalign.demo import run

    run(options.out, small=options.small, seed=options.seed, quiet=options.quiet)


def _config(options: argparse.Namespace) -> None:
    import coalign

    coalign.show_config()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m coalign", description="Fast alignment.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="align real data and write a report with pictures")
    demo.set_defaults(command=_demo)
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("coalign-demo"),
        metavar="DIR",
        help="folder for report.html and report.json (default: coalign-demo)",
    )
    demo.add_argument("--small", action="store_true", help="use a small part of the data")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="default: 0")
    demo.add_argument("--quiet", action="store_true", help="print no table and no progress")

    config = commands.add_parser("config", help="print versions, instruction sets and devices")
    config.set_defaults(command=_config)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the program's name; those of the process if None.

    Returns
    -------
    int
        The exit status: 0, or 1 if a package is missing or a file cannot be written. Wrong
        arguments leave through ``SystemExit`` with status 2.
    """
    options = _parser().parse_args(argv)
    try:
        options.command(options)
    except (ImportError, OSError) as error:
        # An error that the user can correct needs its message, not a traceback.
        print(f"coalign: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
