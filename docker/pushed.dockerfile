# What ./inv build --push adds to an image, so that a pod installs nothing: the harness's packages, and what the image is.
ARG IMAGE=
# hadolint ignore=DL3006
FROM ${IMAGE}
# hadolint ignore=DL3002
USER 0
RUN --mount=type=bind,source=docker,target=/docker \
    --mount=type=bind,source=wheels,target=/wheels \
    --mount=type=cache,target=/var/cache/pip,sharing=locked \
    --mount=type=secret,id=pip --mount=type=secret,id=ca \
    python=$(readlink -f /opt/homework/bin/python) && \
    PIP="$python -m pip" sh /docker/venv.sh "$python" /opt/homework/harness sh /docker/pip.sh && \
    PIP="/opt/homework/harness/bin/python -m pip" \
    sh /docker/pip.sh install --require-hashes --no-deps -r /docker/locks/harness.txt && \
    cp /docker/locks/harness.txt /opt/homework/harness/lock.txt
COPY image.json /opt/homework/
ENV HOMEWORK_INSIDE=/opt/homework
USER 1000:1000
