"""Commands whose options may also come from environment variables and a settings file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption
from typer.main import get_command

from pipeline.commands.plain_help import PlainCommand
from pipeline.settings import PREFIX, SettingsError, Shape, find_settings, read_settings, unknown_variables

_READ = "autochrome.settings"
_NOT_IN_FILES = {"config", "version", "help"}


class ConfiguredCommand(PlainCommand):
    """Takes an option from the command line, else from AUTOCHROME_..., else from the file of `apply_settings`.

    The ``obj`` of its context lists all such commands, each a `typer.Typer`: they share one file and one environment.
    Every switch has an opposite on the command line, to undo a setting from elsewhere. An invalid value from the
    environment or the file raises `SettingsError`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings["auto_envvar_prefix"] = PREFIX
        self.context_settings["help_option_names"] = ["-h", "--help"]

    def make_parser(self, ctx: Any) -> Any:
        """Add ``--no-x`` for every switch ``--x``, and ``--x`` for ``--no-x``, without listing them in the help."""
        parser = super().make_parser(ctx)
        for name, option in _options(self).items():
            if option.is_flag:
                opposite = name.removeprefix("no-") if name.startswith("no-") else f"no-{name}"
                parser.add_option(
                    obj=option, opts=[f"--{opposite}"], dest=option.name, action="store_const", const=False
                )
        return parser

    def get_help_option(self, ctx: Any) -> TyperOption | None:
        """Return ``--help``, which has no environment variable."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.allow_from_autoenv = False
        return option

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; errors name the origin of an invalid value."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            name = "" if error.param is None else error.param.name
            source = getattr(ctx.get_parameter_source(name), "name", "")
            if source == "ENVIRONMENT":
                raise SettingsError(f"{PREFIX}_{name.upper()}: {error.message}", advice="See --help.") from error
            if source == "DEFAULT_MAP":
                key = next(key for key, option in _options(self).items() if option.name == name)
                raise SettingsError(f"{ctx.meta[_READ]}: {key}: {error.message}", advice="See --help.") from error
            raise

    def invoke(self, ctx: Any) -> Any:
        """Report the settings file and unknown variables, then run the command."""
        if not ctx.params.get("quiet"):
            if _READ in ctx.meta:
                typer.echo(f"settings: {ctx.meta[_READ]}", err=True)
            strange = unknown_variables(os.environ, _variables(self))
            for name in strange and unknown_variables(strange, set().union(*map(_variables, _commands(ctx)))):
                typer.echo(f"ignored: the variable {name} names no option", err=True)
        return super().invoke(ctx)


def apply_settings(ctx: typer.Context, value: Path | None) -> Path | None:
    """Use the settings in the file ``value``, or in the one in the current folder, as the defaults of ``ctx``."""
    path = find_settings(value)
    if path is not None and not ctx.resilient_parsing:
        options = _options(ctx.command)
        shapes = {key: _shape(option) for key, option in options.items()}
        others = {key for command in _commands(ctx) for key in _options(command)}
        settings = read_settings(path, command=ctx.command.name or "", shapes=shapes, others=others)
        ctx.default_map = {options[key].name: setting for key, setting in settings.items()}
        ctx.meta[_READ] = path
    return value


def _variables(command: Any) -> set[str]:
    return {f"{PREFIX}_{option.name.upper()}" for option in _options(command).values()} | {f"{PREFIX}_CONFIG"}


def _commands(ctx: typer.Context) -> list[Any]:
    return [get_command(one) for one in ctx.obj]


def _options(command: Any) -> dict[str, TyperOption]:
    """Return the configurable options by their long name, without dashes."""
    found = {}
    for option in command.params:
        if isinstance(option, TyperOption):
            key = next(name.removeprefix("--") for name in option.opts if name.startswith("--"))
            if key not in _NOT_IN_FILES:
                found[key] = option
    return found


def _shape(option: TyperOption) -> Shape:
    if option.is_flag:
        return Shape.SWITCH
    if option.multiple:
        return Shape.MANY
    if option.name == "model":
        return Shape.WEIGHTS
    return Shape.PATH if option.type_descriptor.is_path else Shape.ONE
