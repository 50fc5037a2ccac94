#ifndef SUPERVISOR_COPY_H
#define SUPERVISOR_COPY_H

/*
 * Copies this program and the libraries beside it to FOLDER/bin/spillway, FOLDER/lib/libspillway.so
 * and, where there is one, FOLDER/lib/libspillway-agent.so, for an init container that leaves them
 * in a volume: our image has no other program that could.  FOLDER has to be there.  A file that is
 * there is replaced as a whole. The exit status; what went wrong is said on stderr.
 */
int copy_to(const char *folder);

#endif
