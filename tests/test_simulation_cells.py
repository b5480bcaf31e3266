"""The laws of cells: a dict to a handler, a transaction to the log."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from flowlab.errors import InvalidArgumentError, InvalidEventError
from flowlab.events.codec import encode_json
from flowlab.workflow.cells import GONE, Cells, own

KEYS = st.sampled_from(["a", "b", "c", "d"])
SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, -0.0, "", "é", 2**70])
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(KEYS, SCALARS, max_size=2),
)
STATES = st.dictionaries(KEYS, VALUES, max_size=4)


def exactly(value: Any) -> bytes:
    """Return what tells 1, 1.0 and True apart, as JSON does."""
    return encode_json(value)


class Traced(dict[str, Any]):
    """A plain dict that notes what it is asked about before it was told."""

    def __init__(self, base: dict[str, Any]) -> None:
        super().__init__(deepcopy(base))
        self.asked: dict[str, None] = {}
        self.told: set[str] = set()

    def ask(self, key: str) -> None:
        if key not in self.told:
            self.asked[key] = None

    def ask_all(self) -> None:
        for key in self:
            self.ask(key)


def outcome(step: Any) -> Any:
    """Return what a step gives, or the kind of its error."""
    try:
        return step()
    except (KeyError, TypeError, RuntimeError) as error:
        return type(error)


class CellsAreADict(RuleBasedStateMachine):
    """Every method of cells does what a dict's does, and nothing is seen before the commit."""

    @initialize(state=STATES)
    def begin(self, state: dict[str, Any]) -> None:
        self.base = deepcopy(state)
        self.before = deepcopy(state)
        self.cells = Cells(self.base)
        self.plain = Traced(state)

    def both(self, step: Any) -> Any:
        found, expected = outcome(lambda: step(self.cells)), outcome(lambda: step(self.plain))
        assert found == expected
        return found

    @rule(key=KEYS)
    def get_item(self, key: str) -> None:
        self.plain.ask(key)
        self.both(lambda d: d[key])

    @rule(key=KEYS, value=VALUES)
    def set_item(self, key: str, value: Any) -> None:
        self.plain.told.add(key)
        self.both(lambda d: d.__setitem__(key, deepcopy(value)))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.plain.ask(key)
        if self.both(lambda d: d.__delitem__(key)) is None:
            self.plain.told.add(key)

    @rule(key=KEYS)
    def contains(self, key: str) -> None:
        self.plain.ask(key)
        self.both(lambda d: key in d)

    @rule(key=KEYS, default=VALUES)
    def get(self, key: str, default: Any) -> None:
        self.plain.ask(key)
        self.both(lambda d: d.get(key, default))
        self.both(lambda d: d.get(key))

    @rule(key=KEYS, default=VALUES)
    def set_default(self, key: str, default: Any) -> None:
        self.plain.ask(key)
        self.both(lambda d: d.setdefault(key, deepcopy(default)))
        self.plain.told.add(key)

    @rule(key=KEYS, default=VALUES)
    def pop(self, key: str, default: Any) -> None:
        self.plain.ask(key)
        there = key in self.plain
        self.both(lambda d: d.pop(key, default))
        self.both(lambda d: d.pop(key))
        if there:
            self.plain.told.add(key)

    @rule()
    def pop_item(self) -> None:
        self.plain.ask_all()
        last = next(reversed(self.plain), None)
        self.both(lambda d: d.popitem())
        if last is not None:
            self.plain.told.add(last)

    @rule()
    def clear(self) -> None:
        self.plain.ask_all()
        self.plain.told |= self.plain.keys()
        self.both(lambda d: d.clear())

    @rule(more=STATES)
    def update(self, more: dict[str, Any]) -> None:
        self.plain.told |= more.keys()
        self.both(lambda d: d.update(deepcopy(more)))

    @rule(more=STATES)
    def update_in_place(self, more: dict[str, Any]) -> None:
        self.plain.told |= more.keys()
        self.both(lambda d: d.__ior__(deepcopy(more)) is d)

    @rule(key=KEYS, value=SCALARS)
    def change_in_place(self, key: str, value: Any) -> None:
        self.plain.ask(key)

        def step(d: Any) -> None:
            held = d.get(key)
            if isinstance(held, list):
                held.append(value)
            elif isinstance(held, dict):
                held["new"] = value

        self.both(step)

    @rule(other=STATES)
    def as_a_whole(self, other: dict[str, Any]) -> None:
        self.plain.ask_all()
        self.both(len)
        self.both(bool)
        self.both(list)
        self.both(dict)
        self.both(lambda d: list(reversed(d)))
        self.both(lambda d: list(d.keys()))
        self.both(lambda d: list(d.values()))
        self.both(lambda d: list(d.items()))
        self.both(lambda d: d.copy())
        self.both(lambda d: {**d})
        self.both(lambda d: dict(d | other))
        self.both(lambda d: dict(other | d))
        self.both(lambda d: d == other)
        self.both(lambda d: d != other)
        self.both(encode_json)
        self.both(sorted)

    @rule(key=st.sampled_from([5, None, (), "", "\ud800", "x" * 2_000]))
    def ask_for_what_is_no_cell(self, key: Any) -> None:
        self.both(lambda d: d.get(key))
        self.both(lambda d: key in d)
        self.both(lambda d: d[key])

    @rule()
    def commit(self) -> None:
        self.check_transaction()
        text = self.cells.encoded(changed := self.cells.changes())
        assert (text is None) == (not changed)
        self.cells.commit(changed)
        assert exactly(self.base) == exactly(dict(self.plain))
        self.start_again()

    @rule()
    def abort(self) -> None:
        self.check_transaction()
        self.start_again()

    def start_again(self) -> None:
        self.before = deepcopy(self.base)
        self.cells.begin(self.base)
        self.plain = Traced(self.base)

    def check_transaction(self) -> None:
        """Compare reads and writes with those of the dict that notes them, by brute force."""
        plain, before = self.plain, self.before
        assert set(self.cells.reads) == set(plain.asked)
        for key, value in self.cells.reads.items():
            assert value is GONE if key not in before else exactly(value) == exactly(before[key])
        written = {}
        for key in plain.keys() | plain.told:
            now = plain.get(key, GONE)
            blind = key in plain.told and key not in plain.asked
            was = before.get(key, GONE)
            if blind or not same(now, was):
                written[key] = now
        changes = self.cells.changes()
        assert changes.keys() == written.keys()
        assert all(same(changes[key], written[key]) for key in changes)

    @invariant()
    def nothing_is_seen_before_the_commit(self) -> None:
        if hasattr(self, "base"):
            assert exactly(self.base) == exactly(self.before)


def same(one: Any, other: Any) -> bool:
    """Say whether two values, or two absences, are the same."""
    if one is GONE or other is GONE:
        return one is other
    return exactly(one) == exactly(other)


def test_cells_are_a_dict_and_their_reads_and_writes_are_the_transactions() -> None:
    run_state_machine_as_test(CellsAreADict)


def test_a_value_that_equals_the_one_read_but_for_its_type_is_written() -> None:
    # [1] was [True] to ==, so a change in place to the other left the old one.
    for old, new in [([1], [True]), ({"a": 1}, {"a": 1.0}), ([0.0], [-0.0]), (1, True)]:
        state = {"x": old}
        cells = Cells(state)
        held = cells["x"]
        if isinstance(held, list):
            held[0] = new[0]
        else:
            cells["x"] = new
        cells.commit()

        assert exactly(state) == exactly({"x": new})


def test_a_cell_that_was_missed_set_and_deleted_is_not_written() -> None:
    cells = Cells({})
    cells.setdefault("x", 1)
    del cells["x"]

    assert (cells.reads, cells.changes()) == ({"x": GONE}, {})


@pytest.mark.parametrize("key", [5, None, "", "\ud800", "x" * 1_024], ids=range(5))
def test_what_cannot_name_a_cell_is_refused_when_it_is_written(key: Any) -> None:
    cells = Cells({})
    cells[key] = 1
    with pytest.raises(InvalidArgumentError, match="a cell is named by text"):
        cells.changes()


@pytest.mark.parametrize(
    "value",
    [{1}, float("nan"), object(), {5: 1}, 10**5_000, b"x"],
    ids=["set", "nan", "object", "keys", "digits", "bytes"],
)
def test_what_is_not_json_is_refused_when_it_is_written(value: Any) -> None:
    cells = Cells({})
    cells["x"] = value
    with pytest.raises(InvalidEventError):
        cells.encoded(cells.changes())


@given(STATES)
def test_what_a_handler_keeps_of_a_state_is_not_the_state(state: dict[str, Any]) -> None:
    cells = Cells(own(state))
    kept = [cells[key] for key in state]
    cells["kept"] = kept
    cells.encoded(changed := cells.changes())
    cells.commit(changed)
    base = own(cells._base)
    for value in kept:
        if isinstance(value, list):
            value.append("later")
        elif isinstance(value, dict):
            value["later"] = 1
    kept.clear()

    assert exactly(cells._base) == exactly(base)
