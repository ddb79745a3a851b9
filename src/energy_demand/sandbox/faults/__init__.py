"""Faults on demand: what the real upstreams do on a bad day, queued by a test and used up one by one.

`POST /sandbox/faults` with `{"kind": "http_403", "times": 2, "path": "/eia"}` makes the next two requests
whose path starts with `/eia` fail so; `times` 0 is until cleared. `query` limits a fault to requests whose
query has that text, `start` and `end` to hours of the answer. `DELETE /sandbox/faults` clears. The sandbox's
own addresses (`/` and `/sandbox/...`) never fail. All of it runs on the event loop, so the queue needs no
lock.

| what goes wrong | kinds |
| --- | --- |
| another answer than the application's | `http_403`, `http_429`, `http_500`, `http_503`, `html_502`, `nul_502`, `error_under_200`, `redirected`, `invalid_key`, `other_400`, `minutely_limit`, `hourly_limit`, `daily_limit`, `too_many_at_once`, `run_missing_400`, `run_missing_text` |
| the true answer late (`seconds`), or half of it | `slow`, `truncated`, `run_missing_midway`, `stream_timeout` |
| EIA does another query than the one asked | `overlap` (`rows` earlier), `mixed_series` |
| EIA's rows: every `every`-th | `nulls`, `zeros`, `missing_rows`, `wrong_region`, `garbage_rows` |
| EIA's rows: all from `start` to `end` | `taken_back` |
| EIA's whole page | `numbers`, `total_too_large` (by `rows`), `warnings_top`, `warnings_inside` |
| Open-Meteo's list of sites | `sites_reordered`, `site_missing`, `site_elsewhere` |
| Open-Meteo's values | `half_run`, `temperature_only`, `rain_alone`, `undefined_variable` (`variable`), `wrong_units` |
| NYISO's file | `file_missing`, `page_under_200` |
| NYISO's tables, in an archive all of them | `hour_twice`, `columns_reordered`, `columns_shifted`, `zone_missing`, `system_missing`, `half_day`, `garbage_lines` |

A fault of EIA's rows, of a list of sites, of values or of tables leaves alone, and uses itself up on, an answer that has
none.
"""  # noqa: E501 - a table
