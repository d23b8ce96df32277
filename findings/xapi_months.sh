#!/usr/bin/env bash
# tincan (xAPI statements): one would expect a duration to leave as it came.  A month leaves as 30 days and a year as 365, so that
# statements read from one learning record store and sent to another no longer say the same; and a scaled score above 1, which
# xAPI forbids, and a raw score above its maximum leave unquestioned.  Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check tincan==1.0.0
"$work/venv/bin/python" - <<'P'
import json
from importlib.metadata import version

from tincan import Result

print("tincan", version("tincan"))
left = {came: json.loads(Result(duration=came).to_json())["duration"] for came in ("PT90M", "P1M", "P1Y")}
score = json.loads(Result(score={"scaled": 1.1, "raw": 11, "min": 0, "max": 10}).to_json())["score"]
for came, duration in left.items():
    print(f"{came:6} leaves as {duration}")
print("score leaves as", score)

assert left == {"PT90M": "PT01H30M00S", "P1M": "P30DT00H00M00S", "P1Y": "P365DT00H00M00S"}
assert score == {"scaled": 1.1, "raw": 11.0, "min": 0.0, "max": 10.0}
P
echo "BEHAVIOUR CONFIRMED"
