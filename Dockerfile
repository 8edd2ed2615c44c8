# One file, one image per part: docker build --target operator|connector|api .
# The targets share everything but their virtual environment, so that no part carries another part's libraries.
ARG BASE_IMAGE=python:3.13-slim
ARG GO_IMAGE=golang:1.26

# The engine of pools with `engine: whatsmeow`: one static program.
FROM ${GO_IMAGE} AS build-engine
ENV CGO_ENABLED=0 \
    GOTOOLCHAIN=local \
    GOFLAGS="-mod=readonly -buildvcs=false"
WORKDIR /src/engine-go
COPY engine-go/go.mod engine-go/go.sum ./
RUN go mod download
COPY engine-go ./
RUN go build -trimpath -ldflags="-s -w" -o /out/whatsam-engine ./cmd/whatsam-engine

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
# The builder has a pip of its own; the environment that is copied to the final stage has none.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/whatsam
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY core core
COPY operator operator
COPY connector connector
COPY api api
COPY simulator simulator
COPY local local
# The image gets the engine from the stage above.
RUN WHATSAM_BUILD_ENGINE=0 /opt/build/bin/pip wheel --no-deps --wheel-dir /wheels .

FROM build AS build-operator
RUN wheel=$(echo /wheels/whatsam-*.whl) \
    && /opt/build/bin/pip --python /opt/whatsam/bin/python install "${wheel}[operator]"

FROM build AS build-connector
RUN wheel=$(echo /wheels/whatsam-*.whl) \
    && /opt/build/bin/pip --python /opt/whatsam/bin/python install "${wheel}[connector]"

FROM build AS build-api
RUN wheel=$(echo /wheels/whatsam-*.whl) \
    && /opt/build/bin/pip --python /opt/whatsam/bin/python install "${wheel}[api]"

FROM ${BASE_IMAGE} AS runtime
ENV PATH=/opt/whatsam/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /tmp

FROM runtime AS operator
COPY --from=build-operator /opt/whatsam /opt/whatsam
EXPOSE 8080
ENTRYPOINT ["whatsam-operator"]

FROM runtime AS connector
COPY --from=build-connector /opt/whatsam /opt/whatsam
COPY --from=build-engine /out/whatsam-engine /opt/whatsam/bin/whatsam-engine
EXPOSE 8080
ENTRYPOINT ["whatsam-connector"]

FROM runtime AS runtime-api
# Voice notes, films and GIFs are converted with it. Its version is the base image's business.
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001

FROM runtime-api AS api
COPY --from=build-api /opt/whatsam /opt/whatsam
EXPOSE 8000
ENTRYPOINT ["whatsam-api"]
