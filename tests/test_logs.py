"""The logger set-up: warnings to standard error, and no secret through any handler."""

from __future__ import annotations

import json
import logging

import pytest

from energy_demand.logs import RedactingFilter, _RedactingJsonFormatter, configure_logging, redact

CANARY = "canary0123456789secret"


@pytest.fixture
def logging_as_before():
    """Put the process-wide logging back after the test."""
    root, own = logging.getLogger(), logging.getLogger("energy_demand")
    handlers, levels = root.handlers[:], (root.level, own.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"GET https://api.eia.gov/v2/x?api_key={CANARY}&frequency=hourly", id="in an address"),
        pytest.param(f"https://x.test/?frequency=hourly&api_key={CANARY}", id="at the end of an address"),
        pytest.param(f"https://x.test/?apikey={CANARY}&a=b", id="as apikey"),
        pytest.param(f"EIA_API_KEY={CANARY}", id="as a variable"),
        pytest.param(f'{{"request":{{"params":{{"api_key":"{CANARY}","a":1}}}}}}', id="in echoed JSON"),
        pytest.param(f"{{'api_key': '{CANARY}'}}", id="in a printed mapping"),
        pytest.param(f"postgresql://user:{CANARY}@localhost:5432/energy", id="as a database password"),
        pytest.param(f"postgresql+psycopg://user:{CANARY}@localhost/energy", id="with a driver's name"),
        pytest.param(f"postgresql://:{CANARY}@localhost/energy", id="as a password without a user"),
        pytest.param(f"x-api-key: {CANARY}", id="in a header"),
    ],
)
def test_a_secret_is_taken_out_of_a_text(text):
    assert CANARY not in redact(text)
    assert "REDACTED" in redact(text)


@pytest.mark.parametrize("password", ["p@ss", "p@s/s", "p/s@s", "@@", "p?s#@s", "a@b@c"])
def test_no_part_of_a_password_with_an_at_sign_stays(password):
    text = f"cannot reach postgresql://user:{password}@host:5432/db now"
    assert redact(text) == "cannot reach postgresql://user:REDACTED@host:5432/db now"


def test_an_address_in_a_line_of_json_ends_with_its_field():
    line = '{"address":"http://u:p@ss@host/","mail":"a@b.test"}'
    assert redact(line) == '{"address":"http://u:REDACTED@host/","mail":"a@b.test"}'


def test_the_rest_of_a_text_stays():
    text = f"GET https://u:{CANARY}@x.test/v2?api_key={CANARY}&frequency=hourly failed"
    assert redact(text) == "GET https://u:REDACTED@x.test/v2?api_key=REDACTED&frequency=hourly failed"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("API_KEY_INVALID An invalid key was supplied", id="the name of an error"),
        pytest.param("https://x.test:8090/v2?start=2024-01-01T00 at 12:30", id="a port and a time"),
        pytest.param("EIA_API_KEY not set. Register at https://www.eia.gov/opendata/", id="a missing key"),
    ],
)
def test_a_text_without_secrets_is_not_changed(text):
    assert redact(text) == text


def test_the_filter_cleans_a_record_and_lets_it_pass():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "GET %s", (f"?api_key={CANARY}&a=b",), None)
    assert RedactingFilter().filter(record)
    assert record.getMessage() == "GET ?api_key=REDACTED&a=b"
    assert CANARY not in str(vars(record))


def test_the_filter_leaves_a_clean_record_as_it_was():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "page %d of %d", (1, 2), None)
    assert RedactingFilter().filter(record)
    assert (record.msg, record.args) == ("page %d of %d", (1, 2))


@pytest.mark.usefixtures("logging_as_before")
def test_warnings_go_to_standard_error_and_less_is_silent(capfd):
    configure_logging()
    logging.getLogger("energy_demand.http").info("quiet")
    logging.getLogger("energy_demand.http").warning("loud")
    logging.getLogger("httpx").info("theirs")
    out, err = capfd.readouterr()
    assert out == ""
    assert "WARNING energy_demand.http: loud" in err
    assert "quiet" not in err
    assert "theirs" not in err


@pytest.mark.usefixtures("logging_as_before")
def test_verbose_shows_all_of_ours_and_no_more_of_theirs(capfd):
    configure_logging(verbose=True)
    logging.getLogger("energy_demand.data").debug("ours")
    logging.getLogger("httpx").info("theirs")
    err = capfd.readouterr().err
    assert "ours" in err
    assert "theirs" not in err


@pytest.mark.usefixtures("logging_as_before")
def test_a_traceback_is_written_without_its_secrets(capfd):
    configure_logging()
    try:
        int(f"https://x.test/?api_key={CANARY}")
    except ValueError:
        logging.getLogger("anybody").exception("failed with postgresql://u:%s@host/db", CANARY)
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert CANARY not in err


def test_a_json_line_with_text_that_is_no_unicode_is_written_all_the_same():
    record = logging.makeLogRecord(
        {"name": "x", "levelname": "INFO", "msg": "half \ud800, api_key=secret123"}
    )
    line = json.loads(_RedactingJsonFormatter().format(record))
    assert line["message"] == "half \ud800, api_key=REDACTED"
