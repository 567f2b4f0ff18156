"""What the console can be told, and what it refuses."""

import pytest
from pydantic import ValidationError

from collector_processor.console.settings import ConsoleSettings
from collector_processor.settings import Address


def problems(**settings):
    return [problem.what for problem in ConsoleSettings(**settings).problems(("service", "console"))]


def test_it_shows_itself_on_this_machine_alone():
    """Unless somebody says otherwise."""
    settings = ConsoleSettings()

    assert (settings.enabled, settings.endpoint) == (True, Address("127.0.0.1", 13180))
    assert problems() == []


@pytest.mark.parametrize("endpoint", ["0.0.0.0:13180", "[::]:13180", "10.0.0.1:80", "console.example:80"])
def test_beyond_this_machine_it_needs_a_certificate_and_a_token(endpoint):
    """Whoever reaches it reads names of models and categories."""
    (problem,) = problems(endpoint=endpoint)

    assert f"'{endpoint}' shows results beyond this machine in plain text, for everybody" in problem
    assert problems(endpoint=endpoint, allow_insecure=True) == []
    assert problems(endpoint=endpoint, enabled=False) == []
    assert len(problems(endpoint=endpoint, auth={"bearer_token": "token"})) == 1


@pytest.mark.parametrize("endpoint", ["127.0.0.1:0", "localhost:13180", "[::1]:13180"])
def test_on_this_machine_it_needs_neither(endpoint):
    """By whatever name."""
    assert problems(endpoint=endpoint) == []


@pytest.mark.parametrize("link", ["https://backend/trace/{trace_id}", "http://127.0.0.1:16686/trace/{trace_id}?x=1"])
def test_a_link_to_traces_says_where_the_id_goes(link):
    """It is filled in wherever a trace is named."""
    assert ConsoleSettings(trace_url_template=link).trace_url_template == link


@pytest.mark.parametrize(
    "link",
    ["", "javascript:alert('{trace_id}')", "data:text/html,{trace_id}", "//x/{trace_id}", "/x/{trace_id}", " https://x/{trace_id}",
     "https://backend/trace/", "https://backend/trace/{trace}", "https://x/{trace_id}" + "x" * 2000],
)  # fmt: skip
def test_another_link_is_refused(link):
    """What is no link would be a script, or lead to a page of ours that is not there."""
    with pytest.raises(ValidationError):
        ConsoleSettings(trace_url_template=link)


def test_a_link_to_runbooks_need_not_name_the_alert():
    """There may be one page for all of them."""
    assert ConsoleSettings(runbook_url_template="https://wiki/alerts").runbook_url_template == "https://wiki/alerts"
    with pytest.raises(ValidationError, match="is no link"):
        ConsoleSettings(runbook_url_template="wiki")


def test_a_token_is_in_no_message():
    """Nor in what is printed of the settings."""
    settings = ConsoleSettings(auth={"bearer_token": "very-secret"})

    assert "very-secret" not in repr(settings)
    assert "very-secret" not in str(problems(endpoint="0.0.0.0:1", auth={"bearer_token": "very secret"}))
