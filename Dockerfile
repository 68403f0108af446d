# One image for every process of docker-compose.yml: locked dependencies and code, no secrets, no data.
# Build arguments:
#   PYTHON_IMAGE   base image; name@sha256:... pins it (docs/deployment.md has the command that prints the digest)
#   TORCH_INDEX    package index of torch; empty: that of pip, whose wheel for Linux may contain CUDA (3 GB more)
#   PACKAGE_INDEX  package index of everything else; empty: that of uv
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=
ARG PACKAGE_INDEX=
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils ca-certificates \
    && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/venv/bin:$PATH UV_NO_CACHE=1 SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /opt/segue
COPY pyproject.toml uv.lock LICENSE README.md ./
COPY deploy/image/reduce.sh /tmp/
# torch last and by pip, which also takes a local wheel. The editable install needs the package folders; the code is copied after it,
# so that a change of code keeps this layer.
RUN pip install --no-cache-dir --root-user-action ignore "$(sed -n '/^name = "uv"$/ { n; s/version = "\(.*\)"/uv==\1/p }' uv.lock)" \
    && python -m venv --without-pip /opt/venv \
    && mkdir config web media storage event_store ingestion quality sequences content recommender releases training serving served_behavior experiments privacy console local dags \
    && uv export --quiet --locked --extra cluster --no-emit-package torch --output-file /tmp/requirements.txt \
    && uv pip install ${PACKAGE_INDEX:+--default-index "$PACKAGE_INDEX"} --no-deps --python /opt/venv/bin/python --requirement /tmp/requirements.txt \
    && { pip --python /opt/venv/bin/python install --no-cache-dir --no-compile --retries 1 \
        ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(sed -n 's/^ *"\(torch[<>=].*\)",$/\1/p' pyproject.toml)" \
        || { echo "no torch at ${TORCH_INDEX:-the index of pip}; name another one: --build-arg TORCH_INDEX=URL, or empty"; exit 1; }; } \
    && sh /tmp/reduce.sh /opt/venv
COPY . .
# Commands of Segue write files that others cannot read; here this would be the bytecode.
RUN python -m compileall -q . && python deploy/image/compile_imports.py && chmod --recursive go+rX /opt/segue /opt/venv

FROM ${PYTHON_IMAGE} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl libgomp1 \
    && python -m pip uninstall --yes --root-user-action ignore pip setuptools wheel \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* /usr/share/doc /usr/share/locale /usr/share/man \
        /usr/lib/python3/dist-packages /usr/share/perl /usr/lib/*-linux-gnu/perl \
    && useradd --uid 1000 --create-home segue \
    && install --directory --owner segue --group segue /var/segue
# The probes of Airflow's Helm chart run this program (deploy/airflow).
RUN printf '#!/bin/sh\nexec python -m local.environment "$@"\n' > /entrypoint && chmod 755 /entrypoint

# One layer, so that removed files take no space
FROM scratch
COPY --from=base / /
# Owned by root: the processes cannot change code.
COPY --from=build /opt /opt
ARG REVISION=unknown
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="Segue" \
      org.opencontainers.image.description="Music recommendation that learns from sequences of listening behavior" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
WORKDIR /opt/segue
USER 1000:1000
# All addresses are those of the container; which ports are reachable is decided outside. Services still require credentials.
# Modules that the build did not compile are compiled in memory: the root file system is read-only.
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/segue/run/numba SEGUE_HOME=/var/segue SEGUE_HOST=0.0.0.0 SEGUE_ALLOW_REMOTE=yes
VOLUME /var/segue
ENTRYPOINT ["python", "-m", "local.environment"]
CMD ["python", "-m", "serving"]
