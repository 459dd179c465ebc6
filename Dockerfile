# clickmill as a small image: built and run on Debian 12.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# librdkafka is built from source by its crate; the image has a C compiler and make.
RUN cargo build --release --locked -p clickmill && cp target/release/clickmill /usr/local/bin/

FROM debian:12-slim
RUN useradd --system --create-home --home-dir /var/lib/clickmill clickmill
COPY --from=build /usr/local/bin/clickmill /usr/local/bin/clickmill
COPY queries /usr/share/clickmill/queries
USER clickmill
WORKDIR /var/lib/clickmill
EXPOSE 5433
STOPSIGNAL SIGTERM
ENTRYPOINT ["clickmill"]
# Inside the container every client is remote. There is no authentication: publish the port to trusted networks only.
CMD ["serve", "--pg-host", "0.0.0.0", "--trust-remote"]
