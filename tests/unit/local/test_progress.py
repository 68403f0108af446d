"""Progress of `make run`: finished tasks, the estimate, and a status line that is never silent."""

import io
import threading

import pytest

from dags.task_catalog import TASKS as TASKS_OF_CATALOG
from local.airflow_api import TaskState
from local.progress import TYPICAL_SECONDS, PipelineProgress, StatusLine, format_remaining


def task(task_id, state, map_index=-1):
    return TaskState(task_id, map_index, task_id, True, state, 1, None)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


TASKS = {"build_features": ["request", "build_marts"], "train_models": ["channels.train_channel", "evaluate"]}


def test_instances_of_a_mapped_task_count_as_one_task(clock):
    progress = PipelineProgress(TASKS, clock)
    assert (progress.total, progress.finished, progress.fraction) == (4, 0, 0)
    progress.update(
        "train_models", [task("channels.train_channel", state, i) for i, state in enumerate(("success", None))]
    )
    assert progress.finished == 0
    total = sum(TYPICAL_SECONDS[name] for name in ("request", "build_marts", "train_channel", "evaluate"))
    assert progress.fraction == pytest.approx(TYPICAL_SECONDS["train_channel"] / 2 / total)
    progress.update("train_models", [task("channels.train_channel", "success", i) for i in range(2)])
    assert progress.finished == 1


def test_the_estimate_scales_typical_durations_with_the_speed_of_this_machine(clock):
    progress = PipelineProgress({"build_features": ["build_marts", "validate_marts"]}, clock)
    assert progress.remaining_s is None
    clock.now = 3 * TYPICAL_SECONDS["build_marts"]  # three times as slow as usual
    progress.update("build_features", [task("build_marts", "success"), task("validate_marts", None)])
    assert progress.remaining_s == pytest.approx(3 * TYPICAL_SECONDS["validate_marts"])
    assert str(progress) == "1 of 2 tasks, 04:39 elapsed, less than 2 min left"


def test_a_running_task_advances_but_is_not_finished_before_it_ends(clock):
    progress = PipelineProgress({"build_features": ["build_marts"]}, clock)
    progress.update("build_features", [task("build_marts", "running")])
    assert progress.fraction == 0
    clock.now = TYPICAL_SECONDS["build_marts"] / 2
    progress.update("build_features", [task("build_marts", "running")])
    assert progress.fraction == 0.5
    clock.now *= 100
    progress.update("build_features", [task("build_marts", "running")])
    assert 0.5 < progress.fraction < 1
    assert progress.finished == 0
    progress.finish("build_features")
    assert (progress.finished, progress.remaining_s) == (1, 0)


def test_unknown_tasks_do_not_matter(clock):
    progress = PipelineProgress(TASKS, clock)
    progress.update("set_release", [task("set_release", "success")])
    assert progress.finished == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(20, "less than 2 min left"), (89, "less than 2 min left"), (400, "about 7 min left")]
)
def test_remaining_time_in_words(seconds, text):
    assert format_remaining(seconds) == text


class Screen(io.StringIO):
    """Sets `repainted` after three repaints."""

    def __init__(self):
        super().__init__()
        self.repainted = threading.Event()

    def write(self, text):
        written = super().write(text)
        if self.getvalue().count("Starting") >= 3:
            self.repainted.set()
        return written


def test_the_status_line_is_repainted_while_the_program_waits(capsys):
    screen = Screen()
    with StatusLine(screen, interval_s=0.01) as status:
        status.wait_for("Starting the services")
        assert screen.repainted.wait(30)
        status.write("  airflow started")
    assert "Starting the services (00:00 elapsed)" in screen.getvalue()
    assert capsys.readouterr().out == "  airflow started\n"


def test_typical_durations_are_those_of_tasks_that_exist():
    assert set(TYPICAL_SECONDS) <= set(TASKS_OF_CATALOG)
