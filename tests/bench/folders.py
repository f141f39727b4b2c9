"""What a folder costs: git status, rg, npm ci and a C build in the same tree on the share, in a [guest-local] folder,
on the VM's disk beside all of it, and on the host.

This file is run in the VM, too: folders.py RUNS SOURCE PLACE... prints a JSON object of seconds.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

FILES, PER_FOLDER = 600, 25
UNITS = 8  # of the C program
PATIENCE = 7200  # seconds for all that is done in the VM; npm takes a minute in an emulated one
PACKAGES = {"lodash": "4.17.21", "semver": "7.6.3"}  # 1100 files
GIT = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org"]
NPM = ["npm", "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts"]
PLACES = {"share": "share", "guest-local": "local", "VM's disk": "/var/tmp/agentvm-bench"}
TASKS = {"git status": "git", "rg": "rg", "npm ci": "npm", "C build": "gcc"}  # and the program that each needs


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def make_tree(folder):
    """A repository with sources, a C program and a package.json."""
    for i in range(FILES):
        write(f"{folder}/src/{i // PER_FOLDER}/file{i}.txt", f"line {i}\n" * 60 + ("needle\n" if i % 500 == 7 else ""))
    for i in range(UNITS):
        functions = "".join(f"int f{i}_{j}(int x) {{ return printf(\"%d\", x * {j}) + (int)strlen(\"{j}\"); }}\n" for j in range(40))
        write(f"{folder}/c/unit{i}.c", "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" + functions)
    write(f"{folder}/c/main.c", "int main(void) { return 0; }\n")
    write(f"{folder}/package.json", json.dumps({"name": "bench", "version": "1.0.0", "dependencies": PACKAGES}))
    write(f"{folder}/.gitignore", "node_modules\nbuild\n")
    subprocess.run(GIT + ["init", "-q", folder], check=True)
    subprocess.run(GIT + ["-C", folder, "add", "."], check=True)
    subprocess.run(GIT + ["-C", folder, "commit", "-qm", "bench"], check=True)


def timed(argv, cwd):
    start = time.monotonic()
    subprocess.run(argv, cwd=cwd, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def build(cwd):
    """What a makefile does: a process for each file, and one for the program."""
    shutil.rmtree(f"{cwd}/build", ignore_errors=True)
    os.mkdir(f"{cwd}/build")
    units = [f"unit{i}" for i in range(UNITS)] + ["main"]
    took = sum(timed(["gcc", "-O1", "-g", "-c", f"c/{u}.c", "-o", f"build/{u}.o"], cwd) for u in units)
    return took + timed(["gcc", "-o", "build/program"] + [f"build/{u}.o" for u in units], cwd)


def npm_ci(cwd):
    shutil.rmtree(f"{cwd}/node_modules", ignore_errors=True)
    return timed(NPM + ["ci", "--prefer-offline"], cwd)


def run_task(name, cwd):
    if name == "git status":
        return timed(["git", "status", "--porcelain"], cwd)
    if name == "rg":
        return timed(["rg", "--quiet", "--count", "needle", "src"], cwd)
    return npm_ci(cwd) if name == "npm ci" else build(cwd)


def copy_tree(source, place):
    os.makedirs(place, exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", place], check=True)


def measure_places(runs, source, places):
    """Medians in seconds, the places in turn: {task: {place: s, or None where the program is missing}}."""
    for place in places:
        if os.path.realpath(place) != os.path.realpath(source):
            copy_tree(source, place)
    os.environ["npm_config_cache"] = os.path.abspath(places[-1]) + ".npm"
    result = {}
    for task, program in TASKS.items():
        if not shutil.which(program):
            result[task] = dict.fromkeys(places)
            continue
        if task == "npm ci":  # the lockfile, and the packages into npm's cache
            subprocess.run(NPM + ["install"], cwd=places[-1], check=True, stdout=subprocess.DEVNULL)
            for place in places[:-1]:
                shutil.copy(f"{places[-1]}/package-lock.json", place)
        seconds = {place: [] for place in places}
        for i in range(runs + 1):
            for place in places:
                took = run_task(task, place)
                if i > 0:  # the first one fills caches, and git's index
                    seconds[place].append(took)
        result[task] = {place: round(statistics.median(s), 3) for place, s in seconds.items()}
    return result


def measure(bench, runs):
    """bench has a project folder of its own."""
    write(f"{bench.project}/agent.ini", "[guest-local]\npaths = local\n")
    make_tree(f"{bench.project}/share")
    shutil.copy(os.path.abspath(__file__), bench.project)
    host = f"{bench.tmp}/host"
    copy_tree(f"{bench.project}/share", host)
    out = bench.run("exec", "--new", "-q", "--", "python3", "-I", "folders.py", str(runs), "share", *PLACES.values(),
                    stdout=subprocess.PIPE, timeout=PATIENCE).stdout
    guest = json.loads(out)
    native = measure_places(runs, host, [host])
    return {task: {**{name: guest[task][place] for name, place in PLACES.items()}, "host": native[task][host]} for task in TASKS}


def rows(figures):
    """What is printed: name, value, target."""
    for task, seconds in figures.items():
        disk = seconds["VM's disk"]
        for place, s in seconds.items():
            if s is None or disk is None:
                yield f"{task}, {place}", "not installed", ""
            elif place == "VM's disk":
                yield f"{task}, {place}", f"{s:.2f} s", ""
            else:
                yield f"{task}, {place} ÷ VM's disk", f"{s / disk:.2f} ({s:.2f} s)", ""


if __name__ == "__main__":
    print(json.dumps(measure_places(int(sys.argv[1]), sys.argv[2], sys.argv[3:])))
