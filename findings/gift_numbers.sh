#!/usr/bin/env bash
# pygiftparser (Moodle's GIFT question format): one would expect {#-3:1} to be the number -3 within 1, and {#6.02e23:1e21} to
# be Avogadro's number.  The first has no answer and counts as invalid; the second is 6.02 with tolerance 0 and counts as VALID,
# so a quiz moved through this parser marks every right answer wrong.  Escaped signs (\=) also stay escaped in the answers.
# Exits 0 while this is so.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pygiftparser==1.1
"$work/venv/bin/python" - <<'P'
import io
from importlib.metadata import version

from pygiftparser import parser

print("pygiftparser", version("pygiftparser"))


def read(gift):
    [question] = parser.parseFile(io.StringIO(gift))
    return question


plain = read("::N:: In which year? {#1822:5}\n")
negative = read("::N:: Coldest day, in degrees? {#-3:1}\n")
large = read("::N:: Particles in a mole? {#6.02e23:1e21}\n")
escaped = read("::A:: Which equation? {=a\\=b =b\\=a}\n")
for name, question in [("1822:5", plain), ("-3:1", negative), ("6.02e23:1e21", large)]:
    answers = [(answer.value, answer.tolerance) for answer in question.answers.answers]
    print(f"{name:14} valid {question.valid!s:6} answers {answers}")
print("escaped        answers", [answer.answer for answer in escaped.answers.answers])

assert plain.valid and [(a.value, a.tolerance) for a in plain.answers.answers] == [(1822.0, 5.0)]
assert not negative.valid and negative.answers.answers == []
assert large.valid and [(a.value, a.tolerance) for a in large.answers.answers] == [(6.02, 0)]
assert [a.answer for a in escaped.answers.answers] == ["a\\=b", "b\\=a"]
P
echo "BEHAVIOUR CONFIRMED"
