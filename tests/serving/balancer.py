"""nginx in front of replicas of the service, with the file that Compose uses."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import httpx
from servers import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NGINX = shutil.which("nginx")
TEMPLATE = Path(__file__).parents[2] / "infra" / "nginx" / "balancer.conf.template"
AROUND = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    include {folder}/balancer.conf;
}}
"""


@contextmanager
def balancer(ports: Sequence[int], folder: Path) -> Iterator[int]:
    """The port of a balancer of services on these ports of this machine."""
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{each};" for each in ports)
    # Like the image's envsubst, which leaves nginx's own variables alone.
    filled = Template(TEMPLATE.read_text()).safe_substitute(
        API_SERVERS=servers, BALANCER_PORT=f"127.0.0.1:{port}"
    )
    (folder / "balancer.conf").write_text(filled)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    process = subprocess.Popen([str(NGINX), "-e", folder / "error.log", "-c", folder / "nginx.conf"])
    try:
        wait_until(lambda: _listens(port), what="nginx")
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _listens(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.HTTPError:
        return False
