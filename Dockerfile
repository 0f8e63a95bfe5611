# Two images from one file:
#
#   docker build --target exporter -t heartbeat-exporter .
#   docker build --target worker -t heartbeat-worker .
#
# The worker image alone holds starlette-prometheus, which is GPL-3.0-or-later; see README.md.

FROM python:3.13.16-slim-trixie AS python


# Dependencies come before the sources, so that a change of ours does not install them again.
FROM python AS exporter-build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY constraints.txt pyproject.toml ./
# pip stays outside: the finished environment can run the program and nothing else.
RUN python -m venv --without-pip /opt/heartbeat
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > /tmp/dependencies.txt
RUN pip --python /opt/heartbeat/bin/python install -c constraints.txt -r /tmp/dependencies.txt
# The build backend is installed by name because constraints do not reach an isolated build.
RUN pip install -c constraints.txt hatchling
COPY README.md LICENSE ./
COPY prometheus prometheus
COPY alertmanager alertmanager
COPY grafana grafana
COPY worker_agent worker_agent
COPY exporter exporter
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /dist .
RUN pip --python /opt/heartbeat/bin/python install --no-deps --no-index /dist/*.whl


FROM exporter-build AS worker-build
RUN pip --python /opt/heartbeat/bin/python install -c constraints.txt "$(echo /dist/*.whl)[worker]"


FROM python AS runtime
ENV PATH=/opt/heartbeat/bin:$PATH PYTHONUNBUFFERED=1
# The one place the program may write to, for SQLITE_PATH=/data/heartbeat.db; Redis needs none.
RUN install -d -o 10001 -g 10001 /data
WORKDIR /data
# A number, because Kubernetes' runAsNonRoot cannot judge a name.
USER 10001:10001
# The programs say goodbye on SIGTERM. ENTRYPOINT in exec form hands it to them, not to a shell.
STOPSIGNAL SIGTERM


# The health checks go past HTTP_PROXY, which an engine may set in every container.
FROM runtime AS worker
LABEL org.opencontainers.image.title="heartbeat-worker" \
      org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
COPY --from=worker-build /opt/heartbeat /opt/heartbeat
ENV WORKER_PORT=8001
EXPOSE 8001
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['WORKER_PORT'] + '/health/ready', timeout=3)"]
ENTRYPOINT ["heartbeat-worker"]


FROM runtime AS exporter
LABEL org.opencontainers.image.title="heartbeat-exporter" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=exporter-build /opt/heartbeat /opt/heartbeat
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8000/health/ready', timeout=3)"]
ENTRYPOINT ["heartbeat-exporter"]
CMD ["serve", "--web.listen-address=:8000"]
