#!/usr/bin/env bash
# krippendorff, irrCAC: both compute Krippendorff's alpha for ordinal ratings, so a user expects equal values.  On the table below
# they agree to five digits at the nominal and interval levels but differ at the ordinal level.  krippendorff weighs a
# disagreement by the number of ratings between two ranks (Krippendorff 2004), and irrCAC by the number of pairs of ranks alone.
# A researcher who compares an ordinal alpha with a published figure may compare two statistics.  Exits 0 while this holds.
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
alphas = {}
for level, weights in [("nominal", "identity"), ("interval", "quadratic"), ("ordinal", "ordinal")]:
    by_krippendorff = krippendorff.alpha(np.array([first, second], float), level_of_measurement=level)
    table = pd.DataFrame({"first": first, "second": second})
    by_irrcac = CAC(table, weights=weights).krippendorff()["est"]["coefficient_value"]
    alphas[level] = (by_krippendorff, by_irrcac)
    print(f"{level:9} krippendorff {by_krippendorff:.5f}   irrCAC {by_irrcac:.5f}")

assert abs(alphas["nominal"][0] - alphas["nominal"][1]) < 1e-4
assert abs(alphas["interval"][0] - alphas["interval"][1]) < 1e-4
assert abs(alphas["ordinal"][0] - alphas["ordinal"][1]) > 0.01
P
echo "BEHAVIOUR CONFIRMED"
