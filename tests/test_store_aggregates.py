"""Commands to aggregates: decided on the newest state, written once, whoever else is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowlab.errors import (
    ConcurrencyError,
    InvalidArgumentError,
    InvalidEventError,
    NotFoundError,
    TruncatedError,
)
from flowlab.events import Event
from flowlab.store import Aggregate, EventStore, ExecuteResult, Snapshots, aggregate


def decide(state: dict[str, int], command: dict[str, int]) -> Any:
    amount = command["amount"]
    if state["balance"] + amount < 0:
        message = f"only {state['balance']} there"
        raise ValueError(message)
    return Event.of("Moved", payload={"amount": amount}) if amount else None


def evolve(state: dict[str, int], event: Event) -> dict[str, int]:
    return {"balance": state["balance"] + event.data["amount"]}


def account(**changes: Any) -> Aggregate:
    parts = {"name": "account", "initial": {"balance": 0}, "decide": decide, "evolve": evolve}
    return aggregate(**(parts | changes))


ACCOUNT = account()
SAVED = account(snapshots=Snapshots(every_events=3))


def move(amount: int) -> dict[str, int]:
    return {"amount": amount}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(tmp_path / "s") as found:
        yield found


def balance(store: EventStore, kind: Aggregate = ACCOUNT, at: int | None = None) -> int:
    return int(store.state(kind, "ada", at=at)["balance"])


# -- laws ------------------------------------------------------------------------------------------


@given(
    steps=st.lists(
        st.tuples(st.integers(-5, 9), st.sampled_from(["", "", "", "seal", "reopen", "append"])),
        max_size=20,
    ),
    every=st.none() | st.integers(1, 5),
    data=st.data(),
)
@settings(max_examples=40)
def test_a_state_is_the_fold_of_its_stream_now_and_at_every_event(
    steps: list[tuple[int, str]], every: int | None, data: st.DataObject
) -> None:
    kind = account(snapshots=None if every is None else Snapshots(every_events=every))
    model: list[int] = []
    with TemporaryDirectory() as folder:
        store = EventStore(Path(folder) / "s", seal_events=7)
        for amount, then in steps:
            try:
                result = store.execute(kind, "ada", move(amount))
            except ValueError:
                assert sum(model) + amount < 0
            else:
                model += [amount] if amount else []
                assert (result.version, len(result.events)) == (len(model), bool(amount))
            if then == "seal":
                store.seal()
            elif then == "append":
                store.append("account-ada", Event.of("Moved", payload=move(2)))
                model.append(2)
            elif then == "reopen":
                store.close()
                store = EventStore(Path(folder) / "s", seal_events=7)
        at = data.draw(st.integers(0, len(model)))
        with EventStore(Path(folder) / "s", read_only=True) as reader:
            for opened in (store, reader):
                assert balance(opened, kind) == sum(model)
                assert balance(opened, kind, at) == sum(model[:at])
        store.close()


PROCESS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_store_aggregates import ACCOUNT, move
from flowlab.errors import ConcurrencyError, FencedError, LockedError
from flowlab.store import EventStore
path, name, commands = sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
told = {"done": 0, "refused": 0, "fenced": 0, "conflicts": 0}
print("ready", flush=True)
sys.stdin.readline()
store = EventStore(path)
for number, amount in enumerate(commands):
    while True:
        try:
            result = store.execute(ACCOUNT, "ada", move(amount), idempotency_key=f"{name}-{number}")
            told["done"] += 1
            told["conflicts"] += result.conflicts
            break
        except ValueError as error:
            assert "there" in str(error), error
            told["refused"] += 1
            break
        except (FencedError, LockedError):
            told["fenced"] += 1
            store.close()
            store = EventStore(path)
store.close()
print(json.dumps(told), flush=True)
"""


def test_two_processes_keep_the_invariant_and_lose_no_command(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with EventStore(root) as store:
        store.execute(ACCOUNT, "ada", move(10))
    plans = {"one": [-3, 4, -5, 1] * 10, "two": [2, -6, 3, -1] * 10}
    here = str(Path(__file__).parent)
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, here, str(root), name, json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, plan in plans.items()
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    told = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, _ = child.communicate(timeout=120)
        told.append(json.loads(out))

    assert [one["done"] + one["refused"] for one in told] == [40, 40]
    with EventStore(root) as store:
        amounts = [event.data["amount"] for event in store.read("/workflows/account-ada").events()]
        assert len(amounts) == 1 + sum(one["done"] for one in told)
        sums = [sum(amounts[:count]) for count in range(len(amounts) + 1)]
        assert min(sums) >= 0
        assert balance(store) == sums[-1]
        again = store.execute(ACCOUNT, "ada", move(4), idempotency_key="one-1")
        assert again.repeated, "in another process, too"
        assert store.snapshot().position == len(amounts)


def test_threads_that_share_an_aggregate_lose_no_command(store: EventStore) -> None:
    results: list[ExecuteResult] = []

    def work() -> None:
        results.extend(store.execute(ACCOUNT, "ada", move(1)) for _ in range(15))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(result.version for result in results) == list(range(1, 91))
    assert balance(store) == 90


# -- optimistic concurrency ------------------------------------------------------------------------


def meddling(store: EventStore, times: int, amount: int = 100) -> Aggregate:
    """Return an account to which somebody else appends while it decides."""
    left = [times]

    def decides(state: dict[str, int], command: dict[str, int]) -> Any:
        if left[0]:
            left[0] -= 1
            store.append("account-ada", Event.of("Moved", payload=move(amount)))
        return decide(state, command)

    return account(decide=decides)


def test_a_conflict_is_decided_again_on_what_is_new_and_counted(store: EventStore) -> None:
    kind = meddling(store, 3)
    result = store.execute(kind, "ada", move(1))
    assert (result.conflicts, result.version) == (3, 4)
    assert repr(result) == "ExecuteResult('account-ada' at 4: Moved, 3 conflicts)"
    assert balance(store, kind) == 301


def test_conflicts_without_end_are_an_error_and_nothing_is_written(store: EventStore) -> None:
    with pytest.raises(ConcurrencyError, match="decided 3 times.*nothing was written"):
        store.execute(meddling(store, 99), "ada", move(1), retries=2)
    assert balance(store) == 300


def test_what_is_refused_or_decided_to_nothing_has_seen_the_newest_state(
    store: EventStore,
) -> None:
    store.execute(ACCOUNT, "ada", move(1))
    store.append("account-ada", Event.of("Moved", payload=move(50)))
    result = store.execute(ACCOUNT, "ada", move(-30))
    assert (result.version, result.conflicts) == (3, 1)
    store.append("account-ada", Event.of("Moved", payload=move(50)))
    assert store.execute(ACCOUNT, "ada", move(0)).version == 4


def test_what_decide_raises_is_the_caller_s_and_nothing_is_written(store: EventStore) -> None:
    with pytest.raises(ValueError, match=r"^only 0 there$"):
        store.execute(ACCOUNT, "ada", move(-1))
    assert store.snapshot().position == 0


def test_nobody_can_change_the_state_that_is_kept(store: EventStore) -> None:
    def rude(state: dict[str, int], command: dict[str, int]) -> Any:
        state["balance"] += 1_000
        return decide({"balance": state["balance"] - 1_000}, command)

    def lazy(state: dict[str, int], event: Event) -> dict[str, int]:
        state["balance"] += event.data["amount"]
        return state

    kind = account(decide=rude, evolve=lazy)
    for _ in range(3):
        store.execute(kind, "ada", move(1))
        store.execute(kind, "ada", move(0))
    store.state(kind, "ada")["balance"] = 7
    assert balance(store, kind) == balance(store) == 3
    assert kind.initial == {"balance": 0}


def test_what_evolve_cannot_take_is_not_written(store: EventStore) -> None:
    kind = account(decide=lambda *_: [Event.of("Moved", payload={}), {"event_type": "Other"}])
    with pytest.raises(
        InvalidEventError, match="evolve of 'account' cannot take.*there is no 'amo"
    ):
        store.execute(kind, "ada", move(1))
    for wrong in (3, [3], "Moved"):
        with pytest.raises(InvalidEventError, match="decide of 'account' gave.*expected an event"):
            store.execute(account(decide=lambda *_, wrong=wrong: wrong), "ada", move(1))
    assert store.snapshot().position == 0


# -- idempotency -----------------------------------------------------------------------------------


def test_a_key_gives_the_first_result_again_whatever_came_between(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with EventStore(path) as store:
        first = store.execute(ACCOUNT, "ada", move(5), idempotency_key="k")
        none = store.execute(ACCOUNT, "ada", move(0), idempotency_key="none")
        store.execute(ACCOUNT, "ada", move(-3), idempotency_key="other")
        store.execute(ACCOUNT, "bob", move(5), idempotency_key="k")

        def check(store: EventStore) -> None:
            again = store.execute(ACCOUNT, "ada", move(5), idempotency_key="k")
            assert (again.events, again.version, again.repeated) == (first.events, 1, True)
            nothing = store.execute(ACCOUNT, "ada", move(0), idempotency_key="none")
            assert (nothing.events, nothing.version) == ((), none.version)
            assert nothing.repeated
            with pytest.raises(InvalidArgumentError, match="'k'.*another command.*new key"):
                store.execute(ACCOUNT, "ada", move(6), idempotency_key="k")
            assert store.snapshot().position == 3

        check(store)
        store.seal()
        check(store)
    with EventStore(path) as store:
        check(store)
        assert store.verify().ok


def test_a_decision_to_nothing_stays_known_when_it_is_all_there_is(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with EventStore(path) as store:
        assert not store.execute(ACCOUNT, "ada", move(0), idempotency_key="k").repeated
    for sealed in (False, True):
        with EventStore(path) as store:
            result = store.execute(ACCOUNT, "ada", move(0), idempotency_key="k")
            assert (result.repeated, result.version, result.events) == (True, 0, ())
            if not sealed:
                store.seal()
    with EventStore(path) as store:
        store.execute(ACCOUNT, "ada", move(1))
        assert store.verify().ok


def test_a_command_that_is_refused_uses_up_no_key(store: EventStore) -> None:
    with pytest.raises(ValueError, match="only 0"):
        store.execute(ACCOUNT, "ada", move(-1), idempotency_key="k")
    store.execute(ACCOUNT, "ada", move(5))
    assert not store.execute(ACCOUNT, "ada", move(-1), idempotency_key="k").repeated


@dataclass
class Withdraw:
    amount: int


def test_a_key_knows_commands_that_are_objects(store: EventStore) -> None:
    kind = account(decide=lambda state, command: decide(state, move(command.amount)))
    store.execute(kind, "ada", Withdraw(5), idempotency_key="k")
    assert store.execute(kind, "ada", Withdraw(5), idempotency_key="k").repeated
    with pytest.raises(InvalidArgumentError, match="another command"):
        store.execute(kind, "ada", {"amount": 5}, idempotency_key="k")
    with pytest.raises(InvalidArgumentError, match="must be a JSON value, or a dataclass"):
        store.execute(kind, "ada", object(), idempotency_key="j")


# -- snapshots -------------------------------------------------------------------------------------


def saved(store: EventStore) -> list[str]:
    return sorted(path.name for path in (store.path / "aggregates").glob("*/*"))


def fresh(store: EventStore, kind: Aggregate) -> tuple[int, int]:
    """Return (balance, how many events were folded) of a load by somebody who knows nothing."""
    folded = []

    def counting(state: dict[str, int], event: Event) -> dict[str, int]:
        folded.append(event)
        return kind.evolve(state, event)

    twin = account(evolve=counting, version=kind.version, snapshots=kind.snapshots)
    with EventStore(store.path, read_only=True) as reader:
        return balance(reader, twin), len(folded)


def test_a_load_folds_only_what_came_after_the_last_saved_state(store: EventStore) -> None:
    for _ in range(11):
        store.execute(SAVED, "ada", move(1))
    assert saved(store) == ["000000000006-v1.state", "000000000009-v1.state"]
    assert fresh(store, SAVED) == (11, 2)
    assert fresh(store, account(version=2)) == (11, 11), "another version is built from the log"
    assert balance(store, SAVED, at=7) == 7


def test_a_damaged_state_is_passed_over_for_the_one_before(store: EventStore) -> None:
    for _ in range(11):
        store.execute(SAVED, "ada", move(1))
    paths = sorted((store.path / "aggregates").glob("*/*"), reverse=True)
    for place, folded in ((0, 5), (1, 11)):
        data = bytearray(paths[place].read_bytes())
        data[-1] ^= 1
        paths[place].write_bytes(data)
        with pytest.warns(RuntimeWarning, match="passed over: .*damaged"):
            assert fresh(store, SAVED) == (11, folded)


def test_a_saved_state_of_another_log_is_not_used(store: EventStore, tmp_path: Path) -> None:
    for _ in range(4):
        store.execute(SAVED, "ada", move(1))
    with EventStore(tmp_path / "t") as other:
        other.append("w", Event.of("Other"))
        for _ in range(4):
            other.execute(ACCOUNT, "ada", move(2))
        shutil.copytree(store.path / "aggregates", other.path / "aggregates")
        with pytest.warns(RuntimeWarning, match="of another log"):
            assert fresh(other, SAVED) == (8, 4)


def test_a_saved_state_of_a_copy_that_went_on_otherwise_is_not_used(
    store: EventStore, tmp_path: Path
) -> None:
    store.execute(SAVED, "ada", move(1))
    shutil.copytree(store.path, tmp_path / "t")
    for _ in range(3):
        store.execute(SAVED, "ada", move(1))
    with EventStore(tmp_path / "t") as other:
        other.append("w", Event.of("Other"))
        for _ in range(3):
            other.execute(ACCOUNT, "ada", move(2))
        shutil.copytree(store.path / "aggregates", other.path / "aggregates")
        with pytest.warns(RuntimeWarning, match="of another log"):
            assert fresh(other, SAVED) == (7, 4)


def test_a_state_that_is_no_json_works_and_is_not_saved(store: EventStore) -> None:
    kind = aggregate(
        name="account",
        initial=frozenset(),
        decide=lambda _, name: Event.of("Joined", name=name),
        evolve=lambda names, event: names | {event.name},
        snapshots=Snapshots(every_events=1),
    )
    with pytest.warns(RuntimeWarning, match="no JSON value"):
        store.execute(kind, "ada", "x")
    assert store.state(kind, "ada") == {"x"}
    assert saved(store) == []


def test_a_state_that_cannot_be_saved_is_a_warning_since_the_events_are_durable(
    store: EventStore,
) -> None:
    (store.path / "aggregates").write_bytes(b"in the way")
    store.execute(SAVED, "ada", move(1))
    store.execute(SAVED, "ada", move(1))
    with pytest.warns(RuntimeWarning, match="could not be saved"):
        store.execute(SAVED, "ada", move(1))
    assert balance(store) == 3


def test_a_truncated_stream_is_loaded_from_a_saved_state_or_refused(store: EventStore) -> None:
    for _ in range(7):
        store.execute(SAVED, "ada", move(1))
    store.truncate("account-ada", upto=5)
    assert fresh(store, SAVED) == (7, 1)
    assert store.execute(SAVED, "ada", move(1)).version == 8
    with (
        EventStore(store.path, read_only=True) as reader,
        pytest.raises(
            TruncatedError, match="events 1 to 5 were truncated, and no saved state holds them"
        ),
    ):
        balance(reader, account(version=2))


def test_a_state_is_saved_when_asked_so_that_all_its_events_may_go(store: EventStore) -> None:
    assert store.save_state(ACCOUNT, "ada") == 0
    for _ in range(3):
        store.execute(ACCOUNT, "ada", move(1))
    assert store.save_state(ACCOUNT, "ada") == 3
    (path,) = (store.path / "aggregates").glob("*/*")
    path.write_bytes(path.read_bytes()[:-1])
    assert store.save_state(ACCOUNT, "ada") == 3, "in place of the damaged one"
    store.truncate("account-ada", upto=3)
    assert fresh(store, ACCOUNT) == (3, 0)
    with EventStore(store.path) as other:
        assert other.execute(ACCOUNT, "ada", move(-3)).version == 4
    sets = account(evolve=lambda *_: {1})
    with pytest.raises(InvalidArgumentError, match="no JSON value, so that it cannot be saved"):
        store.save_state(sets, "bob", workflow_id="account-ada")


# -- arguments -------------------------------------------------------------------------------------


def test_time_travel_names_the_event_that_is_not_there(store: EventStore) -> None:
    store.execute(ACCOUNT, "ada", move(1))
    assert balance(store, at=0) == 0
    for at in (2, -1):
        with pytest.raises(NotFoundError, match=f"no event {at}"):
            balance(store, at=at)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decide": None}, "decide is None"),
        ({"evolve": 3}, "evolve is 3"),
        ({"name": ""}, "name of an aggregate"),
        ({"version": "1"}, "version is '1'"),
        ({"snapshots": 100}, "snapshots is 100"),
    ],
)
def test_a_wrong_declaration_is_refused_by_the_argument(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        account(**changes)


def test_wrong_arguments_are_refused_by_name(store: EventStore) -> None:
    with pytest.raises(InvalidArgumentError, match="every_events is 0"):
        Snapshots(every_events=0)
    with pytest.raises(InvalidArgumentError, match="lacks decide, evolve"):
        aggregate(type("Half", (), {"initial": 0}))
    with pytest.raises(InvalidArgumentError, match="is no aggregate"):
        store.execute(decide, "ada", move(1))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="id of 'account' is ''"):
        store.execute(ACCOUNT, "", move(1))
    with pytest.raises(InvalidArgumentError, match="retries is -1"):
        store.execute(ACCOUNT, "ada", move(1), retries=-1)
    with pytest.raises(InvalidArgumentError, match="idempotency_key is ''"):
        store.execute(ACCOUNT, "ada", move(1), idempotency_key="")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.execute(ACCOUNT, "x", move(1), workflow_id="other").workflow_id == "other"
