# The gateway as a container:
#   docker build -t llm-history-gateway . && docker run -p 8000:8000 -v gateway:/data llm-history-gateway
# The `pip install` lines are those that .ci/run runs, word for word; tests/unit/test_packaging.py holds them together.

FROM python:3.12-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
RUN pip install --require-hashes -r constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN pip install --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin gateway \
    && install --directory --owner=gateway --group=gateway /data
COPY --from=builder /opt/gateway /opt/gateway
WORKDIR /app
COPY gateway.yaml ./
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_SERVER__HOST=0.0.0.0 \
    GATEWAY_SERVER__PORT=8000 \
    GATEWAY_STORAGE__URL=sqlite:////data/gateway.db
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
VOLUME /data
EXPOSE 8000
# http.client rather than urllib.request: it never goes through a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import http.client, os; probe = http.client.HTTPConnection('127.0.0.1', os.environ['GATEWAY_SERVER__PORT'], timeout=4); probe.request('GET', '/healthz'); exit(probe.getresponse().status != 200)"]
# On SIGTERM running turns get server.shutdown_timeout (30 s) to end: stop it with `docker stop -t 40`.
STOPSIGNAL SIGTERM
ENTRYPOINT ["gateway"]
CMD ["serve"]
