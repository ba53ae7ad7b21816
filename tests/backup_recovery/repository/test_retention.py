"""What a policy keeps, and that it never takes the last good backup."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peak_observe.backup_recovery.repository.metadata import BackupMetadata, BackupStatus, BackupType, Part
from peak_observe.backup_recovery.repository.retention import RetentionPolicy, Selection, keep_count

SUCCESS, PARTIAL, FAILED, IN_PROGRESS = (
    BackupStatus.SUCCESS,
    BackupStatus.PARTIAL,
    BackupStatus.FAILED,
    BackupStatus.IN_PROGRESS,
)
START = datetime(2026, 1, 1, tzinfo=UTC)  # a Thursday


def backup(number: int, at: datetime | str = START, status: BackupStatus = SUCCESS, **more) -> BackupMetadata:
    """Return the backup of that number."""
    created = at if isinstance(at, str) else at.isoformat()
    return BackupMetadata(f"b{number}", BackupType.FULL, created, status, sequence=number, **more)


def series(count: int, step: timedelta) -> list[BackupMetadata]:
    """Return good backups, the oldest first, at even steps."""
    return [backup(number, START + number * step) for number in range(count)]


def kept(selection: Selection) -> list[str]:
    """Return the ids of what stays."""
    return [item.backup.backup_id for item in selection.keep]


def reasons(selection: Selection) -> dict[str, tuple[str, ...]]:
    """Return why each stays."""
    return {item.backup.backup_id: item.reasons for item in selection.keep}


def test_last_keeps_the_newest() -> None:
    """The newest first, and the oldest goes first."""
    selection = RetentionPolicy(last=2).select(series(4, timedelta(hours=1)))
    assert kept(selection) == ["b3", "b2"]
    assert [item.backup_id for item in selection.remove] == ["b0", "b1"]


PERIODS = [
    # By hours from midnight of Thursday, 1 January 2026.
    ("hourly", [0.0, 0.5, 0.9, 1.0, 3.1, 3.2], ["b5", "b3"]),
    ("daily", [0, 12, 23.9, 24, 71, 72], ["b5", "b4"]),
    ("weekly", [0, 24, 95.9, 96, 200, 263.9], ["b5", "b2"]),
    ("monthly", [0, 300, 743.9, 744, 800, 1415.9], ["b5", "b2"]),
    ("yearly", [-1, 0, 1, 8759.9, 8760, 8761], ["b5", "b3"]),
]


@pytest.mark.parametrize(("period", "hours", "expected"), PERIODS, ids=[period for period, _, _ in PERIODS])
def test_the_newest_of_each_period_stays(period: str, hours: list[float], expected: list[str]) -> None:
    """Of the two most recent periods that have a backup, with their borders in UTC."""
    backups = [backup(number, START + timedelta(hours=at)) for number, at in enumerate(hours)]
    selection = RetentionPolicy(**{period: 2}).select(backups)
    assert kept(selection) == expected
    assert reasons(selection) == {expected[0]: ("last good", period), expected[1]: (period,)}


def test_periods_are_those_of_utc() -> None:
    """One o'clock at night in Berlin is the day before."""
    night = [backup(1, "2026-07-01T00:30:00+02:00"), backup(2, "2026-06-30T23:30:00"), backup(3, "2026-07-01T00:00:01")]
    assert kept(RetentionPolicy(daily=5).select(night)) == ["b3", "b2"]


def test_iso_weeks_cross_the_year() -> None:
    """Wednesday, 31 December 2025 and Thursday, 1 January 2026 are one week."""
    assert kept(RetentionPolicy(weekly=5).select([backup(1, START - timedelta(days=1)), backup(2)])) == ["b2"]


def test_empty_periods_are_not_counted() -> None:
    """A machine that was off for a year has its three days all the same."""
    backups = [backup(number, START + timedelta(days=days)) for number, days in enumerate([0, 1, 400, 401])]
    assert kept(RetentionPolicy(daily=3).select(backups)) == ["b3", "b2", "b1"]


def test_within_counts_back_from_the_newest() -> None:
    """What is exactly as old as that is out, as restic has it."""
    selection = RetentionPolicy(within=timedelta(days=2)).select(series(5, timedelta(days=1)))
    assert reasons(selection) == {"b4": ("last good", "within 2 days, 0:00:00"), "b3": ("within 2 days, 0:00:00",)}


def test_within_does_not_count_from_the_future_if_told_the_present() -> None:
    """A backup under a clock that ran years ahead does not make all the others old."""
    backups = [*series(3, timedelta(days=1)), backup(9, START + timedelta(days=9999))]
    policy = RetentionPolicy(within=timedelta(days=1, hours=1))
    assert kept(policy.select(backups)) == ["b9"]
    assert kept(policy.select(backups, now=START + timedelta(days=3))) == ["b9", "b2", "b1"]
    assert kept(policy.select(backups, now=START - timedelta(days=3))) == ["b9"]


def test_the_newest_is_that_of_the_highest_sequence() -> None:
    """A clock that was set back does not make the newest backup an old one."""
    backups = [backup(1, START), backup(2, START - timedelta(days=300))]
    assert kept(RetentionPolicy(last=1).select(backups)) == ["b2"]


def test_rules_add_up() -> None:
    """Each keeps its own, and a backup tells all its reasons."""
    selection = RetentionPolicy(last=1, daily=2, monthly=2).select(series(60, timedelta(hours=12)))
    assert reasons(selection) == {"b59": ("last good", "last", "daily", "monthly"), "b57": ("daily",)}


def test_tags_keep() -> None:
    """Whatever the age and the status."""
    backups = [backup(1, tags=["a", "b"]), backup(2, status=FAILED, tags=["c"]), backup(3, tags=["x"]), backup(4)]
    selection = RetentionPolicy(keep_tags=["a", "b", "c"]).select(backups)
    assert reasons(selection) == {"b4": ("last good",), "b2": ("tag 'c'",), "b1": ("tag 'a'", "tag 'b'")}
    assert kept(RetentionPolicy(keep_tags="x").select(backups)) == ["b4", "b3"]


def test_a_base_stays_with_what_needs_it() -> None:
    """Also the base of a base, and that of one that is not good."""
    backups = [
        backup(1),
        backup(2, base="b1"),
        backup(3),
        backup(4, base="b2"),
        backup(5, status=PARTIAL),
        backup(6, base="gone"),
        backup(7, status=PARTIAL, base="b5"),
        backup(8),
    ]
    assert reasons(RetentionPolicy(last=1).select(backups)) == {"b8": ("last good", "last")}
    assert reasons(RetentionPolicy(last=3).select(backups)) == {
        "b8": ("last good", "last"),
        "b7": ("partial, newer than the oldest kept",),
        "b6": ("last",),
        "b5": ("partial, newer than the oldest kept",),
        "b4": ("last",),
        "b2": ("base of b4",),
        "b1": ("base of b2",),
    }


def test_bases_in_a_circle_end() -> None:
    """What nobody should have written keeps itself and hangs nothing."""
    assert kept(RetentionPolicy(last=1).select([backup(1, base="b2"), backup(2, base="b1")])) == ["b2", "b1"]


@pytest.mark.parametrize("status", [PARTIAL, FAILED, IN_PROGRESS])
def test_what_is_not_good_goes_with_the_good_ones_of_its_age(status: BackupStatus) -> None:
    """It stays while something older does, and is never counted."""
    backups = [backup(1), backup(2, status=status), backup(3), backup(4, status=status), backup(5, status=status)]
    assert kept(RetentionPolicy(last=1).select(backups)) == ["b5", "b4", "b3"]
    assert kept(RetentionPolicy(last=1).select([*backups, backup(6)])) == ["b6"]
    assert kept(RetentionPolicy(last=2).select([*backups, backup(6)])) == ["b6", "b5", "b4", "b3"]


def test_a_tag_on_an_old_backup_does_not_keep_all_failures_since() -> None:
    """Only those of an age that the counts reach."""
    backups = [backup(1, tags=["x"]), backup(2, status=FAILED), backup(3)]
    assert kept(RetentionPolicy(last=1, keep_tags="x").select(backups)) == ["b3", "b1"]


def test_without_a_good_one_only_many_failures_go() -> None:
    """The newest ten tell what is wrong; a partial one is all there is to restore."""
    failures = [backup(number, status=FAILED) for number in range(1, 13)]
    others = [backup(20, status=PARTIAL), backup(0, status=PARTIAL), backup(21, status=IN_PROGRESS)]
    selection = RetentionPolicy(last=1).select([*failures, *others])
    assert [item.backup_id for item in selection.remove] == ["b1", "b2"]
    assert reasons(selection)["b0"] == ("partial, and there is no good one",)
    assert reasons(selection)["b21"] == ("in progress, and there is no good one",)


CONFIG, DATA = {"config": ["/c"]}, {"data": ["/d"]}


def of(number: int, sources: dict[str, list[str]], status: BackupStatus = SUCCESS) -> BackupMetadata:
    """Return a backup of some paths."""
    parts = {} if status is FAILED else {kind: Part() for kind in sources}
    return backup(number, START + timedelta(hours=number), status, sources=sources, parts=parts)


def test_backups_of_the_configuration_do_not_push_out_the_data() -> None:
    """Each part has a series of its own, and a backup stays while one of them keeps it."""
    backups = [of(0, CONFIG | DATA), *(of(number, CONFIG) for number in range(1, 6))]
    selection = RetentionPolicy(last=3).select(backups)
    assert reasons(selection) == {
        "b5": ("last good", "last"),
        "b4": ("last",),
        "b3": ("last",),
        "b0": ("last good of data /d", "last"),
    }
    assert kept(keep_count(0).select(backups)) == ["b5", "b0"]


def test_two_programs_in_one_repository_do_not_push_each_other_out() -> None:
    """Each named path has a series of its own."""
    backups = [of(number, {"data": [f"/{'ab'[number > 2]}"]}) for number in range(6)]
    assert kept(RetentionPolicy(last=2).select(backups)) == ["b5", "b4", "b2", "b1"]
    assert kept(RetentionPolicy(daily=1).select(backups)) == ["b5", "b2"]


def test_a_path_that_was_added_begins_no_new_series_of_the_others() -> None:
    """The older backups go as they would have gone without it."""
    backups = [*(of(number, DATA) for number in range(3)), *(of(number, {"data": ["/d", "/e"]}) for number in (3, 4))]
    assert kept(RetentionPolicy(last=2).select(backups)) == ["b4", "b3"]


def test_how_backups_are_grouped_can_be_chosen() -> None:
    """And the last good one of each part and path stays, whatever is chosen."""
    backups = [of(0, CONFIG), of(1, CONFIG | DATA), of(2, {"data": ["/e"]}), of(3, {"data": ["/e"]}), of(4, CONFIG)]
    for group_by, expected in [
        (("part", "root"), ["b4", "b3", "b1"]),
        ("part, root", ["b4", "b3", "b1"]),
        (["root"], ["b4", "b3", "b1"]),
        ("part", ["b4", "b3", "b1"]),
        ("none", ["b4", "b3", "b1"]),
        ((), ["b4", "b3", "b1"]),
    ]:
        assert kept(RetentionPolicy(last=1, group_by=group_by).select(backups)) == expected
    assert kept(RetentionPolicy(last=2).select(backups)) == ["b4", "b3", "b2", "b1"]
    assert kept(RetentionPolicy(last=2, group_by="none").select(backups)) == ["b4", "b3", "b1"]
    assert kept(RetentionPolicy(last=3, group_by="none").select(backups)) == ["b4", "b3", "b2", "b1"]


def test_what_is_not_good_is_judged_in_its_own_series() -> None:
    """An old backup that only another part keeps does not keep the failures since."""
    backups = [of(0, DATA), of(1, CONFIG, FAILED), of(2, CONFIG), of(3, CONFIG, PARTIAL), of(4, CONFIG)]
    assert kept(RetentionPolicy(last=1).select(backups)) == ["b4", "b0"]
    assert kept(RetentionPolicy(last=2).select(backups)) == ["b4", "b3", "b2", "b0"]


def test_the_last_good_one_with_files_of_a_path_stays() -> None:
    """A newer one may hold nothing of it, as of a folder whose disk is not mounted, or that is excluded as a whole."""
    full = {kind: Part(2) for kind in ("config", "data")}
    both = CONFIG | DATA
    backups = [
        *(backup(number, sources=both, parts=full) for number in range(3)),
        *(backup(number, sources=both, parts=full, empty=["/d"]) for number in (3, 4)),
    ]
    assert reasons(keep_count(1).select(backups)) == {
        "b4": ("last good", "last"),
        "b2": ("last good with files of data /d",),
    }
    backups.append(backup(5, sources=DATA, parts={"data": Part(0)}))  # which tells nothing of each path
    assert reasons(keep_count(1).select(backups)) == {
        "b5": ("last good", "last"),
        "b4": ("last good of config /c", "last"),
        "b2": ("last good with files of data /d",),
    }
    assert kept(keep_count(1).select([*backups, backup(6, sources=both, parts=full)])) == ["b6"]


def test_nothing_is_kept_of_nothing() -> None:
    """An empty repository."""
    assert RetentionPolicy(last=1, within=timedelta(1)).select([]) == Selection((), ())


def test_keep_count_is_last() -> None:
    """And 0 keeps the last good one alone."""
    assert keep_count(3) == RetentionPolicy(last=3)
    assert kept(keep_count(0).select(series(3, timedelta(hours=1)))) == ["b2"]


NONSENSE = [
    ({"last": -1}, "last must be a whole number of at least 0, not -1"),
    ({"hourly": True}, "hourly must"),
    ({"daily": 1.5}, "daily must"),
    ({"weekly": "1"}, "weekly must"),
    ({"monthly": None}, "monthly must"),
    ({"within": timedelta(0)}, "within must be a timedelta of more than 0"),
    ({"within": 3600}, "within must"),
    ({"last": 1, "group_by": "host"}, "group_by must be 'part', 'root', both or none, not 'host'"),
    ({"last": 1, "group_by": 5}, "group_by must"),
    ({"group_by": ["part"]}, "the policy is empty"),
    ({"keep_tags": 5}, "keep_tags must"),
    ({"keep_tags": [""]}, "keep_tags must"),
    ({"keep_tags": ["a", 1]}, "keep_tags must"),
    ({}, "the policy is empty: set one of last, hourly, daily"),
    ({"last": 0, "keep_tags": []}, "the policy is empty"),
]


@pytest.mark.parametrize(("arguments", "message"), NONSENSE, ids=str)
def test_nonsense_is_refused(arguments: dict[str, object], message: str) -> None:
    """One ValueError names the argument."""
    with pytest.raises(ValueError, match=f"^{message}"):
        RetentionPolicy(**arguments)


@pytest.mark.parametrize("count", [-1, 1.0, False])
def test_a_nonsense_count_is_refused(count: object) -> None:
    """By the name that the caller knows."""
    with pytest.raises(ValueError, match="keep_count must"):
        keep_count(count)


# A loaded machine is no fault of the code.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
COUNTS = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
TAGS = ("a", "b")
WITHIN = st.timedeltas(timedelta(seconds=1), timedelta(days=900))
POLICIES = st.fixed_dictionaries(
    {"last": st.integers(1, 4)} | dict.fromkeys(COUNTS[1:], st.integers(0, 4)),
    optional={"within": WITHIN, "keep_tags": st.lists(st.sampled_from(TAGS), unique=True)},
)
PAST = st.integers(0, 800 * 24 * 4).map(lambda quarters: START - timedelta(minutes=15 * quarters))


SOURCES = [{"config": ["/c"]}, {"data": ["/d"]}, {"config": ["/c"], "data": ["/d"]}, {"data": ["/d", "/e"]}]
HELD = st.sampled_from([{}, *({"sources": one, "parts": {kind: Part() for kind in one}} for one in SOURCES)])


@st.composite
def repositories(draw):
    """Return backups whose clock jumps and whose bases are any of them, or none that exists."""
    count = draw(st.integers(0, 14))
    return [
        backup(
            number,
            draw(PAST),
            draw(st.sampled_from([SUCCESS, SUCCESS, SUCCESS, PARTIAL, FAILED, IN_PROGRESS])),
            tags=draw(st.lists(st.sampled_from(TAGS), max_size=1)),
            base=draw(st.sampled_from(["", "", "", *(f"b{base}" for base in range(count + 1))])),
            **draw(HELD),
        )
        for number in draw(st.permutations(range(count)))
    ]


@PATIENT
@given(backups=repositories(), policy=POLICIES)
def test_what_must_hold_holds(backups: list[BackupMetadata], policy: dict) -> None:
    """Nothing is lost, the last good one and every base stay, and a second time changes nothing."""
    made = RetentionPolicy(**policy)
    selection = made.select(backups)
    stays, goes = [item.backup for item in selection.keep], list(selection.remove)
    assert Counter(item.backup_id for item in stays + goes) == Counter(item.backup_id for item in backups)
    assert stays == sorted(stays, key=lambda item: item.order, reverse=True)
    assert goes == sorted(goes, key=lambda item: item.order)
    assert all(item.reasons for item in selection.keep)
    good = [item for item in backups if item.good]
    for source in ("/c", "/d", "/e"):
        holders = [item for item in good if any(source in item.sources_of(kind) for kind in ("config", "data"))]
        assert not holders or max(holders, key=lambda item: item.order) in stays
    assert not good or max(good, key=lambda item: item.order) in stays
    assert not {item.base for item in stays} & {item.backup_id for item in goes}
    assert not [item for item in goes if set(item.tags) & set(made.keep_tags)]
    assert made.select(stays) == Selection(selection.keep, ())
    assert made.select(reversed(backups)) == selection


@PATIENT
@given(backups=repositories(), policy=POLICIES, more=POLICIES)
def test_more_keeps_more(backups: list[BackupMetadata], policy: dict, more: dict) -> None:
    """Raising any number or time, or naming another tag, never removes what stayed."""
    larger = {name: policy[name] + more[name] for name in COUNTS}
    larger["within"] = max(policy.get("within", timedelta(0)), more.get("within", timedelta(0))) or None
    larger["keep_tags"] = [*policy.get("keep_tags", []), *more.get("keep_tags", [])]
    few, many = RetentionPolicy(**policy).select(backups), RetentionPolicy(**larger).select(backups)
    assert set(kept(few)) <= set(kept(many))
