# One image for every process of docker-compose.yml: locked dependencies and code, no secrets, no data.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home segue \
    && install --directory --owner segue /opt/segue /var/segue

WORKDIR /opt/segue
COPY pyproject.toml requirements.lock LICENSE README.md ./
# The editable install needs the package folders; the code is copied after it, so that a change of code keeps this layer.
RUN mkdir config web storage ingestion quality sequences training serving privacy console local dags \
    && pip install --no-cache-dir --constraint requirements.lock --editable '.[cluster]'
COPY --chown=segue . .

# The probes of Airflow's Helm chart run this program (deploy/airflow).
RUN printf '#!/bin/sh\nexec python -m local.environment "$@"\n' > /entrypoint && chmod 755 /entrypoint

USER segue
ENV SEGUE_HOME=/var/segue SEGUE_HOST=0.0.0.0
VOLUME /var/segue
ENTRYPOINT ["python", "-m", "local.environment"]
CMD ["python", "-m", "serving"]
