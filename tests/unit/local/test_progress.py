"""Progress of `make run`: finished tasks, and a status line that is never silent."""

import io
import threading

from local.airflow_api import TaskState
from local.progress import PipelineProgress, StatusLine


def task(task_id, state, map_index=-1):
    return TaskState(task_id, map_index, task_id, True, state, 1, None)


def test_instances_of_a_mapped_task_count_as_one_task():
    tasks = {"build_features": ["request", "build_marts"], "train_models": ["channels.train_channel", "evaluate"]}
    progress = PipelineProgress(tasks)
    channels = [task("channels.train_channel", state, i) for i, state in enumerate(("success", "running"))]
    progress.update("train_models", channels)
    assert progress.finished == 0
    progress.update("train_models", [task("channels.train_channel", "success", i) for i in range(2)])
    progress.update("build_features", [task("request", "success"), task("build_marts", "running")])
    assert str(progress) == "2 of 4 tasks, 00:00 elapsed"


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
