"""The fear: one bit of one file is another, and an answer is given all the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from flowlab.store import commit_log
from flowlab.studies.measuring import SEED
from flowlab.studies.store_bits import TARGETS, damage_one, every_damage, make_smallest_stores

PLACES = 200
BY_KIND = {target.kind: target for target in TARGETS}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    make_smallest_stores(folder)
    return folder


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_flipped_bit_or_a_cut_of_a_small_file_is_told_or_changes_no_answer(
    stores: Path, kind: str
) -> None:
    """`flowlab check store.damage` flips every bit, and makes every cut."""
    target = BY_KIND[kind]
    damages = every_damage(target.find(stores))
    chosen = random.Random(SEED).sample(damages[:-1], min(PLACES, len(damages) - 1))
    report = damage_one(stores, target, [*chosen, damages[-1]])

    print(report)
    assert report.wrong == []
    assert report.told.total() + report.harmless.total() == len(chosen) + 1
    if kind != "watermark":  # what it says can be found without it
        assert report.told[kind] > len(chosen) // 2


def test_each_bit_each_cut_and_the_loss_of_a_file_are_one_damage_each(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    damages = every_damage(tmp_path / "file")

    assert len(damages) == len(set(damages)) == 3 * 8 + 3 + 1


def test_a_commit_that_is_believed_without_its_checksum_is_found_out(
    stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the checksum of a commit is for: many of its bits would change answers in silence."""
    monkeypatch.setattr(commit_log, "crc_holds", lambda _: True)
    target = BY_KIND["commit"]
    report = damage_one(stores, target, every_damage(target.find(stores))[::17])

    assert report.wrong
