# Two stages: a static binary, and an image that holds it, root certificates
# and a folder for its data. It runs as nobody in particular and has no shell.
# The first stage runs on the builder's own processor, whatever the image is for:
# docker buildx build --platform linux/amd64,linux/arm64 .
FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/llm-proxy ./cmd/llm-proxy \
 && mkdir -p /out/etc \
 && echo 'llm-proxy:x:65532:65532:llm-proxy:/data:/sbin/nologin' >/out/etc/passwd \
 && echo 'llm-proxy:x:65532:' >/out/etc/group \
 && install -d -m 0700 -o 65532 -g 65532 /out/data \
 && install -d -m 1777 /out/tmp

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="llm-proxy" \
      org.opencontainers.image.description="High-throughput gateway for OpenAI-compatible providers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/etc /etc
COPY --from=build /out/llm-proxy /llm-proxy
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/tmp /tmp
ENV HOST=0.0.0.0 \
    PORT=18000 \
    DATA_DIR=/data
USER 65532:65532
VOLUME /data
EXPOSE 18000
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["/llm-proxy", "health"]
ENTRYPOINT ["/llm-proxy"]
CMD ["serve"]
