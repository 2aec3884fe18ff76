"""Networks available by name: those included in the installation, and those added by the user."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engines import weights as installed
from engines.adapters.registry import adapter_for
from engines.errors import WeightsError
from engines.signature import as_card, signature
from engines.weights import FOREIGN_FORMATS, SUFFIX, Weights, known_weights, read_weights

_FORBIDDEN = set('/\\:*?"<>|+')
# Names reserved by Windows for devices, whatever their suffix: a library may be copied there.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}


@dataclass(frozen=True)
class Listed:
    """A network available by name, with its contract, licence and hash.

    ``problem`` says why it cannot be used; texts that are unknown for that reason are empty.
    """

    name: str
    path: Path
    is_added: bool
    contract: str = ""
    network: str = ""
    licence: str = ""
    sha256: str = ""
    problem: str = ""


def library_folder() -> Path:
    """Return the folder of this user's added networks; it need not exist."""
    return Path(platformdirs.user_data_dir("autochrome", appauthor=False), "models")


def load_weights(name_or_path: str) -> Weights:
    """Return the weights of the network with this name, or in the ONNX file at this path.

    A path is anything that contains a path separator or has a suffix of network files. Names are looked up among the
    included networks, then among those added. Raises `WeightsError` for an unknown name, also if it is that of a file
    or folder here, and as `engines.weights.read_weights` does.
    """
    path = Path(name_or_path)
    if "/" in name_or_path or "\\" in name_or_path or path.suffix.lower() in (SUFFIX, *FOREIGN_FORMATS):
        return read_weights(path)
    folder = {**dict.fromkeys(_added(), library_folder()), **dict.fromkeys(known_weights(), installed.MODELS)}
    if name_or_path not in folder:
        if path.exists():
            return read_weights(path)
        raise WeightsError(
            f"there are no weights named {name_or_path!r}",
            advice=f"Known names: {', '.join(sorted(folder)) or 'none'}. A path to an ONNX file works too.",
        )
    return read_weights(folder[name_or_path] / f"{name_or_path}{SUFFIX}")


def add_model(file: Path, *, name: str | None = None, licence: str | None = None) -> Listed:
    """Copy an ONNX file into the user's library, with a card, so that ``--model NAME`` finds it; return its entry.

    ``name`` defaults to the file's stem, ``licence`` to what a card beside the file says, else "not stated": it is as
    stated by the user, and results repeat it. Raises `WeightsError` for a network that cannot run here (unknown,
    needing a second network, altered), and for a name that is taken or not valid as a file name.
    """
    weights = read_weights(file)
    name = name or file.stem
    is_device = name.partition(".")[0].strip().lower() in _DEVICES
    if (
        not name.strip(". ")
        or name.endswith((".", " "))
        or _FORBIDDEN & set(name)
        or is_device
        or name.lower() == "auto"
    ):
        raise WeightsError(f"{name!r} cannot be the name of a network", advice="Use letters, digits, - and _.")
    if name.lower() in {one.lower() for one in (*known_weights(), *_added())}:
        raise WeightsError(f"there is a network named {name!r} already", advice="Choose another: --name NAME.")
    adapter = adapter_for(weights)
    card = {
        **weights.card,
        "name": name,
        "licence": licence or weights.licence,
        "contract": adapter.contract,
        "graph": as_card(signature(weights)),
    }
    folder = library_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            copy, written = Path(temporary, f"{name}{SUFFIX}"), Path(temporary, f"{name}.json")
            shutil.copyfile(file, copy)
            written.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
            read_weights(copy)
            # The card first: a network without its card would be treated as someone's own file.
            for one in (written, copy):
                os.replace(one, folder / one.name)
    except OSError as error:
        raise WeightsError(
            f"{folder}: the network cannot be kept there: {error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
    return _listed(name, folder, is_added=True)


def list_models() -> tuple[Listed, ...]:
    """Return all networks available by name: those of the installation, then the added ones, by name."""
    ours = known_weights()
    added = [one for one in _added() if one not in ours]
    return (
        *(_listed(name, installed.MODELS, is_added=False) for name in ours),
        *(_listed(name, library_folder(), is_added=True) for name in added),
    )


def _listed(name: str, folder: Path, *, is_added: bool) -> Listed:
    path = folder / f"{name}{SUFFIX}"
    try:
        weights = read_weights(path)
        adapter = adapter_for(weights)
    except WeightsError as error:
        return Listed(name, path, is_added, problem=str(error))
    return Listed(name, path, is_added, adapter.contract, adapter.network, weights.licence, weights.sha256)


def _added() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in library_folder().glob(f"*{SUFFIX}")))
