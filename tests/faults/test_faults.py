"""Whatever goes wrong at whichever call: nothing is lost, and what follows works."""

import functools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from faults import arena
from faults.arena import Outcome
from faults.evidence import Evidence
from faults.faulty import KILL, TEAR, UNREADABLE, Fault, faults
from faults.world import ACTIONS, Action, World, damages

_MORE = 2  # points of each action beside that at which it is killed, without soak

_MANY = 1 << 30
_CHOICE = random.Random(5)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], "Trial"]]:
    """What gives the trial of an action, which is prepared once."""
    folder = tmp_path_factory.mktemp("faults")
    with arena.opened() as opened:
        world = World(folder, opened)
        yield functools.cache(lambda name: Trial(world, ACTIONS[name]))


class Trial:
    """One action, done undisturbed once, and then again and again on a disk that goes wrong."""

    def __init__(self, world: World, action: Action) -> None:
        self.world = world
        self.action = action
        with self.fresh() as store:
            self.revisions = Evidence(store).revisions()
            self.before = Evidence(store).models()
            self.after = world.do(store, action.words)
            self.next = world.build(store)

    @property
    def _has_workers(self) -> bool:
        return self.action.words[0] == "build"

    def fresh(self) -> AbstractContextManager[Path]:
        return self.world.store(self.action)

    def faults(self) -> list[Fault]:
        """All that can go wrong with the action."""
        # A repair that cannot read the last build puts back the one before it, and says so.
        reading = () if "--repair" in self.action.words else self._calls(UNREADABLE)
        return list(faults(self._calls(KILL), reading))

    def _calls(self, kind: str) -> tuple[str, ...]:
        with self.fresh() as store:
            return self.world.run(store, self.action.words, Fault(kind, _MANY)).calls

    def survives(self, fault: Fault) -> str:
        """See that nothing is lost by *fault*: which call it hit, "" if there was no such call."""
        with self.fresh() as store:
            outcome = self.world.run(store, self.action.words, fault)
            if outcome.hit:
                told = (self.action.words, fault, outcome.hit, outcome.status, outcome.said)
                self._assert_honest(fault, outcome, told)
                self._assert_whole(store, told)
                self._assert_goes_on(store, told)
        return outcome.hit

    def _assert_honest(self, fault: Fault, outcome: Outcome, told: object) -> None:
        """The process is dead, or it is done, or it says what was wrong."""
        if fault.kind in (KILL, TEAR):
            assert outcome.status == -9 or self._has_workers, told
            return
        assert outcome.status in (0, 1, 2), told
        assert "Traceback" not in outcome.said, told
        # What cannot be looked at is often taken for what is not there, and that is told.
        is_told = fault.kind == UNREADABLE or fault.message in outcome.said.lower()
        assert outcome.status == 0 or is_told, told

    def _assert_whole(self, store: Path, told: object) -> None:
        """Each name stands for what it did or was to, and all that was built is there."""
        evidence = Evidence(store)
        now = evidence.models()
        for name in {*self.before, *self.after, *now}:
            known = (self.before.get(name), self.after.get(name))
            assert now.get(name) in known, (name, told)
        assert evidence.lost() == [], told
        assert self.action.forgets or self.revisions <= evidence.revisions(), told
        if b"" not in self.before.values():
            self._assert_sound(store, told)

    def _assert_goes_on(self, store: Path, told: object) -> None:
        """What was cut off can be done again, and the next build is as good as ever."""
        outcome = self.world.run(store, self.action.words)
        is_gone = self.action.words[0] == "rm" and outcome.status == 1
        assert outcome.status == 0 or is_gone, (outcome, told)
        assert Evidence(store).models() == self.after, told
        assert self.world.build(store) == self.next, told
        assert Evidence(store).lost() == [], told
        self._assert_sound(store, told)

    def _assert_sound(self, store: Path, told: object) -> None:
        outcome = self.world.run(store, ("fsck", "--json"))
        assert outcome.status == 0, (damages(outcome), told)


def chosen(every: list[Fault], soak: int) -> list[Fault]:
    """All, or without soak a few: others for each action, the same in each run."""
    if soak > 1:
        return every
    kills = [fault for fault in every if fault.kind == KILL]
    return [_CHOICE.choice(kills), *_CHOICE.sample(every, _MORE)]


@pytest.mark.parametrize("name", ACTIONS)
def test_nothing_is_lost_and_the_next_build_is_as_good_as_ever(
    trial: Callable[[str], Trial], tally: Counter[str], soak: int, name: str
) -> None:
    action = trial(name)
    every = action.faults()
    assert every
    for fault in chosen(every, soak):
        if action.survives(fault):
            tally["killed" if fault.kind in (KILL, TEAR) else "failed"] += 1
