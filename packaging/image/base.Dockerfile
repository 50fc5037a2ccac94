# A static program on top of nothing but spillway.  It keeps its own malloc, and is watched all the same.
FROM spillway:0.1.0
COPY your-server /usr/local/bin/your-server
CMD ["/usr/local/bin/your-server"]
