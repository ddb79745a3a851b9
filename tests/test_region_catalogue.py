"""The catalogue of regions, files of one's own, and what EIA_REGION makes of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from energy_demand import cli, config
from energy_demand.by_region import RegionsFailedError, by_region
from energy_demand.config import NEW_YORK_RESPONDENTS, PLACE, SettingsError, load_settings, settings_of
from energy_demand.data.eia_client import PREDECESSORS
from energy_demand.doctor.machine import given_settings
from energy_demand.errors import RegionError
from energy_demand.region import NEW_YORK
from energy_demand.region_catalogue import entries, find, read_regions, region_of

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = entries()
AUTHORITIES = {code: entry for code, entry in CATALOGUE.items() if entry.kind == "authority"}
REGIONS = {code: entry for code, entry in CATALOGUE.items() if entry.kind == "region"}
# They publish no demand, and are members of regions all the same.
GENERATION_ONLY = {
    *("AVRN", "DEAA", "EEI", "GLHB", "GRID", "GRIF", "GRMA", "GWA", "HGMA", "SEPA", "WWA", "YAD")
}
OWN = """
[[region]]
code = "PJM"
name = "Mine"
zone = "America/Chicago"
sites = [
  { name = "philadelphia", latitude = 39.95, longitude = -75.17, weight = 0.6 },
  { name = "chicago", latitude = 41.88, longitude = -87.63, weight = 0.4 },
]
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project folder of the test's own, whose `.env` counts."""
    monkeypatch.setattr(config, "project_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def own(tmp_path):
    """Writes a file of one's own."""

    def write(text: str) -> Path:
        file = tmp_path / "mine.toml"
        file.write_text(text)
        return file

    return write


# The table.


@pytest.mark.parametrize("code", CATALOGUE)
def test_an_entry_is_sound(code):
    entry = CATALOGUE[code]
    assert ZoneInfo(entry.zone).key == entry.zone
    assert entry.country == "US"
    assert 1 <= len(entry.sites) <= 5
    assert all(24.4 < site.latitude < 49.4 and -124.8 < site.longitude < -66.9 for site in entry.sites)
    weights = [site.weight for site in entry.sites]
    assert math.fsum(weights) == pytest.approx(1, abs=1e-9)
    assert [round(weight, 2) for weight in weights] == weights
    assert weights[0] == max(weights)


def test_names_are_unique_and_codes_in_order():
    names = [entry.name for entry in CATALOGUE.values()]
    assert len(set(names)) == len(names)
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_a_city_is_at_one_place():
    places: dict[str, set[tuple[float, float]]] = {}
    for entry in CATALOGUE.values():
        for site in entry.sites:
            places.setdefault(site.name, set()).add((site.latitude, site.longitude))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_all_authorities_and_regions_with_demand_are_there_and_no_generator():
    assert (len(AUTHORITIES), len(REGIONS)) == (57, 14)
    assert {"PJM", "MISO", "SWPP", "ERCO", "CISO", "ISNE", "NYIS"} <= AUTHORITIES.keys()
    assert not CATALOGUE.keys() & GENERATION_ONLY


def test_each_authority_is_in_one_region():
    assert set(REGIONS["US48"].members) == REGIONS.keys() - {"US48"}
    members = [code for region, entry in REGIONS.items() if region != "US48" for code in entry.members]
    assert len(set(members)) == len(members)
    assert set(members) - GENERATION_ONLY == AUTHORITIES.keys() - {"SIKE"}  # its note says why
    assert all(not entry.members for entry in AUTHORITIES.values())


def test_the_other_name_is_the_one_that_ingestion_asks_for():
    alone = {code: entry.files_name for code, entry in CATALOGUE.items() if entry.files_name}
    assert alone == {code: before.respondent for code, before in PREDECESSORS.items()}
    for code, authority in alone.items():
        assert CATALOGUE[code].members == (authority,)
        assert CATALOGUE[code].sites == CATALOGUE[authority].sites
        until = PREDECESSORS[code].until.astimezone(ZoneInfo(CATALOGUE[code].zone))
        assert (until.date(), until.hour) == (date(2019, 1, 1), 0)


def test_authorities_that_retired_say_when():
    assert {code: str(entry.retired) for code, entry in CATALOGUE.items() if entry.retired} == {
        "AEC": "2021-09-01",
        "NSB": "2020-01-08",
        "OVEC": "2018-12-01",
        "WACM": "2026-03-31",
        "WAUW": "2026-03-31",
    }


# Several regions.


def several(*codes: str, **given: object):
    return settings_of(eia_regions=codes, **given)


def test_the_first_region_is_the_default_one_and_each_has_its_own_facts_names_and_folders(tmp_path):
    settings = several("PJM", "ERCO", "NY", energy_demand_home=tmp_path)
    assert (settings.eia_region, settings.regions) == ("PJM", ("PJM", "ERCO", "NY"))
    assert settings.for_region("PJM") is settings
    erco, york = settings.for_region("ERCO"), settings.for_region("NY")
    assert (settings.region, erco.region, york.region) == (region_of("PJM"), region_of("ERCO"), NEW_YORK)
    assert [each.model_name for each in (settings, erco, york)] == [
        "energy-demand-lgbm-PJM",
        "energy-demand-lgbm-ERCO",
        "energy-demand-lgbm",
    ]
    assert york.models_folder == tmp_path / "models"
    assert erco.models_folder == tmp_path / "models" / "ERCO"
    assert york.reference_path == settings_of(energy_demand_home=tmp_path).reference_path
    paths = {each.reference_path for each in (settings, erco, york)}
    assert len(paths | {each.drift_report_path for each in (settings, erco, york)}) == 6
    assert set(erco.regions) == set(settings.regions)


def test_one_region_alone_is_as_it_was(tmp_path):
    assert settings_of().regions == ("NY",)
    assert settings_of(eia_region="PJM").regions == ("PJM",)
    given = {"energy_demand_home": tmp_path}
    assert settings_of(**given).picture_path == several("NY", **given).picture_path


def test_eia_region_is_the_default_one_wherever_it_is_listed():
    assert several("NY", "PJM", eia_region="PJM").regions == ("PJM", "NY")


def test_all_are_those_that_are_not_retired_new_york_first():
    codes = several("all").regions
    assert codes[0] == "NY"
    assert set(codes) == {code for code, entry in CATALOGUE.items() if entry.retired is None}
    assert several("all", eia_region="ERCO").regions[0] == "ERCO"


def test_sites_that_are_set_and_the_operator_s_forecast_are_of_their_own_region_alone():
    settings = several("NY", "PJM", weather_tz="UTC", operator_forecast="nyiso")
    assert settings.region.zone.key == "UTC"
    pjm = settings.for_region("PJM")
    assert (pjm.region.zone.key, pjm.operator_forecast) == ("America/New_York", None)
    assert several("NY", "PJM", operator_forecast="nyiso").for_region("NY").operator_forecast == "nyiso"


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"EIA_REGIONS": "NY,NY"}, "EIA_REGIONS: NY is there twice"),
        ({"EIA_REGIONS": "ny,PJM"}, "EIA_REGIONS: 'ny' is not a region's code; write it in capitals"),
        ({"EIA_REGIONS": "all,PJM"}, "EIA_REGIONS: `all` stands alone"),
        (
            {"EIA_REGIONS": "PJM,ERCO", "EIA_REGION": "NY"},
            "EIA_REGIONS: EIA_REGION, the default region, is NY and not among PJM,ERCO",
        ),
        (
            {"EIA_REGIONS": "PJN,NY"},
            "EIA_REGION: PJN is not in the catalogue of regions; did you mean PNM or PJM?",
        ),
    ],
    ids=["one twice", "small letters", "all and one", "another default", "an unknown default"],
)
def test_a_list_of_regions_that_cannot_be_used_is_refused(variables, fault, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)


def test_a_list_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("EIA_REGIONS", " NY, PJM ,ERCO")
    assert load_settings().regions == ("NY", "PJM", "ERCO")


def failures(settings) -> dict[str, str]:
    return by_region(settings, settings.regions, lambda of: of.region).failed


def test_an_unknown_region_fails_alone():
    assert failures(several("NY", "XYZQ", "PJM")) == {
        "XYZQ": "EIA_REGIONS: XYZQ is not in the catalogue of regions. `energy-demand regions` lists them; "
        "describe another one in REGIONS_FILE"
    }


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            OWN.replace("America/Chicago", "America/Chicagoo"),
            "entry PJM: zone: 'America/Chicagoo' is not a time",
        ),
        (OWN + OWN, "entry PJM: code: there are two entries with it; remove one"),
    ],
    ids=["a fault", "one code twice"],
)
def test_a_fault_in_an_entry_of_one_s_own_is_that_region_s_alone(text, fault, own):
    file = own(text + OWN.replace('"PJM"', '"MINE"').replace("philadelphia", "camden"))
    failed = failures(several("NY", "PJM", "MINE", "ERCO", regions_file=file))
    assert list(failed) == ["PJM"]
    assert fault in failed["PJM"]


def test_a_site_at_two_places_is_refused_with_both_regions(own):
    file = own(OWN.replace('"PJM"', '"MINE"').replace("39.95", "39.99"))
    failed = failures(several("NY", "PJM", "MINE", regions_file=file))
    assert list(failed) == ["MINE"]
    assert failed["MINE"].startswith("MINE and PJM both have a site philadelphia, at 39.99, -75.17 and at ")


def test_a_region_that_is_not_listed_is_not_to_be_had():
    with pytest.raises(RegionError, match=r"^ERCO is not among the regions that are forecast \(NY, PJM\)"):
        several("NY", "PJM").for_region("ERCO")


def test_a_bug_in_one_region_stops_no_other_and_is_logged(caplog):
    def work(of):
        if of.eia_region == "PJM":
            raise KeyError("oops")
        return of.eia_region

    settings = several("NY", "PJM", "ERCO")
    outcome = by_region(settings, settings.regions, work)
    assert outcome.done == {"NY": "NY", "ERCO": "ERCO"}
    with pytest.raises(RegionsFailedError, match=r"^PJM: KeyError: 'oops'$"):
        outcome.raise_failures()
    assert "Traceback" in caplog.text


# New York.


def test_new_york_is_as_it_was():
    assert settings_of().region == settings_of(eia_region="NY").region == NEW_YORK == region_of("NY")
    assert [(site.name, site.weight) for site in NEW_YORK.sites] == [
        ("new_york_city", 0.65),
        ("albany", 0.12),
        ("buffalo", 0.13),
        ("syracuse", 0.10),
    ]
    assert settings_of(eia_region="NYIS").region == region_of("NYIS")
    assert {"NY", "NYIS"} == NEW_YORK_RESPONDENTS


@pytest.mark.usefixtures("processes")
def test_nothing_is_read_for_new_york():
    code = (
        "import sys; from energy_demand.config import settings_of; settings_of().region;"
        "assert 'energy_demand.region_catalogue' not in sys.modules;"
        "settings_of(eia_region='PJM'); assert 'energy_demand.region_catalogue' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Settings.


@pytest.mark.parametrize("code", ["PJM", "ERCO", "CAL", "TAL"])
def test_a_region_of_the_catalogue_needs_no_other_setting(code, monkeypatch):
    monkeypatch.setenv("EIA_REGION", code)
    settings = load_settings()
    assert settings.region == CATALOGUE[code].region
    assert settings.weather_tz == CATALOGUE[code].zone


def test_settings_that_are_given_win_one_by_one(monkeypatch):
    for name, text in {"EIA_REGION": "PJM", "WEATHER_TZ": "America/Chicago", "WEATHER_LAT": "40"}.items():
        monkeypatch.setenv(name, text)
    region = load_settings().region
    assert region.zone == ZoneInfo("America/Chicago")
    assert region.sites[0] == CATALOGUE["PJM"].sites[0].model_copy(update={"latitude": 40.0})
    assert region.sites[1:] == CATALOGUE["PJM"].sites[1:]
    assert load_settings(weather_further_sites=()).region.sites == region.sites[:1]


def test_an_unknown_region_whose_place_is_given_works():
    given = {
        "weather_tz": "Asia/Tokyo",
        "weather_site": "tokyo",
        "weather_lat": 35.7,
        "weather_lon": 139.7,
        "weather_further_sites": (),
    }
    assert given.keys() == PLACE
    settings = settings_of(eia_region="TOKYO", holiday_country="JP", **given)
    assert (settings.region.respondent, settings.region.country) == ("TOKYO", "JP")
    assert [site.name for site in settings.region.sites] == ["tokyo"]
    assert given_settings(settings) == {"eia_region", "holiday_country", *given}
    for name in given:
        with pytest.raises(RegionError, match="EIA_REGION: TOKYO"):
            settings_of(eia_region="TOKYO", **{key: value for key, value in given.items() if key != name})


@pytest.mark.parametrize(("code", "near"), [("PJN", "PNM or PJM"), ("MISOO", "MISO"), ("ERCOT", "ERCO")])
def test_an_unknown_code_is_refused_with_the_nearest(code, near, monkeypatch):
    monkeypatch.setenv("EIA_REGION", code)
    with pytest.raises(
        SettingsError, match=f"^EIA_REGION: {code} is not in .*; did you mean {near}"
    ) as caught:
        load_settings()
    assert "\n" not in str(caught.value)
    with pytest.raises(RegionError, match=f"did you mean {near}"):
        region_of(code)


def test_a_code_that_nothing_is_near_has_no_suggestion():
    with pytest.raises(
        RegionError, match=r"^EIA_REGION: XYZQ is not in the catalogue of regions\. "
    ) as caught:
        region_of("XYZQ")
    assert "did you mean" not in str(caught.value)


def test_a_country_without_holidays_is_refused():
    with pytest.raises(SettingsError, match="HOLIDAY_COUNTRY: no holiday calendar of 'ZZ'"):
        load_settings(holiday_country="ZZ")


def test_what_follows_from_the_region_is_not_given(own):
    settings = settings_of(eia_region="PJM", weather_lat=40.0, regions_file=own(OWN))
    assert given_settings(settings) == {"eia_region", "regions_file", "weather_lat"}


# A file of one's own.


def test_a_region_of_ones_own_replaces_the_catalogues_and_leaves_the_others(own, monkeypatch):
    file = own(OWN)
    monkeypatch.setenv("REGIONS_FILE", str(file))
    monkeypatch.setenv("EIA_REGION", "PJM")
    region = load_settings().region
    assert region.zone == ZoneInfo("America/Chicago")
    assert [(site.name, site.weight) for site in region.sites] == [("philadelphia", 0.6), ("chicago", 0.4)]
    assert find("MISO", file) == CATALOGUE["MISO"]
    assert entries(file).keys() == CATALOGUE.keys()
    assert load_settings(eia_region="NY").region == NEW_YORK


def test_a_region_of_ones_own_is_added(own):
    file = own(OWN.replace('"PJM"', '"PJMX"'))
    assert settings_of(eia_region="PJMX", regions_file=file).region.respondent == "PJMX"
    assert entries(file).keys() == {*CATALOGUE, "PJMX"}
    with pytest.raises(RegionError, match="did you mean .*PJMX"):
        region_of("PJMY", file)


def test_new_york_may_be_replaced_too(own):
    file = own(OWN.replace('"PJM"', '"NY"'))
    assert settings_of(regions_file=file).region.sites[0].name == "philadelphia"


def test_another_country_has_its_own_sites_and_holidays(own):
    text = OWN.replace('"PJM"', '"HQT"').replace("39.95", "45.5").replace("41.88", "53.5")
    with pytest.raises(RegionError, match="outside the contiguous United States"):
        read_regions(own(text))
    region = settings_of(
        eia_region="HQT", regions_file=own(text.replace("sites =", 'country = "CA"\nsites ='))
    ).region
    assert (region.country, region.sites[1].latitude) == ("CA", 53.5)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        pytest.param(("[[region]]", "[[region]"), "not TOML", id="no TOML"),
        pytest.param((OWN, "# nothing\n"), "no entry", id="no entry"),
        pytest.param((OWN, 'region = "PJM"\n'), "no entry", id="an entry that is a word"),
        pytest.param((OWN, "region = [1]\n"), "entry 1: Input should be", id="an entry that is a number"),
        pytest.param(("[[region]]", "[[regions]]"), "regions: unknown", id="another heading"),
        pytest.param((OWN, OWN + OWN), "entry PJM: code: there are two entries", id="one code twice"),
        pytest.param(('code = "PJM"\n', ""), "entry 1: code: Field required", id="no code"),
        pytest.param(('"PJM"', '"pjm"'), "entry pjm: code: String should match", id="a malformed code"),
        pytest.param(("zone", "zoone"), "entry PJM: zone: Field required", id="no zone"),
        pytest.param(
            ("America/Chicago", "America/Gotham"),
            "entry PJM: zone: 'America/Gotham' is not a time zone",
            id="no such zone",
        ),
        pytest.param(
            ("sites =", 'country = "ZZ"\nsites ='),
            "entry PJM: country: no holiday calendar of 'ZZ'",
            id="no such country",
        ),
        pytest.param(("sites =", "size = 3\nsites ="), "entry PJM: size: Extra inputs", id="unknown field"),
        pytest.param(
            ("weight = 0.4", "weight = 0.3"),
            "entry PJM: sites: the weights sum to 0.900, not to one",
            id="weights",
        ),
        pytest.param(("weight = 0.4", "weight = 0"), "entry PJM: sites[1].weight: Input", id="a weight of 0"),
        pytest.param(
            ('"chicago"', '"philadelphia"'),
            "entry PJM: sites: philadelphia is there twice",
            id="a site twice",
        ),
        pytest.param(
            ("-87.63", "87.63"),
            "entry PJM: sites[1].longitude: chicago at 87.63 is outside the contiguous United States",
            id="a site east of Greenwich",
        ),
        pytest.param(
            ("41.88", "61.2"),
            "entry PJM: sites[1].latitude: chicago at 61.2 is outside",
            id="a site in Alaska",
        ),
    ],
)
def test_a_fault_is_refused_by_file_entry_and_field(change, fault, own, monkeypatch):
    assert OWN.count(change[0]) == 1
    file = own(OWN.replace(*change))
    monkeypatch.setenv("REGIONS_FILE", str(file))
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(str(file))
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(RegionError, match=r"nowhere\.toml: cannot be read: No such file"):
        read_regions(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes("# größer".encode("latin-1"))
    with pytest.raises(RegionError, match=r"latin\.toml: not UTF-8"):
        read_regions(tmp_path / "latin.toml")


def test_thirds_sum_to_one_within_rounding(own):
    third = '  { name = "detroit", latitude = 42.3, longitude = -83.0, weight = 0.33 },\n]\n'
    text = OWN.replace("0.6 ", "0.33 ").replace("0.4 ", "0.33 ").removesuffix("]\n") + third
    assert len(read_regions(own(text))["PJM"].sites) == 3


# The command.


def test_the_command_lists_every_region_whatever_eia_region_is(own, monkeypatch):
    monkeypatch.setenv("EIA_REGION", "PJN")
    monkeypatch.setenv("REGIONS_FILE", str(own(OWN)))
    monkeypatch.setenv("COLUMNS", "200")
    listed = json.loads(CliRunner().invoke(cli.app, ["regions", "--json"]).stdout)["regions"]
    assert [entry["code"] for entry in listed] == list(CATALOGUE)
    mine = next(entry for entry in listed if entry["code"] == "PJM")
    assert (mine["name"], mine["zone"], mine["country"]) == ("Mine", "America/Chicago", "US")
    assert mine["sites"][1] == {"name": "chicago", "latitude": 41.88, "longitude": -87.63, "weight": 0.4}
    shown = CliRunner().invoke(cli.app, ["regions"])
    assert shown.exit_code == 0
