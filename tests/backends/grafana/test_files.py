"""Boards: what is committed is what the code says, nothing is named that does not exist, and links hold."""

import json
import re
from pathlib import Path

import pytest
import yaml

from otel_ml import semconv
from otel_ml.backends.grafana.files import BOARDS, BoardOptions, board, boards, provisioning
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.registry import ATTRIBUTES, METRICS

COMMITTED = Path(__file__).parents[3] / "deploy" / "grafana"
VARIANTS = [(name, histograms) for name in BOARDS for histograms in ("classic", "native")]
# Of Grafana itself.
BUILT_IN = {"__rate_interval", "__url_time_range", "__from", "__to"}


@pytest.fixture(params=VARIANTS, ids="-".join)
def rendered(request):
    name, histograms = request.param
    return board(name, BoardOptions(histograms=histograms)).rendered()


def panels(rendered):
    return [panel for panel in rendered["panels"] if panel["type"] != "row"]


def expressions(rendered):
    for panel in panels(rendered):
        yield from (target["expr"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in rendered["annotations"]["list"])
    for variable in rendered["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_the_committed_boards_are_what_the_code_says():
    """`otel-ml dashboards export --force -o deploy/grafana` after any change, and the native ones beside them."""
    for path, text in {**boards(BoardOptions()), **provisioning(BoardOptions())}.items():
        assert (COMMITTED / path).read_text() == text, path
    for path, text in boards(BoardOptions(histograms="native")).items():
        assert (COMMITTED / path.replace("dashboards/", "dashboards-native/")).read_text() == text, path


def test_every_name_in_a_query_exists(rendered):
    """Metrics and labels are those of the registry, as Prometheus spells them."""
    labels = {label_name(attribute.name) for attribute in ATTRIBUTES}
    names = {metric_name(signal.metric) for signal in METRICS}
    names |= {f"{metric_name(signal.metric)}{suffix}" for signal in METRICS for suffix in ("_bucket", "_count", "_sum")
              if "histogram" in signal.metric.instrument}  # fmt: skip
    known = labels | names | {metric_name(semconv.feature_drift(""))}

    used = {word for expr in expressions(rendered) for word in re.findall(r"\bml_\w+|\berror_type\b", expr)}
    assert used
    assert used <= known


def test_every_panel_explains_itself_and_has_an_id_of_its_own(rendered):
    """Ids are links' business: they are written down, and never given out twice."""
    ids = [panel["id"] for panel in rendered["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(len(panel["description"]) > 30 and panel["title"] for panel in panels(rendered))


def test_ids_stay():
    """Whoever adds a panel gives it a new number; taking one away is a change that users see."""
    ids = {name: [panel["id"] for panel in board(name, BoardOptions()).rendered()["panels"]] for name in BOARDS}

    assert ids["fleet"] == [1, 2, 3, 4, 5, 10, 100, *range(101, 107), 200, *range(201, 210)]
    assert ids["model"] == [
        *range(1, 7), 100, *range(101, 107), 200, 201, 202, 300, *range(301, 307), 400, *range(401, 407),
        500, *range(501, 505), 600, *range(601, 606),
    ]  # fmt: skip


def test_no_data_source_is_named(rendered):
    """A board that names one works for whoever made it."""
    text = json.dumps(rendered)
    sources = {variable["name"] for variable in rendered["templating"]["list"] if variable["type"] == "datasource"}

    assert sources == {"datasource", "traces"}
    assert set(re.findall(r'"uid": "([^"]+)"', text)) == {"${datasource}", rendered["uid"]}


def test_every_variable_that_is_used_is_there(rendered):
    """In queries, titles and links."""
    text = json.dumps(rendered)
    names = {variable["name"] for variable in rendered["templating"]["list"]}
    used = {name for name in re.findall(r"\$\{?(\w+)", text) if not name.startswith(("__field", "__data"))}

    # `$__all` is a value, not a variable.
    assert used - {"__all"} <= names | BUILT_IN


def test_panels_do_not_overlap_and_stay_within_the_grid(rendered):
    """Each cell of the grid belongs to one panel."""
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in rendered["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} <= set(range(24))


def test_links_lead_to_boards_and_to_the_console(rendered):
    """To the two boards by their uids, and to the console by names that are encoded."""
    text = json.dumps(rendered)
    uids = {board(name, BoardOptions()).uid for name in BOARDS}

    assert set(re.findall(r'"/d/([^?"]+)', text)) <= uids
    links = re.findall(r"\$\{console:raw\}(/[^\"]+?)\"(?:,|\})", text.replace('\\"', "'"))
    assert links
    for link in links:
        assert re.fullmatch(r"/(model|feature)\?name=\$\{[^}]+\}&version=\$\{[^}]+\}(&feature=\$\{[^}]+\})?", link), (
            link
        )
        assert all(part.endswith(":percentencode}") for part in re.findall(r"\$\{[^}]+\}", link))


def test_the_last_row_is_there_for_every_feature_that_is_chosen():
    """And there is no "All", which might be a thousand rows."""
    rendered = board("model", BoardOptions()).rendered()
    rows = [panel for panel in rendered["panels"] if panel["type"] == "row"]
    (feature,) = [variable for variable in rendered["templating"]["list"] if variable["name"] == "feature"]

    assert [row.get("repeat") for row in rows] == [None] * (len(rows) - 1) + ["feature"]
    assert feature["multi"]
    assert not feature["includeAll"]


def test_durations_and_values_show_requests_behind_them():
    """Exemplars are asked for where a histogram stands behind the query, and lead to the source of traces."""
    rendered = board("model", BoardOptions()).rendered()
    with_exemplars = {panel["id"] for panel in panels(rendered) if any(t.get("exemplar") for t in panel["targets"])}
    sources = yaml.safe_load(provisioning(BoardOptions())["provisioning/datasources/otel-ml.yaml"])["datasources"]

    assert with_exemplars == {103, 502, 503, 604}
    (destination,) = sources[0]["jsonData"]["exemplarTraceIdDestinations"]
    assert destination == {"name": "trace_id", "datasourceUid": sources[1]["uid"]}


def test_native_and_classic_differ_only_where_durations_are_asked_for():
    """The same ids and titles; `_bucket` and `_count` in the one, histogram functions in the other."""
    classic, native = (board("model", BoardOptions(histograms=kind)).rendered() for kind in ("classic", "native"))
    differing = {one["id"] for one, other in zip(panels(classic), panels(native), strict=True) if one != other}

    assert differing == {101, 102, 103, 104}
    assert not [expr for expr in expressions(native) if "ml_inference_duration_seconds_bucket" in expr]


def test_the_console_is_wherever_it_was_said_to_be():
    """Once, in a variable that users can change."""
    rendered = board("fleet", BoardOptions(console="https://console.example/otel/")).rendered()
    (console,) = [variable for variable in rendered["templating"]["list"] if variable["name"] == "console"]

    assert console["query"] == console["current"]["value"] == "https://console.example/otel"
    assert "console.example" not in json.dumps([rendered["panels"], rendered["links"]])
