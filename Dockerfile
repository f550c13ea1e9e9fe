# One image for every process: `docker-compose.yml` says which command each service runs.

FROM python:3.13-slim-trixie AS build
WORKDIR /build
RUN python -m venv /opt/storyline
ENV PATH=/opt/storyline/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The packages first: this layer stays as long as the lock does.
COPY requirements.lock ./
RUN pip install --require-hashes --no-deps --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY eventlog eventlog
COPY commands commands
COPY projections projections
COPY consumers consumers
COPY api api
COPY adapters adapters
COPY storyline storyline
COPY bench bench
RUN pip install --no-index --no-deps --no-build-isolation . && python -m compileall -q /opt/storyline

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin storyline \
    && install --directory --owner=10001 --group=10001 /var/lib/storyline
COPY --from=build /opt/storyline /opt/storyline
ENV PATH=/opt/storyline/bin:$PATH PYTHONUNBUFFERED=1 STORYLINE_MODE=production STORYLINE_LOG_FORMAT=json
WORKDIR /opt/storyline
USER 10001:10001
EXPOSE 8080 8081 8082 8083 8084 8085 8086
STOPSIGNAL SIGTERM
# The port of the process that runs here: the API's, unless HEALTH_PORT says another.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('HEALTH_PORT', '8080') + '/livez', timeout=4)"]
ENTRYPOINT ["storyline"]
CMD ["api"]
