"""The stand-ins for xpk and kubectl of a simulated cloud: a workload of one pod, which JobSet starts again."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

from simulated_cloud import Cloud, end_with, environment_of, free_port


def xpk(cloud: Cloud, action: str, flags: dict[str, str]) -> int:
    """xpk workload create, list and delete."""
    name, jobs = flags.get("--workload", ""), cloud.folder / "machines"
    if action == "list":
        print("Jobset Name   Created Time   Priority   Status   Status Message   Status Time")
        for home in sorted(jobs.glob("*.pod-0")):
            ended = home / "ended"
            said = ended.read_text() if ended.exists() else "Admitted   The workload is admitted"
            print(f"{home.name.removesuffix('.pod-0')}   2026-01-01T00:00:00Z   medium   {said}   2026-01-01T00:00:00Z")
        return 0
    home = jobs / f"{name}.pod-0"
    if action == "delete":
        end_with(home, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)
        return 0
    if home.exists():
        print(f"{name} already exists, XPK will not create this workload.", file=sys.stderr)
        return 1
    shutil.copytree(flags["--script-dir"], home / "t0jax-app")
    environment = environment_of(cloud, home, 0, 1, free_port())
    if "--env-file" in flags:
        environment |= {name: os.environ[name] for name in pathlib.Path(flags["--env-file"]).read_text().split()}
    words = [sys.executable, __file__, str(home), flags["--command"], flags["--max-restarts"], flags["--restart-on-exit-codes"]]
    with open(home / "log", "w") as log:
        subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    return 0


def kubectl(cloud: Cloud, flags: dict[str, str]) -> int:
    """kubectl logs: all of a short log; with --since what has not been read."""
    home = cloud.folder / "machines" / f"{flags['--selector'].partition(',')[0].rpartition('=')[2]}.pod-0"
    text, place = (home / "log").read_text(), home / "read"
    after = int(place.read_text()) if "--since" in flags and place.exists() else 0
    if "--since" in flags:
        place.write_text(str(len(text)))
    print(text[after:], end="")
    return 0


def _keep_running(home: str, command: str, restarts: str, again: str) -> None:
    """What JobSet does: run it, and again where its status says so."""
    place = pathlib.Path(home)
    (place / "t0jax-app/pid").write_text(str(os.getpid()))
    for _ in range(int(restarts) + 1):
        status = subprocess.run(["bash", "-c", command], cwd=place / "t0jax-app").returncode
        if status != int(again) and not 127 <= status <= 255:
            break
    how = "Jobset finished successfully" if status == 0 else "jobset failed due to one or more job failures"
    (place / "ended").write_text(f"Finished   {how}")


if __name__ == "__main__":
    _keep_running(*sys.argv[1:])
