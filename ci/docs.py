"""Holds the documentation to what is there.

- Links: every relative link and anchor in every tracked Markdown file leads somewhere.
- Commands: every fence of `bash` or `sh` is run, page by page, fence by fence, in a folder of its own that has the
  repository's folders in it. A comment before a fence says if it is otherwise:
      <!-- not run: REASON -->   it is not run
      <!-- background -->        it goes on until the end of the page
      <!-- exits: 1 -->          it ends with this status
  `cargo run .. -- ARGUMENTS` runs the binary that was built already; `curl -N` is cut after two seconds.
- Fields: the tables of docs/running.md name the fields that `--check-config` shows, section by section.
- Metrics: the tables of docs/metrics.md name the families that a running sidecar shows.

Usage: docs.py FOLDER-OF-BINARIES [PAGE...]; with pages, only their commands are run.
"""

import collections
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = (ROOT / sys.argv[1]).resolve()
PORTS = [19999, 18888, 18887, 9999, 8888, 7777]
PATIENCE = 60

problems = []


def complain(where, what):
    print(f"WRONG   {where}: {what}", flush=True)
    problems.append(where)


def tracked_pages():
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], cwd=ROOT, check=True, capture_output=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).exists()]


Fence = collections.namedtuple("Fence", "line language text notes")


def parse(page):
    """The fences of a page, and its other lines (those of fences are empty there)."""
    fences, prose, notes, open_fence = [], [], [], None
    for number, line in enumerate(page.read_text().split("\n"), 1):
        start = re.match(r"\s*```(\w*)", line)
        if open_fence is not None:
            prose.append("")
            if line.strip() == "```":
                fences.append(Fence(open_fence[0], open_fence[1], "\n".join(open_fence[2]) + "\n", open_fence[3]))
                open_fence = None
            else:
                open_fence[2].append(line)
        elif start:
            open_fence = (number, start[1], [], notes)
            notes = []
            prose.append("")
        else:
            note = re.fullmatch(r"\s*<!-- (.*) -->\s*", line)
            if note:
                notes = notes + [note[1]]
            elif line.strip():
                notes = []
            prose.append(line)
    if open_fence is not None:
        complain(f"{page.relative_to(ROOT)}:{open_fence[0]}", "this fence has no end")
    return fences, prose


def anchors(page):
    """What a heading is called in a link, as GitHub has it."""
    names, seen = set(), collections.Counter()
    for line in parse(page)[1]:
        heading = re.match(r"#{1,6} +(.*?)\s*#*$", line)
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("`", "").lower()
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            names.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return names


def check_links():
    count = 0
    for page in tracked_pages():
        for number, line in enumerate(parse(page)[1], 1):
            line = re.sub(r"`[^`]*`", "", line)
            for link in re.findall(r"\]\(<?([^)\s>]+)>?[^)]*\)", line) + re.findall(r"^\[[^\]]+\]: +(\S+)", line):
                if re.match(r"[a-z]+:", link):
                    continue
                count += 1
                where = f"{page.relative_to(ROOT)}:{number}"
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                if not target.exists():
                    complain(where, f"dead link: there is no {link}")
                elif anchor and target.suffix == ".md" and anchor not in anchors(target):
                    complain(where, f"dead link: no heading of {target.relative_to(ROOT)} is called #{anchor}")
    print(f"links: {count} relative links looked at")


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return None, ""


class Sandbox:
    """A folder in which the commands of one page run."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
        self.background = []
        self.work = self.folder / "work"
        tools = self.folder / "tools"
        self.work.mkdir()
        tools.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in (".git", "target"):
                (self.work / entry.name).symlink_to(entry)
        for name in ("casper-event-sidecar", "mock-node", "conformance"):
            (tools / name).symlink_to(BINARIES / name)
        self.tool(tools / "cargo", CARGO)
        self.tool(tools / "curl", CURL.replace("CURL", shutil.which("curl")))
        self.environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}

    @staticmethod
    def tool(path, text):
        path.write_text(text)
        path.chmod(0o755)

    def start(self, text, output):
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, fence):
        """Runs it to its end. What went wrong, if something did."""
        expected = next((int(note[7:]) for note in fence.notes if note.startswith("exits: ")), 0)
        with tempfile.TemporaryFile() as output:
            process = self.start(fence.text, output)
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = f"none within {PATIENCE} s"
            output.seek(0)
            shown = output.read().decode(errors="replace")[-1500:]
        return None if status == expected else f"status {status}, expected {expected}:\n{fence.text}{shown}"

    def go_on(self, fence):
        """Starts it and waits until it can be used."""
        path = self.folder / f"background-{len(self.background)}"
        with path.open("wb") as output:
            process = self.start(fence.text, output)
        self.background.append((process, fence, path))
        if " demo" in fence.text:
            # Its chain begins with blocks without deploys.
            ready = lambda: '"id"' in get("http://127.0.0.1:18888/events?kind=DeployProcessed&limit=1")[1]
        elif "casper-event-sidecar" in fence.text:
            ready = lambda: get("http://127.0.0.1:18887/health/live")[0] == 200
        else:
            ready = lambda: path.stat().st_size > 0
        end = time.monotonic() + PATIENCE
        while not ready():
            if process.poll() not in (None, 0) or time.monotonic() > end:
                return f"cannot be used, status {process.poll()}:\n{fence.text}{path.read_text()[-1500:]}"
            time.sleep(0.1)
        return None

    def end(self):
        """Ends what goes on; what ended in a wrong way before."""
        wrong = []
        for process, fence, path in reversed(self.background):
            if process.poll() not in (None, 0):
                wrong.append((fence, f"ended with status {process.poll()}:\n{path.read_text()[-1500:]}"))
            for kill in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, kill)
                    process.wait(15)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
        shutil.rmtree(self.folder)
        return wrong


CARGO = """#!/bin/sh
# What `cargo run` would build is there.
package=casper-event-sidecar
[ "$1" = run ] && shift || { echo "ci/docs.py runs no 'cargo $1': mark the fence as not run" >&2; exit 1; }
while [ $# -gt 0 ]; do
    case $1 in
        --release) ;;
        -p) package=$2; shift ;;
        --) shift; exec "$package" "$@" ;;
        *) echo "ci/docs.py does not know 'cargo run $1'" >&2; exit 1 ;;
    esac
    shift
done
"""

CURL = """#!/bin/sh
# A stream has no end: it is cut after a while, and must have brought something.
for argument; do
    case $argument in --*) ;; -*N*) stream=1 ;; esac
done
[ -n "$stream" ] || exec CURL --max-time 30 "$@"
got=$(CURL --max-time 2 "$@") || [ $? -eq 28 ] || exit
printf '%s\\n' "$got"
[ -n "$got" ]
"""


def check_commands(pages):
    ran, left_out = 0, []
    for page in pages:
        sandbox = Sandbox()
        try:
            for fence in parse(page)[0]:
                if fence.language not in ("bash", "sh"):
                    continue
                where = f"{page.relative_to(ROOT)}:{fence.line}"
                reason = next((note[9:] for note in fence.notes if note.startswith("not run: ")), None)
                if reason:
                    left_out.append(f"{where}: {reason}")
                    continue
                ran += 1
                print(f"runs    {where}: {fence.text.splitlines()[0]}", flush=True)
                wrong = sandbox.go_on(fence) if "background" in fence.notes else sandbox.run(fence)
                if wrong:
                    complain(where, wrong)
        finally:
            for fence, wrong in sandbox.end():
                complain(f"{page.relative_to(ROOT)}:{fence.line}", wrong)
    print(f"commands: {ran} fences run, {len(left_out)} not run:")
    for line in left_out:
        print(f"  {line}")


def tables(page):
    """The first cells of the tables of a page that are code, by the heading that they are under."""
    cells, heading = collections.defaultdict(set), ""
    for line in parse(page)[1]:
        title = re.match(r"#+ +(.*)", line)
        cell = re.match(r"\| `([\w*]+)`", line)
        if title:
            heading = title[1]
        elif cell:
            cells[heading].add(cell[1])
    return cells


def check_fields():
    known = collections.defaultdict(set)
    for file in ("default.toml", "examples/nctl-postgresql.toml"):
        # A field without a default is shown only if it is set.
        optional = {"SIDECAR_POSTGRES_SSL_ROOT_CERTIFICATE": str(ROOT / "Cargo.toml")}
        shown = subprocess.run([BINARIES / "casper-event-sidecar", "--check-config", ROOT / "sidecar/config" / file],
                               env=os.environ | optional, capture_output=True, text=True).stdout
        section = "Top level"
        for line in shown.splitlines():
            if line.startswith("["):
                section = line.split("#")[0].strip()
            elif re.match(r"\w+ *=", line):
                known[section].add(line.split("=")[0].strip())
    documented = tables(ROOT / "docs/running.md")
    for section in sorted(known):
        for field in sorted(known[section] ^ documented[section]):
            fault = "is not described" if field in known[section] else "is no field of the sidecar"
            complain("docs/running.md", f"{field} under {section} {fault}")
    print(f"fields: {sum(map(len, known.values()))} in {len(known)} sections compared")


def check_metrics():
    documented = set().union(*tables(ROOT / "docs/metrics.md").values())
    fence = Fence(0, "bash", "cargo run -- demo", [])
    sandbox = Sandbox()
    try:
        wrong = sandbox.go_on(fence)
        shown = set(re.findall(r"^# TYPE (\w+)", get("http://127.0.0.1:18887/metrics")[1], re.MULTILINE))
    finally:
        sandbox.end()
    if wrong:
        complain("docs/metrics.md", wrong)
        return
    source = (ROOT / "sidecar/src/metrics.rs").read_text()
    for name in sorted(shown):
        if name not in documented and not (name.startswith("process_") and "process_*" in documented):
            complain("docs/metrics.md", f"{name} is not described")
    # A family without a series, such as one of errors, is not shown before its first one.
    described = {name for name in documented if re.match(r"sidecar_|\w+_(events|statuses|bytes|counts)$", name)}
    for name in sorted(described - shown):
        if f'"{name}"' not in source:
            complain("docs/metrics.md", f"{name} is no metric of the sidecar")
    print(f"metrics: {len(shown)} families compared")


def loopback_up():
    """In a network of its own, the loopback interface is down at first."""
    with socket.socket() as probe:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, 0x8913, request))[1]  # SIOCGIFFLAGS
        if not flags & 1:
            fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP


def main():
    began = time.monotonic()
    loopback_up()
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                sys.exit(f"port {port} is in use: the commands of the documentation need it, end what uses it")
    if sys.argv[2:]:
        check_commands([ROOT / name for name in sys.argv[2:]])
    else:
        check_links()
        check_fields()
        check_metrics()
        check_commands(tracked_pages())
    print(f"{len(problems)} problems, {time.monotonic() - began:.0f} s, with the binaries of {BINARIES.relative_to(ROOT)}")
    sys.exit(1 if problems else 0)


main()
