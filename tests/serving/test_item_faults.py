"""What is wrong with an item is told by what would be right, and never by what was sent."""

import json

import pytest
from pydantic import JsonValue

from serving.errors import RequestRefused
from serving.routes.items import item_of_json


@pytest.mark.parametrize(
    ("vertical", "values", "sent", "said"),
    [
        ("news", {"published": 1795419568085}, ["1795419568"], "this looks like milliseconds"),
        ("news", {"published": "2027-02-30T11:00:00Z"}, ["2027", "30"], "there is no such day"),
        ("news", {"published": "2027-02-03T11:00:00+77:00"}, ["2027", "77"], "there is no such day, hour or zone"),
        ("news", {"published": 1717, "expires": 1616}, ["1717", "1616"], "expires comes after published"),
        ("e-commerce", {"price": 18.5}, ["18"], "currency is missing"),
        ("e-commerce", {"price": 18.5, "currency": "eek"}, ["18", "eek", "EEK"], "three capital letters"),
        ("e-commerce", {"price": 18.5, "currency": "chf"}, ["18", "chf", "CHF"], "but for blanks and small letters"),
        ("e-commerce", {"price": "18,5", "currency": "EUR"}, ["18"], "an amount of money is a decimal number"),
        ("ads", {"bid": 1.75, "budget": 1.25}, ["1.75", "1.25"], "budget pays for one bid at least"),
        ("ads", {"bid": 1.75, "starts": 1717, "ends": 1616}, ["1717", "1616"], "ends comes after starts"),
    ],
)
def test_no_value_comes_back(vertical: str, values: dict[str, JsonValue], sent: list[str], said: str) -> None:
    more: dict[str, JsonValue] = {"advertiser": "a", "currency": "EUR"} if vertical == "ads" else {}
    with pytest.raises(RequestRefused) as refused:
        item_of_json({"item_id": "i", **more, **values}, vertical, "#")
    [fault] = refused.value.faults
    assert said in fault.detail
    assert "Value error" not in fault.detail
    # The example of a time that each fault of one gives is nobody's.
    told = json.dumps([fault.pointer, fault.detail.replace("2026-03-01T08:00:00Z", "").replace("1970", "")])
    assert [value for value in sent if value in told] == []
