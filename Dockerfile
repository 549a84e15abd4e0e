# syntax=docker/dockerfile:1
#
# The worker, for `docker build --tag bemi-worker .` in the root of the repository.
#
# Nothing is configured in here: addresses come by the environment, passwords by files. See docs/production.md.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay with the builder, so the binary is taken out of them in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package bemi-worker --bin bemi-worker \
    && install -D target/release/bemi-worker /out/bemi-worker

# The C library and the certificates of public authorities, and nothing else: no shell, no package manager. Its
# user nonroot is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/bemi-worker /usr/local/bin/bemi-worker
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# The last one has the C library give large blocks back at once: a worker that has met large rows is as small as before.
ENV BEMI_LOG_FORMAT=json \
    BEMI_METRICS=0.0.0.0:9187 \
    MALLOC_MMAP_THRESHOLD_=262144
EXPOSE 9187
# Asks the worker itself: there is no curl in here. Whoever runs another command than `run` turns it off.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/bemi-worker", "health"]
# A batch in flight is stored first.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/bemi-worker"]
CMD ["run"]
