#!/usr/bin/env bash
# tincan (xAPI statements): a duration should survive reading and writing.  tincan writes a month as 30 days and a year as 365 days,
# so statements change when they are copied from one learning record store to another.  It also accepts a scaled score above 1,
# which xAPI forbids, and a raw score above its maximum.  Exits 0 while this holds.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tincan==1.0.0
"$work/venv/bin/python" - <<'P'
import json
from importlib.metadata import version

from tincan import Result

print("tincan", version("tincan"))
written = {sent: json.loads(Result(duration=sent).to_json())["duration"] for sent in ("PT90M", "P1M", "P1Y")}
score = json.loads(Result(score={"scaled": 1.1, "raw": 11, "min": 0, "max": 10}).to_json())["score"]
for sent, duration in written.items():
    print(f"{sent:6} is written as {duration}")
print("score is written as", score)

assert written == {"PT90M": "PT01H30M00S", "P1M": "P30DT00H00M00S", "P1Y": "P365DT00H00M00S"}
assert score == {"scaled": 1.1, "raw": 11.0, "min": 0.0, "max": 10.0}
P
echo "BEHAVIOUR CONFIRMED"
