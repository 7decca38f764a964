"""What all jobs share on the command line: options, errors as one line, the closing path."""

import contextlib
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from typing import Annotated, Any

import tyro
from pydantic import BaseModel

from rankloop.cluster import refuse_temporary
from rankloop.datasets.options import DataOptions
from rankloop.errors import ConfigError, RankloopError
from rankloop.memory import keep_freed_memory
from rankloop.methods import find_method
from rankloop.models.weights import located_weights
from rankloop.plain_columns import refuse_pickles
from rankloop.redaction import without_passwords
from rankloop.shown import first_line, printable, warn_without_passwords
from rankloop.signals import stop_at_sigterm
from rankloop.storage import refuse_unwritable, remedy


def default_storage() -> str:
    """Where results go unless ``--storage`` says so: RANKLOOP_STORAGE, as clusters set it."""
    return os.environ.get("RANKLOOP_STORAGE") or "results"


def _shown_default(default: str) -> str:
    return f"(default: {without_passwords(default)})"


# Of an option with the type `str`.
FolderOrUri = Annotated[
    str, tyro.conf.arg(metavar="FOLDER-OR-URI", help_behavior_hint=_shown_default)
]


@dataclass(frozen=True)
class JobOptions:
    """Options of every job that trains."""

    data: tyro.conf.OmitArgPrefixes[DataOptions] = field(default_factory=DataOptions)
    storage: FolderOrUri = field(default_factory=default_storage)
    """Where results go: a local folder, or a URI such as s3://bucket/folder that all nodes of a
    cluster can reach. The default is the environment's RANKLOOP_STORAGE where that is set."""
    workers: int = 1
    """Trainings at once, as far as cores and GPUs allow: one core each, one GPU where there is
    one."""
    data_workers: int | None = None
    """Ray Data tasks that make each stream of training examples, per training process; 0 makes
    them in that process itself. By default as many as keep a GPU fed where there is one; else 1
    for jobs/train.py, and 0 for the many trainings of a sweep or a comparison."""
    smoke: tyro.conf.FlagCreatePairsOff[bool] = False
    """Shrink everything to try the job out in under a minute on 2 cores; options given beside it
    still count."""


def parse(
    options: type[Any],
    description: str,
    *,
    method: str = "ssranking",
    defaults: Mapping[str, Any] | None = None,
    smoke: Mapping[str, Any] | None = None,
    args: Sequence[str] | None = None,
) -> Any:
    """Read a job's command line; the method's configuration is its field ``config``.

    Args:
        options: a frozen dataclass, JobOptions or a child of it.
        description: what the job does, with examples; shown by ``--help``.
        method: whose configuration fields become options.
        defaults: other defaults of this job than the dataclass has.
        smoke: defaults of the job's own options under ``--smoke``.
        args: the command line; ``sys.argv[1:]`` by default.

    Raises:
        SystemExit: with 0 after ``--help``; with 2 and one line on stderr after bad input.
        ConfigError: results would vanish with the working directory of a submitted job, or the
            file of initial weights is missing.
        StorageError: results cannot be written.
    """
    args = list(sys.argv[1:] if args is None else args)
    found = find_method(method)
    values = dict(defaults or {})
    values.setdefault("data", DataOptions(data=(found.example_data,)))
    config: BaseModel = found.config()
    if "--smoke" in args:
        config = found.config(**found.smoke)
        values |= dict(smoke or {})
    whole = make_dataclass(
        options.__name__,
        [("config", tyro.conf.OmitArgPrefixes[found.config], field(default=config))],  # type: ignore[misc, name-defined]
        bases=(options,),
        frozen=True,
    )
    given = read(whole, description, default=whole(**values), args=args)
    refuse_temporary("--storage", given.storage)
    refuse_unwritable(given.storage)
    # Other processes have other working directories.
    weights = located_weights(given.config.weights)
    return replace(given, config=given.config.model_copy(update={"weights": weights}))


def at_least(limit: int, **values: int) -> None:
    """Refuse counts below a limit.

    Raises:
        ConfigError: names the option, its value and the limit.
    """
    for name, value in values.items():
        if value < limit:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} {value} is below {limit}: give at least {limit}")


def refuse_swept(
    config: BaseModel, varied: Mapping[str, Any], smoke: bool, method: str = "ssranking"
) -> None:
    """Refuse options that a job varies itself, rather than ignore them.

    Args:
        config: as it was given.
        varied: by field.
        smoke: whether ``--smoke`` changed the defaults.
        method: whose configuration it is.

    Raises:
        ConfigError: a field that the job varies was given a value other than its default.
    """
    smoked = find_method(method).smoke if smoke else {}
    for name in varied:
        default = type(config).model_fields[name].default
        if getattr(config, name) not in (default, smoked.get(name, default)):
            option, value = f"--{name.replace('_', '-')}", getattr(config, name)
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            raise ConfigError(
                f"{option} {shown} would be ignored, since this job varies it: leave it out (what "
                "sweeps vary is in search_spaces), or use jobs/train.py for one configuration"
            )


def method_name(args: Sequence[str], default: str = "ssranking") -> str:
    """Return the METHOD of a command line: its first word, if that is no option.

    Raises:
        SystemExit: with 2 and one line on stderr when there is no such method.
    """
    if not args or args[0].startswith("-"):
        return default
    try:
        return find_method(args[0]).name
    except RankloopError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def read(options: type[Any], description: str, *, default: Any = None, args: Sequence[str]) -> Any:
    """Read a command line into a dataclass, turning tyro's boxes into one line on bad input."""
    extra = {} if default is None else {"default": default}

    def parsed(args: Sequence[str]) -> Any:
        complaint = io.StringIO()
        try:
            with contextlib.redirect_stderr(complaint):
                return tyro.cli(options, description=description, args=args, **extra)
        except SystemExit as stop:
            if stop.code not in (0, None):
                raise _BadInputError(complaint.getvalue()) from None
            raise

    try:
        return parsed(args)
    except _BadInputError as bad:
        box = str(bad)
    # The box breaks long words, also passwords: it is made again of words that hold none.
    try:
        parsed([without_passwords(word) for word in args])
    except _BadInputError as bad:
        box = str(bad)
    print(f"error: {without_passwords(_one_line(box))}", file=sys.stderr)
    raise SystemExit(2)


class _BadInputError(Exception):
    """A command line that cannot be parsed, with tyro's box about it."""


def _one_line(box: str) -> str:
    # The box's title says again what its first line says.
    inside = [line for line in box.splitlines() if not line.startswith(("╭", "┌"))]
    lines = [re.sub(r"[╰╯│─└┘]+", " ", line).strip() for line in inside]
    text = " ".join(line for line in lines if line)
    text = re.sub(r"For further information visit \S+", "", text)
    text = re.sub(r"^Error parsing \w+: \d+ validation errors? for \w+ ", "", text)
    text = re.sub(r"(\w+) Input should", r"\1 should", text)
    text = re.sub(r"\[type=\w+, (input_value=[^,\]]+)[^\]]*\]", r"(\1)", text)
    # A whole configuration as the value at fault says nothing.
    text = re.sub(r"Value error, |\(input_value=\{[^)]*\) ", "", text)
    return re.sub(r"\s+", " ", text).strip()


def _nobody_reads() -> bool:
    """Whether who read the output, say ``head``, has seen enough; the rest goes nowhere then."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


class _WithoutPasswords(logging.Formatter):
    """Message of a record alone, whoever logs it."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return printable(without_passwords(super().format(record)))
        except Exception as failure:
            # Python would print the record's values as they are.
            return f"a message of {record.name} cannot be shown: {type(failure).__name__}"


def _told(error: Exception) -> str:
    """What a job says of an error that is none of ours; its type alone where that fails."""
    try:
        if advice := remedy(error):
            return f"error: {first_line(error)}: {advice}\n"
        # Whoever reports it sends all of it.
        text = f"error (please report it): {type(error).__name__}: {error}"
        return printable(without_passwords(f"{text}\n{traceback.format_exc()}"))
    except Exception as failure:
        return (
            f"error (please report it): {type(error).__name__}, whose text cannot be shown: "
            f"{type(failure).__name__}\n"
        )


def run_job(job: Callable[[], str]) -> None:
    """Run a job, print what it returns (where its results are) last, and exit.

    Errors of ours end in one readable line and exit code 1; anything else is a bug of ours and
    keeps its traceback, after one readable line. Ctrl-C and SIGTERM end with a line and 130.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutPasswords())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    warn_without_passwords()
    refuse_pickles()
    stop_at_sigterm()
    keep_freed_memory()
    try:
        where = job()
    except RankloopError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped: run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            sys.exit(141)
        print(_told(error), end="", file=sys.stderr)
        sys.exit(1)
    print(where, flush=True)
