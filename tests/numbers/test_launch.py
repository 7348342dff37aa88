"""`t0jax launch` on a simulated cloud, with trainers that only end as they are told."""

import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from launch_desk import IS_CHECKOUT, PACE, PLACE, ROOT, SECRET, Desk, desk_in

pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="t0jax launch sends a commit, and this is no checkout")


@pytest.fixture
def desk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with desk_in(tmp_path, monkeypatch, capsys) as made:
        yield made


def test_a_run_that_ends_well_is_done_and_leaves_nothing(desk: Desk) -> None:
    desk.trains('echo "worker $WORKER trains"')
    status, said = desk.run()
    assert status == 0, said
    assert "worker 0 trains" in said and "done: all 2 workers ended with status 0" in said
    assert desk.cloud.state("t0") is None and desk.count("queued-resources create") == 1


def test_bad_input_is_not_tried_again(desk: Desk) -> None:
    desk.trains("echo 't0jax: no such mixture' >&2; [ $WORKER = 1 ] && exit 2; sleep 60")
    status, said = desk.run()
    assert status == 2
    assert "bad input: worker t0-w-1 ended with status 2, and would again:\nt0jax: no such mixture" in said
    assert desk.cloud.state("t0") is None and desk.count("worker.sh start") == 1


def test_a_failure_is_tried_again_on_the_same_slice_until_the_attempts_are_used_up(desk: Desk) -> None:
    desk.trains("echo 'Segmentation fault'; exit 139")
    status, said = desk.run("--max_attempts=2")
    assert status == 1
    assert "2 attempts have failed, and --max_attempts is 2; the last attempt: worker t0-w-0 ended with status 139" in said
    assert said.count("Segmentation fault") >= 2
    assert (desk.count("queued-resources create"), desk.count("worker.sh start")) == (1, 2)
    assert desk.cloud.state("t0") is None


@pytest.mark.parametrize("status", [75, 143, 130])
def test_a_trainer_that_has_saved_is_run_again_and_counts_as_no_failure(desk: Desk, status: int) -> None:
    desk.trains(f"[ -f $SHARED/$WORKER ] && exit 0; touch $SHARED/$WORKER; exit {status}")
    ended, said = desk.run("--max_attempts=1")
    assert ended == 0, said
    assert "2 starts, 1 preemptions, 0 failures" in said


def test_the_dollars_end_a_run_which_saves_first(desk: Desk) -> None:
    desk.trains("trap 'touch $SHARED/saved$WORKER; exit 75' TERM; echo trains; while :; do sleep 0.1; done")
    status, said = desk.run("--max_dollars=0.01", "--price=10")  # 8 chips: half a second
    assert status == 1
    assert re.search(r"spent: \$0\.0\d of --max_dollars=0\.01 are spent", said)
    assert sorted(path.name for path in (desk.folder / "shared").glob("saved*")) == ["saved0", "saved1"]
    assert desk.cloud.state("t0") is None
    assert desk.run("--max_dollars=0.01", "--price=10")[0] == 1
    assert desk.count("queued-resources create") == 1, "what was spent under this name stays spent"


def test_secrets_reach_the_trainer_and_nobody_else(desk: Desk) -> None:
    desk.trains('echo "key $WANDB_API_KEY"; stat -c %a secrets.env; [ "$WANDB_API_KEY" = ' + SECRET + " ] || exit 2")
    status, said = desk.run("--secret=WANDB_API_KEY")
    assert status == 0, said
    assert "key ***\n600\n" in said
    assert SECRET not in said and not any(SECRET in call for call in desk.cloud.calls())
    kept = [path for path in (desk.folder / "jobs").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept), "forgotten when the run is done"


def test_the_file_of_secrets_is_for_its_owner_only(desk: Desk) -> None:
    status, said = desk.launch("create", *desk.recipe(), *PLACE, "--secret=WANDB_API_KEY")
    assert status == 0, said
    [path] = (desk.folder / "jobs").rglob("secrets.env")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    status, said = desk.launch("stop", "--poll_seconds=0.1")
    assert status == 0 and not path.exists()


def test_stop_says_what_it_deleted_orders_again_what_is_slow_and_says_what_is_left(desk: Desk) -> None:
    desk.cloud.next("t0", forgets=1)
    assert desk.launch("create", *desk.recipe(), *PLACE)[0] == 0
    while desk.cloud.state("t0") != "ACTIVE":
        time.sleep(0.1)
    status, said = desk.launch("status")
    assert status == 0 and "t0: ACTIVE" in said and "0 starts, 0 preemptions, 0 failures" in said
    status, said = desk.launch("stop", "--poll_seconds=0.1", "--delete_seconds=1", "--grace_seconds=1")
    assert status == 0, said
    assert "deleted queued resource t0, node t0; nothing of it is left in us-central2-b of p" in said
    assert desk.count("queued-resources delete t0 --force --quiet --async") == 2
    assert "there was nothing to delete" in desk.launch("stop")[1]

    desk.cloud.next("t0", forgets=99)
    assert desk.launch("create", *desk.recipe(), *PLACE)[0] == 0
    status, said = desk.launch("stop", "--poll_seconds=0.1", "--delete_seconds=0.2")
    assert status == 1
    assert "t0 is NOT all deleted and may cost money: queued resource t0" in said
    assert "Or: gcloud compute tpus queued-resources delete t0 --force" in said


def test_stop_needs_only_a_name_or_a_place(desk: Desk, tmp_path: pathlib.Path) -> None:
    assert desk.launch("create", *desk.recipe(), *PLACE)[0] == 0
    elsewhere = [f"--state_dir={tmp_path}/elsewhere", "--poll_seconds=0.1"]
    status, said = desk.launch("stop", *elsewhere)
    assert status == 2 and "There is no project" in said
    status, said = desk.launch("stop", *elsewhere, "--project=p", "--zone=us-central2-b")
    assert status == 0 and "deleted queued resource t0" in said


def test_a_watch_that_is_broken_off_says_so_and_goes_on_later(desk: Desk) -> None:
    desk.trains("while [ ! -f $SHARED/go ]; do sleep 0.1; done")
    words = ["launch", "run", "--name=t0", f"--state_dir={desk.folder}/jobs", *desk.recipe(), *PLACE, *PACE]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        [sys.executable, "-m", "t0jax", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not desk.count("worker.sh report") > 3:
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    said = first.communicate(timeout=30)[0]
    assert first.returncode == 130 and "no longer watched: it goes on, and costs money" in said
    (desk.folder / "shared/go").touch()
    status, said = desk.run()
    assert status == 0, said
    assert desk.count("worker.sh start") == 1 and desk.count("queued-resources create") == 1


def test_xpk_is_the_same_job_on_another_platform(desk: Desk) -> None:
    desk.trains(
        f'[ "$WANDB_API_KEY" = {SECRET} ] || exit 2; echo "start $(date)"; '
        "[ -f $SHARED/$WORKER ] && exit 0; touch $SHARED/$WORKER; exit 75"
    )
    place = ["--backend=xpk", "--cluster=c", "--project=p", "--zone=us-west4-a", "--accelerator=v5litepod-4"]
    status, said = desk.launch("run", *desk.recipe(), *place, *PACE, "--secret=WANDB_API_KEY")
    assert status == 0, said
    assert said.count("t0jax-worker pod-0 ended 75") == said.count("t0jax-worker pod-0 ended 0") == 1, "JobSet starts again"
    assert desk.count("xpk workload create") == 1 and desk.count("xpk workload delete") == 1
    assert not any(SECRET in call for call in desk.cloud.calls()) and SECRET not in said
    status, said = desk.launch("stop", *place[:3], "--poll_seconds=0.1")
    assert status == 0 and "the cluster c is yours and stays" in said


def test_xpk_stops_at_bad_input_and_counts_failures(desk: Desk) -> None:
    place = ["--backend=xpk", "--cluster=c", "--project=p", "--zone=us-west4-a", "--accelerator=v5litepod-4"]
    desk.trains("echo 't0jax: no such mixture'; exit 2")
    status, said = desk.launch("run", *desk.recipe(), *place, *PACE)
    assert status == 2 and "t0jax: no such mixture" in said and desk.count("xpk workload create") == 1
    desk.trains("exit 1")
    status, said = desk.launch("run", *desk.recipe(), *place, *PACE, "--max_attempts=2")
    assert status == 1 and "2 attempts have failed" in said and desk.count("xpk workload create") == 3


def test_a_shared_folder_that_is_lost_is_waited_for_and_one_that_never_was_is_bad_input(desk: Desk) -> None:
    shared = desk.folder / "shared"
    (shared / "mount").mkdir()
    desk.trains("mkdir $SHARED/$WORKER || exit 0; [ $WORKER = 1 ] && sleep 60; rmdir $SHARED/mount; exit 2")
    mount = desk.folder / "mount.sh"
    mount.write_text(f"[ ! -d {shared}/0 ] || mkdir -p {shared}/mount\n")
    status, said = desk.run(f"--mounted={shared}/mount", f"--setup={mount}")
    assert status == 0, said
    assert f"failed: worker t0-w-0 has no folder {shared}/mount, which --mounted names" in said
    status, said = desk.launch("stop", "--poll_seconds=0.1")
    (desk.folder / "jobs/t0/ledger.json").unlink()
    status, said = desk.run(f"--mounted={shared}/nowhere")
    assert status == 2 and f"bad input: worker t0-w-0 has no folder {shared}/nowhere" in said


def test_what_cannot_be_deleted_is_said_and_the_status_is_not_that_of_a_run_that_is_done(desk: Desk) -> None:
    desk.cloud.next("t0", forgets=99)
    status, said = desk.run("--answer_seconds=0.8")
    assert status == 1
    assert (
        "done: all 2 workers ended" in said and "not everything is deleted, and it may cost money: queued resource t0" in said
    )
