#!/usr/bin/env bash
# krippendorff and irrCAC both offer Krippendorff's alpha for ordinal ratings.  On one table of scores they agree to five digits
# at the nominal and the interval level, so one would expect the same of the ordinal one.  They differ: krippendorff weighs a
# disagreement by how many ratings lie between two ranks (Krippendorff 2004), irrCAC by the number of pairs of ranks alone.
# Who quotes "alpha, ordinal" beside a paper's figure compares two statistics.  Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check krippendorff==0.9.0 irrCAC==0.4.4
"$work/venv/bin/python" - <<'P'
from importlib.metadata import version

import krippendorff
import numpy as np
import pandas as pd
from irrCAC.raw import CAC

print("krippendorff", version("krippendorff"), "irrCAC", version("irrCAC"))
first = [0, 0, 1, 1, 3, 3, 0, 1, 3, 0, 0, 0, 2, 0]
second = [0, 1, 1, 1, 3, 1, 0, 1, 3, 0, 0, 0, 2, 0]
found = {}
for level, weights in [("nominal", "identity"), ("interval", "quadratic"), ("ordinal", "ordinal")]:
    one = krippendorff.alpha(np.array([first, second], float), level_of_measurement=level)
    table = pd.DataFrame({"first": first, "second": second})
    other = CAC(table, weights=weights).krippendorff()["est"]["coefficient_value"]
    found[level] = (one, other)
    print(f"{level:9} krippendorff {one:.5f}   irrCAC {other:.5f}")

assert abs(found["nominal"][0] - found["nominal"][1]) < 1e-4
assert abs(found["interval"][0] - found["interval"][1]) < 1e-4
assert abs(found["ordinal"][0] - found["ordinal"][1]) > 0.01
P
echo "BEHAVIOUR CONFIRMED"
