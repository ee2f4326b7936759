# Two images from one file: `simulator`, and `operator`, which is last and therefore the default. See docs/image.md.
#
#   docker build --tag oc-essentials-operator:0.1.0 .
#   docker build --tag oc-essentials-simulator:0.1.0 --target simulator .
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/oc-essentials-operator:TAG --push .
#
# `cargo xtask image` does this with docker, podman or buildah, whichever is installed, and checks the result.

# The image that builds the programs: any with Rust (rustup), Python and apt.
ARG BUILDER=docker.io/library/rust:1.95-bookworm
# Where the programs come from: `build` compiles them here; `prebuilt` takes them from the build context, target/image/files.
ARG FILES=build

# Runs on the builder's own architecture and cross-compiles, because a compiler under emulation takes hours.
FROM --platform=$BUILDPLATFORM ${BUILDER} AS build
WORKDIR /src
RUN python3 -m venv --help >/dev/null 2>&1 && python3 -c 'import ensurepip' \
    || { apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*; }
ENV IMAGE_TOOLS=/opt/image-tools
COPY rust-toolchain.toml ./
COPY image ./image
RUN image/build.sh tools
COPY . .
ARG TARGETARCH
ARG SOURCE_DATE_EPOCH=0
ARG REVISION=unknown
# For operatorconnect_build_info.
ENV OPERATORCONNECT_REVISION=${REVISION}
RUN image/build.sh "$TARGETARCH" /out

FROM scratch AS prebuilt
ARG TARGETARCH
COPY ${TARGETARCH} /out

FROM ${FILES} AS files

FROM scratch AS simulator
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oc-essentials-simulator" \
      org.opencontainers.image.description="A simulated Operator Connect API of a Live Platform, for tests and trials" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=files /out/live-platform-simulator.cdx.json /sbom/
COPY --from=files /out/live-platform-simulator /
USER 65532:65532
# The program's own default is for a local machine, and can't be reached from outside the container.
ENV SIMULATOR_LISTEN=0.0.0.0:8090
EXPOSE 8090
ENTRYPOINT ["/live-platform-simulator"]

FROM scratch AS operator
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oc-essentials-operator" \
      org.opencontainers.image.description="Turns Microsoft Operator Connect leads into OC Essential services on an AudioCodes Live Platform, declaratively" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Where the TLS library looks unless SSL_CERT_FILE says otherwise.
COPY --from=files /out/ca-certificates.crt /etc/ssl/certs/
COPY --from=files /out/oc-essentials-operator.cdx.json /sbom/
COPY --from=files /out/oc-essentials-operator /
USER 65532:65532
ENTRYPOINT ["/oc-essentials-operator"]
