"""The command line: names, one-line helps, and one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module

import click

from rvsd_bench import __version__
from rvsd_bench.errors import InputError, OutputError, RvsdBenchError
from rvsd_bench.texts import require_text

# Command -> module that holds a click command of that name ("list" -> `list_`), and the line for
# `--help`. The modules are imported only when their command runs.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Run the whole chain on a sample clip and say where the page is."),
    "generate": ("generate", "Turn clean clips into a paired snowy dataset with all its layers."),
    "verify": ("verify", "Recompute every snowy frame of a generated dataset."),
    "preview": (
        "preview",
        "Show what a preset does to a clip: a contact sheet or a moving picture.",
    ),
    "cache": ("cache", "Decode clips once, for fast random crops in training."),
    "train": ("train", "Train a network on paired data or under endless fresh snow."),
    "calibrate": ("calibrate", "Fit a recipe to real falling snow."),
    "check": ("check", "Check a dataset: counts, sizes, mates, frame order, leakage."),
    "restore": ("restore", "Run a model over any clip."),
    "conform": ("conform", "Check whether a model keeps the interface."),
    "profile": ("profile", "Measure parameters, GMACs, time and memory of models."),
    "evaluate": ("evaluate", "Score models on a dataset under a standard protocol."),
    "merge": ("merge", "Join the shards of a job."),
    "leaderboard": ("leaderboard", "Build tables and the page, compare methods, hand in your own."),
    "reported": ("reported", "Keep a table of figures that others published."),
    "list": ("listing", "List baselines, metrics, protocols, presets or datasets."),
    "protocol": ("protocol", "Show a protocol, or what differs between two."),
    "weights": ("weights", "Find, check and fetch the pretrained files that metrics need."),
    "samples": ("samples", "Fetch small real clips for the demo."),
    "doctor": ("doctor", "Say what this machine offers and what is missing."),
}


class _LazyGroup(click.Group):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for word in args:  # of bytes that are no UTF-8; half of the commands could not write it
            require_text(word, "argument")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"rvsd_bench.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, "list_" if cmd_name == "list" else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rvsd-bench")
def cli() -> None:
    """Snow in video: generate it, load it, remove it, and score the removal."""


def main() -> None:
    """Run the command line; every error a user can mend is one line and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except RvsdBenchError as error:
        _stop(str(error), error.exit_code)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        _stop(error.format_message().replace("\n", " "), InputError.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _stop("interrupted; the same command resumes where it stopped", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        told = _told(error)
        _stop(told or _internal(error), OutputError.exit_code if told else 1)
    except Exception as error:  # the last resort: an internal error, with its trace on request
        _stop(_internal(error), 1)
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: OSError) -> str:
    """Return one line about a disk that takes nothing and that nobody spoke of; else nothing."""
    from rvsd_bench.files import ADVICE

    if error.errno not in ADVICE:
        return ""
    where = "" if error.filename is None else f" {error.filename}"
    return f"cannot write{where}: {error.strerror}; {ADVICE[error.errno]}"


def _internal(error: Exception) -> str:
    if os.environ.get("RVSD_BENCH_TRACEBACK"):
        traceback.print_exc()
    return (
        f"internal error: {type(error).__name__}: {error} "
        "(RVSD_BENCH_TRACEBACK=1 shows the trace; please report it)"
    )


def _stop(message: str, code: int) -> None:
    # Names of files and models may hold what would steer a terminal.
    seen = (mark if mark.isprintable() or mark == "\n" else repr(mark)[1:-1] for mark in message)
    print(f"rvsd-bench: {''.join(seen)}", file=sys.stderr)
    sys.exit(code)
