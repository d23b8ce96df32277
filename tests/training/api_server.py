"""The OpenAI-compatible server of llama.cpp with a real small model: python -m tests.training.api_server PORT"""

import sys
import threading

import xllamacpp

from training.teacher.base_models import resolve


def main(port: int) -> None:
    parameters = xllamacpp.CommonParams()
    parameters.model.path = resolve("smollm2")
    parameters.port = port
    parameters.n_ctx, parameters.n_parallel = 4096, 2
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
