#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A KernelCI pull lab: polls for jobs of the platforms below and runs each kernel on Xen.

    kernelci-pull-lab.py --runtime NAME          polls for ever
    kernelci-pull-lab.py --job FILE              runs the job that a file defines
    kernelci-pull-lab.py --job FILE --dry-run    prints the command instead

Results are left in a folder of each job: log.txt, results.json, junit.xml and `status`, a word of KCIDB's. Sending them
to KernelCI is the lab's part. Needs nothing but Python's library, cargo, and a clone of Paravane ($PARAVANE).
"""
import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
import urllib.parse
import urllib.request

API = os.environ.get("KERNELCI_API", "https://api.kernelci.org/latest")
PARAVANE = os.environ.get("PARAVANE", "/opt/paravane")
ROLES = ("pv", "pvh", "hvm", "dom0-pv", "dom0-pvh")
PLATFORMS = {f"qemu-x86_64-xen-{role}": role for role in ROLES}
PAUSE_S = 45


def get(url):
    """What is at an address."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def command(job, kernel, modules, folder):
    """The words that run a job's kernel."""
    role = PLATFORMS[job["environment"]["platform"]]
    timeout = sum(int(test.get("timeout_s", 600)) for test in job.get("tests", [])) or 600
    words = ["cargo", "run", "-q", "--manifest-path", f"{PARAVANE}/Cargo.toml", "-p", "xtask", "--"]
    words += ["run", "--kernel", str(kernel), "--as", role, "--timeout", str(timeout)]
    if modules:
        words += ["--modules", str(modules)]
    words += ["--results", str(folder / "results.json"), "--junit", str(folder / "junit.xml")]
    return words + ["--", "uname -a"]


def status(code):
    """KCIDB's word for an exit status of `run`."""
    if code == 0:
        return "PASS"
    if code == 4:
        return "SKIP"
    # Nothing was learnt of the kernel.
    return "MISS" if code in (125, 130) else "FAIL"


def run(job, folder, dry_run):
    """Fetches a job's files and runs its kernel. Returns how that ended."""
    files = {}
    for name in ("kernel", "modules"):
        url = job["artifacts"].get(name)
        if url:
            files[name] = folder / pathlib.PurePosixPath(urllib.parse.urlparse(url).path).name
            if not dry_run:
                files[name].write_bytes(get(url))
    words = command(job, files["kernel"], files.get("modules"), folder)
    print(shlex.join(words), flush=True)
    if dry_run:
        return "SKIP"
    with open(folder / "log.txt", "wb") as log:
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    result = status(ended.returncode)
    (folder / "status").write_text(result + "\n")
    return result


def is_ours(event, runtime):
    """Whether an event is a job for this lab."""
    data = event.get("data", {}).get("data", {})
    return data.get("platform") in PLATFORMS and data.get("runtime") == runtime


def poll(runtime, output, since):
    """Runs the jobs that there are since some time. Returns the time of the last event."""
    query = {"state": "done", "kind": "job", "recursive": "true", "limit": 1000, "from": since}
    events = json.loads(get(f"{API}/events?{urllib.parse.urlencode(query)}"))
    for event in events:
        node = event.get("node", {})
        address = node.get("artifacts", {}).get("job_definition")
        if address and is_ours(event, runtime):
            folder = output / node["id"]
            folder.mkdir(parents=True, exist_ok=True)
            print(f"{node['id']}: {run(json.loads(get(address)), folder, False)}", flush=True)
        since = event["timestamp"]
    return since


def main():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="A KernelCI pull lab on Xen.")
    parser.add_argument("--runtime", help="the lab's name in KernelCI's configuration")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("jobs"))
    parser.add_argument("--job", type=pathlib.Path, help="a file with a job definition")
    parser.add_argument("--dry-run", action="store_true")
    args = parser.parse_args()
    if args.job:
        folder = args.output / args.job.stem
        if not args.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
        result = run(json.loads(args.job.read_text()), folder, args.dry_run)
        return 1 if result == "FAIL" else 0
    if not args.runtime:
        parser.error("--runtime or --job is needed")
    since = time.strftime("%Y-%m-%dT%H:%M:%S.000000", time.gmtime())
    while True:
        try:
            since = poll(args.runtime, args.output, since)
        except OSError as error:
            print(f"the API does not answer: {error}", file=sys.stderr, flush=True)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
