"""What `t0jax launch` asks of a platform, and what it refuses before it asks for anything."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from launch_desk import IS_CHECKOUT, PACE, PLACE, ROOT, SECRET, Desk, desk_in

from t0jax.pods.backend import Leftover
from t0jax.pods.job import Job
from t0jax.pods.queued_resources import QueuedResources

pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="t0jax launch sends a commit, and this is no checkout")


@pytest.fixture
def desk(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    with desk_in(tmp_path, monkeypatch, capsys) as made:
        yield made


def test_a_dry_run_prints_the_commands_and_does_nothing(desk: Desk) -> None:
    status, said = desk.run("--dry_run", "--num_slices=2", "--gin.DataConfig.num_streams=4", "--secret=WANDB_API_KEY")
    assert status == 0
    place = "--zone=us-central2-b --project=p"
    assert (
        "# create\ngcloud compute tpus queued-resources create t0 --node-count=2 --node-prefix=t0 --accelerator-type=v4-16 "
        f"--runtime-version=tpu-ubuntu2204-base --spot {place} --async --quiet\n" in said
    )
    for node in ("t0-0", "t0-1"):
        start = f"gcloud compute tpus tpu-vm ssh {node} --worker=all '--command=bash t0jax-t0/worker.sh start' {place} --quiet"
        assert start in said
    assert SECRET not in said and not desk.cloud.calls() and not (desk.folder / "jobs").exists()


@pytest.mark.parametrize(
    ("flags", "create"),
    [
        (["--provisioning=on_demand"], "create t0 --node-id=t0 .*tpu-ubuntu2204-base --zone"),
        (["--provisioning=reserved"], "create t0 --node-id=t0 .* --reserved --zone"),
        (
            [
                *("--provisioning=flex-start", "--max_run_duration=24h", "--zone=us-east5-a", "--accelerator=v6e-8"),
                "--gin.BATCH_SIZE=8",
            ],
            "gcloud alpha compute .*--accelerator-type=v6e-8 --runtime-version=v2-alpha-tpuv6e "
            "--provisioning-model=flex-start --max-run-duration=24h ",
        ),
        (["--create_flag=--internal-ips"], " --async --quiet --internal-ips\n"),
        (
            ["--backend=xpk", "--cluster=c", "--num_slices=2", "--secret=WANDB_API_KEY", "--gin.DataConfig.num_streams=4"],
            "xpk workload create --workload=t0 --cluster=c --zone=us-central2-b --project=p --tpu-type=v4-16 --num-slices=2 "
            "--spot .*--env-file=.*/jobs/t0/secrets\n",
        ),
    ],
)
def test_every_way_to_ask_for_slices_is_a_flag_of_the_platform(desk: Desk, flags: list[str], create: str) -> None:
    status, said = desk.run(*flags, "--dry_run")
    assert status == 0, said
    assert re.search(create, said), said


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--project="], "There is no project to launch in: give --project, or set CLOUDSDK_CORE_PROJECT"),
        (["--zone="], "There is no zone to launch in"),
        (["--accelerator=v4-20"], "There is no accelerator type v4-20"),
        (["--accelerator=v9-16"], "of no TPU that t0jax can plan for"),
        (["--topology=v4:2x2x3"], "named once"),
        (["--zone=us-east5-a"], "Slices of v4 are offered in us-central2-b, not in us-east5-a"),
        (["--name=T0"], "--name is 'T0'; it must be"),
        (["--num_slices=0"], "--num_slices is 0"),
        (["--provisioning=spott"], "--provisioning is 'spott'; it must be one of spot"),
        (["--provisioning=flex-start"], "--max_run_duration"),
        (["--backend=slurm"], "There is no backend 'slurm'"),
        (["--backend=xpk"], "--backend=xpk needs a cluster"),
        (["--gin.MODEL_DIR=runs/t0"], "MODEL_DIR is 'runs/t0', which the workers do not share: give a bucket"),
        (["--gin.MODEL_DIR=/home/me/t0"], "MODEL_DIR is '/home/me/t0', which the workers do not share"),
        (["--gin.CACHE_DIR=/home/me/cache"], "CACHE_DIR is '/home/me/cache', which the workers do not share: give a path"),
        (["--gin.VOCABULARY=spiece.model"], "VOCABULARY is 'spiece.model'"),
        (["--gin.DataConfig.num_streams=1"], "1 data streams cannot be shared by 2 processes"),
        (["--gin.MeshConfig.fsdp=3"], "does not fit the 8 chips of v4:2x2x2"),
        (["--gin.BATCH_SIZE=12"], "BATCH_SIZE is 12"),
        (["--gin.MeshConfig.tensor=8"], "MeshConfig.tensor is 8, but a host has 4 chips"),
        (["--secret=NO_SUCH_KEY"], "--secret NO_SUCH_KEY names an environment variable that is not set"),
        (["--lock=none.lock"], "--lock is 'none.lock'"),
        (["--setup=none.sh"], "--setup none.sh is no file"),
        (["--max_attempts=0"], "--max_attempts is 0"),
        (["--max_dollars=5", "--price=0"], "needs a price"),
        (["--poll_seconds=0"], "must be above 0"),
        (["--gin.TRAIN_STEP=3"], "TRAIN_STEPS"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_created(desk: Desk, flags: list[str], sentence: str) -> None:
    status, said = desk.run(*flags)
    assert status == 2
    assert sentence in said and said.startswith("t0jax: ") and said.count("\n") <= 2, said
    assert desk.count("create") == 0


@pytest.mark.parametrize(
    ("on", "answer", "sentence"),
    [
        ("storage ls", "404 bucket not found", "MODEL_DIR gs://b/run cannot be reached"),
        ("queued-resources list", "PERMISSION_DENIED: no tpu.nodes.list", "was refused (ERROR: (gcloud) PERMISSION_DENIED"),
        ("queued-resources create", "Quota 'TPUV4sPreemptible' exceeded. Limit: 0.0", "Creating t0 is beyond a quota"),
        ("queued-resources create", "INVALID_ARGUMENT: bad runtime", "Creating t0 was refused"),
    ],
)
def test_what_the_cloud_refuses_for_good_is_said_once(desk: Desk, on: str, answer: str, sentence: str) -> None:
    desk.cloud.mishap(on, answer, times=9)
    status, said = desk.run("--gin.MODEL_DIR=gs://b/run")
    assert status == 2 and sentence in said, said
    assert desk.count("queued-resources create") == ("create" in on) and desk.cloud.state("t0") is None


def test_a_quota_that_is_found_late_is_not_asked_for_again(desk: Desk) -> None:
    desk.cloud.next("t0", fails="Quota limit 'TPUS_PER_TPU_FAMILY' has been exceeded")
    status, said = desk.run()
    assert status == 2 and "FAILED: Quota limit" in said
    assert desk.count("queued-resources create") == 1 and desk.cloud.state("t0") is None


def test_another_one_s_slice_of_that_name_is_left_alone(desk: Desk, tmp_path: pathlib.Path) -> None:
    assert desk.launch("create", *desk.recipe(), *PLACE)[0] == 0
    status, said = desk.launch("run", *desk.recipe(), *PLACE, *PACE, f"--state_dir={tmp_path}/elsewhere")
    assert status == 2 and "There is a queued resource t0 in us-central2-b of p that was not launched from" in said
    assert desk.cloud.state("t0") is not None


@pytest.mark.parametrize("script", ["create", "run", "status", "logs", "stop"])
def test_a_script_is_the_command_with_places_filled_in(desk: Desk, script: str, tmp_path: pathlib.Path) -> None:
    (desk.cloud.folder / "bin/t0jax").write_text(f'#!/bin/sh\nexec {sys.executable} -m t0jax "$@"\n')
    (desk.cloud.folder / "bin/t0jax").chmod(0o755)
    assert desk.launch("create", *desk.recipe(), *PLACE)[0] == 0
    words = ["t0", "v4-16", *desk.recipe()[:1], *desk.recipe()] if script in ("create", "run") else ["t0"]
    words = [word.removeprefix("--gin_file=") if index == 2 else word for index, word in enumerate(words)]
    place = ["--project=p", "--zone=us-central2-b", f"--state_dir={desk.folder}/jobs", "--dry_run"]
    command = [str(ROOT / f"tpu_scripts/{script}.sh"), *words, *place]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "gcloud compute tpus" in done.stdout and "us-central2-b" in done.stdout, done.stderr


@pytest.mark.live
def test_the_real_gcloud_knows_every_flag(tmp_path: pathlib.Path) -> None:
    """It reads a command before it finds that nobody has logged in."""
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed")
    common = {"name": "t0", "backend": "queued_resources", "project": "no-such-project", "zone": "us-east5-a"}
    spot = Job(**common, topology="v6e-8", num_slices=2)  # type: ignore[arg-type]
    flex = Job(**common, topology="v6e-8", provisioning="flex-start", max_run_duration="24h")  # type: ignore[arg-type]
    kind, stage = QueuedResources(), tmp_path
    commands = [*kind.create(spot, stage), *kind.create(flex, stage), *kind.look(flex), *kind.leftovers(flex)]
    commands += [*kind.on_workers(flex, "start"), kind.logs(flex, 0, 1), kind.delete(flex, kind.expected(flex))]
    commands += [
        kind.delete(flex, Leftover("node", "t0")),
        *[command for group in kind.prepare(flex, stage) for command in group],
    ]
    environment = os.environ | {"CLOUDSDK_CONFIG": str(tmp_path / "nobody")}
    for command in dict.fromkeys(commands):
        done = subprocess.run(command.argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert "do not currently have an active account" in done.stderr, f"{command}\n{done.stderr}"
