# syntax=docker/dockerfile:1
# A static binary in an empty image: no shell, no libraries, no root, nothing written to disk.
# scripts/build-image does the same without Docker, from these very lines.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# A static glibc binary. getrandom must be told to ask the kernel itself: it cannot look the call up in a static binary,
# and would fall back on a device that an empty image does not have. Both flags need an explicit target, or they reach the
# procedural macros too.
ENV RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"'
# Dependencies first: they are built again only when the manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && cargo build --release --locked --all-features --target "$target" \
    && rm -r src
COPY src src
# Newer than what was built from the empty sources.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
    && touch src/main.rs src/lib.rs \
    && cargo build --release --locked --all-features --target "$target" \
    && cp "target/$target/release/llm-gateway" llm-gateway

FROM scratch
COPY --from=build /build/llm-gateway /llm-gateway
USER 65534:65534
ENV NODE_ENV=production
EXPOSE 3001
HEALTHCHECK --interval=30s --timeout=5s --start-period=2s CMD ["/llm-gateway", "health"]
# No entry point: another command, such as `/llm-gateway check`, is given whole, as platforms do that run one before a deploy.
CMD ["/llm-gateway"]
