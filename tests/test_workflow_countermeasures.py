"""Version files, rereading, and operations that commute: what each countermeasure promises."""

from __future__ import annotations

import json
from itertools import count, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, LimitError, StaleReadError
from flowlab.workflow import (
    Commutation,
    Operation,
    Outcome,
    Versioned,
    VersionFile,
    commutes,
    reread,
)
from flowlab.workflow import commutation as commutation_module
from flowlab.workflow import version_file as file_module

# -- version file ----------------------------------------------------------------------------------


@st.composite
def operations(draw: st.DrawFn) -> list[Operation]:
    """Return operations that each come after some of those before, by names."""
    found: list[Operation] = []
    for number in range(draw(st.integers(1, 6))):
        earlier = [operation.name for operation in found]
        after = draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else []
        found.append(Operation(f"o{number}", number, tuple(after)))
    return found


@given(operations(), st.data())
def test_operations_are_done_once_and_in_order_however_they_arrive(
    all_of_them: list[Operation], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(all_of_them), max_size=3))
    arriving = data.draw(st.permutations([*all_of_them, *again]))
    file, done = VersionFile(), []
    for operation in arriving:
        filed = file.arrived(operation)
        assert bool(filed.due) == (filed.outcome == "due")
        file = VersionFile.from_json(json.loads(json.dumps(filed.file.to_json())))
        assert file == filed.file
        for due in filed.due:
            assert set(due.after) <= {before.name for before in done}
            done.append(due)
        # Nothing is held that could be done.
        names = {before.name for before in done}
        assert not any(set(held.after) <= names for held in file.held)
    assert sorted(done, key=lambda it: it.name) == all_of_them
    assert file.done == tuple(it.name for it in done)


CREATE, CANCEL = Operation("create"), Operation("cancel", after=("create",))


def test_a_cancel_that_overtakes_its_create_is_held_until_it_comes() -> None:
    early = VersionFile().arrived(CANCEL)
    assert (early.outcome, early.due) == ("held", ())
    assert early.file.arrived(CREATE).due == (CREATE, CANCEL)


@pytest.mark.parametrize("arriving", sorted(set(permutations(["do", "do", "undo", "undo"]))))
def test_an_operation_and_its_undoing_leave_nothing_in_any_order_and_number(
    arriving: tuple[str, ...],
) -> None:
    file, effect = VersionFile(), 0
    for message in arriving:
        if message == "do":
            filed = file.arrived(CREATE)
            effect += len(filed.due)
        else:
            filed = file.undone("create")
            effect -= filed.outcome == "due"
        file = filed.file
        assert effect in {0, 1}
    assert effect == 0


def test_what_comes_after_an_undone_operation_is_skipped_and_so_is_what_waits_for_that() -> None:
    held = VersionFile().arrived(CANCEL).file.arrived(Operation("mail", after=("cancel",))).file
    empty = held.undone("create")
    assert empty.outcome == "empty"
    assert empty.file == VersionFile(gone=("create", "cancel", "mail"))
    assert [empty.file.arrived(it).outcome for it in (CREATE, CANCEL)] == ["skipped", "skipped"]
    assert empty.file.arrived(Operation("late", after=("mail",))).outcome == "skipped"


@pytest.mark.parametrize("after", ["a", "b"])
def test_an_operation_that_would_wait_for_itself_is_refused(after: str) -> None:
    file = VersionFile().arrived(Operation("b", after=("a",))).file
    with pytest.raises(InvalidArgumentError, match="'a' must come after itself"):
        file.arrived(Operation("a", after=(after,)))


def test_a_version_file_has_a_limit_and_what_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_module, "MAX_OPERATIONS", 1)
    with pytest.raises(LimitError, match="MAX_OPERATIONS"):
        VersionFile(done=("a",)).arrived(CREATE)
    with pytest.raises(InvalidArgumentError, match="no version file"):
        VersionFile.from_json({"done": 1})


# -- reread ----------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2), max_size=8), st.integers(0, 8))
def test_a_write_succeeds_exactly_if_nothing_was_written_since_it_read(
    writes: list[int], reads_at: int
) -> None:
    record = seen = Versioned(0)
    for number, value in enumerate(writes):
        seen = record if number == reads_at else seen
        record = record.write(value, seen=record)
    seen = record if reads_at >= len(writes) else seen
    fresh = seen.version == len(writes)
    if fresh:
        assert record.write("mine", seen=seen) == Versioned("mine", len(writes) + 1)
    else:
        with pytest.raises(StaleReadError):
            record.write("mine", seen=seen)


def test_a_change_there_and_back_is_found_by_its_version_alone() -> None:
    first = Versioned("free")
    back = first.write("sold", seen=first).write("free", seen=Versioned("sold", 1))
    assert reread(first.value, back.value) == "free"
    with pytest.raises(StaleReadError, match="seat 1 was Versioned.*version=0.* is Versioned"):
        reread(first, back, what="seat 1")


# -- commutation -----------------------------------------------------------------------------------


def add(amount: int) -> Any:
    def operation(balance: int) -> int:
        return balance + amount

    return operation


def take(amount: int) -> Any:
    def operation(balance: int) -> int:
        if balance < amount:
            message = "not enough"
            raise ValueError(message)
        return balance - amount

    return operation


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.integers(0, 20), min_size=1))
def test_both_orders_agree_exactly_where_a_plain_comparison_says_so(
    first: int, second: int, states: list[int]
) -> None:
    # Two withdrawals are in each other's way where each is possible and both are not.
    differing = [state for state in states if max(first, second) <= state < first + second]
    found = commutes(take(first), take(second), states)
    assert found.state == (differing[0] if differing else None)
    assert bool(found) == (not differing)


@given(st.integers(-9, 9), st.integers(-9, 9), st.lists(st.integers(), min_size=1))
def test_additions_commute_on_all_states(first: int, second: int, states: list[int]) -> None:
    found = commutes(add(first), add(second), states)
    assert found
    assert found.checked == len(states)


def test_the_first_state_on_which_the_orders_differ_is_shown_with_both_outcomes() -> None:
    found = commutes(add(5), take(3), count())
    assert not found
    assert (found.state, found.checked) == (0, 1)
    assert found.in_order == Outcome(2)
    assert found.in_reverse == Outcome(5, ("second operation: ValueError",))
    assert repr(found) == (
        "Commutation(of 0: first operation, second operation gives 2; second operation, "
        "first operation gives 5 (refused second operation: ValueError))"
    )


def test_an_operation_that_changes_its_state_in_place_is_refused() -> None:
    def push(state: list[int]) -> list[int]:
        state.append(1)
        return state

    states = [[0]]
    with pytest.raises(InvalidArgumentError, match=r"push has changed .* \[0\] to \[0, 1\]"):
        commutes(push, list, states)
    assert states == [[0]]


def test_equal_decides_what_counts_as_the_same_state() -> None:
    def front(state: list[int]) -> list[int]:
        return [1, *state]

    def back(state: list[int]) -> list[int]:
        return [*state, 2, 1]

    def as_sets(left: list[int], right: list[int]) -> bool:
        return sorted(left) == sorted(right)

    assert commutes(front, lambda state: [*state, 3], [[]])
    assert not commutes(front, lambda state: [9, *state], [[]])
    assert commutes(front, lambda state: [9, *state], [[]], equal=as_sets)
    assert commutes(front, back, [[0]])


def test_nothing_too_much_and_what_cannot_be_compared_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InvalidArgumentError, match="no state was given"):
        commutes(add(1), add(2), [])
    with pytest.raises(InvalidArgumentError, match="give equal="):
        commutes(lambda it: it, lambda it: it, [object()])
    monkeypatch.setattr(commutation_module, "MAX_STATES", 3)
    with pytest.raises(LimitError, match="MAX_STATES"):
        commutes(add(1), add(2), count())


def test_a_commutation_says_on_how_many_states_it_rests() -> None:
    assert repr(commutes(add(1), add(2), range(4))) == (
        "Commutation(first operation, second operation commute on 4 states)"
    )
    assert isinstance(commutes(add(1), add(2), range(4)), Commutation)
