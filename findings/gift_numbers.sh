#!/usr/bin/env bash
# pygiftparser (Moodle's GIFT question format): {#-3:1} should be -3 with tolerance 1, and {#6.02e23:1e21} Avogadro's number.
# The parser reads the first as an invalid question without answers.  It reads the second as 6.02 with tolerance 0, and valid:
# a quiz that is converted with this parser marks every right answer wrong.  Escaped signs (\=) also stay escaped in answers.
# Exits 0 while this holds.
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
