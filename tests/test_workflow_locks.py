"""Semantic locks: in line and in order; a deadlock is found exactly if some wait for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowlab.errors import InvalidArgumentError, LimitError
from flowlab.workflow import MAX_STASHED, Claim, Grant, SemanticLocks, Wait, wait_cycle
from flowlab.workflow import locks as module

KEYS = st.sampled_from("xyz")
OWNERS = st.sampled_from("abcd")
MODES = st.sampled_from(["exclusive", "shared"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), KEYS, OWNERS, MODES, st.sampled_from(["fail", "stash"])),
        st.tuples(st.just("release"), KEYS, OWNERS),
        st.tuples(st.just("withdraw"), KEYS, OWNERS),
        st.tuples(st.just("release_all"), OWNERS),
    ),
    max_size=14,
)


def play(locks: SemanticLocks, steps: list[Any], in_deadlock: Any = "stash") -> list[Any]:
    """Do what may be done, and return what each step gave."""
    given_back = []
    for kind, *rest in steps:
        if kind == "claim":
            key, owner, mode, policy = rest
            got: Any = locks.claim(key, owner, mode=mode, policy=policy, in_deadlock=in_deadlock)
        elif kind == "release" and rest[1] not in locks.holders(rest[0]):
            continue
        else:
            got = getattr(locks, kind)(*rest)
        given_back.append(got)
    return given_back


class Naive:
    """The same table, as a list of claims for each key, in the order in which they came."""

    def __init__(self) -> None:
        self.claims: dict[str, list[tuple[str, str]]] = {key: [] for key in "xyz"}
        self.line: dict[str, list[tuple[str, str]]] = {key: [] for key in "xyz"}

    def grantable(self, key: str, owner: str, mode: str) -> bool:
        others = [held for other, held in self.claims[key] if other != owner]
        return not others if mode == "exclusive" else "exclusive" not in others

    def claim(self, key: str, owner: str, mode: str, policy: str) -> str:
        own = [held for other, held in self.claims[key] if other == owner]
        free = bool(own) or not self.line[key]
        if free and self.grantable(key, owner, mode):
            self.claims[key].append((owner, mode))
            return "granted"
        if policy == "fail":
            return "refused"
        self.line[key].append((owner, mode))
        return "stashed"

    def release(self, key: str, owner: str) -> None:
        modes = [mode for other, mode in self.claims[key] if other == owner]
        self.claims[key] = [claim for claim in self.claims[key] if claim[0] != owner]
        # One claim fewer; a key that was ever held alone is held so to the end.
        kept = "exclusive" if "exclusive" in modes else "shared"
        self.claims[key] += [(owner, kept)] * (len(modes) - 1)
        self.serve(key)

    def leave(self, key: str, owner: str, *, holding: bool) -> None:
        self.line[key] = [claim for claim in self.line[key] if claim[0] != owner]
        if holding:
            self.claims[key] = [claim for claim in self.claims[key] if claim[0] != owner]
        self.serve(key)

    def serve(self, key: str) -> None:
        while self.line[key]:
            holders = {owner for owner, _ in self.claims[key]}
            first = [owner for owner, _ in self.line[key] if owner in holders] or [
                owner for owner, _ in self.line[key]
            ]
            modes = [mode for owner, mode in self.line[key] if owner == first[0]]
            wanted = "exclusive" if "exclusive" in modes else "shared"
            if not self.grantable(key, first[0], wanted):
                return
            self.line[key] = [claim for claim in self.line[key] if claim[0] != first[0]]
            self.claims[key] += [(first[0], wanted)] * len(modes)


@given(STEPS)
def test_a_table_of_locks_does_what_a_plain_list_of_claims_does(steps: list[Any]) -> None:
    locks, naive = SemanticLocks(), Naive()
    for step in steps:
        kind, *rest = step
        if kind == "release" and rest[1] not in locks.holders(rest[0]):
            continue
        (got,) = play(locks, [step])
        if kind == "claim":
            assert got.outcome == naive.claim(*rest)
        elif kind == "release":
            naive.release(*rest)
        elif kind == "withdraw":
            naive.leave(*rest, holding=False)
        else:
            for key in "xyz":
                naive.leave(key, rest[0], holding=True)
        for key in "xyz":
            assert set(locks.holders(key)) == {owner for owner, _ in naive.claims[key]}
            assert set(locks.stashed(key)) == {owner for owner, _ in naive.line[key]}


@given(STEPS)
def test_there_is_a_deadlock_exactly_if_some_wait_for_ever(steps: list[Any]) -> None:
    locks = SemanticLocks()
    play(locks, steps)
    cycle = locks.deadlock()
    waits = set(locks.waits())
    told = SemanticLocks.from_json(locks.to_json())

    # Whoever waits for nothing ends, and so do those who can go on by that.
    def waiting() -> set[str]:
        return {owner for owner, _, _ in told.waits()}

    while free := {o for key in "xyz" for o in told.holders(key)} - waiting():
        told.release_all(min(free))
    assert (cycle is None) == (not waiting())
    if cycle is not None:
        owners = [owner for owner, _ in cycle]
        assert len(set(owners)) == len(owners)
        assert set(owners) <= waiting()
        after = [*owners[1:], owners[0]]
        for (owner, key), other in zip(cycle, after, strict=True):
            assert Wait(owner, key, other) in waits


@given(STEPS)
def test_claims_that_are_refused_for_a_deadlock_leave_none_and_change_nothing(
    steps: list[Any],
) -> None:
    locks = SemanticLocks()
    for step in steps:
        before = locks.to_json()
        for got in play(locks, [step], in_deadlock="fail"):
            if isinstance(got, Claim) and got.deadlock is not None:
                assert got.outcome == "refused"
                assert got.deadlock[0] == (got.owner, got.key)
                assert locks.to_json() == before
        assert locks.deadlock() is None


@given(STEPS)
def test_a_claim_tells_of_a_deadlock_exactly_if_it_closes_one(steps: list[Any]) -> None:
    locks = SemanticLocks()
    for step in steps:
        before = locks.deadlock()
        for got in play(locks, [step]):
            if isinstance(got, Claim) and before is None:
                assert (got.deadlock is None) == (locks.deadlock() is None)


@given(STEPS, STEPS)
def test_a_table_goes_to_json_text_and_goes_on_as_before(first: Any, second: Any) -> None:
    locks = SemanticLocks()
    play(locks, first)
    copy = SemanticLocks.from_json(json.loads(json.dumps(locks.to_json())))
    assert copy == locks
    assert repr(copy) == repr(locks)
    assert play(copy, second) == play(locks, second)
    assert copy == locks


@given(STEPS)
@example([("claim", "x", "a", "exclusive", "fail")])
def test_nothing_is_left_when_every_owner_has_ended(steps: list[Any]) -> None:
    locks = SemanticLocks()
    play(locks, steps)
    for owner in "abcd":
        locks.release_all(owner)
    assert locks.to_json() == {}
    assert repr(locks) == "SemanticLocks(0 held, 0 stashed)"


def test_claims_of_one_owner_nest() -> None:
    locks = SemanticLocks()
    assert locks.claim("x", "a")
    assert locks.claim("x", "a")
    locks.claim("x", "b", policy="stash")
    assert locks.release("x", "a") == ()
    assert locks.release("x", "a") == ("b",)
    assert locks.holders("x") == ("b",)


def test_two_who_share_a_key_and_both_want_it_alone_are_in_deadlock() -> None:
    locks = SemanticLocks()
    for owner in "ab":
        assert locks.claim("x", owner, mode="shared")
    assert locks.claim("x", "a", policy="stash").outcome == "stashed"
    closing = locks.claim("x", "b", policy="stash")
    assert closing.outcome == "refused"
    assert closing.deadlock == (("b", "x"), ("a", "x"))
    assert locks.release_all("b") == (Grant("x", "a"),)


def test_a_deadlock_over_two_tables_is_found_with_the_waits_of_both() -> None:
    flights, hotels = SemanticLocks(), SemanticLocks()
    flights.claim("f", "a")
    hotels.claim("h", "b")
    assert hotels.claim("h", "a", policy="stash", others=flights.waits()).outcome == "stashed"
    closing = flights.claim("f", "b", policy="stash", others=hotels.waits())
    assert closing.deadlock == (("b", "f"), ("a", "h"))
    assert flights.deadlock() is None
    flights.claim("f", "b", policy="stash")
    assert wait_cycle([*flights.waits(), *hotels.waits()]) == (("a", "h"), ("b", "f"))


def test_a_lock_that_is_not_held_is_not_released_and_the_message_says_who_holds_it() -> None:
    locks = SemanticLocks()
    locks.claim("x", "a")
    with pytest.raises(InvalidArgumentError, match="'b' cannot release 'x': 'a' holds it"):
        locks.release("x", "b")


@pytest.mark.parametrize("wrong", [{"policy": "wait"}, {"mode": "x"}, {"in_deadlock": "abort"}])
def test_a_claim_of_a_kind_that_there_is_not_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="expected '"):
        SemanticLocks().claim("x", "a", **wrong)


@pytest.mark.parametrize("data", [None, {"x": 1}, {"x": {"held": [["a", "alone", 1]]}}])
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="no table of semantic locks"):
        SemanticLocks.from_json(data)


def test_a_line_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_STASHED == 10_000
    monkeypatch.setattr(module, "MAX_STASHED", 1)
    locks = SemanticLocks()
    locks.claim("x", "a")
    locks.claim("x", "b", policy="stash")
    with pytest.raises(LimitError, match="MAX_STASHED"):
        locks.claim("x", "c", policy="stash")


def test_claims_that_wait_nest_as_those_that_are_held_do() -> None:
    locks = SemanticLocks()
    locks.claim("x", "a")
    for _ in range(2):
        assert locks.claim("x", "b", policy="stash").outcome == "stashed"
    assert locks.release("x", "a") == ("b",)
    assert locks.release("x", "b") == ()
    assert locks.holders("x") == ("b",)
    assert locks.release("x", "b") == ()
    assert locks.holders("x") == ()
