"""LightGBM's fast path for one row: what `Booster.predict` sets up on each call is set up once. Pure.

Calls the functions of LightGBM's C API (lightgbm.readthedocs.io, C_API.html) by the names used below.
"""

from __future__ import annotations

import ctypes
import weakref

from energy_demand.boosting import LIBRARY

_FLOAT64, _NORMAL = 1, 0  # C_API_DTYPE_FLOAT64, C_API_PREDICT_NORMAL
_ALL_TREES = -1
_PARAMETERS = b"num_threads=1"


class SingleRow:
    """One booster, one row at a time.

    Invariant: belongs to one thread. LightGBM keeps the row's buffer in the handle, so two threads would
    mix up their rows; each thread needs an instance of its own.

    Args:
        model_text: the booster as LightGBM writes it.
        columns: how many features a row has.

    Raises:
        ValueError: LightGBM rejects the text. (A truncated text crashes the process, here as in `Booster`;
            checksums catch it earlier.)
    """

    def __init__(self, model_text: str, columns: int) -> None:
        # PyDLL keeps the interpreter lock during the call: ten microseconds are too short to release it.
        self._library = ctypes.PyDLL(LIBRARY._name)  # noqa: SLF001
        self._library.LGBM_GetLastError.restype = ctypes.c_char_p
        booster, config, trees = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
        self._call(
            "LGBM_BoosterLoadModelFromString", model_text.encode(), ctypes.byref(trees), ctypes.byref(booster)
        )
        weakref.finalize(self, self._library.LGBM_BoosterFree, booster)
        self._call(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            booster,
            ctypes.c_int(_NORMAL),
            ctypes.c_int(0),
            ctypes.c_int(_ALL_TREES),
            ctypes.c_int(_FLOAT64),
            ctypes.c_int32(columns),
            _PARAMETERS,
            ctypes.byref(config),
        )
        # Finalizers run in reverse order: the configuration is freed before its booster.
        weakref.finalize(self, self._library.LGBM_FastConfigFree, config)
        self._config = config
        self._row = (ctypes.c_double * columns)()
        self._size, self._result = ctypes.c_int64(), ctypes.c_double()
        self._predict = self._library.LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (config, self._row, ctypes.byref(self._size), ctypes.byref(self._result))

    def __call__(self, row: list[float]) -> float:
        """The prediction of one row; its values are in the order of the booster's features."""
        self._row[:] = row  # type: ignore[assignment]
        if self._predict(*self._arguments) != 0:
            raise ValueError(self._reason())
        return self._result.value

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(*arguments) != 0:
            raise ValueError(self._reason())

    def _reason(self) -> str:
        message: bytes = self._library.LGBM_GetLastError()
        return f"LightGBM: {message.decode(errors='replace').strip()}"
