"""How models are scored and compared: backtests, contests, replays of retraining policies. Pure: no I/O."""
