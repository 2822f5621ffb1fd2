"""Context rows: which values of the context each entry of a history came with, as a client finds them for itself."""

import numpy as np

from feature_store.arrays import Float64Array, Int32Array, Int64Array
from feature_store.errors import BadInput
from feature_store.query_tower import Context, ContextFeature
from feature_store.row_ranges import Catalogues, rows_of
from training.context_meetings import Meetings
from training.context_settings import HOURS, WEEKDAYS, ContextSettings

_HOUR, _DAY = 3600.0, 86_400.0  # seconds
_FIRST_WEEKDAY = 3  # 1 January 1970 was a Thursday; Monday is 0


def context_rows(
    settings: ContextSettings, items: Int32Array, meetings: Meetings | None, catalogues: Catalogues
) -> Int32Array:
    """Places among `settings.values(verticals)`, shape (entries, features); -1 where an entry's value is none of them.

    Args:
        settings: which features, and the classes of devices.
        items: the item row of each entry.
        meetings: of each entry; None where nothing is known, which does for the vertical alone.
        catalogues: vertical -> rows of its items.

    Raises:
        BadInput: meetings are needed and there are none, or as many as the entries are not.
    """
    require_known(settings, meetings)
    if meetings is not None and len(meetings) != len(items):
        raise BadInput(f"the part has {len(items)} entries, and its split tells when {len(meetings)} items were met")
    verticals = tuple(catalogues)
    first, columns = 0, []
    for feature in settings.features:
        places = _places(feature, settings, items, meetings, catalogues)
        columns.append(np.where(places >= 0, places + first, -1))
        first += sum(value.feature == feature for value in settings.values(verticals))
    rows: Int32Array = np.column_stack([np.empty((len(items), 0), np.int32), *columns]).astype(np.int32)
    return rows


def require_known(settings: ContextSettings, meetings: Meetings | None) -> None:
    """Raise `BadInput` where the settings ask for what is not known of the items met: before a run, not after it."""
    if meetings is None:
        if {*settings.features} - {"vertical"}:
            raise BadInput(
                f"context of {', '.join(settings.features)} needs to know when and on what items were met; this split "
                f"has histories alone. Interactions with a timestamp tell it where they are split here, and not yet "
                f"where several verticals are joined"
            )
    elif "device" in settings.features and not {*settings.devices} & {*meetings.device_names}:
        found = ", ".join(meetings.device_names) or "none, as there is no column device"
        raise BadInput(f"no interaction has one of the devices {', '.join(settings.devices)}; those found: {found}")


def context_at(time: float, utc_offset_hours: float = 0.0) -> Context:
    """The hour and the weekday of a time (seconds since 1970, UTC) on a clock that is so far from UTC.

    >>> dict(context_at(1_700_000_000.0, utc_offset_hours=-3))
    {'hour': '19', 'weekday': '1'}
    """
    hour, weekday = _clock(np.array([time]), utc_offset_hours)
    return {"hour": str(int(hour[0])), "weekday": str(int(weekday[0]))}


def _places(
    feature: ContextFeature,
    settings: ContextSettings,
    items: Int32Array,
    meetings: Meetings | None,
    catalogues: Catalogues,
) -> Int64Array:
    """The place of each entry's value among those of the feature; -1 where it is none."""
    if feature == "vertical":
        vertical_of = np.full(int(items.max(initial=-1)) + 1, -1, np.int64)
        for place, ranges in enumerate(catalogues.values()):
            rows = rows_of(ranges)
            vertical_of[rows[rows < len(vertical_of)]] = place
        return vertical_of[items]
    if meetings is None:
        return np.full(len(items), -1, np.int64)
    if feature == "device":
        classes = {name: place for place, name in enumerate(settings.devices)}
        place_of = np.array([*(classes.get(name, -1) for name in meetings.device_names), -1], np.int64)
        return place_of[meetings.devices]  # of -1, which stands last
    hours, weekdays = _clock(meetings.times, settings.utc_offset_hours)
    return hours if feature == "hour" else weekdays


def _clock(times: Float64Array, utc_offset_hours: float) -> tuple[Int64Array, Int64Array]:
    """Hours and weekdays."""
    local = times + utc_offset_hours * _HOUR
    hours = np.floor(local / _HOUR).astype(np.int64) % HOURS
    weekdays = (np.floor(local / _DAY).astype(np.int64) + _FIRST_WEEKDAY) % WEEKDAYS
    return hours, weekdays
