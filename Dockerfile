# The worker alone. Handlers of your own, with what they import: FROM this image, and COPY them to /opt/handlers, as README
# shows. Or keep them outside of it, as HTTP or Lambda functions.

FROM python:3.13-slim AS build
WORKDIR /build
COPY deploy/requirements.txt deploy/requirements-build.txt deploy/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r deploy/requirements-build.txt
RUN python -m venv --without-pip /opt/poller \
 && /opt/build/bin/pip --python /opt/poller/bin/python install --no-cache-dir --no-deps --require-hashes \
      -r deploy/requirements.txt
COPY pyproject.toml README.md LICENSE config.example.toml ./
COPY poller poller
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels . \
 && /opt/build/bin/pip --python /opt/poller/bin/python install --no-cache-dir --no-deps wheels/*.whl

# Where handlers are imported from, behind the worker's own packages, which they shall not replace.
RUN echo /opt/handlers > "$(/opt/poller/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/handlers.pth"

FROM python:3.13-slim
LABEL org.opencontainers.image.title="stream-poller" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 poller \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/poller --shell /usr/sbin/nologin poller \
 && install -d -o poller -g poller /var/lib/poller \
 && pip uninstall --yes --quiet --root-user-action=ignore pip
COPY --from=build /opt/poller /opt/poller
# One arena: each call of a handler has a thread, and glibc's many arenas never give back what the busiest moment took.
ENV PATH=/opt/poller/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=1
# That of the volume, as a relative sqlite:/// path is found from here.
WORKDIR /var/lib/poller
VOLUME /var/lib/poller
USER 10001:10001
EXPOSE 9464
# POLLER_HEALTH_URL: set it where [server] listens on another port; with listen = "", run with --no-healthcheck.
ENV POLLER_HEALTH_URL=http://127.0.0.1:9464/livez
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(os.environ['POLLER_HEALTH_URL'], timeout=4)"]
ENTRYPOINT ["poller"]
CMD ["run", "--config", "/etc/poller/config.toml"]
