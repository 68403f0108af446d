# One image for every process of docker-compose.yml: the lock, the code, no secrets, no data.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends curl libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home segue \
    && install --directory --owner segue /opt/segue /var/segue

WORKDIR /opt/segue
COPY pyproject.toml requirements.lock LICENSE README.md ./
# The packages' folders must be there for the editable install; their code comes after, so that it does not cost the layer.
RUN mkdir config web storage ingestion quality sequences training serving privacy console local dags \
    && pip install --no-cache-dir --constraint requirements.lock --editable '.[cluster]'
COPY --chown=segue . .

# Airflow's own Helm chart asks its processes whether they live through this program (deploy/airflow).
RUN printf '#!/bin/sh\nexec python -m local.environment "$@"\n' > /entrypoint && chmod 755 /entrypoint

USER segue
ENV SEGUE_HOME=/var/segue SEGUE_HOST=0.0.0.0
VOLUME /var/segue
ENTRYPOINT ["python", "-m", "local.environment"]
CMD ["python", "-m", "serving"]
