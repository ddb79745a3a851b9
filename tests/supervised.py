"""A program of its own for tests of supervision: services that are a line of shell or Python each."""

from __future__ import annotations

import json
import sys

from energy_demand.errors import UserError
from energy_demand.local.services import Service
from energy_demand.local.supervision import Supervisor


def main() -> None:
    services = [Service(**{"environment": {}, **each}) for each in json.loads(sys.argv[1])]
    with Supervisor(services) as supervisor:
        supervisor.run(lambda: sys.stderr.write("all healthy\n"))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
