"""The language of workflows, in values and pure functions; called, `@fl.workflow` declares one."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

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
from flowlab.workflow.commutation import MAX_STATES, Commutation, Outcome, commutes
from flowlab.workflow.context import WorkflowContext
from flowlab.workflow.definition import Activity, Workflow, activity, workflow
from flowlab.workflow.durations import SECOND, Duration, as_ns
from flowlab.workflow.execution import LONG_BYTES, LONG_EVENTS, Execution
from flowlab.workflow.guard import armed
from flowlab.workflow.guard_rules import GUARD_RULES, Finding, GuardRule
from flowlab.workflow.guard_source import source_findings
from flowlab.workflow.guard_trial import TryOut, Violation, try_out
from flowlab.workflow.handles import MAX_FIBERS, Handle
from flowlab.workflow.history import History
from flowlab.workflow.locks import MAX_STASHED, Claim, Grant, LockMode, LockPolicy, SemanticLocks
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
from flowlab.workflow.plan_command import (
    ARRIVED,
    COMMAND_KINDS,
    END_CANCELED,
    END_COMPLETED,
    END_FAILED,
    PIVOT,
    RELEASED,
    SCHEDULE,
    TIMER,
    UNDO,
    UNDO_TIMER,
    Command,
)
from flowlab.workflow.plan_execution import PLAN_COMMAND_TYPES, PlanExecution
from flowlab.workflow.plan_instance import PlanInstance
from flowlab.workflow.plan_program import BarrierOp, JoinOp, Program, StepOp, UndoOp
from flowlab.workflow.predicate import Predicate, named
from flowlab.workflow.predicate_json import predicate_from_json, predicate_to_json
from flowlab.workflow.projection import state_of, states_of
from flowlab.workflow.reference import Reference, field, result
from flowlab.workflow.registry import Predicates
from flowlab.workflow.reread import Versioned, reread
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
from flowlab.workflow.undoing import CompensationResult
from flowlab.workflow.version_file import MAX_OPERATIONS, Filed, Operation, VersionFile
from flowlab.workflow.waits import Wait, wait_cycle

__all__ = [
    "ARRIVED",
    "CHOREOGRAPHY_RULES",
    "CHOREOGRAPHY_VERSION",
    "COMMAND_KINDS",
    "END_CANCELED",
    "END_COMPLETED",
    "END_FAILED",
    "GUARD_RULES",
    "LONG_BYTES",
    "LONG_EVENTS",
    "MAX_FIBERS",
    "MAX_OPERATIONS",
    "MAX_PLAN_DEPTH",
    "MAX_PLAN_NODES",
    "MAX_REACTIONS",
    "MAX_STASHED",
    "MAX_STATES",
    "NO_RETRY",
    "PIVOT",
    "PLAN_COMMAND_TYPES",
    "PLAN_RULES",
    "PLAN_VERSION",
    "RELEASED",
    "SCHEDULE",
    "SECOND",
    "STEP_KINDS",
    "TERMINAL",
    "TIMER",
    "TRANSITIONS",
    "UNDO",
    "UNDO_TIMER",
    "UNTIL_IT_SUCCEEDS",
    "Activity",
    "AgentExecuting",
    "Barrier",
    "BarrierOp",
    "Branch",
    "Canceled",
    "Choreography",
    "Claim",
    "Command",
    "Commutation",
    "Compensating",
    "Compensation",
    "CompensationResult",
    "Completed",
    "Conditional",
    "ContinuedAsNew",
    "Drawing",
    "DrawnEdge",
    "DrawnNode",
    "Duration",
    "Execution",
    "Failed",
    "Filed",
    "Finding",
    "Grant",
    "GuardRule",
    "Handle",
    "History",
    "Initiated",
    "JoinOp",
    "Located",
    "LockMode",
    "LockPolicy",
    "Node",
    "Operation",
    "Outcome",
    "Parallel",
    "Place",
    "Plan",
    "PlanExecution",
    "PlanInstance",
    "PlanProblem",
    "Predicate",
    "Predicates",
    "Program",
    "Reaction",
    "Reference",
    "RetryPolicy",
    "Saga",
    "SemanticLocks",
    "Sequential",
    "Step",
    "StepKind",
    "StepOp",
    "Template",
    "TryOut",
    "UndoOp",
    "VersionFile",
    "Versioned",
    "Violation",
    "Wait",
    "Workflow",
    "WorkflowContext",
    "WorkflowState",
    "activity",
    "armed",
    "as_ns",
    "as_plan",
    "check_choreography",
    "check_plan",
    "choreography_problems",
    "commutes",
    "field",
    "locate",
    "named",
    "plan_problems",
    "predicate_from_json",
    "predicate_to_json",
    "reread",
    "result",
    "source_findings",
    "state_of",
    "states_of",
    "transition",
    "transition_table",
    "try_out",
    "wait_cycle",
    "workflow",
]


class _Room(ModuleType):
    """The room as a decorator: `@flowlab.workflow` is `flowlab.workflow.workflow`."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return workflow(*args, **named)

    __call__.__doc__ = workflow.__doc__

    def __repr__(self) -> str:
        return "<module 'flowlab.workflow'>"


sys.modules[__name__].__class__ = _Room
