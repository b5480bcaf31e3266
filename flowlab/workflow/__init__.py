"""The language of workflows, and what it means: values and pure functions, no IO."""

from __future__ import annotations

from flowlab.workflow.choreography import (
    CHOREOGRAPHY_VERSION,
    MAX_REACTIONS,
    Choreography,
    Reaction,
)
from flowlab.workflow.choreography_check import (
    CHOREOGRAPHY_RULES,
    check_choreography,
    choreography_problems,
)
from flowlab.workflow.context import WorkflowContext
from flowlab.workflow.definition import Activity, Workflow, activity, workflow
from flowlab.workflow.durations import SECOND, Duration, as_ns
from flowlab.workflow.execution import LONG_BYTES, LONG_EVENTS, Execution
from flowlab.workflow.handles import MAX_FIBERS, Handle
from flowlab.workflow.plan import (
    MAX_PLAN_DEPTH,
    MAX_PLAN_NODES,
    PLAN_VERSION,
    Barrier,
    Branch,
    Compensation,
    Conditional,
    Drawing,
    DrawnEdge,
    DrawnNode,
    Located,
    Node,
    Parallel,
    Plan,
    Sequential,
    Step,
    StepKind,
    as_plan,
    locate,
)
from flowlab.workflow.plan_check import PLAN_RULES, PlanProblem, check_plan, plan_problems
from flowlab.workflow.predicate import Predicate, named
from flowlab.workflow.predicate_json import predicate_from_json, predicate_to_json
from flowlab.workflow.reference import Reference, field, result
from flowlab.workflow.registry import Predicates
from flowlab.workflow.retry import NO_RETRY, RetryPolicy
from flowlab.workflow.saga import UNTIL_IT_SUCCEEDS, Saga
from flowlab.workflow.state import (
    TERMINAL,
    TRANSITIONS,
    AgentExecuting,
    Canceled,
    Compensating,
    Completed,
    ContinuedAsNew,
    Failed,
    Initiated,
    WorkflowState,
    transition,
    transition_table,
)
from flowlab.workflow.step import STEP_KINDS
from flowlab.workflow.template import Place, Template

__all__ = [
    "CHOREOGRAPHY_RULES",
    "CHOREOGRAPHY_VERSION",
    "LONG_BYTES",
    "LONG_EVENTS",
    "MAX_FIBERS",
    "MAX_PLAN_DEPTH",
    "MAX_PLAN_NODES",
    "MAX_REACTIONS",
    "NO_RETRY",
    "PLAN_RULES",
    "PLAN_VERSION",
    "SECOND",
    "STEP_KINDS",
    "TERMINAL",
    "TRANSITIONS",
    "UNTIL_IT_SUCCEEDS",
    "Activity",
    "AgentExecuting",
    "Barrier",
    "Branch",
    "Canceled",
    "Choreography",
    "Compensating",
    "Compensation",
    "Completed",
    "Conditional",
    "ContinuedAsNew",
    "Drawing",
    "DrawnEdge",
    "DrawnNode",
    "Duration",
    "Execution",
    "Failed",
    "Handle",
    "Initiated",
    "Located",
    "Node",
    "Parallel",
    "Place",
    "Plan",
    "PlanProblem",
    "Predicate",
    "Predicates",
    "Reaction",
    "Reference",
    "RetryPolicy",
    "Saga",
    "Sequential",
    "Step",
    "StepKind",
    "Template",
    "Workflow",
    "WorkflowContext",
    "WorkflowState",
    "activity",
    "as_ns",
    "as_plan",
    "check_choreography",
    "check_plan",
    "choreography_problems",
    "field",
    "locate",
    "named",
    "plan_problems",
    "predicate_from_json",
    "predicate_to_json",
    "result",
    "transition",
    "transition_table",
    "workflow",
]
