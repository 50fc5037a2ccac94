# A service in Debian, or in any other distribution with glibc.
FROM spillway:0.1.0 AS spillway
FROM debian:12-slim
COPY --from=spillway /usr/local/ /usr/local/
ENTRYPOINT ["/usr/local/bin/spillway", "--"]
CMD ["sleep", "infinity"]
