"""nginx in front of replicas of the service, by the file that Compose uses."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from processes import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NGINX = shutil.which("nginx")
TEMPLATE = Path(__file__).parents[1] / "infra" / "nginx" / "balancer.conf.template"
AROUND = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/balancer.conf;
}}
"""


@contextmanager
def balancer(ports: Sequence[int], folder: Path) -> Iterator[int]:
    """The port of a balancer of services on these ports of this machine; its files are in the folder."""
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{each};" for each in ports)
    # Like the image's envsubst, which leaves nginx's own variables alone.
    filled = Template(TEMPLATE.read_text()).safe_substitute(
        API_SERVERS=servers, BALANCER_PORT=f"127.0.0.1:{port}"
    )
    log = folder / "error.log"
    (folder / "balancer.conf").write_text(filled)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder))
    process = subprocess.Popen([str(NGINX), "-e", str(log), "-c", str(folder / "nginx.conf")])
    try:
        wait_for(port, "/health", process, log)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)
