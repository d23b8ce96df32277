# Image of the service: no training code, no torch, no compiler.  Only /data is written to.
# docker-compose.yml describes the first start with PostgreSQL.  With SQLite:
#
#   docker build --tag scorelet:0.1.0 .
#   docker run --rm --volume scorelet:/data scorelet:0.1.0 db upgrade
#   docker run --rm --volume scorelet:/data scorelet:0.1.0 keys create "our school" --scope score
#   docker run --detach --restart unless-stopped --stop-timeout 60 --read-only --tmpfs /tmp --cap-drop ALL --volume scorelet:/data \
#       --publish 127.0.0.1:8000:8000 scorelet:0.1.0
#
# Without --volume, tables and keys are deleted with the container.

# Any Debian image with python3 (3.11 or newer) and python3-venv works.
ARG BASE=python:3.11-slim-bookworm
# Extras to install: `feedback` adds llama.cpp for feedback by a language model (docs/how-to/write-feedback.md).
ARG EXTRAS=

# Build the documentation as a site, which the service serves at /help; only its pages leave this stage.
FROM ${BASE} AS help
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt pyproject.toml ./
RUN python3 -m venv /site \
 && /site/bin/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'], sep='\n')" > dependencies.txt \
 && /site/bin/pip install --constraint constraints.txt --requirement dependencies.txt
COPY docs docs
RUN /site/bin/sphinx-build -W --keep-going -q -d /tmp/doctrees docs /help

FROM ${BASE} AS builder
ARG EXTRAS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# pip and hatchling stay in /build; /opt/scorelet, which ships, has neither.
COPY constraints.txt ./
RUN python3 -m venv /build \
 && /build/bin/pip install --constraint constraints.txt hatchling cyclonedx-bom \
 && python3 -m venv --without-pip /opt/scorelet
# Install dependencies before copying the code, so that a code change reuses their layer.
COPY pyproject.toml ./
RUN /build/bin/python -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *(d for extra in sys.argv[1:] for d in p['optional-dependencies'][extra]), sep='\n')" ${EXTRAS} > dependencies.txt \
 && /build/bin/pip --python /opt/scorelet/bin/python install --constraint constraints.txt --requirement dependencies.txt
COPY README.md LICENSE ./
COPY migrations migrations
COPY app app
COPY --from=help /help app/api/help_pages
# The image has no training code (.dockerignore), so remove its command.
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /build/bin/pip --python /opt/scorelet/bin/python install --no-deps --no-index /wheels/*.whl \
 && rm /opt/scorelet/bin/scorelet-train \
 && /build/bin/cyclonedx-py environment /opt/scorelet/bin/python --output-file /opt/scorelet/sbom.cdx.json

FROM ${BASE}
RUN groupadd --gid 10001 scorelet \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin scorelet \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=builder /opt/scorelet /opt/scorelet
COPY models /models
ENV PATH=/opt/scorelet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    SCORELET_HOST=0.0.0.0 \
    SCORELET_PORT=8000 \
    SCORELET_MODELS_DIR=/models \
    SCORELET_DATABASE_URL=sqlite:////data/scorelet.db
WORKDIR /data
# Numeric, so that Kubernetes can verify that the user is not root.
USER 10001:10001
EXPOSE 8000
# Ignore proxy settings of the container: a proxy would be asked for 127.0.0.1, too.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/scorelet/bin/python", "-c", "import os; from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:' + os.environ['SCORELET_PORT'] + '/readyz', timeout=4)"]
ENTRYPOINT ["scorelet"]
CMD ["serve"]
