"""How long a LightGBM fit takes beside other work, with waiting threads that sleep and with ones that spin.

    .venv/bin/python benchmarks/busy_fit.py --json

Each fit runs in a process of its own, on all cores, while `--busy` processes keep as many cores busy. With
`passive` (what `energy_demand.boosting` sets) OpenMP's threads sleep while they wait for one another, with
`active` they spin.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

from answers import answer_alone

CORES = os.cpu_count() or 1
FIT = """
import time
import numpy as np
from energy_demand.boosting import lgb
random = np.random.default_rng(0)
x = random.normal(size=(40_000, 30))
y = x[:, 0] + random.normal(size=40_000)
began = time.perf_counter()
lgb.train({"verbose": -1, "num_leaves": 63, "objective": "regression"}, lgb.Dataset(x, y), 200)
print(time.perf_counter() - began)
"""


def fit_seconds(policy: str) -> float:
    """Seconds of one fit under this OMP_WAIT_POLICY."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    environment.pop("OMP_NUM_THREADS", None)
    done = subprocess.run(
        [sys.executable, "-c", FIT], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measured(busy: int, repeat: int) -> dict[str, float]:
    """Seconds of the fastest fit under each policy, on an idle machine and beside `busy` processes."""
    found: dict[str, float] = {}
    for count in (0, busy):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
        try:
            time.sleep(1)
            for policy in ("passive", "active"):
                name = f"{policy}_{'busy' if count else 'idle'}_seconds"
                found[name] = round(min(fit_seconds(policy) for _ in range(repeat)), 2)
        finally:
            for other in others:
                other.kill()
                other.wait()
    return found | {"busy_ratio": round(found["active_busy_seconds"] / found["passive_busy_seconds"], 1)}


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--busy", type=int, default=CORES, help="busy processes beside it")
    parser.add_argument("--repeat", type=int, default=3, help="the fastest of so many fits counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object, as it always does")
    arguments = parser.parse_args()
    with answer_alone():
        found = measured(arguments.busy, arguments.repeat)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
