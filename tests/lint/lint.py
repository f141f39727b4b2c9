"""What the lint tests share: the project's files, C without comments and strings, complaints."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"

complaints = []


def complain(where, what):
    complaints.append(f"{where}: {what}")


def finish():
    for line in complaints:
        print(line)
    sys.exit(1 if complaints else 0)


def walk():
    for path in sorted(ROOT.rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("build/", ".git/")) and "__pycache__" not in name:
            yield name


def files(*suffixes):
    """Paths below the project's folder of all tracked files, or of those with a suffix."""
    # The checkout may belong to somebody else than to who runs the tests.
    listing = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    names = listing.stdout.decode().split("\0") if listing.returncode == 0 else walk()
    return [n for n in names if n.endswith(suffixes or "") and (ROOT / n).is_file()
            and not (ROOT / n).is_symlink()]


def read(name):
    return (ROOT / name).read_text(errors="surrogateescape")


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def code(text):
    """C source with comments and literals blanked, lines and columns kept; #include stays."""
    def keep_includes(match):
        start = text.rfind("\n", 0, match.start()) + 1
        if text[start:match.start()].strip() == "#include":
            return match[0]
        return blank(match)
    return TOKEN.sub(keep_includes, text)


def uncommented(text):
    """C source with comments blanked and literals kept."""
    return TOKEN.sub(lambda m: blank(m) if m[0].startswith("/") else m[0], text)


def matches(pattern, text):
    """(line number, match) of each match."""
    for m in re.finditer(pattern, text):
        yield text.count("\n", 0, m.start()) + 1, m
