"""Stateless randomness: a normal number for each (stream, step), and smooth noise built from them.

A step's number depends on nothing but the seed, the stream and the step, so any range, page or restart
gives the same world. Longer computations run in fixed blocks of hours, so that even the order of
floating-point sums is the same whatever range is asked.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_demand.sandbox.worlds.world import FloatArray, IntArray

BLOCK_HOURS = 2048
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64 (Steele, Lea & Flood 2014): increment and mixers
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream(*parts: str | float) -> int:
    """A 64-bit key for a stream of randomness, from the seed and the parts that identify the stream."""
    text = "|".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def share(*parts: str | float) -> float:
    """A number in [0, 1) that depends on nothing but the parts."""
    return stream(*parts) / 2.0**64


def uniform(key: int, steps: IntArray) -> FloatArray:
    """A number in [0, 1) for each step."""
    mixed = _splitmix(steps.astype(np.uint64) * _GOLDEN + np.uint64(key))
    numbers: FloatArray = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers


def white(key: int, first: int, count: int) -> FloatArray:
    """Independent standard normal numbers for the steps from `first` on."""
    steps = np.arange(2 * first, 2 * (first + count)).astype(np.uint64)
    uniform = (_splitmix(steps * _GOLDEN + np.uint64(key)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius, angle = uniform[0::2], uniform[1::2]  # Box and Muller
    normal: FloatArray = np.sqrt(-2.0 * np.log1p(-radius)) * np.cos(2 * np.pi * angle)
    return normal


def smooth(key: int, first: int, count: int, kernel: FloatArray) -> FloatArray:
    """Standard normal noise with the correlation of `kernel`, made of white noise up to each step."""
    reach = kernel.size - 1
    return np.convolve(white(key, first - reach, count + reach), kernel, mode="valid")


@cache
def gaussian(sigma_hours: float) -> FloatArray:
    """Kernel for noise as smooth as weather maps: correlation falls to 1/e in twice sigma."""
    reach = int(4 * sigma_hours)
    return _unit(np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_hours) ** 2))


@cache
def autoregressive(phi: float) -> FloatArray:
    """Kernel for first-order autoregressive noise with the coefficient `phi` an hour."""
    return _unit(phi ** np.arange(np.ceil(np.log(0.002) / np.log(phi))))


def from_blocks(block: Callable[[int], FloatArray], hours: IntArray) -> FloatArray:
    """The values at `hours` out of blocks (… × BLOCK_HOURS) numbered from hour 0."""
    numbers = hours // BLOCK_HOURS
    parts = {int(number): block(int(number)) for number in np.unique(numbers)}
    if not parts:
        return block(0)[..., :0]
    found = np.empty((*next(iter(parts.values())).shape[:-1], hours.size))
    for number, values in parts.items():
        here = numbers == number
        found[..., here] = values[..., hours[here] - number * BLOCK_HOURS]
    return found


def _splitmix(
    state: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def _unit(kernel: FloatArray) -> FloatArray:
    """Scaled so that white noise keeps its unit variance."""
    scaled: FloatArray = kernel / np.sqrt(np.square(kernel).sum())
    return scaled
