"""Recovery: schemes, the law of when to checkpoint, and what they cost. Names load when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowlab.events.lazy_names import lazy_names

if TYPE_CHECKING:
    from flowlab.recovery.branches import BranchState, independent_branches, recover_branches
    from flowlab.recovery.checkpoint import WorkflowCheckpoint
    from flowlab.recovery.estimates import Costs, Estimates
    from flowlab.recovery.folds import checkpoint_states
    from flowlab.recovery.incremental import Cached, Incremental
    from flowlab.recovery.looking_back import StateAt, state_at
    from flowlab.recovery.measured import fit_costs
    from flowlab.recovery.policies import BySize, EveryEvents, EveryInterval, Lawful, Never
    from flowlab.recovery.portable import export_savepoint, import_savepoint, savepoint
    from flowlab.recovery.provenance import Provenance, provenance_plan, provenance_rerun
    from flowlab.recovery.recommendation import Recommendation
    from flowlab.recovery.recommending import recommend
    from flowlab.recovery.recovered import Recovered, RecoveryReport
    from flowlab.recovery.recovering import recover
    from flowlab.recovery.redoing import Redone
    from flowlab.recovery.replay_report import Divergence, Replayed, ReplayReport
    from flowlab.recovery.replayer import Replayer
    from flowlab.recovery.schemes import Checkpointed
    from flowlab.recovery.truncating import truncate
    from flowlab.recovery.twins import recorded_twin
    from flowlab.runtime import Replay

_NAMES: Final = {
    "BranchState": "flowlab.recovery.branches",
    "independent_branches": "flowlab.recovery.branches",
    "recover_branches": "flowlab.recovery.branches",
    "BySize": "flowlab.recovery.policies",
    "Cached": "flowlab.recovery.incremental",
    "Checkpointed": "flowlab.recovery.schemes",
    "Costs": "flowlab.recovery.estimates",
    "Estimates": "flowlab.recovery.estimates",
    "Divergence": "flowlab.recovery.replay_report",
    "EveryEvents": "flowlab.recovery.policies",
    "EveryInterval": "flowlab.recovery.policies",
    "Incremental": "flowlab.recovery.incremental",
    "Lawful": "flowlab.recovery.policies",
    "Never": "flowlab.recovery.policies",
    "Recommendation": "flowlab.recovery.recommendation",
    "Recovered": "flowlab.recovery.recovered",
    "RecoveryReport": "flowlab.recovery.recovered",
    "Replay": "flowlab.runtime",
    "ReplayReport": "flowlab.recovery.replay_report",
    "Replayed": "flowlab.recovery.replay_report",
    "Replayer": "flowlab.recovery.replayer",
    "StateAt": "flowlab.recovery.looking_back",
    "WorkflowCheckpoint": "flowlab.recovery.checkpoint",
    "checkpoint_states": "flowlab.recovery.folds",
    "fit_costs": "flowlab.recovery.measured",
    "recommend": "flowlab.recovery.recommending",
    "export_savepoint": "flowlab.recovery.portable",
    "import_savepoint": "flowlab.recovery.portable",
    "savepoint": "flowlab.recovery.portable",
    "Provenance": "flowlab.recovery.provenance",
    "Redone": "flowlab.recovery.redoing",
    "provenance_plan": "flowlab.recovery.provenance",
    "provenance_rerun": "flowlab.recovery.provenance",
    "recorded_twin": "flowlab.recovery.twins",
    "recover": "flowlab.recovery.recovering",
    "state_at": "flowlab.recovery.looking_back",
    "truncate": "flowlab.recovery.truncating",
}

__all__ = [
    "BranchState",
    "BySize",
    "Cached",
    "Checkpointed",
    "Costs",
    "Divergence",
    "Estimates",
    "EveryEvents",
    "EveryInterval",
    "Incremental",
    "Lawful",
    "Never",
    "Provenance",
    "Recommendation",
    "Recovered",
    "RecoveryReport",
    "Redone",
    "Replay",
    "ReplayReport",
    "Replayed",
    "Replayer",
    "StateAt",
    "WorkflowCheckpoint",
    "checkpoint_states",
    "export_savepoint",
    "fit_costs",
    "import_savepoint",
    "independent_branches",
    "provenance_plan",
    "provenance_rerun",
    "recommend",
    "recorded_twin",
    "recover",
    "recover_branches",
    "savepoint",
    "state_at",
    "truncate",
]

# The pictures use the pure laws alone: what runs workflows is loaded where it is asked for.
__getattr__ = lazy_names("flowlab.recovery", _NAMES)
