# A service in Alpine.  The supervisor is static and runs with musl as with any C library.
FROM spillway:0.1.0 AS spillway
FROM alpine:3
COPY --from=spillway /usr/local/ /usr/local/
ENTRYPOINT ["/usr/local/bin/spillway", "--"]
CMD ["sleep", "infinity"]
