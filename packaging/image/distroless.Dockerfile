# A service in an image without a shell.
FROM spillway:0.1.0 AS spillway
FROM gcr.io/distroless/base-debian12
COPY --from=spillway /usr/local/ /usr/local/
ENTRYPOINT ["/usr/local/bin/spillway", "--"]
CMD ["/usr/local/bin/your-server"]
