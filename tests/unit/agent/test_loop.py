"""Tasks, watchers and timers: what wakes whom, and that nothing is called twice, too late, or for another's file."""

from __future__ import annotations

import gc
import os
import signal
import weakref

import pytest

from orchestrator.agent import loop as module
from orchestrator.agent.loop import FEW_TIMERS, READ, WRITE, Loop, calm, caught, hurry, now_ns, spin_until
from orchestrator.agent.tasks import Interrupted, Wait, wake

PAST, FAR = 0, 1 << 62


class Bell:
    """Something that has news."""

    def __init__(self):
        self.waiting = []

    def ring(self):
        wake(self.waiting)


def waits(*what):
    """A task that waits for each in turn and gives what it was told."""
    told = []
    for wait in what:
        told.append((yield wait))  # noqa: PERF401  a generator's yield is no comprehension's
    return told


def test_a_task_that_never_waits_is_over_at_once(loop, ended):
    loop.spawn(waits(), ended)
    assert ended.value == []


def test_it_goes_on_when_what_it_waits_for_came(loop, ended, pipe):
    loop.spawn(waits(Wait(pipe[0], READ)), ended)
    loop.serve(0)
    assert ended.outcomes == []
    os.write(pipe[1], b"x")
    loop.serve(0)
    assert ended.value == [True]


def test_it_is_told_that_its_own_patience_is_over(loop, ended, pipe):
    loop.spawn(waits(Wait(pipe[0], READ, deadline=PAST)), ended)
    loop.serve(0)
    assert ended.value == [False]


def test_the_deadline_of_the_whole_interrupts_it(loop, ended, pipe):
    loop.spawn(waits(Wait(pipe[0], READ, deadline=FAR)), ended, deadline=PAST)
    loop.serve(0)
    assert isinstance(ended.error, Interrupted)
    assert ended.error.status == "timeout"


def test_who_swallows_an_interruption_is_interrupted_again(loop, ended, pipe):
    def stubborn():
        for _ in range(3):
            try:
                yield Wait(pipe[0], READ)
            except Interrupted:
                continue
        return "over"

    loop.spawn(stubborn(), ended, deadline=PAST)
    loop.serve(0)
    assert ended.value == "over"


def test_what_comes_after_its_end_does_not_end_it_twice(loop, ended, pipe):
    task = loop.spawn(waits(Wait(pipe[0], READ)), ended)
    os.write(pipe[1], b"x")
    task.interrupt("blocked")
    task.interrupt("blocked")
    loop.serve(0)
    assert [type(error) for _value, error in ended.outcomes] == [Interrupted]


def test_news_resumes_those_who_wait_for_it_and_no_others(loop):
    bell, other = Bell(), Bell()
    heard = []
    loop.spawn(waits(Wait(on=bell)), lambda _value, _error: heard.append("bell"))
    loop.spawn(waits(Wait(on=other)), lambda _value, _error: heard.append("other"))
    bell.ring()
    assert heard == ["bell"]
    assert bell.waiting == []


def test_who_turned_to_other_news_meanwhile_is_not_resumed_for_the_old(loop, ended):
    bell, other = Bell(), Bell()
    tasks = []

    def first():
        yield Wait(on=bell)
        tasks[0].resume(came=False)  # sends the second away from the bell, while the bell still has it on its list

    loop.spawn(first(), lambda _value, _error: None)
    tasks.append(loop.spawn(waits(Wait(on=bell), Wait(on=other)), ended))
    bell.ring()
    assert ended.outcomes == []
    other.ring()
    assert ended.value == [False, True]


def test_a_number_given_out_again_within_the_round_gets_no_old_event(loop, pipe):
    heard = []
    first, second, fresh = os.pipe(), os.pipe(), os.pipe()
    for _reader, writer in (first, second):
        os.write(writer, b"x")

    def reuse(_events):
        loop.unwatch(second[0], heard.append)
        os.dup2(fresh[0], second[0])  # closes it and opens another file under its number, at once
        loop.watch(second[0], READ, heard.append)

    loop.watch(first[0], READ, reuse)
    loop.watch(second[0], READ, heard.append)
    loop.serve(0)
    assert heard == []
    loop.unwatch(first[0], reuse)
    os.write(fresh[1], b"x")
    loop.serve(0)
    assert len(heard) == 1
    for fd in (*first, *second, *fresh):
        os.close(fd)


def test_who_is_unwatched_within_the_round_is_not_called(loop, pipe):
    heard = []
    loop.watch(pipe[0], READ, lambda _events: loop.unwatch(pipe[0], heard.append))
    loop.watch(pipe[0], READ, heard.append)
    os.write(pipe[1], b"x")
    loop.serve(0)
    assert heard == []


def test_two_watchers_of_one_file_each_get_their_own(loop, pipe):
    heard = []
    loop.watch(pipe[1], WRITE, lambda _events: heard.append("write"))
    loop.watch(pipe[1], READ, lambda _events: heard.append("read"))
    loop.serve(0)
    assert heard == ["write"]


def test_unwatching_a_closed_file_leaves_no_trace(loop, pipe):
    heard = []
    loop.watch(pipe[0], READ, heard.append)
    os.close(pipe[0])
    loop.unwatch(pipe[0], heard.append)
    loop.unwatch(pipe[0], heard.append)
    loop.unwatch(-1, heard.append)
    loop.serve(0)
    assert heard == []


def test_a_file_closed_while_it_is_watched_is_told_not_waited_for(loop, ended, pipe):
    loop.spawn(waits(Wait(pipe[0], READ)), ended)
    os.close(pipe[0])
    loop.serve(0)
    assert ended.value == [True]


def test_a_callback_that_fails_is_heard_of_once(loop, pipe):
    def fail(_events):
        raise ValueError("no")

    os.write(pipe[1], b"x")
    loop.watch(pipe[0], READ, fail)
    with pytest.raises(ValueError, match="no"):
        loop.serve(0)
    loop.serve(0)


def test_timers_are_served_in_the_order_of_their_instants(loop):
    heard = []
    for instant in (3, 1, 2, 1):
        loop.call_at(instant, heard.append, instant)
    loop.serve(0)
    assert heard == [1, 1, 2, 3]


def test_a_cancelled_timer_is_silent_and_keeps_nothing(loop):
    heard = []
    bell = Bell()
    alive = weakref.ref(bell)
    timer = loop.call_at(PAST, heard.append, bell)
    timer.cancel()
    del bell
    gc.collect()
    assert alive() is None
    loop.serve(0)
    assert heard == []


def test_waits_that_ended_early_do_not_pile_up(loop, ended):
    bell = Bell()
    loop.spawn(waits(*(Wait(deadline=FAR, on=bell) for _ in range(20 * FEW_TIMERS))), ended, deadline=FAR)
    most = 0
    while not ended.outcomes:
        bell.ring()
        most = max(most, len(loop._instants))
    assert most <= 2 * FEW_TIMERS


def test_an_ended_task_is_not_kept_until_its_deadline(loop, ended, pipe):
    task = loop.spawn(waits(Wait(pipe[0], READ)), ended, deadline=FAR)
    alive = weakref.ref(task)
    os.write(pipe[1], b"x")
    loop.serve(0)
    assert ended.value == [True]
    del task
    gc.collect()
    assert alive() is None


def test_it_sleeps_until_the_next_instant_and_not_before(loop):
    assert loop._pause_ms() == module.PAUSE_MS
    loop.call_at(now_ns() + 5_000_000, lambda: None)
    assert 1 <= loop._pause_ms() <= 5
    loop.call_at(PAST, lambda: None)
    assert loop._pause_ms() == 0


def test_signals_are_told_in_the_loop_not_in_the_midst_of_it(loop):
    heard = []
    loop.on_signal = heard.append
    before = signal.signal(signal.SIGUSR1, caught)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == []
        loop.serve(0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]


def test_a_starter_that_blocked_the_signal_of_ended_children_does_no_harm(loop):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    other = Loop()
    assert signal.SIGCHLD not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    signal.set_wakeup_fd(loop._waker, warn_on_full_buffer=False)
    os.close(other._woken)
    os.close(other._waker)


def fork_and_exit(status):
    pid = os.fork()
    if pid == 0:
        os._exit(status)
    return pid


@pytest.mark.impure("children are processes")
def test_the_end_of_a_child_is_told_with_its_status(loop):
    statuses = []
    loop.on_exit(fork_and_exit(7), statuses.append)
    loop.until(lambda: statuses)
    assert [os.WEXITSTATUS(status) for status in statuses] == [7]


@pytest.mark.impure("children are processes")
def test_orphans_are_reaped_although_nobody_asks(loop):
    statuses = []
    strangers = [fork_and_exit(1) for _ in range(3)]
    loop.on_exit(fork_and_exit(0), statuses.append)
    loop.until(lambda: statuses and not any(os.path.exists(f"/proc/{pid}") for pid in strangers))


def test_spinning_is_never_early():
    at = now_ns() + 100_000
    assert spin_until(at) >= 0
    assert now_ns() >= at
    assert spin_until(PAST) > 0


class Scheduler:
    """The kernel's rule for who is not root: SCHED_RESET_ON_FORK is not taken back (sched(7))."""

    def __init__(self):
        self.policy = os.SCHED_OTHER

    def __call__(self, _pid, policy, _priority):
        if self.policy & os.SCHED_RESET_ON_FORK and not policy & os.SCHED_RESET_ON_FORK:
            raise PermissionError(1, "Operation not permitted")
        self.policy = policy


def test_haste_is_given_up_without_the_rights_of_root_too(monkeypatch):
    scheduler = Scheduler()
    monkeypatch.setattr(os, "sched_setscheduler", scheduler)
    assert hurry() is True
    assert scheduler.policy & os.SCHED_FIFO
    calm()
    assert not scheduler.policy & os.SCHED_FIFO


def test_haste_that_is_refused_is_no_error(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert hurry() is False
    calm()
