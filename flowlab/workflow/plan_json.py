"""The nodes of a plan as JSON and back: strict, and every error names the place.

A field that has its default is left out when a node is written, and may be when one is read.
"""

from __future__ import annotations

from typing import Any

from flowlab.errors import LimitError, PlanError
from flowlab.workflow.nodes import MAX_PLAN_DEPTH, Branch, Conditional, Parallel, Sequential
from flowlab.workflow.predicate import Predicate
from flowlab.workflow.predicate_json import predicate_from_json, predicate_to_json
from flowlab.workflow.retry import RetryPolicy
from flowlab.workflow.step import Barrier, Compensation, Node, Step
from flowlab.workflow.strict_json import built, expected, flag, items, members, text, texts, whole
from flowlab.workflow.template import Template, place_from_json

_CALL = ("input", "retry", "timeout")
_STEP = ("activity", "kind", "compensation", "effect", "idempotent", *_CALL)
_KINDS = ("step", "sequential", "parallel", "conditional", "barrier")


def node_to_json(node: Node) -> dict[str, Any]:
    """Return a node as JSON.

    Example:
        >>> node_to_json(Step("charge", agent="bank", kind="pivot"))
        {'node': 'step', 'name': 'charge', 'agent': 'bank', 'kind': 'pivot'}
    """
    match node:
        case Step():
            return _step_to_json(node)
        case Barrier(name, required_agents):
            return {"node": "barrier", "name": name, "required_agents": list(required_agents)}
        case Sequential(nodes):
            return {"node": "sequential", "nodes": list(map(node_to_json, nodes))}
        case Parallel(branches, sync_point):
            value: dict[str, Any] = {
                "node": "parallel",
                "branches": list(map(node_to_json, branches)),
            }
            return value if sync_point is None else value | {"sync_point": sync_point}
        case Conditional(on, branches, otherwise):
            chooser = predicate_to_json(on) if isinstance(on, Predicate) else on.to_json()
            cases = [
                {"when": branch.when.to_json(), "do": node_to_json(branch.node)}
                for branch in branches
            ]
            value = {"node": "conditional", "on": chooser, "branches": cases}
            return value if otherwise is None else value | {"otherwise": node_to_json(otherwise)}
        case _:
            message = f"{node!r} is no node of flowlab's, so it has no JSON"
            raise PlanError(message)


def node_from_json(value: Any, at: str = "$", *, depth: int = 1) -> Node:
    """Return the node of a JSON value; `at` is its place in a larger document.

    Raises:
        PlanError: a kind, a field or a type is wrong; the message begins with the place.
        LimitError: there are more levels or nodes than a plan may have.

    Example:
        >>> node_from_json({"node": "sequential", "nodes": []})
        Sequential()
    """
    if depth > MAX_PLAN_DEPTH:
        message = f"{at}: the plan is nested deeper than MAX_PLAN_DEPTH = {MAX_PLAN_DEPTH}"
        raise LimitError(message)
    kind = value.get("node") if isinstance(value, dict) else None
    if kind not in _KINDS:
        raise PlanError(
            expected(f"a node (an object whose node is one of {', '.join(_KINDS)})", value, at)
        )
    if kind == "step":
        return _step_from_json(value, at)
    if kind == "barrier":
        members(value, at, required=("node", "name", "required_agents"))
        name = text(value["name"], f"{at}.name")
        agents = texts(value["required_agents"], f"{at}.required_agents")
        return built(at, lambda: Barrier(name, agents))
    if kind == "sequential":
        members(value, at, required=("node", "nodes"))
        nodes = _nodes(value["nodes"], f"{at}.nodes", depth)
        return built(at, lambda: Sequential(*nodes))
    if kind == "parallel":
        members(value, at, required=("node", "branches"), optional=("sync_point",))
        branches = _nodes(value["branches"], f"{at}.branches", depth)
        point = value.get("sync_point")
        return built(at, lambda: Parallel(*branches, sync_point=point))
    return _conditional_from_json(value, at, depth)


def compensation_to_json(compensation: Compensation) -> dict[str, Any]:
    """Return a compensation as JSON.

    Example:
        >>> compensation_to_json(Compensation("refund"))
        {'activity': 'refund'}
    """
    value: dict[str, Any] = {"activity": compensation.activity}
    if compensation.agent is not None:
        value["agent"] = compensation.agent
    return value | _call_to_json(compensation)


def compensation_from_json(value: Any, at: str) -> Compensation:
    """Return the compensation of a JSON value.

    Example:
        >>> compensation_from_json({"activity": "refund"}, "$")
        Compensation('refund')
    """
    members(value, at, required=("activity",), optional=("agent", *_CALL))
    activity = text(value["activity"], f"{at}.activity")
    agent = text(value["agent"], f"{at}.agent") if "agent" in value else None
    call = _call_from_json(value, at)
    return built(at, lambda: Compensation(activity, agent=agent, **call))


def _step_to_json(step: Step) -> dict[str, Any]:
    value: dict[str, Any] = {"node": "step", "name": step.name, "agent": step.agent}
    if step.activity != step.name:
        value["activity"] = step.activity
    if step.kind != "compensable":
        value["kind"] = step.kind
    if step.compensation is not None:
        value["compensation"] = compensation_to_json(step.compensation)
    if not step.effect:
        value["effect"] = False
    if step.idempotent:
        value["idempotent"] = True
    return value | _call_to_json(step)


def _step_from_json(value: Any, at: str) -> Step:
    members(value, at, required=("node", "name", "agent"), optional=_STEP)
    fields: dict[str, Any] = {
        name: text(value[name], f"{at}.{name}")
        for name in ("name", "agent", "activity", "kind")
        if name in value
    }
    for name in ("effect", "idempotent"):
        if name in value:
            fields[name] = flag(value[name], f"{at}.{name}")
    if "compensation" in value:
        where = f"{at}.compensation"
        fields["compensation"] = compensation_from_json(value["compensation"], where)
    fields |= _call_from_json(value, at)
    return built(at, lambda: Step(**fields))


def _conditional_from_json(value: Any, at: str, depth: int) -> Conditional:
    members(value, at, required=("node", "on", "branches"), optional=("otherwise",))
    where = f"{at}.on"
    on = built(where, lambda: place_from_json(value["on"]))
    chooser = predicate_from_json(value["on"], where) if on is None else on
    branches = []
    for item, place in items(value["branches"], f"{at}.branches"):
        members(item, place, required=("when", "do"))
        when = _case(item["when"], f"{place}.when")
        branches.append(Branch(when, node_from_json(item["do"], f"{place}.do", depth=depth + 1)))
    otherwise = None
    if "otherwise" in value:
        otherwise = node_from_json(value["otherwise"], f"{at}.otherwise", depth=depth + 1)
    return built(at, lambda: Conditional(chooser, tuple(branches), otherwise=otherwise))


def _case(value: Any, at: str) -> Template:
    if isinstance(value, (dict, list)):
        raise PlanError(expected("a text, a number, true, false or null", value, at))
    return built(at, lambda: Template.from_json(value))


def _nodes(value: Any, at: str, depth: int) -> list[Node]:
    return [node_from_json(item, place, depth=depth + 1) for item, place in items(value, at)]


def _call_to_json(call: Step | Compensation) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if call.input is not None:
        value["input"] = call.input.to_json()
    if call.retry is not None:
        value["retry"] = call.retry.to_json()
    if call.timeout is not None:
        value["timeout"] = call.timeout
    return value


def _call_from_json(value: dict[str, Any], at: str) -> dict[str, Any]:
    call: dict[str, Any] = {}
    if "input" in value:
        call["input"] = built(f"{at}.input", lambda: Template.from_json(value["input"]))
    if "retry" in value:
        call["retry"] = built(f"{at}.retry", lambda: RetryPolicy.from_json(value["retry"]))
    if "timeout" in value:
        call["timeout"] = whole(value["timeout"], f"{at}.timeout")
    return call
