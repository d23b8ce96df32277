"""Run a program that the kernel kills (SIGSYS) if it uses the network: `python -m tests.sealed RULE PROGRAM …`.

RULE `no-sockets` forbids all internet sockets.  `no-calls` lets a server listen and answer, but forbids connect() and
datagram sockets, which look-ups of names need.  All threads and children inherit the seccomp filter.  It needs no
privileges and covers libraries in C++, unlike a patched `socket` module.  Linux only.
"""

import ctypes
import os
import platform
import sys

SYSCALLS = {"x86_64": {"socket": 41, "connect": 42}, "aarch64": {"socket": 198, "connect": 203}}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
AF_INET, AF_INET6, SOCK_DGRAM, SOCK_TYPE_MASK = 2, 10, 2, 0xF
ALLOW, KILL = 0x7FFF0000, 0x80000000
LOAD, JUMP_EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06  # BPF operations
NUMBER, ARCH, FIRST, SECOND = 0, 4, 16, 24  # offsets in struct seccomp_data

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand


class Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint))


class Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Filter)))


def rules(rule: str) -> list[Instruction]:
    """Return the BPF instructions of a rule."""
    machine = platform.machine()
    calls = SYSCALLS[machine]
    kill, allow = (RETURN, 0, 0, KILL), (RETURN, 0, 0, ALLOW)
    head = [(LOAD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]), kill, (LOAD, 0, 0, NUMBER)]
    if rule == "no-sockets":
        return [
            *head,
            (JUMP_EQUAL, 1, 0, calls["socket"]),
            allow,
            (LOAD, 0, 0, FIRST),
            (JUMP_EQUAL, 2, 0, AF_INET),
            (JUMP_EQUAL, 1, 0, AF_INET6),
            allow,
            kill,
        ]
    return [
        *head,
        (JUMP_EQUAL, 8, 0, calls["connect"]),
        (JUMP_EQUAL, 1, 0, calls["socket"]),
        allow,
        (LOAD, 0, 0, FIRST),
        (JUMP_EQUAL, 1, 0, AF_INET),
        (JUMP_EQUAL, 0, 4, AF_INET6),
        (LOAD, 0, 0, SECOND),
        (AND, 0, 0, SOCK_TYPE_MASK),
        (JUMP_EQUAL, 0, 1, SOCK_DGRAM),
        kill,
        allow,
    ]


def seal(rule: str) -> None:
    """Install the filter of a rule for this process.  Raises OSError if the kernel refuses it."""
    instructions = [Filter(*instruction) for instruction in rules(rule)]
    array = (Filter * len(instructions))(*instructions)
    program = Program(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_no_new_privs, pr_set_seccomp, mode_filter = 38, 22, 2
    if libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0) or libc.prctl(
        pr_set_seccomp, mode_filter, ctypes.byref(program), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "the kernel refused the seccomp filter")


if __name__ == "__main__":
    seal(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606  # the program under test
