# Two stages: a static binary, and an image that holds it, root certificates
# and a folder for its data. It runs as nobody in particular and has no shell.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/llm-proxy ./cmd/llm-proxy \
 && install -d -m 0700 -o 65532 -g 65532 /out/data \
 && install -d -m 1777 /out/tmp

FROM scratch
LABEL org.opencontainers.image.title="llm-proxy" \
      org.opencontainers.image.description="High-throughput gateway for OpenAI-compatible providers" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
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
