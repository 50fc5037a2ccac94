# A service whose user has no name and whose root is read-only, as OpenShift runs them:
#   docker run --user 1000620000 --read-only --cap-drop ALL --security-opt no-new-privileges ...
# spillway writes no file for one command; what the service writes wants a volume.
FROM spillway:0.1.0 AS spillway
FROM debian:12-slim
COPY --from=spillway /usr/local/ /usr/local/
USER 1000620000
ENTRYPOINT ["/usr/local/bin/spillway", "--"]
CMD ["sleep", "infinity"]
